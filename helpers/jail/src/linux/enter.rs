//! What is done inside a jail that exists: further processes, and a socket in its network.

use super::groups::Group;
use super::processes::Process;
use super::{Launched, identity, sys, watch};
use crate::program;
use crate::report::{self, Report};
use protocol::jail::ProcessSpec;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Starts a further process in the jail of a first one.
pub(super) fn launch(
    first: &Process,
    group: &Group<'_>,
    process: &ProcessSpec,
    streams: Vec<OwnedFd>,
) -> Answer<Launched> {
    let failed = |error: Error| HelperError::system("enter", &error);
    let (news, report) = report::open().map_err(failed)?;
    let (exit, tell_exit) = watch::exit_descriptor().map_err(failed)?;
    let keep: Vec<_> = streams
        .iter()
        .map(AsRawFd::as_raw_fd)
        .chain([first.as_raw_fd(), report.as_raw_fd()])
        .collect();
    let entrant = Entrant {
        first,
        group,
        process,
        streams,
        report,
    };
    let watched = [keep.as_slice(), &[tell_exit.as_raw_fd()]].concat();
    sys::spawn(0, &watched, move || watch_over(entrant, &keep, tell_exit)).map_err(failed)?;
    let news = report::collect(news)?;
    let pid = news
        .pid
        .ok_or_else(|| HelperError::new(ErrorCode::System, "the process was not named"))?;
    let fds = std::iter::once(exit).chain(news.fds).collect();
    Ok(Launched { pid, fds })
}

/// A process on its way into a jail.
struct Entrant<'a> {
    first: &'a Process,
    group: &'a Group<'a>,
    process: &'a ProcessSpec,
    streams: Vec<OwnedFd>,
    report: Report,
}

/// The watcher's life: a child of it enters the jail and makes the process there, as a child of the watcher (so that this
/// one stays outside and holds nothing of the jail).
fn watch_over(entrant: Entrant<'_>, keep: &[i32], tell_exit: OwnedFd) -> i32 {
    let result = watch::become_watcher()
        .and_then(|()| sys::spawn(0, keep, move || entrant.live()))
        .and_then(|pid| Ok(waitpid(Pid::from_raw(pid), WaitOptions::empty())?))
        .and_then(|_| watch::tell_the_end_of(None, tell_exit));
    i32::from(result.is_err())
}

impl Entrant<'_> {
    fn live(self) -> i32 {
        match self.enter() {
            Ok(()) => 0,
            Err(error) => {
                self.report.failed(HelperError::system("enter the jail", &error));
                1
            }
        }
    }

    fn enter(&self) -> Result<()> {
        // From its first moment inside, the process can be seen there; it must not be readable or traceable, nor hold
        // more than it needs to become the program.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        self.group
            .enter(rustix::process::getpid().as_raw_nonzero().get())?;
        let all = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::CONTROL_GROUP
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::NETWORK;
        move_into_thread_name_spaces(self.first.as_fd(), all)?;
        identity::keep_only_what_starting_needs(self.process)?;
        let Entrant {
            first: _,
            group: _,
            process,
            streams,
            report,
        } = self;
        let streams = streams
            .iter()
            .map(OwnedFd::try_clone)
            .collect::<Result<Vec<_>>>()?;
        let keep: Vec<_> = streams
            .iter()
            .map(AsRawFd::as_raw_fd)
            .chain([report.as_raw_fd()])
            .collect();
        let pid = sys::spawn(sys::SIBLING, &keep, move || {
            program::run(process, streams, Vec::new(), report)
        })?;
        report.started(pid)
    }
}

/// A route netlink socket in the network of a jail.
pub(super) fn open_network(first: &Process) -> Answer<OwnedFd> {
    let failed = |error: Error| HelperError::system("open the jail's network", &error);
    let (news, report) = report::open().map_err(failed)?;
    let keep = [first.as_raw_fd(), report.as_raw_fd()];
    sys::spawn(0, &keep, move || match socket_inside(first) {
        Ok(socket) => i32::from(report.ready(&[socket.as_fd()]).is_err()),
        Err(error) => {
            report.failed(failed(error));
            1
        }
    })
    .map_err(failed)?;
    let socket = report::collect(news)?.fds.pop();
    socket.ok_or_else(|| HelperError::new(ErrorCode::System, "no socket came back"))
}

fn socket_inside(first: &Process) -> Result<OwnedFd> {
    move_into_thread_name_spaces(first.as_fd(), ThreadNameSpaceType::NETWORK)?;
    // The default protocol, 0, is route netlink.
    Ok(socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?)
}
