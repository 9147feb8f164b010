//! What is left to the two processes on Linux.
#![forbid(unsafe_code)]

use helper_runtime::pair::Hand;
use helper_runtime::sandbox::{Capability, Confinement, FRONT_UID, confine, syscall};
use helper_runtime::startup::Inherited;
use std::io::Result;

/// Mounting itself is `SYS_ADMIN`. The others are for overlayfs, which copies up, makes nodes and keeps
/// attributes with the capabilities of the process that mounted it, whoever writes: without them a
/// container's root could not chown(2) a file of its image.
const HAND_CAPABILITIES: &[Capability] = &[
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_CHOWN,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_MKNOD,
    Capability::CAP_SETFCAP,
];

/// Paths are opened, looked at and made; mounts are made by descriptor (no mount(2)) and unmounted. Nothing
/// is executed, no socket made, no process signalled.
const HAND_CALLS: &[i64] = &[
    syscall::SYS_fsconfig,
    syscall::SYS_fsmount,
    syscall::SYS_fsopen,
    syscall::SYS_mkdirat,
    syscall::SYS_mount_setattr,
    syscall::SYS_move_mount,
    syscall::SYS_newfstatat,
    syscall::SYS_open_tree,
    syscall::SYS_openat,
    syscall::SYS_openat2,
    syscall::SYS_readlinkat,
    syscall::SYS_statx,
    syscall::SYS_umount2,
    syscall::SYS_unlinkat,
];

/// The front: nobody, no capability, no path, no system call beyond its open descriptors.
pub const FRONT: Confinement<'static> = Confinement {
    capabilities: &[],
    user: Some(FRONT_UID),
    calls: Some(&[]),
    paths: Some(&[]),
};

/// The hand. There is no landlock(7) rule on it: a process under one may not mount at all, and an overlay
/// would inherit it.
pub const HAND: Confinement<'static> = Confinement {
    capabilities: HAND_CAPABILITIES,
    user: None,
    calls: Some(HAND_CALLS),
    paths: None,
};

/// Confines the front.
///
/// # Errors
/// Where any part could not be applied.
pub fn confine_front(_: &Inherited, _: &Hand) -> Result<()> {
    confine(&FRONT)
}

/// Confines the hand.
///
/// # Errors
/// Where any part could not be applied.
pub fn confine_hand() -> Result<()> {
    confine(&HAND)
}
