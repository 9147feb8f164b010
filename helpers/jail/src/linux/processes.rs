//! Processes as /proc shows them: who is who, who is in a jail, what they are doing.

use super::records::Identity;
use super::sys;
use protocol::jail::ProcessInfo;
use protocol::limits::PROCESSES_MAX;
use protocol::names::{Label, Text};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// How often a jail's processes are listed anew to signal those that were forked meanwhile. A process that was stopped or
/// killed forks no more, so two rounds are the rule; a fork bomb that ignores the signal ends the attempt.
const SIGNAL_ROUNDS_MAX: usize = 16;

/// A process that lived when it was looked at, held so that its number cannot become another's.
#[derive(Debug)]
pub(super) struct Process {
    handle: OwnedFd,
    pid: i32,
}

impl Process {
    /// The process of an identity; `None` if it has ended.
    pub(super) fn open(identity: &Identity) -> Result<Option<Self>> {
        let Some(process) = Process::by_number(identity.pid)? else {
            return Ok(None);
        };
        // Only now that the handle is held is it known whose start this is.
        match read_stat(identity.pid) {
            Ok(stat) if stat.started == identity.started && !stat.ended() => Ok(Some(process)),
            Ok(_) => Ok(None),
            Err(error) if gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn by_number(pid: i32) -> Result<Option<Self>> {
        let Some(number) = Pid::from_raw(pid) else {
            return Ok(None);
        };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(handle) => Ok(Some(Process { handle, pid })),
            Err(Errno::SRCH) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a signal; fine if the process has ended.
    pub(super) fn signal(&self, signal: u8) -> Result<()> {
        match sys::signal(self.handle.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Waits for the process's end; false if the time was not enough.
    pub(super) fn ends_within(&self, milliseconds: i64) -> Result<bool> {
        let limit = Timespec {
            tv_sec: milliseconds / 1000,
            tv_nsec: milliseconds % 1000 * 1_000_000,
        };
        loop {
            match poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&limit)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.handle.as_raw_fd()
    }
}

/// When a process started, in clock ticks since the host's start.
pub(super) fn start_of(pid: i32) -> Result<u64> {
    read_stat(pid).map(|stat| stat.started)
}

/// The identity of this process.
pub(super) fn identity_of_self() -> Result<Identity> {
    let pid = getpid().as_raw_nonzero().get();
    Ok(Identity {
        pid,
        started: start_of(pid)?,
    })
}

/// Signals every process of a first one's jail, that one last.
pub(super) fn signal_everyone(
    first: &Process,
    signal: u8,
    members: impl Fn() -> Result<BTreeSet<i32>>,
) -> Result<()> {
    let mut told = BTreeSet::from([first.pid]);
    for _ in 0..SIGNAL_ROUNDS_MAX {
        let new: Vec<i32> = members()?.into_iter().filter(|pid| !told.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            signal_one(pid, signal, &members)?;
            told.insert(pid);
        }
    }
    first.signal(signal)
}

/// Signals a process by its number if it is among a jail's.
pub(super) fn signal_one(pid: i32, signal: u8, members: impl Fn() -> Result<BTreeSet<i32>>) -> Result<()> {
    let Some(process) = Process::by_number(pid)? else {
        return Ok(());
    };
    // The number may have become a process of the host's; only now that the handle is held it stays what it is.
    if members()?.contains(&pid) {
        process.signal(signal)?;
    }
    Ok(())
}

/// What processes are, by number.
pub(super) fn list(members: BTreeSet<i32>) -> Result<Vec<ProcessInfo>> {
    let clock = Clock::read()?;
    let mut list = Vec::new();
    for pid in members.into_iter().take(PROCESSES_MAX) {
        match describe(pid, &clock) {
            Ok(info) => list.push(info),
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(list)
}

/// Numbers of the processes whose process namespace is that of a first one; none if it has just ended.
pub(super) fn members(first: &Process) -> Result<BTreeSet<i32>> {
    let jail = match namespace(first.pid) {
        Ok(jail) => jail,
        Err(error) if gone(&error) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if namespace(pid).is_ok_and(|namespace| namespace == jail) {
            found.insert(pid);
        }
    }
    Ok(found)
}

fn namespace(pid: i32) -> Result<OsString> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).map(Into::into)
}

fn gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Where the kernel's clock stood when it started, and how fast it ticks.
struct Clock {
    boot_s: u64,
    ticks_per_s: u64,
}

impl Clock {
    fn read() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let boot = stat
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        let ticks_per_s = rustix::param::clock_ticks_per_second().max(1);
        Ok(Clock {
            boot_s: boot.ok_or(ErrorKind::InvalidData)?,
            ticks_per_s,
        })
    }
}

fn describe(pid: i32, clock: &Clock) -> Result<ProcessInfo> {
    let stat = read_stat(pid)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let effective_uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok())
        .ok_or(ErrorKind::InvalidData)?;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let arguments = String::from_utf8_lossy(&arguments);
    // A process that has ended, or overwrote its arguments, is shown as ps(1) shows it.
    let command = match arguments.trim_end_matches('\0') {
        "" => format!("[{}]", stat.name),
        arguments => arguments.replace('\0', " "),
    };
    Ok(ProcessInfo {
        pid,
        ppid: stat.parent,
        uid: effective_uid,
        started_s: clock.boot_s + stat.started / clock.ticks_per_s,
        cpu_s: stat.processor / clock.ticks_per_s,
        terminal: Label::new(terminal_name(stat.terminal)).map_err(Error::other)?,
        command: Text::cut(&command),
    })
}

/// The name behind a terminal's device number as proc_pid_stat(5) encodes it.
fn terminal_name(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    match major {
        // Unix98 terminals have eight majors (linux/major.h), each with 2^20 minors.
        136..=143 => format!("pts/{}", (major - 136) << 20 | minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".to_owned(),
    }
}

/// The fields of `/proc/<pid>/stat` that are used.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: u8,
    parent: i32,
    terminal: u64,
    processor: u64,
    started: u64,
}

impl Stat {
    /// Whether only its parent's wait(2) is missing.
    fn ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

fn read_stat(pid: i32) -> Result<Stat> {
    let bytes = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&bytes)).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// Reads proc_pid_stat(5): the name stands in parentheses and may hold some itself, so the last one ends it.
fn parse_stat(text: &str) -> Option<Stat> {
    let (before, after) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // Fields are numbered from 1 in the manual, and the third is the first after the name.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.bytes().next()?,
        parent: fields.get(1)?.parse().ok()?,
        terminal: number(7)?,
        processor: number(14)? + number(15)?,
        started: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 7 7 34816 7 4194560 1 2 3 4 50 60 0 0 30 10 1 0 207413 2322432 361";
        let expected = Stat {
            name: "a) b".to_owned(),
            state: b'S',
            parent: 1,
            terminal: 34_816,
            processor: 110,
            started: 207_413,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("7 (a) S 1 2"), None);
    }

    #[test]
    fn terminals_have_the_names_that_ps_prints() {
        assert_eq!(terminal_name(0), "?");
        assert_eq!(terminal_name(34_816), "pts/0");
        assert_eq!(terminal_name(136 << 8 | 1 << 20 | 3), "pts/259");
        assert_eq!(terminal_name(4 << 8 | 1), "tty1");
    }

    #[test]
    fn a_process_is_known_again_only_with_its_start() {
        let own = identity_of_self().unwrap();
        assert!(Process::open(&own).unwrap().is_some());
        assert!(
            Process::open(&Identity {
                started: own.started + 1,
                ..own
            })
            .unwrap()
            .is_none()
        );
        assert!(Process::open(&Identity { pid: 0, started: 0 }).unwrap().is_none());
    }
}
