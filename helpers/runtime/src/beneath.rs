//! Paths resolved beneath a directory descriptor.
//!
//! A container's tree is hostile: any part of a path may be a symbolic link that a container made. Links are followed as the
//! container itself would see them: inside the root, with `..` stopping at the root. Each step opens one
//! component with `O_NOFOLLOW`, so a link swapped in after it was looked at makes the step fail, never leave.
//!
//! Written by hand because openat2(2)'s RESOLVE_IN_ROOT has no equal on FreeBSD (O_RESOLVE_BENEATH refuses absolute links).

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Symbolic links followed in one path: MAXSYMLINKS of FreeBSD is 32, of Linux 40.
pub const LINKS_MAX: usize = 40;

/// Opening a directory on the way: never through a link, never anything else.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What to do with a symbolic link in the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Go where it points (inside the root).
    Follow,
    /// Name the link itself.
    Keep,
}

/// A directory that no path leaves.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens a directory as a root.
    ///
    /// # Errors
    /// What open(2) gives; a link in the last component is refused.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Root(openat(CWD, path.as_ref(), DIRECTORY, Mode::empty())?))
    }

    /// Takes an open directory as a root.
    #[must_use]
    pub fn from_fd(directory: OwnedFd) -> Self {
        Root(directory)
    }

    /// Opens the directory `name` right below this root as a root of its own, without following a link.
    ///
    /// # Errors
    /// What openat(2) gives.
    pub fn child(&self, name: impl AsRef<Path>) -> Result<Self> {
        Ok(Root(openat(&self.0, name.as_ref(), DIRECTORY, Mode::empty())?))
    }

    /// Opens the directory at `path`, links followed inside the root.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`, as open(2) would in a chroot.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<OwnedFd> {
        let mut walk = Walk::new(self, path.as_ref());
        match walk.run(Last::Follow)? {
            None => Ok(walk.into_directory()?),
            Some(name) => Err(walk.why_not_directory(&name).into()),
        }
    }

    /// The directory that holds the last component of `path`, and that component's name, which is not followed. Links in
    /// the parents are followed inside the root.
    ///
    /// # Errors
    /// As [`Root::open_dir`] for the parents; `EINVAL` for a path that names the root itself.
    pub fn parent(&self, path: impl AsRef<Path>) -> Result<(OwnedFd, OsString)> {
        self.locate(path, Last::Keep)
    }

    /// As [`Root::parent`], and with [`Last::Follow`] a link in the last component is followed to what it names, which need
    /// not exist.
    ///
    /// # Errors
    /// As [`Root::parent`]; also `EINVAL` where the path leads to the root itself.
    pub fn locate(&self, path: impl AsRef<Path>, last: Last) -> Result<(OwnedFd, OsString)> {
        let mut walk = Walk::new(self, path.as_ref());
        let name = match walk.run(last)? {
            Some(name) => name,
            // The path ends in a directory: its name is on the stack.
            None => walk.stack.pop().ok_or(Errno::INVAL)?.1,
        };
        Ok((walk.into_directory()?, name))
    }

    /// The path with its links resolved inside the root. Parts that do not exist are taken as they stand.
    ///
    /// # Errors
    /// `ELOOP` for too many links, `ENOTDIR` for a file in the middle.
    pub fn resolve(&self, path: impl AsRef<Path>, last: Last) -> Result<PathBuf> {
        let mut walk = Walk::new(self, path.as_ref());
        walk.missing_parents_are_fine = true;
        let name = walk.run(last)?;
        Ok(walk
            .stack
            .into_iter()
            .map(|(_, part)| part)
            .chain(walk.missing)
            .chain(name)
            .collect())
    }

    /// Makes the directories of `path` that are missing, and opens the last.
    ///
    /// # Errors
    /// As [`Root::open_dir`], and what mkdirat(2) gives.
    pub fn make_dirs(&self, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
        let mut walk = Walk::new(self, path.as_ref());
        walk.make_missing = Some(Mode::from_raw_mode(mode as rustix::fs::RawMode));
        match walk.run(Last::Follow)? {
            None => Ok(walk.into_directory()?),
            Some(name) => Err(walk.why_not_directory(&name).into()),
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One resolution under way.
struct Walk<'r> {
    root: &'r Root,
    /// The directories entered below the root, with the names under which they were entered.
    stack: Vec<(OwnedFd, OsString)>,
    pending: VecDeque<OsString>,
    links: usize,
    make_missing: Option<Mode>,
    missing_parents_are_fine: bool,
    missing: Vec<OsString>,
}

impl<'r> Walk<'r> {
    fn new(root: &'r Root, path: &Path) -> Self {
        let pending = parts(path.as_os_str());
        let (stack, missing) = (Vec::new(), Vec::new());
        Walk {
            root,
            stack,
            pending,
            links: 0,
            make_missing: None,
            missing_parents_are_fine: false,
            missing,
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.stack
            .last()
            .map_or(self.root.as_fd(), |(directory, _)| directory.as_fd())
    }

    /// Walks to the end. `None` where the path names a directory (now on top of the stack), else the last name.
    fn run(&mut self, last: Last) -> Result<Option<OsString>> {
        while let Some(part) = self.pending.pop_front() {
            let is_last = self.pending.is_empty();
            if part == ".." {
                // Above the root is the root, as in a chroot.
                if self.missing.pop().is_none() {
                    self.stack.pop();
                }
                continue;
            }
            if !self.missing.is_empty() {
                self.missing.push(part);
                continue;
            }
            match self.kind(&part)? {
                Some(FileType::Symlink) if is_last && last == Last::Keep => return Ok(Some(part)),
                Some(FileType::Symlink) => self.follow(&part)?,
                Some(FileType::Directory) => self.enter(part)?,
                Some(_) | None if is_last => return Ok(Some(part)),
                None if self.missing_parents_are_fine => self.missing.push(part),
                None => return Err(Errno::NOENT.into()),
                Some(_) => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok(None)
    }

    fn kind(&self, name: &OsStr) -> Result<Option<FileType>> {
        match statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => match self.make_missing {
                None => Ok(None),
                Some(mode) => {
                    mkdirat(self.here(), name, mode)?;
                    Ok(Some(FileType::Directory))
                }
            },
            Err(errno) => Err(errno.into()),
        }
    }

    fn enter(&mut self, name: OsString) -> Result<()> {
        let directory = openat(self.here(), &*name, DIRECTORY, Mode::empty())?;
        self.stack.push((directory, name));
        Ok(())
    }

    fn follow(&mut self, name: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(self.here(), name, Vec::new())?;
        let target = OsStr::from_bytes(target.as_bytes());
        if target.as_bytes().starts_with(b"/") {
            self.stack.clear();
        }
        for part in parts(target).into_iter().rev() {
            self.pending.push_front(part);
        }
        Ok(())
    }

    fn into_directory(mut self) -> rustix::io::Result<OwnedFd> {
        match self.stack.pop() {
            Some((directory, _)) => Ok(directory),
            None => openat(&self.root.0, c".", DIRECTORY, Mode::empty()),
        }
    }

    fn why_not_directory(&self, name: &OsStr) -> Errno {
        match statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Errno::NOTDIR,
            Err(errno) => errno,
        }
    }
}

fn parts(path: &OsStr) -> VecDeque<OsString> {
    let named = |part: &&[u8]| !part.is_empty() && *part != b".";
    path.as_bytes()
        .split(|b| *b == b'/')
        .filter(named)
        .map(|part| OsStr::from_bytes(part).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cb-beneath-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(path.join("usr/bin")).unwrap();
            symlink("usr/bin", path.join("bin")).unwrap();
            symlink("/usr", path.join("abs")).unwrap();
            symlink("../../../..", path.join("usr/up")).unwrap();
            symlink("loop", path.join("loop")).unwrap();
            std::fs::write(path.join("usr/bin/true"), "x").unwrap();
            Tree(path)
        }
        fn root(&self) -> Root {
            Root::open(&self.0).unwrap()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn links_lead_inside_the_root_only() {
        let tree = Tree::new("inside");
        let root = tree.root();
        let resolve = |path: &str| root.resolve(path, Last::Follow).unwrap();
        assert_eq!(resolve("bin/true"), Path::new("usr/bin/true"));
        assert_eq!(resolve("abs/bin/true"), Path::new("usr/bin/true"));
        assert_eq!(resolve("usr/up/bin"), Path::new("usr/bin"));
        assert_eq!(resolve("../../etc/passwd"), Path::new("etc/passwd"));
        assert_eq!(root.resolve("bin", Last::Keep).unwrap(), Path::new("bin"));
        assert_eq!(resolve("no/such/../thing"), Path::new("no/thing"));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let tree = Tree::new("loop");
        let error = tree.root().open_dir("loop/x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn a_file_in_the_middle_is_not_a_directory() {
        let tree = Tree::new("middle");
        let error = tree.root().open_dir("bin/true/x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOTDIR.raw_os_error()));
        let error = tree.root().open_dir("bin/true").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOTDIR.raw_os_error()));
    }

    #[test]
    fn missing_directories_are_made_behind_links() {
        let tree = Tree::new("make");
        tree.root().make_dirs("abs/local/share", 0o755).unwrap();
        assert!(tree.0.join("usr/local/share").is_dir());
    }

    #[test]
    fn a_parent_keeps_the_last_link() {
        let tree = Tree::new("parent");
        let (_, name) = tree.root().parent("abs/up").unwrap();
        assert_eq!(name, "up");
        let (_, name) = tree.root().locate("abs/up/bin", Last::Follow).unwrap();
        assert_eq!(name, "bin");
        assert!(tree.root().parent("").is_err());
    }
}
