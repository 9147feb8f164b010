//! What a helper answers when it cannot or will not do a thing.

use crate::codec::{Decode, Encode};
use crate::limits::ERROR_DETAIL_BYTES_MAX;
use crate::names::Text;

/// A helper's answer to one request.
pub type Answer<R> = Result<R, HelperError>;

/// The registry of error codes. Numbers are never changed and never used again: they stand in audit logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[repr(u16)]
pub enum ErrorCode {
    /// The named object does not exist.
    NotFound = 1,
    /// The object is there already, and differs from what was asked.
    AlreadyExists = 2,
    /// The object is in use (mounted, has children, has processes).
    Busy = 3,
    /// The request is outside this helper's policy. The connection stays; the audit line says `refused`.
    Refused = 4,
    /// This host cannot do it: a module, a kernel feature or a tool is missing.
    Unsupported = 5,
    /// No space or quota left.
    NoSpace = 6,
    /// The archive, path or content given is not acceptable.
    BadContent = 7,
    /// The system refused; `errno` says why.
    System = 8,
    /// A limit of this helper was reached; try later.
    LimitReached = 9,
    /// The program to run does not exist in the container (exit status 127 at the edge).
    CommandNotFound = 10,
    /// The program exists and cannot be executed (exit status 126 at the edge).
    CommandNotExecutable = 11,
    /// The message was retired in this version.
    Retired = 12,
    /// The request's descriptors are not what the message declares.
    BadDescriptors = 13,
    /// Nothing was done: the part of the helper that acts is gone, and the helper is being started again. Asking again is safe.
    NotDone = 14,
    /// The addresses overlap what this host has addresses in or routes to.
    AddressInUse = 15,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HelperError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// The system's error number where a system call failed.
    pub errno: Option<i32>,
    /// One line for the log. Never shown to API clients unless the code says the content was at fault.
    pub detail: Text<ERROR_DETAIL_BYTES_MAX>,
}

impl HelperError {
    /// An error without a system error number; `detail` is cut to the limit.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl AsRef<str>) -> Self {
        HelperError {
            code,
            errno: None,
            detail: Text::cut(detail.as_ref()),
        }
    }

    /// A failed system call: the code follows from the error number, `what` names the step.
    #[must_use]
    pub fn system(what: impl AsRef<str>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let code = match error.kind() {
            ErrorKind::NotFound => ErrorCode::NotFound,
            ErrorKind::AlreadyExists => ErrorCode::AlreadyExists,
            ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty => ErrorCode::Busy,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
            ErrorKind::Unsupported => ErrorCode::Unsupported,
            _ => ErrorCode::System,
        };
        let detail = Text::cut(&format!("{}: {error}", what.as_ref()));
        HelperError {
            code,
            errno: error.raw_os_error(),
            detail,
        }
    }
}

impl std::fmt::Display for HelperError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.detail.as_str(), self.code)
    }
}

impl std::error::Error for HelperError {}
