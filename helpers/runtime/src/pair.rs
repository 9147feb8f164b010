//! A helper of two processes: a sandboxed *front* that decodes and judges, and a root *hand* that does few fixed things.
//!
//! Some system calls are not permitted in a sandbox (capability mode lacks jail_set, nmount, unmount, …). The front owns the
//! connection to the daemon; the hand owns the privilege and reads nothing but [`Order`]s.

use crate::order::Order;
use crate::sys::{Forked, fork};
use protocol::codec::{decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::limits::FRAME_BYTES_MAX;
use protocol::names::Text;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest block in a hand's answer, in bytes: half a frame, as a listing needs.
pub const ANSWER_BLOCK_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// What this process became.
#[derive(Debug)]
pub enum Side {
    /// The child: enters the sandbox and serves.
    Front(Hand),
    /// The parent: keeps privilege and takes orders.
    Hand(Orders),
}

/// The front's end: a way to give orders.
#[derive(Debug)]
pub struct Hand {
    socket: OwnedFd,
    is_gone: Cell<bool>,
}

/// The hand's end: where orders come from.
#[derive(Debug)]
pub struct Orders {
    socket: OwnedFd,
    front: Pid,
}

/// What a hand answers.
#[derive(Debug, Default)]
pub struct Done {
    /// Plain numbers.
    pub values: [i64; 4],
    /// Bytes of a listing, in the helper's own simple form.
    pub block: Vec<u8>,
    /// Descriptors.
    pub fds: Vec<OwnedFd>,
}

/// [`Done`] on the wire: values, block.
type DoneMessage = ([i64; 4], Vec<u8>);

/// Splits the process. The parent becomes the hand, so the launcher's child is the one that holds privilege.
///
/// # Errors
/// What socketpair(2) or fork(2) gives.
pub fn split() -> Result<Side> {
    let (front, hand) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    match fork()? {
        Forked::Child => Ok(Side::Front(Hand {
            socket: front,
            is_gone: Cell::new(false),
        })),
        Forked::Parent(front) => Ok(Side::Hand(Orders { socket: hand, front })),
    }
}

impl Hand {
    /// Gives one order and waits for the answer.
    ///
    /// # Errors
    /// The hand's own error, or `System` where the hand is gone; then [`Hand::is_gone`].
    pub fn call(&self, order: &Order, fds: &[BorrowedFd<'_>]) -> Answer<Done> {
        let gone = |code: ErrorCode, error: &Error| {
            self.is_gone.set(true);
            HelperError::new(code, format!("the hand is gone: {error}"))
        };
        // An order that could not be given was not carried out; one that was not answered may have been.
        match send_frame(&self.socket, 0, &order.to_bytes(), fds) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Err(HelperError::system("order", &error));
            }
            Err(error) => return Err(gone(ErrorCode::NotDone, &error)),
        }
        let frame = match receive_frame(&self.socket) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(gone(ErrorCode::System, &ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(gone(ErrorCode::System, &error)),
        };
        let answer: Answer<DoneMessage> =
            decode(&frame.payload).map_err(|e| HelperError::new(ErrorCode::System, e.to_string()))?;
        answer.map(|done| Done {
            values: done.0,
            block: done.1,
            fds: frame.fds,
        })
    }

    /// Whether the hand has ended. A front alone can do nothing: it ends too, and the launcher starts both again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// The socket, for the sandbox's table of descriptors.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Orders {
    /// Waits for the next order; `None` when the front is gone, whose process has been waited for then: whoever sees the hand
    /// end finds neither.
    ///
    /// # Errors
    /// `InvalidData` for anything that is not an order: the hand must stop.
    pub fn next(&self) -> Result<Option<(Order, Vec<OwnedFd>)>> {
        let Some(frame) = receive_frame(&self.socket)? else {
            waitpid(Some(self.front), WaitOptions::empty())?;
            return Ok(None);
        };
        let order = Order::from_bytes(&frame.payload).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
        Ok(Some((order, frame.fds)))
    }

    /// Answers the order.
    ///
    /// # Errors
    /// What sendmsg(2) gives.
    pub fn answer(&self, answer: Answer<Done>) -> Result<()> {
        let (message, fds) = match answer {
            Ok(done) if done.block.len() > ANSWER_BLOCK_BYTES_MAX => {
                let text = Text::cut("the hand's answer is too long");
                (
                    Err(HelperError {
                        code: ErrorCode::LimitReached,
                        errno: None,
                        detail: text,
                    }),
                    Vec::new(),
                )
            }
            Ok(done) => (Ok((done.values, done.block)), done.fds),
            Err(error) => (Err(error), Vec::new()),
        };
        let payload =
            encode::<Answer<DoneMessage>>(&message).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        send_frame(&self.socket, 0, &payload, &borrowed)
    }

    /// The socket, for poll(2) and the sandbox's table of descriptors.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
