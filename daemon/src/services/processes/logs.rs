//! Container logs in Docker's json-file format: one JSON object a line, `{"log":…,"stream":…,"time":…}`.
//!
//! Rotation comes with the log options (`max-size`, `max-file`), which are refused until then.

use crate::kernel::limits::LOG_ENTRY_BYTES_MAX;
use crate::services::clock;
use docker_api::stream::StreamKind;
use docker_api::timestamps;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;
use std::pin::Pin;
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::sync::{mpsc, watch};

/// Entries read ahead of a client. Small: the file is the buffer.
const ENTRIES_AHEAD: usize = 64;

/// Bytes of one step when the last lines are looked for from the end.
const BACKWARD_STEP_BYTES: u64 = 64 * 1024;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The text; ends with a newline unless the line was longer than an entry or the output ended without one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it was read from the container (RFC 3339 with nanoseconds).
    pub time: String,
}

impl LogEntry {
    /// The entry's time; entries with a damaged time count as oldest.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        timestamps::parse_rfc3339(&self.time).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Writes a container's log.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    /// Beginnings of lines, by stream.
    partial: BTreeMap<u8, Vec<u8>>,
    failed: bool,
}

impl LogWriter {
    /// Opens the log for appending.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(LogWriter {
            file,
            partial: BTreeMap::new(),
            failed: false,
        })
    }

    /// Takes output as it comes, writes the lines that are whole.
    pub async fn write(&mut self, kind: StreamKind, bytes: &[u8]) {
        let mut out = Vec::new();
        let partial = self.partial.entry(kind.to_byte()).or_default();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            partial.extend_from_slice(piece);
            while partial.len() > LOG_ENTRY_BYTES_MAX {
                let rest = partial.split_off(LOG_ENTRY_BYTES_MAX);
                entry_line(kind, &std::mem::replace(partial, rest), &mut out);
            }
            if partial.ends_with(b"\n") {
                entry_line(kind, &std::mem::take(partial), &mut out);
            }
        }
        self.put(&out);
    }

    /// The stream has ended: writes what is left of a line.
    pub async fn finish(&mut self, kind: StreamKind) {
        let mut out = Vec::new();
        if let Some(rest) = self
            .partial
            .remove(&kind.to_byte())
            .filter(|rest| !rest.is_empty())
        {
            entry_line(kind, &rest, &mut out);
        }
        self.put(&out);
    }

    fn put(&mut self, lines: &[u8]) {
        // Appended in one write to the page cache; the container must not wait for the disk. A full disk stops logging, not
        // the container, and is said once.
        if let (Err(error), false) = (self.file.write_all(lines), self.failed) {
            self.failed = true;
            tracing::error!(%error, "a container's log cannot be written");
        }
    }
}

fn entry_line(kind: StreamKind, text: &[u8], out: &mut Vec<u8>) {
    let entry = LogEntry {
        log: String::from_utf8_lossy(text).into_owned(),
        stream: stream_name(kind).to_owned(),
        time: clock::text(clock::now_ns()),
    };
    // Three strings always have a JSON form.
    if serde_json::to_writer(&mut *out, &entry).is_ok() {
        out.push(b'\n');
    }
}

fn stream_name(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Stdin | StreamKind::Stdout => "stdout",
        StreamKind::Stderr | StreamKind::SystemError => "stderr",
    }
}

/// What of a log is wanted.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Only entries from then on.
    pub since: Option<OffsetDateTime>,
    /// Only entries up to then.
    pub until: Option<OffsetDateTime>,
    /// Only the last so many; none means all.
    pub tail: Option<usize>,
}

impl LogQuery {
    fn wants(&self, entry: &LogEntry) -> bool {
        let stream = if entry.stream == "stderr" {
            self.stderr
        } else {
            self.stdout
        };
        stream && self.since.is_none_or(|since| entry.at() >= since)
    }

    fn is_past(&self, entry: &LogEntry) -> bool {
        self.until.is_some_and(|until| entry.at() > until)
    }
}

/// How to go on when a log has been read to its end.
pub struct Follow {
    /// Changes when the log has grown.
    pub changes: watch::Receiver<u64>,
    /// Completes when nothing more will be written.
    pub over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Sends the wanted entries of a log, and with `follow` what comes after them until the run is over.
#[must_use]
pub fn read(path: std::path::PathBuf, query: LogQuery, follow: Option<Follow>) -> mpsc::Receiver<LogEntry> {
    let (entries, receiver) = mpsc::channel(ENTRIES_AHEAD);
    tokio::spawn(async move {
        if let Err(error) = send_entries(&path, &query, follow, &entries).await {
            tracing::debug!(%error, "log not read");
        }
    });
    receiver
}

async fn send_entries(
    path: &Path,
    query: &LogQuery,
    mut follow: Option<Follow>,
    entries: &mpsc::Sender<LogEntry>,
) -> Result<()> {
    let mut file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        // Nothing was ever written.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && follow.is_none() => return Ok(()),
        Err(_) => {
            tokio::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .open(path)
                .await?
        }
    };
    if let Some(lines) = query.tail {
        let start = start_of_last_lines(&mut file, lines, query).await?;
        file.seek(std::io::SeekFrom::Start(start)).await?;
    }
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        while reader.read_until(b'\n', &mut line).await? > 0 && line.ends_with(b"\n") {
            // A damaged line (a crash while writing) is passed over.
            if let Ok(entry) = serde_json::from_slice::<LogEntry>(&line)
                && (query.is_past(&entry) || (query.wants(&entry) && entries.send(entry).await.is_err()))
            {
                return Ok(());
            }
            line.clear();
        }
        let Some(Follow { changes, over }) = &mut follow else {
            return Ok(());
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            // One more round: what was written before the end is read after it.
            () = over => follow = None,
            () = entries.closed() => return Ok(()),
        }
    }
}

