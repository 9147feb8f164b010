//! Requests to the archive helper: trees in and out of tar streams, beneath one mount point.
//!
//! Streams can be long, so each operation that moves data is done by a forked worker: the helper answers `Started` at
//! once and the worker writes one [`Outcome`] message (encoded, without a frame header) to the outcome descriptor and
//! closes it. An outcome pipe that ends without a message means that the worker died.

use crate::codec::{Decode, Encode};
use crate::error::HelperError;
use crate::limits::{LIST_ITEMS_MAX, PATH_BYTES_MAX};
use crate::names::{Bounded, MountName, RelPath, Text};

/// What the archive helper can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Extracts a tar stream. Descriptors: the stream to read (uncompressed tar), the outcome.
    Extract(Extract),
    /// Writes a tar stream of a path. Descriptors: the stream to write, the outcome.
    Pack {
        /// The mount point.
        root: MountName,
        /// The file or directory; symbolic links in its parents are followed inside the root, itself is not.
        path: RelPath,
        /// The name that stands first in the archive in place of the path's last part; empty with an empty path packs
        /// the root's content with relative names.
        name: RelPath,
    },
    /// Writes a tar stream of what differs between a base tree and a root: an image layer with whiteouts
    /// (`.wh.NAME`, OCI image-spec "layer"). Descriptors: the stream to write, the outcome.
    PackDifference {
        /// The changed tree.
        root: MountName,
        /// The tree that it began as; none for an empty one.
        base: Option<MountName>,
        /// Paths that are never part of a layer, such as mount targets.
        skip: Bounded<RelPath, LIST_ITEMS_MAX>,
    },
    /// What a path is. Answer: `Stat`.
    Stat {
        /// The mount point.
        root: MountName,
        /// The path; symbolic links in its parents are followed inside the root, itself is not.
        path: RelPath,
    },
    /// The content of a small regular file, such as /etc/passwd; symbolic links are followed inside the root.
    /// Descriptors: the stream to write, the outcome. Longer files are cut at `bytes_max`.
    Read {
        /// The mount point.
        root: MountName,
        /// The path.
        path: RelPath,
        /// At most this many bytes are written.
        bytes_max: u32,
    },
}

/// A tar stream to be applied.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Extract {
    /// The mount point.
    pub root: MountName,
    /// The directory beneath it that entry names are relative to. It must be a directory; links are followed inside the root.
    pub path: RelPath,
    /// What whiteout entries mean.
    pub whiteouts: Whiteouts,
    /// Whether an entry may turn a directory into something else, or the reverse (`noOverwriteDirNonDir`).
    pub replace: Replace,
    /// Whether owners come from the archive.
    pub owner: Owner,
    /// Limit on the bytes of all regular files together.
    pub content_bytes_max: u64,
    /// Limit on the number of entries.
    pub entries_max: u64,
}

/// How `.wh.` entries are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Whiteouts {
    /// They remove what they name: the stream is an image layer.
    Apply,
    /// They are plain files: the stream is a user's (`docker cp`, `docker import`).
    Plain,
}

/// Whether directories and non-directories may replace each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Replace {
    /// As tar does.
    Allowed,
    /// Refuse with `BadContent`.
    KeepKinds,
}

/// Who owns extracted files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Owner {
    /// Whom the archive says.
    FromArchive,
    /// This user and group, whatever the archive says.
    Fixed {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

/// What the archive helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// A worker took the operation.
    Started,
    /// To `Stat`.
    Stat(PathStat),
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PathStat {
    /// Its kind.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits (0o7777).
    pub mode: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, seconds since 1970.
    pub modified_s: i64,
    /// And nanoseconds.
    pub modified_ns: u32,
    /// Where a symbolic link points, as written in it.
    pub link_target: Text<PATH_BYTES_MAX>,
    /// The path beneath the root with every link in it (the last one too) resolved inside the root; equals the asked path
    /// where there was none. A link that leads nowhere resolves to where it would lead.
    pub resolved: RelPath,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

/// How an operation ended, from its worker.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// It was done whole.
    Done {
        /// Entries read or written.
        entries: u64,
        /// Bytes of regular files read or written.
        content_bytes: u64,
    },
    /// It stopped; what was done so far stays (the daemon discards the tree of a failed layer).
    Failed(HelperError),
}
