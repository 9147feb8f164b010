//! The first steps of a helper: nothing inherited but what the launcher promised.

use crate::audit::Log;
use crate::sys;
use protocol::codec;
use protocol::limits::FRAME_BYTES_MAX;
use protocol::policy::Policy;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::OwnedFd;

/// Descriptor number of the service connection, by agreement with the launcher.
pub const CHANNEL_FD: i32 = 3;
/// Descriptor number of the audit log, opened for appending.
pub const AUDIT_FD: i32 = 4;

/// What a helper gets from the launcher beside its policy and its log (standard error).
#[derive(Debug)]
pub struct Inherited {
    /// The connection to the daemon.
    pub channel: OwnedFd,
    /// The helper's own audit log.
    pub audit: Log,
}

/// Closes every other descriptor, resets what else a process inherits, and takes the promised ones.
///
/// # Errors
/// Where a promised descriptor is missing or the system refuses; the helper must not go on.
pub fn clean() -> Result<Inherited> {
    sys::close_from(AUDIT_FD + 1)?;
    sys::reset_process()?;
    std::env::set_current_dir("/")?;
    let channel = sys::take_descriptor(CHANNEL_FD)?;
    let audit = Log::open(File::from(sys::take_descriptor(AUDIT_FD)?))?;
    Ok(Inherited { channel, audit })
}

/// Reads the policy from standard input, to its end.
///
/// # Errors
/// `InvalidData` where it is not a policy.
pub fn policy() -> Result<Policy> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(FRAME_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    codec::decode(&bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}
