//! Processes as sysctl(3) shows them: `kern.proc` gives one `kinfo_proc` (sys/user.h) each.
//!
//! The structure is read by offset from plain bytes: it has kept its layout on every 64-bit platform since FreeBSD 12, and
//! says its own size, which is checked.

use super::sys;
use crate::policy::fail;
use protocol::jail::ProcessInfo;
use protocol::names::{Label, Text};
use protocol::{Answer, ErrorCode, HelperError};
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Size of `struct kinfo_proc` on 64-bit platforms, in bytes (sys/user.h, KINFO_PROC_SIZE).
const KINFO_BYTES: usize = 1088;

/// `ki_stat` of a process that only its parent's wait(2) is missing for (sys/proc.h, SZOMB).
const ZOMBIE: u8 = 5;

/// `ki_stat` of a process that a signal stopped (sys/proc.h, SSTOP).
const STOPPED: u8 = 4;

/// `ki_tdev` of a process without a controlling terminal (sys/param.h, NODEV).
const NO_DEVICE: u64 = u64::MAX;

/// How long killed processes may take to be gone, and stopped ones to stand still, in milliseconds; one stuck in the kernel is reported instead of waited
/// for.
const END_MS_MAX: u64 = 10_000;

/// How often they are looked for meanwhile, in milliseconds.
const END_INTERVAL_MS: u64 = 5;

/// A first process: its number, and its start, so that it is not confused with a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    /// Process id.
    pub(super) pid: i32,
    /// Start, in microseconds since 1970.
    pub(super) started_us: u64,
}

/// What is used of one process.
pub(super) struct Kinfo {
    pid: i32,
    ppid: i32,
    uid: u32,
    runtime_us: u64,
    started_us: u64,
    state: u8,
    name: String,
    terminal: u64,
    jid: i32,
}

impl Kinfo {
    /// Whether a signal stopped it.
    pub(super) fn is_held(&self) -> bool {
        self.state == STOPPED
    }
}

/// This process.
pub(super) fn own() -> Result<First> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let kinfo = by_pid(pid)?.ok_or(ErrorKind::NotFound)?;
    Ok(First {
        pid,
        started_us: kinfo.started_us,
    })
}

/// Whether a first process still runs in its jail.
pub(super) fn lives(jid: i32, first: First) -> Answer<bool> {
    let found = by_pid(first.pid).map_err(|e| HelperError::system("first process", &e))?;
    Ok(found.is_some_and(|found| {
        found.jid == jid && found.started_us == first.started_us && found.state != ZOMBIE
    }))
}

/// The processes of a jail.
pub(super) fn list(jid: i32) -> Result<Vec<ProcessInfo>> {
    in_jail(jid)?.iter().map(describe).collect()
}

/// Does `act` and looks, again and again, until every process of a jail is as wanted. A zombie always is: it holds nothing of
/// the jail's, and its process descriptor's holder reaps it.
///
/// # Errors
/// `Busy` where that takes longer than [`END_MS_MAX`].
pub(super) fn until(
    jid: i32,
    what: &str,
    is_wanted: impl Fn(&Kinfo) -> bool,
    act: impl Fn() -> Answer<()>,
) -> Answer<()> {
    let end = Instant::now() + Duration::from_millis(END_MS_MAX);
    loop {
        act()?;
        let left = in_jail(jid).map_err(|e| HelperError::system("processes of a jail", &e))?;
        if left
            .iter()
            .all(|process| process.state == ZOMBIE || is_wanted(process))
        {
            return Ok(());
        }
        if Instant::now() >= end {
            let text = format!("the jail's processes are not {what} in time");
            return fail(ErrorCode::Busy, &text);
        }
        std::thread::sleep(Duration::from_millis(END_INTERVAL_MS));
    }
}

/// Processor time of a jail's living processes, in microseconds.
pub(super) fn runtime_us(jid: i32) -> Result<u64> {
    Ok(in_jail(jid)?.iter().map(|process| process.runtime_us).sum())
}

fn in_jail(jid: i32) -> Result<Vec<Kinfo>> {
    let bytes = sys::by_number(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PROC])?;
    let all = bytes
        .chunks_exact(KINFO_BYTES)
        .map(parse)
        .collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|process| process.jid == jid).collect())
}

fn by_pid(pid: i32) -> Result<Option<Kinfo>> {
    match sys::by_number(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, pid]) {
        Ok(bytes) => bytes.get(..KINFO_BYTES).map(parse).transpose(),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Result<Kinfo> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let kinfo = || {
        let size = word(0)?;
        let name: Vec<u8> = bytes
            .get(447..466)?
            .iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .collect();
        (size as usize == KINFO_BYTES).then_some(Kinfo {
            pid: word(72)?.cast_signed(),
            ppid: word(76)?.cast_signed(),
            uid: word(168)?,
            runtime_us: long(328)?,
            started_us: long(336)?.checked_mul(1_000_000)?.checked_add(long(344)?)?,
            state: *bytes.get(388)?,
            name: String::from_utf8_lossy(&name).into_owned(),
            terminal: long(560)?,
            jid: word(592)?.cast_signed(),
        })
    };
    kinfo().ok_or_else(|| Error::new(ErrorKind::InvalidData, "kinfo_proc has another layout"))
}

fn describe(process: &Kinfo) -> Result<ProcessInfo> {
    // The arguments of a process that ended meanwhile, or has none, are its name in brackets, as ps(1) shows it.
    let arguments = sys::by_number(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_ARGS, process.pid]);
    let arguments = String::from_utf8_lossy(&arguments.unwrap_or_default()).into_owned();
    let command = match arguments.trim_end_matches('\0') {
        "" => format!("[{}]", process.name),
        arguments => arguments.replace('\0', " "),
    };
    Ok(ProcessInfo {
        pid: process.pid,
        ppid: process.ppid,
        uid: process.uid,
        started_s: process.started_us / 1_000_000,
        cpu_s: process.runtime_us / 1_000_000,
        terminal: Label::new(terminal_name(process.terminal)).map_err(Error::other)?,
        command: Text::cut(&command),
    })
}

fn terminal_name(device: u64) -> String {
    let name = if device == NO_DEVICE {
        None
    } else {
        sys::device_name(device).ok()
    };
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_outside_every_jail() {
        let first = own().unwrap();
        assert!(lives(0, first).unwrap());
        assert!(!lives(1, first).unwrap());
        assert!(
            !lives(
                0,
                First {
                    started_us: first.started_us + 1,
                    ..first
                }
            )
            .unwrap()
        );
        assert!(list(0).unwrap().iter().any(|process| process.pid == first.pid));
    }
}
