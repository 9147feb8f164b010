//! Dropped capabilities, a system call list (seccomp(2)) and path rules (landlock(7)).

use caps::CapSet;
pub use caps::Capability;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::{BTreeMap, HashSet};
use std::io::{Error, Result};
use std::path::Path;

/// System call numbers, for a helper's own list.
pub mod syscall {
    pub use libc::*;
}

/// What may be done beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read files and list directories.
    Read,
    /// Everything but executing.
    Write,
}

/// What is left to a process.
#[derive(Debug)]
pub struct Confinement<'a> {
    /// The only capabilities that it keeps, in every set.
    pub capabilities: &'a [Capability],
    /// The user and group it becomes; none keeps root's.
    pub user: Option<u32>,
    /// The system calls it may make beside [`BASE_CALLS`]; none means no filter, which only a process that starts
    /// containers may choose (a filter would be inherited).
    pub calls: Option<&'a [i64]>,
    /// The only paths it can still open; none means no rule, which only a process that mounts may choose (landlock
    /// forbids mounting altogether).
    pub paths: Option<&'a [(&'a Path, Access)]>,
}

/// What any single-threaded helper needs to run at all, talk on its sockets and end.
const BASE_CALLS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Confines this process. Everything that it needs must be open.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn confine(confinement: &Confinement<'_>) -> Result<()> {
    if let Some(paths) = confinement.paths {
        restrict_paths(paths)?;
    }
    drop_bounding_set(confinement.capabilities)?;
    if let Some(uid) = confinement.user {
        crate::sys::become_user(uid)?;
    }
    keep_capabilities(confinement.capabilities)?;
    match confinement.calls {
        Some(calls) => filter_calls(calls),
        None => Ok(()),
    }
}

fn restrict_paths(paths: &[(&Path, Access)]) -> Result<()> {
    let abi = ABI::V5;
    let write = AccessFs::from_all(abi) & !BitFlags::from(AccessFs::Execute);
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .map_err(other)?;
    for (path, access) in paths {
        let allowed = match access {
            Access::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Access::Write => write,
        };
        let beneath = PathBeneath::new(PathFd::new(path).map_err(other)?, allowed);
        ruleset = ruleset.add_rule(beneath).map_err(other)?;
    }
    let status = ruleset.restrict_self().map_err(other)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        // A development host without landlock: the other layers still hold, and the log says what is missing.
        crate::log::say("landlock is not available on this kernel: paths are not restricted");
    }
    Ok(())
}

fn drop_bounding_set(kept: &[Capability]) -> Result<()> {
    caps::all()
        .into_iter()
        .filter(|capability| !kept.contains(capability))
        .filter(|capability| caps::has_cap(None, CapSet::Bounding, *capability).unwrap_or(false))
        .try_for_each(|capability| caps::drop(None, CapSet::Bounding, capability))
        .map_err(other)
}

fn keep_capabilities(kept: &[Capability]) -> Result<()> {
    let kept: HashSet<Capability> = kept.iter().copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(other)?;
    caps::clear(None, CapSet::Inheritable).map_err(other)?;
    caps::set(None, CapSet::Effective, &kept).map_err(other)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(other)
}

fn filter_calls(calls: &[i64]) -> Result<()> {
    let rules: BTreeMap<i64, Vec<_>> = BASE_CALLS
        .iter()
        .chain(calls)
        .map(|call| (*call, Vec::new()))
        .collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = std::env::consts::ARCH.try_into().map_err(other)?;
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture).map_err(other)?;
    let program: BpfProgram = filter.try_into().map_err(other)?;
    apply_filter(&program).map_err(other)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other(error)
}
