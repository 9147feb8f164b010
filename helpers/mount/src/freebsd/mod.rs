//! Mounting on FreeBSD: datasets of ZFS, nullfs, tmpfs and the pseudo file systems, by nmount(2).

mod attach;
mod devfs;
mod pseudo;
mod sys;

use crate::listing;
use crate::policy::BindRules;
use crate::source::{Depth, Kind, Source};
use crate::target::{Container, Place};
use attach::{New, attach};
use capsicum::Right;
use helper_runtime::beneath::Root;
use helper_runtime::pair::Hand;
use helper_runtime::sandbox::{FRONT_UID, Limit, become_user, enter};
use helper_runtime::startup::Inherited;
use protocol::handshake::{HostFacts, HostOs};
use protocol::mount::{Access, Flavour, Mounted, TmpfsFlags};
use protocol::names::{DatasetName, Label, MountName, Text};
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, mkdirat, unlinkat};
use rustix::io::Errno;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Mode of a mount point; what is mounted there hides it.
const MOUNT_POINT_MODE: Mode = Mode::from_raw_mode(0o755);

/// What the hand opened and read at its start.
#[derive(Debug)]
pub struct Host {
    mount_root: Root,
    /// Without symbolic links, as the kernel names mount points.
    mount_root_path: PathBuf,
    parent: String,
    ruleset: u16,
    rules: Vec<BindRules>,
}

impl Host {
    /// Opens the mount root and verifies the devfs ruleset.
    ///
    /// # Errors
    /// What realpath(3) and open(2) give, and a ruleset that is not ours.
    pub fn open(policy: &MountPolicy) -> Result<Self> {
        devfs::prepare(policy.devfs_ruleset)?;
        let mount_root_path = std::fs::canonicalize(policy.mount_root.as_str())?;
        // A path that does not exist yet has no links to resolve.
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(Host {
            mount_root: Root::open(&mount_root_path)?,
            mount_root_path,
            parent: policy.parent.as_str().to_owned(),
            ruleset: policy.devfs_ruleset,
            rules: BindRules::all(policy, real),
        })
    }

    /// Which host paths may be bind-mounted by the tenant whose list of bind roots has this number.
    pub(crate) fn bind_rules(&self, list: usize) -> Answer<&BindRules> {
        let none = || HelperError::new(ErrorCode::Refused, "no host path may be bind-mounted");
        self.rules.get(list).ok_or_else(none)
    }

    /// Mounts a dataset at a new mount point.
    pub(crate) fn mount_dataset(&self, dataset: &DatasetName, at: &MountName, access: Access) -> Answer<()> {
        let made = match mkdirat(&self.mount_root, at.as_str(), MOUNT_POINT_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(HelperError::system(format!("make {at}"), &errno.into())),
        };
        let mounted = self.attach_at(dataset, at, access);
        if mounted.is_err() && made {
            // Best effort: the error that matters is already there.
            let _ = unlinkat(&self.mount_root, at.as_str(), AtFlags::REMOVEDIR);
        }
        mounted
    }

    fn attach_at(&self, dataset: &DatasetName, at: &MountName, access: Access) -> Answer<()> {
        let failed = |error: &Error| HelperError::system(format!("mount at {at}"), error);
        let path = self.mount_root_path.join(at.as_str());
        let root = self.mount_root.child(at.as_str()).map_err(|e| failed(&e))?;
        if is_mounted(root.as_fd(), &path).map_err(|e| failed(&e))? {
            return Err(HelperError::new(
                ErrorCode::AlreadyExists,
                format!("something is mounted at {at}"),
            ));
        }
        let parent = self
            .mount_root
            .as_fd()
            .try_clone_to_owned()
            .map_err(|e| failed(&e))?;
        let place = Place {
            parent,
            name: at.as_str().into(),
            path,
        };
        let from = format!("{}/{dataset}", self.parent);
        let new = New {
            kind: "zfs",
            from: &from,
            options: &[],
            flags: access_flags(access),
        };
        attach(&new, &place, Kind::Directory).map(drop)
    }

