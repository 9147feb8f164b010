//! The wanted entries of a log, oldest first.

use super::place::{self, Part};
use super::{LogEntry, LogPlan};
use std::collections::VecDeque;
use std::io::{Result, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::sync::{mpsc, watch};

/// Entries read ahead of a client. Small: the file is the buffer.
const ENTRIES_AHEAD: usize = 64;

/// Bytes of one step when the last lines are looked for from the end.
const BACKWARD_STEP_BYTES: u64 = 64 * 1024;

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
pub fn read(plan: &LogPlan, query: LogQuery, follow: Option<Follow>) -> mpsc::Receiver<LogEntry> {
    let (entries, receiver) = mpsc::channel(ENTRIES_AHEAD);
    let mut reading = Reading {
        path: plan.path.clone(),
        // Without somebody who follows, what is there now is all.
        rotates: plan.file_bytes_max.is_some() && follow.is_some(),
        query,
        entries,
        line: Vec::new(),
    };
    tokio::spawn(async move {
        if let Err(error) = reading.send_all(follow).await {
            tracing::debug!(%error, "log not read");
        }
    });
    receiver
}

/// What comes after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The entry after it, if there is one.
    GoOn,
    /// Nothing: nobody reads, or the last wanted one was sent.
    Stop,
}

struct Reading {
    path: PathBuf,
    /// Whether a new file may be begun while this reads.
    rotates: bool,
    query: LogQuery,
    entries: mpsc::Sender<LogEntry>,
    /// The beginning of a line whose end is not written yet.
    line: Vec<u8>,
}

impl Reading {
    async fn send_all(&mut self, mut follow: Option<Follow>) -> Result<()> {
        let mut parts = VecDeque::from(at_files(&self.path, None).await?);
        let mut skip = match self.query.tail {
            Some(lines) => Some(self.tail_begins(&mut parts, lines).await?),
            None => None,
        };
        let mut now: Option<BufReader<File>> = None;
        loop {
            while let Some(part) = parts.pop_front() {
                let mut file = laid_out(part, &self.path).await?;
                if let Some(offset) = skip.take() {
                    file.seek(SeekFrom::Start(offset)).await?;
                }
                let mut reader = BufReader::new(file);
                self.line.clear();
                if self.send_lines(&mut reader).await? == Next::Stop {
                    return Ok(());
                }
                now = Some(reader);
            }
            let Some(reader) = &mut now else { return Ok(()) };
            if self.send_lines(reader).await? == Next::Stop {
                return Ok(());
            }
            if self.rotates {
                let newer = at_files(&self.path, Some(reader.get_ref())).await?;
                if !newer.is_empty() {
                    // What was written to the full file before the next one was begun.
                    if self.send_lines(reader).await? == Next::Stop {
                        return Ok(());
                    }
                    parts = newer.into();
                    continue;
                }
                begin_again_if_emptied(reader).await?;
            }
            let Some(Follow { changes, over }) = &mut follow else {
                return Ok(());
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
                // One more round: what was written before the end is read after it.
                () = over => follow = None,
                () = self.entries.closed() => return Ok(()),
            }
        }
    }

    /// Sends every whole line from where the reader is.
    async fn send_lines(&mut self, reader: &mut BufReader<File>) -> Result<Next> {
        while reader.read_until(b'\n', &mut self.line).await? > 0 && self.line.ends_with(b"\n") {
            // A damaged line (a crash while writing) is passed over.
            let entry = serde_json::from_slice::<LogEntry>(&self.line).ok();
            self.line.clear();
            let Some(entry) = entry else { continue };
            if self.query.is_past(&entry) {
                return Ok(Next::Stop);
            }
            if self.query.wants(&entry) && self.entries.send(entry).await.is_err() {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::GoOn)
    }

    /// Leaves the files that hold the last `lines` wanted lines; gives where they begin in the first of those.
    async fn tail_begins(&self, parts: &mut VecDeque<Part>, lines: usize) -> Result<u64> {
        let mut left = lines;
        let mut kept = VecDeque::new();
        let mut begins = 0;
        while let Some(part) = parts.pop_back() {
            let mut file = laid_out(part, &self.path).await?;
            let (start, found) = start_of_last_lines(&mut file, left, &self.query).await?;
            file.seek(SeekFrom::Start(0)).await?;
            begins = start;
            kept.push_front(Part::plain(file.into_std().await));
            left -= found;
            if left == 0 {
                break;
            }
        }
        *parts = kept;
        Ok(begins)
    }
}

/// The files of a log; with `read`, those after it.
async fn at_files(path: &Path, read: Option<&File>) -> Result<Vec<Part>> {
    let path = path.to_owned();
    let read = match read {
        Some(file) => Some(file.try_clone().await?.into_std().await),
        None => None,
    };
    blocking(move || match read {
        Some(read) => place::after(&path, &read),
        None => place::all(&path),
    })
    .await
}

async fn laid_out(part: Part, path: &Path) -> Result<File> {
    let path = path.to_owned();
    blocking(move || part.lay_out(&path)).await.map(File::from_std)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

/// A log of one file is emptied when it is full.
async fn begin_again_if_emptied(reader: &mut BufReader<File>) -> Result<()> {
    let at = reader.stream_position().await?;
    if reader.get_ref().metadata().await?.len() < at {
        reader.seek(SeekFrom::Start(0)).await?;
    }
    Ok(())
}

/// Where the last `lines` wanted lines of a file begin, and how many there are, found from the end so that a long log is not
/// read whole.
async fn start_of_last_lines(file: &mut File, lines: usize, query: &LogQuery) -> Result<(u64, usize)> {
    let mut start = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok((start, 0));
    }
    let (mut found, mut begins) = (0, 0);
    let mut cut: Vec<u8> = Vec::new();
    while start > 0 && found < lines {
        let step = BACKWARD_STEP_BYTES.min(start);
        start -= step;
        file.seek(SeekFrom::Start(start)).await?;
        let mut block = vec![0; usize::try_from(step).unwrap_or_default()];
        file.read_exact(&mut block).await?;
        block.append(&mut cut);
        // The first line of a block may be cut; the next block has the rest of it.
        let whole = if start == 0 {
            0
        } else {
            block
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(block.len(), |end| end + 1)
        };
        let mut offset = block.len();
        for line in block[whole..].split_inclusive(|byte| *byte == b'\n').rev() {
            offset -= line.len();
            if serde_json::from_slice::<LogEntry>(line).is_ok_and(|entry| query.wants(&entry)) {
                found += 1;
                begins = start + offset as u64;
            }
            if found == lines {
                break;
            }
        }
        block.truncate(whole);
        cut = block;
    }
    Ok((if found == lines { begins } else { 0 }, found))
}
