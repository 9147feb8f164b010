//! The jail helper: makes jails, starts processes in them, signals, lists and removes them.
//!
//! It is a pair. The *front* ([`service`]) runs without privilege, decodes what the daemon sends and judges it by the
//! administrator's policy ([`policy`]). The *hand* ([`hand`]) is root; it takes fixed-size orders ([`order`]), judges them
//! again, and calls the host: `linux/` (namespaces) or `freebsd/` (jail(2)).
//!
//! What must outlive this helper does: a container's processes are not its children but a small watcher's on Linux, and
//! belong to the holder of their process descriptor on FreeBSD. What it must remember lies in `record_dir`.
//!
//! The helper never mounts for a container (the mount helper does), except for the pseudo file systems that Linux ties to
//! the container's own namespaces; it configures no network; it reads no file of a container.

#[cfg(target_os = "freebsd")]
#[path = "freebsd/mod.rs"]
mod host;
#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod host;

mod hand;
mod order;
mod policy;
mod program;
mod report;
mod service;
mod sys;

pub use host::sandbox;

use helper_runtime::pair::{self, Side};
use helper_runtime::{serve, startup};
use protocol::policy::Policy;
use std::io::{Error, ErrorKind, Result};
use std::process::ExitCode;

/// The helper from start to end.
#[must_use]
pub fn run() -> ExitCode {
    start().unwrap_or_else(|error| {
        helper_runtime::log::say(&format!("cellblock-jail: {error}"));
        ExitCode::FAILURE
    })
}

fn start() -> Result<ExitCode> {
    host::leave_the_programs_file()?;
    let inherited = startup::clean()?;
    let Policy::Jail(policy) = startup::policy()? else {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the policy is not the jail helper's",
        ));
    };
    let facts = host::facts()?;
    match pair::split()? {
        Side::Front(hand) => {
            sandbox::front(&inherited.channel, inherited.audit.file(), hand.socket())?;
            Ok(serve::forever(
                inherited,
                service::Front::new(policy, hand, facts),
            ))
        }
        Side::Hand(orders) => {
            drop(inherited);
            let host = host::Host::open(&policy)?;
            sandbox::hand(&policy)?;
            Ok(hand::obey_until_the_front_is_gone(&orders, &policy, &host))
        }
    }
}
