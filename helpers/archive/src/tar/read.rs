//! Reading an archive entry by entry, from a stream that nobody trusts.

use super::header::{GID, Header, MODE, MTIME, SIZE, UID, text};
use super::pax::Records;
use super::{BLOCK_BYTES, Block, EXTENSION_BYTES_MAX, Entry, Kind, Piece, Time};
use super::{invalid, padding, read_failed, sparse};
use crate::error::bad;
use protocol::Answer;
use std::io::{ErrorKind, Read, copy, sink};

/// An archive being read.
pub(crate) struct Reader<R> {
    source: R,
    /// Stored bytes of the current entry that are not read yet.
    left: u64,
    /// Bytes that fill the current entry's last block.
    padding: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Reader {
            source,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry; `None` at the archive's end. What is left of the current one's content is passed over.
    pub(crate) fn next(&mut self) -> Answer<Option<Entry>> {
        if self.pass(self.left)? < self.left {
            return Err(read_failed(ErrorKind::UnexpectedEof.into()));
        }
        // Where the padding is missing the archive is taken to have ended, as Go does.
        self.pass(self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut records = Records::default();
        while let Some(header) = self.header()? {
            match header.type_flag() {
                b'x' => records.read(&self.extension(&header)?)?,
                // Global headers hold a comment in practice; dockerd ignores them too.
                b'g' => drop(self.extension(&header)?),
                b'L' => records.set(b"path", text(&self.extension(&header)?)),
                b'K' => records.set(b"linkpath", text(&self.extension(&header)?)),
                _ => return self.entry(&header, records).map(Some),
            }
        }
        Ok(None)
    }

    /// Reads the next stored bytes of the current entry, as many as there are, as wanted, and as the buffer takes; how many.
    pub(crate) fn read(&mut self, buffer: &mut [u8], wanted: u64) -> Answer<usize> {
        let left = usize::try_from(wanted.min(self.left)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let filled = self.source.read_exact(&mut buffer[..count]);
        filled.map_err(read_failed)?;
        self.left -= count as u64;
        Ok(count)
    }

    /// Reads the rest of the stream, so that its writer is not stopped by a broken pipe over trailing zeros.
    pub(crate) fn drain(mut self) -> Answer<()> {
        self.pass(u64::MAX).map(drop)
    }

    fn header(&mut self) -> Answer<Option<Header>> {
        let zeros = [0; BLOCK_BYTES];
        match self.block()? {
            // Two zero blocks end an archive; one before the stream's end will do.
            Some(block) if block == zeros => match self.block()? {
                Some(second) if second != zeros => Err(invalid()),
                Some(_) | None => Ok(None),
            },
            block => block.map(Header::new).transpose(),
        }
    }

    fn entry(&mut self, header: &Header, records: Records) -> Answer<Entry> {
        let name = |key| records.get(key).map(<[u8]>::to_vec);
        let count = |key, field| match records.count(key)? {
            Some(count) => Ok(count),
            None => header.count(field),
        };
        let kind = kind(header.type_flag())?;
        // Of other kinds the size means nothing; no content follows.
        self.left = if kind == Kind::Regular {
            count(b"size", SIZE)?
        } else {
            0
        };
        self.padding = padding(self.left);
        let (size, pieces) = self.pieces(header, &records)?;
        let modified = match records.time(b"mtime")? {
            Some(time) => time,
            None => Time::at(header.number(MTIME)?),
        };
        let sparse_name = name(b"GNU.sparse.name").or_else(|| name(b"path"));
        let entry = Entry {
            kind,
            name: sparse_name.unwrap_or_else(|| header.name()),
            link: name(b"linkpath").unwrap_or_else(|| header.link()),
            mode: (header.number(MODE)? & 0o7777) as u32,
            uid: owner(count(b"uid", UID)?)?,
            gid: owner(count(b"gid", GID)?)?,
            size,
            // Times that no file system can keep become 1970, as dockerd has it.
            modified: Some(modified).filter(Time::is_common).unwrap_or_default(),
            device: header.device()?,
            xattrs: records.xattrs(),
            pieces,
        };
        // Before POSIX a directory was told by its name.
        let is_old_directory = header.type_flag() == 0 && entry.name.ends_with(b"/");
        if is_old_directory {
            Ok(Entry {
                kind: Kind::Directory,
                ..entry
            })
        } else {
            Ok(entry)
        }
    }

    /// The size of a file with its holes, and where its stored bytes belong.
    fn pieces(&mut self, header: &Header, records: &Records) -> Answer<(u64, Vec<Piece>)> {
        let real_size = records.count(b"GNU.sparse.realsize")?;
        let version = (records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor"));
        let (size, pieces) = match (header.type_flag(), version, real_size) {
            // The extension blocks belong to the header: they are not counted in the stored size.
            (b'S', ..) => sparse::in_header(header, || self.whole_block())?,
            (_, (Some(b"1"), Some(b"0")), Some(size)) => (size, self.map_in_content()?),
            // Half a map, or one of another version: the content would come out wrong.
            (..) if records.has_prefix(b"GNU.sparse.") => return Err(invalid()),
            (..) => (
                self.left,
                vec![Piece {
                    offset: 0,
                    length: self.left,
                }],
            ),
        };
        sparse::check(size, &pieces, self.left)?;
        Ok((size, pieces))
    }

    fn map_in_content(&mut self) -> Answer<Vec<Piece>> {
        sparse::in_content(|| {
            self.left = self.left.checked_sub(BLOCK_BYTES as u64).ok_or_else(invalid)?;
            self.whole_block()
        })
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Answer<Vec<u8>> {
        let size = header.count(SIZE)?;
        if size > EXTENSION_BYTES_MAX {
            return Err(bad("archive/tar: header field too long"));
        }
        let mut content = vec![0; size as usize];
        self.source.read_exact(&mut content).map_err(read_failed)?;
        self.pass(padding(size))?;
        Ok(content)
    }

    fn whole_block(&mut self) -> Answer<Block> {
        let ended = || read_failed(ErrorKind::UnexpectedEof.into());
        self.block()?.ok_or_else(ended)
    }

    fn block(&mut self) -> Answer<Option<Block>> {
        let (mut block, mut rest) = ([0; BLOCK_BYTES], self.source.by_ref().take(1));
        // The end of the stream may only be between two blocks.
        if copy(&mut rest, &mut &mut block[..]).map_err(read_failed)? == 0 {
            return Ok(None);
        }
        self.source.read_exact(&mut block[1..]).map_err(read_failed)?;
        Ok(Some(block))
    }

    /// Passes over bytes as far as the stream goes; how far.
    fn pass(&mut self, count: u64) -> Answer<u64> {
        copy(&mut self.source.by_ref().take(count), &mut sink()).map_err(read_failed)
    }
}

fn kind(flag: u8) -> Answer<Kind> {
    match flag {
        0 | b'0' | b'S' => Ok(Kind::Regular),
        b'1' => Ok(Kind::HardLink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::CharacterDevice),
        b'4' => Ok(Kind::BlockDevice),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        other => Err(bad(format!("unhandled tar header type {other}"))),
    }
}

/// A user or group id. The highest is chown(2)'s "leave it", so nobody can be it.
fn owner(id: u64) -> Answer<u32> {
    let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(invalid)
}
