//! Samples of what is said around the requests: handshake, errors, policies, the launcher's messages.

use super::{host_path, label, list, message, text};
use protocol::ErrorCode;
use protocol::handshake::{HelperKind, HostFacts, HostOs, Welcome};
use protocol::keeper::{ToDaemon, ToLauncher};
use protocol::policy::{
    ArchivePolicy, JailPolicy, MountPolicy, NetPolicy, Policy, TenantPorts, TenantRoots, ZfsPolicy,
};

message!(HelperKind, "handshake::HelperKind" {
    Zfs => Self::Zfs,
    Jail => Self::Jail,
    Net => Self::Net,
    Mount => Self::Mount,
    Archive => Self::Archive,
});

message!(Welcome, "handshake::Welcome" {
    Ready => Self::Ready(HostFacts {
        os: HostOs::FreeBsd,
        release: label("14.3-RELEASE"),
        backend: text("zfs tank/cellblock"),
        runs_linux: true,
        enforces_limits: false,
    }),
    VersionMismatch => Self::VersionMismatch(0x0102),
    WrongPeer => Self::WrongPeer,
});

message!(HostOs, "handshake::HostOs" {
    FreeBsd => Self::FreeBsd,
    Linux => Self::Linux,
});

message!(ErrorCode, "error::ErrorCode" {
    NotFound => Self::NotFound,
    AlreadyExists => Self::AlreadyExists,
    Busy => Self::Busy,
    Refused => Self::Refused,
    Unsupported => Self::Unsupported,
    NoSpace => Self::NoSpace,
    BadContent => Self::BadContent,
    System => Self::System,
    LimitReached => Self::LimitReached,
    CommandNotFound => Self::CommandNotFound,
    CommandNotExecutable => Self::CommandNotExecutable,
    Retired => Self::Retired,
    BadDescriptors => Self::BadDescriptors,
    NotDone => Self::NotDone,
    AddressInUse => Self::AddressInUse,
});

message!(Policy, "policy::Policy" {
    Zfs => Self::Zfs(ZfsPolicy { parent: text("tank/cellblock"), pool_dir: host_path("/var/db/cellblock/pool") }),
    Jail => Self::Jail(JailPolicy {
        prefix: label("cb-"),
        mount_root: host_path("/var/db/cellblock/mnt"),
        record_dir: host_path("/var/db/cellblock/jails"),
        allow_host_network: false,
        allow_host_processes: true,
        allow_host_devices: false,
        capability_mask: 0x0000_0000_a804_25fb,
        devfs_ruleset: 4242,
    }),
    Net => Self::Net(NetPolicy { anchor: label("cellblock"), enable_forwarding: true, tenants: list([TenantPorts { tenant: label("red"), from: 20_000, to: 20_099 }]) }),
    Mount => Self::Mount(MountPolicy {
        mount_root: host_path("/var/db/cellblock/mnt"),
        parent: text("tank/cellblock"),
        pool_dir: host_path("/var/db/cellblock/pool"),
        bind_roots: list([host_path("/srv")]),
        bind_refused: list([host_path("/var/db/cellblock")]),
        devfs_ruleset: 4242,
        tenants: list([TenantRoots { tenant: label("red"), bind_roots: list([host_path("/srv/red")]) }]),
    }),
    Archive => Self::Archive(ArchivePolicy { mount_root: host_path("/var/db/cellblock/mnt") }),
});

message!(ToLauncher, "keeper::ToLauncher" {
    Keep => Self::Keep { key: text("container/c1") },
    Forget => Self::Forget { key: text("exec/e1") },
    Ready => Self::Ready,
});

message!(ToDaemon, "keeper::ToDaemon" {
    Kept => Self::Kept { key: text("container/c1") },
    Everything => Self::Everything,
    Helper => Self::Helper { kind: HelperKind::Archive },
    Stop => Self::Stop,
});
