//! A dataset of the development host: the directory `<pool>/<name>` with `data/` (its files), `work/`
//! (overlayfs's), and `origin`, which says of what snapshot it is a clone.
#![forbid(unsafe_code)]

use super::attach;
use super::sys::Attributes;
use crate::source::Depth;
use helper_runtime::overlay;
use protocol::mount::Access;
use protocol::names::{DatasetName, SnapshotLabel};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Datasets below a dataset in its chain of origins: Docker stops at 125 layers. It also ends a chain that
/// bites its tail.
const ORIGINS_MAX: usize = 128;

/// Longest `origin` file that is read, in bytes: a dataset's and a snapshot's longest name, `@` and a newline
/// fit.
const ORIGIN_BYTES_MAX: u64 = 512;

/// A dataset as a detached mount, and how it is to be attached.
///
/// One without origin is its `data/` itself. A clone is an overlay: its own `data/` on the `data/` of each
/// origin, and where it is not to be written, without an upper directory.
pub(super) fn detached(
    pool: &OwnedFd,
    dataset: &DatasetName,
    access: Access,
) -> Answer<(OwnedFd, Attributes)> {
    // Device nodes live in /dev only, as on FreeBSD. An image may bring others, and nothing else guards
    // opening them.
    let attributes = Attributes {
        nodev: true,
        read_only: access == Access::ReadOnly,
        ..Attributes::default()
    };
    let (own, origins) = chain(pool, dataset)?;
    let mount = if origins.is_empty() {
        let (data, name) = (open(&own, "data", dataset)?, Path::new(dataset.as_str()));
        attach::detached_copy(data.as_fd(), name, Depth::Whole)?
    } else {
        let source = overlay::source(pool, dataset).map_err(|e| HelperError::system("pool directory", &e))?;
        overlaid(dataset, &source, &own, &origins, access)?
    };
    Ok((mount, attributes))
}

/// Mounts an overlay. overlayfs acts with the credentials of the process that mounts it, so the hand's
/// capabilities are what copying up can do (see `sandbox`).
fn overlaid(
    dataset: &DatasetName,
    source: &str,
    own: &OwnedFd,
    origins: &[OwnedFd],
    access: Access,
) -> Answer<OwnedFd> {
    let context = attach::open_file_system("overlay")?;
    attach::option(&context, "source", source)?;
    match access {
        Access::ReadWrite => {
            set_directory(&context, "upperdir", &open(own, "data", dataset)?)?;
            set_directory(&context, "workdir", &open(own, "work", dataset)?)?;
        }
        Access::ReadOnly => set_directory(&context, "lowerdir+", &open(own, "data", dataset)?)?,
    }
    for origin in origins {
        // One by one, topmost first (Linux 6.7): a single option of 120 paths would be over the kernel's
        // limit.
        set_directory(&context, "lowerdir+", &open(origin, "data", dataset)?)?;
    }
    // A metacopy upper would leave content behind in its origin; an index would tie the layers to each other.
    attach::option(&context, "metacopy", "off")?;
    attach::option(&context, "index", "off")?;
    attach::create(&context)
}

fn set_directory(context: &OwnedFd, key: &str, directory: &OwnedFd) -> Answer<()> {
    attach::option(context, key, &format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// The dataset and its origins, nearest first.
fn chain(pool: &OwnedFd, dataset: &DatasetName) -> Answer<(OwnedFd, Vec<OwnedFd>)> {
    let own = open(pool, dataset.as_str(), dataset)?;
    let mut origins: Vec<OwnedFd> = Vec::new();
    while let Some((name, label)) = origin(origins.last().unwrap_or(&own), dataset)? {
        if origins.len() == ORIGINS_MAX {
            return Err(HelperError::new(
                ErrorCode::LimitReached,
                format!("{dataset} has too many origins"),
            ));
        }
        let next = open(pool, name.as_str(), dataset)?;
        let snapshot = format!("snapshots/{label}");
        if statat(&next, &*snapshot, AtFlags::SYMLINK_NOFOLLOW).is_err() {
            return Err(damaged(
                dataset,
                &format!("comes from {name}@{label}, which is not there"),
            ));
        }
        origins.push(next);
    }
    Ok((own, origins))
}

fn origin(directory: &OwnedFd, dataset: &DatasetName) -> Answer<Option<(DatasetName, SnapshotLabel)>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(directory, "origin", flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(HelperError::system(format!("origin of {dataset}"), &errno.into())),
    };
    let mut text = String::new();
    let read = file.take(ORIGIN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|e| HelperError::system(format!("origin of {dataset}"), &e))?;
    let named = text
        .trim_end()
        .split_once('@')
        .and_then(|(name, label)| Some((DatasetName::new(name).ok()?, SnapshotLabel::new(label).ok()?)));
    named
        .map(Some)
        .ok_or_else(|| damaged(dataset, "has an origin that is no snapshot's name"))
}

/// Opens a directory of the pool. The pool is root's alone, and still no link in it is followed.
fn open(directory: &OwnedFd, path: &str, dataset: &DatasetName) -> Answer<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat2(
        directory,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    );
    opened.map_err(|errno| HelperError::system(format!("dataset {dataset}: {path}"), &errno.into()))
}

fn damaged(dataset: &DatasetName, how: &str) -> HelperError {
    HelperError::new(ErrorCode::System, format!("dataset {dataset} {how}"))
}
