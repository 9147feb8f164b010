//! Making a jail, and starting its first process.

use super::groups::{Group, Groups};
use super::processes::Process;
use super::records::{Identity, Record, Records, is_nobody};
use super::{Launched, init, mounts, processes, sys, watch};
use crate::report::{self, Report};
use crate::{order, program};
use helper_runtime::order::Order;
use protocol::fd::{receive_frame, send_frame};
use protocol::jail::{JailSpec, Network, Openings, ProcessSpec, Request, Role, Space};
use protocol::names::JailName;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::{SocketFlags, accept_with};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Where memory that processes share is found, on the host as in a jail.
const SHARED_MEMORY: &str = "/dev/shm";

/// Makes the jail with its waiting first process; gives that process's id.
///
/// # Errors
/// `AlreadyExists` if there is a jail of that name, also one whose first process has ended.
pub(super) fn create(records: &Records, groups: &Groups, spec: &JailSpec, root: &Path) -> Answer<i32> {
    let failed = |error: Error| HelperError::system("create", &error);
    if records.read(&spec.jail).map_err(failed)?.is_some() {
        return Err(HelperError::new(
            ErrorCode::AlreadyExists,
            format!("jail {} exists", spec.jail),
        ));
    }
    let (news, report) = report::open().map_err(failed)?;
    let group = groups.of(spec.jail.as_str());
    group.create(spec)?;
    let watcher = Watcher {
        group: &group,
        listener: records.listen(&spec.jail).map_err(failed)?,
        records: records.try_clone().map_err(failed)?,
        report,
        spec,
        root,
    };
    let keep = [
        watcher.listener.as_raw_fd(),
        watcher.records.as_raw_fd(),
        watcher.report.as_raw_fd(),
    ];
    // What the watcher owns is closed here when the call is back, so that its end is seen.
    let spawned = sys::spawn(0, &keep, move || watcher.live());
    let created = spawned
        .map_err(failed)
        .and_then(|_| report::collect(news))
        .and_then(|news| {
            news.pid.ok_or_else(|| {
                HelperError::new(ErrorCode::System, "the watcher did not name the first process")
            })
        });
    if created.is_err() {
        if let Some(record) = records.read(&spec.jail).map_err(failed)? {
            watch::end(&record)?;
        }
        group.remove().map_err(failed)?;
        records.forget(&spec.jail).map_err(failed)?;
    }
    created
}

/// The process that is going to be the first one's parent.
struct Watcher<'a> {
    group: &'a Group<'a>,
    listener: OwnedFd,
    records: Records,
    report: Report,
    spec: &'a JailSpec,
    root: &'a Path,
}

impl Watcher<'_> {
    fn live(self) -> i32 {
        match self
            .begin()
            .and_then(|(first, exit)| watch::tell_the_end_of(Some(first), exit))
        {
            Ok(()) => 0,
            Err(_) => 1,
        }
    }

    /// Makes the first process and its record. All that the watcher still holds then is where to tell the end.
    fn begin(self) -> Result<(Pid, OwnedFd)> {
        let result = self.make_first();
        if let Err(error) = &result {
            self.report.failed(HelperError::system("watcher", error));
        }
        result
    }

    fn make_first(&self) -> Result<(Pid, OwnedFd)> {
        watch::become_watcher()?;
        // Until the jail is on record the watcher ends with the hand: one that went on alone would put a jail on record after
        // the next hand has listed and removed what there was.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let (exit, tell_exit) = watch::exit_descriptor()?;
        let (go, tell_go) = pipe_with(PipeFlags::CLOEXEC)?;
        let memory = self.shared_memory()?;
        let spaces = self.spaces()?;
        let first = First {
            memory,
            listener: self.listener.try_clone()?,
            report: Report(self.report.0.try_clone()?),
            exit,
            go,
            spec: self.spec,
            root: self.root,
        };
        let keep = first.descriptors();
        let pid = sys::spawn(spaces, &keep, move || first.live())?;
        self.group.enter(pid)?;
        let record = Record {
            first: Identity {
                pid,
                started: processes::start_of(pid)?,
            },
            watcher: processes::identity_of_self()?,
            network: self.spec.network,
            own_processes: self.spec.openings.processes == Space::Own,
        };
        self.records.write(&self.spec.jail, &record)?;
        set_parent_process_death_signal(None)?;
        // A first process whose watcher died before this line would be in no record; it ends by itself instead.
        rustix::io::write(&tell_go, b"!")?;
        self.report.started(pid)?;
        Ok((Pid::from_raw(pid).ok_or(ErrorKind::InvalidData)?, tell_exit))
    }

    /// The namespaces that are made with the first process; those of other jails that it shares are entered here.
    fn spaces(&self) -> Result<sys::CloneFlags> {
        let Openings {
            processes,
            shares_host_name,
            network_of,
            ipc,
            ..
        } = &self.spec.openings;
        let mut own = sys::JAIL;
        match (network_of, self.spec.network) {
            (Some(other), _) => self.join(other, ThreadNameSpaceType::NETWORK)?,
            (None, Network::Own) => own |= sys::NETWORK,
            (None, Network::Host) => {}
        }
        match processes {
            Space::Own => own |= sys::PROCESSES,
            Space::Host => {}
            // Only what is forked from now on is in it.
            Space::Of(other) => self.join(other, ThreadNameSpaceType::PROCESS_ID)?,
        }
        match ipc {
            Space::Own => own |= sys::IPC,
            Space::Host => {}
            Space::Of(other) => self.join(other, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)?,
        }
        if !shares_host_name {
            own |= sys::HOST_NAME;
        }
        Ok(own)
    }

    /// The /dev/shm of the host or of another jail, as a detached mount, where the new one is going to have that.
    fn shared_memory(&self) -> Result<Option<OwnedFd>> {
        let copy = || {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
            open_tree(CWD, SHARED_MEMORY, flags).map(Some)
        };
        Ok(match &self.spec.openings.ipc {
            Space::Own => None,
            Space::Host => copy()?,
            // A mount is copied from within its namespace only.
            Space::Of(other) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let own = open("/proc/self/ns/mnt", flags, Mode::empty())?;
                self.join(other, ThreadNameSpaceType::MOUNT)?;
                let copied = copy();
                move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount))?;
                copied?
            }
        })
    }

    fn join(&self, other: &JailName, space: ThreadNameSpaceType) -> Result<()> {
        let gone = || Error::new(ErrorKind::NotFound, format!("jail {other} has no process"));
        let record = self.records.read(other)?.ok_or_else(gone)?;
        let first = Process::open(&record.first)?.ok_or_else(gone)?;
        Ok(move_into_thread_name_spaces(first.as_fd(), space)?)
    }
}

