//! The descriptors that the launcher put at fixed numbers.

use std::os::fd::{FromRawFd, OwnedFd};

pub(crate) fn take(number: i32) -> OwnedFd {
    // SAFETY: the launcher promised an open descriptor at this number, and each is taken once.
    unsafe { OwnedFd::from_raw_fd(number) }
}
