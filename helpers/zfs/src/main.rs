//! `cellblock-zfs`: started by the launcher, serves the daemon, ends with the connection.
#![forbid(unsafe_code)]

use cellblock_zfs::{host, policy, service};
use helper_runtime::{serve, startup};
use service::Host;
use std::io::Result;
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("cellblock-zfs: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let inherited = startup::clean()?;
    let policy = policy::ours(startup::policy()?)?;
    let mut host = host::open(&policy)?;
    host::confine(&policy, &host, &inherited)?;
    host.recover();
    Ok(serve::forever(inherited, service::Datasets::new(host)))
}
