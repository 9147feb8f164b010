//! One lock for the whole host, so that two installations do not give one prefix to two bridges.
//!
//! Each would find the prefix free if both looked at the same moment. What is looked at and what is made under the lock is
//! seen whole by the next who holds it.

use protocol::{Answer, HelperError};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// In a folder that only root writes to and that is empty after a start of the host (hier(7)).
const PATH: &str = "/var/run/cellblock-net.lock";

/// The lock, opened before the sandbox closes.
#[derive(Debug)]
pub struct HostLock(File);

impl HostLock {
    /// Opens the file; makes it if it is the first.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open() -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW);
        options.open(PATH).map(HostLock)
    }

    /// Does something that no other installation does meanwhile.
    ///
    /// # Errors
    /// What the action gives, or flock(2).
    pub fn hold<T>(&self, action: impl FnOnce() -> Answer<T>) -> Answer<T> {
        let change = |operation| {
            flock(&self.0, operation).map_err(|errno| HelperError::system("locking the host", &errno.into()))
        };
        change(FlockOperation::LockExclusive)?;
        let done = action();
        change(FlockOperation::Unlock)?;
        done
    }

    /// The descriptor, for the sandbox's table.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
