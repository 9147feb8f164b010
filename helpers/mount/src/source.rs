//! What a bind mount shows: a descriptor of it, and its real path, judged.
//!
//! A host path may lead through symbolic links, and whoever may write one of its directories can change them
//! at any time. So the path is opened first, and what is judged is the path of what was opened.
#![forbid(unsafe_code)]

use crate::host;
use crate::policy::BindRules;
use helper_runtime::beneath::{Last, Root};
use protocol::mount::{Join, MissingSource};
use protocol::names::{HostPath, RelPath};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A descriptor that names a thing without opening it for reading.
const NAMED: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Mode of directories that are made because a bind mount names them, as dockerd makes them.
const MADE_DIRECTORY: Mode = Mode::from_raw_mode(0o755);

/// What is mounted decides what it is mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory, on a directory.
    Directory,
    /// Anything else, on a file.
    File,
}

impl Kind {
    /// The kind of a thing by its status.
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            _ => Kind::File,
        }
    }
}

/// How much of a source is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// With what is mounted below it.
    Whole,
    /// Without.
    Alone,
}

/// The source of a bind mount, judged.
#[derive(Debug)]
pub(crate) struct Source {
    /// It itself (`O_PATH`).
    pub(crate) fd: OwnedFd,
    /// Its path without symbolic links.
    pub(crate) path: PathBuf,
    /// What it can be mounted on.
    pub(crate) kind: Kind,
    /// How much of it is shown.
    pub(crate) depth: Depth,
    /// Whether later mounts of the host reach it.
    pub(crate) join: Option<Join>,
    /// It is /dev/null.
    pub(crate) is_null: bool,
}

/// Opens a path of the host, made where that is wished, if the rules allow what it leads to.
pub(crate) fn open_host(path: &HostPath, missing: MissingSource, rules: &BindRules) -> Answer<Source> {
    let path = Path::new(path.as_str());
    match openat(CWD, path, NAMED, Mode::empty()) {
        Ok(fd) => judged(fd, rules),
        Err(Errno::NOENT) if missing == MissingSource::CreateDirectory => {
            judged(make_directories(path, rules)?, rules)
        }
        Err(errno) => Err(failed(path, errno)),
    }
}

/// Opens a path in a mounted volume. Whoever writes the volume chooses its links, so they are followed inside it; what is
/// found is then named by its descriptor.
pub(crate) fn open_inside(volume: &Source, inside: &RelPath) -> Answer<Source> {
    let path = Path::new(inside.as_str());
    let whole = volume.path.join(path);
    let root = volume.fd.try_clone().map(Root::from_fd);
    let root = root.map_err(|e| HelperError::system(whole.display().to_string(), &e))?;
    let located = root.locate(path, Last::Follow);
    let (above, name) = located.map_err(|e| HelperError::system(whole.display().to_string(), &e))?;
    let fd = openat(&above, &*name, NAMED.union(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|errno| failed(&whole, errno))?;
    shown(fd)
}

fn judged(fd: OwnedFd, rules: &BindRules) -> Answer<Source> {
    let path = host::real_path(fd.as_fd()).map_err(|e| HelperError::system("path of a bind source", &e))?;
    rules.judge(&path)?;
    shown(fd)
}

fn shown(fd: OwnedFd) -> Answer<Source> {
    let path = host::real_path(fd.as_fd()).map_err(|e| HelperError::system("path of a bind source", &e))?;
    let stat = fstat(&fd).map_err(|errno| failed(&path, errno))?;
    // The path of a deleted thing is not its path any more.
    if stat.st_nlink == 0 {
        return Err(failed(&path, Errno::NOENT));
    }
    match FileType::from_raw_mode(stat.st_mode) {
        // What `open_inside` was given cannot be a link unless it was put there meanwhile.
        FileType::Symlink => Err(failed(&path, Errno::LOOP)),
        // It is how a file is hidden (`-v /dev/null:/app/.env`), and every container has it anyway.
        FileType::CharacterDevice if host::is_null(&stat) => Ok(Source {
            fd,
            path,
            kind: Kind::File,
            depth: Depth::Whole,
            join: None,
            is_null: true,
        }),
        FileType::CharacterDevice | FileType::BlockDevice => {
            let detail = format!("{} is a device; bind mounts show no devices", path.display());
            Err(HelperError::new(ErrorCode::Refused, detail))
        }
        _ => Ok(Source {
            fd,
            path,
            kind: Kind::of(&stat),
            depth: Depth::Whole,
            join: None,
            is_null: false,
        }),
    }
}

/// Makes the missing directories of `path`, after judging where they would come to lie.
fn make_directories(path: &Path, rules: &BindRules) -> Answer<OwnedFd> {
    let (mut here, missing) = deepest_existing(path)?;
    let mut planned =
        host::real_path(here.as_fd()).map_err(|e| HelperError::system("path of a bind source", &e))?;
    planned.extend(missing.iter());
    rules.judge(&planned)?;
    for name in missing {
        match mkdirat(&here, name, MADE_DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(&planned, errno)),
        }
        // Not through a link: one that was put there meanwhile, or dangled before, leads elsewhere than was
        // judged.
        let flags = NAMED.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);
        here = openat(&here, name, flags, Mode::empty()).map_err(|errno| failed(&planned, errno))?;
    }
    Ok(here)
}

/// The deepest part of `path` that exists, and the names that are missing below it.
fn deepest_existing(path: &Path) -> Answer<(OwnedFd, Vec<&OsStr>)> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match openat(CWD, ancestor, NAMED, Mode::empty()) {
            Ok(fd) => {
                missing.reverse();
                return Ok((fd, missing));
            }
            Err(Errno::NOENT) => missing.extend(ancestor.file_name()),
            Err(errno) => return Err(failed(ancestor, errno)),
        }
    }
    Err(failed(path, Errno::NOENT))
}

fn failed(path: &Path, errno: Errno) -> HelperError {
    HelperError::system(path.display().to_string(), &Error::from(errno))
}
