//! Looking at trees: what a name is, and which names a directory holds.

use crate::error::failed;
use crate::tar::Time;
use helper_runtime::beneath::Root;
use protocol::Answer;
use protocol::archive::FileKind;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::{Errno, Result};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Deepest tree that is walked, in directories: the longest path that can be named has this many parts. Each open level
/// costs one descriptor.
pub(crate) const TREE_DEPTH_MAX: usize = 512;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Size in bytes.
    pub(crate) size: u64,
    pub(crate) modified: Time,
    /// When anything about it was last changed.
    pub(crate) changed: Time,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Which file system it is on.
    pub(crate) file_system: u64,
    /// Which file it is there.
    pub(crate) inode: u64,
    /// Whether it has other names.
    pub(crate) has_more_names: bool,
}

impl Meta {
    /// What a name in a directory is; a link is not followed. `None` where there is no such name.
    pub(crate) fn of_name(directory: impl AsFd, name: &OsStr) -> Result<Option<Self>> {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::from_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// What an open file is.
    pub(crate) fn of(file: impl AsFd) -> Result<Self> {
        rustix::fs::fstat(file).map(|stat| Meta::from_stat(&stat))
    }

    fn from_stat(stat: &Stat) -> Self {
        let kind = kind(FileType::from_raw_mode(stat.st_mode));
        let time = |seconds, part| Time {
            seconds,
            nanoseconds: u32::try_from(part).unwrap_or(0),
        };
        let is_device = matches!(kind, FileKind::CharacterDevice | FileKind::BlockDevice);
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        Meta {
            kind,
            mode: permissions(stat),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            device: if is_device { device } else { (0, 0) },
            file_system: stat.st_dev,
            inode: stat.st_ino,
            has_more_names: stat.st_nlink > 1,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// What a path beneath a root is, and the directory and name that it is found under; the root itself is under none. Its parents
/// are followed inside the root, itself is not.
pub(crate) fn find(root: &Root, path: &Path) -> std::io::Result<(Option<(OwnedFd, OsString)>, Meta)> {
    if path.as_os_str().is_empty() {
        return Ok((None, Meta::of(root)?));
    }
    let (parent, name) = root.parent(path)?;
    let meta = Meta::of_name(&parent, &name)?.ok_or(Errno::NOENT)?;
    Ok((Some((parent, name)), meta))
}

/// Opens the directory at a path beneath a root, as [`open_directory`] does.
pub(crate) fn open_beneath(root: &Root, path: &Path) -> std::io::Result<Option<OwnedFd>> {
    if path.as_os_str().is_empty() {
        return root.open_dir(path).map(Some);
    }
    let (parent, name) = root.parent(path)?;
    Ok(open_directory(parent, &name)?)
}

/// Opens a directory in a directory. `None` where no directory has the name, or none any more: a link is not followed.
pub(crate) fn open_directory(parent: impl AsFd, name: &OsStr) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    unless_gone(openat(parent, name, flags, Mode::empty()))
}

/// Opens a regular file in a directory for reading. `None` where none has the name, or none any more.
pub(crate) fn open_file(parent: impl AsFd, name: &OsStr) -> Result<Option<(File, Meta)>> {
    // Without NONBLOCK a pipe that took the name would keep the opener waiting for its other end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = unless_gone(openat(parent, name, flags, Mode::empty()))?;
    // What was opened counts, not what was seen under the name before.
    let known = opened
        .map(|opened| Ok((Meta::of(&opened)?, opened)))
        .transpose()?;
    let regular = known.filter(|(meta, _)| meta.kind == FileKind::Regular);
    Ok(regular.map(|(meta, opened)| (File::from(opened), meta)))
}

fn unless_gone(opened: Result<OwnedFd>) -> Result<Option<OwnedFd>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        // A link in its place is ELOOP on Linux and EMLINK on FreeBSD (open(2), O_NOFOLLOW).
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory, in the order of their bytes.
pub(crate) fn names(directory: impl AsFd) -> Result<Vec<OsString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(OsStr::from_bytes(name).to_owned());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The path of a name below a directory.
pub(crate) fn join(directory: &[u8], name: &OsStr) -> Vec<u8> {
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    [directory, separator, name.as_bytes()].concat()
}

/// A path for people.
pub(crate) fn shown(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Refuses to go below a directory that is deeper than [`TREE_DEPTH_MAX`].
pub(crate) fn check_depth(path: &[u8]) -> Answer<()> {
    let depth = path.iter().filter(|byte| **byte == b'/').count();
    let too_deep = failed("openat", shown(path));
    if depth < TREE_DEPTH_MAX {
        Ok(())
    } else {
        Err(too_deep(Errno::NAMETOOLONG))
    }
}

#[allow(clippy::useless_conversion, reason = "the mode is 16 bits wide on FreeBSD")]
fn permissions(stat: &Stat) -> u32 {
    u32::from(Mode::from_raw_mode(stat.st_mode).as_raw_mode()) & 0o7777
}

fn kind(kind: FileType) -> FileKind {
    match kind {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::RegularFile | FileType::Unknown => FileKind::Regular,
    }
}
