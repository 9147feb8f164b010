//! `cellblock-archive`: trees in and out of tar streams, beneath one mount root. Started by the launcher.
#![forbid(unsafe_code)]

use cellblock_archive::{Archive, confine};
use helper_runtime::startup::Inherited;
use helper_runtime::{serve, startup};
use std::process::ExitCode;

fn main() -> ExitCode {
    match prepare() {
        Ok((inherited, service)) => serve::forever(inherited, service),
        Err(error) => {
            eprintln!("cellblock-archive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> std::io::Result<(Inherited, Archive)> {
    let inherited = startup::clean()?;
    let service = Archive::open(startup::policy()?)?;
    let (mount_root, mounts) = service.mounts();
    confine(mount_root, mounts, &inherited)?;
    Ok((inherited, service))
}
