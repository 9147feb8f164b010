//! What may be mounted and where. Pure: the front and the hand ask the same questions, and neither believes
//! the other.
#![forbid(unsafe_code)]

use protocol::mount::{BindSource, Request};
use protocol::names::MountName;
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use std::path::{Path, PathBuf};

/// How the mount points of volumes begin. A container's or an image's tree is never shown in another
/// container.
const VOLUME_PREFIX: &str = "v-";

/// The bits that a mode can have (chmod(2)).
const MODE_BITS: u16 = 0o7777;

/// Judges what can be judged from the request alone.
///
/// # Errors
/// `Refused` for what the policy does not allow, `BadContent` for what makes no sense.
pub fn judge(request: &Request, policy: &MountPolicy) -> Answer<()> {
    match request {
        Request::Bind { source, target, .. } => {
            judge_target(Path::new(target.as_str()))?;
            judge_bind(source, policy)
        }
        Request::Tmpfs { target, mode, .. } => {
            judge_target(Path::new(target.as_str()))?;
            if *mode & !MODE_BITS != 0 {
                return Err(HelperError::new(
                    ErrorCode::BadContent,
                    format!("mode {mode:o} has bits beyond 7777"),
                ));
            }
            Ok(())
        }
        Request::Check { source } => judge_bind(source, policy),
        Request::Dataset { .. }
        | Request::PseudoFileSystems { .. }
        | Request::Unmount { .. }
        | Request::List { .. } => Ok(()),
    }
}

/// Judges a path in a container, as asked and again once its links are resolved: the container's root and its
/// `/proc` are not mounted over. A program that finds a file of the image's choosing under `/proc` can be led
/// to anything.
///
/// # Errors
/// `Refused` with the path.
pub fn judge_target(target: &Path) -> Answer<()> {
    if target.as_os_str().is_empty() {
        return Err(refused("the container's root is not mounted over"));
    }
    if target.starts_with("proc") {
        return Err(refused(format!("/{} is inside /proc", target.display())));
    }
    Ok(())
}

fn judge_bind(source: &BindSource, policy: &MountPolicy) -> Answer<()> {
    match source {
        BindSource::Host { path, .. }
        | BindSource::HostAlone { path, .. }
        | BindSource::HostJoined { path, .. }
            if policy.bind_roots.as_slice().is_empty() =>
        {
            Err(refused(format!("{path}: no host path may be bind-mounted")))
        }
        // Which root it lies below is only known once its links are resolved: see `BindRules`.
        BindSource::Host { .. } | BindSource::HostAlone { .. } | BindSource::HostJoined { .. } => Ok(()),
        BindSource::Mounted { at } => judge_volume(at),
        BindSource::MountedPath { at, path } => {
            judge_volume(at)?;
            if path.as_str().is_empty() {
                return Err(HelperError::new(
                    ErrorCode::BadContent,
                    "the path in the volume is empty",
                ));
            }
            Ok(())
        }
    }
}

fn judge_volume(at: &MountName) -> Answer<()> {
    if at.as_str().starts_with(VOLUME_PREFIX) {
        Ok(())
    } else {
        Err(refused(format!("{at} is not a volume")))
    }
}

/// Which host paths may be bind-mounted; all paths in it are free of symbolic links.
#[derive(Debug)]
pub struct BindRules {
    roots: Vec<PathBuf>,
    refused: Vec<PathBuf>,
}

impl BindRules {
    /// Takes the rules of a policy. `real` resolves the symbolic links of a path. Our own mount root and pool
    /// are refused even where the administrator's list leaves them out.
    #[must_use]
    pub fn new(policy: &MountPolicy, real: impl Fn(&Path) -> PathBuf) -> Self {
        let all = |paths: &[protocol::names::HostPath]| -> Vec<PathBuf> {
            paths.iter().map(|path| real(Path::new(path.as_str()))).collect()
        };
        let mut refused = all(policy.bind_refused.as_slice());
        refused.extend(all(&[policy.mount_root.clone(), policy.pool_dir.clone()]));
        BindRules {
            roots: all(policy.bind_roots.as_slice()),
            refused,
        }
    }

    /// Judges a path whose links are resolved. A directory above a refused one is refused with it, since a
    /// bind mount shows what lies below.
    ///
    /// # Errors
    /// `Refused` with the path.
    pub fn judge(&self, real: &Path) -> Answer<()> {
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(refused(format!(
                "{} is not below an allowed bind root",
                real.display()
            )));
        }
        match self
            .refused
            .iter()
            .find(|ours| real.starts_with(ours) || ours.starts_with(real))
        {
            Some(ours) => Err(refused(format!("{} overlaps {}", real.display(), ours.display()))),
            None => Ok(()),
        }
    }
}

