//! Uploaded bytes on disk, for as long as somebody works with them.

use crate::services::naming;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is removed when this is dropped. What a killed daemon left is its successor's to remove at start.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
}

impl Spool {
    /// A new empty file in `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(directory: &Path) -> io::Result<(Self, File)> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(naming::new_id());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((Spool { path }, file))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a spooled upload was not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_spool_leaves_no_file() {
        let directory = std::env::temp_dir().join(format!("cb-spool-{}", std::process::id()));
        let (spool, _file) = Spool::create(&directory).unwrap();
        let path = spool.path().to_owned();
        assert!(path.exists());
        drop(spool);
        assert!(!path.exists());
        std::fs::remove_dir(directory).unwrap();
    }
}
