//! What the administrator's policy allows, and what can be asked at all. Pure; the front and the hand both ask it.

use crate::host;
use protocol::jail::{JailSpec, Limits, Network, ProcessSpec, Request, SignalTarget, UNLIMITED};
use protocol::limits::ARGUMENT_BLOCK_BYTES_MAX;
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::process::Resource;

/// The id that chown(2) and setresuid(2) read as "leave it": nobody can be it.
const NO_ID: u32 = u32::MAX;

/// Largest /dev/shm in bytes: tmpfs(5) takes a signed size on both hosts.
const SHM_BYTES_MAX: u64 = i64::MAX as u64;

/// Judges one request.
///
/// # Errors
/// `Refused` for what the policy forbids, `BadContent` for what no host could do, `Unsupported` for what this one cannot.
pub(crate) fn judge(policy: &JailPolicy, request: &Request) -> Answer<()> {
    match request {
        Request::Create(spec) => judge_jail(policy, spec),
        Request::Launch { jail: _, process } => judge_process(policy, process),
        Request::Signal { target, signal, .. } => judge_signal(*target, *signal),
        Request::Limit { jail: _, limits } => judge_limits(limits),
        // The rest names a jail, which its type has checked, and nothing else.
        _ => Ok(()),
    }
}

fn judge_jail(policy: &JailPolicy, spec: &JailSpec) -> Answer<()> {
    let is_host = spec.network == Network::Host && spec.openings.network_of.is_none();
    if is_host && !policy.allow_host_network {
        return refused("the policy does not allow the host's network");
    }
    if spec.shm_bytes > SHM_BYTES_MAX {
        return bad("size of /dev/shm");
    }
    host::judge_jail(policy, spec)
}

/// What would be written into the host's own files must be plain numbers and lists of them.
fn judge_limits(limits: &Limits) -> Answer<()> {
    let fits = |list: &str| list.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b'-');
    if !fits(limits.cpus.as_str()) || !fits(limits.memory_nodes.as_str()) {
        return bad("list of processors");
    }
    let zero = [
        limits.memory_bytes,
        limits.cpu_quota_us,
        limits.cpu_period_us,
        limits.processes,
    ];
    if zero.contains(&0)
        || limits.cpu_period_us == UNLIMITED
        || limits.memory_swap_bytes < limits.memory_bytes
    {
        return bad("limit out of range");
    }
    host::judge_limits(limits)
}

fn judge_process(policy: &JailPolicy, process: &ProcessSpec) -> Answer<()> {
    if process.argv.as_slice().is_empty() {
        return bad("no program to run");
    }
    if argument_bytes(process) > ARGUMENT_BLOCK_BYTES_MAX {
        return bad("arguments and environment are too long");
    }
    if !process.cwd.as_str().starts_with('/') {
        return bad("the working directory is not absolute");
    }
    let ids = [process.uid, process.gid];
    if ids.iter().chain(process.groups.as_slice()).any(|id| *id == NO_ID) {
        return bad("user or group id out of range");
    }
    judge_rlimits(process)?;
    for capability in process.capabilities.as_slice() {
        if *capability >= 64 || policy.capability_mask & (1 << capability) == 0 {
            return refused(&format!("the policy does not allow capability {capability}"));
        }
    }
    host::judge_process(process)
}

fn judge_rlimits(process: &ProcessSpec) -> Answer<()> {
    let mut seen = Vec::new();
    for limit in process.rlimits.as_slice() {
        let name = limit.name.as_str();
        resource(name)?;
        if limit.soft > limit.hard || seen.contains(&name) {
            return bad(&format!("resource limit {name}"));
        }
        seen.push(name);
    }
    Ok(())
}

/// The resource behind Docker's name for it.
///
/// # Errors
/// `Unsupported` for a name that this host does not have.
pub(crate) fn resource(name: &str) -> Answer<Resource> {
    let unknown = || {
        HelperError::new(
            ErrorCode::Unsupported,
            format!("no resource limit {name} on this host"),
        )
    };
    host::rlimit_resource(name).ok_or_else(unknown)
}

