//! Requests to the mount helper: everything that is mounted lies below one configured mount root.
//!
//! `at` names a directory right below that root; `target` is a path inside what is mounted there, resolved beneath it.

use crate::codec::{Decode, Encode};
use crate::limits::LIST_ITEMS_MAX;
use crate::names::{Bounded, DatasetName, HostPath, MountName, RelPath, Text};

/// What the mount helper can be asked. No request carries descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Mounts a dataset at a mount point, which is created. `AlreadyExists` if something is mounted there.
    Dataset {
        /// What to mount.
        dataset: DatasetName,
        /// Where.
        at: MountName,
        /// Whether writing is allowed.
        access: Access,
    },
    /// Mounts a directory or file over a path of a container. The target is created where it is missing (a directory or
    /// an empty file, as the source is).
    Bind {
        /// What to mount.
        source: BindSource,
        /// The container's mount point.
        at: MountName,
        /// The path in the container.
        target: RelPath,
        /// Whether writing is allowed.
        access: Access,
    },
    /// Mounts an empty memory file system over a path of a container; the target is created where it is missing.
    Tmpfs {
        /// The container's mount point.
        at: MountName,
        /// The path in the container.
        target: RelPath,
        /// Size limit in bytes; none is the host's default.
        size_bytes: Option<u64>,
        /// Permission bits of its root, such as 0o1777.
        mode: u16,
        /// Mount flags beyond the default `nosuid,nodev`.
        flags: TmpfsFlags,
    },
    /// Mounts /dev, /proc and the like into a container. A host whose jail helper does that in the container's own
    /// mount namespace (Linux) answers `Mounts` with none.
    PseudoFileSystems {
        /// The container's mount point.
        at: MountName,
        /// Which set.
        flavour: Flavour,
    },
    /// Unmounts everything at and below a mount point, deepest first, and removes the mount point. Done if nothing is
    /// mounted there.
    Unmount {
        /// The mount point.
        at: MountName,
    },
    /// What of ours is mounted, one page in name order, after `after`.
    List {
        /// The last mount point of the previous page; none for the first page.
        after: Option<MountName>,
    },
    /// Whether a source could be bound now; nothing is made or mounted. Answers as `Bind` would refuse it.
    Check {
        /// What would be mounted.
        source: BindSource,
    },
}

/// What a bind mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum BindSource {
    /// A path of the host, which must lie below one of the policy's bind roots after resolving symbolic links.
    Host {
        /// The path.
        path: HostPath,
        /// What to do when there is nothing at the path.
        missing: MissingSource,
    },
    /// A mounted dataset of ours (a volume).
    Mounted {
        /// Its mount point.
        at: MountName,
    },
    /// A file or directory in a mounted volume. Links in the path are followed inside the volume; what is mounted there
    /// (a memory file system of ours) is what is shown. `NotFound` where there is nothing.
    MountedPath {
        /// The volume's mount point.
        at: MountName,
        /// The path in it, not empty.
        path: RelPath,
    },
    /// As `Host`, without what is mounted below the path. (FreeBSD's nullfs shows nothing of that in either case.)
    HostAlone {
        /// The path.
        path: HostPath,
        /// What to do when there is nothing at the path.
        missing: MissingSource,
    },
    /// As `Host`, joined to the mounts of the host. `BadContent` where the source's mount is not such that it can be, and
    /// `Unsupported` where the host's mounts are never joined (FreeBSD).
    HostJoined {
        /// The path.
        path: HostPath,
        /// What to do when there is nothing at the path.
        missing: MissingSource,
        /// Which way mounts go.
        join: Join,
    },
}

/// How what is mounted later below a bind's source and below the bind itself reach each other (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Join {
    /// Both ways, right below the source's own mount.
    Shared,
    /// Both ways, also below the mounts that are below the source.
    SharedThroughout,
    /// From the host into the container.
    Slave,
}

/// What to do about a host path that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum MissingSource {
    /// Make a directory, as `docker run -v` does.
    CreateDirectory,
    /// Answer `NotFound`, as `--mount type=bind` does.
    Refuse,
}

/// Whether a mount can be written through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
}

/// Flags of a memory file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TmpfsFlags {
    /// Programs on it cannot be executed.
    pub noexec: bool,
    /// It cannot be written.
    pub read_only: bool,
}

/// Which pseudo file systems a container needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Flavour {
    /// The host's own kind.
    Native,
    /// For Linux programs on FreeBSD (linprocfs, linsysfs, fdescfs with `linrdlnk`).
    Linux,
}

/// What the mount helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// It is done.
    Done,
    /// To `PseudoFileSystems` and `List`.
    Mounts(Bounded<Mounted, LIST_ITEMS_MAX>),
}

/// One mount of ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Mounted {
    /// The mount point below the mount root.
    pub at: MountName,
    /// The path inside it; empty for the mount point itself.
    pub target: RelPath,
    /// The file system's type, as the host names it.
    pub kind: Text<16>,
}
