//! A folder of one test on the host, and what is built from it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use system_tests::docker::{Docker, Ran};

/// The folder; it goes when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("cb-cli-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file; folders above it are made.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The text of a file.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Sets permission bits.
    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets owner and group.
    pub(crate) fn set_owner(&self, name: &str, owner: u32) {
        chown(self.path(name), Some(owner), Some(owner)).unwrap();
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.0.clone()
        } else {
            self.0.join(name)
        }
    }
}

impl std::fmt::Display for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `docker build` with a folder as its context.
pub(crate) fn build(docker: &Docker, options: &str, folder: &Folder) -> Ran {
    docker.run(&format!("build {options} {folder}"))
}

/// A build that must succeed; gives what it printed.
#[track_caller]
pub(crate) fn built(docker: &Docker, options: &str, folder: &Folder) -> String {
    let ran = build(docker, options, folder);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.out
}
