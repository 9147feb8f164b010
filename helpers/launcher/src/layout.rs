//! The directories of one installation, and who may enter them.
//!
//! ```text
//! BASE/            0755 root
//!      lock        0600 root      held by the launcher that runs here; its process id
//!      daemon/     0700 daemon    database, logs, uploads
//!      pool/       0700 root      Linux: the datasets
//!      mnt/        0711 root      mount points
//!      jails/      0700 root      records of the jail helper
//!      audit/      0700 root      <helper>.log
//!      docker.sock 0660 root      the API, in development
//!      program/    0755 root      a copy of the daemon's program, where its user cannot reach the original
//! ```

use crate::accounts::Account;
use protocol::handshake::HelperKind;
use protocol::names::HostPath;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Error, ErrorKind, Read, Result, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// What may lie in the directory of `cellblock dev`.
const OURS: [&str; 8] = [
    "lock",
    "daemon",
    "pool",
    "mnt",
    "jails",
    "audit",
    "docker.sock",
    PROGRAM_DIR,
];

/// Where a copy of the daemon's program lies if its user cannot reach the original.
const PROGRAM_DIR: &str = "program";

/// Permission bits that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// An installation's directories, with the lock held.
#[derive(Debug)]
pub struct Layout {
    base: HostPath,
    // Held until this process ends, however it ends.
    _lock: File,
}

impl Layout {
    /// Makes what is missing in `base` and takes its lock.
    ///
    /// # Errors
    /// One line: another launcher runs here, a directory belongs to somebody else, or what the system says.
    pub fn open(base: &HostPath, daemon: Account) -> Result<Self> {
        let path = Path::new(base.as_str());
        ensure(path, 0o755, ROOT)?;
        is_passable(path, daemon)?;
        let lock = lock(path)?;
        ensure(&path.join("daemon"), 0o700, daemon)?;
        for (name, mode) in [
            ("pool", 0o700),
            ("mnt", 0o711),
            ("jails", 0o700),
            ("audit", 0o700),
        ] {
            ensure(&path.join(name), mode, ROOT)?;
        }
        Ok(Layout {
            base: base.clone(),
            _lock: lock,
        })
    }

    /// The directory that holds everything.
    #[must_use]
    pub fn base(&self) -> &HostPath {
        &self.base
    }

    /// A path below the base.
    ///
    /// # Errors
    /// `InvalidInput` where the whole is longer than a path may be.
    pub fn path(&self, inside: &str) -> Result<HostPath> {
        let path = format!("{}/{inside}", self.base.as_str().trim_end_matches('/'));
        HostPath::new(path.clone()).map_err(|bad| invalid(Path::new(&path), bad))
    }

