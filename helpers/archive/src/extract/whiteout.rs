//! What `.wh.` entries of a layer take away (OCI image-spec, "Image Layer Filesystem Changeset", Whiteouts).

use super::Extraction;
use crate::error::{bad, quoted, refused};
use crate::remove;
use crate::tree::{names, open_directory};
use protocol::Answer;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What stands before the name that a whiteout removes.
pub(crate) const PREFIX: &[u8] = b".wh.";

/// The whiteout that empties its directory of what lower layers put there.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What AUFS kept in a layer's root for itself; such names mean nothing elsewhere.
const METADATA_PREFIX: &[u8] = b".wh..wh.";

/// What a name means in a layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A name of lower layers is removed.
    Remove {
        /// Where it was.
        directory: PathBuf,
        /// What it was.
        name: OsString,
    },
    /// A directory loses all that lower layers put into it.
    Opaque {
        /// Which one.
        directory: PathBuf,
    },
    /// AUFS's own bookkeeping, passed over as dockerd does.
    Metadata,
}

/// Tells whiteouts from entries that make something.
///
/// # Errors
/// `BadContent` for one that would remove its own directory or the one above.
pub(super) fn mark(path: &Path) -> Answer<Option<Mark>> {
    let bytes = path.as_os_str().as_bytes();
    let Some(last) = path.file_name().map(OsStr::as_bytes) else {
        return Ok(None);
    };
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    if last == OPAQUE {
        return Ok(Some(Mark::Opaque { directory }));
    }
    if bytes.starts_with(METADATA_PREFIX) {
        return Ok(Some(Mark::Metadata));
    }
    match last.strip_prefix(PREFIX) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => Err(bad(format!("invalid whiteout entry {}", quoted(bytes)))),
        Some(name) => Ok(Some(Mark::Remove {
            directory,
            name: OsStr::from_bytes(name).to_owned(),
        })),
    }
}

/// The paths that a layer made, which its opaque whiteouts must keep wherever they stand in the stream.
///
/// Only hashes are kept, with a key that nobody knows: 8 bytes for each path, whatever its length. Two paths of one hash
/// would keep one file of a lower layer too many; with a million entries that is a chance of one in ten million.
#[derive(Default)]
pub(super) struct Made {
    paths: HashSet<u64>,
    key: RandomState,
}

impl Made {
    pub(super) fn insert(&mut self, path: &Path) {
        // Parents that had no entry of their own were made as well; above a known one all are known.
        for path in path.ancestors() {
            if !self.paths.insert(self.key.hash_one(path)) {
                break;
            }
        }
    }

    fn contains(&self, path: &Path) -> bool {
        self.paths.contains(&self.key.hash_one(path))
    }
}

impl Extraction<'_> {
    /// Removes a name; where there is none, or no directory for it, nothing is left to do.
    pub(super) fn remove(&self, directory: &Path, name: &OsStr) -> Answer<()> {
        match self.open_marked(directory) {
            Some(opened) => remove::tree(opened, name).map_err(refused("unlinkat", &directory.join(name))),
            None => Ok(()),
        }
    }

    /// Removes everything in a directory that this stream did not make.
    pub(super) fn make_opaque(&self, directory: &Path) -> Answer<()> {
        match (self.open_marked(directory), &self.made) {
            (Some(opened), Some(made)) => empty(&opened, directory, made),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn open_marked(&self, directory: &Path) -> Option<OwnedFd> {
        self.root.open_dir(self.inside(directory)).ok()
    }
}

/// The depth is that of what the stream made, which no name of the stream exceeds.
fn empty(directory: &OwnedFd, path: &Path, made: &Made) -> Answer<()> {
    for name in names(directory).map_err(refused("readdir", path))? {
        let child = path.join(&name);
        if !made.contains(&child) {
            remove::tree(directory, &name).map_err(refused("unlinkat", &child))?;
        } else if let Some(opened) = open_directory(directory, &name).map_err(refused("openat", &child))? {
            empty(&opened, &child, made)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<Mark> {
        mark(Path::new(path)).unwrap()
    }

    #[test]
    fn marks_are_told_by_the_last_part() {
        let removed = |directory: &str, name: &str| {
            Some(Mark::Remove {
                directory: directory.into(),
                name: name.into(),
            })
        };
        assert_eq!(found("a/.wh.b"), removed("a", "b"));
        assert_eq!(found(".wh.b"), removed("", "b"));
        assert_eq!(found("a/.wh..wh.b"), removed("a", ".wh.b"));
        assert_eq!(
            found("a/.wh..wh..opq"),
            Some(Mark::Opaque {
                directory: "a".into()
            })
        );
        assert_eq!(found(".wh..wh..opq"), Some(Mark::Opaque { directory: "".into() }));
        assert_eq!(found(".wh..wh.plnk/1.2"), Some(Mark::Metadata));
        assert_eq!(found(".wh.a/b"), None);
        assert_eq!(found("a/.wh"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn marks_that_would_remove_their_own_directory_are_refused() {
        for path in [".wh.", "a/.wh..", "a/.wh..."] {
            let error = mark(Path::new(path)).unwrap_err();
            assert_eq!(error.detail.as_str(), format!("invalid whiteout entry {path:?}"));
        }
        assert_eq!(
            found("a/.wh...."),
            Some(Mark::Remove {
                directory: "a".into(),
                name: "...".into()
            })
        );
    }
}
