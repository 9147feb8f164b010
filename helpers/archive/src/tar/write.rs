//! Writing an archive: POSIX headers, extended where a value does not fit (pax(1)), and always the same bytes for the same tree.

use super::header::{
    CHECKSUM, GID, LINK, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, SIZE, TYPE, UID, checksums,
};
use super::{BLOCK_BYTES, Entry, Kind, XATTR_PREFIX, padding, pax};
use std::io::{Error, ErrorKind, Result, Write};
use std::ops::Range;

/// An archive being written. Content must follow its entry to the byte.
pub(crate) struct Writer<W> {
    sink: W,
    /// Content bytes that the current entry still needs.
    missing: u64,
    /// Bytes that fill its last block.
    padding: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Writer {
            sink,
            missing: 0,
            padding: 0,
        }
    }

    /// Begins an entry; a directory's name ends with `/`. `pieces` are not looked at: files are written whole, because
    /// readers other than GNU's refuse sparse entries.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.end_entry()?;
        let records = records(entry);
        if !records.is_empty() {
            let name = [b"PaxHeaders.0/", last_part(&entry.name)].concat();
            let header = Fields {
                name: &name,
                link: b"",
                flag: b'x',
                mode: 0o644,
                size: records.len() as u64,
                entry: None,
            };
            self.sink.write_all(&header.block()?)?;
            self.sink.write_all(&records)?;
            self.fill(padding(records.len() as u64))?;
        }
        let header = Fields {
            name: &entry.name,
            link: &entry.link,
            flag: flag(entry.kind),
            mode: entry.mode,
            size: entry.size,
            entry: Some(entry),
        };
        self.sink.write_all(&header.block()?)?;
        (self.missing, self.padding) = (entry.size, padding(entry.size));
        Ok(())
    }

    /// Writes content of the current entry.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let beyond = || Error::new(ErrorKind::InvalidInput, "more content than the entry has");
        self.missing = self.missing.checked_sub(bytes.len() as u64).ok_or_else(beyond)?;
        self.sink.write_all(bytes)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.end_entry()?;
        self.fill(2 * BLOCK_BYTES as u64)?;
        self.sink.flush()
    }

    fn end_entry(&mut self) -> Result<()> {
        if self.missing > 0 {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "less content than the entry has",
            ));
        }
        let filler = std::mem::take(&mut self.padding);
        self.fill(filler)
    }

    fn fill(&mut self, count: u64) -> Result<()> {
        let zeros = [0; 2 * BLOCK_BYTES];
        let count = usize::try_from(count).unwrap_or(zeros.len()).min(zeros.len());
        self.sink.write_all(&zeros[..count])
    }
}

/// What one header block says.
struct Fields<'a> {
    name: &'a [u8],
    link: &'a [u8],
    flag: u8,
    mode: u32,
    size: u64,
    /// The rest, which an extended header's own block leaves at zero.
    entry: Option<&'a Entry>,
}

impl Fields<'_> {
    fn block(&self) -> Result<[u8; BLOCK_BYTES]> {
        let mut block = [0; BLOCK_BYTES];
        put_text(&mut block[NAME], self.name);
        put_text(&mut block[LINK], self.link);
        block[TYPE] = self.flag;
        block[MAGIC].copy_from_slice(b"ustar\x0000");
        put_number(&mut block[MODE], u64::from(self.mode));
        put_number(&mut block[SIZE], self.size);
        let (uid, gid) = self.entry.map_or((0, 0), |entry| (entry.uid, entry.gid));
        put_number(&mut block[UID], u64::from(uid));
        put_number(&mut block[GID], u64::from(gid));
        put_number(
            &mut block[MTIME],
            self.entry
                .map_or(0, |entry| u64::try_from(entry.modified.seconds).unwrap_or(0)),
        );
        let (major, minor) = self.entry.map_or((0, 0), |entry| entry.device);
        for (field, part) in [(MAJOR, major), (MINOR, minor)] {
            if !fits(&field, u64::from(part)) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a device number that tar cannot hold",
                ));
            }
            put_number(&mut block[field], u64::from(part));
        }
        let (sum, _) = checksums(&block);
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        Ok(block)
    }
}