    /// Opens a helper's audit log for appending; its end is read too. The file is locked for whoever inherits the
    /// descriptor: a second writer would begin a second chain of hashes.
    ///
    /// # Errors
    /// `ResourceBusy` where an earlier helper still has it, else what open(2) gives.
    pub fn audit_log(&self, kind: HelperKind) -> Result<File> {
        let path = Path::new(self.base.as_str())
            .join("audit")
            .join(format!("{}.log", kind.name()));
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(about(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(about(&path)(Error::new(
                ErrorKind::ResourceBusy,
                "an earlier helper still writes to it",
            ))),
            Err(TryLockError::Error(error)) => Err(about(&path)(error)),
        }
    }

    /// A program that the daemon's user can start: itself, or a copy where a directory above it is closed to that user, as in
    /// a checkout below /root.
    ///
    /// # Errors
    /// What copying gives.
    pub fn reachable(&self, program: &Path, daemon: Account) -> Result<PathBuf> {
        let Some(name) = program.file_name() else {
            return Err(invalid(program, "is no program"));
        };
        // Both the way that is named and, through links, the one that is taken.
        let real = program.canonicalize().map_err(about(program))?;
        if [program, &real]
            .into_iter()
            .all(|way| is_passable(way, daemon).is_ok())
        {
            return Ok(program.to_owned());
        }
        let directory = Path::new(self.base.as_str()).join(PROGRAM_DIR);
        ensure(&directory, 0o755, ROOT)?;
        // Renamed into place: an earlier copy may still run, and could not be written.
        let (fresh, copy) = (directory.join("new"), directory.join(name));
        std::fs::copy(program, &fresh).map_err(about(&fresh))?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
        std::fs::rename(&fresh, &copy).map_err(about(&copy))?;
        Ok(copy)
    }
}

/// Makes the directory of a development instance if it is not there, and gives its path without symbolic links.
///
/// # Errors
/// One line: it holds what is not ours, or what the system says.
pub fn development_base(directory: &Path) -> Result<HostPath> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(about(directory))?;
    let base = directory.canonicalize().map_err(about(directory))?;
    for entry in base.read_dir().map_err(about(&base))? {
        let name = entry?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            let name = name.to_string_lossy();
            return Err(invalid(
                &base,
                format!("holds {name}, which is not ours; name a directory of its own"),
            ));
        }
    }
    let text = base.to_str().ok_or_else(|| invalid(&base, "is not UTF-8"))?;
    HostPath::new(text).map_err(|bad| invalid(&base, bad))
}

const ROOT: Account = Account { uid: 0, gid: 0 };

/// Makes a directory if it is not there. One that is must be a directory, belong to `owner`, and be closed to others' writing.
fn ensure(path: &Path, mode: u32, owner: Account) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => chown(path, Some(owner.uid), Some(owner.gid)).map_err(about(path))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(about(path)(error)),
    }
    // The link itself is looked at: what it leads to could be changed by whoever owns that.
    let status = std::fs::symlink_metadata(path).map_err(about(path))?;
    if !status.is_dir() {
        return Err(invalid(path, "is no directory"));
    }
    if status.uid() != owner.uid {
        let (Account { uid, gid }, path_text) = (owner, path.display());
        let mend = format!("mend it with: chown -R {uid}:{gid} {path_text}");
        return Err(invalid(
            path,
            format!("belongs to uid {} and must belong to {uid}; {mend}", status.uid()),
        ));
    }
    if status.mode() & WRITABLE_BY_OTHERS != 0 {
        let (mode, path_text) = (status.mode() & 0o7777, path.display());
        let mend = format!("mend it with: chmod go-w {path_text}");
        return Err(invalid(
            path,
            format!("mode {mode:04o} lets others write it; {mend}"),
        ));
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(about(path))
}

/// Whether somebody who is in no other group can pass every directory down to a path, and the last one too.
fn is_passable(path: &Path, by: Account) -> Result<()> {
    for above in path.ancestors() {
        let status = std::fs::metadata(above).map_err(about(above))?;
        let bit = if status.uid() == by.uid {
            0o100
        } else if status.gid() == by.gid {
            0o010
        } else {
            0o001
        };
        if status.mode() & bit == 0 {
            let Account { uid, .. } = by;
            let why = format!("the daemon's user (uid {uid}) cannot pass it; choose another directory");
            return Err(invalid(above, why));
        }
    }
    Ok(())
}

/// Takes the lock of a base. It goes with this process, so a lock file that was left means nothing.
fn lock(base: &Path) -> Result<File> {
    let path = base.join("lock");
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(about(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without its number the message is still true.
            let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
            let why = format!("another cellblock (process {}) is running here", holder.trim());
            return Err(Error::new(
                ErrorKind::ResourceBusy,
                format!("{}: {why}", base.display()),
            ));
        }
        Err(TryLockError::Error(error)) => return Err(about(&path)(error)),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn invalid(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}

/// Puts the path before what the system says.
pub(crate) fn about(path: &Path) -> impl Fn(Error) -> Error {
    move |error| Error::new(error.kind(), format!("{}: {error}", path.display()))
}
