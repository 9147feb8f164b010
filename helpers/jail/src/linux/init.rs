//! `--init`: the first process stays a small init, with the program as its child.

use super::sys;
use crate::program;
use crate::report::Report;
use protocol::jail::ProcessSpec;
use rustix::process::{Pid, WaitOptions, wait};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};

/// Exit status where the init itself fails.
const FAILED: i32 = 125;

/// Starts the program as a child, passes signals on to it, reaps whatever ends in the jail, and ends as the program does.
pub(super) fn run(process: &ProcessSpec, streams: Vec<OwnedFd>, exit: OwnedFd, report: Report) -> i32 {
    // Nothing that comes while the child is being made is lost.
    let begun = sys::block_signals().and_then(|()| {
        let keep: Vec<_> = streams
            .iter()
            .map(AsRawFd::as_raw_fd)
            .chain([exit.as_raw_fd(), report.as_raw_fd()])
            .collect();
        sys::spawn(0, &keep, move || {
            program::run(process, streams, vec![exit], &report)
        })
    });
    begun.and_then(serve).unwrap_or(FAILED)
}

fn serve(child: i32) -> Result<i32> {
    rustix::thread::set_name(c"init")?;
    let kill = CapabilitySet::KILL;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kill,
            permitted: kill,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    loop {
        match sys::next_signal()? {
            libc::SIGCHLD => {
                while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
                    if Some(pid) == Pid::from_raw(child) {
                        let code = status
                            .exit_status()
                            .or(status.terminating_signal().map(|signal| 128 + signal));
                        return Ok(code.unwrap_or(FAILED));
                    }
                }
            }
            signal => sys::pass_on(child, signal),
        }
    }
}
