//! A tree as a tar stream, always the same bytes for the same tree.
//!
//! Names come in the order of their bytes. What another file system holds is not descended into, only its mount point is
//! there: a container's `/proc` and `/dev` are no files of it. Sockets have no form in tar and are left out, as dockerd does.

use crate::error::{bad, failed, quoted};
use crate::host;
use crate::tar::{Entry, Kind, Writer};
use crate::tree::{Meta, check_depth, find, join, names, open_beneath, open_directory, open_file, shown};
use crate::worker::Tally;
use helper_runtime::beneath::Root;
use protocol::archive::FileKind;
use protocol::names::RelPath;
use protocol::{Answer, HelperError};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How much content is copied at once, in bytes: two pipe buffers of Linux.
const COPY_BYTES: usize = 128 * 1024;

/// Packs a path under a name.
///
/// # Errors
/// `NotFound` where it is not there, `BadContent` for a file without a name, else what the host says.
pub(crate) fn pack(root: &Root, path: &RelPath, name: &RelPath, sink: impl Write) -> Answer<Tally> {
    let asked = Path::new(path.as_str());
    let (place, meta) = find(root, asked).map_err(failed("statat", asked))?;
    let mut packer = Packer::new(sink, meta.file_system, Rules::default());
    let name = name.as_str().as_bytes();
    if let Some((parent, last)) = &place
        && !meta.is_directory()
    {
        if name.is_empty() {
            return Err(bad(format!(
                "{path} is no directory and has no name in the archive"
            )));
        }
        packer.add(parent, last, &meta, name)?;
        return packer.finish();
    }
    let directory = open_beneath(root, asked).map_err(failed("openat", asked))?;
    let directory = directory.ok_or_else(|| failed("openat", asked)(Errno::NOENT))?;
    if !name.is_empty() {
        packer.write(&directory_entry(&meta, name))?;
    }
    packer.add_content(&directory, name)?;
    packer.finish()
}

/// What is particular to a layer.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Paths that are left out with all below them.
    pub(crate) skip: HashSet<Vec<u8>>,
    /// Names that begin with this have a meaning of their own and are refused.
    pub(crate) reserved: Option<&'static [u8]>,
}

