//! Why a registry did not give what was wanted, in dockerd's words where it has them.

use crate::services::Failure;
use serde::Deserialize;

/// Bytes of an error's text that are shown.
const DETAIL_CHARS_MAX: usize = 500;

/// Why a registry did not give what was wanted.
#[derive(Debug, Clone, thiserror::Error)]
pub(in super::super) enum RegistryError {
    /// No connection, or it broke.
    #[error("{method} \"{url}\": {cause}")]
    Connection {
        /// The request's method, as Go writes it.
        method: &'static str,
        /// Where to.
        url: String,
        /// What the connection said.
        cause: String,
    },
    /// It answered with an error.
    #[error("{text}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// It sent something else than what was announced.
    #[error("{0}")]
    Content(String),
    /// The file system failed.
    #[error("{0}")]
    Io(String),
    /// Nobody waits for it any more.
    #[error("context canceled")]
    Cancelled,
}

impl RegistryError {
    /// Whether the same request may succeed a little later.
    pub(in super::super) fn is_passing(&self) -> bool {
        match self {
            RegistryError::Connection { .. } => true,
            RegistryError::Status { status, .. } => *status == 429 || *status == 408 || *status >= 500,
            RegistryError::Content(_) | RegistryError::Io(_) | RegistryError::Cancelled => false,
        }
    }

    /// Whether it is about something that is not there, or not for this client.
    pub(in super::super) fn is_missing(&self) -> bool {
        matches!(self, RegistryError::Status { status: 404, .. })
    }

    /// Whether the client is not known, or may not do this.
    pub(in super::super) fn is_denied(&self) -> bool {
        matches!(
            self,
            RegistryError::Status {
                status: 401 | 403,
                ..
            }
        )
    }

    pub(super) fn connection(method: &'static str, url: &str, error: &reqwest::Error) -> Self {
        // The innermost cause is the one that says something.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        RegistryError::Connection {
            method,
            url: url.to_owned(),
            cause: cause.to_string(),
        }
    }

    /// From an answer's status and body: the registry's own words where there are some, unless the fault is its own.
    pub(super) fn status(status: u16, body: &[u8]) -> Self {
        let read: Errors = serde_json::from_slice(body).unwrap_or_default();
        let told: Vec<String> = read.errors.iter().map(ErrorItem::text).collect();
        let text = match status {
            400..500 if !told.is_empty() => told.join("\n"),
            400..500 if !read.details.is_empty() => format!("{}: {}", code_of(status), read.details),
            401 => "unauthorized: authentication required".to_owned(),
            _ => {
                let known = reqwest::StatusCode::from_u16(status).ok();
                let reason = known
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or_default();
                format!("received unexpected HTTP status: {status} {reason}")
                    .trim_end()
                    .to_owned()
            }
        };
        RegistryError::Status {
            status,
            text: text.chars().take(DETAIL_CHARS_MAX).collect(),
        }
    }
}

impl From<std::io::Error> for RegistryError {
    fn from(error: std::io::Error) -> Self {
        RegistryError::Io(error.to_string())
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let text = error.to_string();
        match error {
            RegistryError::Status { status: 404, .. } => Failure::NotFound(text),
            RegistryError::Status { status: 403, .. } => Failure::Forbidden(text),
            RegistryError::Cancelled => Failure::Unavailable(text),
            RegistryError::Connection { .. }
            | RegistryError::Status { .. }
            | RegistryError::Content(_)
            | RegistryError::Io(_) => Failure::System(text),
        }
    }
}

/// The code of an error of which only the status is known.
fn code_of(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        429 => "toomanyrequests",
        _ => "unknown",
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<ErrorItem>,
    details: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorItem {
    code: String,
    message: String,
}

impl ErrorItem {
    /// As Go's client of the distribution project prints it: `manifest unknown: manifest unknown`.
    fn text(&self) -> String {
        format!("{}: {}", self.code.to_lowercase().replace('_', " "), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_shown_as_dockerd_shows_them() {
        let body =
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        assert_eq!(
            RegistryError::status(404, body).to_string(),
            "manifest unknown: manifest unknown"
        );
        for (status, body, text) in [
            (
                502,
                &b"<html>"[..],
                "received unexpected HTTP status: 502 Bad Gateway",
            ),
            (
                500,
                body,
                "received unexpected HTTP status: 500 Internal Server Error",
            ),
            (401, b"", "unauthorized: authentication required"),
            (429, br#"{"details":"slow down"}"#, "toomanyrequests: slow down"),
            (403, b"", "received unexpected HTTP status: 403 Forbidden"),
        ] {
            assert_eq!(RegistryError::status(status, body).to_string(), text);
        }
        assert!(
            RegistryError::status(502, b"").is_passing() && !RegistryError::status(403, b"").is_passing()
        );
    }
}
