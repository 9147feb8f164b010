//! The folder of things that are not there yet or not there any more.
//!
//! Removing a tree takes one step at a time and never goes deeper than one directory: a directory that is not empty is
//! moved up into the trash and its turn comes later. So a tree of any depth needs two descriptors, no path can be too
//! long, and being killed between any two steps leaves only trash.

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The folder's name. No dataset's name begins with a dot.
const FOLDER: &str = ".trash";

/// The open trash folder.
#[derive(Debug)]
pub(super) struct Trash {
    folder: OwnedFd,
    next: u64,
    /// Steps done, by which a pass that achieved nothing is told from one that did.
    steps: u64,
}

impl AsFd for Trash {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl Trash {
    /// Opens the folder below `root`; makes it if need be.
    pub(super) fn open(root: &OwnedFd) -> Result<Self> {
        match mkdirat(root, FOLDER, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Trash {
            folder: open_dir(root, FOLDER)?,
            next: 0,
            steps: 0,
        })
    }

    /// A new empty directory in the trash.
    pub(super) fn new_dir(&mut self) -> Result<(String, OwnedFd)> {
        loop {
            let name = self.new_name();
            match mkdirat(&self.folder, &name, Mode::from_raw_mode(0o700)) {
                Ok(()) => return Ok((name.clone(), open_dir(&self.folder, name.as_str())?)),
                // Left by an earlier helper because it could not be removed.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Moves something into the trash, in one step.
    pub(super) fn take(&mut self, from: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<()> {
        loop {
            let new_name = self.new_name();
            match renameat_with(&from, name, &self.folder, &new_name, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Removes everything that can be removed.
    ///
    /// # Errors
    /// The first failure, after the other entries were tried.
    pub(super) fn empty(&mut self) -> Result<()> {
        loop {
            let before = self.steps;
            let mut failure = None;
            for entry in Dir::read_from(&self.folder)? {
                let entry = entry?;
                if !is_dots(entry.file_name())
                    && let Err(error) = self.remove(entry.file_name())
                {
                    failure.get_or_insert(error);
                }
            }
            // Directories were moved here while the folder was read, so only a pass without a step is the last.
            if self.steps == before {
                return failure.map_or(Ok(()), Err);
            }
        }
    }

    /// Removes one entry of the trash. Directories that it holds become entries of their own.
    fn remove(&mut self, name: &CStr) -> Result<()> {
        if self.unlinked(&self.folder, name)? {
            self.steps += 1;
            return Ok(());
        }
        let directory = open_dir(&self.folder, name)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if is_dots(entry.file_name()) {
                continue;
            }
            if !self.unlinked(&directory, entry.file_name())? {
                self.take(&directory, entry.file_name())?;
            }
            self.steps += 1;
        }
        unlinkat(&self.folder, name, AtFlags::REMOVEDIR)?;
        self.steps += 1;
        Ok(())
    }

    /// Removes a file or an empty directory; false for a directory that is not empty.
    fn unlinked(&self, folder: &OwnedFd, name: &CStr) -> Result<bool> {
        let outcome = match unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(folder, name, AtFlags::REMOVEDIR),
            other => other,
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn new_name(&mut self) -> String {
        self.next += 1;
        self.next.to_string()
    }
}

fn open_dir(folder: &OwnedFd, name: impl rustix::path::Arg) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}
