//! Who a container's process is: capabilities, user, groups, terminal, owner of its streams.

use crate::order::capability_mask;
use crate::sys::become_user;
use protocol::jail::{ProcessSpec, Role};
use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, open};
use rustix::process::Uid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, ptsname, unlockpt};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::OwnedFd;

/// What a process needs between entering the jail and becoming its program: to own its streams, reach its working
/// directory, raise its own limits, and change user, group and capabilities.
const STARTING: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SYS_RESOURCE);

/// Numbers that the kernel has for capabilities: the sets are 64 bits wide.
const CAPABILITY_NUMBERS: u32 = 64;

/// Gives up what neither the program may have nor its start needs.
pub(super) fn keep_only_what_starting_needs(process: &ProcessSpec) -> Result<()> {
    let kept = allowed(process)? | STARTING;
    // A host may withhold one from the helper; what needs it fails then by itself.
    hold(kept & rustix::thread::capabilities(None)?.permitted)
}

/// Becomes the process's user with the process's capabilities, as Docker has it: root holds the list, any other user
/// holds none and can gain no more than the list (capabilities(7), bounding set).
pub(crate) fn assume_identity(process: &ProcessSpec) -> Result<()> {
    let allowed = allowed(process)?;
    for number in 0..CAPABILITY_NUMBERS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if !allowed.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    become_user(process.uid, process.gid, process.groups.as_slice())?;
    let held = if process.uid == 0 {
        allowed
    } else {
        CapabilitySet::empty()
    };
    hold(held)?;
    if process.no_new_privileges {
        set_no_new_privs(true)?;
    }
    Ok(())
}

/// Holds these capabilities now, and hands none on to programs beside what the bounding set leaves to root.
fn hold(held: CapabilitySet) -> Result<()> {
    let sets = CapabilitySets {
        effective: held,
        permitted: held,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Whether this helper holds, and so can give, everything that a process may have.
pub(super) fn can_be_given(process: &ProcessSpec) -> Result<bool> {
    Ok(rustix::thread::capabilities(None)?
        .permitted
        .contains(allowed(process)?))
}

fn allowed(process: &ProcessSpec) -> Result<CapabilitySet> {
    capability_mask(process)
        .map(CapabilitySet::from_bits_retain)
        .map_err(Error::other)
}

/// Makes a pipe the program's own, so that it can open `/dev/stdout` anew, also as an ordinary user.
pub(crate) fn give_stream(stream: &OwnedFd, uid: u32) -> Result<()> {
    if FileType::from_raw_mode(fstat(stream)?.st_mode) == FileType::Fifo {
        fchown(stream, Some(Uid::from_raw(uid)), None)?;
    }
    Ok(())
}

/// Sets how gladly the kernel kills this process when memory runs out; the launcher's own score is not the container's.
pub(crate) fn set_oom_score(score: i16) -> Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    if std::fs::read_to_string(FILE)?.trim() == score.to_string() {
        return Ok(());
    }
    std::fs::write(FILE, score.to_string())
}

/// A terminal in the jail's own devpts: master and slave. The first process's is its console, too.
///
/// The path is one of the container; what it leads to is checked, since a container could have put another thing there.
pub(crate) fn open_terminal(role: Role) -> Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let master = open("/dev/pts/ptmx", flags, Mode::empty())?;
    unlockpt(&master)?;
    let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, peer)?;
    rustix::fs::fcntl_setfl(&master, OFlags::empty())?;
    if role == Role::First {
        let name = ptsname(&master, Vec::new())?;
        File::create("/dev/console")?;
        rustix::mount::mount_bind(name.as_c_str(), "/dev/console")?;
    }
    Ok((master, slave))
}
