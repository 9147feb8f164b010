//! fork(2), which has no safe wrapper.

use rustix::process::Pid;
use std::io::{Error, Result};

/// Forks; the child gets `None`.
pub(super) fn fork() -> Result<Option<Pid>> {
    // SAFETY: a helper has one thread, so the child's copy of the allocator and the standard library is in a
    // consistent state and may be used.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last_os_error()),
        number => Ok(Pid::from_raw(number)),
    }
}
