//! /dev, /proc and the like of a container.
#![forbid(unsafe_code)]

use super::attach::{Made, New, attach};
use super::devfs;
use crate::source::Kind;
use crate::target::{self, Container, Place};
use protocol::mount::Flavour;
use protocol::{Answer, ErrorCode, HelperError};
use std::os::fd::AsFd;
use std::path::Path;

/// Size of /dev/shm, in bytes: Docker's default for `--shm-size`.
const SHM_BYTES: &str = "67108864";

/// One of a set: type, place, options beside the ruleset of devfs.
struct Pseudo {
    kind: &'static str,
    at: &'static str,
    options: &'static [(&'static str, Option<&'static str>)],
}

/// FreeBSD programs: devices, their own descriptors, processes.
const NATIVE: &[Pseudo] = &[
    Pseudo {
        kind: "devfs",
        at: "dev",
        options: &[],
    },
    Pseudo {
        kind: "fdescfs",
        at: "dev/fd",
        options: &[],
    },
    Pseudo {
        kind: "procfs",
        at: "proc",
        options: &[],
    },
];

/// Linux programs: descriptors look like links there, and shared memory is a file system.
const LINUX: &[Pseudo] = &[
    Pseudo {
        kind: "devfs",
        at: "dev",
        options: &[],
    },
    Pseudo {
        kind: "fdescfs",
        at: "dev/fd",
        options: &[("linrdlnk", None)],
    },
    Pseudo {
        kind: "tmpfs",
        at: "dev/shm",
        options: &[("mode", Some("1777")), ("size", Some(SHM_BYTES))],
    },
    Pseudo {
        kind: "linprocfs",
        at: "proc",
        options: &[],
    },
    Pseudo {
        kind: "linsysfs",
        at: "sys",
        options: &[],
    },
];

/// Mounts a set, or nothing.
pub(super) fn mount(container: &Container, flavour: Flavour, ruleset: u16) -> Answer<Vec<Made>> {
    let set = match flavour {
        Flavour::Native => NATIVE,
        Flavour::Linux => LINUX,
    };
    let mut made: Vec<Made> = Vec::with_capacity(set.len());
    for pseudo in set {
        match mount_one(container, pseudo, ruleset) {
            Ok(one) => made.push(one),
            Err(error) => {
                made.into_iter().rev().for_each(Made::undo);
                return Err(error);
            }
        }
    }
    Ok(made)
}

fn mount_one(container: &Container, pseudo: &Pseudo, ruleset: u16) -> Answer<Made> {
    let place = place(container, Path::new(pseudo.at))?;
    let ruleset = ruleset.to_string();
    let devices = [("ruleset", Some(ruleset.as_str()))];
    let options = if pseudo.kind == "devfs" {
        &devices
    } else {
        pseudo.options
    };
    let flags = libc::MNT_NOSUID | libc::MNT_NOEXEC;
    let made = attach(
        &New {
            kind: pseudo.kind,
            from: pseudo.kind,
            options,
            flags,
        },
        &place,
        Kind::Directory,
    )?;
    if pseudo.kind == "devfs"
        && let Err(error) = devfs::verify(made.root.as_fd())
    {
        made.undo();
        return Err(error);
    }
    Ok(made)
}

/// The place itself, which is where it says: what a container's /dev or /proc is, no link of its image
/// decides.
fn place(container: &Container, target: &Path) -> Answer<Place> {
    if target::resolve(container, target)? != target {
        let detail = format!("/{} of the container is a symbolic link", target.display());
        return Err(HelperError::new(ErrorCode::Refused, detail));
    }
    target::make(container, target, Kind::Directory)
}
