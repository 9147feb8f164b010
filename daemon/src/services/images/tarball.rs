//! What an uploaded archive of images holds and where, without unpacking it.
//!
//! The whole archive is walked once, header by header; files are then read in place. Names are taken as a tar program would
//! unpack them, with the links that `docker save` of old made for equal layers.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header, PaxExtensions};

/// Bytes of a tar block, and of a header.
const BLOCK_BYTES: u64 = 512;
/// Entries of an archive of images. One image has three entries for each of its layers at most; this is thousands of images.
const ARCHIVE_ENTRIES_MAX: usize = 1_000_000;
/// Bytes of a long name or of extended attributes: Go's reader stops there too.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;
/// Links that are followed to find one file; save makes one.
const LINKS_MAX: usize = 16;

/// Why an archive cannot be read. The texts are those of dockerd (28.5) and of Go's archive/tar where they have one.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// A header is no header.
    #[error("archive/tar: invalid tar header")]
    InvalidHeader,
    /// The archive ends inside an entry.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// A name is too long.
    #[error("archive/tar: header field too long")]
    FieldTooLong,
    /// A name leads out of the archive.
    #[error("invalid entry name {0:?}")]
    EntryName(String),
    /// A file that should be there is not.
    #[error("open {0}: no such file or directory")]
    Missing(String),
    /// Links that lead nowhere.
    #[error("open {0}: too many levels of symbolic links")]
    Links(String),
    /// More entries than [`ARCHIVE_ENTRIES_MAX`].
    #[error("the archive has more than {ARCHIVE_ENTRIES_MAX} entries")]
    TooManyEntries,
    /// A file that is read whole is too long.
    #[error("{0} is too long")]
    TooLong(String),
    /// Reading the spooled file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, ArchiveError>;

/// A file's place in the archive, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its content begins.
    pub(super) start: u64,
    /// How long it is.
    pub(super) bytes: u64,
}

#[derive(Debug)]
enum Entry {
    File(Place),
    Link(String),
}

/// An archive that was walked.
#[derive(Debug)]
pub(super) struct Tarball {
    path: PathBuf,
    file: File,
    entries: HashMap<String, Entry>,
}

impl Tarball {
    /// Walks an uncompressed archive.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let mut walk = Walk {
            bytes: file.metadata()?.len(),
            file: &file,
            at: 0,
            ahead: Ahead::default(),
        };
        let mut entries = HashMap::new();
        while let Some((name, entry)) = walk.next()? {
            entries.insert(clean(&name)?, entry);
            if entries.len() > ARCHIVE_ENTRIES_MAX {
                return Err(ArchiveError::TooManyEntries);
            }
        }
        Ok(Tarball {
            path: path.to_owned(),
            file,
            entries,
        })
    }

    /// The archive's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Where a file is, links followed.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Links`], [`ArchiveError::EntryName`].
    pub(super) fn find(&self, name: &str) -> Result<Place> {
        let mut path = clean(name)?;
        for _ in 0..LINKS_MAX {
            match self.entries.get(&path) {
                Some(Entry::File(place)) => return Ok(*place),
                Some(Entry::Link(target)) => path = clean(target)?,
                None => return Err(ArchiveError::Missing(name.to_owned())),
            }
        }
        Err(ArchiveError::Links(name.to_owned()))
    }

    /// A small file's content.
    ///
    /// # Errors
    /// As [`Tarball::find`], or [`ArchiveError::TooLong`].
    pub(super) fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>> {
        let place = self.find(name)?;
        read_at(&self.file, place, bytes_max).map_err(|error| match error {
            ArchiveError::FieldTooLong => ArchiveError::TooLong(name.to_owned()),
            other => other,
        })
    }
}

/// What the entries before the next one said about it.
#[derive(Debug, Default)]
struct Ahead {
    name: Option<String>,
    target: Option<String>,
    bytes: Option<u64>,
}

struct Walk<'a> {
    file: &'a File,
    bytes: u64,
    at: u64,
    ahead: Ahead,
}

