//! What outlives what: jails and processes, the helper's end in between, and that nothing is left behind.

use crate::ground::{Ended, Ground, eventually, exited, first, further, jail, say, spec, status};
use protocol::ErrorCode;
use protocol::jail::{JailInfo, Request, Response, SignalTarget};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

fn lives(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists() && std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Processes that have a namespace, by its link: those of a jail.
fn processes_in(namespace: &Path) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("ns/pid")).ok())
        .filter(|link| link == namespace)
        .count()
}

#[test]
fn remove_kills_everything_and_leaves_no_process_mount_or_record() {
    let Some(mut ground) = Ground::new("remove") else {
        return;
    };
    let pid = ground.create("a");
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    let running = ground
        .launch(
            "a",
            first(&["sh", "-c", "trap '' TERM; sleep 100 & sleep 100 & cat"]),
        )
        .unwrap();
    let other = ground.launch("a", further(&["sleep", "100"])).unwrap();
    assert_eq!(running.pid, pid);
    let watcher: i32 = record(&ground, "a", "watcher");
    ground.remove("a").unwrap();
    assert_eq!(processes_in(&namespace), 0);
    assert!(!lives(pid) && !lives(watcher));
    assert_eq!(running.end().status, libc::SIGKILL);
    assert_eq!(other.end().status, libc::SIGKILL);
    assert_eq!(ground.records(), Vec::<String>::new());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(ground.dir.to_str().unwrap()));
    assert_eq!(
        ground.remove("a"),
        Ok(Response::Done),
        "there is no such jail any more, which is what was wanted"
    );
    eventually("no child but the front", || {
        helper_runtime::testing::children(ground.helper.pid())
            .unwrap()
            .len()
            == 1
    });
}

#[test]
fn a_jail_that_was_never_started_is_removed_too() {
    let Some(mut ground) = Ground::new("unstarted") else {
        return;
    };
    let pid = ground.create("a");
    assert!(lives(pid));
    let early = ground.launch_error("a", further(&["true"]));
    assert_eq!(early.0, ErrorCode::NotFound, "{}", early.1);
    ground.remove("a").unwrap();
    assert!(!lives(pid));
    assert_eq!(ground.records(), Vec::<String>::new());
}

#[test]
fn a_running_container_survives_the_helpers_crash() {
    let Some(mut ground) = Ground::new("crash") else {
        return;
    };
    let pid = ground.create("a");
    let mut running = ground.launch("a", first(&["cat"])).unwrap();
    let other = ground
        .launch("a", further(&["sh", "-c", "sleep 0.3; exit 5"]))
        .unwrap();
    ground.crash_and_restart();
    assert!(lives(pid));
    assert_eq!(other.end().status, exited(5), "a further process's end is told");
    assert_eq!(ground.processes("a").unwrap().len(), 1);
    assert_eq!(
        ground.exec("a", "echo $$ > /tmp/x; cat /proc/1/cmdline").stdout,
        "cat\0"
    );
    let jails = ground.ask(Request::List { after: None }).unwrap();
    let Response::Jails(jails) = jails else {
        panic!("{jails:?}")
    };
    assert_eq!(
        jails.as_slice(),
        [JailInfo {
            jail: jail("a"),
            jid: pid
        }]
    );
    say(&mut running.stdin, "hello");
    let expected = Ended {
        status: 0,
        stdout: "hello\n".into(),
        stderr: String::new(),
    };
    assert_eq!(running.end(), expected);
    ground.remove("a").unwrap();
    assert_eq!(ground.records(), Vec::<String>::new());
}

#[test]
fn after_a_crash_the_first_process_is_signalled_and_removed() {
    let Some(mut ground) = Ground::new("crash-signal") else {
        return;
    };
    ground.create("a");
    ground.create("b");
    let a = ground.launch("a", first(&["sleep", "100"])).unwrap();
    let b = ground.launch("b", first(&["sleep", "100"])).unwrap();
    ground.crash_and_restart();
    ground.signal("a", SignalTarget::First, libc::SIGKILL).unwrap();
    assert_eq!(a.end().status, libc::SIGKILL);
    ground.remove("b").unwrap();
    assert_eq!(b.end().status, libc::SIGKILL);
}

#[test]
fn a_jail_made_before_a_crash_is_started_after_it() {
    let Some(mut ground) = Ground::new("crash-before") else {
        return;
    };
    ground.create("a");
    ground.crash_and_restart();
    let seen = ground.launch("a", first(&["echo", "late"])).unwrap().end();
    assert_eq!(
        seen,
        Ended {
            status: 0,
            stdout: "late\n".into(),
            stderr: String::new()
        }
    );
}

#[test]
fn a_terminal_survives_the_helpers_crash() {
    let Some(mut ground) = Ground::new("crash-terminal") else {
        return;
    };
    ground.create("a");
    let (exit, mut master) = ground.launch_on_terminal("a", first(&["sh", "-c", "read x; exit 9"]));
    ground.crash_and_restart();
    say(&mut master, "go");
    assert_eq!(status(exit), exited(9));
}

