//! `cellblock up` and `cellblock dev`: from the configuration to running processes, in order.

use crate::config::{self, Config, ConfigError, Mode};
use crate::layout::{self, Layout};
use crate::programs::Programs;
use crate::socket::ApiSocket;
use crate::supervise::{self, Terms};
use crate::{accounts, kept, sys};
use protocol::names::HostPath;
use sha2::{Digest, Sha256};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::process::ExitCode;

/// What files that the launcher and the daemon make may not allow: writing by others.
const UMASK: rustix::fs::RawMode = 0o022;

/// Runs the host's service until it is told to stop.
///
/// # Errors
/// One line saying why it cannot run.
pub fn up(file: Option<&Path>) -> Result<ExitCode> {
    begin("up")?;
    let config = config::load(file, &Mode::Service).map_err(unfit)?;
    run(&config, None)
}

/// Runs a development instance in `directory` until it is told to stop.
///
/// # Errors
/// One line saying why it cannot run.
pub fn dev(directory: &Path, file: Option<&Path>) -> Result<ExitCode> {
    begin("dev")?;
    let base = layout::development_base(directory)?;
    let instance = instance_name(&base);
    let config = config::load(file, &Mode::Development { base, instance }).map_err(unfit)?;
    run(&config, Some(format!("DOCKER_HOST=unix://{}", config.socket)))
}

/// The name by which a development instance is told from others on the host.
#[must_use]
pub fn instance_name(base: &HostPath) -> String {
    let digest = Sha256::digest(base.as_str().as_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("cb{digits}")
}

fn begin(command: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        let why = format!("`cellblock {command}` needs root: run it with sudo");
        return Err(Error::new(ErrorKind::PermissionDenied, why));
    }
    sys::close_inherited()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
    kept::make_room().map_err(|error| Error::new(error.kind(), format!("limit of open descriptors: {error}")))
}

fn run(config: &Config, announcement: Option<String>) -> Result<ExitCode> {
    let daemon = accounts::daemon(config.user.as_deref())?;
    let group = accounts::group(config.socket_group.as_deref())?;
    let layout = Layout::open(&config.state_dir, daemon)?;
    let socket = ApiSocket::bind(Path::new(config.socket.as_str()), group)?;
    let terms = Terms {
        announcement,
        stop_containers: config.stop_containers_on_exit,
    };
    let ended =
        Programs::new(config, &layout, &socket, daemon).and_then(|programs| supervise::run(&programs, terms));
    socket.remove();
    ended
}

fn unfit(error: ConfigError) -> Error {
    Error::new(ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_in_different_directories_have_different_names() {
        let name = |path: &str| instance_name(&HostPath::new(path).unwrap());
        // SHA-256 of "/tmp/x" begins so.
        assert_eq!(name("/tmp/x"), "cb2e56aa36");
        assert_ne!(name("/tmp/x"), name("/tmp/y"));
    }
}
