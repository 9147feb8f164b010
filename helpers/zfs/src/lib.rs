//! The zfs helper: makes, clones, snapshots, destroys and lists datasets below one configured parent, and nothing else.
//!
//! It runs as root, holds one descriptor to the host's datasets (`/dev/zfs`, or the pool directory on Linux) and cannot open
//! anything outside them. It never mounts: the mount helper does. Only the daemon talks to it, through one
//! inherited connection.
//!
//! ```text
//! Request ─▶ policy (names) ─▶ service ─▶ linux/    directories of an overlay stack
//!                                     └─▶ freebsd/  nvlist ─▶ command ─▶ ioctl on /dev/zfs
//! ```

pub mod freebsd;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod nvlist;
pub mod policy;
pub mod service;

#[cfg(target_os = "freebsd")]
pub use freebsd as host;
#[cfg(target_os = "linux")]
pub use linux as host;
