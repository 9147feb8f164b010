//! Output in, lines out.

use super::{LogEntry, LogPlan, place};
use crate::kernel::limits::LOG_ENTRY_BYTES_MAX;
use crate::services::clock;
use base64::Engine as _;
use docker_api::stream::StreamKind;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Result, Write};
use tokio::task::JoinHandle;

/// Writes a container's log.
#[derive(Debug)]
pub struct LogWriter {
    plan: LogPlan,
    file: File,
    file_bytes: u64,
    /// Beginnings of lines, by stream.
    partial: BTreeMap<u8, Vec<u8>>,
    failed: bool,
    /// A full file is being compressed.
    compressing: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Opens the log for appending.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open(plan: LogPlan) -> Result<Self> {
        let file = place::open(&plan.path)?;
        Ok(LogWriter {
            file_bytes: file.metadata()?.len(),
            plan,
            file,
            partial: BTreeMap::new(),
            failed: false,
            compressing: None,
        })
    }

    /// Takes output as it comes, writes the lines that are whole.
    pub async fn write(&mut self, kind: StreamKind, bytes: &[u8]) {
        let mut lines = Vec::new();
        let partial = self.partial.entry(kind.to_byte()).or_default();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            partial.extend_from_slice(piece);
            while partial.len() > LOG_ENTRY_BYTES_MAX {
                let rest = partial.split_off(LOG_ENTRY_BYTES_MAX);
                lines.push(std::mem::replace(partial, rest));
            }
            if partial.ends_with(b"\n") {
                lines.push(std::mem::take(partial));
            }
        }
        self.put(kind, &lines).await;
    }

    /// The stream has ended: writes what is left of a line.
    pub async fn finish(&mut self, kind: StreamKind) {
        let rest = self.partial.remove(&kind.to_byte());
        let rest: Vec<Vec<u8>> = rest.into_iter().filter(|rest| !rest.is_empty()).collect();
        self.put(kind, &rest).await;
    }

    async fn put(&mut self, kind: StreamKind, lines: &[Vec<u8>]) {
        let mut out = Vec::new();
        for line in lines {
            self.add_entry(kind, line, &mut out);
            let full = self.plan.file_bytes_max;
            if full.is_some_and(|full| self.file_bytes + out.len() as u64 >= full) {
                self.append(&out);
                out.clear();
                self.rotate().await;
            }
        }
        self.append(&out);
    }

    fn append(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        // Appended in one write to the page cache; the container must not wait for the disk. A full disk stops logging, not
        // the container, and is said once.
        match self.file.write_all(lines) {
            Ok(()) => self.file_bytes += lines.len() as u64,
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &std::io::Error) {
        if !self.failed {
            self.failed = true;
            tracing::error!(%error, "a container's log cannot be written");
        }
    }

    async fn rotate(&mut self) {
        if let Some(compressing) = self.compressing.take() {
            // One that failed has said so.
            let _ = compressing.await;
        }
        match place::rotate(&self.plan, &self.file) {
            Ok(file) => (self.file, self.file_bytes) = (file, 0),
            Err(error) => return self.fail(&error),
        }
        if self.plan.compress {
            let path = self.plan.path.clone();
            self.compressing = Some(tokio::task::spawn_blocking(move || {
                if let Err(error) = place::compress(&path) {
                    tracing::warn!(%error, "a full log file was not compressed");
                }
            }));
        }
    }

    fn add_entry(&self, kind: StreamKind, text: &[u8], out: &mut Vec<u8>) {
        let log = String::from_utf8_lossy(text).into_owned();
        let raw = if self.plan.keeps_bytes && log.as_bytes() != text {
            base64::engine::general_purpose::STANDARD.encode(text)
        } else {
            String::new()
        };
        let entry = LogEntry {
            log,
            stream: stream_name(kind).to_owned(),
            attrs: self.plan.attributes.clone(),
            time: clock::text(clock::now_ns()),
            raw,
        };
        // Strings always have a JSON form.
        if serde_json::to_writer(&mut *out, &entry).is_ok() {
            out.push(b'\n');
        }
    }
}

fn stream_name(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Stdin | StreamKind::Stdout => "stdout",
        StreamKind::Stderr | StreamKind::SystemError => "stderr",
    }
}
