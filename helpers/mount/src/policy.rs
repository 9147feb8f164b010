//! What may be mounted and where. Pure: the front and the hand ask the same questions, and neither believes
//! the other.
#![forbid(unsafe_code)]

use protocol::mount::{BindSource, Request};
use protocol::names::{DatasetName, HostPath, Label, MountName};
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use std::path::{Path, PathBuf};

/// How the mount points of volumes begin. A container's or an image's tree is never shown in another
/// container.
const VOLUME_PREFIX: &str = "v-";

/// The tenant that has `bind_roots`.
const DEFAULT_TENANT: &str = "default";

/// The bits that a mode can have (chmod(2)).
const MODE_BITS: u16 = 0o7777;

/// The number of the list of bind roots of a tenant: 0 is that of `default`, then come those of the policy's tenants in their
/// order. None for a tenant without a list.
#[must_use]
pub fn list_of(tenant: &Label, policy: &MountPolicy) -> Option<usize> {
    let lists = policy.tenants.as_slice();
    match lists.iter().position(|list| list.tenant == *tenant) {
        Some(place) => Some(place + 1),
        None => (tenant.as_str() == DEFAULT_TENANT).then_some(0),
    }
}

fn roots_of(list: usize, policy: &MountPolicy) -> &[HostPath] {
    match list.checked_sub(1) {
        None => policy.bind_roots.as_slice(),
        Some(place) => policy
            .tenants
            .as_slice()
            .get(place)
            .map_or(&[], |list| list.bind_roots.as_slice()),
    }
}

/// Judges what can be judged from the request alone. `list` is the number of the asking tenant's list of bind roots.
///
/// # Errors
/// `Refused` for what the policy does not allow, `BadContent` for what makes no sense.
pub fn judge(request: &Request, policy: &MountPolicy, list: usize) -> Answer<()> {
    match request {
        Request::Bind { source, target, .. } => {
            judge_target(Path::new(target.as_str()))?;
            judge_bind(source, roots_of(list, policy))
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
        Request::Check { source } => judge_bind(source, roots_of(list, policy)),
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

fn judge_bind(source: &BindSource, roots: &[HostPath]) -> Answer<()> {
    match source {
        BindSource::Host { path, .. }
        | BindSource::HostAlone { path, .. }
        | BindSource::HostJoined { path, .. }
            if roots.is_empty() =>
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

/// Judges whether a dataset is a tenant's to mount: `volumes/<tenant>/<name>` is; what is no volume is nobody's.
///
/// # Errors
/// `Refused` with the dataset.
pub fn judge_owner(dataset: &DatasetName, tenant: &Label) -> Answer<()> {
    let mut parts = dataset.as_str().split('/');
    if parts.next() == Some("volumes") && parts.next() != Some(tenant.as_str()) {
        return Err(refused(format!("{dataset} is another tenant's volume")));
    }
    Ok(())
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
    /// The rules of each list of a policy, by its number.
    #[must_use]
    pub fn all(policy: &MountPolicy, real: impl Fn(&Path) -> PathBuf) -> Vec<Self> {
        let lists = 0..=policy.tenants.as_slice().len();
        lists.map(|list| Self::new(policy, list, &real)).collect()
    }

    /// Takes the rules of one list. `real` resolves the symbolic links of a path. Our own mount root and pool
    /// are refused even where the administrator's list leaves them out.
    fn new(policy: &MountPolicy, list: usize, real: &impl Fn(&Path) -> PathBuf) -> Self {
        let all = |paths: &[HostPath]| -> Vec<PathBuf> {
            paths.iter().map(|path| real(Path::new(path.as_str()))).collect()
        };
        let mut refused = all(policy.bind_refused.as_slice());
        refused.extend(all(&[policy.mount_root.clone(), policy.pool_dir.clone()]));
        BindRules {
            roots: all(roots_of(list, policy)),
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
    use protocol::names::{Bounded, RelPath, Text};
    use protocol::policy::TenantRoots;

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
            tenants: Bounded::new(vec![TenantRoots {
                tenant: Label::new("red").unwrap(),
                bind_roots: paths(&["/srv/red"]),
            }])
            .unwrap(),
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
        let judged = |target: &str| code(judge(&bind(volume("v-1"), target), &policy(&[], &[]), 0));
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
                0,
            ))
        };
        assert_eq!(judged("run", 0o1777), None);
        assert_eq!(judged("proc/x", 0o1777), Some(ErrorCode::Refused));
        assert_eq!(judged("run", 0o10_777), Some(ErrorCode::BadContent));
    }

    #[test]
    fn only_volumes_are_shown_in_other_containers() {
        let judged = |at: &str| code(judge(&bind(volume(at), "data"), &policy(&[], &[]), 0));
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
            code(judge(&bind(source(), "data"), &policy(&[], &[]), 0)),
            Some(ErrorCode::Refused)
        );
        assert_eq!(
            code(judge(&bind(source(), "data"), &policy(&["/home"], &[]), 0)),
            None
        );
    }

    #[test]
    fn a_host_path_must_lie_below_a_root_and_clear_of_ours() {
        let rules = BindRules::new(
            &policy(&["/srv", "/base"], &["/srv/secret/a"]),
            0,
            &Path::to_path_buf,
        );
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
        let rules = BindRules::new(&policy(&["/home"], &["/home/state"]), 0, &real);
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

    #[test]
    fn each_tenant_has_a_list_of_its_own_or_none() {
        let policy = policy(&["/srv"], &[]);
        let list = |tenant: &str| list_of(&Label::new(tenant).unwrap(), &policy);
        assert_eq!(
            (list("default"), list("red"), list("blue")),
            (Some(0), Some(1), None)
        );
        let rules = BindRules::all(&policy, Path::to_path_buf);
        let allowed = |list: usize, path: &str| rules[list].judge(Path::new(path)).is_ok();
        assert!(allowed(0, "/srv/blue") && allowed(1, "/srv/red/a"));
        assert!(!allowed(1, "/srv/blue") && !allowed(1, "/srv"));
        assert_eq!(rules.len(), 2);
    }

    #[test]
    fn a_volume_is_its_tenants() {
        let red = Label::new("red").unwrap();
        let judged = |dataset: &str| code(judge_owner(&DatasetName::new(dataset).unwrap(), &red));
        assert_eq!(judged("volumes/red/data"), None);
        assert_eq!(judged("volumes/blue/data"), Some(ErrorCode::Refused));
        assert_eq!(judged("containers/c1"), None);
    }
}
