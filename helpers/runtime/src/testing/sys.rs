//! Direct system calls of the sandbox tests (Linux).

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Makes a bridge (linux/sockios.h; absent from the libc crate).
const SIOCBRADDBR: libc::Ioctl = 0x89a0;
/// Removes a bridge.
const SIOCBRDELBR: libc::Ioctl = 0x89a1;

pub(super) fn mount_and_unmount(at: &Path) -> Result<()> {
    let target = CString::new(at.as_os_str().as_bytes())?;
    // SAFETY: all pointers are to NUL-ended strings that live through the call.
    check(unsafe {
        libc::mount(
            c"job".as_ptr(),
            target.as_ptr(),
            c"tmpfs".as_ptr(),
            0,
            std::ptr::null(),
        )
    })?;
    // SAFETY: as above.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
}

pub(super) fn make_and_remove_bridge(name: &str) -> Result<()> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let name = CString::new(name)?;
    // SAFETY: SIOCBRADDBR reads a NUL-ended interface name from the pointer.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCBRADDBR, name.as_ptr()) })?;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCBRDELBR, name.as_ptr()) })
}

pub(super) fn unshare_host_name() -> Result<()> {
    // SAFETY: takes no pointer; a new UTS namespace changes nothing that this process relies on.
    check(unsafe { libc::unshare(libc::CLONE_NEWUTS) })
}

pub(super) fn probe_signal(pid: i32) -> Result<()> {
    // SAFETY: signal 0 only checks permission.
    check(unsafe { libc::kill(pid, 0) })
}

fn check(result: i32) -> Result<()> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
