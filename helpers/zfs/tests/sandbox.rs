//! What the helper's confinement on Linux forbids: every other helper's job.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use cellblock_zfs::linux::restrict;
use helper_runtime::testing::{Job, Places, is_root, jobs};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use std::path::Path;
use std::process::{Command, Output};

const NAME: &str = "every_foreign_job_fails_under_the_confinement_and_only_there";

/// Where a child finds its directory; the parent has none.
const PLACE: &str = "CELLBLOCK_TEST_PLACE";
/// Set in the child that confines itself.
const CONFINED: &str = "CELLBLOCK_TEST_CONFINED";

#[test]
fn every_foreign_job_fails_under_the_confinement_and_only_there() {
    if !is_root(NAME) {
        return;
    }
    if let Some(place) = std::env::var_os(PLACE) {
        return attempt_all(Path::new(&place), std::env::var_os(CONFINED).is_some());
    }
    let place = std::env::temp_dir().join(format!("cb-zfs-sandbox-{}", std::process::id()));
    for folder in ["pool", "mnt"] {
        std::fs::create_dir_all(place.join(folder)).unwrap();
    }
    // There is no way back from a confinement, and some jobs change the process: each child is a process of its own.
    let free = child(&place, false);
    let confined = child(&place, true);
    std::fs::remove_dir_all(&place).unwrap();
    for ended in [free, confined] {
        let said = String::from_utf8_lossy(&ended.stdout);
        let log = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.contains("1 passed"), "{said}{log}");
    }
}

fn child(place: &Path, confined: bool) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env(PLACE, place);
    if confined {
        command.env(CONFINED, "yes");
    }
    command.output().unwrap()
}

fn attempt_all(place: &Path, confined: bool) {
    let (pool, mounts) = (place.join("pool"), place.join("mnt"));
    if confined {
        restrict(&pool).unwrap();
    }
    for (job, outcome) in jobs(&Places {
        pool: &pool,
        mounts: &mounts,
    }) {
        if job != Job::Dataset {
            assert_eq!(outcome.is_ok(), !confined, "{job:?}: {outcome:?}");
        }
    }
    if confined {
        check_paths(&pool, &mounts);
    }
}

/// With calls that the filter lets pass, so that it is the path rules which refuse, and allow what is this helper's own job.
fn check_paths(pool: &Path, mounts: &Path) {
    let mode = Mode::from_raw_mode(0o700);
    assert_eq!(mkdirat(CWD, pool.join("made"), mode), Ok(()));
    assert_eq!(mkdirat(CWD, mounts.join("made"), mode), Err(Errno::ACCESS));
    for path in ["/etc/shadow", "/etc/passwd", "/proc/1/environ", "/dev/null"] {
        let opened = openat(CWD, path, OFlags::RDONLY, Mode::empty());
        assert_eq!(opened.err(), Some(Errno::ACCESS), "{path}");
    }
    let link = pool.join("link");
    // Links cannot even be made: symlinkat(2) is not on the list.
    assert_eq!(rustix::fs::symlinkat("/etc", CWD, &link), Err(Errno::PERM));
}