    /// The container mounted at a mount point.
    pub(crate) fn container(&self, at: &MountName) -> Answer<Container> {
        let root = self
            .mount_root
            .child(at.as_str())
            .map_err(|e| HelperError::system(format!("open {at}"), &e))?;
        let path = self.mount_root_path.join(at.as_str());
        match is_mounted(root.as_fd(), &path) {
            Ok(true) => Ok(Container { root, path }),
            Ok(false) => Err(HelperError::new(
                ErrorCode::NotFound,
                format!("nothing is mounted at {at}"),
            )),
            Err(error) => Err(HelperError::system(format!("status of {at}"), &error)),
        }
    }

    /// A mounted volume as the source of a bind mount.
    pub(crate) fn open_mounted(&self, at: &MountName) -> Answer<Source> {
        let volume = self.container(at)?;
        let fd = volume.root.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|e| HelperError::system(format!("open {at}"), &e))?;
        Ok(Source {
            fd,
            path: volume.path,
            kind: Kind::Directory,
            depth: Depth::Whole,
            join: None,
            is_null: false,
        })
    }

    /// Mounts a source on a place by nullfs(5), which shows no file systems that are mounted below the
    /// source.
    pub(crate) fn bind(&self, source: &Source, place: &Place, access: Access) -> Answer<()> {
        let from = source.path.to_str().ok_or_else(|| {
            HelperError::new(ErrorCode::BadContent, "the path of a bind source is not UTF-8")
        })?;
        if source.is_null || source.join.is_some() {
            // Both were refused when the source was opened; a copy that says less than was asked for is never made.
            return judge_join();
        }
        match source.depth {
            // What is mounted below is shown in neither case.
            Depth::Whole | Depth::Alone => {}
        }
        let stat = fstat(&source.fd).map_err(|errno| HelperError::system(from, &errno.into()))?;
        if source.kind == Kind::File && FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let detail = format!("{from}: nullfs shows directories and plain files only");
            return Err(HelperError::new(ErrorCode::Unsupported, detail));
        }
        let new = New {
            kind: "nullfs",
            from,
            options: &[],
            flags: access_flags(access),
        };
        let made = attach(&new, place, source.kind)?;
        match fstat(&made.root) {
            Ok(mounted) if identity(&mounted) == identity(&stat) => Ok(()),
            Ok(_) | Err(_) => {
                // nmount(2) looked the source's path up again, and found something else than what was judged.
                made.undo();
                Err(HelperError::new(
                    ErrorCode::Refused,
                    format!("{from} changed while it was mounted"),
                ))
            }
        }
    }

    /// Mounts an empty memory file system on a place.
    pub(crate) fn tmpfs(
        &self,
        place: &Place,
        size_bytes: Option<u64>,
        mode: u16,
        flags: TmpfsFlags,
    ) -> Answer<()> {
        let (mode, size) = (format!("{mode:o}"), size_bytes.map(|bytes| bytes.to_string()));
        let mut options = vec![("mode", Some(mode.as_str()))];
        options.extend(size.as_deref().map(|size| ("size", Some(size))));
        let set = |wished: bool, flag: i32| if wished { flag } else { 0 };
        // There is no nodev here: device nodes work in devfs only.
        let flags =
            libc::MNT_NOSUID | set(flags.noexec, libc::MNT_NOEXEC) | set(flags.read_only, libc::MNT_RDONLY);
        let new = New {
            kind: "tmpfs",
            from: "tmpfs",
            options: &options,
            flags,
        };
        attach(&new, place, Kind::Directory).map(drop)
    }

    /// Mounts /dev, /proc and the like, or none of them.
    pub(crate) fn pseudo_file_systems(
        &self,
        container: &Container,
        flavour: Flavour,
    ) -> Answer<Vec<Mounted>> {
        let made = pseudo::mount(container, flavour, self.ruleset)?;
        Ok(made
            .iter()
            .filter_map(|made| self.listed(&made.file_system))
            .collect())
    }

    /// Unmounts all at and below a mount point, the last made first, and removes it; done where there is
    /// neither.
    ///
    /// A container's tree is asked for when the container is over, and goes by force where something still refers to it: a jail
    /// whose connections linger (TIME_WAIT) keeps its root for a minute. Nothing else does (`MNT_FORCE` would take files from
    /// under the programs that use them): a volume in use is `Busy`, and the daemon asks again.
    pub(crate) fn unmount(&self, at: &MountName) -> Answer<()> {
        let point = self.mount_root_path.join(at.as_str());
        let failed = |error: &Error| HelperError::system(format!("unmount {at}"), error);
        let all = sys::file_systems().map_err(|e| failed(&e))?;
        for ours in all.iter().rev().filter(|one| one.on.starts_with(&point)) {
            // By id: the path may lead elsewhere by now.
            let unmounted = match sys::unmount(ours.id, false) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && at.container().is_some() => {
                    sys::unmount(ours.id, true)
                }
                other => other,
            };
            unmounted.map_err(|e| failed(&e))?;
        }
        match unlinkat(&self.mount_root, at.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(&errno.into())),
        }
    }

    /// All mounts below the mount root.
    pub(crate) fn list(&self) -> Answer<Vec<Mounted>> {
        let all = sys::file_systems().map_err(|e| HelperError::system("read the table of mounts", &e))?;
        Ok(all.iter().filter_map(|one| self.listed(one)).collect())
    }

    fn listed(&self, one: &sys::FileSystem) -> Option<Mounted> {
        listing::ours(&self.mount_root_path, &one.on, &one.kind)
    }
}

