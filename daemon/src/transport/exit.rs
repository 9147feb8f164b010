//! Waiting for a container's process through the descriptor that the jail helper gave.
//!
//! The only place above the helpers that differs by host: a process descriptor (FreeBSD, pdfork(2)) is waited for with
//! kqueue(2), the status in a Linux watcher's socket is looked at. Either can be waited for by whoever holds it, so a new daemon
//! goes on where the old one ended.

#[cfg(target_os = "freebsd")]
use std::io::Error;
use std::io::Result;
use std::os::fd::OwnedFd;
#[cfg(target_os = "freebsd")]
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// Docker's exit code: the process's own, or 128 plus the signal that ended it.
    #[must_use]
    pub fn exit_code(self) -> i64 {
        let signal = self.0 & 0x7f;
        if signal == 0 {
            i64::from((self.0 >> 8) & 0xff)
        } else {
            128 + i64::from(signal)
        }
    }
}

/// Waits for the end of the process behind an exit descriptor. The status stays in it, for the next daemon if this one is killed
/// before it has written it down.
///
/// # Errors
/// Where the descriptor gives no status: the watcher itself was killed.
#[cfg(not(target_os = "freebsd"))]
pub async fn wait(descriptor: OwnedFd) -> Result<WaitStatus> {
    use rustix::net::{RecvFlags, recv};
    use tokio::io::Interest;
    let socket = std::os::unix::net::UnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixStream::from_std(socket)?;
    let mut status = [0u8; 4];
    let look = || Ok(recv(&socket, &mut status, RecvFlags::PEEK)?.1);
    match socket.async_io(Interest::READABLE, look).await? {
        4 => Ok(WaitStatus(i32::from_le_bytes(status))),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits for the end of the process behind a process descriptor.
///
/// # Errors
/// What kevent(2) gives.
#[cfg(target_os = "freebsd")]
pub async fn wait(descriptor: OwnedFd) -> Result<WaitStatus> {
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    let number = usize::try_from(descriptor.as_raw_fd()).map_err(Error::other)?;
    let add = EvFlags::EV_ADD | EvFlags::EV_ONESHOT;
    let watch = KEvent::new(
        number,
        EventFilter::EVFILT_PROCDESC,
        add,
        FilterFlag::NOTE_EXIT,
        0,
        0,
    );
    let queue = Kqueue::new()?;
    queue.kevent(&[watch], &mut [], None)?;
    // A queue that holds an event can be read (kqueue(2)), so no thread has to wait for each process.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; a queue keeps its descriptor as long as it lives"
    )]
    let queue = AsyncFd::with_interest(Queue(queue), Interest::READABLE)?;
    loop {
        let mut ready = queue.readable().await?;
        let mut events = [watch];
        let at_once = nix::libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if queue.get_ref().0.kevent(&[], &mut events, Some(at_once))? > 0 {
            let status = i32::try_from(events[0].data()).map_err(Error::other)?;
            return Ok(WaitStatus(status));
        }
        ready.clear_ready();
    }
}

/// A queue as tokio takes it.
#[cfg(target_os = "freebsd")]
struct Queue(nix::sys::event::Kqueue);

#[cfg(target_os = "freebsd")]
impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_dockers() {
        assert_eq!(WaitStatus(3 << 8).exit_code(), 3);
        assert_eq!(WaitStatus(9).exit_code(), 137);
        assert_eq!(WaitStatus(0x80 | 11).exit_code(), 139);
        assert_eq!(WaitStatus(0).exit_code(), 0);
    }

    #[cfg(not(target_os = "freebsd"))]
    fn descriptor() -> (OwnedFd, std::os::unix::net::UnixStream) {
        let (read_end, write_end) = std::os::unix::net::UnixStream::pair().unwrap();
        (read_end.into(), write_end)
    }

    #[cfg(not(target_os = "freebsd"))]
    #[tokio::test]
    async fn a_descriptor_that_ends_without_a_status_is_an_error() {
        let (read_end, write_end) = descriptor();
        drop(write_end);
        assert!(wait(read_end).await.is_err());
    }

    #[cfg(not(target_os = "freebsd"))]
    #[tokio::test]
    async fn a_status_can_be_waited_for_twice() {
        use std::io::Write;
        let (read_end, mut write_end) = descriptor();
        let kept = read_end.try_clone().unwrap();
        let first = tokio::spawn(wait(read_end));
        write_end.write_all(&(7i32 << 8).to_le_bytes()).unwrap();
        drop(write_end);
        assert_eq!(first.await.unwrap().unwrap().exit_code(), 7);
        assert_eq!(wait(kept).await.unwrap().exit_code(), 7);
    }
}
