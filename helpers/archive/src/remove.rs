//! Removing a tree beneath an open directory.

use crate::tree::{TREE_DEPTH_MAX, names, open_directory};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::OsStr;
use std::os::fd::AsFd;

/// Removes a name with all that is below it; links are removed, not followed. A missing name is fine.
///
/// # Errors
/// What the system gives (`EBUSY` for a mount point); `ENAMETOOLONG` for a tree deeper than [`TREE_DEPTH_MAX`].
pub(crate) fn tree(parent: impl AsFd, name: &OsStr) -> Result<()> {
    remove(parent.as_fd(), name, 0)
}

fn remove(parent: std::os::fd::BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<()> {
    // unlinkat(2) of a directory is EISDIR on Linux and EPERM on FreeBSD.
    let refusal = match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(errno @ (Errno::ISDIR | Errno::PERM)) => errno,
        Err(errno) => return Err(errno),
    };
    if depth >= TREE_DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    // Not a directory: the refusal was about something else.
    let directory = open_directory(parent, name)?.ok_or(refusal)?;
    for child in names(&directory)? {
        remove(directory.as_fd(), &child, depth + 1)?;
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
