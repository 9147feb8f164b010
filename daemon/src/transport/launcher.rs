//! The control connection to the launcher, which keeps what must outlive this daemon.

use protocol::codec::{decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::keeper::{ToDaemon, ToLauncher};
use protocol::names::Text;
use std::io::{Error, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The daemon's end.
#[derive(Debug, Clone)]
pub struct Launcher {
    socket: Arc<OwnedFd>,
    sending: Arc<Mutex<()>>,
}

/// A message with its descriptors.
#[derive(Debug)]
pub struct FromLauncher {
    /// The message.
    pub message: ToDaemon,
    /// Its descriptors.
    pub fds: Vec<OwnedFd>,
}

impl Launcher {
    /// Takes the inherited socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Launcher {
            socket: Arc::new(socket),
            sending: Arc::default(),
        }
    }

    /// Waits for the next message; `None` when the launcher is gone.
    ///
    /// # Errors
    /// For anything that is not a message of the protocol.
    pub fn receive(&self) -> Result<Option<FromLauncher>> {
        let Some(frame) = receive_frame(&*self.socket)? else {
            return Ok(None);
        };
        let message = decode(&frame.payload).map_err(Error::other)?;
        Ok(Some(FromLauncher {
            message,
            fds: frame.fds,
        }))
    }

    /// Has descriptors kept under a key until [`Launcher::forget`].
    ///
    /// # Errors
    /// What sendmsg(2) gives; the launcher is gone then.
    pub fn keep(&self, key: &str, fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.send(
            &ToLauncher::Keep {
                key: Text::new(key).map_err(Error::other)?,
            },
            fds,
        )
    }

    /// Has the descriptors of a key closed.
    ///
    /// # Errors
    /// What sendmsg(2) gives.
    pub fn forget(&self, key: &str) -> Result<()> {
        self.send(
            &ToLauncher::Forget {
                key: Text::new(key).map_err(Error::other)?,
            },
            &[],
        )
    }

    /// Tells that the API answers.
    ///
    /// # Errors
    /// What sendmsg(2) gives.
    pub fn ready(&self) -> Result<()> {
        self.send(&ToLauncher::Ready, &[])
    }

    fn send(&self, message: &ToLauncher, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let payload = encode(message).map_err(Error::other)?;
        // Frames of two threads must not mix.
        let _one = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        send_frame(self.socket.as_fd(), 0, &payload, fds)
    }
}
