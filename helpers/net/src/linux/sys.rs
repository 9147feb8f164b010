//! The request of socket(7) that tells a socket's network namespace.

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use std::ffi::c_void;
use std::io::Result;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// A descriptor of the socket's network namespace, as the result.
const SIOCGSKNS: Opcode = 0x894c;

/// The network namespace in which the socket was made.
pub(super) fn namespace_of(socket: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: SIOCGSKNS reads nothing from its argument and returns a new descriptor, which `NamespaceOf` takes over.
    Ok(unsafe { ioctl(socket, NamespaceOf) }?)
}

struct NamespaceOf;

// SAFETY: the request takes no argument; the kernel's result is a new descriptor that nothing else owns.
unsafe impl Ioctl for NamespaceOf {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        SIOCGSKNS
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(result: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: ioctl succeeded, so the result is the open descriptor that this request makes.
        Ok(unsafe { OwnedFd::from_raw_fd(result) })
    }
}
