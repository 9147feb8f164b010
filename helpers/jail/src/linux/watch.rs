//! The watcher of a process: its parent in the host's namespaces, which outlives the hand and tells how it ended.

use super::processes::Process;
use super::records::Record;
use super::sys;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, WaitOptions, setsid, wait, waitpid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::fs::File;
use std::io::{Result, Write};
use std::os::fd::OwnedFd;

/// How long killed processes may take to be gone, in milliseconds. The kernel frees a container's memory meanwhile; one
/// stuck in the kernel (a dead network file system) is reported instead of waited for.
const END_MS_MAX: i64 = 10_000;

/// Makes this fork a watcher: out of the hand's session, so that the launcher's terminal does not reach it.
pub(super) fn become_watcher() -> Result<()> {
    sys::wait_for_children()?;
    setsid()?;
    Ok(rustix::thread::set_name(c"cellblock-watch")?)
}

/// The two ends by which a watcher tells how its process ended. A socket, because what is in it can be read again and again
/// (`MSG_PEEK`, recv(2)): the status is not lost with a daemon that was killed after it had read it.
pub(super) fn exit_descriptor() -> Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(pair)
}

/// Waits for the process's end and delivers its wait status as four bytes. The watcher has nothing else to do from here
/// on, so it gives up every capability first.
pub(super) fn tell_the_end_of(process: Option<Pid>, exit: OwnedFd) -> Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    let ended = match process {
        Some(pid) => waitpid(Some(pid), WaitOptions::empty()),
        None => wait(WaitOptions::empty()),
    };
    if let Some((_, status)) = ended? {
        // Nobody may be listening any more; then there is nobody to tell.
        let _ = File::from(exit).write_all(&status.as_raw().to_le_bytes());
    }
    Ok(())
}

/// Kills a jail's first process, which ends every other process in it, and waits for all of them.
///
/// # Errors
/// `Busy` where they are not gone after [`END_MS_MAX`].
pub(super) fn end(record: &Record) -> Answer<()> {
    let failed = |error: std::io::Error| HelperError::system("ending the jail's processes", &error);
    let first = Process::open(&record.first).map_err(failed)?;
    let watcher = Process::open(&record.watcher).map_err(failed)?;
    if let Some(first) = &first {
        first.signal(libc::SIGKILL as u8).map_err(failed)?;
    }
    // The kernel lets a first process end only after every other process of its namespace has ended.
    for process in [first, watcher].into_iter().flatten() {
        if !process.ends_within(END_MS_MAX).map_err(failed)? {
            return Err(HelperError::new(
                ErrorCode::Busy,
                "the jail's processes do not end",
            ));
        }
    }
    Ok(())
}
