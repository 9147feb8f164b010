//! The development host: Linux's sandbox, its extended attributes, and its children.

mod sys;

use helper_runtime::beneath::Root;
use helper_runtime::sandbox::{self, Access, Capability, Confinement, syscall};
use helper_runtime::startup::Inherited;
use protocol::handshake::HostOs;
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::ffi::OsStr;
use std::io::Result;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) const OS: HostOs = HostOs::Linux;

/// The attribute that holds a file's capabilities (capabilities(7)).
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Longest value of a capability attribute that is read, in bytes: version 3 has 24.
const CAPABILITY_BYTES_MAX: usize = 64;

/// What applying a layer takes, and no more.
pub const CAPABILITIES: [Capability; 6] = [
    // Owners from the archive.
    Capability::CAP_CHOWN,
    // Trees belong to any user of the container.
    Capability::CAP_DAC_OVERRIDE,
    // Modes and times of files of other users.
    Capability::CAP_FOWNER,
    // Set-id bits of files of other groups.
    Capability::CAP_FSETID,
    // Device nodes of layers.
    Capability::CAP_MKNOD,
    // File capabilities of layers.
    Capability::CAP_SETFCAP,
];

/// The system calls beside what every helper makes.
pub const CALLS: [i64; 20] = [
    // Workers.
    syscall::SYS_clone,
    syscall::SYS_wait4,
    syscall::SYS_set_robust_list,
    // Trees, always relative to an open directory.
    syscall::SYS_openat,
    syscall::SYS_newfstatat,
    syscall::SYS_getdents64,
    syscall::SYS_readlinkat,
    syscall::SYS_mkdirat,
    syscall::SYS_mknodat,
    syscall::SYS_linkat,
    syscall::SYS_symlinkat,
    syscall::SYS_unlinkat,
    // Files and what is known of them.
    syscall::SYS_ftruncate,
    syscall::SYS_pwrite64,
    syscall::SYS_fchmod,
    syscall::SYS_fchown,
    syscall::SYS_fchownat,
    syscall::SYS_utimensat,
    syscall::SYS_fsetxattr,
    syscall::SYS_fgetxattr,
];

/// Gives up everything but trees beneath the mount root.
///
/// # Errors
/// Where any part could not be given up; the helper must not go on.
pub fn confine(mount_root: &Path, _mounts: &Root, _inherited: &Inherited) -> Result<()> {
    sandbox::confine(&Confinement {
        capabilities: &CAPABILITIES,
        user: None,
        calls: Some(&CALLS),
        paths: Some(&[(mount_root, Access::Write)]),
    })
}

/// Sets an extended attribute of a file from an archive: file capabilities and users' own. Others mean something only to
/// the host that the archive came from (SELinux labels, overlayfs marks) and need rights that the helper does not have; dockerd
/// passes over what it may not set or the file system does not keep, and so does this.
pub(crate) fn set_attribute(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    if name != CAPABILITY && !name.starts_with(b"user.") {
        return Ok(());
    }
    match fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        other => other,
    }
}

/// The capability attribute of a file, where it has one.
pub(crate) fn capability(file: BorrowedFd<'_>) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut value = [0u8; CAPABILITY_BYTES_MAX];
    match fgetxattr(file, OsStr::from_bytes(CAPABILITY), &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A child of the helper.
#[derive(Debug)]
pub(crate) struct Worker(Pid);

impl Worker {
    /// Whether it is gone; it leaves nothing behind then.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(waitpid(Some(self.0), WaitOptions::NOHANG), Ok(None))
    }
}

/// Forks; the child gets `None`.
pub(crate) fn fork() -> Result<Option<Worker>> {
    sys::fork().map(|child| child.map(Worker))
}
