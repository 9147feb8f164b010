//! Mounting on the development host: datasets are overlays of directories, and every mount is made detached
//! first, then moved onto a descriptor, so that no path is looked up twice.

mod attach;
mod dataset;
mod mountinfo;
mod sandbox;
mod sys;
mod unmount;

pub use sandbox::{FRONT, HAND, confine_front, confine_hand};

use crate::listing;
use crate::policy::BindRules;
use crate::source::{Depth, Kind, Source};
use crate::target::{Container, Place};
use helper_runtime::beneath::Root;
use protocol::handshake::{HostFacts, HostOs};
use protocol::mount::{Access, Flavour, Mounted, TmpfsFlags};
use protocol::names::{DatasetName, Label, MountName, Text};
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Stat, StatxAttributes, StatxFlags, makedev, mkdirat, openat, readlink, statx,
    unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sys::Attributes;

/// Mode of a mount point; what is mounted there hides it.
const MOUNT_POINT_MODE: Mode = Mode::from_raw_mode(0o755);

/// What the hand opened at its start.
#[derive(Debug)]
pub struct Host {
    mount_root: Root,
    /// Without symbolic links, as the kernel's table of mounts names it.
    mount_root_path: PathBuf,
    pool: OwnedFd,
    rules: Vec<BindRules>,
}

impl Host {
    /// Opens the mount root and the pool.
    ///
    /// The mount root is used as it is, not mounted on itself to make it private: a descriptor of it that
    /// another helper opened before would never see what is mounted afterwards. Each mount is made private
    /// instead, so that only the mount and unmount of a dataset reach other mount namespaces of a host whose
    /// root is shared.
    ///
    /// # Errors
    /// What realpath(3) and open(2) give.
    pub fn open(policy: &MountPolicy) -> Result<Self> {
        let mount_root_path = std::fs::canonicalize(policy.mount_root.as_str())?;
        let pool = openat(
            CWD,
            policy.pool_dir.as_str(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // A path that does not exist yet has no links to resolve.
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mount_root = Root::open(&mount_root_path)?;
        Ok(Host {
            mount_root,
            mount_root_path,
            pool,
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
        let (mount, attributes) = dataset::detached(&self.pool, dataset, access)?;
        let made = match mkdirat(&self.mount_root, at.as_str(), MOUNT_POINT_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(HelperError::system(format!("make {at}"), &errno.into())),
        };
        let mounted = self.attach_at(&mount, at, attributes);
        if mounted.is_err() && made {
            // Best effort: the error that matters is already there.
            let _ = unlinkat(&self.mount_root, at.as_str(), AtFlags::REMOVEDIR);
        }
        mounted
    }

    fn attach_at(&self, mount: &OwnedFd, at: &MountName, attributes: Attributes) -> Answer<()> {
        let failed = |errno: Errno| HelperError::system(format!("mount at {at}"), &errno.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = openat(&self.mount_root, at.as_str(), flags, Mode::empty()).map_err(failed)?;
        if is_mounted(place.as_fd()).map_err(failed)? {
            return Err(HelperError::new(
                ErrorCode::AlreadyExists,
                format!("something is mounted at {at}"),
            ));
        }
        attach::attach(mount.as_fd(), place.as_fd(), attributes)
    }

    /// The container mounted at a mount point.
    pub(crate) fn container(&self, at: &MountName) -> Answer<Container> {
        let root = self
            .mount_root
            .child(at.as_str())
            .map_err(|e| HelperError::system(format!("open {at}"), &e))?;
        match is_mounted(root.as_fd()) {
            Ok(true) => Ok(Container {
                root,
                path: self.mount_root_path.join(at.as_str()),
            }),
            Ok(false) => Err(HelperError::new(
                ErrorCode::NotFound,
                format!("nothing is mounted at {at}"),
            )),
            Err(errno) => Err(HelperError::system(format!("status of {at}"), &errno.into())),
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

    /// Mounts a source on a place.
    pub(crate) fn bind(&self, source: &Source, place: &Place, access: Access) -> Answer<()> {
        let mount = attach::detached_copy(source.fd.as_fd(), &source.path, source.depth)?;
        // A container may make device nodes where it has CAP_MKNOD, and there is no other guard on opening
        // them.
        let attributes = Attributes {
            nodev: !source.is_null,
            read_only: access == Access::ReadOnly,
            ..Attributes::default()
        };
        let place = open_place(place)?;
        match source.join {
            None => attach::attach(mount.as_fd(), place.as_fd(), attributes),
            Some(join) => {
                mountinfo::judge_join(&source.path, join)?;
                attach::attach_joined(mount.as_fd(), place.as_fd(), attributes, join)
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
        let mount = attach::detached_tmpfs(size_bytes, mode)?;
        let attributes = Attributes {
            nodev: true,
            nosuid: true,
            noexec: flags.noexec,
            read_only: flags.read_only,
        };
        attach::attach(mount.as_fd(), open_place(place)?.as_fd(), attributes)
    }

    /// Nothing: the jail helper mounts /dev, /proc and /sys in the container's own mount namespace.
    pub(crate) fn pseudo_file_systems(&self, _: &Container, _: Flavour) -> Answer<Vec<Mounted>> {
        Ok(Vec::new())
    }

    /// Unmounts all at and below a mount point and removes it.
    pub(crate) fn unmount(&self, at: &MountName) -> Answer<()> {
        unmount::all(&self.mount_root, &self.mount_root_path, at)
    }

    /// All mounts below the mount root.
    pub(crate) fn list(&self) -> Answer<Vec<Mounted>> {
        let rows = mountinfo::read().map_err(|e| HelperError::system("read the table of mounts", &e))?;
        Ok(rows
            .iter()
            .filter_map(|row| listing::ours(&self.mount_root_path, &row.point, &row.kind))
            .collect())
    }
}

/// What the daemon is told of this host.
///
/// # Errors
/// Where the kernel's release is no printable word.
pub(crate) fn facts() -> Result<HostFacts> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let release = Label::new(release).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
    // Limits are the jail helper's, so this helper does not claim them.
    Ok(HostFacts {
        os: HostOs::Linux,
        release,
        backend: Text::cut("overlayfs"),
        runs_linux: true,
        enforces_limits: false,
    })
}

/// Whether binds can be joined to the host's mounts at all: whether one can is seen when it is made.
pub(crate) fn judge_join() -> Answer<()> {
    Ok(())
}

/// Whether a character device is /dev/null (Documentation/admin-guide/devices.txt), which can be a bind's source.
pub(crate) fn is_null(stat: &Stat) -> bool {
    stat.st_rdev == makedev(1, 3)
}

/// The path of what a descriptor holds, without symbolic links (proc_pid_fd(5)).
pub(crate) fn real_path(fd: BorrowedFd<'_>) -> Result<PathBuf> {
    let path = readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(path.as_bytes())))
}

fn open_place(place: &Place) -> Answer<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&place.parent, &*place.name, flags, Mode::empty());
    opened.map_err(|errno| HelperError::system(place.path.display().to_string(), &errno.into()))
}

fn is_mounted(directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let status = statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
    Ok(status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
