//! Unsafe code of the FreeBSD host: jail(2), pdfork(2), procctl(2), sysctl(3), nmount(2), signals from inside a jail.

use crate::sys::{check, live};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for the kernel's words about a refused parameter, in bytes (jail(8) gives as much).
const MESSAGE_BYTES: usize = 1024;

/// How often a list that grew between asking its length and reading it is asked again.
const SYSCTL_ATTEMPTS_MAX: usize = 8;

/// Names and values as jail_set(2), jail_get(2) and nmount(2) take them.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(CString, Vec<u8>)>);

impl Parameters {
    pub(super) fn new() -> Self {
        Parameters(Vec::new())
    }

    /// A text, passed with its NUL.
    pub(super) fn text(self, name: &CStr, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.add(name, bytes)
    }

    /// A C int.
    pub(super) fn number(self, name: &CStr, value: i32) -> Self {
        self.add(name, value.to_ne_bytes().to_vec())
    }

    /// A name without a value.
    pub(super) fn flag(self, name: &CStr) -> Self {
        self.add(name, Vec::new())
    }

    /// Room for a value that the kernel fills in.
    pub(super) fn room(self, name: &CStr, bytes: usize) -> Self {
        self.add(name, vec![0; bytes])
    }

    fn add(mut self, name: &CStr, value: Vec<u8>) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// Calls `call` with the array of names and values; gives its result and what the values are afterwards. The kernel's
    /// own words, where it has some, go into the error.
    fn pass(self, call: impl FnOnce(*mut libc::iovec, u32) -> i32) -> Result<(i32, Vec<Vec<u8>>)> {
        let mut all = self.room(c"errmsg", MESSAGE_BYTES).0;
        let part = |base: *mut c_void, length| libc::iovec {
            iov_base: base,
            iov_len: length,
        };
        let mut array = Vec::with_capacity(all.len() * 2);
        for (name, value) in &mut all {
            array.push(part(
                name.as_ptr().cast_mut().cast(),
                name.as_bytes_with_nul().len(),
            ));
            // Of a flag's value the kernel reads the length, which is 0.
            array.push(part(value.as_mut_ptr().cast(), value.len()));
        }
        let result = call(array.as_mut_ptr(), array.len() as u32);
        let failure = Error::last_os_error();
        let mut values: Vec<Vec<u8>> = all.into_iter().map(|(_, value)| value).collect();
        let message = values.pop().unwrap_or_default();
        if result != -1 {
            return Ok((result, values));
        }
        let words = CStr::from_bytes_until_nul(&message)
            .map(CStr::to_string_lossy)
            .unwrap_or_default();
        Err(if words.is_empty() {
            failure
        } else {
            Error::new(failure.kind(), format!("{words}: {failure}"))
        })
    }
}

/// Makes or changes a jail, as the flags say (jail(2)); gives its id.
pub(super) fn set_jail(parameters: Parameters, flags: libc::c_int) -> Result<i32> {
    // SAFETY: the array and what it points to live through the call, with their true lengths.
    parameters
        .pass(|base, count| unsafe { libc::jail_set(base, count, flags) })
        .map(|(jid, _)| jid)
}

/// Finds a jail by the first parameter; gives its id and the values, filled in.
pub(super) fn get_jail(parameters: Parameters) -> Result<(i32, Vec<Vec<u8>>)> {
    // SAFETY: the array and what it points to live through the call, with their true lengths, and are writable.
    parameters.pass(|base, count| unsafe { libc::jail_get(base, count, 0) })
}

/// Changes a mount.
pub(super) fn update_mount(parameters: Parameters, flags: i32) -> Result<()> {
    // SAFETY: the array and what it points to live through the call, with their true lengths.
    parameters
        .pass(|base, count| unsafe { libc::nmount(base, count, flags) })
        .map(drop)
}

/// Kills a jail's processes and lets it die.
pub(super) fn remove_jail(jid: i32) -> Result<()> {
    // SAFETY: a plain integer.
    check(unsafe { libc::jail_remove(jid) })
}

/// Moves this process into a jail, for good.
pub(super) fn attach(jid: i32) -> Result<()> {
    // SAFETY: a plain integer.
    check(unsafe { libc::jail_attach(jid) })
}

/// A call about resource rules (rctl_add_rule(2)); the C library has them, the libc crate has not.
pub(super) type RuleCall = unsafe extern "C" fn(*const c_char, usize, *mut c_void, usize) -> c_int;

unsafe extern "C" {
    fn rctl_add_rule(text: *const c_char, length: usize, out: *mut c_void, room: usize) -> c_int;
    fn rctl_remove_rule(text: *const c_char, length: usize, out: *mut c_void, room: usize) -> c_int;
    fn rctl_get_racct(text: *const c_char, length: usize, out: *mut c_void, room: usize) -> c_int;
}

/// Adds a rule.
pub(super) const ADD_RULE: RuleCall = rctl_add_rule;
/// Removes every rule that a text describes.
pub(super) const REMOVE_RULE: RuleCall = rctl_remove_rule;
/// Asks what a subject uses.
pub(super) const SUBJECT_USAGE: RuleCall = rctl_get_racct;

/// Makes a call about resource rules, with room for its answer in bytes; gives the answer.
pub(super) fn rule(call: RuleCall, text: &str, room: usize) -> Result<String> {
    let text = CString::new(text)?;
    let mut answer = vec![0u8; room];
    let out = if room == 0 {
        std::ptr::null_mut()
    } else {
        answer.as_mut_ptr().cast()
    };
    // SAFETY: the text has its true length with its NUL; `out` is null with no room, or has the room that is said.
    check(unsafe { call(text.as_ptr(), text.as_bytes_with_nul().len(), out, room) })?;
    let words = CStr::from_bytes_until_nul(&answer).map(CStr::to_string_lossy);
    Ok(words.unwrap_or_default().into_owned())
}

