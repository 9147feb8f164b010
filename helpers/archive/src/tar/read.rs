//! Reading an archive entry by entry, from a stream that nobody trusts.

use super::header::{GID, Header, MODE, MTIME, SIZE, UID};
use super::pax::Records;
use super::{BLOCK_BYTES, Block, EXTENSION_BYTES_MAX, Entry, Fault, Kind, Piece, Time, padding, sparse};
use std::io::{Read, copy, sink};

/// Times a file system can surely keep: dockerd cuts at the same 64-bit nanoseconds.
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
        if self.pass(self.left)? < self.left {
            return Err(Fault::UnexpectedEof);
        }
        // Where the padding is missing the archive is taken to have ended, as Go does.
        self.pass(self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        while let Some(header) = self.header()? {
            match header.type_flag() {
                b'x' => extensions.records = Records::parse(&self.extension(&header)?)?,
                // Global headers hold a comment in practice; dockerd ignores them too.
                b'g' => drop(self.extension(&header)?),
                b'L' => extensions.name = Some(until_nul(self.extension(&header)?)),
                b'K' => extensions.link = Some(until_nul(self.extension(&header)?)),
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
        Ok(None)
    }

    /// Reads the next stored bytes of the current entry, as many as there are and the buffer takes; how many.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let count = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.source.read_exact(&mut buffer[..count])?;
        self.left -= count as u64;
        Ok(count)
    }

    /// Reads the rest of the stream, so that its writer is not stopped by a broken pipe over trailing zeros.
    pub(crate) fn drain(mut self) -> Result<(), Fault> {
        self.pass(u64::MAX).map(drop)
    }

    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let zeros = [0; BLOCK_BYTES];
        match self.block()? {
            // Two zero blocks end an archive; one before the stream's end will do.
            Some(block) if block == zeros => match self.block()? {
                Some(second) if second != zeros => Err(Fault::InvalidHeader),
                Some(_) | None => Ok(None),
            },
            block => block.map(Header::new).transpose(),
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, Fault> {
        let Extensions { records, name, link } = extensions;
        let text = |key| records.get(key).map(<[u8]>::to_vec);
        let count = |key, field| match records.count(key)? {
            Some(count) => Ok(count),
            None => header.count(field),
        };
        let name = name.or_else(|| text(b"path")).unwrap_or_else(|| header.name());
        let kind = kind(header.type_flag(), &name)?;
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
            None => Time {
                seconds: header.number(MTIME)?,
                nanoseconds: 0,
            },
        };
        Ok(Entry {
            kind,
            name: text(b"GNU.sparse.name").unwrap_or(name),
            link: link
                .or_else(|| text(b"linkpath"))
                .unwrap_or_else(|| header.link()),
            mode: (header.number(MODE)? & 0o7777) as u32,
            uid: owner(count(b"uid", UID)?)?,
            gid: owner(count(b"gid", GID)?)?,
            size,
            modified: bounded(modified),
            device: header.device()?,
            xattrs: records.xattrs(),
            pieces,
        })
    }

    /// The size of a file with its holes, and where its stored bytes belong.
    fn pieces(&mut self, header: &Header, records: &Records) -> Result<(u64, Vec<Piece>), Fault> {
        let real_size = records.count(b"GNU.sparse.realsize")?;
        let version = (records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor"));
        let (size, pieces) = match (header.type_flag(), version, real_size) {
            // The extension blocks belong to the header: they are not counted in the stored size.
            (b'S', ..) => sparse::in_header(header, || self.block()?.ok_or(Fault::UnexpectedEof))?,
            (_, (Some(b"1"), Some(b"0")), Some(size)) => (size, self.map_in_content()?),
            (..) if !records.has_prefix(b"GNU.sparse.") => {
                let whole = Piece {
                    offset: 0,
                    length: self.left,
                };
                (
                    self.left,
                    Vec::from_iter(Some(whole).filter(|whole| whole.length > 0)),
                )
            }
            // Half a map, or one of another version: the content would come out wrong.
            (..) => return Err(Fault::InvalidHeader),
        };
        sparse::check(size, &pieces, self.left)?;
        Ok((size, pieces))
    }

    fn map_in_content(&mut self) -> Result<Vec<Piece>, Fault> {
        sparse::in_content(|| {
            let rest = self.left.checked_sub(BLOCK_BYTES as u64);
            self.left = rest.ok_or(Fault::InvalidHeader)?;
            self.block()?.ok_or(Fault::UnexpectedEof)
        })
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Fault> {
        let size = header.count(SIZE)?;
        if size > EXTENSION_BYTES_MAX {
            return Err(Fault::FieldTooLong);
        }
        let mut content = Vec::new();
        self.source.by_ref().take(size).read_to_end(&mut content)?;
        self.pass(padding(size))?;
        if content.len() as u64 == size {
            Ok(content)
        } else {
            Err(Fault::UnexpectedEof)
        }
    }

    fn block(&mut self) -> Result<Option<Block>, Fault> {
        let mut bytes = Vec::new();
        self.source
            .by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes.try_into().map(Some).map_err(|_| Fault::UnexpectedEof)
    }

    /// Passes over bytes as far as the stream goes; how far.
    fn pass(&mut self, count: u64) -> Result<u64, Fault> {
        Ok(copy(&mut self.source.by_ref().take(count), &mut sink())?)
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
    let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    id.ok_or(Fault::InvalidHeader)
}

/// Times that no file system can keep become 1970, as dockerd has it.
fn bounded(time: Time) -> Time {
    let fits = (0..=SECONDS_MAX).contains(&time.seconds);
    if fits { time } else { Time::default() }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0);
    text.truncate(end.unwrap_or(text.len()));
    text
}
