//! The connection to the daemon. The daemon is believed to be hostile here: no read and no write waits for it for long.

use crate::kept::Key;
use protocol::codec::{decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::frame::{HEADER_BYTES, parse_header};
use protocol::handshake::HelperKind;
use protocol::keeper::{KEEP_KEY_BYTES_MAX, ToDaemon, ToLauncher};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longest message from the daemon, in bytes: a tag, a length and a key.
const MESSAGE_BYTES_MAX: usize = 16 + KEEP_KEY_BYTES_MAX;

/// How long a begun frame may take to be whole, and a frame to be sent once there is room: both are a few hundred bytes on a
/// local socket, so this means a daemon that does not play by the rules.
const FRAME_DEADLINE: Duration = Duration::from_secs(1);

/// How often a begun frame is looked at.
const FRAME_LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What waits to be sent. Descriptors are fetched when its turn comes, since they may be gone by then.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// What is kept under a key.
    Kept(Key),
    /// The end of what is kept.
    Everything,
    /// The daemon's end of a connection to a helper.
    Helper(HelperKind),
    /// The wish to stop.
    Stop,
}

/// A message of the daemon with its descriptors.
#[derive(Debug)]
pub struct Incoming {
    /// The message.
    pub message: ToLauncher,
    /// Its descriptors.
    pub fds: Vec<OwnedFd>,
}

/// The launcher's end.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    outgoing: VecDeque<Outgoing>,
}

impl Control {
    /// A new connection, and the daemon's end of it.
    ///
    /// # Errors
    /// What socketpair(2) gives.
    pub fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        set_socket_timeout(&ours, Timeout::Send, Some(FRAME_DEADLINE))?;
        Ok((
            Control {
                socket: ours,
                outgoing: VecDeque::new(),
            },
            theirs,
        ))
    }

    /// Has something sent after what already waits.
    pub fn queue(&mut self, message: Outgoing) {
        self.outgoing.push_back(message);
    }

    /// What to wait for on [`Control::as_fd`].
    #[must_use]
    pub fn interest(&self) -> PollFlags {
        if self.outgoing.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// Takes the next thing to be sent.
    pub fn next_outgoing(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What sendmsg(2) gives: the daemon is gone, or reads nothing.
    pub fn send(&self, message: &ToDaemon, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let payload = encode(message).map_err(Error::other)?;
        send_frame(&self.socket, 0, &payload, fds)
    }

    /// Receives a message that has begun to come in; `None` at the end of the connection.
    ///
    /// # Errors
    /// `InvalidData` for what is no message, `TimedOut` for half of one, `UnexpectedEof` where the daemon ended within one.
    pub fn receive(&self) -> Result<Option<Incoming>> {
        self.wait_for_whole_frame()?;
        let Some(frame) = receive_frame(&self.socket)? else {
            return Ok(None);
        };
        let message = decode(&frame.payload).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        Ok(Some(Incoming {
            message,
            fds: frame.fds,
        }))
    }

    fn wait_for_whole_frame(&self) -> Result<()> {
        let invalid = |why: String| Error::new(ErrorKind::InvalidData, why);
        let mut seen = [0u8; HEADER_BYTES + MESSAGE_BYTES_MAX];
        let begun = Instant::now();
        loop {
            let count = match recv(&self.socket, &mut seen, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Ok(()),
                Ok((count, _)) => count,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                Err(errno) => return Err(errno.into()),
            };
            if let Some(header) = seen[..count].first_chunk::<HEADER_BYTES>() {
                let header = parse_header(*header).map_err(|error| invalid(error.to_string()))?;
                if header.length > MESSAGE_BYTES_MAX {
                    return Err(invalid(format!("message of {} bytes", header.length)));
                }
                if count >= HEADER_BYTES + header.length {
                    return Ok(());
                }
            }
            if begun.elapsed() > FRAME_DEADLINE {
                return Err(Error::new(ErrorKind::TimedOut, "half a message"));
            }
            std::thread::sleep(FRAME_LOOK_INTERVAL);
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendFlags, send};

    fn frame(message: &ToLauncher) -> Vec<u8> {
        protocol::frame::build(0, &encode(message).unwrap()).unwrap()
    }

    fn longest() -> ToLauncher {
        ToLauncher::Keep {
            key: Key::new("k".repeat(KEEP_KEY_BYTES_MAX)).unwrap(),
        }
    }

    #[test]
    fn the_longest_message_is_received_with_its_descriptors() {
        let (control, daemon) = Control::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let payload = encode(&longest()).unwrap();
        send_frame(&daemon, 0, &payload, &[null.as_fd(); 4]).unwrap();
        let received = control.receive().unwrap().unwrap();
        assert_eq!((received.message, received.fds.len()), (longest(), 4));
        drop(daemon);
        assert!(control.receive().unwrap().is_none());
    }

    #[test]
    fn a_message_in_two_parts_is_received_whole() {
        let (control, daemon) = Control::pair().unwrap();
        let bytes = frame(&longest());
        send(&daemon, &bytes[..5], SendFlags::empty()).unwrap();
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            send(&daemon, &bytes[5..], SendFlags::empty()).unwrap();
        });
        assert_eq!(control.receive().unwrap().unwrap().message, longest());
        sender.join().unwrap();
    }

    #[test]
    fn half_a_message_is_not_waited_for_for_ever() {
        let (control, daemon) = Control::pair().unwrap();
        send(&daemon, &frame(&longest())[..20], SendFlags::empty()).unwrap();
        assert_eq!(control.receive().unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_message_longer_than_any_is_refused_before_it_came() {
        let (control, daemon) = Control::pair().unwrap();
        let header = [&(MESSAGE_BYTES_MAX as u32 + 1).to_le_bytes()[..], &[0; 8]].concat();
        send(&daemon, &header, SendFlags::empty()).unwrap();
        assert_eq!(control.receive().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (control, daemon) = Control::pair().unwrap();
        send_frame(&daemon, 0, &[9, 9, 9, 9], &[]).unwrap();
        assert_eq!(control.receive().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_daemon_that_reads_nothing_is_not_waited_for_for_ever() {
        let (control, _daemon) = Control::pair().unwrap();
        let end = (0..100_000).find_map(|_| control.send(&ToDaemon::Everything, &[]).err());
        assert_eq!(end.unwrap().kind(), ErrorKind::WouldBlock);
    }
}
