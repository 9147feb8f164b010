//! Making one entry in its place.

use super::{Extraction, name, timestamps};
use crate::error::{bad, quoted, refused};
use crate::host;
use crate::remove;
use crate::tar::{Entry, Kind, Reader};
use crate::tree::{Meta, open_directory};
use protocol::Answer;
use protocol::archive::{Owner, Replace};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, Uid, chownat, fchmod, fchown, futimens, linkat, makedev,
    mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Permissions of directories that an archive needs and does not hold: dockerd's.
const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

/// Where an entry goes: its name in an open directory, and its path for people.
#[derive(Clone, Copy)]
struct Place<'p> {
    parent: BorrowedFd<'p>,
    name: &'p OsStr,
    path: &'p Path,
}

impl Extraction<'_> {
    /// Makes an entry at `path`, whose last part is `name`, in place of what is there.
    pub(super) fn place(
        &mut self,
        reader: &mut Reader<impl Read>,
        entry: &Entry,
        path: &Path,
        name: &OsStr,
    ) -> Answer<()> {
        if self.made.is_none() && matches!(entry.kind, Kind::CharacterDevice | Kind::BlockDevice) {
            // Device nodes come with images, not with files that a user copies in.
            return Ok(());
        }
        let above = self.inside(path.parent().unwrap_or(Path::new("")));
        let parent = self.root.make_dirs(above, IMPLIED_DIRECTORY_MODE);
        let parent = parent.map_err(refused("openat", path))?;
        let place = Place {
            parent: parent.as_fd(),
            name,
            path,
        };
        let present = Meta::of_name(place.parent, name).map_err(refused("openat", path))?;
        if let Some(present) = &present {
            self.judge_replacement(entry, place, present)?;
        }
        if entry.kind == Kind::HardLink {
            return self.make_hard_link(entry, place, present);
        }
        if entry.kind == Kind::Directory && present.is_some_and(|present| present.is_directory()) {
            return self.set_directory_metadata(entry, place);
        }
        remove::tree(place.parent, place.name).map_err(refused("unlinkat", path))?;
        match entry.kind {
            Kind::Directory => {
                mkdirat(place.parent, name, Mode::RWXU).map_err(refused("mkdirat", path))?;
                self.set_directory_metadata(entry, place)
            }
            Kind::Symlink => {
                let target = OsStr::from_bytes(&entry.link);
                symlinkat(target, place.parent, name).map_err(refused("symlinkat", path))?;
                self.set_metadata_of_name(entry, place)
            }
            Kind::Regular | Kind::HardLink => self.make_file(reader, entry, place),
            Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => self.make_node(entry, place),
        }
    }

    fn judge_replacement(&self, entry: &Entry, place: Place<'_>, present: &Meta) -> Answer<()> {
        let becomes_directory = entry.kind == Kind::Directory;
        if self.request.replace == Replace::Allowed || becomes_directory == present.is_directory() {
            return Ok(());
        }
        let path = quoted(place.path.as_os_str().as_bytes());
        let target = quoted(format!("/{}", self.base.display()).as_bytes());
        Err(bad(if becomes_directory {
            format!("cannot overwrite non-directory {path} with directory {target}")
        } else {
            format!("cannot overwrite directory {path} with non-directory {target}")
        }))
    }

    fn set_directory_metadata(&self, entry: &Entry, place: Place<'_>) -> Answer<()> {
        let opened = open_directory(place.parent, place.name).and_then(|opened| opened.ok_or(Errno::NOTDIR));
        let opened = opened.map_err(refused("openat", place.path))?;
        self.set_metadata(opened.as_fd(), entry, place.path)
    }

    fn make_file(&mut self, reader: &mut Reader<impl Read>, entry: &Entry, place: Place<'_>) -> Answer<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(place.parent, place.name, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(refused("openat", place.path))?);
        let mut length = 0;
        for piece in &entry.pieces {
            let (mut at, end) = (piece.offset, piece.offset + piece.length);
            while at < end {
                let count = reader.read(&mut self.buffer, end - at)?;
                let written = file.write_all_at(&self.buffer[..count], at);
                written.map_err(refused("write", place.path))?;
                at += count as u64;
                length = at;
            }
        }
        if entry.size > length {
            // The file ends with a hole.
            file.set_len(entry.size).map_err(refused("write", place.path))?;
        }
        self.set_metadata(file.as_fd(), entry, place.path)?;
        futimens(&file, &timestamps(entry.modified)).map_err(refused("utimensat", place.path))
    }

    /// A pipe or a device. Its mode is given at once (the umask is empty), because a mode set by name later could be
    /// set on something else that took the name.
    fn make_node(&self, entry: &Entry, place: Place<'_>) -> Answer<()> {
        let number = makedev(entry.device.0, entry.device.1);
        let (kind, number) = match entry.kind {
            Kind::CharacterDevice => (FileType::CharacterDevice, number),
            Kind::BlockDevice => (FileType::BlockDevice, number),
            Kind::Fifo | Kind::Regular | Kind::HardLink | Kind::Symlink | Kind::Directory => {
                (FileType::Fifo, 0)
            }
        };
        match mknodat(place.parent, place.name, kind, mode(entry), number) {
            Ok(()) => self.set_metadata_of_name(entry, place),
            // As dockerd in a user namespace: where devices cannot be made, an image does without.
            Err(Errno::PERM) if kind != FileType::Fifo => Ok(()),
            Err(errno) => Err(refused("mknodat", place.path)(errno)),
        }
    }

    /// A further name of a file that is there. It has that file's owner, mode and times already.
    fn make_hard_link(&self, entry: &Entry, place: Place<'_>, present: Option<Meta>) -> Answer<()> {
        let target = name::clean_hard_link(&entry.link)?;
        let both = PathBuf::from(format!("{} {}", target.display(), place.path.display()));
        let found = self.root.parent(self.inside(&target));
        let (directory, name) = found.map_err(refused("linkat", &both))?;
        let linked = Meta::of_name(&directory, &name).and_then(|found| found.ok_or(Errno::NOENT));
        let linked = linked.map_err(refused("linkat", &both))?;
        if linked.is_directory() {
            return Err(bad(format!("linkat {}: operation not permitted", both.display())));
        }
        let same = |meta: &Meta| (meta.file_system, meta.inode) == (linked.file_system, linked.inode);
        if present.as_ref().is_some_and(same) {
            return Ok(());
        }
        remove::tree(place.parent, place.name).map_err(refused("unlinkat", place.path))?;
        let made = linkat(directory, &name, place.parent, place.name, AtFlags::empty());
        made.map_err(refused("linkat", &both))
    }

    fn owner(&self, entry: &Entry) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = match self.request.owner {
            Owner::FromArchive => (entry.uid, entry.gid),
            Owner::Fixed { uid, gid } => (uid, gid),
        };
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    /// Owner, attributes, mode, in this order: a new owner takes set-id bits and file capabilities away.
    pub(super) fn set_metadata(&self, file: BorrowedFd<'_>, entry: &Entry, path: &Path) -> Answer<()> {
        let (uid, gid) = self.owner(entry);
        fchown(file, uid, gid).map_err(refused("fchownat", path))?;
        for (name, value) in &entry.xattrs {
            host::set_attribute(file, name, value).map_err(refused("setxattr", path))?;
        }
        fchmod(file, mode(entry)).map_err(refused("fchmodat", path))
    }

    /// For what cannot be opened. A link that took the name meanwhile is not followed.
    fn set_metadata_of_name(&self, entry: &Entry, place: Place<'_>) -> Answer<()> {
        let Place { parent, name, path } = place;
        let (uid, gid) = self.owner(entry);
        let (times, flags) = (timestamps(entry.modified), AtFlags::SYMLINK_NOFOLLOW);
        chownat(parent, name, uid, gid, flags).map_err(refused("fchownat", path))?;
        utimensat(parent, name, &times, flags).map_err(refused("utimensat", path))
    }
}

fn mode(entry: &Entry) -> Mode {
    Mode::from_raw_mode(entry.mode as RawMode)
}
