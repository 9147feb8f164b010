//! A tar stream, entry by entry: build contexts, trees of other images, archives that `ADD` unpacks.
//!
//! Read here rather than with a crate's archive reader because these are uploads: every length is bounded before anything is
//! allocated for it. Only what such archives have is read; sparse files are refused (tar(5), pax(1)).

use std::io::{self, Read};
use tar::{EntryType, Header, PaxExtensions};

/// Bytes of a tar block, and of a header.
const BLOCK_BYTES: usize = 512;
/// Bytes of a long name or of extended attributes: Go's reader stops there too.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;
/// The record prefix under which extended attributes travel.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
/// The record prefix of sparse files.
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// Why a stream cannot be read. The texts are those of Go's archive/tar where it has one.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    /// A header is no header.
    #[error("archive/tar: invalid tar header")]
    InvalidHeader,
    /// The stream ends inside an entry.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// A name or attribute is too long.
    #[error("archive/tar: header field too long")]
    FieldTooLong,
    /// A name leads out, or is not text.
    #[error("invalid entry name {0:?}")]
    Name(String),
    /// A kind of entry that is not read here.
    #[error("{0}: {1} are not supported in an archive of a build")]
    Unsupported(String, &'static str),
    /// Reading failed.
    #[error("{0}")]
    Read(io::Error),
}

impl From<io::Error> for EntryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => EntryError::UnexpectedEof,
            _ => EntryError::Read(error),
        }
    }
}

type Result<T> = std::result::Result<T, EntryError>;

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file of so many bytes.
    File(u64),
    /// Another name of this file.
    HardLink(String),
    /// A symbolic link with this target, as written.
    Symlink(String),
    /// A directory.
    Directory,
    /// A pipe or device.
    Special(Special),
}

/// A pipe or device, kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Special {
    /// Which.
    pub(super) entry_type: EntryType,
    /// Device numbers; 0 for a pipe.
    pub(super) device: (u32, u32),
}

/// What every kind of entry has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    /// Permission, set-id and sticky bits.
    pub(super) mode: u32,
    /// Owner.
    pub(super) uid: u64,
    /// Group.
    pub(super) gid: u64,
    /// Modification time, seconds since 1970.
    pub(super) modified_s: u64,
    /// Extended attributes.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path: no leading slash, no `.`, no `..`; empty for the top itself.
    pub(super) path: String,
    /// What it makes.
    pub(super) kind: Kind,
    /// The rest.
    pub(super) attributes: Attributes,
}

/// A tar stream being read. Between two entries, [`Read`] gives the first one's content.
#[derive(Debug)]
pub(super) struct Entries<R> {
    from: R,
    /// Bytes read so far.
    at: u64,
    /// Bytes of content not read yet.
    left: u64,
    /// Bytes of padding after it.
    padding: u64,
}

#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    bytes: Option<u64>,
    modified_s: Option<u64>,
    owner: (Option<u64>, Option<u64>),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    is_sparse: bool,
}

impl<R: Read> Entries<R> {
    /// Reads plain tar.
    pub(super) fn new(from: R) -> Self {
        Entries {
            from,
            at: 0,
            left: 0,
            padding: 0,
        }
    }

