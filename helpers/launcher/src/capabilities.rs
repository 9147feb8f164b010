//! Linux capabilities by name, for the setting `capabilities_max` (capabilities(7), linux/capability.h).

/// Names without `CAP_`; a capability's number is its place here.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container may be given at most unless the administrator says otherwise: Docker's default set, and the ones that
/// stay within a container's own namespaces and are asked for most: IPC_LOCK (databases), NET_ADMIN (VPNs, in the
/// container's own network), SYS_NICE and SYS_PTRACE (debuggers).
pub const DEFAULT: [&str; 18] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_PTRACE",
];

/// The mask of these capabilities, bit by number. Names are taken with or without `CAP_`, as `docker run --cap-add` does.
///
/// # Errors
/// The first name that is no capability.
pub fn mask<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<u64, &'a str> {
    names.into_iter().try_fold(0, |mask, name| {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == bare).ok_or(name)?;
        Ok(mask | 1 << number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_default_set_has_dockers_mask() {
        let beyond = ["IPC_LOCK", "NET_ADMIN", "SYS_NICE", "SYS_PTRACE"];
        let dockers = DEFAULT.into_iter().filter(|name| !beyond.contains(name));
        // CapEff of a container started by dockerd 28 without options.
        assert_eq!(mask(dockers), Ok(0xa804_25fb));
    }

    #[test]
    fn names_are_taken_as_docker_takes_them() {
        assert_eq!(mask(["cap_chown", "CAP_KILL", "bpf"]), Ok(1 | 1 << 5 | 1 << 39));
        assert_eq!(mask(["CHOWN", "EVERYTHING"]), Err("EVERYTHING"));
    }
}
