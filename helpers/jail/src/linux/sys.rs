//! Unsafe code of the Linux host: clone(2), signal dispositions, signals by process descriptor, the program's own file.

use crate::sys::{check, execute, live};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

/// Namespaces of the child and who its parent is, as clone(2) takes them; no bit makes an ordinary fork.
pub(super) type CloneFlags = libc::c_int;

/// The child's parent is the caller's parent.
pub(super) const SIBLING: CloneFlags = libc::CLONE_PARENT;
/// The namespace that every jail has of its own.
pub(super) const JAIL: CloneFlags = libc::CLONE_NEWNS;
/// System V objects and message queues of its own.
pub(super) const IPC: CloneFlags = libc::CLONE_NEWIPC;
/// A host name of its own.
pub(super) const HOST_NAME: CloneFlags = libc::CLONE_NEWUTS;
/// Processes of its own.
pub(super) const PROCESSES: CloneFlags = libc::CLONE_NEWPID;
/// A network of its own.
pub(super) const NETWORK: CloneFlags = libc::CLONE_NEWNET;

/// Makes a process that does `body` and nothing else, with no descriptors but those in `keep`. Gives its id as the caller
/// sees it.
pub(super) fn spawn(flags: CloneFlags, keep: &[RawFd], body: impl FnOnce() -> i32) -> Result<i32> {
    let no_pointer = std::ptr::null::<libc::c_void>();
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child has a copy of this single-threaded process's memory, in a consistent state; a
    // null stack means the copy of ours. No pointer argument is used with these flags.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            no_pointer,
            no_pointer,
            no_pointer,
            no_pointer,
        )
    };
    match result {
        -1 => Err(Error::last_os_error()),
        0 => live(keep, body),
        pid => i32::try_from(pid).map_err(Error::other),
    }
}

/// Makes the group that this process is in the root of what it and its children see of control groups.
pub(super) fn leave_control_groups() -> Result<()> {
    // SAFETY: a plain integer; no memory or descriptors are shared anew.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })
}

/// Blocks every signal that can be, so that [`next_signal`] gets them.
pub(super) fn block_signals() -> Result<()> {
    let all = full_set()?;
    // SAFETY: the set is initialised; a null pointer asks for no copy of the old one.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()) })
}

/// Waits for the next blocked signal.
pub(super) fn next_signal() -> Result<libc::c_int> {
    let all = full_set()?;
    // SAFETY: the set is initialised; a null pointer asks for no details.
    match unsafe { libc::sigwaitinfo(&raw const all, std::ptr::null_mut()) } {
        -1 => Err(Error::last_os_error()),
        signal => Ok(signal),
    }
}

fn full_set() -> Result<libc::sigset_t> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to writable memory of the right type.
    check(unsafe { libc::sigfillset(set.as_mut_ptr()) })?;
    // SAFETY: sigfillset initialised it.
    Ok(unsafe { set.assume_init() })
}

/// Sends any signal to a process that is this one's child and not waited for yet.
pub(super) fn pass_on(child: libc::pid_t, signal: libc::c_int) {
    // A child that has ended needs no signal; its end is the next thing to be seen.
    // SAFETY: plain integers.
    unsafe { libc::kill(child, signal) };
}

/// Has the kernel forget children at their end.
pub(super) fn keep_no_zombies() -> Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_IGN)
}

/// Keeps ended children until they are waited for, and lets no signal's action differ from a fresh process's but for
/// SIGPIPE, which stays ignored.
pub(super) fn wait_for_children() -> Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_DFL)
}

fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> Result<()> {
    // SAFETY: both actions that callers give are the kernel's own; no code of ours runs on a signal.
    let before = unsafe { libc::signal(signal, action) };
    if before == libc::SIG_ERR {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Gives a signal its default action, also one that the C library keeps for itself: its posix_spawn(3) leaves those ignored.
/// Numbers that cannot be changed (SIGKILL, SIGSTOP) fail harmlessly.
pub(crate) fn reset_signal(signal: libc::c_int) {
    // The kernel's own struct sigaction: handler, flags, restorer where there is one, mask. All zero is SIG_DFL.
    let default = [0u64; 4];
    let no_old = std::ptr::null::<u64>();
    // SAFETY: the new action is at least as long as the kernel's struct with its 8-byte mask, and installs no code; a null
    // pointer asks for no copy of the old one.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, 8usize) };
}

/// Sends any signal, real-time ones too, to the process behind a descriptor (pidfd_send_signal(2)).
pub(super) fn signal(process: BorrowedFd<'_>, signal: u8) -> Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    let (fd, number) = (process.as_raw_fd(), libc::c_int::from(signal));
    // SAFETY: a null siginfo asks the kernel to fill in the ordinary one.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, no_info, 0) };
    check(if result == -1 { -1 } else { 0 })
}

/// How often sealing is tried. The kernel refuses it (EBUSY) while it still holds one of the pages that were just written, which
/// passes within milliseconds.
const SEAL_TRIES_MAX: u32 = 50;

fn seal(copy: &File, seals: SealFlags) -> Result<()> {
    for _ in 1..SEAL_TRIES_MAX {
        match fcntl_add_seals(copy, seals) {
            Err(Errno::BUSY) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return Ok(other?),
        }
    }
    Ok(fcntl_add_seals(copy, seals)?)
}

/// Runs this program again from a sealed copy in memory.
///
/// A container can have itself executed as `/proc/self/exe`, and with that reach the file of the process that entered it
/// (CVE-2019-5736). Here that file is a copy that nobody can write, not the helper's binary on the disk.
pub(crate) fn leave_the_programs_file() -> Result<()> {
    let mut own = File::open("/proc/self/exe")?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    if fcntl_get_seals(&own).is_ok_and(|set| set.contains(seals)) {
        return Ok(rustix::thread::set_name(c"cellblock-jail")?);
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know MFD_EXEC, and need no such wish.
    let copy = match memfd_create(c"cellblock-jail", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(c"cellblock-jail", flags)?,
        other => other?,
    };
    let mut copy = File::from(copy);
    std::io::copy(&mut own, &mut copy)?;
    seal(&copy, seals)?;
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd()))?;
    let argv = std::env::args_os()
        .map(|text| CString::new(text.into_vec()))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Err(execute(&path, &argv, &[]))
}
