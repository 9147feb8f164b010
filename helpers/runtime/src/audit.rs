//! The helper's own record of what it was asked and did: one line per request, each naming the hash of the line before.
//!
//! The daemon has no way to write or rewrite it: the launcher opened the file for appending as root and gave it to the helper
//! alone. [`verify`] proves that no line was changed, dropped or put in between; only cutting lines off the end cannot be
//! seen from the file alone.

use protocol::{ErrorCode, Principal};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far back the last line is looked for when the log is opened, in bytes: longer than any line can be.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// What `prev` says in the first line of a log.
const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An open audit log.
#[derive(Debug)]
pub struct Log {
    file: File,
    previous: String,
}

/// One request and how it ended.
#[derive(Debug)]
pub struct Entry<'a> {
    /// On whose behalf; none for the connection itself.
    pub by: Option<&'a Principal>,
    /// The operation.
    pub operation: &'a str,
    /// The object or objects, as names.
    pub object: &'a str,
    /// `Ok`, or why not.
    pub result: std::result::Result<(), ErrorCode>,
    /// How long it took.
    pub took: Duration,
}

impl Log {
    /// Takes a file opened for reading and appending, and finds the hash that the next line must name.
    ///
    /// # Errors
    /// What reading the file's end gives.
    pub fn open(mut file: File) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut tail = Vec::new();
        Read::by_ref(&mut file)
            .take(TAIL_BYTES_MAX)
            .read_to_end(&mut tail)?;
        let tail = String::from_utf8_lossy(&tail);
        let previous = tail.lines().next_back().map_or_else(|| NO_LINE.to_owned(), hash);
        Ok(Log { file, previous })
    }

    /// Appends one line, in one write so that it is there whole or not at all.
    ///
    /// # Errors
    /// What write(2) gives; the helper must stop, since it may not act unseen.
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<()> {
        let mut line = self.line(entry, SystemTime::now());
        self.previous = hash(&line);
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }

    fn line(&self, entry: &Entry<'_>, now: SystemTime) -> String {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (tenant, subject) = entry
            .by
            .map_or(("-", "-"), |by| (by.tenant.as_str(), by.subject.as_str()));
        let verdict = match entry.result {
            Ok(()) => "ok",
            Err(ErrorCode::Refused) => "refused",
            Err(_) => "failed",
        };
        let mut line = format!(
            "prev={} time={}.{:06} tenant={tenant} subject={subject} op={} object=\"{}\" verdict={verdict} us={}",
            self.previous,
            since.as_secs(),
            since.subsec_micros(),
            entry.operation,
            entry.object.escape_default(),
            entry.took.as_micros(),
        );
        if let Err(code) = entry.result {
            // Writing to a string cannot fail.
            let _ = write!(line, " code={code:?}");
        }
        line
    }

    /// The log's file, for limiting what can be done with its descriptor.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Checks a whole log; gives the number of its lines.
///
/// # Errors
/// The number (from 1) of the first line that does not name the hash of the line before it.
pub fn verify(log: &str) -> std::result::Result<usize, usize> {
    let mut previous = NO_LINE.to_owned();
    let mut count = 0;
    for line in log.lines() {
        count += 1;
        if line.strip_prefix("prev=").and_then(|rest| rest.split(' ').next()) != Some(previous.as_str()) {
            return Err(count);
        }
        previous = hash(line);
    }
    Ok(count)
}

fn hash(line: &str) -> String {
    Sha256::digest(line.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    fn entry<'a>(object: &'a str) -> Entry<'a> {
        Entry {
            by: None,
            operation: "Clone",
            object,
            result: Ok(()),
            took: Duration::from_micros(7),
        }
    }

    fn log_of(objects: &[&str]) -> String {
        let path = std::env::temp_dir().join(format!("cb-audit-{}-{}", std::process::id(), objects.len()));
        let _ = std::fs::remove_file(&path);
        for object in objects {
            let file = OpenOptions::new()
                .create(true)
                .read(true)
                .append(true)
                .open(&path)
                .unwrap();
            Log::open(file).unwrap().append(&entry(object)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text
    }

    #[test]
    fn a_log_reopened_for_each_line_still_chains() {
        assert_eq!(verify(&log_of(&["a", "b\nc", "d"])), Ok(3));
    }

    #[test]
    fn a_changed_line_is_found_at_the_line_after_it() {
        let log = log_of(&["a", "b", "c", "d"]).replace("object=\"b\"", "object=\"x\"");
        assert_eq!(verify(&log), Err(3));
    }

    #[test]
    fn a_dropped_line_is_found() {
        let log = log_of(&["a", "b", "c", "d", "e"]);
        let kept: Vec<&str> = log
            .lines()
            .enumerate()
            .filter(|(n, _)| *n != 1)
            .map(|(_, line)| line)
            .collect();
        assert_eq!(verify(&kept.join("\n")), Err(2));
    }
}