/// An archive being made of a tree.
pub(crate) struct Packer<W> {
    writer: Writer<W>,
    /// Only directories of this file system are descended into.
    file_system: u64,
    rules: Rules,
    /// The first name in the archive of each file that has more than one.
    linked: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl<W: Write> Packer<W> {
    pub(crate) fn new(sink: W, file_system: u64, rules: Rules) -> Self {
        let (writer, buffer) = (Writer::new(sink), vec![0; COPY_BYTES]);
        Packer {
            writer,
            file_system,
            rules,
            linked: HashMap::new(),
            buffer,
            tally: Tally::default(),
        }
    }

    /// Whether a directory's content belongs to the archive.
    pub(crate) fn descends_into(&self, meta: &Meta) -> bool {
        meta.is_directory() && meta.file_system == self.file_system
    }

    pub(crate) fn skips(&self, path: &[u8]) -> bool {
        self.rules.skip.contains(path)
    }

    /// Adds a name of a directory with all below it, as `path`.
    pub(crate) fn add_tree(&mut self, dir: &OwnedFd, name: &OsStr, meta: &Meta, path: &[u8]) -> Answer<()> {
        if !self.descends_into(meta) {
            return self.add(dir, name, meta, path);
        }
        // One that went away or became something else since it was looked at is left out.
        let opened = open_directory(dir, name).map_err(failed("openat", shown(path)))?;
        opened.map_or(Ok(()), |opened| {
            self.add(dir, name, meta, path)?;
            self.add_content(&opened, path)
        })
    }

    /// Adds what is in a directory whose path in the archive is `path`.
    pub(crate) fn add_content(&mut self, directory: &OwnedFd, path: &[u8]) -> Answer<()> {
        let shown = shown(path);
        check_depth(path)?;
        for name in names(directory).map_err(failed("readdir", shown))? {
            let path = join(path, &name);
            let meta = Meta::of_name(directory, &name).map_err(failed("statat", shown))?;
            if let Some(meta) = meta.filter(|_| !self.skips(&path)) {
                self.add_tree(directory, &name, &meta, &path)?;
            }
        }
        Ok(())
    }

    /// Adds one name, without what is below it. A name that went away meanwhile is left out.
    fn add(&mut self, dir: &OwnedFd, name: &OsStr, meta: &Meta, path: &[u8]) -> Answer<()> {
        let reserved = self.rules.reserved;
        if reserved.is_some_and(|prefix| name.as_bytes().starts_with(prefix)) {
            let path = quoted(path);
            return Err(bad(format!(
                "{path} cannot be part of a layer: its name is that of a whiteout"
            )));
        }
        // One name means another file that took over the number of a removed one.
        let first = self
            .linked
            .get(&(meta.file_system, meta.inode))
            .filter(|_| meta.has_more_names);
        if let Some(first) = first {
            let mut entry = new_entry(Kind::HardLink, meta, path);
            entry.link.clone_from(first);
            return self.write(&entry);
        }
        match meta.kind {
            FileKind::Regular => self.add_file(dir, name, path),
            FileKind::Symlink => self.add_symlink(dir, name, meta, path),
            FileKind::Directory => self.write(&directory_entry(meta, path)),
            FileKind::Fifo => self.write_first(meta, &new_entry(Kind::Fifo, meta, path)),
            FileKind::CharacterDevice => {
                self.write_first(meta, &new_entry(Kind::CharacterDevice, meta, path))
            }
            FileKind::BlockDevice => self.write_first(meta, &new_entry(Kind::BlockDevice, meta, path)),
            FileKind::Socket => Ok(()),
        }
    }

    /// Writes an entry, to be followed by its content.
    pub(crate) fn write(&mut self, entry: &Entry) -> Answer<()> {
        self.tally.entries += 1;
        self.writer.entry(entry).map_err(write_failed)
    }

    /// As [`Packer::write`], for a file that may have more names to come.
    fn write_first(&mut self, meta: &Meta, entry: &Entry) -> Answer<()> {
        if meta.has_more_names {
            self.linked
                .insert((meta.file_system, meta.inode), entry.name.clone());
        }
        self.write(entry)
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> Answer<Tally> {
        self.writer.finish().map_err(write_failed)?;
        Ok(self.tally)
    }

    fn add_symlink(&mut self, dir: &OwnedFd, name: &OsStr, meta: &Meta, path: &[u8]) -> Answer<()> {
        let mut entry = new_entry(Kind::Symlink, meta, path);
        match rustix::fs::readlinkat(dir, name, Vec::new()) {
            Ok(target) => {
                entry.link = target.into_bytes();
                self.write_first(meta, &entry)
            }
            Err(Errno::NOENT | Errno::INVAL) => Ok(()),
            Err(errno) => Err(failed("readlinkat", shown(path))(errno)),
        }
    }

    fn add_file(&mut self, dir: &OwnedFd, name: &OsStr, path: &[u8]) -> Answer<()> {
        let shown = shown(path);
        let Some((file, meta)) = open_file(dir, name).map_err(failed("openat", shown))? else {
            return Ok(());
        };
        let mut entry = new_entry(Kind::Regular, &meta, path);
        let capability = host::capability(file.as_fd()).map_err(failed("fgetxattr", shown))?;
        entry
            .xattrs
            .extend(capability.map(|value| (host::CAPABILITY.to_vec(), value)));
        entry.size = meta.size;
        self.write_first(&meta, &entry)?;
        self.copy(file, meta.size, shown)?;
        self.tally.content_bytes += meta.size;
        Ok(())
    }

    /// Copies exactly `size` bytes: a file that grows meanwhile is cut, one that shrinks is filled with zeros, as tar(1) does.
    fn copy(&mut self, file: File, size: u64, path: &Path) -> Answer<()> {
        let mut content = file.take(size).chain(std::io::repeat(0)).take(size);
        loop {
            match content.read(&mut self.buffer).map_err(failed("read", path))? {
                0 => return Ok(()),
                count => self.writer.content(&self.buffer[..count]).map_err(write_failed)?,
            }
        }
    }
}

/// The entry of a directory, which has nothing to be read.
pub(crate) fn directory_entry(meta: &Meta, path: &[u8]) -> Entry {
    new_entry(Kind::Directory, meta, &[path, b"/"].concat())
}

/// An entry without content. The archive keeps whole seconds, as dockerd's do.
fn new_entry(kind: Kind, meta: &Meta, name: &[u8]) -> Entry {
    let mut entry = Entry::new(kind, name.to_vec());
    (entry.mode, entry.uid, entry.gid) = (meta.mode, meta.uid, meta.gid);
    (entry.modified, entry.device) = (meta.modified, meta.device);
    entry
}

fn write_failed(error: std::io::Error) -> HelperError {
    HelperError::system("write archive", &error)
}
