//! The crate's only unsafe code: process-wide settings without a safe wrapper.

use rustix::process::Pid;
use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd};

/// Closes every descriptor from `first` on (close_range(2) on both hosts).
pub(crate) fn close_from(first: i32) -> Result<()> {
    let first = u32::try_from(first).map_err(|_| Error::from(std::io::ErrorKind::InvalidInput))?;
    // SAFETY: called at the start of main, before this process has opened anything, so no owner of a descriptor exists
    // whose descriptor could be closed under it.
    let result = unsafe { libc::close_range(first, u32::MAX, 0) };
    check(result)
}

/// Takes ownership of a descriptor that the launcher put at a fixed number; sets close-on-exec.
pub(crate) fn take_descriptor(number: i32) -> Result<OwnedFd> {
    // SAFETY: fcntl on any integer is memory safe; it fails with EBADF where the descriptor is not open.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    check(result)?;
    // SAFETY: the descriptor is open (fcntl succeeded), and nothing else in this process owns the numbers that the launcher
    // promised: each is taken once, at start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// umask 022, and no core dumps of this process. Only the soft limit is lowered: a container inherits the hard one.
pub(crate) fn reset_process() -> Result<()> {
    let mut core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: umask cannot fail and takes no pointer.
    unsafe { libc::umask(0o022) };
    // SAFETY: the pointer is to a live rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut core) })?;
    core.rlim_cur = 0;
    // SAFETY: the pointer is to a live, initialised rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const core) })
}

/// What fork(2) made of the caller.
pub(crate) enum Forked {
    /// The parent, with the child's process id.
    Parent(Pid),
    /// The child.
    Child,
}

/// Forks. Only for single-threaded processes: the child goes on running ordinary code.
pub(crate) fn fork() -> Result<Forked> {
    // SAFETY: helpers have one thread, so the child's memory (allocator, standard library) is in a consistent state.
    let child = unsafe { libc::fork() };
    match (child, Pid::from_raw(child)) {
        (0, _) => Ok(Forked::Child),
        (1.., Some(child)) => Ok(Forked::Parent(child)),
        _ => Err(Error::last_os_error()),
    }
}

/// Gives up root: no supplementary groups, then group and user.
pub fn become_user(uid: u32) -> Result<()> {
    // SAFETY: a length of zero makes the kernel read no group list.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setgid(uid) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setuid(uid) })
}

fn check(result: i32) -> Result<()> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
