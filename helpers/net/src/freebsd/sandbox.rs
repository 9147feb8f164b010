//! What is left to this helper's two processes.
#![forbid(unsafe_code)]

use super::Host;
use super::sys;
use crate::lock::HostLock;
use capsicum::Right;
use helper_runtime::pair::Hand;
use helper_runtime::sandbox::{Limit, enter};
use helper_runtime::startup::Inherited;
use std::io::Result;
use std::os::fd::AsFd;

/// What may be asked of the host's IPv4 socket.
const INET_REQUESTS: [u64; 15] = [
    sys::SIOCAIFADDR,
    sys::SIOCIFCREATE2,
    sys::SIOCIFDESTROY,
    sys::SIOCSIFVNET,
    sys::SIOCGIFFLAGS,
    sys::SIOCSIFFLAGS,
    sys::SIOCSIFMTU,
    sys::SIOCGIFCAP,
    sys::SIOCSIFCAP,
    sys::SIOCSIFLLADDR,
    sys::SIOCGIFNETMASK,
    sys::SIOCSIFNAME,
    sys::SIOCGIFCONF,
    sys::SIOCGIFGMEMB,
    sys::SIOCSDRVSPEC,
];

/// Cuts each descriptor to its use and enters capability mode.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn confine_front(inherited: &Inherited, hand: &Hand, lock: &HostLock, host: &Host) -> Result<()> {
    let (input, output, log) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let limit = |fd, rights| Limit {
        fd,
        rights,
        ioctls: &[],
    };
    let sockets = host.sockets();
    enter(&[
        limit(input.as_fd(), &[]),
        limit(output.as_fd(), &[]),
        limit(log.as_fd(), &[Right::Write]),
        limit(
            inherited.channel.as_fd(),
            &[Right::Read, Right::Write, Right::Event],
        ),
        limit(inherited.audit.file().as_fd(), &[Right::Write]),
        limit(hand.socket(), &[Right::Read, Right::Write]),
        limit(lock.descriptor(), &[Right::Flock]),
        Limit {
            fd: sockets.inet.as_fd(),
            rights: &[Right::Ioctl],
            ioctls: &INET_REQUESTS,
        },
        Limit {
            fd: sockets.inet6.as_fd(),
            rights: &[Right::Ioctl],
            ioctls: &[sys::SIOCAIFADDR_IN6],
        },
    ])
}

/// pfctl(8) opens /dev/pf itself, and capability mode would be inherited: what limits the hand is that it takes one
/// order, with fixed arguments.
///
/// # Errors
/// None on this host.
pub fn confine_hand() -> Result<()> {
    Ok(())
}
