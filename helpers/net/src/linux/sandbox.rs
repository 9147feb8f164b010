//! What is left to this helper's two processes.

use super::Host;
use crate::lock::HostLock;
use helper_runtime::pair::Hand;
use helper_runtime::sandbox::{Capability, Confinement, confine, syscall};
use helper_runtime::startup::Inherited;
use std::io::Result;

/// Interfaces, addresses, routes, rules: all are one capability.
const CAPABILITIES: &[Capability] = &[Capability::CAP_NET_ADMIN];

/// Beside what every helper may: requests on sockets, checks of the ones that are passed, the lock, and the anonymous file in which
/// rules go to the hand.
const FRONT_CALLS: &[i64] = &[
    syscall::SYS_flock,
    syscall::SYS_getsockopt,
    syscall::SYS_ioctl,
    syscall::SYS_memfd_create,
];

/// What the process that serves the daemon keeps: it can open no file and execute nothing.
pub const FRONT: Confinement<'static> = Confinement {
    capabilities: CAPABILITIES,
    user: None,
    calls: Some(FRONT_CALLS),
    paths: Some(&[]),
};

/// The hand binds published ports too, which may be below 1024.
const HAND_CAPABILITIES: &[Capability] = &[Capability::CAP_NET_ADMIN, Capability::CAP_NET_BIND_SERVICE];

/// What the process that runs nft(8) keeps, and nft(8) inherits: the capabilities. There is no list of calls, because the
/// host's own program makes calls that this code cannot know.
pub const HAND: Confinement<'static> = Confinement {
    capabilities: HAND_CAPABILITIES,
    user: None,
    calls: None,
    paths: None,
};

/// Confines the front. Its descriptors need no further limit on this host.
///
/// # Errors
/// Where the sandbox could not be made whole.
pub fn confine_front(_: &Inherited, _: &Hand, _: &HostLock, _: &Host) -> Result<()> {
    confine(&FRONT)
}

/// Confines the hand.
///
/// # Errors
/// Where the capabilities could not be dropped.
pub fn confine_hand() -> Result<()> {
    confine(&HAND)
}
