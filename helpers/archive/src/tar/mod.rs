//! The tar format: what an image layer or a `docker cp` stream consists of.
//!
//! Written here rather than taken from a crate because this is the most hostile input of the whole system, read by a root
//! process: every length is bounded before anything is allocated for it, and the rules are those of Go's archive/tar,
//! which made nearly every layer there is (pax(1), tar(5); sparse formats from the GNU tar manual, "Storing Sparse Files").

mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::Reader;
pub(crate) use write::Writer;

use crate::error::bad;
use protocol::HelperError;
use std::io::ErrorKind;

/// Bytes of a block: headers are one block, content is padded to whole ones (tar(5)).
const BLOCK_BYTES: usize = 512;

/// A block.
type Block = [u8; BLOCK_BYTES];

/// Longest extended header or long name, in bytes: the limit of Go's archive/tar, so no layer in use is over it.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Most pieces of one sparse file: a map that fills an extended header has about this many.
const SPARSE_PIECES_MAX: usize = 1 << 16;

/// The record prefix under which extended attributes travel.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// A regular file with content.
    #[default]
    Regular,
    /// Another name of a file in the archive or in the tree.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// And nanoseconds, below 1,000,000,000.
    pub(crate) nanoseconds: u32,
}

impl Time {
    /// A whole second.
    fn at(seconds: i64) -> Self {
        let nanoseconds = 0;
        Time { seconds, nanoseconds }
    }

    /// Whether a file system can surely keep it: dockerd cuts at the same 64-bit nanoseconds.
    fn is_common(&self) -> bool {
        (0..=i64::MAX / 1_000_000_000).contains(&self.seconds)
    }
}

/// A run of stored bytes of a file; what lies between two is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it begins in the file, in bytes.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
}

/// One entry of an archive, extensions merged. Names are bytes, as in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// What it makes.
    pub(crate) kind: Kind,
    /// Its name, not yet judged.
    pub(crate) name: Vec<u8>,
    /// Where a link leads, not yet judged.
    pub(crate) link: Vec<u8>,
    /// Permission, set-id and sticky bits (0o7777).
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Size of a regular file with its holes, in bytes; 0 for other kinds.
    pub(crate) size: u64,
    /// Modification time.
    pub(crate) modified: Time,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Extended attributes: names without the record prefix, and values.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which parts of a regular file are stored, in order.
    pub(crate) pieces: Vec<Piece>,
}

impl Entry {
    /// An entry of which nothing but its kind and name is known yet.
    pub(crate) fn new(kind: Kind, name: Vec<u8>) -> Self {
        let rest = Entry::default();
        Entry { kind, name, ..rest }
    }
}

/// A header or an extension breaks the format. This and the other refusals of a stream have Go's texts, which clients of
/// dockerd know.
fn invalid() -> HelperError {
    bad("archive/tar: invalid tar header")
}

/// For `map_err`: the stream could not be read, or ended inside a header or a file.
fn read_failed(error: std::io::Error) -> HelperError {
    match error.kind() {
        ErrorKind::UnexpectedEof => bad("unexpected EOF"),
        _ => HelperError::system("read archive", &error),
    }
}

/// Bytes that stand after `length` bytes of content to fill its last block.
fn padding(length: u64) -> u64 {
    let over = length % BLOCK_BYTES as u64;
    if over == 0 { 0 } else { BLOCK_BYTES as u64 - over }
}
