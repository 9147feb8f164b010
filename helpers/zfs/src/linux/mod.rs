//! Linux, the development host: a dataset is a directory below the pool directory.
//!
//! ```text
//! <pool>/images/<chain id>/data/              its files (an overlay's upper directory, or bind-mounted)
//!                         /work/              the overlay's work directory
//!                         /origin             `<dataset>@<label>`, only in a clone
//!                         /snapshots/<label>  an empty file
//! <pool>/.trash/                              what is being made or removed; emptied at start
//! ```
//!
//! A dataset comes and goes by one rename between the trash and its place, so it is there whole or not at all, whenever
//! this process is killed. Everything is opened beneath the pool's descriptor and without following links. What lies
//! in `data` was written by containers: it is only counted and removed.
#![forbid(unsafe_code)]

mod mounts;
mod sandbox;
mod size;
mod trash;

pub use sandbox::{CAPABILITIES, confine, restrict};

use crate::policy::FAMILIES;
use crate::service::Host;
use crate::worker::Job;
use helper_runtime::serve::facts;
use mounts::Mounts;
use protocol::handshake::{HostFacts, HostOs};
use protocol::names::{DatasetName, SnapshotLabel};
use protocol::policy::ZfsPolicy;
use protocol::zfs::{DatasetStats, PoolSpace, Tuning};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, chmodat, fstatvfs, mkdirat, openat2,
    renameat_with, statat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsFd, OwnedFd};
use trash::Trash;

/// Longest chain of clones that is followed: Docker stops at 125 layers, and a broken chain may bite its tail.
const ORIGINS_MAX: usize = 128;

/// Longest content of an `origin` file, in bytes: a dataset, an `@` and a label are at most 241.
const ORIGIN_BYTES_MAX: u64 = 512;

/// The pool directory.
#[derive(Debug)]
pub struct Pool {
    root: OwnedFd,
    trash: Trash,
    mounts: Mounts,
    facts: HostFacts,
}

/// Opens what the helper needs before it confines itself.
///
/// # Errors
/// Where the pool directory or the mount table cannot be opened.
pub fn open(policy: &ZfsPolicy) -> Result<Pool> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pool_dir = policy.pool_dir.as_str();
    let root = rustix::fs::open(pool_dir, flags, Mode::empty())
        .map_err(|e| Error::new(e.kind(), format!("pool directory {pool_dir}: {e}")))?;
    let trash = Trash::open(&root)?;
    let mounts = Mounts::open(pool_dir, &root)?;
    Ok(Pool {
        root,
        trash,
        mounts,
        facts: facts(HostOs::Linux, "overlayfs")?,
    })
}

impl Pool {
    /// What cannot be removed is named in the log and stays until the next try.
    fn empty_trash(&mut self) {
        if let Err(error) = self.trash.empty() {
            helper_runtime::log::say(&format!("cellblock-zfs: emptying the trash: {error}"));
        }
    }

    fn dataset(&self, name: &DatasetName) -> Answer<OwnedFd> {
        open_beneath(&self.root, name.as_str(), OFlags::DIRECTORY).map_err(|e| failed(name, e))
    }

