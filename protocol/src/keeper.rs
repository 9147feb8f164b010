//! What the daemon and the launcher say to each other over their control socketpair.
//!
//! The launcher keeps descriptors that must outlive a daemon (container stdio, exit descriptors, terminals) and hands
//! them to the next one. It accepts nothing else: it cannot be asked to run or open anything.

use crate::codec::{Decode, Encode};
use crate::handshake::HelperKind;
use crate::names::Text;

/// Longest key under which descriptors are kept, in bytes: `container/<64 digits>` or `exec/<64 digits>`.
pub const KEEP_KEY_BYTES_MAX: usize = 80;

/// Entries that the launcher keeps at once: four descriptors each must stay below its RLIMIT_NOFILE.
pub const KEPT_ENTRIES_MAX: usize = 4096;

/// From the daemon to the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToLauncher {
    /// Keep these descriptors (they come with the frame) under a key; replaces what was kept under it.
    Keep {
        /// The key.
        key: Text<KEEP_KEY_BYTES_MAX>,
    },
    /// Forget a key and close its descriptors.
    Forget {
        /// The key.
        key: Text<KEEP_KEY_BYTES_MAX>,
    },
    /// The daemon listens on its sockets now.
    Ready,
}

/// From the launcher to the daemon. At start it sends every `Kept`, then `Everything`, in that order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToDaemon {
    /// Descriptors that an earlier daemon left; they come with the frame.
    Kept {
        /// The key.
        key: Text<KEEP_KEY_BYTES_MAX>,
    },
    /// That was all.
    Everything,
    /// A connection to a helper, one descriptor with the frame: at start, and again when a helper came back.
    Helper {
        /// Which one.
        kind: HelperKind,
    },
    /// The administrator asked to stop; containers are to be stopped first.
    Stop,
}