/// Bytes of the kernel's set of processors (sys/_cpuset.h, CPU_MAXSIZE 1024).
pub(super) const CPU_SET_BYTES: usize = 128;

/// Gives a jail these processors, one bit each (cpuset_setaffinity(2)); without any, all that the host's first set has.
pub(super) fn set_processors(jid: i32, wanted: Option<[u8; CPU_SET_BYTES]>) -> Result<()> {
    let mut set = wanted.unwrap_or([0; CPU_SET_BYTES]);
    let size = std::mem::size_of::<libc::cpuset_t>().min(CPU_SET_BYTES);
    let pointer = set.as_mut_ptr().cast::<libc::cpuset_t>();
    if wanted.is_none() {
        // SAFETY: the kernel writes no more than `size` bytes, which the array has.
        check(unsafe {
            libc::cpuset_getaffinity(libc::CPU_LEVEL_ROOT, libc::CPU_WHICH_PID, -1, size, pointer)
        })?;
    }
    // SAFETY: the kernel reads `size` bytes, which the array has.
    check(unsafe {
        libc::cpuset_setaffinity(
            libc::CPU_LEVEL_CPUSET,
            libc::CPU_WHICH_JAIL,
            i64::from(jid),
            size,
            pointer,
        )
    })
}

/// Makes a process that does `body` and nothing else, with no descriptors but those in `keep`. Gives its process
/// descriptor, whose last close leaves it to init.
pub(super) fn spawn(keep: &[RawFd], body: impl FnOnce() -> i32) -> Result<OwnedFd> {
    let mut descriptor: libc::c_int = -1;
    // SAFETY: the pointer is to a live int. This process has one thread, so the child's memory is in a consistent state.
    match unsafe { libc::pdfork(&raw mut descriptor, libc::PD_DAEMON | libc::PD_CLOEXEC) } {
        -1 => Err(Error::last_os_error()),
        0 => live(keep, body),
        // SAFETY: pdfork succeeded, so the descriptor is new and ours.
        _ => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
    }
}

/// Kills the process behind a descriptor.
pub(super) fn kill_by_descriptor(process: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: plain integers.
    match check(unsafe { libc::pdkill(process.as_raw_fd(), libc::SIGKILL) }) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

/// Signals a process of the jail this process attached to, or all of them but itself. Must never be called outside a jail.
pub(super) fn signal_from_inside(pid: Option<i32>, signal: u8) -> Result<()> {
    // SAFETY: plain integers; -1 stands for every process that can be seen, which are the jail's.
    check(unsafe { libc::kill(pid.unwrap_or(-1), libc::c_int::from(signal)) })
}

/// Hides this process from tracers and core dumps until it executes a program (procctl(2), PROC_TRACE_CTL).
pub(super) fn hide_from_tracers() -> Result<()> {
    let mut mode = libc::PROC_TRACE_CTL_DISABLE;
    // SAFETY: the request reads one int at the pointer, which is live.
    check(unsafe {
        libc::procctl(
            libc::P_PID,
            libc::id_t::from(std::process::id()),
            libc::PROC_TRACE_CTL,
            (&raw mut mode).cast(),
        )
    })
}

/// Gives a signal its default action. Numbers that cannot be changed (SIGKILL, SIGSTOP) fail harmlessly.
pub(crate) fn reset_signal(signal: libc::c_int) {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// A value by its numbers (sysctl(3)).
pub(super) fn by_number(name: &[libc::c_int]) -> Result<Vec<u8>> {
    growing(|value, length| {
        // SAFETY: the name has its true length; `value` is null or has room for `*length` bytes; the kernel writes no more.
        unsafe {
            libc::sysctl(
                name.as_ptr(),
                name.len() as libc::c_uint,
                value,
                length,
                std::ptr::null(),
                0,
            )
        }
    })
}

/// A value by its name (sysctlbyname(3)).
pub(super) fn by_name(name: &CStr) -> Result<Vec<u8>> {
    growing(|value, length| {
        // SAFETY: as in by_number.
        unsafe { libc::sysctlbyname(name.as_ptr(), value, length, std::ptr::null(), 0) }
    })
}

/// The name below /dev of a device number (`kern.devname`, which devname(3) asks).
pub(super) fn device_name(device: u64) -> Result<String> {
    let question: *const u64 = &raw const device;
    let bytes = growing(|value, length| {
        // SAFETY: as in by_number; the question is a live dev_t of its true size.
        unsafe {
            libc::sysctlbyname(
                c"kern.devname".as_ptr(),
                value,
                length,
                question.cast(),
                size_of::<u64>(),
            )
        }
    })?;
    let name = CStr::from_bytes_until_nul(&bytes).map_err(Error::other)?;
    Ok(name.to_string_lossy().into_owned())
}

/// Asks for a value's length, then for the value; again where it grew in between.
fn growing(ask: impl Fn(*mut c_void, &mut usize) -> i32) -> Result<Vec<u8>> {
    for _ in 0..SYSCTL_ATTEMPTS_MAX {
        let mut length = 0;
        check(ask(std::ptr::null_mut(), &mut length))?;
        // Processes are made all the time: some room for more of them.
        length += length / 8;
        let mut value = vec![0u8; length];
        match check(ask(value.as_mut_ptr().cast(), &mut length)) {
            Ok(()) => {
                value.truncate(length);
                return Ok(value);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(
        ErrorKind::OutOfMemory,
        "the list grew each time it was asked for",
    ))
}
