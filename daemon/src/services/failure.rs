//! How services say that something cannot be done: by what the user could do about it, in Docker's words.
//!
//! Nothing here knows HTTP; `edge/error.rs` maps each variant once. `System` hides its cause from clients; the log has it.

use crate::store::StoreError;
use crate::transport::TransportError;
use protocol::ErrorCode;

/// A request that was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit the state of things.
    #[error("{0}")]
    Conflict(String),
    /// It is so already.
    #[error("not modified")]
    NotModified,
    /// The administrator's configuration forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else does not believe who the client is.
    #[error("{0}")]
    Denied(String),
    /// This daemon or this host cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// Something is overloaded or being restarted; the same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// Something else failed; clients are told this text.
    #[error("{0}")]
    System(String),
}

impl Failure {
    /// Puts words in front, as dockerd wraps its errors.
    #[must_use]
    pub fn within(self, context: &str) -> Self {
        let wrap = |text: String| format!("{context}: {text}");
        match self {
            Failure::NotFound(text) => Failure::NotFound(wrap(text)),
            Failure::Invalid(text) => Failure::Invalid(wrap(text)),
            Failure::Conflict(text) => Failure::Conflict(wrap(text)),
            Failure::NotModified => Failure::NotModified,
            Failure::Forbidden(text) => Failure::Forbidden(wrap(text)),
            Failure::Denied(text) => Failure::Denied(wrap(text)),
            Failure::Unsupported(text) => Failure::Unsupported(wrap(text)),
            Failure::Unavailable(text) => Failure::Unavailable(wrap(text)),
            Failure::System(text) => Failure::System(wrap(text)),
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let text = error.to_string();
        match &error {
            TransportError::Helper(helper) => {
                let said = helper.detail.as_str().to_owned();
                match helper.code {
                    ErrorCode::Refused => Failure::Forbidden(said),
                    ErrorCode::Unsupported => Failure::Unsupported(said),
                    ErrorCode::BadContent => Failure::Invalid(said),
                    ErrorCode::LimitReached | ErrorCode::NotDone => Failure::Unavailable(said),
                    ErrorCode::CommandNotFound | ErrorCode::CommandNotExecutable => Failure::Invalid(said),
                    ErrorCode::NotFound
                    | ErrorCode::AlreadyExists
                    | ErrorCode::AddressInUse
                    | ErrorCode::Busy
                    | ErrorCode::NoSpace
                    | ErrorCode::System
                    | ErrorCode::Retired
                    | ErrorCode::BadDescriptors => Failure::System(said),
                }
            }
            TransportError::Gone(_) | TransportError::Full(_) => Failure::Unavailable(text),
            TransportError::Confused(_) | TransportError::Stream(_) => Failure::System(text),
            TransportError::Name(_) => Failure::Invalid(text),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::System(error.to_string())
    }
}

impl From<protocol::names::BadName> for Failure {
    fn from(bad: protocol::names::BadName) -> Self {
        Failure::Invalid(bad.to_string())
    }
}

macro_rules! busy {
    ($($busy:ty),*) => {
        $(impl From<$busy> for Failure {
            fn from(error: $busy) -> Self {
                Failure::Unavailable(error.to_string())
            }
        })*
    };
}

busy!(super::containers::TableBusy, super::processes::ProcessesBusy);
