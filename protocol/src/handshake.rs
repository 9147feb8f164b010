//! The first exchange on a connection. Its bytes are frozen: they must be readable by every later version.

use crate::codec::{Decode, Encode};
use crate::names::{Label, Text};
use crate::version::PROTOCOL_VERSION;

/// Which helper the daemon believes it is talking to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[repr(u8)]
pub enum HelperKind {
    /// Datasets and snapshots.
    Zfs = 1,
    /// Jails and their processes.
    Jail = 2,
    /// Interfaces, addresses, packet filter rules.
    Net = 3,
    /// Mount points.
    Mount = 4,
    /// Trees in and out of tar archives.
    Archive = 5,
}

impl HelperKind {
    /// Every helper, in start order.
    pub const ALL: [HelperKind; 5] = [
        HelperKind::Zfs,
        HelperKind::Jail,
        HelperKind::Net,
        HelperKind::Mount,
        HelperKind::Archive,
    ];

    /// The short name, as in `cellblock-zfs` and in audit lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HelperKind::Zfs => "zfs",
            HelperKind::Jail => "jail",
            HelperKind::Net => "net",
            HelperKind::Mount => "mount",
            HelperKind::Archive => "archive",
        }
    }
}

/// Four bytes that say what protocol this is, before anything else is believed.
pub const MAGIC: [u8; 4] = *b"CBLK";

/// The daemon's opening.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Always [`MAGIC`].
    pub magic: [u8; 4],
    /// Must equal the helper's [`PROTOCOL_VERSION`].
    pub version: u16,
    /// Must be the helper that answers.
    pub to: HelperKind,
}

impl Hello {
    /// The opening that this build sends to `to`.
    #[must_use]
    pub fn new(to: HelperKind) -> Self {
        Hello {
            magic: MAGIC,
            version: PROTOCOL_VERSION,
            to,
        }
    }
}

/// The helper's reply to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Welcome {
    /// The session is open.
    Ready(HostFacts),
    /// The version differs; the helper closes after this. Holds the helper's version.
    VersionMismatch(u16),
    /// The opening was not for this helper; it closes after this.
    WrongPeer,
}

/// Which family of host this is. Nothing above the helpers asks for more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum HostOs {
    /// The product's host.
    FreeBsd,
    /// The development host.
    Linux,
}

/// What the daemon is told of the host, once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HostFacts {
    /// The family.
    pub os: HostOs,
    /// The kernel's release, as uname(3) gives it.
    pub release: Label,
    /// Where this helper's work is done, for people: `zfs tank/cellblock`, `overlayfs`, …
    pub backend: Text<256>,
    /// Whether Linux programs can run in containers here.
    pub runs_linux: bool,
    /// Whether resource limits can be enforced (FreeBSD: `kern.racct.enable=1`).
    pub enforces_limits: bool,
}
