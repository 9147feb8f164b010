//! Unmounting all at and below one mount point.
#![forbid(unsafe_code)]

use super::{attach, mountinfo};
use helper_runtime::beneath::Root;
use protocol::names::MountName;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat, openat2, unlinkat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::cmp::Reverse;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// How often the table of mounts is read again. Each round undoes one level of mounts that hide each other;
/// nobody stacks more.
const ROUNDS_MAX: usize = 32;

/// Unmounts everything and removes the mount point; done where there is neither.
///
/// No mount is detached lazily (`MNT_DETACH`): it would live on unseen, and the daemon would destroy the
/// dataset under whoever still uses it. Something in use is `Busy`, and the daemon asks again.
pub(super) fn all(mount_root: &Root, mount_root_path: &Path, at: &MountName) -> Answer<()> {
    let point = mount_root_path.join(at.as_str());
    part(mount_root, at)?;
    for _ in 0..ROUNDS_MAX {
        let mounts = below(&point)?;
        if mounts.is_empty() {
            return remove(mount_root, at);
        }
        let results: Vec<Result<(), Errno>> = mounts
            .iter()
            .map(|mount| unmount_one(mount_root, mount_root_path, mount))
            .collect();
        // A mount that another one hides fails in this round; only a round without any progress is the end.
        if let (true, Some(Err(errno))) = (results.iter().all(Result::is_err), results.first()) {
            return Err(HelperError::system(format!("unmount {at}"), &(*errno).into()));
        }
    }
    Err(HelperError::new(
        ErrorCode::LimitReached,
        format!("{at} has too many mounts on top of each other"),
    ))
}

/// Has unmounting here reach nothing else: below a bind that is joined to the host's mounts, the host's own would go too.
fn part(mount_root: &Root, at: &MountName) -> Answer<()> {
    let failed = |errno: Errno| HelperError::system(format!("open {at}"), &errno.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let point = match openat(mount_root, at.as_str(), flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    match super::is_mounted(point.as_fd()).map_err(failed)? {
        true => attach::part(point.as_fd()),
        false => Ok(()),
    }
}

/// The mounts at and below a path, deepest first, the last made first.
fn below(point: &Path) -> Answer<Vec<PathBuf>> {
    let rows = mountinfo::read().map_err(|e| HelperError::system("read the table of mounts", &e))?;
    let mut mounts: Vec<PathBuf> = rows
        .into_iter()
        .rev()
        .map(|row| row.point)
        .filter(|path| path.starts_with(point))
        .collect();
    mounts.sort_by_key(|path| Reverse(path.components().count()));
    Ok(mounts)
}

/// Unmounts by the descriptor of the directory above and a name in it. A container may have put a link into
/// the path since it was read; a whole path would be followed, out of the container and to any mount of the
/// host.
fn unmount_one(mount_root: &Root, mount_root_path: &Path, mount: &Path) -> Result<(), Errno> {
    let inside = mount.strip_prefix(mount_root_path).map_err(|_| Errno::INVAL)?;
    let (above, name) = (
        inside.parent().ok_or(Errno::INVAL)?,
        inside.file_name().ok_or(Errno::INVAL)?,
    );
    // An empty path names no directory in openat2(2).
    let above = if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let above = openat2(mount_root, above, flags, Mode::empty(), resolve)?;
    let path = Path::new("/proc/self/fd")
        .join(above.as_raw_fd().to_string())
        .join(name);
    unmount(path, UnmountFlags::NOFOLLOW)
}

fn remove(mount_root: &Root, at: &MountName) -> Answer<()> {
    match unlinkat(mount_root, at.as_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(HelperError::system(format!("remove {at}"), &errno.into())),
    }
}