/// The extended header's content: what the plain one cannot hold.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let long = |text: &[u8], field: Range<usize>| text.len() > field.len() || !text.is_ascii();
    if long(&entry.name, NAME) {
        pax::append(&mut records, b"path", &entry.name);
    }
    if long(&entry.link, LINK) {
        pax::append(&mut records, b"linkpath", &entry.link);
    }
    let numbers: [(&[u8], u64, Range<usize>); 3] = [
        (b"size", entry.size, SIZE),
        (b"uid", u64::from(entry.uid), UID),
        (b"gid", u64::from(entry.gid), GID),
    ];
    for (key, value, field) in numbers {
        if !fits(&field, value) {
            pax::append(&mut records, key, value.to_string().as_bytes());
        }
    }
    if !u64::try_from(entry.modified.seconds).is_ok_and(|seconds| fits(&MTIME, seconds)) {
        pax::append(
            &mut records,
            b"mtime",
            entry.modified.seconds.to_string().as_bytes(),
        );
    }
    for (name, value) in &entry.xattrs {
        pax::append(&mut records, &[XATTR_PREFIX, name].concat(), value);
    }
    records
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::Regular => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharacterDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// Whether the number fits a field's octal digits, the last byte being its NUL.
fn fits(field: &Range<usize>, number: u64) -> bool {
    number < 1 << (3 * (field.len() - 1))
}

/// Octal digits, zero-filled. A number that does not fit stands in the extended header, and here as 0.
fn put_number(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let number = if fits(&(0..field.len()), number) {
        number
    } else {
        0
    };
    field[..digits].copy_from_slice(format!("{number:0digits$o}").as_bytes());
}

/// The text as far as it fits, every byte that is not ASCII as `_`; the whole stands in the extended header.
fn put_text(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
}

fn last_part(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'/')
        .rfind(|part| !part.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Piece, Reader, Time};
    use super::*;

    fn entry(name: &[u8], kind: Kind) -> Entry {
        let modified = Time {
            seconds: 1_700_000_000,
            nanoseconds: 0,
        };
        Entry {
            mode: 0o640,
            uid: 7,
            gid: 8,
            modified,
            ..Entry::new(kind, name.to_vec())
        }
    }

    fn round_trip(entries: &[(Entry, &[u8])]) -> Vec<(Entry, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for (entry, content) in entries {
            writer.entry(entry).unwrap();
            writer.content(content).unwrap();
        }
        writer.finish().unwrap();
        assert!(bytes.len().is_multiple_of(BLOCK_BYTES));
        let mut reader = Reader::new(&bytes[..]);
        let mut found = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            let mut content = vec![0; usize::try_from(entry.size).unwrap()];
            let mut done = 0;
            while done < content.len() {
                done += reader.read(&mut content[done..]).unwrap();
            }
            found.push((entry, content));
        }
        found
    }

    #[test]
    fn what_is_written_is_read_back() {
        let whole = |length| vec![Piece { offset: 0, length }];
        let long = [b"d/".repeat(120), b"\xff\xfe".to_vec()].concat();
        let entries = [
            Entry {
                size: 5,
                pieces: whole(5),
                ..entry(b"plain", Kind::Regular)
            },
            Entry {
                size: 512,
                pieces: whole(512),
                ..entry(&long, Kind::Regular)
            },
            Entry {
                link: "ü".repeat(80).into_bytes(),
                ..entry(b"link", Kind::Symlink)
            },
            Entry {
                link: b"plain".to_vec(),
                ..entry(b"hard", Kind::HardLink)
            },
            Entry {
                device: (4000, 1_048_575),
                ..entry(b"dev", Kind::BlockDevice)
            },
            Entry {
                uid: 4_000_000_000,
                gid: 3_000_000,
                ..entry(b"dir/", Kind::Directory)
            },
            Entry {
                modified: Time {
                    seconds: 1 << 33,
                    nanoseconds: 0,
                },
                ..entry(b"future", Kind::Fifo)
            },
            Entry {
                xattrs: vec![(b"security.capability".to_vec(), vec![0, 1, b'=', b'\n'])],
                ..entry(b"c", Kind::Regular)
            },
        ];
        let content: [&[u8]; 2] = [b"hello", &[7; 512]];
        let with_content =
            |(at, entry): (usize, &Entry)| (entry.clone(), content.get(at).copied().unwrap_or_default());
        let wanted: Vec<_> = entries.iter().enumerate().map(with_content).collect();
        let found = round_trip(&wanted);
        assert_eq!(found.len(), wanted.len());
        for ((wanted, content), (found, read)) in wanted.iter().zip(&found) {
            assert_eq!((wanted, *content), (found, &read[..]));
        }
    }

    #[test]
    fn content_must_have_the_stated_length() {
        let mut writer = Writer::new(Vec::new());
        writer
            .entry(&Entry {
                size: 3,
                ..entry(b"a", Kind::Regular)
            })
            .unwrap();
        assert!(writer.content(b"four").is_err());
        let mut writer = Writer::new(Vec::new());
        writer
            .entry(&Entry {
                size: 3,
                ..entry(b"a", Kind::Regular)
            })
            .unwrap();
        writer.content(b"tw").unwrap();
        assert!(writer.finish().is_err());
    }
}
