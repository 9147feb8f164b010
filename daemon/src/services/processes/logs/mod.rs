//! Container logs: one JSON object a line, `{"log":…,"stream":…,"attrs":…,"time":…}`, which is Docker's json-file format.
//!
//! ```text
//! write.rs     output in, lines out, and a new file where one is full
//! place.rs     the current file and the full ones before it: `x`, `x.1`, `x.2.gz`
//! read.rs      the wanted entries of all of them, and what comes after
//! ```
//!
//! The driver `local` has the same format in a place of its own, with one field more: output that is no UTF-8 is kept byte for
//! byte (`raw`), where json-file has replacement characters, as with dockerd.

mod place;
mod read;
#[cfg(test)]
mod tests;
mod write;

use docker_api::timestamps;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use time::OffsetDateTime;

pub use place::FILES_MAX;
pub use read::{Follow, LogQuery, read};
pub use write::LogWriter;

/// Where a container's log is, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlan {
    /// The current file.
    pub path: PathBuf,
    /// Bytes after which a file is full; none lets it grow for ever.
    pub file_bytes_max: Option<u64>,
    /// How many files there may be, the current one among them; at least 1.
    pub files_max: usize,
    /// Whether full files are compressed.
    pub compress: bool,
    /// What stands in every entry of it (labels, variables and tag that the log options choose).
    pub attributes: BTreeMap<String, String>,
    /// Whether output that is no UTF-8 is kept as it is.
    pub keeps_bytes: bool,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The text; ends with a newline unless the line was longer than an entry or the output ended without one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// What the log options say of the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
    /// When it was read from the container (RFC 3339 with nanoseconds).
    pub time: String,
    /// The bytes in base64, where `log` could not hold them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

impl LogEntry {
    /// The entry's time; entries with a damaged time count as oldest.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        timestamps::parse_rfc3339(&self.time).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// What the container wrote.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        use base64::Engine as _;
        if !self.raw.is_empty()
            && let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(&self.raw)
        {
            return bytes;
        }
        self.log.clone().into_bytes()
    }
}