/// The first process until it becomes the container's program. It is alone in its namespaces, and root on the host.
struct First<'a> {
    listener: OwnedFd,
    report: Report,
    exit: OwnedFd,
    go: OwnedFd,
    /// Another's /dev/shm that it gets.
    memory: Option<OwnedFd>,
    spec: &'a JailSpec,
    root: &'a Path,
}

impl First<'_> {
    fn descriptors(&self) -> Vec<i32> {
        let own = [&self.listener, &self.report.0, &self.exit, &self.go];
        own.into_iter()
            .chain(&self.memory)
            .map(AsRawFd::as_raw_fd)
            .collect()
    }

    fn live(self) -> i32 {
        let First {
            listener,
            report,
            exit,
            go,
            memory,
            spec,
            root,
        } = self;
        if !matches!(rustix::io::read(&go, &mut [0; 1]), Ok(1)) {
            return 1;
        }
        if let Err(error) = set_up(spec, root, memory) {
            report.failed(error);
            return 1;
        }
        if report.ready(&[]).is_err() {
            return 1;
        }
        drop((go, report));
        wait_for_program(listener, exit)
    }
}

fn set_up(spec: &JailSpec, root: &Path, memory: Option<OwnedFd>) -> Answer<()> {
    let failed = |step| move |errno: rustix::io::Errno| HelperError::system(step, &errno.into());
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("dumpable"))?;
    // Only now: what a control group namespace shows as its root is the group that its maker is in.
    sys::leave_control_groups().map_err(|e| HelperError::system("control group namespace", &e))?;
    mounts::enter_root(spec, root, memory.as_ref())?;
    if spec.openings.shares_host_name {
        return Ok(());
    }
    rustix::system::sethostname(spec.hostname.as_str().as_bytes()).map_err(failed("host name"))
}

/// Serves connections until one brings the program to become. A hand that was killed while it sent the order is replaced by
/// one that sends it again.
fn wait_for_program(listener: OwnedFd, exit: OwnedFd) -> i32 {
    loop {
        let Ok(connection) = accept_with(&listener, SocketFlags::CLOEXEC) else {
            return 1;
        };
        let Ok(Some(frame)) = receive_frame(&connection) else {
            continue;
        };
        let report = Report(connection);
        let request = Order::from_bytes(&frame.payload)
            .map_err(|bad| HelperError::new(ErrorCode::BadContent, bad.0))
            .and_then(|order| order::read(&order));
        match request {
            Ok(Request::Launch { jail: _, process }) if process.role == Role::First => {
                drop(listener);
                return if process.init {
                    init::run(&process, frame.fds, exit, report)
                } else {
                    program::run(&process, frame.fds, vec![exit], &report)
                };
            }
            Ok(_) => report.failed(HelperError::new(
                ErrorCode::BadContent,
                "a first process only starts its program",
            )),
            Err(error) => report.failed(error),
        }
    }
}

/// Has the waiting first process become its program.
///
/// # Errors
/// `AlreadyExists` if it did that before; the program's own failure, after which the first process is gone.
pub(super) fn launch(
    records: &Records,
    jail: &JailName,
    record: &Record,
    process: &ProcessSpec,
    fds: Vec<OwnedFd>,
) -> Answer<Launched> {
    let connection = records.connect(jail).map_err(|error| {
        if is_nobody(&error) {
            HelperError::new(
                ErrorCode::AlreadyExists,
                "the jail's first process was started before",
            )
        } else {
            HelperError::system("connect to the first process", &error)
        }
    })?;
    let order = order::write(&Request::Launch {
        jail: jail.clone(),
        process: Box::new(process.clone()),
    })?;
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let started = send_frame(&connection, 0, &order.to_bytes(), &borrowed)
        .map_err(|e| HelperError::system("order to the first process", &e))
        .and_then(|()| report::collect(connection));
    let news = match started {
        Ok(news) => news,
        Err(error) => {
            watch::end(record)?;
            return Err(error);
        }
    };
    records
        .remove_socket(jail)
        .map_err(|e| HelperError::system("socket", &e))?;
    Ok(Launched {
        pid: record.first.pid,
        fds: news.fds,
    })
}
