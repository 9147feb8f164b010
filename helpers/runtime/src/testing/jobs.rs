//! The helpers' jobs, attempted directly: what a confined process must fail at unless the job is its own.

use super::sys;
use rustix::fs::{AtFlags, CWD, Mode, mkdirat, unlinkat};
use std::io::Result;
use std::path::Path;

/// Another process that root may signal and a confined helper may not.
const INIT: i32 = 1;

/// A job of one helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// zfs: a directory in the pool.
    Dataset,
    /// mount: a memory file system.
    Mount,
    /// net: a bridge.
    Bridge,
    /// jail: namespaces of its own.
    Namespaces,
    /// jail: a signal to another process.
    Signal,
    /// archive: a file in a container's tree.
    Tree,
    /// Nobody's: reading the host's secrets.
    Shadow,
    /// Nobody's in a sandbox: running a program.
    Program,
}

/// Where the jobs are attempted.
#[derive(Debug)]
pub struct Places<'a> {
    /// The pool's directory.
    pub pool: &'a Path,
    /// The mount root.
    pub mounts: &'a Path,
}

/// Attempts every job; gives what came of each. What succeeds is undone.
#[must_use]
pub fn jobs(places: &Places<'_>) -> Vec<(Job, Result<()>)> {
    vec![
        (Job::Dataset, make_and_remove(&places.pool.join("job"))),
        (Job::Mount, sys::mount_and_unmount(places.mounts)),
        (Job::Bridge, sys::make_and_remove_bridge("cbjob")),
        (Job::Namespaces, sys::unshare_host_name()),
        (Job::Signal, sys::probe_signal(INIT)),
        (Job::Tree, make_and_remove(&places.mounts.join("job"))),
        (Job::Shadow, std::fs::File::open("/etc/shadow").map(drop)),
        (
            Job::Program,
            std::process::Command::new("/bin/true").status().map(drop),
        ),
    ]
}

/// mkdirat(2), which a helper's own list may hold, and not mkdir(2), which no list does.
fn make_and_remove(path: &Path) -> Result<()> {
    mkdirat(CWD, path, Mode::RWXU)?;
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}
