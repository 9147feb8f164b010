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
//!
//! Two things that ZFS could do are left out on purpose. Its receiver never sees a stream from outside (`freebsd/copy.rs`). And
//! `zfs diff` is not asked what a container changed, two trees are compared (`cellblock-archive`): the ioctl behind it,
//! `OBJ_TO_STATS`, writes an object's path backwards into 2,048 bytes of kernel memory with nothing but a debugging
//! assertion against a longer one (OpenZFS 2.2 `zfs_obj_to_path_impl`), and how deep a container nests its directories is
//! the container's choice. It also knows one path of a file that has several.

pub mod freebsd;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod nvlist;
pub mod policy;
pub mod service;
pub mod worker;

#[cfg(target_os = "freebsd")]
pub use freebsd as host;
#[cfg(target_os = "linux")]
pub use linux as host;
