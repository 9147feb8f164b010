//! What is left to each half of this helper.

use caps::{CapSet, Capability};
use helper_runtime::sandbox::{Confinement, FRONT_UID, confine};
use protocol::policy::JailPolicy;
use std::io::{Error, Result};
use std::os::fd::AsFd;

/// What the hand needs for itself, beside what it may give to containers.
///
/// `SYS_ADMIN` makes and enters namespaces and mounts inside them; `SYS_CHROOT` enters a mount namespace; `SYS_PTRACE`
/// reads the namespaces of other users' processes; `KILL` signals those; `SETUID`, `SETGID`, `SETPCAP` become the
/// container's user; `CHOWN` gives that user its streams; `DAC_OVERRIDE` makes working directories; `MKNOD` the devices;
/// `SYS_RESOURCE` raises a container's own limits above the helper's.
const HAND: [Capability; 11] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_KILL,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_MKNOD,
    Capability::CAP_SYS_RESOURCE,
];

/// Confines the front: nobody, without capabilities, without paths, with the system calls of a server on one socket.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn front(_channel: impl AsFd, _audit: impl AsFd, _hand: impl AsFd) -> Result<()> {
    confine(&Confinement {
        capabilities: &[],
        user: Some(FRONT_UID),
        calls: Some(&[]),
        paths: Some(&[]),
    })
}

/// Confines the hand: root with the capabilities of its job. It can have neither a system call list nor path rules, since
/// containers would inherit them.
///
/// A capability that the policy gives to containers and this host withholds is left out; asking for it is an error later.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn hand(policy: &JailPolicy) -> Result<()> {
    let held = caps::read(None, CapSet::Permitted).map_err(Error::other)?;
    let for_containers = |capability: &Capability| policy.capability_mask & capability.bitmask() != 0;
    let kept: Vec<Capability> = held
        .into_iter()
        .filter(|capability| HAND.contains(capability) || for_containers(capability))
        .collect();
    confine(&Confinement {
        capabilities: &kept,
        user: None,
        calls: None,
        paths: None,
    })
}
