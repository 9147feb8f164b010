//! `cellblock-mount`: mounts below one root, and nothing else.
//!
//! A pair of processes (see [`helper_runtime::pair`]): the front decodes and judges in a sandbox, the hand
//! mounts.
#![forbid(unsafe_code)]

use cellblock_mount::front::Front;
use cellblock_mount::{hand, host};
use helper_runtime::pair::{self, Side};
use helper_runtime::{serve, startup};
use protocol::policy::Policy;
use std::io::{Error, ErrorKind, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("cellblock-mount: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let inherited = startup::clean()?;
    let Policy::Mount(policy) = startup::policy()? else {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the policy is another helper's",
        ));
    };
    match pair::split()? {
        Side::Front(hand) => {
            let front = Front::new(policy, hand)?;
            host::confine_front(&inherited, front.hand())?;
            Ok(serve::forever(inherited, front))
        }
        Side::Hand(orders) => {
            // The connection and the audit log are the front's alone.
            drop(inherited);
            let host = host::Host::open(&policy)?;
            host::confine_hand()?;
            hand::obey(&orders, &host, &policy)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
