//! Control groups: limits bite, everything can be held, use is counted, and nothing stays.

use crate::ground::{Ended, Ground, eventually, exited, first, further, jail, say, spec};
use protocol::ErrorCode;
use protocol::jail::{Limits, Request, Response, Sysctl, Usage};
use protocol::names::{Bounded, Label, Text};
use std::io::Read;

impl Ground {
    fn usage(&mut self, name: &str) -> Usage {
        match self.ask(Request::Usage { jail: jail(name) }).unwrap() {
            Response::Usage(usage) => *usage,
            other => panic!("{other:?}"),
        }
    }

    fn limit(&mut self, name: &str, limits: Limits) {
        let limits = Box::new(limits);
        let response = self.ask(Request::Limit {
            jail: jail(name),
            limits,
        });
        assert_eq!(response, Ok(Response::Done));
    }
}

/// Directories of control groups that hold a jail of this name and of this test.
fn groups(process: i32) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let ours = table.lines().filter_map(|line| line.rsplit_once("/cellblock/"));
    ours.map(|(_, name)| name.to_owned()).collect()
}

#[test]
fn a_limit_on_memory_kills_and_is_counted() {
    let Some(mut ground) = Ground::new("memory-limit") else {
        return;
    };
    ground.create("mem");
    ground.limit(
        "mem",
        Limits {
            memory_bytes: 16 << 20,
            memory_swap_bytes: 16 << 20,
            ..Limits::default()
        },
    );
    // The shell holds all of it in one variable.
    let hog = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";
    let running = ground
        .launch("mem", first(&["sh", "-c", &format!("sh -c '{hog}'; echo $?")]))
        .unwrap();
    let mut out = running.stdout;
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), "137");
    let usage = ground.usage("mem");
    assert!(usage.oom_kills >= 1, "{usage:?}");
    assert_eq!(usage.memory_limit_bytes, 16 << 20);
    assert!(usage.memory_peak_bytes > 8 << 20, "{usage:?}");
}

#[test]
fn a_limit_on_processes_holds_and_can_be_raised() {
    let Some(mut ground) = Ground::new("pids-limit") else {
        return;
    };
    let limits = |processes| Limits {
        processes,
        ..Limits::default()
    };
    let pid = ground.create("pids");
    ground.limit("pids", limits(2));
    let mut running = ground.launch("pids", first(&["sh"])).unwrap();
    say(&mut running.stdin, "sleep 60 & read x");
    eventually("two processes", || ground.usage("pids").processes == 2);
    assert_eq!(ground.usage("pids").processes_limit, 2);
    let (_, detail) = ground.launch_error("pids", further(&["true"]));
    assert!(detail.contains("Resource temporarily unavailable"), "{detail}");
    ground.limit("pids", limits(u64::MAX));
    assert_eq!(ground.usage("pids").processes_limit, u64::MAX);
    assert_eq!(ground.exec("pids", "true").status, exited(0));
    let names = groups(pid);
    assert!(!names.is_empty());
    ground.remove("pids").unwrap();
    for directory in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        for name in &names {
            let group = directory.path().join("cellblock").join(name);
            assert!(!group.exists(), "{group:?} stayed");
        }
    }
}

#[test]
fn a_held_jail_does_nothing_and_can_be_removed() {
    let Some(mut ground) = Ground::new("freezer") else {
        return;
    };
    ground.create("hold");
    let mut running = ground
        .launch("hold", first(&["sh", "-c", "while read x; do echo $x; done"]))
        .unwrap();
    let mut answer = |ground: &mut Ground, word: &str| {
        say(&mut running.stdin, word);
        ground.ask(Request::Resume { jail: jail("hold") }).unwrap();
        let mut bytes = vec![0; word.len() + 1];
        running.stdout.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, format!("{word}\n").as_bytes());
    };
    assert_eq!(
        ground.ask(Request::Pause { jail: jail("hold") }),
        Ok(Response::Done)
    );
    assert_eq!(
        ground.ask(Request::Pause { jail: jail("hold") }),
        Ok(Response::Done)
    );
    let (code, detail) = ground.launch_error("hold", further(&["true"]));
    assert_eq!((code, detail.as_str()), (ErrorCode::Busy, "the jail is paused"));
    answer(&mut ground, "again");
    assert_eq!(
        ground.ask(Request::Pause { jail: jail("hold") }),
        Ok(Response::Done)
    );
    ground.remove("hold").unwrap();
}

#[test]
fn further_processes_are_counted_and_see_only_their_own_group() {
    let Some(mut ground) = Ground::new("counted") else {
        return;
    };
    ground.create("use");
    let _running = ground.launch("use", first(&["sleep", "60"])).unwrap();
    let Ended { status, stdout, .. } = ground.exec(
        "use",
        "cat /proc/self/cgroup; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done",
    );
    assert_eq!(status, exited(0));
    assert!(!stdout.contains("cellblock"), "{stdout}");
    let usage = ground.usage("use");
    assert!(
        usage.cpu_ns > 1_000_000 && usage.host_cpu_ns > usage.cpu_ns && usage.host_cpus > 0,
        "{usage:?}"
    );
    assert!(
        usage.memory_bytes > 0 && usage.memory_bytes < usage.memory_limit_bytes,
        "{usage:?}"
    );
    assert_eq!(usage.processes, 1);
}

#[test]
fn an_init_reaps_passes_signals_on_and_ends_as_its_program_does() {
    let Some(mut ground) = Ground::new("init") else {
        return;
    };
    ground.create("init");
    let mut process = first(&[
        "sh",
        "-c",
        "trap 'exit 7' TERM; (sleep 0.1 &); echo $$; while :; do sleep 0.05; done",
    ]);
    process.init = true;
    let mut running = ground.launch("init", process).unwrap();
    let mut line = [0; 2];
    running.stdout.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"2\n", "the program is not the first process");
    let zombies = |ground: &mut Ground| {
        ground
            .exec("init", "cat /proc/[0-9]*/stat | grep ' Z ' || true")
            .stdout
    };
    let exec = ground.exec("init", "cat /proc/1/comm");
    assert_eq!(exec.stdout, "init\n");
    eventually("orphans are reaped", || zombies(&mut ground).is_empty());
    ground
        .signal("init", protocol::jail::SignalTarget::First, 15)
        .unwrap();
    assert_eq!(running.end().status, exited(7));
}

#[test]
fn kernel_settings_and_the_oom_score_are_the_jails_own() {
    let Some(mut ground) = Ground::new("sysctl") else {
        return;
    };
    ground.tree("sys");
    let mut wanted = spec("sys");
    wanted.sysctls = Bounded::new(vec![Sysctl {
        name: Label::new("kernel.msgmax").unwrap(),
        value: Text::new("4242").unwrap(),
    }])
    .unwrap();
    ground.create_with(wanted).unwrap();
    let mut process = first(&["sh", "-c", "cat /proc/sys/kernel/msgmax /proc/self/oom_score_adj"]);
    process.oom_score = 321;
    assert_eq!(ground.launch("sys", process).unwrap().end().stdout, "4242\n321\n");
    let mut spared = first(&["true"]);
    spared.oom_score = -1;
    assert_eq!(ground.launch_error("sys", spared).0, ErrorCode::Refused);
}