    /// How many bytes were read: where the content of the last entry begins, before any of it is read.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next entry; what is left of the last one's content is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let mut ahead = Ahead::default();
        while let Some(header) = self.header()? {
            let told = number(&header.as_old().size, header.entry_size())?;
            match header.entry_type() {
                EntryType::GNULongName => ahead.name = Some(self.long_text(told)?),
                EntryType::GNULongLink => ahead.target = Some(self.long_text(told)?),
                EntryType::XHeader => self.extended(told, &mut ahead)?,
                EntryType::XGlobalHeader => drop(self.extension(told)?),
                _ => return self.entry(&header, ahead, told).map(Some),
            }
        }
        Ok(None)
    }

    fn entry(&mut self, header: &Header, ahead: Ahead, told: u64) -> Result<Entry> {
        let name = ahead.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = clean(&name)?;
        let link = || {
            let own = || {
                header
                    .link_name_bytes()
                    .map(|bytes| bytes.into_owned())
                    .unwrap_or_default()
            };
            text(&ahead.target.clone().unwrap_or_else(own))
        };
        let old = header.as_old();
        let special = |entry_type| -> Result<Kind> {
            let none = |n: io::Result<Option<u32>>| n.map(Option::unwrap_or_default);
            let blank = header
                .as_ustar()
                .map_or([[0; 8]; 2], |header| [header.dev_major, header.dev_minor]);
            let device = (
                number(&blank[0], none(header.device_major()))?,
                number(&blank[1], none(header.device_minor()))?,
            );
            Ok(Kind::Special(Special { entry_type, device }))
        };
        let kind = match header.entry_type() {
            _ if ahead.is_sparse => return Err(EntryError::Unsupported(path, "sparse files")),
            // How archives older than entry types mark directories (tar(5)).
            EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File(ahead.bytes.unwrap_or(told)),
            EntryType::Link => Kind::HardLink(clean(link()?.as_bytes())?),
            EntryType::Symlink => Kind::Symlink(link()?),
            EntryType::Directory => Kind::Directory,
            EntryType::Fifo => special(EntryType::Fifo)?,
            device @ (EntryType::Char | EntryType::Block) => special(device)?,
            EntryType::GNUSparse => return Err(EntryError::Unsupported(path, "sparse files")),
            _ => return Err(EntryError::Unsupported(path, "entries of this type")),
        };
        // Some programs give links a size; it means nothing.
        self.begin_content(if let Kind::File(bytes) = kind { bytes } else { 0 });
        let attributes = Attributes {
            mode: number(&old.mode, header.mode())? & 0o7777,
            uid: ahead.owner.0.map_or_else(|| number(&old.uid, header.uid()), Ok)?,
            gid: ahead.owner.1.map_or_else(|| number(&old.gid, header.gid()), Ok)?,
            modified_s: ahead
                .modified_s
                .map_or_else(|| number(&old.mtime, header.mtime()), Ok)?,
            xattrs: ahead.xattrs,
        };
        Ok(Entry {
            path,
            kind,
            attributes,
        })
    }

    /// The next header; none at the end of the archive, which is a zero block or the end of the stream.
    fn header(&mut self) -> Result<Option<Header>> {
        self.skip_content()?;
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.from.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(EntryError::UnexpectedEof),
                count => filled += count,
            }
        }
        self.at += BLOCK_BYTES as u64;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum counts its own field as spaces (tar(5)).
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|byte| u32::from(*byte))
            .sum();
        match header.cksum() {
            Ok(told) if told == sum + 8 * u32::from(b' ') => Ok(Some(header)),
            Ok(_) | Err(_) => Err(EntryError::InvalidHeader),
        }
    }

    fn begin_content(&mut self, bytes: u64) {
        self.left = bytes;
        self.padding = bytes.wrapping_neg() % BLOCK_BYTES as u64;
    }

    fn skip_content(&mut self) -> Result<()> {
        let wanted = self.left.saturating_add(std::mem::take(&mut self.padding));
        self.left = 0;
        let skipped = io::copy(&mut (&mut self.from).take(wanted), &mut io::sink())?;
        self.at += skipped;
        if skipped < wanted {
            Err(EntryError::UnexpectedEof)
        } else {
            Ok(())
        }
    }

    fn extension(&mut self, bytes: u64) -> Result<Vec<u8>> {
        if bytes > EXTENSION_BYTES_MAX {
            return Err(EntryError::FieldTooLong);
        }
        self.begin_content(bytes);
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        if (content.len() as u64) < bytes {
            Err(EntryError::UnexpectedEof)
        } else {
            Ok(content)
        }
    }

    fn long_text(&mut self, bytes: u64) -> Result<Vec<u8>> {
        let bytes = self.extension(bytes)?;
        Ok(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }

    fn extended(&mut self, bytes: u64, ahead: &mut Ahead) -> Result<()> {
        let records = self.extension(bytes)?;
        for record in PaxExtensions::new(&records) {
            let record = record.map_err(|_| EntryError::InvalidHeader)?;
            let value = record.value_bytes();
            let number = || {
                text(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or(EntryError::InvalidHeader)
            };
            match record.key_bytes() {
                b"path" => ahead.name = Some(value.to_vec()),
                b"linkpath" => ahead.target = Some(value.to_vec()),
                b"size" => ahead.bytes = Some(number()?),
                b"uid" => ahead.owner.0 = Some(number()?),
                b"gid" => ahead.owner.1 = Some(number()?),
                // A fraction of a second is not kept, and before 1970 there was nothing to build.
                b"mtime" => {
                    let whole = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                    ahead.modified_s = Some(text(whole)?.parse().unwrap_or_default());
                }
                key if key.starts_with(SPARSE_PREFIX) => ahead.is_sparse = true,
                key => {
                    if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                        ahead.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.from).take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        self.at += count as u64;
        Ok(count)
    }
}

/// A number of a header; a blank field is zero, as in Go.
fn number<T: Default>(field: &[u8], read: io::Result<T>) -> Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    read.map_err(|_| EntryError::InvalidHeader)
}

fn text(bytes: &[u8]) -> Result<String> {
    let not_text = || EntryError::Name(String::from_utf8_lossy(bytes).into_owned());
    String::from_utf8(bytes.to_vec()).map_err(|_| not_text())
}

/// A name as a path: none that leads out is taken, as in dockerd.
fn clean(name: &[u8]) -> Result<String> {
    let name = text(name)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| EntryError::Name(name.clone()))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(entry_type: EntryType, bytes: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry_type);
        header.set_size(bytes);
        header.set_mode(0o4755);
        header.set_uid(3_000_000);
        header.set_mtime(7);
        header
    }

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        builder
            .append_data(&mut header(EntryType::Directory, 0), "./d/", &[][..])
            .unwrap();
        builder
            .append_pax_extensions([("SCHILY.xattr.user.x", &b"v"[..]), ("mtime", b"9.5")])
            .unwrap();
        builder
            .append_data(&mut header(EntryType::Regular, 3), "d/f", &b"abc"[..])
            .unwrap();
        let long = "l/".repeat(90) + "f";
        builder
            .append_data(&mut header(EntryType::Regular, 600), &long, &[1; 600][..])
            .unwrap();
        builder
            .append_link(&mut header(EntryType::Symlink, 0), "s", "../x")
            .unwrap();
        builder
            .append_link(&mut header(EntryType::Link, 0), "h", "/d/f")
            .unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn entries_are_read_with_their_attributes_and_content() {
        let bytes = archive();
        let mut entries = Entries::new(&bytes[..]);
        assert_eq!(entries.next().unwrap().unwrap().kind, Kind::Directory);
        let file = entries.next().unwrap().unwrap();
        assert_eq!((file.path.as_str(), file.kind), ("d/f", Kind::File(3)));
        assert_eq!(
            (
                file.attributes.mode,
                file.attributes.uid,
                file.attributes.modified_s
            ),
            (0o4755, 3_000_000, 9)
        );
        assert_eq!(file.attributes.xattrs, [(b"user.x".to_vec(), b"v".to_vec())]);
        let start = usize::try_from(entries.position()).unwrap();
        assert_eq!(&bytes[start..start + 3], b"abc");
        let long = entries.next().unwrap().unwrap();
        assert_eq!(long.path.len(), 181);
        let mut content = Vec::new();
        entries.read_to_end(&mut content).unwrap();
        assert_eq!(content, [1; 600]);
        assert_eq!(
            entries.next().unwrap().unwrap().kind,
            Kind::Symlink("../x".to_owned())
        );
        assert_eq!(
            entries.next().unwrap().unwrap().kind,
            Kind::HardLink("d/f".to_owned())
        );
        assert_eq!(entries.next().unwrap(), None);
    }

    fn refusal(bytes: &[u8]) -> String {
        let mut entries = Entries::new(bytes);
        loop {
            match entries.next() {
                Ok(Some(_)) => {}
                Ok(None) => return "read".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn hostile_streams_are_refused() {
        let good = archive();
        assert_eq!(refusal(&good), "read");
        assert_eq!(refusal(&good[..600]), "unexpected EOF");
        assert_eq!(refusal(&good[..100]), "unexpected EOF");
        assert_eq!(refusal(&[b'x'; 700]), "archive/tar: invalid tar header");
        assert_eq!(refusal(b""), "read");
        for (entry_type, told) in [
            (
                EntryType::GNUSparse,
                "x: sparse files are not supported in an archive of a build",
            ),
            (
                EntryType::new(b'V'),
                "x: entries of this type are not supported in an archive of a build",
            ),
        ] {
            let mut builder = tar::Builder::new(Vec::new());
            builder
                .append_data(&mut header(entry_type, 0), "x", &[][..])
                .unwrap();
            assert_eq!(refusal(&builder.into_inner().unwrap()), told);
        }
        let mut escape = header(EntryType::Regular, 0);
        escape.as_old_mut().name[..7].copy_from_slice(b"a/../..");
        escape.set_cksum();
        assert_eq!(refusal(escape.as_bytes()), "invalid entry name \"a/../..\"");
        let mut huge = header(EntryType::XHeader, u64::MAX);
        huge.set_cksum();
        assert_eq!(refusal(huge.as_bytes()), "archive/tar: header field too long");
        let mut endless = header(EntryType::Regular, u64::MAX);
        endless.set_cksum();
        assert_eq!(refusal(endless.as_bytes()), "unexpected EOF");
    }
}
