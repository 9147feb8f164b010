//! What the tests need of the system without a safe wrapper.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Gives a descriptor of a socket's network namespace (linux/sockios.h).
const SIOCGSKNS: libc::Ioctl = 0x894c;

pub(crate) fn network_of(socket: BorrowedFd<'_>) -> OwnedFd {
    // SAFETY: the request takes no argument and gives a new descriptor or -1.
    let fd = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and ours.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
