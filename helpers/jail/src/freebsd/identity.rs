//! Who a container's process is: user, groups, terminal.

use crate::sys::become_user;
use protocol::jail::{ProcessSpec, Role};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::set_no_new_privs;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::io::Result;
use std::os::fd::OwnedFd;

/// Becomes the process's user. The jail itself bounds what root can do.
pub(crate) fn assume_identity(process: &ProcessSpec) -> Result<()> {
    if process.no_new_privileges {
        set_no_new_privs(None)?;
    }
    // Up to FreeBSD 14 the first of the list is the effective group (setgroups(2)); from 15 on it is an ordinary one, and
    // the group that follows is the same.
    let groups: Vec<u32> = std::iter::once(process.gid)
        .chain(process.groups.as_slice().iter().copied())
        .collect();
    become_user(process.uid, process.gid, &groups)
}

/// Pipes are opened anew through fdescfs(5), which asks for no permission: they need no owner.
pub(crate) fn give_stream(_stream: &OwnedFd, _uid: u32) -> Result<()> {
    Ok(())
}

/// Only 0 is ever asked for: see `judge_process`.
pub(crate) fn set_oom_score(_score: i16) -> Result<()> {
    Ok(())
}

/// A terminal made inside the jail, where alone the jail's devfs shows it: master and slave.
pub(crate) fn open_terminal(_role: Role) -> Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = open(
        name.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok((master, slave))
}
