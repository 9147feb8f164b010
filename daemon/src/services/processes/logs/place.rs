//! The files of a log: the current one, and the full ones before it, the newest first (`.1`, `.2`, …).

use super::LogPlan;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Seek, copy};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Files of one log. dockerd has no limit; each is open while the log is read.
pub const FILES_MAX: usize = 1000;

/// Bytes of one line: an entry's text with every byte escaped (six for one), its attributes and time.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// The name of a full file.
pub(super) fn full(path: &Path, number: usize) -> PathBuf {
    with(path, &format!(".{number}"))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn compressed(path: &Path) -> PathBuf {
    with(path, ".gz")
}

/// Makes room for a new current file: every file gets the next number, and the oldest goes. With one file only, what is in it
/// goes.
///
/// # Errors
/// What rename(2) and the like give.
pub(super) fn rotate(plan: &LogPlan, current: &File) -> Result<File> {
    if plan.files_max <= 1 {
        current.set_len(0)?;
        return current.try_clone();
    }
    let oldest = full(&plan.path, plan.files_max - 1);
    for gone in [compressed(&oldest), oldest] {
        accept_missing(std::fs::remove_file(gone))?;
    }
    for number in (1..plan.files_max - 1).rev() {
        let (from, to) = (full(&plan.path, number), full(&plan.path, number + 1));
        accept_missing(std::fs::rename(compressed(&from), compressed(&to)))?;
        accept_missing(std::fs::rename(from, to))?;
    }
    std::fs::rename(&plan.path, full(&plan.path, 1))?;
    open(&plan.path)
}

/// Opens the current file for appending.
///
/// # Errors
/// What open(2) gives.
pub(super) fn open(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn accept_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Compresses the newest full file. A reader finds either form, and never half of one.
///
/// # Errors
/// What the system gives.
pub(super) fn compress(path: &Path) -> Result<()> {
    let plain = full(path, 1);
    let mut from = match File::open(&plain) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let unfinished = with(path, ".compressing");
    let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    std::fs::rename(unfinished, compressed(&plain))?;
    std::fs::remove_file(plain)
}

/// A file of a log, opened for reading.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    is_compressed: bool,
}

impl Part {
    /// One that is laid out already.
    pub(super) fn plain(file: File) -> Self {
        Part {
            file,
            is_compressed: false,
        }
    }

    /// The newest: made if it is not there, so that it can be followed.
    fn current(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        Ok(Part::plain(
            options.create(true).append(true).read(true).open(path)?,
        ))
    }

    /// A full one; none where it is there in neither form.
    fn full(path: &Path, number: usize) -> Result<Option<Self>> {
        let plain = full(path, number);
        // It may be compressed between two looks.
        for _ in 0..2 {
            for (name, is_compressed) in [(&plain, false), (&compressed(&plain), true)] {
                match File::open(name) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    other => {
                        return Ok(Some(Part {
                            file: other?,
                            is_compressed,
                        }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The file to read. A compressed one is laid out in a file without a name, beside the log.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn lay_out(self, path: &Path) -> Result<File> {
        if !self.is_compressed {
            return Ok(self.file);
        }
        let name = with(path, &format!(".read.{}", crate::services::naming::new_id()));
        let mut options = OpenOptions::new();
        let mut file = options.create_new(true).read(true).write(true).open(&name)?;
        std::fs::remove_file(name)?;
        copy(&mut GzDecoder::new(self.file), &mut file)?;
        file.rewind()?;
        Ok(file)
    }

    /// Its first entry, by which it is known: an entry has a time of its own.
    fn beginning(&self) -> Result<Vec<u8>> {
        if self.is_compressed {
            let line = first_line(GzDecoder::new(&self.file));
            (&self.file).rewind()?;
            line
        } else {
            first_line(At {
                file: &self.file,
                offset: 0,
            })
        }
    }
}

/// Reads a file without moving where others read it.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

fn first_line(from: impl Read) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(from.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Every file of a log, oldest first.
///
/// # Errors
/// What open(2) gives.
pub(super) fn all(path: &Path) -> Result<Vec<Part>> {
    let mut parts = vec![Part::current(path)?];
    for number in 1..FILES_MAX {
        match Part::full(path, number)? {
            Some(part) => parts.push(part),
            None => break,
        }
    }
    oldest_first(parts)
}

/// Turns files that were looked for from the newest on. A log whose files move on by a number meanwhile shows one of them twice,
/// and passes over none; so each is kept once, by what it begins with when all are open.
fn oldest_first(newest_first: Vec<Part>) -> Result<Vec<Part>> {
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    for part in newest_first {
        let beginning = part.beginning()?;
        if beginning.is_empty() || seen.insert(beginning) {
            parts.push(part);
        }
    }
    parts.reverse();
    Ok(parts)
}

/// The files after one that was the current one, oldest first; none where it still is.
///
/// # Errors
/// What open(2) gives.
pub(super) fn after(path: &Path, read: &File) -> Result<Vec<Part>> {
    let current = Part::current(path)?;
    let (now, before) = (current.file.metadata()?, read.metadata()?);
    if (now.dev(), now.ino()) == (before.dev(), before.ino()) {
        return Ok(Vec::new());
    }
    let beginning = first_line(At {
        file: read,
        offset: 0,
    })?;
    let mut newer = vec![current];
    for number in 1..FILES_MAX {
        match Part::full(path, number)? {
            Some(part) if part.beginning()? == beginning => break,
            Some(part) => newer.push(part),
            None => break,
        }
    }
    oldest_first(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_moved_on_meanwhile_is_read_once() {
        let folder = std::env::temp_dir().join(format!("cb-logs-{}", crate::services::naming::new_id()));
        std::fs::create_dir(&folder).unwrap();
        let part = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            Part::plain(File::open(folder.join(name)).unwrap())
        };
        let parts = vec![
            part("now", ""),
            part("new", "3\n4\n"),
            part("again", "3\n4\n"),
            part("old", "1\n2\n"),
        ];
        let beginnings: Vec<_> = oldest_first(parts)
            .unwrap()
            .iter()
            .map(|part| part.beginning().unwrap())
            .collect();
        assert_eq!(beginnings, [b"1\n".to_vec(), b"3\n".to_vec(), Vec::new()]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
