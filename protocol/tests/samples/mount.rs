//! Samples of the mount helper's messages.

use super::{dataset, host_path, list, message, mount_name, path, text};
use protocol::mount::{
    Access, BindSource, Flavour, Join, MissingSource, Mounted, Request, Response, TmpfsFlags,
};

message!(Request, "mount::Request" {
    Dataset => Self::Dataset {
        dataset: dataset("containers/c1"),
        at: mount_name("c-c1"),
        access: Access::ReadWrite,
    },
    Bind => Self::Bind {
        source: BindSource::Host { path: host_path("/srv/data"), missing: MissingSource::Refuse },
        at: mount_name("c-c1"),
        target: path("var/lib/data"),
        access: Access::ReadOnly,
    },
    Tmpfs => Self::Tmpfs {
        at: mount_name("c-c1"),
        target: path("tmp"),
        size_bytes: Some(1 << 20),
        mode: 0o1777,
        flags: TmpfsFlags { noexec: true, read_only: false },
    },
    PseudoFileSystems => Self::PseudoFileSystems { at: mount_name("c-c1"), flavour: Flavour::Native },
    Unmount => Self::Unmount { at: mount_name("c-c1") },
    List => Self::List { after: Some(mount_name("c-c1")) },
    Check => Self::Check { source: BindSource::Mounted { at: mount_name("v-data") } },
});

message!(BindSource, "mount::BindSource" {
    Host => Self::Host { path: host_path("/"), missing: MissingSource::CreateDirectory },
    Mounted => Self::Mounted { at: mount_name("v-data") },
    MountedPath => Self::MountedPath { at: mount_name("v-data"), path: path("www") },
    HostAlone => Self::HostAlone { path: host_path("/srv"), missing: MissingSource::Refuse },
    HostJoined => Self::HostJoined { path: host_path("/srv"), missing: MissingSource::Refuse, join: Join::Slave },
});

message!(Join, "mount::Join" {
    Shared => Self::Shared,
    SharedThroughout => Self::SharedThroughout,
    Slave => Self::Slave,
});

message!(MissingSource, "mount::MissingSource" {
    CreateDirectory => Self::CreateDirectory,
    Refuse => Self::Refuse,
});

message!(Access, "mount::Access" {
    ReadWrite => Self::ReadWrite,
    ReadOnly => Self::ReadOnly,
});

message!(Flavour, "mount::Flavour" {
    Native => Self::Native,
    Linux => Self::Linux,
});

message!(Response, "mount::Response" {
    Done => Self::Done,
    Mounts => Self::Mounts(list([Mounted {
        at: mount_name("c-c1"),
        target: path(""),
        kind: text("overlay"),
    }])),
});