#[test]
fn names_are_taken_until_the_jail_is_removed_and_a_start_happens_once() {
    let Some(mut ground) = Ground::new("names") else {
        return;
    };
    ground.create("a");
    assert_eq!(
        ground.create_with(spec("a")).unwrap_err().code,
        ErrorCode::AlreadyExists
    );
    let running = ground.launch("a", first(&["cat"])).unwrap();
    assert_eq!(
        ground.launch_error("a", first(&["cat"])).0,
        ErrorCode::AlreadyExists
    );
    assert_eq!(running.end().status, 0);
    assert_eq!(
        ground.create_with(spec("a")).unwrap_err().code,
        ErrorCode::AlreadyExists
    );
    assert_eq!(
        ground.launch_error("a", further(&["true"])).0,
        ErrorCode::NotFound
    );
    ground.remove("a").unwrap();
    ground.create_with(spec("a")).unwrap();
    for request in [
        Request::Processes { jail: jail("zz") },
        Request::OpenNetwork { jail: jail("zz") },
        Request::Signal {
            jail: jail("zz"),
            target: SignalTarget::First,
            signal: 9,
        },
    ] {
        assert_eq!(ground.ask(request).unwrap_err().code, ErrorCode::NotFound);
    }
    assert_eq!(ground.launch_error("zz", first(&["true"])).0, ErrorCode::NotFound);
}

#[test]
fn every_request_is_in_the_audit_log_with_its_verdict() {
    let Some(mut ground) = Ground::new("audit") else {
        return;
    };
    ground.create("a");
    assert_eq!(ground.launch("a", first(&["true"])).unwrap().end().status, 0);
    let _ = ground.remove("a");
    let log = ground.helper.audit().unwrap();
    assert_eq!(helper_runtime::audit::verify(&log), Ok(3));
    let operations: Vec<_> = log
        .lines()
        .map(|line| line.split(' ').find(|word| word.starts_with("op=")))
        .collect();
    assert_eq!(
        operations,
        [Some("op=create"), Some("op=launch"), Some("op=remove")]
    );
}

#[test]
fn a_socket_that_a_crash_left_does_not_hide_a_running_jail() {
    let Some(mut ground) = Ground::new("stale-socket") else {
        return;
    };
    ground.create("a");
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    drop(std::os::unix::net::UnixListener::bind(ground.dir.join("jails/a.sock")).unwrap());
    ground.crash_and_restart();
    assert_eq!(ground.exec("a", "exit 4").status, exited(4));
    assert_eq!(
        ground.launch_error("a", first(&["cat"])).0,
        ErrorCode::AlreadyExists
    );
}

#[test]
fn a_jail_is_named_like_a_container_however_long_the_records_path_is() {
    let test = format!("long-{}", "x".repeat(100));
    let Some(mut ground) = Ground::new(&test) else {
        return;
    };
    let name = "0123456789abcdef".repeat(4);
    ground.create(&name);
    let running = ground.launch(&name, first(&["sh", "-c", "exit 6"])).unwrap();
    assert_eq!(running.end().status, exited(6));
}

#[test]
fn a_helper_killed_at_any_moment_of_a_create_or_launch_leaves_nothing_that_remove_does_not_find() {
    let Some(mut ground) = Ground::new("killed") else {
        return;
    };
    ground.tree("a");
    for delay_us in (0..6000).step_by(250) {
        ground.send(Request::Create(Box::new(spec("a"))), &[]);
        std::thread::sleep(Duration::from_micros(delay_us));
        ground.crash_and_restart();
        eventually("a killed create is removed", || {
            remove_all(&mut ground) && inside(&ground) == 0
        });

        ground.create_with(spec("a")).unwrap();
        let stream = || {
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap()
        };
        let streams = [stream(), stream(), stream()];
        let process = Box::new(first(&["sleep", "100"]));
        ground.send(
            Request::Launch {
                jail: jail("a"),
                process,
            },
            &streams.each_ref().map(AsFd::as_fd),
        );
        std::thread::sleep(Duration::from_micros(delay_us));
        ground.crash_and_restart();
        eventually("a killed launch is removed", || {
            remove_all(&mut ground) && inside(&ground) == 0
        });
    }
    assert_eq!(ground.records(), Vec::<String>::new());
}

/// Removes what is listed, as the daemon does when it starts; tells whether nothing was.
fn remove_all(ground: &mut Ground) -> bool {
    let Ok(Response::Jails(jails)) = ground.ask(Request::List { after: None }) else {
        panic!("no list of jails");
    };
    for info in jails.as_slice() {
        ground
            .ask(Request::Remove {
                jail: info.jail.clone(),
            })
            .unwrap();
    }
    // A create that was killed before it wrote a record may have left its socket.
    ground.remove("a").unwrap();
    jails.as_slice().is_empty()
}

/// Processes that see a root of this test's, by their mount tables.
fn inside(ground: &Ground) -> usize {
    let root = format!("{}/mnt/c-", ground.dir.display());
    let tables = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("mountinfo")).ok());
    tables.filter(|table| table.contains(&root)).count()
}

/// A process id of a jail's record.
fn record(ground: &Ground, name: &str, line: &str) -> i32 {
    let text = std::fs::read_to_string(ground.dir.join("jails").join(name)).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