/// Where the last `lines` wanted lines begin, found from the end so that a long log is not read whole.
async fn start_of_last_lines(file: &mut tokio::fs::File, lines: usize, query: &LogQuery) -> Result<u64> {
    let mut start = file.seek(std::io::SeekFrom::End(0)).await?;
    let end = start;
    if lines == 0 {
        return Ok(end);
    }
    let mut tail: Vec<u8> = Vec::new();
    while start > 0 {
        let step = BACKWARD_STEP_BYTES.min(start);
        start -= step;
        file.seek(std::io::SeekFrom::Start(start)).await?;
        let mut block = vec![0; usize::try_from(step).unwrap_or_default()];
        file.read_exact(&mut block).await?;
        block.append(&mut tail);
        tail = block;
        if let Some(offset) = offset_of_last(&tail, lines, query, start == 0) {
            return Ok(start + offset as u64);
        }
    }
    Ok(0)
}

/// The offset in `tail` of the `lines`th wanted line from its end. The first line may be cut unless `whole`.
fn offset_of_last(tail: &[u8], lines: usize, query: &LogQuery, whole: bool) -> Option<usize> {
    let mut offset = tail.len();
    let mut found = 0;
    for line in tail.split_inclusive(|b| *b == b'\n').rev() {
        offset -= line.len();
        if offset == 0 && !whole {
            return None;
        }
        if serde_json::from_slice::<LogEntry>(line).is_ok_and(|entry| query.wants(&entry)) {
            found += 1;
        }
        if found == lines {
            return Some(offset);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(tail: Option<usize>) -> LogQuery {
        LogQuery {
            stdout: true,
            stderr: true,
            since: None,
            until: None,
            tail,
        }
    }

    async fn texts(path: &Path, query: LogQuery) -> Vec<String> {
        let mut entries = read(path.to_owned(), query, None);
        let mut texts = Vec::new();
        while let Some(entry) = entries.recv().await {
            texts.push(entry.log);
        }
        texts
    }

    fn path(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("cb-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[tokio::test]
    async fn lines_are_put_together_and_long_ones_split() {
        let path = path("lines");
        let mut log = LogWriter::open(&path).unwrap();
        log.write(StreamKind::Stdout, b"a\nb").await;
        log.write(StreamKind::Stderr, b"e\n").await;
        log.write(StreamKind::Stdout, b"c\n").await;
        log.write(StreamKind::Stdout, &vec![b'x'; LOG_ENTRY_BYTES_MAX + 5])
            .await;
        log.finish(StreamKind::Stdout).await;
        let texts = texts(&path, query(None)).await;
        assert_eq!(texts[..3], ["a\n", "e\n", "bc\n"]);
        assert_eq!((texts[3].len(), texts[4].len()), (LOG_ENTRY_BYTES_MAX, 5));
    }

    #[tokio::test]
    async fn the_last_lines_are_found_from_the_end() {
        let path = path("tail");
        let mut log = LogWriter::open(&path).unwrap();
        for number in 0..5000 {
            log.write(StreamKind::Stdout, format!("line {number}\n").as_bytes())
                .await;
        }
        assert_eq!(texts(&path, query(Some(2))).await, ["line 4998\n", "line 4999\n"]);
        assert_eq!(texts(&path, query(Some(0))).await, Vec::<String>::new());
        assert_eq!(texts(&path, query(Some(3000))).await.len(), 3000);
        assert_eq!(texts(&path, query(Some(9000))).await.len(), 5000);
    }

    #[tokio::test]
    async fn a_follower_gets_everything_up_to_the_end_of_the_run() {
        let path = path("follow");
        let mut log = LogWriter::open(&path).unwrap();
        log.write(StreamKind::Stdout, b"first\n").await;
        let (changes, watched) = watch::channel(0);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let over = Box::pin(async move {
            let _ = ended.await;
        });
        let mut entries = read(
            path.clone(),
            query(None),
            Some(Follow {
                changes: watched,
                over,
            }),
        );
        assert_eq!(entries.recv().await.unwrap().log, "first\n");
        log.write(StreamKind::Stdout, b"second\n").await;
        changes.send_replace(1);
        assert_eq!(entries.recv().await.unwrap().log, "second\n");
        log.write(StreamKind::Stdout, b"last\n").await;
        drop(end);
        assert_eq!(entries.recv().await.unwrap().log, "last\n");
        assert!(entries.recv().await.is_none());
    }
}
