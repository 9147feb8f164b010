//! What is left to the helper on Linux: the pool directory, two capabilities, and the calls that make and remove files.

use super::Pool;
use helper_runtime::sandbox::{Access, Capability, Confinement, confine as apply, syscall};
use helper_runtime::startup::Inherited;
use protocol::policy::ZfsPolicy;
use std::io::Result;
use std::path::Path;

/// Files of containers belong to any user and have any mode: removing them needs to pass their permissions, and to remove
/// another user's files from a directory with the sticky bit.
pub const CAPABILITIES: [Capability; 2] = [Capability::CAP_DAC_OVERRIDE, Capability::CAP_FOWNER];

/// Beside what every helper needs.
const CALLS: [i64; 10] = [
    syscall::SYS_fchmodat,
    syscall::SYS_fstatfs,
    syscall::SYS_getdents64,
    syscall::SYS_mkdirat,
    syscall::SYS_newfstatat,
    syscall::SYS_openat,
    syscall::SYS_openat2,
    syscall::SYS_renameat2,
    syscall::SYS_statx,
    syscall::SYS_unlinkat,
];

/// Confines the process to its pool. What the pool and the connection hold is open already.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn confine(policy: &ZfsPolicy, _pool: &Pool, _inherited: &Inherited) -> Result<()> {
    restrict(Path::new(policy.pool_dir.as_str()))
}

/// The confinement itself, for the test that shows what it forbids.
///
/// # Errors
/// Where any part could not be applied.
pub fn restrict(pool_dir: &Path) -> Result<()> {
    apply(&Confinement {
        capabilities: &CAPABILITIES,
        user: None,
        calls: Some(&CALLS),
        paths: Some(&[(pool_dir, Access::Write)]),
    })
}
