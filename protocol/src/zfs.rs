//! Requests to the zfs helper: datasets and snapshots below one configured parent.
//!
//! On FreeBSD each is an ioctl on `/dev/zfs`; on Linux a dataset is a directory of an overlayfs stack. Order that
//! both keep: create or clone, mount, fill, unmount, snapshot. A dataset that has a snapshot is not written any more.

use crate::codec::{Decode, Encode};
use crate::error::Answer;
use crate::limits::LIST_ITEMS_MAX;
use crate::names::{Bounded, DatasetName, SnapshotLabel};

/// What the label of a snapshot begins with that a `Fork` or a `Copy` is made by and that nobody asked for. It goes with the clone.
pub const CLONE_LABEL_PREFIX: &str = "clone-";

/// What the zfs helper can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// A new empty file system. Missing parents below the configured one are created. `AlreadyExists` if there.
    Create {
        /// The new dataset.
        dataset: DatasetName,
    },
    /// A new file system with the content of a snapshot. `AlreadyExists` if there, `NotFound` without the snapshot.
    Clone {
        /// Dataset whose snapshot is the origin.
        origin: DatasetName,
        /// The snapshot's label.
        label: SnapshotLabel,
        /// The new dataset.
        dataset: DatasetName,
    },
    /// A snapshot of a dataset that is not mounted for writing.
    Snapshot {
        /// The dataset.
        dataset: DatasetName,
        /// The new snapshot's label.
        label: SnapshotLabel,
    },
    /// Destroys a dataset with its snapshots, and with the snapshot that it is a clone of where that is named by
    /// [`CLONE_LABEL_PREFIX`] and has no other clone. `Busy` while mounted or while a clone depends on it; a dataset that is
    /// not there is `NotFound`.
    Destroy {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Space and origin of a dataset.
    Stats {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Names of the datasets right below `parent`, in name order, after `after`.
    List {
        /// The folder, such as `containers`.
        parent: DatasetName,
        /// The last name of the previous page; none for the first page.
        after: Option<DatasetName>,
    },
    /// Space of the configured parent.
    PoolSpace,
    /// A new file system with another's present content, by a snapshot of it, while the other goes on being written. The
    /// snapshot is made where it is missing. `Unsupported` on a host that could only copy.
    Fork {
        /// Dataset whose content is wanted.
        origin: DatasetName,
        /// The snapshot's label.
        label: SnapshotLabel,
        /// The new dataset.
        dataset: DatasetName,
    },
    /// Sets limits and storage of a dataset. `Unsupported` on a host whose datasets have none.
    Tune {
        /// The dataset.
        dataset: DatasetName,
        /// What is set; what is none stays.
        tuning: Tuning,
    },
    /// Turns a clone and its origin round: the origin becomes a clone of this dataset, and can be destroyed before it.
    /// `Unsupported` on a host whose clones cannot.
    Promote {
        /// The clone.
        dataset: DatasetName,
    },
    /// A new file system with another's present content that shares nothing with it, however much there is to copy. A worker
    /// does it: the answer is `Started`, and the dataset is there when the outcome is. `Unsupported` on a host that has no
    /// faster way than reading all files. Descriptors: the outcome.
    Copy {
        /// Dataset whose content is wanted.
        origin: DatasetName,
        /// The label of the snapshot that is made meanwhile.
        label: SnapshotLabel,
        /// The new dataset.
        dataset: DatasetName,
    },
}

/// How what a worker did ended; the one message on its outcome descriptor.
pub type Outcome = Answer<()>;

/// Limits and storage of a dataset (zfsprops(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tuning {
    /// `quota`: most bytes that the dataset may take.
    pub quota_bytes: Option<u64>,
    /// `recordsize`, in bytes: a power of two, from 512 on.
    pub record_bytes: Option<u64>,
    /// `compression`.
    pub compression: Option<Compression>,
}

/// Ways of compressing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Compression {
    /// Not at all.
    Off,
    /// lz4.
    Lz4,
    /// zstd, at its default level.
    Zstd,
    /// gzip, at its default level.
    Gzip,
    /// Runs of zeros only.
    Zle,
}

/// What the zfs helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// It is done.
    Done,
    /// To `Stats`.
    Stats(DatasetStats),
    /// To `List`: one page; fewer than the limit means the last.
    Names(Bounded<DatasetName, LIST_ITEMS_MAX>),
    /// To `PoolSpace`.
    Space(PoolSpace),
    /// To `Copy`: a worker took it.
    Started,
}

/// Space of one dataset, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DatasetStats {
    /// Freed if the dataset were destroyed (zfsprops(7) `used`; on Linux the overlay's own files).
    pub used_bytes: u64,
    /// All data reachable through the dataset (`referenced`).
    pub referenced_bytes: u64,
    /// The origin's dataset, for a clone.
    pub origin: Option<DatasetName>,
}

/// Space of the configured parent, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PoolSpace {
    /// Used by all below the parent.
    pub used_bytes: u64,
    /// Still available to it.
    pub available_bytes: u64,
}
