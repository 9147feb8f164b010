//! The helpers' jobs, attempted directly: what a confined process must fail at unless the job is its own.

use super::sys;
use std::io::Result;
use std::path::Path;

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
    let made =
        |path: std::path::PathBuf| std::fs::create_dir(&path).and_then(|()| std::fs::remove_dir(&path));
    vec![
        (Job::Dataset, made(places.pool.join("job"))),
        (Job::Mount, sys::mount_and_unmount(places.mounts)),
        (Job::Bridge, sys::make_and_remove_bridge("cbjob")),
        (Job::Namespaces, sys::unshare_host_name()),
        (
            Job::Signal,
            sys::probe_signal(rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get())),
        ),
        (Job::Tree, made(places.mounts.join("job"))),
        (Job::Shadow, std::fs::File::open("/etc/shadow").map(drop)),
        (
            Job::Program,
            std::process::Command::new("/bin/true").status().map(drop),
        ),
    ]
}
