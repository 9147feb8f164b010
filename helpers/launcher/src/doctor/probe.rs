//! How the doctor looks at the host.

use std::process::{Command, Stdio};

/// Answers about a host. Each program is named by its absolute path, has fixed arguments and an empty environment, and
/// changes nothing.
pub trait Probe {
    /// Whether this is root.
    fn is_root(&self) -> bool;
    /// What a program prints, if it succeeds; what it complains of, if not.
    ///
    /// # Errors
    /// Its complaint in one line; that it is not there.
    fn ask(&self, program: &[&str]) -> Result<String, String>;
    /// The content of a file; none if it cannot be read.
    fn read(&self, path: &str) -> Option<String>;
    /// Whether a path is there.
    fn exists(&self, path: &str) -> bool;
}

/// The host that this runs on.
#[derive(Debug, Clone, Copy)]
pub struct Live;

impl Probe for Live {
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn ask(&self, program: &[&str]) -> Result<String, String> {
        let Some((name, arguments)) = program.split_first() else {
            return Err("no program".to_owned());
        };
        let mut command = Command::new(name);
        command.args(arguments).env_clear().stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("{name}: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(complaint.lines().next().unwrap_or("fails").trim().to_owned())
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn exists(&self, path: &str) -> bool {
        std::path::Path::new(path).exists()
    }
}