/// Binds are never joined to the host's mounts: nullfs shows none of them.
pub(crate) fn judge_join() -> Answer<()> {
    let detail = "bind propagation: binds are private on this host";
    Err(HelperError::new(ErrorCode::Unsupported, detail))
}

/// Whether a character device can be a bind's source: nullfs shows none.
pub(crate) fn is_null(_: &Stat) -> bool {
    false
}

/// What the daemon is told of this host.
///
/// # Errors
/// Where the kernel's release is no printable word.
pub(crate) fn facts() -> Result<HostFacts> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(HostFacts {
        os: HostOs::FreeBsd,
        release: Label::new(release).map_err(|e| Error::new(ErrorKind::InvalidData, e))?,
        backend: Text::cut("nmount"),
        // The linux_common module brings this one.
        runs_linux: sys::sysctl(c"compat.linux.osrelease").is_some(),
        enforces_limits: sys::sysctl(c"kern.racct.enable").is_some_and(|value| value.first() == Some(&1)),
    })
}

/// The path of what a descriptor holds, without symbolic links.
pub(crate) fn real_path(fd: BorrowedFd<'_>) -> Result<PathBuf> {
    sys::path_of(fd)
}

/// Confines the front: nobody, in capability mode, with its three sockets and files.
///
/// # Errors
/// Where any part could not be applied.
pub fn confine_front(inherited: &Inherited, hand: &Hand) -> Result<()> {
    become_user(FRONT_UID)?;
    let talk = [Right::Read, Right::Write, Right::Event];
    enter(&[
        Limit {
            fd: inherited.channel.as_fd(),
            rights: &talk,
            ioctls: &[],
        },
        Limit {
            fd: hand.socket(),
            rights: &talk,
            ioctls: &[],
        },
        Limit {
            fd: inherited.audit.file().as_fd(),
            rights: &[Right::Write, Right::Seek],
            ioctls: &[],
        },
        Limit {
            fd: std::io::stderr().as_fd(),
            rights: &[Right::Write],
            ioctls: &[],
        },
        Limit {
            fd: std::io::stdin().as_fd(),
            rights: &[],
            ioctls: &[],
        },
    ])
}

/// Does nothing: capability mode permits neither nmount(2) nor unmount(2), whatever the descriptors. The
/// hand's confinement is that it reads nothing but orders.
///
/// # Errors
/// None.
pub fn confine_hand() -> Result<()> {
    Ok(())
}

fn access_flags(access: Access) -> i32 {
    match access {
        Access::ReadWrite => 0,
        Access::ReadOnly => libc::MNT_RDONLY,
    }
}

fn is_mounted(directory: BorrowedFd<'_>, path: &Path) -> Result<bool> {
    Ok(sys::file_system(directory)?.on == path)
}

/// What stays the same for a thing when it is seen through nullfs(5), and differs between things: its number,
/// and when it was made to the nanosecond (all roots of ZFS datasets have one number).
fn identity(stat: &Stat) -> (u64, i64, i64) {
    (stat.st_ino, stat.st_birthtime, stat.st_birthtime_nsec)
}