impl Walk<'_> {
    fn next(&mut self) -> Result<Option<(String, Entry)>> {
        while let Some(header) = self.header()? {
            let start = self.at + BLOCK_BYTES;
            let told = header.entry_size().map_err(|_| ArchiveError::InvalidHeader)?;
            let place = Place {
                start,
                bytes: self.ahead.bytes.unwrap_or(told),
            };
            let end = start
                .checked_add(place.bytes)
                .ok_or(ArchiveError::InvalidHeader)?;
            if end > self.bytes {
                return Err(ArchiveError::UnexpectedEof);
            }
            self.at = end.next_multiple_of(BLOCK_BYTES);
            if self.extension(&header, place)? {
                continue;
            }
            let ahead = std::mem::take(&mut self.ahead);
            let name = ahead.name.unwrap_or_else(|| text(&header.path_bytes()));
            let target = || {
                let own = || {
                    header
                        .link_name_bytes()
                        .map(|bytes| text(&bytes))
                        .unwrap_or_default()
                };
                ahead.target.clone().unwrap_or_else(own)
            };
            match header.entry_type() {
                EntryType::Regular | EntryType::Continuous => return Ok(Some((name, Entry::File(place)))),
                EntryType::Link => return Ok(Some((name, Entry::Link(target())))),
                EntryType::Symlink => {
                    let target = beside(&name, &target());
                    return Ok(Some((name, Entry::Link(target))));
                }
                // Directories need no entry, and nothing else belongs into an archive of images.
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next header; none at the end of the archive, which is a zero block or the end of the file.
    fn header(&self) -> Result<Option<Header>> {
        if self.at >= self.bytes {
            return Ok(None);
        }
        let mut block = [0; BLOCK_BYTES as usize];
        self.file
            .read_exact_at(&mut block, self.at)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ArchiveError::UnexpectedEof,
                _ => ArchiveError::Io(error),
            })?;
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
            Ok(_) | Err(_) => Err(ArchiveError::InvalidHeader),
        }
    }

    /// Takes in an entry that only speaks of the next one.
    fn extension(&mut self, header: &Header, place: Place) -> Result<bool> {
        match header.entry_type() {
            EntryType::GNULongName => self.ahead.name = Some(self.long_text(place)?),
            EntryType::GNULongLink => self.ahead.target = Some(self.long_text(place)?),
            EntryType::XHeader => self.extended(place)?,
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn long_text(&self, place: Place) -> Result<String> {
        let bytes = read_at(self.file, place, EXTENSION_BYTES_MAX)?;
        Ok(text(bytes.split(|byte| *byte == 0).next().unwrap_or_default()))
    }

    fn extended(&mut self, place: Place) -> Result<()> {
        let bytes = read_at(self.file, place, EXTENSION_BYTES_MAX)?;
        for pair in PaxExtensions::new(&bytes) {
            let pair = pair.map_err(|_| ArchiveError::InvalidHeader)?;
            let value = text(pair.value_bytes());
            match pair.key_bytes() {
                b"path" => self.ahead.name = Some(value),
                b"linkpath" => self.ahead.target = Some(value),
                b"size" => {
                    self.ahead.bytes = Some(value.parse().map_err(|_| ArchiveError::InvalidHeader)?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_at(file: &File, place: Place, bytes_max: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(place.bytes)
        .ok()
        .filter(|_| place.bytes <= bytes_max);
    let mut bytes = vec![0; length.ok_or(ArchiveError::FieldTooLong)?];
    file.read_exact_at(&mut bytes, place.start)?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A symbolic link's target as a name in the archive.
fn beside(link: &str, target: &str) -> String {
    match link.rsplit_once('/') {
        Some((directory, _)) if !target.starts_with('/') => format!("{directory}/{target}"),
        Some(_) | None => target.to_owned(),
    }
}

/// A name without `.`, empty parts and `..`, none of which may lead out.
fn clean(name: &str) -> Result<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts
                    .pop()
                    .ok_or_else(|| ArchiveError::EntryName(name.to_owned()))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::{TarFile, tar_of};
    use super::*;

    fn tarball(bytes: &[u8]) -> Result<Tarball> {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cb-tarball-{}-{number}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let opened = Tarball::open(&path);
        std::fs::remove_file(&path).unwrap();
        opened
    }

    #[test]
    fn files_are_found_by_any_spelling_of_their_name_and_through_links() {
        let long = format!("{}/layer.tar", "a".repeat(150));
        let bytes = tar_of(&[
            TarFile::regular("./manifest.json", b"[]"),
            TarFile::regular(&long, b"layer"),
            TarFile::symlink("b/layer.tar", &format!("../{long}")),
            TarFile::hard_link("c.tar", &long),
        ]);
        let tarball = tarball(&bytes).unwrap();
        assert_eq!(tarball.read("manifest.json", 10).unwrap(), b"[]");
        for name in [long.as_str(), "/b/layer.tar", "x/../c.tar"] {
            assert_eq!(tarball.read(name, 10).unwrap(), b"layer", "{name}");
        }
        assert!(!tarball.has("a"));
        assert_eq!(
            tarball.read(&long, 4).unwrap_err().to_string(),
            format!("{long} is too long")
        );
    }

    #[test]
    fn hostile_archives_are_refused() {
        let escape = tar_of(&[TarFile::regular("../../etc/passwd", b"x")]);
        assert_eq!(
            tarball(&escape).unwrap_err().to_string(),
            "invalid entry name \"../../etc/passwd\""
        );
        let good = tar_of(&[TarFile::regular("a", &[b'x'; 2000])]);
        assert_eq!(tarball(&good[..1000]).unwrap_err().to_string(), "unexpected EOF");
        assert_eq!(tarball(&good[..100]).unwrap_err().to_string(), "unexpected EOF");
        let garbage = tarball(&[b'x'; 1400]).unwrap_err();
        assert_eq!(garbage.to_string(), "archive/tar: invalid tar header");
        let mut huge = tar::Header::new_gnu();
        huge.set_path("a").unwrap();
        huge.set_size(u64::MAX);
        huge.set_cksum();
        assert!(tarball(huge.as_bytes()).is_err());
        let looped = tar_of(&[TarFile::symlink("a", "b"), TarFile::symlink("b", "a")]);
        let error = tarball(&looped).unwrap().find("a").unwrap_err();
        assert_eq!(error.to_string(), "open a: too many levels of symbolic links");
        let away = tar_of(&[TarFile::symlink("a", "../../etc/passwd")]);
        assert!(matches!(
            tarball(&away).unwrap().find("a"),
            Err(ArchiveError::EntryName(_))
        ));
    }

    #[test]
    fn an_empty_file_is_an_archive_of_nothing() {
        assert!(matches!(
            tarball(b"").unwrap().find("x"),
            Err(ArchiveError::Missing(_))
        ));
    }
}
