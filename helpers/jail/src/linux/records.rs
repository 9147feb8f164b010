//! What a helper that was started again must know: which processes hold which jail.
//!
//! `record_dir/<jail>` is a small text file, replaced as a whole. `record_dir/<jail>.sock` exists while the first process
//! waits for its program. Names with a dot are no jail names, so neither hides the other.

use protocol::jail::{JailInfo, Network};
use protocol::limits::LIST_ITEMS_MAX;
use protocol::names::JailName;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Connections that may wait for a first process: there is one hand.
const BACKLOG: i32 = 1;

/// Longest record read, in bytes: five short lines.
const RECORD_BYTES_MAX: u64 = 1024;

/// The directory of the records.
#[derive(Debug)]
pub(super) struct Records(OwnedFd);

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Process id as the host sees it.
    pub(super) pid: i32,
    /// Start, in clock ticks since the host's start (proc_pid_stat(5), field 22); 0 is no process.
    pub(super) started: u64,
}

/// What is recorded of one jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its first process.
    pub(super) first: Identity,
    /// The parent of that, which tells how it ended.
    pub(super) watcher: Identity,
    /// Which network it sees.
    pub(super) network: Network,
    /// Whether its processes are those of a namespace of its own.
    pub(super) own_processes: bool,
}

impl Records {
    pub(super) fn open(path: &str) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Records(open(path, flags, Mode::empty())?))
    }

    pub(super) fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Records)
    }

    /// Writes a jail's record, whole or not at all.
    pub(super) fn write(&self, jail: &JailName, record: &Record) -> Result<()> {
        let temporary = format!("{jail}.new");
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&self.0, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        File::from(file).write_all(print(record, &boot()?).as_bytes())?;
        Ok(renameat(&self.0, &temporary, &self.0, jail.as_str())?)
    }

    /// A jail's record; `None` if there is no such jail.
    pub(super) fn read(&self, jail: &JailName) -> Result<Option<Record>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match openat(&self.0, jail.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut text = String::new();
        file.take(RECORD_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Some(parse(&text, &boot()?)))
    }

    /// Removes every trace of a jail.
    pub(super) fn forget(&self, jail: &JailName) -> Result<()> {
        for name in [format!("{jail}.sock"), format!("{jail}.new"), jail.to_string()] {
            self.unlink(&name)?;
        }
        Ok(())
    }

    /// The jails after a name, in name order, one page.
    pub(super) fn list(&self, after: Option<&JailName>) -> Result<Vec<JailInfo>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(
                JailName::new(name)
                    .ok()
                    .filter(|name| after.is_none_or(|after| name > after)),
            );
        }
        names.sort_unstable();
        let mut jails = Vec::new();
        for jail in names.into_iter().take(LIST_ITEMS_MAX) {
            // A jail may go away meanwhile only by this process, so a record that is gone is none of ours to tell.
            jails.extend(self.read(&jail)?.map(|record| JailInfo {
                jail,
                jid: record.first.pid,
            }));
        }
        Ok(jails)
    }

    /// The socket on which a first process is going to wait.
    pub(super) fn listen(&self, jail: &JailName) -> Result<OwnedFd> {
        self.unlink(&socket_name(jail))?;
        let listener = stream_socket()?;
        bind(&listener, &self.address(jail)?)?;
        listen(&listener, BACKLOG)?;
        Ok(listener)
    }

    /// A connection to a first process that waits; see [`is_nobody`] for the error if it does not.
    pub(super) fn connect(&self, jail: &JailName) -> Result<OwnedFd> {
        let socket = stream_socket()?;
        connect(&socket, &self.address(jail)?)?;
        Ok(socket)
    }

    /// Whether the first process still waits for its program. A socket's name alone proves nothing: a helper that crashed
    /// may have left it.
    pub(super) fn is_waiting(&self, jail: &JailName) -> Result<bool> {
        match self.connect(jail) {
            Ok(_) => Ok(true),
            Err(error) if is_nobody(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_socket(&self, jail: &JailName) -> Result<()> {
        self.unlink(&socket_name(jail))
    }

    /// A unix address holds 107 bytes, and the directory's own path may be longer: it is named by its descriptor.
    fn address(&self, jail: &JailName) -> Result<SocketAddrUnix> {
        let path = format!("/proc/self/fd/{}/{}", self.0.as_raw_fd(), socket_name(jail));
        Ok(SocketAddrUnix::new(path)?)
    }

    fn unlink(&self, name: &str) -> Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Records {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Records {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Whether a connection failed because nobody waits for one.
pub(super) fn is_nobody(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn socket_name(jail: &JailName) -> String {
    format!("{jail}.sock")
}

fn stream_socket() -> Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The number of this run of the kernel: process ids and start times repeat after a restart of the host.
fn boot() -> Result<String> {
    let mut text = String::new();
    let file = openat(
        CWD,
        "/proc/sys/kernel/random/boot_id",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    File::from(file).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

fn print(record: &Record, boot: &str) -> String {
    let Record {
        first,
        watcher,
        network,
        own_processes,
    } = record;
    let processes = if *own_processes { "own" } else { "shared" };
    let network = match network {
        Network::Own => "own",
        Network::Host => "host",
    };
    format!(
        "boot {boot}\nfirst {} {}\nwatcher {} {}\nnetwork {network}\nprocesses {processes}\n",
        first.pid, first.started, watcher.pid, watcher.started
    )
}

/// Reads a record. What cannot be read, or was written before the host was started, names no process: files are replaced as
/// a whole, so only a crash of the host leaves a broken one, and that ended every process.
fn parse(text: &str, boot: &str) -> Record {
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_default()
    };
    let identity = |name: &str| {
        let (pid, started) = value(name).split_once(' ')?;
        let identity = Identity {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        (value("boot") == boot).then_some(identity)
    };
    let nobody = Identity { pid: 0, started: 0 };
    Record {
        first: identity("first").unwrap_or(nobody),
        watcher: identity("watcher").unwrap_or(nobody),
        network: if value("network") == "host" {
            Network::Host
        } else {
            Network::Own
        },
        own_processes: value("processes") != "shared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            first: Identity {
                pid: 12,
                started: 345,
            },
            watcher: Identity {
                pid: 11,
                started: 344,
            },
            network: Network::Host,
            own_processes: false,
        }
    }

    #[test]
    fn a_record_survives_its_text() {
        assert_eq!(parse(&print(&record(), "b"), "b"), record());
    }

    #[test]
    fn a_record_of_an_earlier_boot_or_a_broken_one_names_no_process() {
        let nobody = Identity { pid: 0, started: 0 };
        assert_eq!(parse(&print(&record(), "b"), "c").first, nobody);
        assert_eq!(parse("", "b").first, nobody);
        assert_eq!(parse("boot b\nfirst 12\nwatcher x 1\n", "b").watcher, nobody);
    }

    #[test]
    fn records_are_listed_in_pages_and_forgotten_without_a_trace() {
        let path = std::env::temp_dir().join(format!("cb-records-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let records = Records::open(path.to_str().unwrap()).unwrap();
        let names: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|n| JailName::new(*n).unwrap())
            .collect();
        for name in &names {
            records.write(name, &record()).unwrap();
            drop(records.listen(name).unwrap());
        }
        assert!(!records.is_waiting(&names[1]).unwrap(), "its listener is gone");
        let listener = records.listen(&names[1]).unwrap();
        assert!(records.is_waiting(&names[1]).unwrap());
        drop(listener);
        let listed: Vec<_> = records
            .list(Some(&names[0]))
            .unwrap()
            .into_iter()
            .map(|info| info.jail)
            .collect();
        assert_eq!(listed, names[1..]);
        names.iter().for_each(|name| records.forget(name).unwrap());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        std::fs::remove_dir(&path).unwrap();
    }
}
