//! Writing an archive: POSIX headers, extended where a value does not fit (pax(1)), and always the same bytes for the same tree.

use super::header::{
    CHECKSUM, GID, LINK, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, SIZE, TYPE, UID, checksums,
};
use super::{BLOCK_BYTES, Block, Entry, Kind, XATTR_PREFIX, padding, pax};
use std::io::{Read, Result, Write};
use std::ops::Range;

/// An archive being written.
pub(crate) struct Writer<W> {
    sink: W,
    /// Bytes that fill the current entry's last block.
    padding: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Writer { sink, padding: 0 }
    }

    /// Begins an entry, whose content must follow to the byte; a directory's name ends with `/`. `pieces` are not looked
    /// at: files are written whole, because readers other than GNU's refuse sparse entries.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let name = b"PaxHeaders.0".to_vec();
            let extended = Entry {
                mode: 0o644,
                size: records.len() as u64,
                ..Entry::new(Kind::Regular, name)
            };
            self.header(&extended, b'x')?;
            self.content(&records)?;
        }
        self.header(entry, flag(entry.kind))
    }

    /// Writes content of the current entry.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.fill(self.padding + 2 * BLOCK_BYTES as u64)?;
        self.sink.flush()
    }

    fn header(&mut self, entry: &Entry, flag: u8) -> Result<()> {
        self.fill(self.padding)?;
        self.padding = padding(entry.size);
        self.sink.write_all(&header(entry, flag))
    }

    fn fill(&mut self, count: u64) -> Result<()> {
        std::io::copy(&mut std::io::repeat(0).take(count), &mut self.sink).map(drop)
    }
}

fn header(entry: &Entry, flag: u8) -> Block {
    let mut block = [0; BLOCK_BYTES];
    put_text(&mut block[NAME], &entry.name);
    put_text(&mut block[LINK], &entry.link);
    block[TYPE] = flag;
    block[MAGIC].copy_from_slice(b"ustar\x0000");
    let numbers = [
        (MODE, u64::from(entry.mode)),
        (UID, u64::from(entry.uid)),
        (GID, u64::from(entry.gid)),
        (SIZE, entry.size),
        (MTIME, u64::try_from(entry.modified.seconds).unwrap_or(0)),
        (MAJOR, u64::from(entry.device.0)),
        (MINOR, u64::from(entry.device.1)),
    ];
    for (field, number) in numbers {
        put_number(&mut block[field], number);
    }
    let (sum, _) = checksums(&block);
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The extended header's content: what the plain one cannot hold.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    for (key, text, field) in [
        (&b"path"[..], &entry.name, NAME),
        (b"linkpath", &entry.link, LINK),
    ] {
        if text.len() > field.len() || !text.is_ascii() {
            pax::append(&mut records, key, text);
        }
    }
    let (uid, gid) = (i64::from(entry.uid), i64::from(entry.gid));
    let size = i64::try_from(entry.size).unwrap_or(i64::MAX);
    let numbers = [(&b"size"[..], size, SIZE), (b"uid", uid, UID), (b"gid", gid, GID)];
    for (key, number, field) in numbers
        .into_iter()
        .chain([(&b"mtime"[..], entry.modified.seconds, MTIME)])
    {
        if !u64::try_from(number).is_ok_and(|number| fits(field, number)) {
            pax::append(&mut records, key, number.to_string().as_bytes());
        }
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
fn fits(field: Range<usize>, number: u64) -> bool {
    number < 1 << (3 * (field.len() - 1))
}

/// Octal digits, zero-filled. What does not fit stands in the extended header too, except for device numbers, which have no
/// record: the field holds it in GNU's binary form, which every reader knows.
fn put_number(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    if fits(0..field.len(), number) {
        field[..digits].copy_from_slice(format!("{number:0digits$o}").as_bytes());
    } else {
        for (byte, from) in field.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte = from;
        }
        field[0] |= 0x80;
    }
}

/// The text as far as it fits, every byte that is not ASCII as `_`; the whole stands in the extended header.
fn put_text(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
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
        while let Some(mut entry) = reader.next().unwrap() {
            // A file without content has a piece without bytes.
            entry.pieces.retain(|piece| piece.length > 0);
            let mut content = vec![0; usize::try_from(entry.size).unwrap()];
            let mut done = 0;
            while done < content.len() {
                done += reader.read(&mut content[done..], u64::MAX).unwrap();
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
}
