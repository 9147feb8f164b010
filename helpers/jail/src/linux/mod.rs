//! The development host: a jail is a set of namespaces held by its first process.
//!
//! ```text
//! hand ── fork ──▶ watcher (host's namespaces) ── clone ──▶ first process (pid 1 of the jail's own)
//!   │                 │ writes the record, then waits and          │ sets up its root, then waits on a socket
//!   │                 ▼ tells how it ended                         ▼ for the order to become the program
//!   └──────── record_dir/<jail> ─────────── record_dir/<jail>.sock ┘
//! ```
//!
//! Neither is in need of the hand: a helper that was killed and started again finds both by the record. A further process
//! (`docker exec`) has a watcher of its own, and is in the jail's namespaces without being its first process's child.

mod confinement;
mod create;
mod enter;
mod groups;
mod identity;
mod init;
mod mounts;
mod processes;
mod pseudo;
mod records;
mod sys;
mod sysctls;
mod watch;

pub(crate) use identity::{assume_identity, give_stream, open_terminal, set_oom_score};
pub(crate) use sys::{leave_the_programs_file, reset_signal};

use groups::{Group, Groups};
use processes::Process;
use protocol::handshake::{HostFacts, HostOs};
use protocol::jail::{
    JailInfo, JailSpec, Limits, Network, Openings, ProcessInfo, ProcessSpec, Role, SignalTarget, Space, Usage,
};
use protocol::mount::Flavour;
use protocol::names::{HostPath, JailName, Label, Text};
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use records::{Record, Records};
use rustix::process::Resource;
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;

pub mod sandbox {
    //! What is left to each half of this helper.
    pub use super::confinement::{front, hand};
}

/// Largest signal number (signal(7)): `SIGRTMAX`.
pub(crate) const SIGNAL_MAX: u8 = 64;

/// This host, as the hand uses it.
#[derive(Debug)]
pub(crate) struct Host {
    mount_root: HostPath,
    records: Records,
    groups: Groups,
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its id as the host sees it.
    pub(crate) pid: i32,
    /// Exit descriptor, then the terminal's master if it has one.
    pub(crate) fds: Vec<OwnedFd>,
}

/// What the daemon is told of this host.
pub(crate) fn facts() -> Result<HostFacts> {
    let system = rustix::system::uname();
    let groups = Groups::open(std::fs::File::open("/")?)?;
    Ok(HostFacts {
        os: HostOs::Linux,
        release: Label::new(system.release().to_string_lossy()).map_err(Error::other)?,
        backend: Text::cut("namespaces"),
        runs_linux: true,
        enforces_limits: groups.enforce_limits(),
    })
}

/// Whether this host can make such a jail.
pub(crate) fn judge_jail(policy: &JailPolicy, spec: &JailSpec) -> Answer<()> {
    let Openings {
        processes,
        shares_host_name,
        devices,
        device_rules,
        ipc,
        ..
    } = &spec.openings;
    let refused = |what: &str| {
        let text = format!("the policy does not allow {what}");
        Err(HelperError::new(ErrorCode::Refused, text))
    };
    let is_open = *processes == Space::Host || *ipc == Space::Host || *shares_host_name;
    if is_open && !policy.allow_host_processes {
        return refused("the host's processes, their objects in memory, and its name");
    }
    let wants_devices = !devices.as_slice().is_empty() || !device_rules.as_slice().is_empty();
    if wants_devices && !policy.allow_host_devices {
        return refused("devices of the host");
    }
    pseudo::judge_devices(devices.as_slice())?;
    match spec.flavour {
        Flavour::Native => sysctls::judge(spec),
        Flavour::Linux => Err(HelperError::new(
            ErrorCode::Unsupported,
            "this host's own kind is Linux",
        )),
    }
}

/// Whether this host can run such a process: it knows every capability and limit, so the policy alone decides. Nothing of a
/// container's is spared before the host's own when memory runs out.
pub(crate) fn judge_process(process: &ProcessSpec) -> Answer<()> {
    match process.oom_score {
        0..=1000 => Ok(()),
        _ => Err(HelperError::new(
            ErrorCode::Refused,
            "the policy allows no --oom-score-adj below 0 or above 1000",
        )),
    }
}

