//! Kernel settings of a jail's own namespaces (`--sysctl`), those that runc and dockerd allow.

use protocol::jail::{JailSpec, Network, Space};
use protocol::{Answer, ErrorCode, HelperError};

/// Settings of the namespaces of System V objects (namespaces(7)).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Whether every setting is one of the jail's own.
///
/// # Errors
/// `Refused` for one of the host's, `BadContent` for what is no name.
pub(super) fn judge(spec: &JailSpec) -> Answer<()> {
    for sysctl in spec.sysctls.as_slice() {
        let name = sysctl.name.as_str();
        let fits = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if !name.split('.').all(fits) {
            return Err(HelperError::new(ErrorCode::BadContent, format!("sysctl {name}")));
        }
        let is_ipc = IPC.contains(&name) || name.starts_with("fs.mqueue.");
        let own = (is_ipc && spec.openings.ipc == Space::Own)
            || (name == "kernel.domainname" && !spec.openings.shares_host_name)
            || (name.starts_with("net.") && spec.network == Network::Own);
        if !own {
            return Err(HelperError::new(
                ErrorCode::Refused,
                format!("sysctl \"{name}\" is not in a separate kernel namespace"),
            ));
        }
    }
    Ok(())
}

/// Sets them, from inside and before they become read-only.
pub(super) fn set(spec: &JailSpec) -> Answer<()> {
    for sysctl in spec.sysctls.as_slice() {
        let path = format!("/proc/sys/{}", sysctl.name.as_str().replace('.', "/"));
        std::fs::write(&path, sysctl.value.as_str())
            .map_err(|e| HelperError::system(format!("sysctl {}", sysctl.name), &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::jail;
    use protocol::jail::Sysctl;
    use protocol::names::{Bounded, Label, Text};

    #[test]
    fn only_settings_of_the_jails_own_namespaces_are_allowed() {
        let judged = |name: &str, network| {
            let sysctl = Sysctl {
                name: Label::new(name).unwrap(),
                value: Text::new("1").unwrap(),
            };
            let spec = JailSpec {
                network,
                sysctls: Bounded::new(vec![sysctl]).unwrap(),
                ..jail()
            };
            judge(&spec).map_err(|e| e.code)
        };
        let mut shares = jail();
        shares.openings.ipc = Space::Host;
        shares.sysctls = Bounded::new(vec![Sysctl {
            name: Label::new("kernel.msgmax").unwrap(),
            value: Text::new("1").unwrap(),
        }])
        .unwrap();
        assert_eq!(judge(&shares).map_err(|e| e.code), Err(ErrorCode::Refused));
        assert_eq!(judged("net.ipv4.ip_forward", Network::Own), Ok(()));
        assert_eq!(judged("kernel.msgmax", Network::Host), Ok(()));
        assert_eq!(judged("kernel.domainname", Network::Host), Ok(()));
        assert_eq!(
            judged("net.ipv4.ip_forward", Network::Host),
            Err(ErrorCode::Refused)
        );
        assert_eq!(
            judged("kernel.core_pattern", Network::Own),
            Err(ErrorCode::Refused)
        );
        assert_eq!(
            judged("net.../../kernel", Network::Own),
            Err(ErrorCode::BadContent)
        );
    }
}
