//! FreeBSD: the whole helper in capability mode, with the mount root's descriptor as its only tree.
//!
//! Extended attributes of layers are not set: file capabilities do not exist here, and `user.*` of a Linux image says nothing
//! to FreeBSD. Linux programs with file capabilities therefore run without them.

mod sys;

use capsicum::Right;
use helper_runtime::beneath::Root;
use helper_runtime::sandbox::{self, Limit};
use helper_runtime::startup::Inherited;
use protocol::handshake::HostOs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

pub(crate) const OS: HostOs = HostOs::FreeBsd;

/// The attribute that holds a file's capabilities; no file here has it.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// What is done with the connection: frames with descriptors, waiting for them.
const CHANNEL: [Right; 4] = [Right::Read, Right::Write, Right::Event, Right::Fstat];

/// What is done below the mount root (rights(4)). Every directory and file opened from it has the same rights.
const MOUNTS: [Right; 19] = [
    // Paths, and files made, read and written on them.
    Right::Lookup,
    Right::Create,
    Right::Read,
    Right::Write,
    Right::Seek,
    Right::Ftruncate,
    // What is known of them.
    Right::Fstat,
    Right::Fchmod,
    Right::Fchown,
    Right::Futimes,
    // Other kinds.
    Right::Mkdirat,
    Right::Mkfifoat,
    Right::Mknodat,
    Right::Symlinkat,
    Right::LinkatSource,
    Right::LinkatTarget,
    Right::Unlinkat,
    // fdopendir(3) asks for the descriptor's flags and for the kind of file system.
    Right::Fcntl,
    Right::Fstatfs,
];

/// Gives up everything but trees beneath the mount root.
///
/// # Errors
/// Where any part could not be given up; the helper must not go on.
pub fn confine(_mount_root: &Path, mounts: &Root, inherited: &Inherited) -> Result<()> {
    sandbox::enter(&[
        Limit {
            fd: inherited.channel.as_fd(),
            rights: &CHANNEL,
            ioctls: &[],
        },
        Limit {
            fd: mounts.as_fd(),
            rights: &MOUNTS,
            ioctls: &[],
        },
    ])
}

/// Passes over an attribute from an archive; see the module.
pub(crate) fn set_attribute(_file: BorrowedFd<'_>, _name: &[u8], _value: &[u8]) -> rustix::io::Result<()> {
    Ok(())
}

/// No file has capabilities here.
pub(crate) fn capability(_file: BorrowedFd<'_>) -> rustix::io::Result<Option<Vec<u8>>> {
    Ok(None)
}

/// A child of the helper. When its descriptor is closed, as at the helper's end, the child is killed (pdfork(2)).
#[derive(Debug)]
pub(crate) struct Worker(OwnedFd);

impl Worker {
    /// Whether it is gone. wait4(2) is forbidden in capability mode; an ended process hangs up its descriptor.
    pub(crate) fn has_ended(&mut self) -> bool {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut watched = [PollFd::new(&self.0, PollFlags::empty())];
        matches!(poll(&mut watched, Some(&at_once)), Ok(count) if count > 0)
    }
}

/// Forks; the child gets `None`.
pub(crate) fn fork() -> Result<Option<Worker>> {
    sys::fork().map(|child| child.map(Worker))
}
