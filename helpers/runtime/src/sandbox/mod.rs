//! Giving up everything that a helper's job does not need. There is no way back.

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "freebsd")]
pub use freebsd::{Limit, enter};
#[cfg(target_os = "linux")]
pub use linux::{Access, Capability, Confinement, confine, syscall};

/// The user that a front becomes: `nobody` on both hosts, the owner of nothing.
pub const FRONT_UID: u32 = 65534;

pub use crate::sys::become_user;
