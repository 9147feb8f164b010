//! What a process that is being started tells the hand: frames over a socket that closes by itself when the program runs.
//!
//! Several processes may hold the sending end at once (a watcher, the process itself); each says its part and closes its
//! copy. The end of the conversation is its success, unless somebody reported a failure.

use crate::policy::fail;
use protocol::codec::{decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// How long a process may take from order to program, in seconds: setting up a root takes milliseconds, and a loaded
/// machine is given room. The hand serves nobody meanwhile.
const START_S_MAX: u64 = 30;

/// Said by a process when nothing but execve(2) is left to do.
const READY: i32 = 0;

/// A sending end; the conversation lasts until all of them are closed.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) OwnedFd);

/// What was reported in all.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The process's id, as far as anybody named it.
    pub(crate) pid: Option<i32>,
    /// What the process gave back: its exit descriptor on Linux, its terminal's master.
    pub(crate) fds: Vec<OwnedFd>,
}

/// A new conversation: the receiving and the sending end, both close-on-exec.
pub(crate) fn open() -> Result<(OwnedFd, Report)> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((ours, Report(theirs)))
}

impl Report {
    /// Everything is prepared; these descriptors go back.
    pub(crate) fn ready(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.send(&Ok(READY), fds)
    }

    /// The process that was made, as the host sees it.
    pub(crate) fn started(&self, pid: i32) -> Result<()> {
        self.send(&Ok(pid), &[])
    }

    /// It cannot be done.
    pub(crate) fn failed(&self, error: HelperError) {
        // Where even this cannot be said, the hand sees a conversation that ended without `ready`.
        let _ = self.send(&Err(error), &[]);
    }

    fn send(&self, message: &Answer<i32>, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let payload = encode(message).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
        send_frame(&self.0, 0, &payload, fds)
    }
}

impl AsRawFd for Report {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Listens to the end of the conversation.
///
/// # Errors
/// The last failure that was reported; `System` where nobody reported `ready`, or nothing came for [`START_S_MAX`].
pub(crate) fn collect(socket: impl AsFd) -> Answer<News> {
    let lost = |error: &Error| HelperError::system("starting a process", error);
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(START_S_MAX)))
        .map_err(|e| lost(&e.into()))?;
    let mut news = News::default();
    let mut ready = false;
    let mut failure = None;
    while let Some(frame) = receive_frame(&socket).map_err(|e| lost(&e))? {
        match decode::<Answer<i32>>(&frame.payload) {
            Ok(Ok(READY)) => {
                ready = true;
                news.fds = frame.fds;
            }
            Ok(Ok(pid)) => news.pid = Some(pid),
            Ok(Err(error)) => failure = Some(error),
            Err(malformed) => failure = Some(HelperError::new(ErrorCode::System, malformed.to_string())),
        }
    }
    match failure {
        Some(error) => Err(error),
        None if ready => Ok(news),
        None => fail(ErrorCode::System, "the process ended while it was being started"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_without_ready_is_a_failure() {
        let (ours, theirs) = open().unwrap();
        theirs.started(7).unwrap();
        drop(theirs);
        assert_eq!(collect(ours).unwrap_err().code, ErrorCode::System);
    }

    #[test]
    fn a_failure_after_ready_is_a_failure() {
        let (ours, theirs) = open().unwrap();
        theirs.ready(&[]).unwrap();
        theirs.failed(HelperError::new(ErrorCode::CommandNotFound, "exec"));
        drop(theirs);
        assert_eq!(collect(ours).unwrap_err().code, ErrorCode::CommandNotFound);
    }

    #[test]
    fn descriptors_and_pid_are_collected_from_both_speakers() {
        let (ours, theirs) = open().unwrap();
        let other = Report(theirs.0.try_clone().unwrap());
        theirs.ready(&[ours.as_fd()]).unwrap();
        other.started(7).unwrap();
        drop((theirs, other));
        let news = collect(&ours).unwrap();
        assert_eq!((news.pid, news.fds.len()), (Some(7), 1));
    }
}
