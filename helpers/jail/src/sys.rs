//! Unsafe code that both hosts need: the last steps of a process before it becomes a program.

use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::RawFd;

/// Runs a program in place of this one; comes back only with the reason why not.
pub(crate) fn execute(path: &CStr, argv: &[CString], env: &[CString]) -> Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts
            .iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let argv_pointers = pointers(argv);
    let env_pointers = pointers(env);
    // SAFETY: the path is NUL-ended; both arrays end with a null pointer and their strings live through the call.
    unsafe { libc::execve(path.as_ptr(), argv_pointers.as_ptr(), env_pointers.as_ptr()) };
    Error::last_os_error()
}

/// Sets close-on-exec for every descriptor from `first` on (close_range(2) on both hosts).
pub(crate) fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: no descriptor is closed here; only a flag is set.
    check(unsafe { libc::close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) })
}

/// The life of a forked child: /dev/null for its standard streams, of all other descriptors only those in `keep`, and the
/// end with the status that `body` gives. It never returns to the frames it was forked in.
pub(crate) fn live(keep: &[RawFd], body: impl FnOnce() -> i32) -> ! {
    let status = match silence().and_then(|()| close_all_but(keep)) {
        Ok(()) => body(),
        Err(_) => 1,
    };
    // SAFETY: _exit never returns and touches no memory of ours.
    unsafe { libc::_exit(status) }
}

fn silence() -> Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    Ok(dup2_stderr(&null)?)
}

/// Closes every descriptor from 3 on that is not in `keep`. No owner of a closed one is ever dropped: see [`live`].
fn close_all_but(keep: &[RawFd]) -> Result<()> {
    let mut kept: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .filter(|fd| *fd > 2)
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        close_range(first, fd - 1)?;
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: closing descriptors is memory safe; see live for why no owner misses them.
    check(unsafe { libc::close_range(first, last, 0) })
}

/// Gives every signal its default action and blocks none, as a new program expects.
pub(crate) fn reset_signals() -> Result<()> {
    for signal in 1..=i32::from(crate::host::SIGNAL_MAX) {
        crate::host::reset_signal(signal);
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to writable memory of the right type.
    check(unsafe { libc::sigemptyset(none.as_mut_ptr()) })?;
    // SAFETY: sigemptyset initialised the set; a null pointer asks for no copy of the old one.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) })
}

/// Sets the supplementary groups, then the group, then the user, each for good.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    // The count's type differs between the hosts; a list is at most GROUPS_MAX long.
    // SAFETY: the pointer is to `groups.len()` ids.
    check(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

/// The error for a result of -1.
pub(crate) fn check(result: i32) -> Result<()> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
