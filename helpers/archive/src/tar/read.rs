//! Reading an archive entry by entry, from a stream that nobody trusts.

use super::header::{Format, GID, Header, MODE, MTIME, SIZE, UID};
use super::pax::Records;
use super::sparse::Map;
use super::{BLOCK_BYTES, EXTENSION_BYTES_MAX, Entry, Fault, Kind, Piece, Time, padding};
use std::io::{ErrorKind, Read};

/// How much is read at once where content is passed over, in bytes.
const SKIP_BYTES: usize = 8 * 1024;

/// Times a file system can surely keep: Go's archive/tar users cut at the same 64-bit nanoseconds.
const SECONDS_MAX: i64 = i64::MAX / 1_000_000_000;

/// An archive being read.
pub(crate) struct Reader<R> {
    source: R,
    /// Stored bytes of the current entry that are not read yet.
    left: u64,
    /// Bytes that fill the current entry's last block.
    padding: u64,
}

/// What extended headers said about the entry that follows them.
#[derive(Default)]
struct Extensions {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
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
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        self.skip(self.left)?;
        self.left = 0;
        // Missing padding is taken as the end of the archive, as Go does.
        let filler = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or(0);
        if self.fill(&mut [0; BLOCK_BYTES][..filler])? < filler {
            return Ok(None);
        }
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            match header.type_flag() {
                b'x' => extensions.records = Records::parse(&self.extension(&header)?)?,
                // Global headers hold a comment in practice; dockerd ignores them too.
                b'g' => drop(self.extension(&header)?),
                b'L' => extensions.name = Some(until_nul(self.extension(&header)?)),
                b'K' => extensions.link = Some(until_nul(self.extension(&header)?)),
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Reads stored bytes of the current entry; 0 at their end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.read_once(&mut buffer[..wanted])? {
            0 => Err(Fault::UnexpectedEof),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }

    /// Reads the rest of the stream, so that its writer is not stopped by a broken pipe over trailing zeros.
    pub(crate) fn drain(mut self) -> Result<(), Fault> {
        let mut scratch = [0; SKIP_BYTES];
        while self.read_once(&mut scratch)? > 0 {}
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if block != [0; BLOCK_BYTES] {
            return Header::new(block).map(Some);
        }
        // Two zero blocks end an archive; one before the stream's end will do.
        match self.block()? {
            Some(second) if second != [0; BLOCK_BYTES] => Err(Fault::InvalidHeader),
            Some(_) | None => Ok(None),
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, Fault> {
        let Extensions { records, name, link } = extensions;
        let record = |key| records.get(key).map(<[u8]>::to_vec);
        let name = name.or_else(|| record(b"path")).unwrap_or_else(|| header.name());
        let link = link
            .or_else(|| record(b"linkpath"))
            .unwrap_or_else(|| header.link());
        let kind = kind(header.type_flag(), &name)?;
        let stored = match (kind, records.count(b"size")?) {
            (Kind::Regular, Some(size)) => size,
            (Kind::Regular, None) => header.count(SIZE)?,
            // Their size field means nothing; no content follows.
            _ => 0,
        };
        self.left = stored;
        self.padding = padding(
            i64::try_from(stored)
                .map_err(|_| Fault::InvalidHeader)?
                .unsigned_abs(),
        );
        let map = match kind {
            Kind::Regular => self.map(header, &records, stored)?,
            _ => Map {
                size: 0,
                pieces: Vec::new(),
            },
        };
        let seconds = header.number(MTIME)?;
        Ok(Entry {
            kind,
            name: record(b"GNU.sparse.name").unwrap_or(name),
            link,
            mode: (header.number(MODE)? & 0o7777) as u32,
            uid: owner(records.count(b"uid")?.map_or_else(|| header.count(UID), Ok)?)?,
            gid: owner(records.count(b"gid")?.map_or_else(|| header.count(GID), Ok)?)?,
            size: map.size,
            modified: bounded(records.time(b"mtime")?.unwrap_or(Time {
                seconds,
                nanoseconds: 0,
            })),
            device: header.device()?,
            xattrs: records.xattrs(),
            pieces: map.pieces,
        })
    }

    /// Where the stored bytes belong.
    fn map(&mut self, header: &Header, records: &Records, stored: u64) -> Result<Map, Fault> {
        if header.type_flag() == b'S' {
            if header.format() != Format::Gnu {
                return Err(Fault::InvalidHeader);
            }
            // The extension blocks belong to the header: they are not counted in the stored size.
            return Map::old(header.bytes(), || self.whole_block())?.checked(stored);
        }
        let real_size = match records.count(b"GNU.sparse.size")? {
            Some(size) => Some(size),
            None => records.count(b"GNU.sparse.realsize")?,
        };
        let is_mapped = records.get(b"GNU.sparse.map").is_some() || !records.sparse_pairs.is_empty();
        match (
            records.get(b"GNU.sparse.major"),
            records.get(b"GNU.sparse.minor"),
            real_size,
        ) {
            (Some(b"1"), Some(b"0"), Some(size)) => {
                let map = Map::from_content(size, || self.content_block())?;
                map.checked(self.left)
            }
            (Some(b"0"), Some(b"0" | b"1"), Some(size)) => Map::from_records(records, size)?.checked(stored),
            (None, _, Some(size)) if is_mapped => Map::from_records(records, size)?.checked(stored),
            (None, None, None) if !is_mapped => {
                let whole = Piece {
                    offset: 0,
                    length: stored,
                };
                Ok(Map {
                    size: stored,
                    pieces: Vec::from_iter((stored > 0).then_some(whole)),
                })
            }
            // Half a sparse header or one of a later version: its content would come out wrong.
            _ => Err(Fault::InvalidHeader),
        }
    }

    fn content_block(&mut self) -> Result<[u8; BLOCK_BYTES], Fault> {
        self.left = self
            .left
            .checked_sub(BLOCK_BYTES as u64)
            .ok_or(Fault::InvalidHeader)?;
        self.whole_block()
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Fault> {
        let size = header.count(SIZE)?;
        if size > EXTENSION_BYTES_MAX {
            return Err(Fault::FieldTooLong);
        }
        let mut content = vec![0; usize::try_from(size + padding(size)).map_err(|_| Fault::FieldTooLong)?];
        if self.fill(&mut content)? < content.len() {
            return Err(Fault::UnexpectedEof);
        }
        content.truncate(usize::try_from(size).map_err(|_| Fault::FieldTooLong)?);
        Ok(content)
    }

    fn whole_block(&mut self) -> Result<[u8; BLOCK_BYTES], Fault> {
        self.block()?.ok_or(Fault::UnexpectedEof)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Fault> {
        let mut block = [0; BLOCK_BYTES];
        match self.fill(&mut block)? {
            0 => Ok(None),
            BLOCK_BYTES => Ok(Some(block)),
            _ => Err(Fault::UnexpectedEof),
        }
    }

    fn skip(&mut self, mut count: u64) -> Result<(), Fault> {
        let mut scratch = [0; SKIP_BYTES];
        while count > 0 {
            let wanted = SKIP_BYTES.min(usize::try_from(count).unwrap_or(SKIP_BYTES));
            match self.read_once(&mut scratch[..wanted])? {
                0 => return Err(Fault::UnexpectedEof),
                done => count -= done as u64,
            }
        }
        Ok(())
    }

    /// Fills the buffer as far as the stream goes; how far.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_once(&mut buffer[done..])? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.source.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other.map_err(Fault::Io),
            }
        }
    }
}

fn kind(flag: u8, name: &[u8]) -> Result<Kind, Fault> {
    match flag {
        // Before POSIX a directory was told by its name.
        0 if name.ends_with(b"/") => Ok(Kind::Directory),
        0 | b'0' | b'S' => Ok(Kind::Regular),
        b'1' => Ok(Kind::HardLink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::CharacterDevice),
        b'4' => Ok(Kind::BlockDevice),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        other => Err(Fault::UnhandledType(other)),
    }
}

/// A user or group id. The highest is chown(2)'s "leave it", so nobody can be it.
fn owner(id: u64) -> Result<u32, Fault> {
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or(Fault::InvalidHeader)
}

/// Times that no file system can keep become 1970, as dockerd has it.
fn bounded(time: Time) -> Time {
    if (0..=SECONDS_MAX).contains(&time.seconds) {
        time
    } else {
        Time::default()
    }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}
