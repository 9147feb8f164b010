//! The programs that the launcher starts: where they lie, and what exactly each inherits.
//!
//! A helper: descriptor 0 its policy, 1 and 2 the log, 3 the daemon, 4 its audit log. The daemon: 0 the launcher,
//! 1 the API socket, 2 the log. Each has an empty environment (but for whom the daemon trusts), `/` as directory, and a process
//! group of its own, so that an interrupt from a terminal reaches the launcher alone.

use crate::accounts::Account;
use crate::config::Config;
use crate::control::Control;
use crate::host;
use crate::layout::{Layout, about};
use crate::policies::Policies;
use crate::socket::ApiSocket;
use crate::{sys, tenants};
use command_fds::{CommandFdExt, FdMapping};
use protocol::handshake::HelperKind;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The environment variable that names the directory of the programs.
const DIRECTORY_VARIABLE: &str = "CELLBLOCK_LIBEXEC";

/// The environment variables that name the authorities which vouch for registries, as OpenSSL and dockerd read them. The daemon
/// gets them; no helper does.
const AUTHORITY_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Starts helpers and daemons of one installation.
#[derive(Debug)]
pub struct Programs<'a> {
    directory: PathBuf,
    daemon_program: PathBuf,
    daemon_arguments: Vec<OsString>,
    daemon: Account,
    layout: &'a Layout,
    policies: Policies<'a>,
    socket: &'a ApiSocket,
}

impl<'a> Programs<'a> {
    /// Finds the programs and prepares what they are told.
    ///
    /// # Errors
    /// `NotFound` for a program that is not there, `InvalidInput` for a policy or path that is too long.
    pub fn new(
        config: &'a Config,
        layout: &'a Layout,
        socket: &'a ApiSocket,
        daemon: Account,
    ) -> Result<Self> {
        let directory = directory()?;
        let helpers = HelperKind::ALL.map(helper_name);
        for name in helpers.iter().map(String::as_str).chain(["cellblockd"]) {
            let program = directory.join(name);
            if !program.is_file() {
                let why = format!(
                    "{}: is not there; build or install all programs",
                    program.display()
                );
                return Err(Error::new(ErrorKind::NotFound, why));
            }
        }
        Ok(Programs {
            daemon_program: layout.reachable(&directory.join("cellblockd"), daemon)?,
            daemon_arguments: daemon_arguments(config, layout)?,
            policies: Policies::new(config, layout)?,
            directory,
            daemon,
            layout,
            socket,
        })
    }

    /// Starts a helper; gives its process and the daemon's end of the connection to it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_helper(&self, kind: HelperKind) -> Result<(Pid, OwnedFd)> {
        let (daemons_end, helpers_end) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // It fits into the pipe (see `policies`), so this does not wait for a reader.
        File::from(writer).write_all(&self.policies.encoded(kind)?)?;
        let mut command = command(&self.directory.join(helper_name(kind)))?;
        command.stdin(Stdio::from(reader));
        let mappings = vec![
            FdMapping {
                parent_fd: helpers_end,
                child_fd: 3,
            },
            FdMapping {
                parent_fd: self.layout.audit_log(kind)?.into(),
                child_fd: 4,
            },
        ];
        let pid = start(command, mappings)?;
        Ok((pid, daemons_end))
    }

    /// Starts a daemon; gives its process and our end of the connection to it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_daemon(&self) -> Result<(Pid, Control)> {
        let (control, daemons_end) = Control::pair()?;
        let mut command = command(&self.daemon_program)?;
        for name in AUTHORITY_VARIABLES {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Standard input and output, because those are the numbers that a process can take over without unsafe code.
        command
            .args(&self.daemon_arguments)
            .stdin(Stdio::from(daemons_end));
        command.stdout(Stdio::from(self.socket.descriptor()?));
        // Becoming another user drops every capability and, where none is named, every supplementary group.
        command.uid(self.daemon.uid).gid(self.daemon.gid);
        sys::without_new_privileges(&mut command);
        let pid = start(command, Vec::new())?;
        Ok((pid, control))
    }
}

fn helper_name(kind: HelperKind) -> String {
    format!("cellblock-{}", kind.name())
}

fn directory() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(DIRECTORY_VARIABLE) {
        let named = PathBuf::from(named);
        return named.canonicalize().map_err(about(&named));
    }
    let program = std::env::current_exe()?;
    let directory = program
        .parent()
        .ok_or_else(|| Error::other("this program lies nowhere"))?;
    Ok(directory.to_owned())
}

fn daemon_arguments(config: &Config, layout: &Layout) -> Result<Vec<OsString>> {
    // With `=`, so that no value can be taken for an option.
    let mut arguments = vec![
        format!("--state-dir={}", layout.path("daemon")?),
        format!("--root-dir={}", layout.base()),
        format!("--bridge-subnet={}", config.bridge_subnet),
        format!("--memory-bytes={}", host::memory_bytes()),
        format!("--log={}", config.log),
    ];
    let insecure = config.insecure_registries.iter();
    arguments.extend(insecure.map(|registry| format!("--insecure-registry={registry}")));
    let mirrors = config.registry_mirrors.iter();
    arguments.extend(mirrors.map(|mirror| format!("--registry-mirror={mirror}")));
    let certs = config.registry_certs_dir.iter();
    arguments.extend(certs.map(|directory| format!("--registry-certs-dir={directory}")));
    let members = tenants::members(&config.tenants)?;
    let tenants = config.tenants.iter().zip(&members);
    arguments
        .extend(tenants.map(|(tenant, members)| format!("--tenant={}", tenants::words(tenant, members))));
    arguments.extend(
        config
            .report_os_type
            .as_ref()
            .map(|name| format!("--report-os-type={name}")),
    );
    arguments.extend(config.experimental.then(|| "--experimental".to_owned()));
    Ok(arguments.into_iter().map(OsString::from).collect())
}

fn command(program: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    // Standard output is the administrator's: one line, for scripts.
    let log = std::io::stderr().as_fd().try_clone_to_owned()?;
    command
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdout(Stdio::from(log));
    Ok(command)
}

fn start(mut command: Command, mappings: Vec<FdMapping>) -> Result<Pid> {
    command.fd_mappings(mappings).map_err(Error::other)?;
    let program = PathBuf::from(command.get_program());
    // Dropping the handle neither ends the program nor waits for it: whatever ends is reaped in one place.
    let child = command.spawn().map_err(about(&program))?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Error::other("no process id"))
}
