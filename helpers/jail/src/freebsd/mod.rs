//! The product's host: jail(2), and processes that their holder waits for by descriptor.
//!
//! A jail persists without processes until it is removed, so there is no waiting process as on Linux. To start one, the
//! hand forks a child that attaches to the jail and becomes the program; the child's process descriptor (pdfork(2)) goes to
//! the daemon. The order of steps follows jail_attach(2): it refuses a process that has a directory open.
//!
//! `record_dir/<jail>` names the first process. Which jails there are, the kernel knows.

mod confinement;
mod identity;
mod jails;
mod launch;
mod limits;
mod processes;
mod records;
mod sys;

pub(crate) use identity::{assume_identity, give_stream, open_terminal, set_oom_score};
pub(crate) use sys::reset_signal;

use crate::policy::fail;
use jails::{Found, Jails};
use protocol::handshake::{HostFacts, HostOs};
use protocol::jail::{
    JailInfo, JailSpec, Limits, Openings, ProcessInfo, ProcessSpec, Role, SignalTarget, Usage,
};
use protocol::names::{HostPath, JailName, Label, Text};
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use records::Records;
use rustix::process::Resource;
use std::io::{Error, Result};
use std::os::fd::OwnedFd;

pub mod sandbox {
    //! What is left to each half of this helper.
    pub use super::confinement::{front, hand};
}

/// Largest signal number (signal.h): `SIGRTMAX`.
pub(crate) const SIGNAL_MAX: u8 = 126;

/// This host, as the hand uses it.
#[derive(Debug)]
pub(crate) struct Host {
    mount_root: HostPath,
    jails: Jails,
    records: Records,
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its id.
    pub(crate) pid: i32,
    /// Process descriptor, then the terminal's master if it has one.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Containers reach no file through a running process's `/proc/self/exe` here, so the program's file can stay what it is.
pub(crate) fn leave_the_programs_file() -> Result<()> {
    Ok(())
}

/// What the daemon is told of this host.
pub(crate) fn facts() -> Result<HostFacts> {
    let system = rustix::system::uname();
    Ok(HostFacts {
        os: HostOs::FreeBsd,
        release: Label::new(system.release().to_string_lossy()).map_err(Error::other)?,
        backend: Text::cut("jails"),
        runs_linux: jails::runs_linux(),
        enforces_limits: limits::are_enforced(),
    })
}

/// Whether any host of this kind can make such a jail; whether this one can run Linux programs is found out at `create`.
pub(crate) fn judge_jail(_: &JailPolicy, spec: &JailSpec) -> Answer<()> {
    let possible = Openings {
        network_of: spec.openings.network_of.clone(),
        ..Openings::default()
    };
    if spec.sysctls.as_slice().is_empty() && spec.openings == possible {
        Ok(())
    } else {
        unsupported(
            "a jail of FreeBSD has no kernel settings, others' processes or memory, host's name or devices",
        )
    }
}

pub(crate) use limits::judge as judge_limits;

fn unsupported<T>(why: &str) -> Answer<T> {
    fail(ErrorCode::Unsupported, why)
}

/// Whether this host can run such a process: there are no capabilities to be given or withheld one by one, so the only
/// list that means anything is the one nobody chose.
pub(crate) fn judge_process(process: &ProcessSpec) -> Answer<()> {
    let mut wished = process.capabilities.as_slice().to_vec();
    wished.sort_unstable();
    if wished != ProcessSpec::DEFAULT_CAPABILITIES {
        return unsupported("FreeBSD cannot add or drop Linux capabilities");
    }
    if process.oom_score != 0 {
        return unsupported("FreeBSD does not rank processes for the day when memory runs out");
    }
    Ok(())
}

/// The resource behind Docker's name for it (getrlimit(2)).
pub(crate) fn rlimit_resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "memlock" => Resource::Memlock,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

impl Host {
    /// Opens what the hand needs.
    pub(crate) fn open(policy: &JailPolicy) -> Result<Self> {
        Ok(Host {
            mount_root: policy.mount_root.clone(),
            jails: Jails::new(policy)?,
            records: Records::new(&policy.record_dir),
        })
    }

