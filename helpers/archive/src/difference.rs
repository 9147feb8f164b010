//! What differs between two trees, as an image layer: changed and new entries, and whiteouts for what is gone.
//!
//! Both trees are walked side by side in name order. The directories above a change are in the layer, as in dockerd's. A
//! directory alone does not count as changed by its times, since every change in it changes them.

use crate::error::failed;
use crate::extract::WHITEOUT_PREFIX;
use crate::host;
use crate::pack::{Packer, Rules, directory_entry};
use crate::tar::{Entry, Kind, Time};
use crate::tree::{Meta, check_depth, join, names, open_directory, open_file, shown};
use crate::worker::Tally;
use helper_runtime::beneath::Root;
use protocol::Answer;
use protocol::archive::FileKind;
use protocol::names::RelPath;
use rustix::io::{Errno, Result};
use std::ffi::{OsStr, OsString};
use std::io::{Error, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Packs what makes `root` out of `base`.
///
/// # Errors
/// `BadContent` where a changed name would read as a whiteout, else what the host says.
pub(crate) fn pack_difference(
    root: &Root,
    base: Option<&Root>,
    skip: &[RelPath],
    sink: impl Write,
) -> Answer<Tally> {
    let lost = failed::<Error>("openat", Path::new("."));
    let open = |root: &Root| root.open_dir("").map_err(&lost);
    let now = open(root)?;
    let before = base.map(open).transpose()?;
    let meta = Meta::of(&now).map_err(|errno| lost(errno.into()))?;
    let rules = Rules {
        skip: skip
            .iter()
            .map(|path| path.as_str().as_bytes().to_vec())
            .collect(),
        reserved: Some(WHITEOUT_PREFIX),
    };
    let mut comparison = Comparison {
        packer: Packer::new(sink, meta.file_system, rules),
        above: Vec::new(),
    };
    if let Some(before) = &before {
        let base_meta = Meta::of(before).map_err(|errno| lost(errno.into()))?;
        if owner_and_mode(&meta) != owner_and_mode(&base_meta) {
            comparison.packer.write(&directory_entry(&meta, b"."))?;
        }
    }
    comparison.directory(&now, before.as_ref(), b"")?;
    comparison.packer.finish()
}

/// Two trees being compared.
struct Comparison<W> {
    packer: Packer<W>,
    /// The directories on the way to where the walk is, and whether each is in the layer yet.
    above: Vec<(Entry, bool)>,
}

impl<W: Write> Comparison<W> {
    fn directory(&mut self, now: &OwnedFd, before: Option<&OwnedFd>, path: &[u8]) -> Answer<()> {
        let shown = shown(path);
        check_depth(path)?;
        for name in both_names(now, before).map_err(failed("readdir", shown))? {
            let path = join(path, &name);
            if !self.packer.skips(&path) {
                self.name(now, before, &name, &path)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, now: &OwnedFd, before: Option<&OwnedFd>, name: &OsStr, path: &[u8]) -> Answer<()> {
        let lost = failed::<Errno>("statat", shown(path));
        // A socket is in no archive, so its name is as good as free.
        let is_packed = |meta: &Meta| meta.kind != FileKind::Socket;
        let of_name = |directory: &OwnedFd| {
            Meta::of_name(directory, name)
                .map(|found| found.filter(is_packed))
                .map_err(&lost)
        };
        let meta = of_name(now)?;
        let base_meta = before.map(of_name).transpose()?.flatten();
        match (meta, before.zip(base_meta)) {
            (None, None) => Ok(()),
            (None, Some(_)) => self.whiteout(path, name),
            (Some(meta), None) => self.added(now, name, &meta, path),
            (Some(meta), Some((before, base_meta))) if meta.is_directory() && base_meta.is_directory() => {
                self.above.push((directory_entry(&meta, path), false));
                if owner_and_mode(&meta) != owner_and_mode(&base_meta) {
                    self.write_above()?;
                }
                let now = open_directory(now, name).map_err(&lost)?;
                let before = open_directory(before, name).map_err(&lost)?;
                if let Some(now) = now.filter(|_| self.packer.descends_into(&meta)) {
                    self.directory(&now, before.as_ref(), path)?;
                }
                self.above.pop();
                Ok(())
            }
            (Some(meta), Some((before, base_meta))) => {
                // Where the closer look fails, adding the name tells why, or leaves it out where it is gone.
                let same = is_same(&meta, &base_meta)
                    && same_content(now, before, name, &meta, &base_meta).unwrap_or(false);
                if same {
                    Ok(())
                } else {
                    self.added(now, name, &meta, path)
                }
            }
        }
    }

    fn added(&mut self, now: &OwnedFd, name: &OsStr, meta: &Meta, path: &[u8]) -> Answer<()> {
        self.write_above()?;
        self.packer.add_tree(now, name, meta, path)
    }

    fn whiteout(&mut self, path: &[u8], name: &OsStr) -> Answer<()> {
        self.write_above()?;
        let directory = &path[..path.len() - name.len()];
        let name = [directory, WHITEOUT_PREFIX, name.as_bytes()].concat();
        self.packer.write(&Entry::new(Kind::Regular, name))
    }

    fn write_above(&mut self) -> Answer<()> {
        for (entry, written) in &mut self.above {
            if !*written {
                self.packer.write(entry)?;
                *written = true;
            }
        }
        Ok(())
    }
}

fn both_names(now: &OwnedFd, before: Option<&OwnedFd>) -> Result<Vec<OsString>> {
    let mut all = names(now)?;
    if let Some(before) = before {
        all.extend(names(before)?);
        all.sort_unstable();
        all.dedup();
    }
    Ok(all)
}

fn owner_and_mode(meta: &Meta) -> (u32, u32, u32) {
    (meta.uid, meta.gid, meta.mode)
}

/// Whether two names that are not both directories look alike from outside.
fn is_same(meta: &Meta, base: &Meta) -> bool {
    meta.kind == base.kind
        && owner_and_mode(meta) == owner_and_mode(base)
        && meta.size == base.size
        && meta.device == base.device
        && same_time(meta.modified, base.modified)
}

/// Times from an archive have whole seconds, so a time without a fraction equals any in its second.
fn same_time(one: Time, other: Time) -> bool {
    let has_whole = one.nanoseconds == 0 || other.nanoseconds == 0;
    one.seconds == other.seconds && (has_whole || one.nanoseconds == other.nanoseconds)
}

/// Whether what only a closer look shows is alike: a link's target, a file's capabilities. The content of files of one size
/// and time is taken as the same, as dockerd takes it.
fn same_content(now: &OwnedFd, before: &OwnedFd, name: &OsStr, meta: &Meta, base: &Meta) -> Result<bool> {
    // The very same file, not changed in any way since: the case of nearly every file of a clone.
    if meta.inode == base.inode && meta.changed == base.changed {
        return Ok(true);
    }
    match meta.kind {
        FileKind::Symlink => {
            let target = |directory| rustix::fs::readlinkat(directory, name, Vec::new());
            Ok(target(now)? == target(before)?)
        }
        FileKind::Regular => {
            let capability = |directory| match open_file(directory, name)? {
                Some((file, _)) => host::capability(file.as_fd()),
                None => Ok(None),
            };
            Ok(capability(now)? == capability(before)?)
        }
        FileKind::Directory
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::CharacterDevice
        | FileKind::BlockDevice => Ok(true),
    }
}
