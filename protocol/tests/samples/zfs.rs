//! Samples of the zfs helper's messages.

use super::{dataset, list, message};
use protocol::names::SnapshotLabel;
use protocol::zfs::{Compression, DatasetStats, PoolSpace, Request, Response, Tuning};

message!(Request, "zfs::Request" {
    Create => Self::Create { dataset: dataset("containers/c1") },
    Clone => Self::Clone {
        origin: dataset("images/base"),
        label: snapshot(),
        dataset: dataset("containers/c1"),
    },
    Snapshot => Self::Snapshot { dataset: dataset("images/base"), label: snapshot() },
    Destroy => Self::Destroy { dataset: dataset("volumes/default/Data_1.old") },
    Stats => Self::Stats { dataset: dataset("containers/c1") },
    List => Self::List { parent: dataset("containers"), after: Some(dataset("containers/c1")) },
    PoolSpace => Self::PoolSpace,
    Fork => Self::Fork {
        origin: dataset("volumes/default/data"),
        label: snapshot(),
        dataset: dataset("volumes/default/copy"),
    },
    Tune => Self::Tune {
        dataset: dataset("volumes/default/data"),
        tuning: Tuning {
            quota_bytes: Some(1 << 30),
            record_bytes: None,
            compression: Some(Compression::Zstd),
        },
    },
    Promote => Self::Promote { dataset: dataset("volumes/default/copy") },
    Copy => Self::Copy {
        origin: dataset("volumes/default/data"),
        label: snapshot(),
        dataset: dataset("volumes/default/copy"),
    },
});

message!(Compression, "zfs::Compression" {
    Off => Self::Off,
    Lz4 => Self::Lz4,
    Zstd => Self::Zstd,
    Gzip => Self::Gzip,
    Zle => Self::Zle,
});

message!(Response, "zfs::Response" {
    Done => Self::Done,
    Stats => Self::Stats(DatasetStats {
        used_bytes: 4096,
        referenced_bytes: 1 << 40,
        origin: Some(dataset("images/base")),
    }),
    Names => Self::Names(list([dataset("containers/c1"), dataset("containers/c2")])),
    Space => Self::Space(PoolSpace { used_bytes: 1, available_bytes: u64::MAX }),
    Started => Self::Started,
});

fn snapshot() -> SnapshotLabel {
    SnapshotLabel::new("layer").expect("sample label")
}
