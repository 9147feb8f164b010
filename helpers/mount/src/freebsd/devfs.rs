//! The private ruleset that decides which devices a container sees (devfs(5)).
//!
//! A mount with a ruleset that does not exist shows every device of the host, so the ruleset is verified at
//! start and the mount is looked at once it is made.
#![forbid(unsafe_code)]

use super::sys::{self, Rule};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};

/// The devices of a container. `shm` is there for Linux programs only, where it is the mount point of a
/// memory file system.
const SHOWN: &[&str] = &[
    "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "pts/*", "fd", "fd/*", "stdin",
    "stdout", "stderr", "shm", "shm/*",
];

/// Devices that no container may see; they exist on every host that we run on.
const NEVER_SHOWN: &[&str] = &["mem", "zfs", "pf"];

/// Makes the ruleset where it is empty, and verifies it.
///
/// # Errors
/// `InvalidData` where the number is 0 (no ruleset at all) or holds other rules than ours.
pub(super) fn prepare(ruleset: u16) -> Result<()> {
    let refused = |why: &str| Error::new(ErrorKind::InvalidData, format!("devfs ruleset {ruleset} {why}"));
    if ruleset == 0 {
        return Err(refused("would show every device"));
    }
    // Rule requests go to any directory of any devfs.
    let dev = openat(
        CWD,
        c"/dev",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let wished: Vec<Rule> = std::iter::once(Rule::hide_all())
        .chain(SHOWN.iter().map(|name| Rule::show(name)))
        .collect();
    if sys::rules(dev.as_fd(), ruleset)?.is_empty() {
        wished
            .iter()
            .try_for_each(|rule| sys::add_rule(dev.as_fd(), ruleset, *rule))?;
    }
    let found = sys::rules(dev.as_fd(), ruleset)?;
    let same = found.len() == wished.len() && found.iter().zip(&wished).all(|(a, b)| a.does_what(b));
    if same {
        Ok(())
    } else {
        Err(refused("holds rules that are not ours; choose another number"))
    }
}

/// Looks for devices that a mounted /dev must not show.
pub(super) fn verify(mounted: BorrowedFd<'_>) -> Answer<()> {
    for name in NEVER_SHOWN {
        match statat(mounted, *name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) | Err(_) => {
                return Err(HelperError::new(
                    ErrorCode::System,
                    format!("the mounted /dev shows {name}"),
                ));
            }
        }
    }
    Ok(())
}
