//! Mounting on a place that is held by a descriptor.
//!
//! nmount(2) takes a path and follows its links. So the hand goes to the place by descriptor and mounts on
//! `.`, or on a name in it that is a plain file; afterwards it looks what was mounted and where. A container
//! that renames a directory meanwhile makes that check fail, and the mount is undone.
#![forbid(unsafe_code)]

use super::sys::{self, FileSystem};
use crate::source::Kind;
use crate::target::Place;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::fchdir;
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};

/// A mount to be made.
#[derive(Debug)]
pub(super) struct New<'a> {
    /// The file system's type.
    pub(super) kind: &'a str,
    /// What is mounted.
    pub(super) from: &'a str,
    /// Further options of nmount(2), with their values where they have one.
    pub(super) options: &'a [(&'a str, Option<&'a str>)],
    /// Mount flags (`MNT_…`).
    pub(super) flags: i32,
}

/// A mount that was made: its file system, and its root.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) file_system: FileSystem,
    pub(super) root: OwnedFd,
}

impl Made {
    /// Takes the mount away again; what cannot be undone is in the log.
    pub(super) fn undo(self) {
        drop(self.root);
        if let Err(error) = sys::unmount(self.file_system.id, false) {
            helper_runtime::log::say(&format!(
                "{} stays mounted: {error}",
                self.file_system.on.display()
            ));
        }
    }
}

/// Mounts on a place: a directory file system on a directory, a file on a file.
pub(super) fn attach(new: &New<'_>, place: &Place, kind: Kind) -> Answer<Made> {
    let failed = |error: &std::io::Error| {
        HelperError::system(format!("mount {} on {}", new.kind, place.path.display()), error)
    };
    let mounted = match kind {
        Kind::Directory => on_directory(new, place),
        Kind::File => on_file(new, place),
    };
    // A working directory inside a mount would keep it busy.
    let home = std::env::set_current_dir("/");
    let root = mounted.map_err(|e| failed(&e))?;
    home.map_err(|e| failed(&e))?;
    let file_system = sys::file_system(root.as_fd()).map_err(|e| failed(&e))?;
    if (file_system.kind.as_str(), file_system.from.as_str()) != (new.kind, new.from) {
        let detail = format!("{} was mounted and is not at {}", new.kind, place.path.display());
        return Err(HelperError::new(ErrorCode::System, detail));
    }
    let made = Made { file_system, root };
    if made.file_system.on != place.path {
        let detail = format!(
            "{} became {}",
            place.path.display(),
            made.file_system.on.display()
        );
        made.undo();
        return Err(HelperError::new(ErrorCode::Refused, detail));
    }
    Ok(made)
}

fn on_directory(new: &New<'_>, place: &Place) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(&place.parent, &*place.name, flags, Mode::empty())?;
    fchdir(&directory)?;
    drop(directory);
    nmount(new, ".")?;
    // The kernel moved the working directory onto the new root.
    Ok(openat(
        CWD,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn on_file(new: &New<'_>, place: &Place) -> Result<OwnedFd> {
    fchdir(&place.parent)?;
    let name = place.name.to_str().ok_or(std::io::ErrorKind::InvalidInput)?;
    nmount(new, name)?;
    Ok(openat(
        &place.parent,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn nmount(new: &New<'_>, path: &str) -> Result<()> {
    let mut options = vec![
        ("fstype", Some(new.kind)),
        ("fspath", Some(path)),
        ("from", Some(new.from)),
    ];
    options.extend_from_slice(new.options);
    if new.flags & libc::MNT_RDONLY != 0 {
        // ZFS goes by the option and clears the flag where it is not there (zfs_register_callbacks).
        options.push(("ro", None));
    }
    sys::nmount(&options, new.flags)
}
