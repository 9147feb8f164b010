//! Where in a container something is mounted: a place whose links are resolved inside the container's root,
//! made where it is missing, and held by the descriptor of its directory.
#![forbid(unsafe_code)]

use crate::policy::judge_target;
use crate::source::Kind;
use helper_runtime::beneath::{Last, Root};
use protocol::names::RelPath;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::Error;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Mode of the directories that are made for a mount, as runc makes them.
const DIRECTORY_MODE: u32 = 0o755;

/// Mode of the empty files that are made for a mount, as runc makes them.
const FILE_MODE: Mode = Mode::from_raw_mode(0o755);

/// A mounted container.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its root.
    pub(crate) root: Root,
    /// Its mount point on the host, without symbolic links.
    pub(crate) path: PathBuf,
}

/// A place in a container.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory that it is in.
    pub(crate) parent: OwnedFd,
    /// Its name there, which is no link.
    pub(crate) name: OsString,
    /// Where that was on the host when it was looked at.
    pub(crate) path: PathBuf,
}

/// Finds the place that `target` leads to, and makes it where it is missing.
pub(crate) fn prepare(container: &Container, target: &RelPath, kind: Kind) -> Answer<Place> {
    let resolved = resolve(container, Path::new(target.as_str()))?;
    judge_target(&resolved)?;
    make(container, &resolved, kind)
}

/// The path without links, which are followed inside the container.
pub(crate) fn resolve(container: &Container, target: &Path) -> Answer<PathBuf> {
    container
        .root
        .resolve(target, Last::Follow)
        .map_err(|e| HelperError::system(format!("resolve /{}", target.display()), &e))
}

/// The place at a path without links, made where it is missing.
pub(crate) fn make(container: &Container, resolved: &Path, kind: Kind) -> Answer<Place> {
    let failed = |error: &Error| HelperError::system(format!("make /{}", resolved.display()), error);
    let (above, name) = match (resolved.parent(), resolved.file_name()) {
        (Some(above), Some(name)) => (above, name.to_owned()),
        (None, _) | (_, None) => return Err(failed(&Errno::INVAL.into())),
    };
    let parent = container
        .root
        .make_dirs(above, DIRECTORY_MODE)
        .map_err(|e| failed(&e))?;
    let found = || statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = match found() {
        Err(Errno::NOENT) => make_last(&parent, &name, kind).and_then(|()| found()),
        other => other,
    };
    let stat = stat.map_err(|errno| failed(&errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(HelperError::new(
            ErrorCode::Refused,
            format!("/{} became a link", resolved.display()),
        ));
    }
    if Kind::of(&stat) != kind {
        let detail = "Are you trying to mount a directory onto a file (or vice-versa)? \
                      Check if the specified host path exists and is the expected type";
        return Err(HelperError::new(ErrorCode::BadContent, detail));
    }
    Ok(Place {
        parent,
        name,
        path: container.path.join(resolved),
    })
}

fn make_last(parent: &OwnedFd, name: &OsString, kind: Kind) -> rustix::io::Result<()> {
    match kind {
        Kind::Directory => mkdirat(
            parent,
            name,
            Mode::from_raw_mode(DIRECTORY_MODE as rustix::fs::RawMode),
        ),
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(parent, name, flags, FILE_MODE).map(drop)
        }
    }
}
