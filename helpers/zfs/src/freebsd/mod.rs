//! FreeBSD: datasets are ZFS's, by ioctls on one descriptor of `/dev/zfs` from within capability mode.
//!
//! [`command`] and [`zfs`] hold no system calls and are built and tested on every host; only the device and the sandbox
//! are FreeBSD's own.

pub mod command;
pub mod zfs;

mod copy;
#[cfg(target_os = "freebsd")]
mod device;
#[cfg(test)]
mod fake_tests;
#[cfg(target_os = "freebsd")]
mod sys;

#[cfg(target_os = "freebsd")]
pub use device::{confine, open};
