//! The two calls that need unsafe code: the ioctl of `/dev/zfs`, and one sysctl.

use super::command::Command;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `ZFS_IOCVER_OZFS` of OpenZFS's `sys/zfs_ioctl_compat.h`: the layout of the parameter and the command.
pub(super) const IOCTL_VERSION: i32 = 15;

/// `zfs_iocparm_t` of the same header.
#[repr(C)]
struct Parameter {
    version: u32,
    command: u64,
    command_bytes: u64,
}

const _: () = assert!(size_of::<Parameter>() == 24);

/// `sizeof(zfs_cmd_t)`. The kernel ignores it and uses its own, which the command's buffer is larger than.
const COMMAND_STRUCT_BYTES: u64 = 4528;

/// Does one request; gives the bytes of `output` that the kernel filled. The addresses of `input` and `output` stand in
/// the command only during the call.
pub(super) fn request(
    device: BorrowedFd<'_>,
    request: u32,
    command: &mut Command,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize> {
    if !input.is_empty() {
        command.set_source(input.as_ptr().expose_provenance() as u64, input.len() as u64);
    }
    let capacity = output.len();
    if capacity > 0 {
        command.set_destination(output.as_mut_ptr().expose_provenance() as u64, capacity as u64);
    }
    let mut parameter = Parameter {
        version: IOCTL_VERSION as u32,
        command: command.bytes_mut().as_mut_ptr().expose_provenance() as u64,
        command_bytes: COMMAND_STRUCT_BYTES,
    };
    // SAFETY: the request codes passed here all take a pointer to a zfs_iocparm_t, which is alive and writable. The
    // kernel copies sizeof(zfs_cmd_t), at most 4544 bytes, from and to the command's 8192 bytes, which this function
    // borrows exclusively; it reads the source's and writes at most the destination's length, both set above from
    // slices that live until the call returns. The command keeps no other address.
    let result = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            libc::c_ulong::from(request),
            &raw mut parameter,
        )
    };
    let outcome = if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    };
    let filled = usize::try_from(command.destination_size())
        .unwrap_or(capacity)
        .min(capacity);
    command.set_source(0, 0);
    command.set_destination(0, 0);
    outcome.map(|()| filled)
}

/// What version of the ioctl interface the kernel's ZFS speaks (`vfs.zfs.version.ioctl`).
pub(super) fn kernel_ioctl_version() -> Result<i32> {
    let mut version = 0_i32;
    let mut bytes = size_of::<i32>();
    // SAFETY: the name is a string with its NUL; the old value's pointer and length describe `version`, which is alive
    // and writable; no new value is given.
    let result = unsafe {
        libc::sysctlbyname(
            c"vfs.zfs.version.ioctl".as_ptr(),
            (&raw mut version).cast(),
            &raw mut bytes,
            std::ptr::null(),
            0,
        )
    };
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(version)
    }
}