    pub(crate) fn create(&self, spec: &JailSpec) -> Answer<i32> {
        let root = format!("{}/{}", self.mount_root, spec.root);
        match std::fs::symlink_metadata(&root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return fail(ErrorCode::BadContent, "the mount point is not a directory"),
            Err(error) => return Err(HelperError::system(format!("mount point {}", spec.root), &error)),
        }
        let jid = self.jails.create(spec, &root)?;
        // A host that crashed may have left the record of a jail of the same name.
        self.records.forget(&spec.jail)?;
        Ok(jid)
    }

    pub(crate) fn open_network(&self, jail: &JailName) -> Answer<Vec<OwnedFd>> {
        let found = self.jails.get(jail)?;
        match found.holder() {
            Some(_) => launch::open_network(found.jid),
            None => fail(ErrorCode::Refused, "the jail shares the host's network"),
        }
    }

    pub(crate) fn launch(
        &self,
        jail: &JailName,
        process: &ProcessSpec,
        fds: Vec<OwnedFd>,
    ) -> Answer<Launched> {
        let jid = self.jails.get(jail)?.jid;
        let first = self.records.read(jail)?;
        match (process.role, first) {
            (Role::First, None) => launch::launch(jid, process, fds, Some((&self.records, jail))),
            (Role::First, Some(_)) => fail(
                ErrorCode::AlreadyExists,
                "the jail's first process was started before",
            ),
            (Role::Further, Some(first)) if processes::lives(jid, first)? => {
                launch::launch(jid, process, fds, None)
            }
            (Role::Further, Some(_) | None) => {
                fail(ErrorCode::NotFound, "the jail's first process does not run")
            }
        }
    }

    pub(crate) fn signal(&self, jail: &JailName, target: SignalTarget, signal: u8) -> Answer<()> {
        let jid = self.jails.get(jail)?.jid;
        let first = self.records.read(jail)?;
        match (target, first) {
            (SignalTarget::Everyone, _) => launch::signal(jid, None, signal),
            (SignalTarget::Process(pid), _) => launch::signal(jid, Some(pid), signal),
            (SignalTarget::First, Some(first)) if processes::lives(jid, first)? => {
                launch::signal(jid, Some(first.pid), signal)
            }
            (SignalTarget::First, Some(_) | None) => Ok(()),
        }
    }

    pub(crate) fn pause(&self, jail: &JailName) -> Answer<()> {
        let jid = self.jails.get(jail)?.jid;
        // There is no freezer: all are stopped, again until nobody has forked meanwhile.
        processes::until(
            jid,
            "held",
            |process| process.is_held(),
            || launch::signal(jid, None, libc::SIGSTOP as u8),
        )
    }

    pub(crate) fn resume(&self, jail: &JailName) -> Answer<()> {
        launch::signal(self.jails.get(jail)?.jid, None, libc::SIGCONT as u8)
    }

    pub(crate) fn limit(&self, jail: &JailName, wanted: &Limits) -> Answer<()> {
        let found = self.jails.get(jail)?;
        limits::set(&found.name, found.jid, wanted)
    }

    pub(crate) fn usage(&self, jail: &JailName) -> Answer<Usage> {
        let found = self.jails.get(jail)?;
        let usage = processes::runtime_us(found.jid).and_then(|used_us| limits::usage(&found.name, used_us));
        usage.map_err(|e| HelperError::system("usage", &e))
    }

    pub(crate) fn remove(&self, jail: &JailName) -> Answer<()> {
        if let Some(Found { jid, name, .. }) = self.jails.find(jail)? {
            // Rules outlive their jail.
            limits::forget(&name).map_err(|e| HelperError::system("limits", &e))?;
            self.jails.remove(jid)?;
            processes::until(jid, "ended", |_| false, || Ok(()))?;
        }
        self.records.forget(jail)
    }

    pub(crate) fn processes(&self, jail: &JailName) -> Answer<Vec<ProcessInfo>> {
        let jid = self.jails.get(jail)?.jid;
        processes::list(jid).map_err(|e| HelperError::system("processes", &e))
    }

    pub(crate) fn list(&self, after: Option<&JailName>) -> Answer<Vec<JailInfo>> {
        self.jails.list(after)
    }
}