fn refused(detail: impl AsRef<str>) -> HelperError {
    HelperError::new(ErrorCode::Refused, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::mount::{Access, MissingSource, TmpfsFlags};
    use protocol::names::{Bounded, HostPath, RelPath, Text};

    fn policy(roots: &[&str], refused: &[&str]) -> MountPolicy {
        let paths = |list: &[&str]| {
            Bounded::new(list.iter().map(|path| HostPath::new(*path).unwrap()).collect()).unwrap()
        };
        MountPolicy {
            mount_root: HostPath::new("/base/mnt").unwrap(),
            parent: Text::new("tank/cellblock").unwrap(),
            pool_dir: HostPath::new("/base/pool").unwrap(),
            bind_roots: paths(roots),
            bind_refused: paths(refused),
            devfs_ruleset: 4200,
        }
    }

    fn bind(source: BindSource, target: &str) -> Request {
        Request::Bind {
            source,
            at: MountName::new("c-1").unwrap(),
            target: RelPath::new(target).unwrap(),
            access: Access::ReadWrite,
        }
    }

    fn volume(at: &str) -> BindSource {
        BindSource::Mounted {
            at: MountName::new(at).unwrap(),
        }
    }

    fn code(answer: Answer<()>) -> Option<ErrorCode> {
        answer.err().map(|error| error.code)
    }

    #[test]
    fn the_root_and_proc_are_not_mounted_over() {
        let judged = |target: &str| code(judge(&bind(volume("v-1"), target), &policy(&[], &[])));
        assert_eq!(judged(""), Some(ErrorCode::Refused));
        assert_eq!(judged("proc"), Some(ErrorCode::Refused));
        assert_eq!(judged("proc/sys/kernel"), Some(ErrorCode::Refused));
        assert_eq!(judged("process"), None);
        assert_eq!(judged("dev/shm"), None);
        assert_eq!(judged("srv/proc"), None);
    }

    #[test]
    fn a_tmpfs_is_judged_as_a_bind_is() {
        let judged = |target: &str, mode: u16| {
            let flags = TmpfsFlags {
                noexec: false,
                read_only: false,
            };
            let at = MountName::new("c-1").unwrap();
            let target = RelPath::new(target).unwrap();
            code(judge(
                &Request::Tmpfs {
                    at,
                    target,
                    size_bytes: None,
                    mode,
                    flags,
                },
                &policy(&[], &[]),
            ))
        };
        assert_eq!(judged("run", 0o1777), None);
        assert_eq!(judged("proc/x", 0o1777), Some(ErrorCode::Refused));
        assert_eq!(judged("run", 0o10_777), Some(ErrorCode::BadContent));
    }

    #[test]
    fn only_volumes_are_shown_in_other_containers() {
        let judged = |at: &str| code(judge(&bind(volume(at), "data"), &policy(&[], &[])));
        assert_eq!(judged("v-default-data"), None);
        assert_eq!(judged("c-2"), Some(ErrorCode::Refused));
        assert_eq!(judged("i-2"), Some(ErrorCode::Refused));
    }

    #[test]
    fn no_bind_root_allows_no_host_path() {
        let source = || BindSource::Host {
            path: HostPath::new("/srv").unwrap(),
            missing: MissingSource::Refuse,
        };
        assert_eq!(
            code(judge(&bind(source(), "data"), &policy(&[], &[]))),
            Some(ErrorCode::Refused)
        );
        assert_eq!(
            code(judge(&bind(source(), "data"), &policy(&["/home"], &[]))),
            None
        );
    }

    #[test]
    fn a_host_path_must_lie_below_a_root_and_clear_of_ours() {
        let rules = BindRules::new(&policy(&["/srv", "/base"], &["/srv/secret/a"]), Path::to_path_buf);
        let judged = |path: &str| code(rules.judge(Path::new(path)));
        assert_eq!(
            judged("/srv"),
            Some(ErrorCode::Refused),
            "above a refused directory"
        );
        assert_eq!(judged("/srv/www"), None);
        assert_eq!(judged("/srvx"), Some(ErrorCode::Refused));
        assert_eq!(judged("/etc"), Some(ErrorCode::Refused));
        assert_eq!(judged("/srv/secret"), Some(ErrorCode::Refused));
        assert_eq!(judged("/srv/secret/a"), Some(ErrorCode::Refused));
        assert_eq!(judged("/srv/secret/a/b"), Some(ErrorCode::Refused));
        assert_eq!(judged("/srv/secret/ab"), None);
        assert_eq!(
            judged("/base/mnt/c-1"),
            Some(ErrorCode::Refused),
            "our own state is refused unasked"
        );
        assert_eq!(judged("/base"), Some(ErrorCode::Refused));
    }

    #[test]
    fn rules_are_compared_without_symbolic_links() {
        let real = |path: &Path| Path::new("/usr").join(path.strip_prefix("/").unwrap());
        let rules = BindRules::new(&policy(&["/home"], &["/home/state"]), real);
        assert_eq!(code(rules.judge(Path::new("/usr/home/ann"))), None);
        assert_eq!(
            code(rules.judge(Path::new("/usr/home/state/x"))),
            Some(ErrorCode::Refused)
        );
        assert_eq!(
            code(rules.judge(Path::new("/home/ann"))),
            Some(ErrorCode::Refused)
        );
    }
}
