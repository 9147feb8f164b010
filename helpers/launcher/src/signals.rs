//! Signals as descriptors that become readable, so that one poll(2) waits for everything.

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{ErrorKind, Read, Result};
use std::os::unix::net::UnixStream;

/// The signals that mean something to the launcher.
#[derive(Debug)]
pub struct Signals {
    /// SIGTERM, and SIGHUP: the terminal is gone.
    pub terminate: Signal,
    /// SIGINT.
    pub interrupt: Signal,
    /// SIGCHLD.
    pub child: Signal,
}

/// One of them.
#[derive(Debug)]
pub struct Signal(UnixStream);

impl Signals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// What sigaction(2) gives.
    pub fn take() -> Result<Self> {
        Ok(Signals {
            terminate: Signal::take(&[SIGTERM, SIGHUP])?,
            interrupt: Signal::take(&[SIGINT])?,
            child: Signal::take(&[SIGCHLD])?,
        })
    }
}

impl Signal {
    fn take(numbers: &[i32]) -> Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for number in numbers {
            pipe::register(*number, writer.try_clone()?)?;
        }
        Ok(Signal(reader))
    }

    /// How often the signal came since this was asked last. Signals that come at once may count as one.
    pub fn count(&mut self) -> usize {
        let mut bytes = [0u8; 64];
        match self.0.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            // The other end is never closed: the signal handlers hold it.
            Err(_) => 0,
        }
    }
}

impl std::os::fd::AsFd for Signal {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