    /// Makes the folders above a dataset; gives the last one and the dataset's own name.
    fn family(&self, dataset: &DatasetName) -> Answer<(OwnedFd, String)> {
        let (folders, name) = dataset
            .as_str()
            .rsplit_once('/')
            .unwrap_or(("", dataset.as_str()));
        let ends = folders
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([folders.len()]);
        for end in ends {
            match mkdirat(&self.root, &folders[..end], Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(&folders[..end], errno)),
            }
        }
        let folder = open_beneath(&self.root, folders, OFlags::DIRECTORY).map_err(|e| failed(folders, e))?;
        Ok((folder, name.to_owned()))
    }

    /// Builds a dataset in the trash and moves it to its place.
    fn make(&mut self, dataset: &DatasetName, origin: Option<&Origin>) -> Answer<()> {
        let (folder, name) = self.family(dataset)?;
        if statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(failed(dataset, Errno::EXIST));
        }
        let (staged, made) = self
            .trash
            .new_dir()
            .map_err(|e| HelperError::system("trash", &e))?;
        let moved = fill(&made, origin)
            .and_then(|()| renameat_with(&self.trash, &staged, &folder, &name, RenameFlags::NOREPLACE));
        if moved.is_err() {
            self.empty_trash();
        }
        moved.map_err(|e| failed(dataset, e))
    }

    fn origin_of(&self, dataset: &DatasetName) -> Answer<Option<DatasetName>> {
        let held = self.dataset(dataset)?;
        let file = match open_beneath(&held, "origin", OFlags::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(format!("origin of {dataset}"), errno)),
        };
        let mut text = String::new();
        let read = File::from(file).take(ORIGIN_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| HelperError::system(format!("origin of {dataset}"), &e))?;
        let origin = text
            .split_once('@')
            .and_then(|(origin, _label)| DatasetName::new(origin).ok());
        origin.map(Some).ok_or_else(|| {
            HelperError::new(
                ErrorCode::System,
                format!("origin of {dataset} is broken: {text:?}"),
            )
        })
    }

    /// A dataset that was cloned from this one. Its own origin is not asked for, so that a dataset whose origin is broken
    /// can at least be destroyed.
    fn clone_of(&self, origin: &DatasetName) -> Answer<Option<DatasetName>> {
        for family in FAMILIES {
            let mut folders = vec![known(family.folder)?];
            for _ in 1..family.depth {
                let mut below = Vec::new();
                for folder in &folders {
                    below.extend(self.children(folder)?);
                }
                folders = below;
            }
            for dataset in folders {
                if dataset != *origin && self.origin_of(&dataset)?.as_ref() == Some(origin) {
                    return Ok(Some(dataset));
                }
            }
        }
        Ok(None)
    }

    fn check_unmounted(&self, dataset: &DatasetName) -> Answer<()> {
        match self.mounts.user_of(dataset) {
            Ok(None) => Ok(()),
            Ok(Some(mount)) => Err(HelperError::new(
                ErrorCode::Busy,
                format!("{dataset} is mounted at {mount}"),
            )),
            Err(error) => Err(HelperError::system("mount table", &error)),
        }
    }

    fn own_bytes(&self, dataset: &DatasetName) -> Answer<u64> {
        let data = open_beneath(&self.dataset(dataset)?, "data", OFlags::DIRECTORY)
            .map_err(|e| failed(format!("files of {dataset}"), e))?;
        match size::bytes_of(&data) {
            Err(error) if error.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()) => {
                Err(HelperError::new(
                    ErrorCode::LimitReached,
                    format!("{dataset} is nested too deep to be counted"),
                ))
            }
            counted => counted.map_err(|e| HelperError::system(format!("files of {dataset}"), &e)),
        }
    }
}

impl Host for Pool {
    fn facts(&self) -> HostFacts {
        self.facts.clone()
    }

    fn recover(&mut self) {
        self.empty_trash();
    }

    fn create(&mut self, dataset: &DatasetName) -> Answer<()> {
        self.make(dataset, None)
    }

    fn clone_from(
        &mut self,
        origin: &DatasetName,
        label: &SnapshotLabel,
        dataset: &DatasetName,
    ) -> Answer<()> {
        let held = self.dataset(origin)?;
        let snapshot = format!("{origin}@{label}");
        statat(&held, format!("snapshots/{label}"), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| failed(&snapshot, e))?;
        let root = statat(&held, "data", AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(origin, e))?;
        let root_mode = Mode::from_raw_mode(root.st_mode & 0o7777);
        self.make(dataset, Some(&Origin { snapshot, root_mode }))
    }

    fn snapshot(&mut self, dataset: &DatasetName, label: &SnapshotLabel) -> Answer<()> {
        let held = self.dataset(dataset)?;
        self.check_unmounted(dataset)?;
        let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        open_beneath(&held, format!("snapshots/{label}"), how)
            .map(drop)
            .map_err(|e| failed(format!("{dataset}@{label}"), e))
    }

    fn destroy(&mut self, dataset: &DatasetName) -> Answer<()> {
        self.dataset(dataset)?;
        if let Some(clone) = self.clone_of(dataset)? {
            return Err(HelperError::new(
                ErrorCode::Busy,
                format!("{clone} is a clone of {dataset}"),
            ));
        }
        self.check_unmounted(dataset)?;
        let (folder, name) = self.family(dataset)?;
        self.trash
            .take(&folder, &name)
            .map_err(|e| HelperError::system(dataset.as_str(), &e))?;
        // From here on the dataset is gone; what cannot be removed now is tried again at the next start.
        self.empty_trash();
        Ok(())
    }

