//! Detached mounts, and moving one onto a place.
#![forbid(unsafe_code)]

use super::sys::{self, Attributes, Propagation};
use crate::source::Depth;
use protocol::mount::Join;
use protocol::{Answer, HelperError};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A detached copy of what is mounted at a descriptor's path, with everything below where that is wished.
pub(super) fn detached_copy(source: BorrowedFd<'_>, path: &Path, depth: Depth) -> Answer<OwnedFd> {
    let below = match depth {
        Depth::Whole => OpenTreeFlags::AT_RECURSIVE,
        Depth::Alone => OpenTreeFlags::empty(),
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | below;
    open_tree(source, c"", flags)
        .map_err(|errno| failed(&format!("copy the mount of {}", path.display()), errno))
}

/// A detached empty memory file system.
pub(super) fn detached_tmpfs(size_bytes: Option<u64>, mode: u16) -> Answer<OwnedFd> {
    let context = open_file_system("tmpfs")?;
    option(&context, "source", "tmpfs")?;
    if let Some(bytes) = size_bytes {
        option(&context, "size", &bytes.to_string())?;
    }
    option(&context, "mode", &format!("{mode:o}"))?;
    create(&context)
}

/// A file system of a type, still to be configured (fsopen(2)).
pub(super) fn open_file_system(kind: &str) -> Answer<OwnedFd> {
    fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| failed(kind, errno))
}

/// Sets one option of a file system.
pub(super) fn option(context: &OwnedFd, key: &str, value: &str) -> Answer<()> {
    fsconfig_set_string(context, key, value).map_err(|errno| failed(key, errno))
}

/// Makes the configured file system, as a detached mount.
pub(super) fn create(context: &OwnedFd) -> Answer<OwnedFd> {
    if let Err(errno) = fsconfig_create(context) {
        return Err(failed(&format!("new mount ({})", complaint(context)), errno));
    }
    let mount = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    mount.map_err(|errno| failed("new mount", errno))
}

/// Moves a detached mount onto a place.
pub(super) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>, attributes: Attributes) -> Answer<()> {
    // Private before the move, or a copy of a shared mount would go on sharing with it; and after, since a
    // mount on a shared one becomes shared, and then what is mounted on it later would appear in other
    // namespaces too.
    set(mount, attributes, Propagation::Private)?;
    move_onto(mount, place)?;
    set(mount, Attributes::default(), Propagation::Private)
}

/// Moves a detached copy of a mount of the host onto a place, and leaves it joined to what it is a copy of.
pub(super) fn attach_joined(
    mount: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    attributes: Attributes,
    join: Join,
) -> Answer<()> {
    let propagation = match join {
        // A copy of a shared mount shares with it as long as nothing else is said.
        Join::Shared => Propagation::Kept,
        Join::SharedThroughout => Propagation::Shared,
        Join::Slave => Propagation::Slave,
    };
    set(mount, attributes, propagation)?;
    move_onto(mount, place)
}

/// Has nothing that happens to the mounts at and below a mount point reach others any more.
pub(super) fn part(point: BorrowedFd<'_>) -> Answer<()> {
    set(point, Attributes::default(), Propagation::Private)
}

fn set(mount: BorrowedFd<'_>, attributes: Attributes, propagation: Propagation) -> Answer<()> {
    sys::set(mount, attributes, propagation).map_err(|e| HelperError::system("attributes of a mount", &e))
}

fn move_onto(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Answer<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", place, c"", flags).map_err(|errno| failed("attach a mount", errno))
}

/// What the file system says about the options given (fsopen(2)): its last message.
fn complaint(context: &OwnedFd) -> String {
    let mut message = [0u8; 256];
    match rustix::io::read(context.as_fd(), &mut message) {
        Ok(length) => String::from_utf8_lossy(&message[..length]).trim().to_owned(),
        Err(_) => "no message".to_owned(),
    }
}

fn failed(what: &str, errno: Errno) -> HelperError {
    HelperError::system(what, &errno.into())
}
