//! Samples of the archive helper's messages.

use super::{list, message, mount_name, path, text};
use protocol::archive::{Extract, FileKind, Outcome, Owner, PathStat, Replace, Request, Response, Whiteouts};
use protocol::{ErrorCode, HelperError};

message!(Request, "archive::Request" {
    Extract => Self::Extract(Extract {
        root: mount_name("i-base"),
        path: path(""),
        whiteouts: Whiteouts::Plain,
        replace: Replace::KeepKinds,
        owner: Owner::Fixed { uid: 1000, gid: 1001 },
        content_bytes_max: 1 << 34,
        entries_max: 1_000_000,
    }),
    Pack => Self::Pack { root: mount_name("c-c1"), path: path("etc/passwd"), name: path("passwd") },
    PackDifference => Self::PackDifference {
        root: mount_name("c-c1"),
        base: Some(mount_name("i-base")),
        skip: list([path("proc"), path("etc/hosts")]),
    },
    Stat => Self::Stat { root: mount_name("c-c1"), path: path("etc/passwd") },
    Read => Self::Read { root: mount_name("c-c1"), path: path("etc/passwd"), bytes_max: 65536 },
});

message!(Whiteouts, "archive::Whiteouts" {
    Apply => Self::Apply,
    Plain => Self::Plain,
});

message!(Replace, "archive::Replace" {
    Allowed => Self::Allowed,
    KeepKinds => Self::KeepKinds,
});

message!(Owner, "archive::Owner" {
    FromArchive => Self::FromArchive,
    Fixed => Self::Fixed { uid: 1000, gid: 1001 },
});

message!(Response, "archive::Response" {
    Started => Self::Started,
    Stat => Self::Stat(PathStat {
        kind: FileKind::Symlink,
        mode: 0o777,
        size_bytes: 6,
        modified_s: -1,
        modified_ns: 999_999_999,
        link_target: text("../ä"),
        resolved: path("etc/ä"),
    }),
});

message!(FileKind, "archive::FileKind" {
    Regular => Self::Regular,
    Directory => Self::Directory,
    Symlink => Self::Symlink,
    Fifo => Self::Fifo,
    Socket => Self::Socket,
    CharacterDevice => Self::CharacterDevice,
    BlockDevice => Self::BlockDevice,
});

message!(Outcome, "archive::Outcome" {
    Done => Self::Done { entries: 3, content_bytes: 1024 },
    Failed => Self::Failed(HelperError {
        code: ErrorCode::BadContent,
        errno: Some(-5),
        detail: text("entry a/../b leaves the root"),
    }),
});
