//! What is left to each half of this helper.

use capsicum::Right;
use helper_runtime::sandbox::{FRONT_UID, Limit, become_user, enter};
use protocol::policy::JailPolicy;
use std::io::Result;
use std::os::fd::AsFd;

/// Confines the front: nobody, in capability mode, with one connection to each side and its audit log.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn front(channel: impl AsFd, audit: impl AsFd, hand: impl AsFd) -> Result<()> {
    become_user(FRONT_UID)?;
    let (input, output, log) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let talk = [Right::Read, Right::Write, Right::Event];
    let limit = |fd, rights| Limit {
        fd,
        rights,
        ioctls: &[],
    };
    enter(&[
        limit(input.as_fd(), &[]),
        limit(output.as_fd(), &[]),
        limit(log.as_fd(), &[Right::Write]),
        limit(channel.as_fd(), &talk),
        limit(audit.as_fd(), &[Right::Write]),
        limit(hand.as_fd(), &talk),
    ])
}

/// Confines the hand as far as the host allows: jail_set(2) and jail_attach(2) are not permitted in capability mode, and
/// what procctl(2) could forbid would be inherited by containers. It is hidden from tracers; the program that a child
/// becomes is not (the setting ends with execve(2)).
///
/// # Errors
/// What procctl(2) gives.
pub fn hand(_policy: &JailPolicy) -> Result<()> {
    super::sys::hide_from_tracers()
}