    /// A directory that goes on being written has no past; what it holds now can only be copied.
    fn fork(&mut self, _: &DatasetName, _: &SnapshotLabel, dataset: &DatasetName) -> Answer<()> {
        Err(no_such_thing(dataset, "cannot begin as another one is now"))
    }

    fn promote(&mut self, dataset: &DatasetName) -> Answer<()> {
        Err(no_such_thing(dataset, "cannot change places with its origin"))
    }

    fn copy(&mut self, _: &DatasetName, _: &SnapshotLabel, dataset: &DatasetName) -> Answer<Job> {
        Err(no_such_thing(dataset, "can only be copied file by file"))
    }

    fn tune(&mut self, dataset: &DatasetName, _: &Tuning) -> Answer<()> {
        Err(no_such_thing(dataset, "has no properties on this host"))
    }

    fn stats(&self, dataset: &DatasetName) -> Answer<DatasetStats> {
        let used_bytes = self.own_bytes(dataset)?;
        let origin = self.origin_of(dataset)?;
        // Files that a clone replaced or removed are counted as well: this is an upper bound.
        let mut referenced_bytes = used_bytes;
        let mut next = origin.clone();
        for _ in 0..ORIGINS_MAX {
            let Some(layer) = next else {
                return Ok(DatasetStats {
                    used_bytes,
                    referenced_bytes,
                    origin,
                });
            };
            referenced_bytes = referenced_bytes.saturating_add(self.own_bytes(&layer)?);
            next = self.origin_of(&layer)?;
        }
        Err(HelperError::new(
            ErrorCode::LimitReached,
            format!("{dataset} has too many origins"),
        ))
    }

    fn children(&self, folder: &DatasetName) -> Answer<Vec<DatasetName>> {
        let held = match open_beneath(&self.root, folder.as_str(), OFlags::DIRECTORY) {
            Ok(held) => held,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(errno) => return Err(failed(folder, errno)),
        };
        let mut names = Vec::new();
        for entry in Dir::new(held).map_err(|e| failed(folder, e))? {
            let entry = entry.map_err(|e| failed(folder, e))?;
            // `.` and `..` are no good dataset names; nothing else lies there.
            names.extend(DatasetName::within(folder.as_str(), &entry.file_name().to_string_lossy()).ok());
        }
        Ok(names)
    }

    /// The numbers of the file system that holds the pool: what else lies on it is counted too.
    fn space(&self) -> Answer<PoolSpace> {
        let space = fstatvfs(&self.root).map_err(|e| failed("pool directory", e))?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(PoolSpace {
            used_bytes: bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            available_bytes: bytes(space.f_bavail),
        })
    }
}

/// What a clone takes from its origin beside the files.
struct Origin {
    snapshot: String,
    root_mode: Mode,
}

fn fill(made: &OwnedFd, origin: Option<&Origin>) -> rustix::io::Result<()> {
    mkdirat(made, "data", Mode::from_raw_mode(0o755))?;
    mkdirat(made, "work", Mode::from_raw_mode(0o700))?;
    mkdirat(made, "snapshots", Mode::from_raw_mode(0o700))?;
    let Some(origin) = origin else { return Ok(()) };
    // An overlay shows its upper directory's mode as the mode of its root.
    chmodat(made, "data", origin.root_mode, AtFlags::empty())?;
    let file = open_beneath(made, "origin", OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
    File::from(file)
        .write_all(origin.snapshot.as_bytes())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Opens below `root` without following any link. New files are readable by root alone.
fn open_beneath(root: impl AsFd, path: impl Arg, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::from_raw_mode(0o600)
    } else {
        Mode::empty()
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(
        root,
        path,
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        mode,
        resolve,
    )
}

fn known(folder: &str) -> Answer<DatasetName> {
    DatasetName::new(folder).map_err(|bad| HelperError::new(ErrorCode::System, bad.0))
}

fn no_such_thing(dataset: &DatasetName, why: &str) -> HelperError {
    HelperError::new(ErrorCode::Unsupported, format!("{dataset} {why}"))
}

fn failed(what: impl std::fmt::Display, errno: Errno) -> HelperError {
    HelperError::system(what.to_string(), &errno.into())
}
