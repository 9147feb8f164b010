//! Starting a helper binary as the launcher does, and asking it as the daemon does. For tests only.

mod jobs;
mod sys;

pub use jobs::{Job, Places, jobs};

use command_fds::{CommandFdExt, FdMapping};
use protocol::codec::{Decode, Encode, decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::handshake::{Hello, HelperKind, HostFacts, Welcome};
use protocol::names::Label;
use protocol::policy::Policy;
use protocol::{Answer, Ask, Principal};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running helper.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    socket: OwnedFd,
    next_id: u64,
    audit: PathBuf,
    facts: HostFacts,
    /// As whom the next requests are asked.
    pub tenant: Label,
}

impl Helper {
    /// Starts the binary with its policy and shakes hands.
    ///
    /// # Errors
    /// Where it does not start or does not answer `Ready`.
    pub fn start(exe: impl AsRef<Path>, policy: &Policy) -> Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let audit = std::env::temp_dir().join(format!("cb-audit-{}-{}", std::process::id(), unique()));
        let log: File = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&audit)?;
        let mappings = vec![
            FdMapping {
                parent_fd: theirs,
                child_fd: 3,
            },
            FdMapping {
                parent_fd: log.into(),
                child_fd: 4,
            },
        ];
        let mut command = Command::new(exe.as_ref());
        command
            .env_clear()
            .stdin(Stdio::piped())
            .fd_mappings(mappings)
            .map_err(std::io::Error::other)?;
        let mut child = command.spawn()?;
        drop(command);
        let bytes = encode(policy).map_err(std::io::Error::other)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&bytes)?;
        }
        let kind = match policy {
            Policy::Zfs(_) => HelperKind::Zfs,
            Policy::Jail(_) => HelperKind::Jail,
            Policy::Net(_) => HelperKind::Net,
            Policy::Mount(_) => HelperKind::Mount,
            Policy::Archive(_) => HelperKind::Archive,
        };
        send_frame(
            &ours,
            0,
            &encode(&Hello::new(kind)).map_err(std::io::Error::other)?,
            &[],
        )?;
        let frame = receive_frame(&ours)?.ok_or_else(|| std::io::Error::other("helper ended at start"))?;
        match decode(&frame.payload).map_err(std::io::Error::other)? {
            Welcome::Ready(facts) => Ok(Helper {
                child,
                socket: ours,
                next_id: 1,
                audit,
                facts,
                tenant: Label::new("default").map_err(std::io::Error::other)?,
            }),
            refused @ (Welcome::VersionMismatch(_) | Welcome::WrongPeer) => {
                Err(std::io::Error::other(format!("{refused:?}")))
            }
        }
    }

    /// Asks one thing as [`Helper::tenant`].
    ///
    /// # Errors
    /// The helper's answer. A connection that breaks is a panic: the test has failed.
    #[allow(
        clippy::unwrap_used,
        reason = "test support: a broken connection fails the test"
    )]
    pub fn ask<Q: Encode, R: Decode<()>>(
        &mut self,
        request: Q,
        fds: &[BorrowedFd<'_>],
    ) -> Answer<(R, Vec<OwnedFd>)> {
        let by = Principal {
            tenant: self.tenant.clone(),
            subject: Label::new("test").unwrap(),
        };
        let payload = encode(&Ask { by, request }).unwrap();
        self.next_id += 1;
        send_frame(&self.socket, self.next_id, &payload, fds).unwrap();
        let frame = receive_frame(&self.socket).unwrap().unwrap();
        assert_eq!(frame.id, self.next_id, "the answer names another request");
        decode::<Answer<R>>(&frame.payload)
            .unwrap()
            .map(|response| (response, frame.fds))
    }

    /// The helper's process (for a pair: the hand).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said of the host.
    #[must_use]
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// The connection, for tests that break the protocol.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Its audit log up to now.
    ///
    /// # Errors
    /// What reading the file gives.
    pub fn audit(&self) -> Result<String> {
        std::fs::read_to_string(&self.audit)
    }

    /// Kills it without warning, as a crash would, and waits for its end.
    ///
    /// # Errors
    /// What kill(2) and wait(2) give.
    pub fn crash(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The end of the connection ends the helper; a test that failed in between must not leave it behind.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.audit);
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Lines `CapEff`, `NoNewPrivs`, … of `/proc/<pid>/status`, by name.
///
/// # Errors
/// What reading the file gives, and `NotFound` for a line that is not there.
#[cfg(target_os = "linux")]
pub fn status_line(pid: u32, name: &str) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
        .ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// The direct children of a process (Linux): a pair's front is the child of its hand.
///
/// # Errors
/// What reading `/proc` gives.
#[cfg(target_os = "linux")]
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect())
}

/// Whether the test runs as root; prints the one visible line where it does not.
#[must_use]
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Past the test runner's capture, which hides what a passing test prints.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: needs root");
    }
    root
}
