//! The programs under test: the ones beside the test that runs.

use crate::repository;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What the workspace builds for an installation.
pub const PROGRAMS: [&str; 7] = [
    "cellblock",
    "cellblockd",
    "cellblock-zfs",
    "cellblock-jail",
    "cellblock-net",
    "cellblock-mount",
    "cellblock-archive",
];

/// Names a folder with programs that are to be tested as they are: another build, or an installation.
const ELSEWHERE: &str = "CELLBLOCK_PROGRAMS";

/// The folder that holds the programs, freshly built. Cargo builds a test without the programs of other packages, so they
/// could be missing or old.
///
/// # Panics
/// Where they do not build.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os(ELSEWHERE) {
        Some(folder) => PathBuf::from(folder),
        None => build(),
    })
}

/// One of [`PROGRAMS`].
pub fn path(program: &str) -> PathBuf {
    folder().join(program)
}

fn build() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    // target/<profile>/deps/<test>, or target/<profile>/examples/<example>.
    let folder = this.ancestors().nth(2).unwrap().to_path_buf();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} lies in no folder of cargo's", this.display()),
    };
    repository::cargo(&["build", "--workspace", "--bins", "--profile", profile])
        .unwrap_or_else(|why| panic!("{why}"));
    for program in PROGRAMS {
        let path = folder.join(program);
        assert!(path.is_file(), "{} was not built", path.display());
    }
    folder
}

/// Builds everything and shows cargo's own progress, for people who wait for it.
///
/// # Errors
/// A sentence where cargo fails; it has said why.
pub fn build_visibly() -> Result<(), String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--workspace", "--bins", "--release", "--locked"];
    let status = Command::new(program)
        .args(arguments)
        .current_dir(repository::root())
        .status()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo {}: {status}", arguments.join(" ")))
    }
}
