//! The only unsafe code on Linux: mount_setattr(2), which rustix 1.1 does not wrap.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// What a mount does not allow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    /// Opening device nodes.
    pub(super) nodev: bool,
    /// Setuid and setgid bits.
    pub(super) nosuid: bool,
    /// Executing programs.
    pub(super) noexec: bool,
    /// Writing.
    pub(super) read_only: bool,
}

/// How later mounts reach a mount and those it is a copy of (mount_namespaces(7)).
#[derive(Debug, Clone, Copy)]
pub(super) enum Propagation {
    /// As it was.
    Kept,
    /// Not at all.
    Private,
    /// Both ways.
    Shared,
    /// To this one only.
    Slave,
}

/// Adds attributes to a mount and all below it, and sets how later mounts reach them.
pub(super) fn set(mount: BorrowedFd<'_>, attributes: Attributes, propagation: Propagation) -> Result<()> {
    let set = |wished: bool, attribute: u64| if wished { attribute } else { 0 };
    let attr = libc::mount_attr {
        attr_set: set(attributes.nodev, libc::MOUNT_ATTR_NODEV)
            | set(attributes.nosuid, libc::MOUNT_ATTR_NOSUID)
            | set(attributes.noexec, libc::MOUNT_ATTR_NOEXEC)
            | set(attributes.read_only, libc::MOUNT_ATTR_RDONLY),
        attr_clr: 0,
        propagation: match propagation {
            Propagation::Kept => 0,
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Slave => libc::MS_SLAVE,
        },
        userns_fd: 0,
    };
    // SAFETY: the path is an empty NUL-ended string, which AT_EMPTY_PATH allows; the kernel reads `size_of`
    // bytes of an initialised mount_attr that lives through the call; the descriptor is borrowed, so it is
    // open.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
