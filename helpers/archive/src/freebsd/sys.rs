//! pdfork(2), which has no safe wrapper.

use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd};

/// Close-on-exec for a process descriptor (sys/procdesc.h).
const PD_CLOEXEC: libc::c_int = 2;

/// Forks; the parent gets the child's process descriptor, the child `None`.
pub(super) fn fork() -> Result<Option<OwnedFd>> {
    let mut descriptor: libc::c_int = -1;
    // SAFETY: the pointer is to a live integer. A helper has one thread, so the child's copy of the allocator and the
    // standard library is in a consistent state and may be used.
    match unsafe { libc::pdfork(&raw mut descriptor, PD_CLOEXEC) } {
        -1 => Err(Error::last_os_error()),
        0 => Ok(None),
        // SAFETY: pdfork succeeded in the parent, so the descriptor is open and nobody else knows its number.
        _ => Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) })),
    }
}
