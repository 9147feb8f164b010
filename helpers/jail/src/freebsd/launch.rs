//! What is done inside a jail, always by a child that attached to it: a program, a socket, a signal.

use super::records::Records;
use super::{Launched, sys};
use crate::program;
use crate::report::{self, News, Report};
use protocol::jail::ProcessSpec;
use protocol::names::JailName;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io::Error;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Starts a process in a jail. A first one is recorded before it runs, so that one which runs can always be found.
pub(super) fn launch(
    jid: i32,
    process: &ProcessSpec,
    streams: Vec<OwnedFd>,
    record: Option<(&Records, &JailName)>,
) -> Answer<Launched> {
    let failed = |error: Error| HelperError::system("launch", &error);
    let (news, report) = report::open().map_err(failed)?;
    let keep: Vec<_> = streams
        .iter()
        .map(AsRawFd::as_raw_fd)
        .chain([report.as_raw_fd()])
        .collect();
    let child = sys::spawn(&keep, move || {
        match introduce(&report, record).and_then(|()| sys::attach(jid)) {
            Ok(()) => program::run(process, streams, Vec::new(), &report),
            Err(error) => {
                report.failed(failed(error));
                1
            }
        }
    });
    let descriptor = child.map_err(failed)?;
    match report::collect(news).and_then(named) {
        Ok((pid, news)) => Ok(Launched {
            pid,
            fds: std::iter::once(descriptor).chain(news.fds).collect(),
        }),
        Err(error) => {
            // It may hang in its start; what never became the program must not go on.
            sys::kill_by_descriptor(descriptor.as_fd()).map_err(failed)?;
            if let Some((records, jail)) = record {
                records.forget(jail)?;
            }
            Err(error)
        }
    }
}

/// Says and records who this process is, while the record can be reached.
fn introduce(report: &Report, record: Option<(&Records, &JailName)>) -> std::io::Result<()> {
    report.started(rustix::process::getpid().as_raw_nonzero().get())?;
    match record {
        Some((records, jail)) => records.write_own(jail),
        None => Ok(()),
    }
}

fn named(news: News) -> Answer<(i32, News)> {
    let pid = news
        .pid
        .ok_or_else(|| HelperError::new(ErrorCode::System, "the process was not named"))?;
    Ok((pid, news))
}

/// Sockets in the network of a jail for whoever configures it from outside: a datagram one for the addresses of each family, a
/// routing one for routes.
pub(super) fn open_network(jid: i32) -> Answer<Vec<OwnedFd>> {
    inside(jid, "open the jail's network", |report| {
        let open = |family, kind| socket_with(family, kind, SocketFlags::CLOEXEC, None);
        let inet = open(AddressFamily::INET, SocketType::DGRAM)?;
        let inet6 = open(AddressFamily::INET6, SocketType::DGRAM)?;
        let route = open(AddressFamily::ROUTE, SocketType::RAW)?;
        report.ready(&[inet.as_fd(), inet6.as_fd(), route.as_fd()])
    })
}

/// Signals one process of a jail, or all. The child that does it is attached, so it reaches no process outside; one that has
/// ended is fine.
pub(super) fn signal(jid: i32, pid: Option<i32>, signal: u8) -> Answer<()> {
    inside(jid, "signal", |report| {
        match sys::signal_from_inside(pid, signal) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            Ok(()) | Err(_) => report.ready(&[]),
        }
    })
    .map(drop)
}

/// Has an attached child do a thing and report; gives the descriptors that came back.
fn inside(
    jid: i32,
    what: &'static str,
    act: impl FnOnce(&Report) -> std::io::Result<()>,
) -> Answer<Vec<OwnedFd>> {
    let failed = |error: Error| HelperError::system(what, &error);
    let (news, report) = report::open().map_err(failed)?;
    let keep = [report.as_raw_fd()];
    // The descriptor is dropped: the child is init's to reap.
    sys::spawn(&keep, move || {
        match sys::attach(jid).and_then(|()| act(&report)) {
            Ok(()) => 0,
            Err(error) => {
                report.failed(failed(error));
                1
            }
        }
    })
    .map_err(failed)?;
    report::collect(news).map(|news| news.fds)
}