fn judge_signal(target: SignalTarget, signal: u8) -> Answer<()> {
    // 0 and below stand for groups of processes (kill(2)).
    let is_one = !matches!(target, SignalTarget::Process(pid) if pid <= 0);
    if is_one && (1..=host::SIGNAL_MAX).contains(&signal) {
        Ok(())
    } else {
        bad("signal or process out of range")
    }
}

/// Bytes of a process's arguments and environment, each with its NUL.
pub(crate) fn argument_bytes(process: &ProcessSpec) -> usize {
    let texts = process.argv.as_slice().iter().chain(process.env.as_slice());
    texts.map(|text| text.as_str().len() + 1).sum()
}

fn refused(why: &str) -> Answer<()> {
    fail(ErrorCode::Refused, why)
}

fn bad(why: &str) -> Answer<()> {
    fail(ErrorCode::BadContent, why)
}

/// A failure of this helper's own.
pub(crate) fn fail<T>(code: ErrorCode, why: &str) -> Answer<T> {
    Err(HelperError::new(code, why))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::jail::{Openings, Rlimit, Role, Stdio, Throttle, Throttled};
    use protocol::mount::{Access, Flavour};
    use protocol::names::{Bounded, HostName, HostPath, JailName, Label, MountName, Text};

    pub(crate) fn policy() -> JailPolicy {
        JailPolicy {
            prefix: Label::new("cb-").unwrap(),
            mount_root: HostPath::new("/srv/mnt").unwrap(),
            record_dir: HostPath::new("/srv/jails").unwrap(),
            allow_host_network: false,
            allow_host_processes: false,
            allow_host_devices: false,
            capability_mask: 0xa804_25fb,
            devfs_ruleset: 4200,
        }
    }

    pub(crate) fn jail() -> JailSpec {
        JailSpec {
            jail: JailName::new("j1").unwrap(),
            root: MountName::new("c-j1").unwrap(),
            hostname: HostName::new("web").unwrap(),
            network: Network::Own,
            root_access: Access::ReadWrite,
            flavour: Flavour::Native,
            shm_bytes: 65_536,
            sysctls: Bounded::default(),
            openings: Openings::default(),
        }
    }

    pub(crate) fn limits() -> Limits {
        Limits {
            memory_bytes: 1 << 24,
            cpus: Text::new("0-1,3").unwrap(),
            throttles: Bounded::new(vec![Throttle {
                what: Throttled::Reads,
                major: 8,
                minor: 0,
                rate: 9,
            }])
            .unwrap(),
            ..Limits::default()
        }
    }

    pub(crate) fn process() -> ProcessSpec {
        let texts =
            |list: &[&str]| Bounded::new(list.iter().map(|t| Text::new(*t).unwrap()).collect()).unwrap();
        ProcessSpec {
            role: Role::First,
            argv: texts(&["sh", "-c", "true", ""]),
            env: texts(&["PATH=/bin", "A=b"]),
            cwd: Text::new("/").unwrap(),
            uid: 1000,
            gid: 100,
            groups: Bounded::new(vec![100, 5]).unwrap(),
            stdio: Stdio::Terminal {
                rows: 24,
                columns: 80,
            },
            rlimits: Bounded::new(vec![Rlimit {
                name: Label::new("nofile").unwrap(),
                soft: 64,
                hard: u64::MAX,
            }])
            .unwrap(),
            capabilities: Bounded::new(ProcessSpec::DEFAULT_CAPABILITIES.to_vec()).unwrap(),
            no_new_privileges: true,
            init: false,
            oom_score: 500,
        }
    }

    fn launch(change: impl FnOnce(&mut ProcessSpec)) -> Option<ErrorCode> {
        let mut process = process();
        change(&mut process);
        let request = Request::Launch {
            jail: JailName::new("j1").unwrap(),
            process: Box::new(process),
        };
        judge(&policy(), &request).err().map(|e| e.code)
    }

    #[test]
    fn the_hosts_network_needs_the_policys_consent() {
        let shared = Request::Create(Box::new(JailSpec {
            network: Network::Host,
            ..jail()
        }));
        assert_eq!(judge(&policy(), &shared).unwrap_err().code, ErrorCode::Refused);
        let generous = JailPolicy {
            allow_host_network: true,
            ..policy()
        };
        assert_eq!(judge(&generous, &shared), Ok(()));
    }

    #[test]
    fn a_shm_of_a_size_that_is_none_is_bad_content() {
        let request = Request::Create(Box::new(JailSpec {
            shm_bytes: SHM_BYTES_MAX + 1,
            ..jail()
        }));
        assert_eq!(
            judge(&policy(), &request).unwrap_err().code,
            ErrorCode::BadContent
        );
    }

    #[test]
    fn an_ordinary_process_is_allowed() {
        assert_eq!(launch(|_| ()), None);
    }

    #[test]
    fn a_capability_outside_the_mask_is_refused() {
        let with = |number| launch(|p| p.capabilities = Bounded::new(vec![number]).unwrap());
        assert_eq!(with(21), Some(ErrorCode::Refused));
        assert_eq!(with(64), Some(ErrorCode::Refused));
        assert_eq!(with(255), Some(ErrorCode::Refused));
    }

    #[test]
    fn arguments_that_do_not_fit_an_order_are_bad_content() {
        let half = "x".repeat(ARGUMENT_BLOCK_BYTES_MAX / 2);
        let texts = |count: usize| Bounded::new(vec![Text::new(half.clone()).unwrap(); count]).unwrap();
        assert_eq!(launch(|p| p.argv = texts(2)), Some(ErrorCode::BadContent));
        assert_eq!(
            launch(|p| p.argv = Bounded::default()),
            Some(ErrorCode::BadContent)
        );
    }

    #[test]
    fn a_relative_directory_the_reserved_id_and_a_doubled_limit_are_bad_content() {
        assert_eq!(
            launch(|p| p.cwd = Text::new("tmp").unwrap()),
            Some(ErrorCode::BadContent)
        );
        assert_eq!(launch(|p| p.uid = u32::MAX), Some(ErrorCode::BadContent));
        assert_eq!(
            launch(|p| p.groups = Bounded::new(vec![u32::MAX]).unwrap()),
            Some(ErrorCode::BadContent)
        );
        let doubled = |p: &mut ProcessSpec| {
            let one = p.rlimits.as_slice()[0].clone();
            p.rlimits = Bounded::new(vec![one.clone(), one]).unwrap();
        };
        assert_eq!(launch(doubled), Some(ErrorCode::BadContent));
    }

    #[test]
    fn an_unknown_resource_limit_is_unsupported() {
        let unknown = |p: &mut ProcessSpec| {
            let limit = Rlimit {
                name: Label::new("luck").unwrap(),
                soft: 1,
                hard: 1,
            };
            p.rlimits = Bounded::new(vec![limit]).unwrap();
        };
        assert_eq!(launch(unknown), Some(ErrorCode::Unsupported));
    }

    #[test]
    fn what_would_be_written_into_the_hosts_files_is_numbers() {
        let judged = |change: fn(&mut Limits)| {
            let mut limits = limits();
            change(&mut limits);
            let request = Request::Limit {
                jail: JailName::new("j1").unwrap(),
                limits: Box::new(limits),
            };
            judge(&policy(), &request).err().map(|e| e.code)
        };
        assert_eq!(
            judged(|l| l.cpus = Text::new("0\n1").unwrap()),
            Some(ErrorCode::BadContent)
        );
        assert_eq!(
            judged(|l| l.memory_nodes = Text::new("../x").unwrap()),
            Some(ErrorCode::BadContent)
        );
        assert_eq!(judged(|l| l.memory_bytes = 0), Some(ErrorCode::BadContent));
        assert_eq!(judged(|l| l.memory_swap_bytes = 1), Some(ErrorCode::BadContent));
    }

    #[test]
    fn signal_zero_is_bad_content() {
        let jail = JailName::new("j1").unwrap();
        let signal = |signal| Request::Signal {
            jail: jail.clone(),
            target: SignalTarget::First,
            signal,
        };
        assert_eq!(
            judge(&policy(), &signal(0)).unwrap_err().code,
            ErrorCode::BadContent
        );
        assert_eq!(
            judge(&policy(), &signal(255)).unwrap_err().code,
            ErrorCode::BadContent
        );
        assert_eq!(judge(&policy(), &signal(15)), Ok(()));
    }
}