/// Whether this host can set such limits is found out when they are set.
pub(crate) fn judge_limits(_limits: &Limits) -> Answer<()> {
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
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

impl Host {
    /// Opens what the hand needs. Ended watchers are forgotten by the kernel at once: nobody asks for their status.
    pub(crate) fn open(policy: &JailPolicy) -> Result<Self> {
        sys::keep_no_zombies()?;
        let records = Records::open(policy.record_dir.as_str())?;
        Ok(Host {
            mount_root: policy.mount_root.clone(),
            groups: Groups::open(&records)?,
            records,
        })
    }

    pub(crate) fn create(&self, spec: &JailSpec) -> Answer<i32> {
        let root = format!("{}/{}", self.mount_root, spec.root);
        match std::fs::symlink_metadata(&root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(HelperError::new(
                    ErrorCode::BadContent,
                    "the mount point is not a directory",
                ));
            }
            Err(error) => return Err(HelperError::system(format!("mount point {}", spec.root), &error)),
        }
        create::create(&self.records, &self.groups, spec, root.as_ref())
    }

    fn group(&self, jail: &JailName) -> Group<'_> {
        self.groups.of(jail.as_str())
    }

    pub(crate) fn pause(&self, jail: &JailName) -> Answer<()> {
        self.running(jail)?;
        self.group(jail).freeze(true)
    }

    pub(crate) fn resume(&self, jail: &JailName) -> Answer<()> {
        self.running(jail)?;
        self.group(jail).freeze(false)
    }

    pub(crate) fn limit(&self, jail: &JailName, limits: &Limits) -> Answer<()> {
        self.record(jail)?;
        self.group(jail).limit(limits)
    }

    pub(crate) fn usage(&self, jail: &JailName) -> Answer<Usage> {
        let record = self.record(jail)?;
        let has_network = record.network == Network::Own && self.first(&record)?.is_some();
        let first = has_network.then_some(record.first.pid);
        self.group(jail)
            .usage(first)
            .map_err(|e| HelperError::system("usage", &e))
    }

    pub(crate) fn open_network(&self, jail: &JailName) -> Answer<Vec<OwnedFd>> {
        let (record, first) = self.running(jail)?;
        match record.network {
            Network::Own => enter::open_network(&first).map(|socket| vec![socket]),
            Network::Host => Err(HelperError::new(
                ErrorCode::Refused,
                "the jail shares the host's network",
            )),
        }
    }

    pub(crate) fn launch(
        &self,
        jail: &JailName,
        process: &ProcessSpec,
        fds: Vec<OwnedFd>,
    ) -> Answer<Launched> {
        let (record, first) = self.running(jail)?;
        let group = self.group(jail);
        if group
            .is_frozen()
            .map_err(|e| HelperError::system("freezer", &e))?
        {
            return Err(HelperError::new(ErrorCode::Busy, "the jail is paused"));
        }
        if !identity::can_be_given(process).map_err(|e| HelperError::system("capabilities", &e))? {
            return Err(HelperError::new(
                ErrorCode::Unsupported,
                "a capability is not available on this host",
            ));
        }
        match process.role {
            Role::First => create::launch(&self.records, jail, &record, process, fds),
            Role::Further
                if self
                    .records
                    .is_waiting(jail)
                    .map_err(|e| HelperError::system("socket", &e))? =>
            {
                Err(HelperError::new(
                    ErrorCode::NotFound,
                    "the jail's first process was not started yet",
                ))
            }
            Role::Further => enter::launch(&first, &group, process, fds),
        }
    }

    pub(crate) fn signal(&self, jail: &JailName, target: SignalTarget, signal: u8) -> Answer<()> {
        let record = self.record(jail)?;
        let Some(first) = self.first(&record)? else {
            return Ok(());
        };
        let members = || self.members(jail, &record, &first);
        match target {
            SignalTarget::First => first.signal(signal),
            SignalTarget::Everyone => processes::signal_everyone(&first, signal, members),
            SignalTarget::Process(pid) => processes::signal_one(pid, signal, members),
        }
        .map_err(|e| HelperError::system("signal", &e))
    }

    pub(crate) fn remove(&self, jail: &JailName) -> Answer<()> {
        let failed = |error: Error| HelperError::system("remove", &error);
        let group = self.group(jail);
        // Version 1 holds back even those that are killed.
        if group.is_frozen().map_err(failed)? {
            group.freeze(false)?;
        }
        if let Some(record) = self.records.read(jail).map_err(failed)? {
            watch::end(&record)?;
        }
        // Those that share others' numbers, and who was on its way in when a hand was killed.
        match group.kill_all() {
            // No control groups here, and so nobody in one.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => other.map_err(failed)?,
        }
        group.remove().map_err(failed)?;
        self.records.forget(jail).map_err(failed)
    }

    pub(crate) fn processes(&self, jail: &JailName) -> Answer<Vec<ProcessInfo>> {
        let (record, first) = self.running(jail)?;
        let members = self.members(jail, &record, &first);
        members
            .and_then(processes::list)
            .map_err(|e| HelperError::system("processes", &e))
    }

    /// The numbers of a jail's processes: those of its process namespace, or those of its group where it shares that.
    fn members(&self, jail: &JailName, record: &Record, first: &Process) -> Result<BTreeSet<i32>> {
        if record.own_processes {
            processes::members(first)
        } else {
            self.group(jail).members()
        }
    }

    pub(crate) fn list(&self, after: Option<&JailName>) -> Answer<Vec<JailInfo>> {
        self.records
            .list(after)
            .map_err(|e| HelperError::system("records", &e))
    }

    fn record(&self, jail: &JailName) -> Answer<Record> {
        let record = self
            .records
            .read(jail)
            .map_err(|e| HelperError::system("record", &e))?;
        record.ok_or_else(|| HelperError::new(ErrorCode::NotFound, format!("no jail {jail}")))
    }

    fn first(&self, record: &Record) -> Answer<Option<Process>> {
        Process::open(&record.first).map_err(|e| HelperError::system("first process", &e))
    }

    /// The record and first process of a jail whose first process lives.
    fn running(&self, jail: &JailName) -> Answer<(Record, Process)> {
        let record = self.record(jail)?;
        let first = self.first(&record)?;
        let first = first
            .ok_or_else(|| HelperError::new(ErrorCode::NotFound, "the jail's first process has ended"))?;
        Ok((record, first))
    }
}
