//! What is left to the helper and to its workers: its own job and nothing of the others'.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::{Bench, layer};
use cellblock_archive::linux;
use helper_runtime::sandbox::{Access, Confinement, confine, syscall};
use helper_runtime::testing::{Job, Places, children, is_root, jobs, status_line};
use protocol::archive::{Outcome, Request};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, MKNOD 27, SETFCAP 31 (capabilities(7)).
const KEPT: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31;

fn check_process(pid: u32) {
    let line = |name: &str| status_line(pid, name).unwrap();
    let mask = |name: &str| u64::from_str_radix(&line(name), 16).unwrap();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(mask(set), KEPT, "{set} is {:x}", mask(set));
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(mask(set), 0, "{set}");
    }
    assert_eq!(line("NoNewPrivs"), "1");
    assert_eq!(line("Seccomp"), "2");
}

fn descriptors(pid: u32) -> Vec<String> {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        .collect()
}

#[test]
fn the_helper_and_its_workers_keep_six_capabilities_and_a_filter() {
    let name = "the_helper_and_its_workers_keep_six_capabilities_and_a_filter";
    let Some(mut bench) = Bench::start(name) else {
        return;
    };
    bench.tree("i-1");
    check_process(bench.helper.pid());
    let (stream, feed) = std::io::pipe().unwrap();
    let running = bench
        .begin(Request::Extract(layer("i-1")), stream.into())
        .unwrap();
    let workers = children(bench.helper.pid()).unwrap();
    assert_eq!(workers.len(), 1);
    check_process(workers[0]);
    // The channel and the audit log stay with the helper; letting go of them is the first thing that a worker does.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let held = descriptors(workers[0]);
        if !held
            .iter()
            .any(|target| target.starts_with("socket:") || target.contains("cb-audit"))
        {
            break;
        }
        assert!(Instant::now() < deadline, "{held:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(feed);
    assert!(matches!(running.wait(), Outcome::Done { .. }));
}

#[test]
fn the_workers_of_a_daemon_that_died_end() {
    let Some(mut bench) = Bench::start("the_workers_of_a_daemon_that_died_end") else {
        return;
    };
    bench.tree("i-1");
    let (stream, feed) = std::io::pipe().unwrap();
    let running = bench
        .begin(Request::Extract(layer("i-1")), stream.into())
        .unwrap();
    bench.helper.crash().unwrap();
    drop(feed);
    assert!(
        matches!(running.wait(), Outcome::Done { entries: 0, .. }),
        "the stream's end is the worker's"
    );
}

#[test]
fn every_foreign_job_fails_under_the_confinement() {
    let name = "every_foreign_job_fails_under_the_confinement";
    if !is_root(name) {
        return;
    }
    let place = std::env::temp_dir().join(format!("cb-archive-jobs-{}", std::process::id()));
    let (pool, mounts) = (place.join("pool"), place.join("mnt"));
    for folder in [&pool, &mounts] {
        std::fs::create_dir_all(folder).unwrap();
    }
    // Rights, filter and rules are a thread's: this one is confined and the rest of the test is not.
    let (results, opened) = std::thread::scope(|scope| {
        let confined = scope.spawn(|| {
            // The list of jobs asks getppid(2) for a process to signal, and takes no refusal.
            let calls = [&linux::CALLS[..], &[syscall::SYS_getppid]].concat();
            let confinement = Confinement {
                capabilities: &linux::CAPABILITIES,
                user: None,
                calls: Some(&calls),
                paths: Some(&[(&mounts, Access::Write)]),
            };
            confine(&confinement).unwrap();
            let open = |path: &str| openat(CWD, path, OFlags::RDONLY, Mode::empty()).err();
            let opened = ["/etc/shadow", "/etc/passwd", "/proc/1/environ", "/dev/null", "/"].map(open);
            (
                jobs(&Places {
                    pool: &pool,
                    mounts: &mounts,
                }),
                opened,
            )
        });
        confined.join().unwrap()
    });
    std::fs::remove_dir_all(&place).unwrap();
    for (job, result) in results {
        // std's directory calls are not on the list; the helper's own job is in the other tests.
        if job != Job::Tree {
            assert!(result.is_err(), "{job:?}");
        }
    }
    assert_eq!(
        opened,
        [Some(Errno::ACCESS); 5],
        "calls that the filter lets pass, refused by the path rules"
    );
}
