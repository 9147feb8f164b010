//! The crate's only unsafe code.

use crate::host;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Closes every descriptor above standard error (close_range(2) on both hosts), so that nothing the caller had open reaches a
/// helper or the daemon.
pub(crate) fn close_inherited() -> Result<()> {
    // SAFETY: called as the first step of a command, before this process has opened anything, so no owner of a descriptor exists
    // whose descriptor could be closed under it.
    let result = unsafe { libc::close_range(3, u32::MAX, 0) };
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Has the program started without a way to gain privilege.
pub(crate) fn without_new_privileges(command: &mut Command) {
    // SAFETY: the closure runs between fork(2) and execve(2) and makes one system call: it neither allocates nor takes a lock.
    unsafe { command.pre_exec(host::renounce_new_privileges) };
}
