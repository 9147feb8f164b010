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
use std::path::Path;

/// Permissions of directories that an archive needs and does not hold: dockerd's.
const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

/// A new file: it must not be there, under whatever kind.
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

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
        let parent = self
            .root
            .make_dirs(above, IMPLIED_DIRECTORY_MODE)
            .map_err(refused("openat", path))?;
        let place = Place {
            parent: parent.as_fd(),
            name,
            path,
        };
        let present = Meta::of_name(place.parent, name).map_err(refused("openat", path))?;
        if let Some(present) = &present {
            self.judge_replacement(entry, place, present)?;
        }
        match entry.kind {
            Kind::HardLink => self.make_hard_link(entry, place, present),
            Kind::Directory => self.make_directory(entry, place, present),
            Kind::Regular => {
                clear(place)?;
                self.make_file(reader, entry, place)
            }
            Kind::Symlink => {
                clear(place)?;
                symlinkat(OsStr::from_bytes(&entry.link), place.parent, name)
                    .map_err(refused("symlinkat", path))?;
                self.set_metadata_of_name(entry, place)
            }
            Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => {
                clear(place)?;
                self.make_node(entry, place)
            }
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

    fn make_directory(&self, entry: &Entry, place: Place<'_>, present: Option<Meta>) -> Answer<()> {
        if !present.is_some_and(|present| present.is_directory()) {
            clear(place)?;
            mkdirat(place.parent, place.name, Mode::RWXU).map_err(refused("mkdirat", place.path))?;
        }
        let made = open_directory(place.parent, place.name).and_then(|made| made.ok_or(Errno::NOTDIR));
        let made = made.map_err(refused("openat", place.path))?;
        self.set_metadata(made.as_fd(), entry, place.path)
    }

    fn make_file(&mut self, reader: &mut Reader<impl Read>, entry: &Entry, place: Place<'_>) -> Answer<()> {
        let file = openat(place.parent, place.name, NEW_FILE, Mode::RUSR | Mode::WUSR)
            .map_err(refused("openat", place.path))?;
        let file = File::from(file);
        let mut length = 0;
        for piece in &entry.pieces {
            let (mut at, end) = (piece.offset, piece.offset + piece.length);
            while at < end {
                let wanted = self
                    .buffer
                    .len()
                    .min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let count = reader.read(&mut self.buffer[..wanted])?;
                file.write_all_at(&self.buffer[..count], at)
                    .map_err(refused("write", place.path))?;
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
        let kind = match entry.kind {
            Kind::CharacterDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::Fifo | Kind::Regular | Kind::HardLink | Kind::Symlink | Kind::Directory => FileType::Fifo,
        };
        let number = if kind == FileType::Fifo {
            0
        } else {
            makedev(entry.device.0, entry.device.1)
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
        let both = format!("{} {}", target.display(), place.path.display());
        let failed = |errno: Errno| {
            let told = refused("linkat", Path::new(&both))(errno);
            // A directory, or a file on another file system: the archive is wrong about this tree.
            if errno == Errno::PERM {
                bad(told.detail.as_str())
            } else {
                told
            }
        };
        let (directory, name) = self
            .root
            .parent(self.inside(&target))
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::NOENT)))?;
        let linked = Meta::of_name(&directory, &name)
            .map_err(failed)?
            .ok_or_else(|| failed(Errno::NOENT))?;
        let same = |meta: &Meta| (meta.file_system, meta.inode) == (linked.file_system, linked.inode);
        if present.as_ref().is_some_and(same) {
            return Ok(());
        }
        clear(place)?;
        linkat(directory, &name, place.parent, place.name, AtFlags::empty()).map_err(failed)
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
        let (uid, gid) = self.owner(entry);
        chownat(place.parent, place.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(refused("fchownat", place.path))?;
        utimensat(
            place.parent,
            place.name,
            &timestamps(entry.modified),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(refused("utimensat", place.path))
    }
}

fn mode(entry: &Entry) -> Mode {
    Mode::from_raw_mode(entry.mode as RawMode)
}

fn clear(place: Place<'_>) -> Answer<()> {
    remove::tree(place.parent, place.name).map_err(refused("unlinkat", place.path))
}
