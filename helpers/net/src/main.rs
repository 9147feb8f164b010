//! `cellblock-net`: interfaces, addresses and packet filter rules, for the daemon.
#![forbid(unsafe_code)]

use cellblock_net::host::{self, Host};
use cellblock_net::lock::HostLock;
use cellblock_net::service::Net;
use cellblock_net::{hand, policy};
use helper_runtime::pair::{self, Side};
use helper_runtime::{serve, startup};
use protocol::policy::Policy;
use std::io::{Error, ErrorKind, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("cellblock-net: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let inherited = startup::clean()?;
    let Policy::Net(policy) = startup::policy()? else {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the policy is another helper's",
        ));
    };
    let outer = policy::outer_anchor(&policy)?;
    match pair::split()? {
        Side::Front(hand) => {
            let host = Host::open(&policy)?;
            let lock = HostLock::open()?;
            host::confine_front(&inherited, &hand, &lock, &host)?;
            let net = Net::new(host, hand, lock, outer, &policy);
            Ok(serve::forever(inherited, net))
        }
        Side::Hand(orders) => {
            // The connection and the audit log are the front's alone.
            drop(inherited);
            host::confine_hand()?;
            hand::obey(&orders, &outer)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
