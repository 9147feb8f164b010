//! Capability mode (capsicum(4)).

use capsicum::{CapRights, FileRights, IoctlsBuilder, Right};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::BorrowedFd;

/// Errno of a call that capability mode forbids (errno(2)).
const ECAPMODE: i32 = 94;

/// One descriptor that stays usable, and for what. The table of these in a helper is the reviewer's page.
#[derive(Debug)]
pub struct Limit<'a> {
    /// The descriptor.
    pub fd: BorrowedFd<'a>,
    /// What may be done with it (rights(4)).
    pub rights: &'a [Right],
    /// Which ioctl(2) requests, where `Right::Ioctl` is among the rights.
    pub ioctls: &'a [u64],
}

/// Cuts every descriptor's rights, enters capability mode and proves that it took.
///
/// # Errors
/// Where a limit or the mode could not be set; the helper must not go on.
pub fn enter(limits: &[Limit<'_>]) -> Result<()> {
    for limit in limits {
        let mut rights = FileRights::new();
        for right in limit.rights {
            rights.allow(*right);
        }
        rights.limit(&limit.fd)?;
        if !limit.ioctls.is_empty() {
            let list = limit
                .ioctls
                .iter()
                .fold(IoctlsBuilder::new(), |list, request| list.allow(*request));
            list.finalize().limit(&limit.fd)?;
        }
    }
    capsicum::enter()?;
    match std::fs::File::open("/") {
        Err(refused) if refused.raw_os_error() == Some(ECAPMODE) => Ok(()),
        Ok(_) | Err(_) => Err(Error::new(
            ErrorKind::PermissionDenied,
            "capability mode did not take",
        )),
    }
}
