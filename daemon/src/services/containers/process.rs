//! From Docker's configuration to the process that the jail helper starts.

use crate::services::Failure;
use docker_api::containers::ContainerConfig;
use docker_api::host_config::HostConfig;
use protocol::jail::{ProcessSpec, Role, Stdio};
use protocol::limits::ARGUMENTS_MAX;
use protocol::names::{Bounded, Text};

use super::user::Account;

/// Search path of a container whose image gives none (dockerd's default for unix).
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Linux capabilities by number (capabilities(7)), without `CAP_`.
const CAPABILITIES: [&str; 41] = [
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

/// A capability that a client may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedCapability {
    /// One, by number.
    One(u8),
    /// `ALL`.
    All,
}

/// Reads a capability's name, with or without `CAP_`, in either case.
///
/// # Errors
/// The name in full, where there is none such.
pub(super) fn capability(name: &str) -> Result<NamedCapability, String> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return Ok(NamedCapability::All);
    }
    let position = CAPABILITIES.iter().position(|known| *known == short);
    let number = position.and_then(|number| u8::try_from(number).ok());
    number
        .map(NamedCapability::One)
        .ok_or_else(|| format!("CAP_{short}"))
}

/// The capabilities of a container: the default ones, plus what was added, less what was dropped.
fn capabilities(host: &HostConfig) -> Vec<u8> {
    let named = |names: &Option<Vec<String>>| -> Vec<NamedCapability> {
        names
            .iter()
            .flatten()
            .filter_map(|name| capability(name).ok())
            .collect()
    };
    let (added, dropped) = (named(&host.cap_add), named(&host.cap_drop));
    let all = 0..u8::try_from(CAPABILITIES.len()).unwrap_or(u8::MAX);
    let is_default = |number: u8| ProcessSpec::DEFAULT_CAPABILITIES.contains(&number);
    let one = |number: u8| NamedCapability::One(number);
    // dockerd's order: dropping ALL leaves what is added by name; adding ALL leaves out what is dropped by name.
    all.filter(|number| {
        let is_added = added.contains(&one(*number))
            || (added.contains(&NamedCapability::All) && !dropped.contains(&NamedCapability::All));
        let is_kept = is_default(*number) && !dropped.contains(&NamedCapability::All);
        (is_added || is_kept) && !dropped.contains(&one(*number))
    })
    .collect()
}

/// What differs between a container's first process and an exec.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// First or further.
    pub role: Role,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment beyond the container's own.
    pub extra_env: &'a [String],
    /// Working directory; empty means the container's.
    pub cwd: &'a str,
    /// Whether it runs on a terminal, and its size in rows and columns.
    pub terminal: Option<(u16, u16)>,
}

/// Puts a process together.
///
/// # Errors
/// `Invalid` where arguments or environment are over the limits.
pub(super) fn spec(
    config: &ContainerConfig,
    host: &HostConfig,
    account: &Account,
    wanted: Wanted<'_>,
) -> Result<ProcessSpec, Failure> {
    let texts = |items: Vec<String>| -> Result<Bounded<Text<_>, ARGUMENTS_MAX>, Failure> {
        Ok(Bounded::new(
            items.into_iter().map(Text::new).collect::<Result<_, _>>()?,
        )?)
    };
    let env = environment(config, account, wanted.extra_env, wanted.terminal.is_some());
    let cwd = [wanted.cwd, &config.working_dir, "/"]
        .into_iter()
        .find(|cwd| !cwd.is_empty())
        .unwrap_or("/");
    let stdio = match wanted.terminal {
        Some((rows, columns)) => Stdio::Terminal { rows, columns },
        None => Stdio::Pipes,
    };
    let no_new_privileges = super::security::read(host.security_opt.as_ref())?.no_new_privileges;
    Ok(ProcessSpec {
        role: wanted.role,
        argv: texts(wanted.argv)?,
        env: texts(env)?,
        cwd: Text::new(cwd)?,
        uid: account.uid,
        gid: account.gid,
        groups: Bounded::new(account.groups.clone())?,
        stdio,
        rlimits: super::limits::rlimits(host)?,
        capabilities: Bounded::new(capabilities(host))?,
        no_new_privileges,
        init: host.init == Some(true),
        oom_score: i16::try_from(host.oom_score_adj).unwrap_or_default(),
    })
}

/// dockerd's environment: the defaults, the container's own over them, and what runc adds (`HOME`).
fn environment(config: &ContainerConfig, account: &Account, extra: &[String], terminal: bool) -> Vec<String> {
    let mut all = vec![
        format!("PATH={DEFAULT_PATH}"),
        format!("HOSTNAME={}", config.hostname),
    ];
    if terminal {
        all.push("TERM=xterm".to_owned());
    }
    for entry in config.env.iter().flatten().chain(extra) {
        let (name, value) = entry
            .split_once('=')
            .map_or((entry.as_str(), None), |(n, v)| (n, Some(v)));
        all.retain(|known| known.split('=').next() != Some(name));
        if value.is_some() {
            all.push(entry.clone());
        }
    }
    // An empty one is none to runc.
    all.retain(|entry| entry != "HOME=");
    if !all.iter().any(|entry| entry.starts_with("HOME=")) {
        all.push(format!("HOME={}", account.home));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(add: &[&str], drop: &[&str]) -> HostConfig {
        let own = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        HostConfig {
            cap_add: own(add),
            cap_drop: own(drop),
            ..HostConfig::default()
        }
    }

    #[test]
    fn capabilities_follow_dockers_rules() {
        assert_eq!(capabilities(&host(&[], &[])), ProcessSpec::DEFAULT_CAPABILITIES);
        assert_eq!(capabilities(&host(&["NET_ADMIN"], &["ALL"])), [12]);
        assert_eq!(capabilities(&host(&["all"], &["cap_chown"])).len(), 40);
        assert!(!capabilities(&host(&[], &["CHOWN"])).contains(&0));
    }

    #[test]
    fn the_containers_environment_comes_over_the_defaults() {
        let own = |text: &str| text.to_owned();
        let config = ContainerConfig {
            hostname: own("h"),
            env: Some(vec![own("PATH=/x"), own("A=1"), own("HOSTNAME")]),
            ..ContainerConfig::default()
        };
        let account = Account {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: own("/root"),
        };
        let env = environment(&config, &account, &[own("A=2")], true);
        assert_eq!(env, ["TERM=xterm", "PATH=/x", "A=2", "HOME=/root"]);
    }
}
