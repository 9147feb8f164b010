//! The files of this repository, and the cargo that runs the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// A file that exists only in a test of a rule.
    pub fn sample(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The last component of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it serves tests: it lies in a folder for tests, examples or benchmarks, or is a test module.
    /// A module `testing` is one that only the feature `testing` compiles.
    pub fn is_for_tests(&self) -> bool {
        let folder = |name| matches!(name, "tests" | "testing" | "examples" | "benches" | "fuzz");
        let name = self.name();
        self.path.split('/').any(folder) || name == "tests.rs" || name.ends_with("_tests.rs")
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Every text file that is tracked, or would be if it were added now.
///
/// # Errors
/// A sentence saying what git could not do.
pub fn files() -> Result<Vec<File>, String> {
    let listing = output(
        Command::new("git")
            // The tests run as root over a checkout that may be somebody else's.
            .args([
                "-c",
                "safe.directory=*",
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root()),
    )?;
    let mut paths: Vec<&str> = listing.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    // A file deleted but still in the index cannot be read, and a binary file is not text; both are nobody's offence.
    let read = |path: &&str| {
        Some(File::sample(
            path,
            &std::fs::read_to_string(root().join(path)).ok()?,
        ))
    };
    Ok(paths.iter().filter_map(read).collect())
}

/// What cargo prints for `arguments`, run at the root with the lock file as it is.
///
/// # Errors
/// A sentence with what cargo said.
pub fn cargo(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(
        Command::new(program)
            .args(arguments)
            .arg("--locked")
            .current_dir(root()),
    )
}

fn output(command: &mut Command) -> Result<String, String> {
    let ran = command
        .output()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    if ran.status.success() {
        String::from_utf8(ran.stdout).map_err(|error| format!("{command:?} printed no UTF-8: {error}"))
    } else {
        Err(format!(
            "{command:?}: {}\n{}",
            ran.status,
            String::from_utf8_lossy(&ran.stderr)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_repository_include_its_manifest_and_nothing_built() {
        let files = files().unwrap();
        assert!(
            files
                .iter()
                .any(|file| file.path == "Cargo.toml" && file.text.contains("[workspace]"))
        );
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }

    #[test]
    fn only_files_for_tests_are_taken_for_tests() {
        for path in [
            "tests/src/lib.rs",
            "daemon/tests/flows/main.rs",
            "daemon/src/store/tests.rs",
        ] {
            assert!(File::sample(path, "").is_for_tests(), "{path}");
        }
        assert!(!File::sample("daemon/src/testing.rs", "").is_for_tests());
    }

    #[test]
    fn a_failing_cargo_command_says_why() {
        let said = cargo(&["no-such-command"]).unwrap_err();
        assert!(said.contains("no-such-command"), "{said}");
    }
}
