//! TRANSPORT (rank 6): one typed client per helper.
//!
//! Owns the connections to the helpers. Must never decide anything: what a helper is asked is the services' business, what it
//! may do is the helper's. Names mirror the helpers' requests.

pub mod archive;
mod connection;
pub mod exit;
pub mod jail;
pub mod launcher;
pub mod mount;
pub mod net;
mod outcome;
pub mod zfs;

pub use connection::{Asked, Client, Slot};

use protocol::{ErrorCode, HelperError};

/// Why a helper request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The helper answered with an error.
    #[error("{0}")]
    Helper(HelperError),
    /// The helper is gone and did not come back in time.
    #[error("the {0} helper is not available")]
    Gone(&'static str),
    /// Too many requests wait for the helper.
    #[error("the {0} helper is overloaded")]
    Full(&'static str),
    /// The helper answered with a message of another kind: a bug.
    #[error("the {0} helper gave an answer that does not fit the question")]
    Confused(&'static str),
    /// A stream to or from a helper's worker broke.
    #[error("stream: {0}")]
    Stream(String),
    /// A name that no helper would take.
    #[error("{0}")]
    Name(protocol::names::BadName),
}

impl TransportError {
    /// The helper's error code, if it was the helper that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            TransportError::Helper(error) => Some(error.code),
            TransportError::Gone(_)
            | TransportError::Full(_)
            | TransportError::Confused(_)
            | TransportError::Stream(_)
            | TransportError::Name(_) => None,
        }
    }

    /// Whether the helper said that the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(ErrorCode::NotFound)
    }

    /// Whether a path led out of what it was to be looked up in: resolving it gives EINVAL then.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        let outside = Some(rustix::io::Errno::INVAL.raw_os_error());
        matches!(self, TransportError::Helper(error) if error.errno == outside)
    }
}

impl From<protocol::names::BadName> for TransportError {
    fn from(bad: protocol::names::BadName) -> Self {
        TransportError::Name(bad)
    }
}

/// The clients of all five helpers.
#[derive(Debug, Clone)]
pub struct Helpers {
    /// Datasets.
    pub zfs: zfs::Zfs,
    /// Jails and processes.
    pub jail: jail::Jail,
    /// Interfaces and rules.
    pub net: net::Net,
    /// Mounts.
    pub mount: mount::Mount,
    /// Trees in and out of tar.
    pub archive: archive::Archive,
}
