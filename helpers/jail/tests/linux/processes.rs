//! What a process in a jail is given, and how its end is told.

use crate::ground::{
    DEFAULT_CAPABILITIES, Ended, Ground, exited, first, further, jail, read_until, say, status, texts,
};
use protocol::ErrorCode;
use protocol::jail::{ProcessSpec, Request, Response, Rlimit, SignalTarget};
use protocol::names::{Bounded, Label, Text};

fn ended(code: i32, stdout: &str) -> Ended {
    Ended {
        status: exited(code),
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

#[test]
fn a_first_process_writes_to_its_pipes_and_exits_with_0() {
    let Some(mut ground) = Ground::new("pipes") else {
        return;
    };
    ground.create("a");
    let running = ground
        .launch("a", first(&["sh", "-c", "echo out; echo err >&2"]))
        .unwrap();
    let expected = Ended {
        status: 0,
        stdout: "out\n".into(),
        stderr: "err\n".into(),
    };
    assert_eq!(running.end(), expected);
}

#[test]
fn an_exit_code_and_a_signal_are_told_apart() {
    let Some(mut ground) = Ground::new("codes") else {
        return;
    };
    ground.create("a");
    let running = ground.launch("a", first(&["sh", "-c", "exit 3"])).unwrap();
    assert_eq!(running.end().status, exited(3));
    ground.create("b");
    let running = ground.launch("b", first(&["sleep", "100"])).unwrap();
    ground.signal("b", SignalTarget::First, libc::SIGKILL).unwrap();
    assert_eq!(running.end().status, libc::SIGKILL);
}

#[test]
fn standard_input_reaches_the_process_and_its_end_too() {
    let Some(mut ground) = Ground::new("stdin") else {
        return;
    };
    ground.create("a");
    let mut running = ground.launch("a", first(&["cat"])).unwrap();
    say(&mut running.stdin, "hello");
    assert_eq!(running.end(), ended(0, "hello\n"));
}

#[test]
fn the_first_process_is_process_1_and_a_further_one_lives_beside_it() {
    let Some(mut ground) = Ground::new("pid1") else {
        return;
    };
    ground.create("a");
    let running = ground
        .launch("a", first(&["sh", "-c", "echo $$; cat; true"]))
        .unwrap();
    let seen = ground.exec(
        "a",
        "readlink /proc/1/ns/pid; readlink /proc/self/ns/pid; cat /proc/1/cmdline | tr '\\0' ' '",
    );
    let lines: Vec<_> = seen.stdout.lines().collect();
    assert_eq!(lines[0], lines[1], "both in one process namespace");
    assert_eq!(lines[2], "sh -c echo $$; cat; true ");
    let outside = std::fs::read_link(format!("/proc/{}/ns/pid", running.pid)).unwrap();
    assert_eq!(outside.to_str(), Some(lines[0]));
    assert_eq!(running.end(), ended(0, "1\n"));
}

#[test]
fn a_further_process_has_its_own_exit_status_and_leaves_the_first_alone() {
    let Some(mut ground) = Ground::new("exec") else {
        return;
    };
    ground.create("a");
    let mut running = ground.launch("a", first(&["cat"])).unwrap();
    assert_eq!(ground.exec("a", "exit 7").status, exited(7));
    assert_eq!(ground.exec("a", "kill -9 $$").status, libc::SIGKILL);
    say(&mut running.stdin, "still here");
    assert_eq!(running.end(), ended(0, "still here\n"));
}

#[test]
fn environment_directory_user_and_groups_are_those_asked_for() {
    let Some(mut ground) = Ground::new("identity") else {
        return;
    };
    ground.create("a");
    let script = "echo $A:$PATH; pwd; id -u; id -g; id -G; umask; echo x > /dev/stdout; ls -ld /new/deep";
    let process = ProcessSpec {
        env: texts(&["PATH=/bin", "A=1 2"]),
        cwd: Text::new("/new/deep").unwrap(),
        uid: 1000,
        gid: 100,
        groups: Bounded::new(vec![100, 2000]).unwrap(),
        ..first(&["sh", "-c", script])
    };
    let seen = ground.launch("a", process).unwrap().end();
    assert_eq!(seen.stderr, "");
    let lines: Vec<_> = seen.stdout.lines().collect();
    assert_eq!(
        lines[..7],
        ["1 2:/bin", "/new/deep", "1000", "100", "100 2000", "0022", "x"]
    );
    let columns: Vec<_> = lines[7].split_whitespace().collect();
    assert_eq!(
        (columns[0], columns[2], columns[3]),
        ("drwxr-xr-x", "0", "0"),
        "made by root"
    );
}

#[test]
fn root_holds_dockers_default_capabilities_and_a_user_holds_none() {
    let Some(mut ground) = Ground::new("capabilities") else {
        return;
    };
    ground.create("a");
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    let sets = "grep -E 'Cap|NoNew|SigBlk|SigIgn' /proc/self/status | busybox cut -f 2";
    let nothing = "0000000000000000";
    let root = ground.exec("a", sets).stdout;
    let expected = [
        nothing,
        nothing,
        nothing,
        DEFAULT_CAPABILITIES,
        DEFAULT_CAPABILITIES,
        DEFAULT_CAPABILITIES,
        nothing,
        "0",
    ];
    assert_eq!(
        root.lines().collect::<Vec<_>>(),
        expected,
        "blocked, ignored signals; inheritable, permitted, effective, bounding, ambient"
    );
    let user = ProcessSpec {
        uid: 1000,
        gid: 1000,
        no_new_privileges: true,
        ..further(&["sh", "-c", sets])
    };
    let user = ground.launch("a", user).unwrap().end().stdout;
    let expected = [
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        DEFAULT_CAPABILITIES,
        nothing,
        "1",
    ];
    assert_eq!(user.lines().collect::<Vec<_>>(), expected);
    let fewer = ProcessSpec {
        capabilities: Bounded::new(vec![0]).unwrap(),
        ..further(&["sh", "-c", sets])
    };
    let fewer = ground.launch("a", fewer).unwrap().end().stdout;
    assert_eq!(fewer.lines().nth(4), Some("0000000000000001"));
    let more = ProcessSpec {
        capabilities: Bounded::new(vec![21]).unwrap(),
        ..further(&["true"])
    };
    assert_eq!(ground.launch_error("a", more).0, ErrorCode::Refused);
}

#[test]
fn a_first_process_holds_the_same_capabilities() {
    let Some(mut ground) = Ground::new("first-capabilities") else {
        return;
    };
    ground.create("a");
    let seen = ground
        .launch("a", first(&["sh", "-c", "grep CapEff /proc/1/status"]))
        .unwrap()
        .end();
    assert_eq!(seen.stdout, format!("CapEff:\t{DEFAULT_CAPABILITIES}\n"));
}

#[test]
fn nothing_of_the_helpers_is_open_in_the_container() {
    let Some(mut ground) = Ground::new("descriptors") else {
        return;
    };
    ground.create("a");
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    assert_eq!(ground.exec("a", "ls /proc/1/fd").stdout, "0\n1\n2\n");
    // The fourth is the listing's own.
    assert_eq!(ground.exec("a", "exec ls /proc/self/fd").stdout, "0\n1\n2\n3\n");
}

#[test]
fn long_arguments_and_environments_arrive_whole() {
    let Some(mut ground) = Ground::new("arguments") else {
        return;
    };
    ground.create("a");
    let long = "x".repeat(60_000);
    let process = ProcessSpec {
        env: texts(&["PATH=/bin", &format!("A={long}")]),
        ..first(&["sh", "-c", "echo ${#1} ${#A} ${#2} $#", "sh", &long, ""])
    };
    let seen = ground.launch("a", process).unwrap().end();
    assert_eq!(seen, ended(0, "60000 60000 0 2\n"));
}

#[test]
fn resource_limits_are_those_asked_for() {
    let Some(mut ground) = Ground::new("limits") else {
        return;
    };
    ground.create("a");
    let limit = |name, soft, hard| Rlimit {
        name: Label::new(name).unwrap(),
        soft,
        hard,
    };
    let process = ProcessSpec {
        rlimits: Bounded::new(vec![limit("nofile", 100, 200), limit("stack", 1 << 20, u64::MAX)]).unwrap(),
        ..first(&["sh", "-c", "ulimit -n; ulimit -Hn; ulimit -s"])
    };
    assert_eq!(
        ground.launch("a", process).unwrap().end(),
        ended(0, "100\n200\n1024\n")
    );
}

#[test]
fn a_terminal_is_a_terminal_of_the_asked_size_inside_the_container() {
    let Some(mut ground) = Ground::new("terminal") else {
        return;
    };
    ground.create("a");
    let process = ProcessSpec {
        uid: 1000,
        gid: 1000,
        ..first(&[
            "sh",
            "-c",
            "tty; stty size; tty < /dev/tty; ls -ln /dev/pts/0; echo end; read x; echo got $x",
        ])
    };
    let (exit, mut master) = ground.launch_on_terminal("a", process);
    let seen = read_until(&mut master, "end\r\n");
    assert!(seen.starts_with("/dev/pts/0\r\n33 101\r\n/dev/tty\r\n"), "{seen}");
    assert!(seen.contains("crw--w----    1 1000     5 "), "{seen}");
    say(&mut master, "typed");
    read_until(&mut master, "got typed");
    assert_eq!(status(exit), exited(0));
}

#[test]
fn a_further_process_gets_a_terminal_of_its_own_and_hears_its_interrupt_key() {
    let Some(mut ground) = Ground::new("exec-terminal") else {
        return;
    };
    ground.create("a");
    let _first = ground.launch_on_terminal("a", first(&["sh", "-c", "cat > /dev/null"]));
    let (exit, mut master) = ground.launch_on_terminal("a", further(&["sh", "-c", "tty; exec sleep 100"]));
    read_until(&mut master, "/dev/pts/1\r\n");
    say(&mut master, "\u{3}");
    assert_eq!(status(exit), libc::SIGINT);
    let console = ground.exec("a", "ls -l /dev/console").stdout;
    assert!(
        console.contains("136,   0"),
        "the console is the first terminal: {console}"
    );
}

#[test]
fn a_program_that_is_not_there_or_no_program_is_told_in_dockers_words() {
    let Some(mut ground) = Ground::new("commands") else {
        return;
    };
    ground.create("a");
    let root = ground.dir.join("mnt/c-a");
    std::fs::write(root.join("etc/plain"), "").unwrap();
    std::fs::write(root.join("bin/junk"), "junk").unwrap();
    std::fs::write(root.join("bin/orphan"), "#!/nowhere\n").unwrap();
    for program in ["bin/junk", "bin/orphan"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.join(program), mode).unwrap();
    }
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    for (program, code, detail) in [
        (
            "nope",
            ErrorCode::CommandNotFound,
            "exec: \"nope\": executable file not found in $PATH",
        ),
        (
            "/nope",
            ErrorCode::CommandNotFound,
            "exec: \"/nope\": stat /nope: no such file or directory",
        ),
        (
            "/etc",
            ErrorCode::CommandNotExecutable,
            "exec: \"/etc\": is a directory: permission denied",
        ),
        (
            "/etc/plain",
            ErrorCode::CommandNotExecutable,
            "exec: \"/etc/plain\": permission denied",
        ),
        (
            "junk",
            ErrorCode::CommandNotExecutable,
            "exec /bin/junk: exec format error",
        ),
        (
            "/bin/orphan",
            ErrorCode::CommandNotFound,
            "exec /bin/orphan: no such file or directory",
        ),
    ] {
        assert_eq!(
            ground.launch_error("a", further(&[program])),
            (code, detail.to_owned())
        );
    }
    let lost = ProcessSpec {
        cwd: Text::new("/x").unwrap(),
        ..further(&["true"])
    };
    let detail = "chdir to cwd (\"/x\") set in config.json failed: no such file or directory";
    assert_eq!(
        ground.launch_error("a", lost),
        (ErrorCode::CommandNotFound, detail.to_owned())
    );
}

#[test]
fn a_first_process_that_cannot_start_is_reported_and_leaves_a_jail_to_remove() {
    let Some(mut ground) = Ground::new("first-commands") else {
        return;
    };
    ground.create("a");
    assert_eq!(
        ground.launch_error("a", first(&["nope"])).0,
        ErrorCode::CommandNotFound
    );
    let again = ground.launch_error("a", first(&["true"]));
    assert_eq!(again.0, ErrorCode::NotFound, "{}", again.1);
    ground.remove("a").unwrap();
    assert_eq!(ground.records(), Vec::<String>::new());
}

#[test]
fn processes_are_listed_with_what_top_shows() {
    let Some(mut ground) = Ground::new("top") else {
        return;
    };
    ground.create("a");
    let (_exit, mut master) =
        ground.launch_on_terminal("a", first(&["sh", "-c", "echo up; sleep 100; true"]));
    read_until(&mut master, "up");
    let user = ProcessSpec {
        uid: 1000,
        ..further(&["sleep", "50"])
    };
    let other = ground.launch("a", user).unwrap();
    crate::ground::eventually("three processes", || ground.processes("a").unwrap().len() == 3);
    let list = ground.processes("a").unwrap();
    let shown: Vec<_> = list
        .iter()
        .map(|p| (p.command.as_str(), p.uid, p.terminal.as_str()))
        .collect();
    assert!(
        shown.contains(&("sh -c echo up; sleep 100; true", 0, "pts/0")),
        "{shown:?}"
    );
    assert!(shown.contains(&("sleep 100", 0, "pts/0")), "{shown:?}");
    assert!(shown.contains(&("sleep 50", 1000, "?")), "{shown:?}");
    let child = list.iter().find(|p| p.command.as_str() == "sleep 100").unwrap();
    assert!(list.iter().any(|p| p.pid == child.ppid));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(
        list.iter()
            .all(|p| p.started_s.abs_diff(now) < 30 && p.cpu_s == 0)
    );
    assert!(list.iter().any(|p| p.pid == other.pid));
}

#[test]
fn everyone_is_signalled_and_a_process_that_has_ended_is_no_error() {
    let Some(mut ground) = Ground::new("signals") else {
        return;
    };
    ground.create("a");
    let script = "trap 'echo caught' USR1; echo ready; while true; do sleep 0.02; done";
    let mut running = ground.launch("a", first(&["sh", "-c", script])).unwrap();
    let other = ground.launch("a", further(&["cat"])).unwrap();
    read_until(&mut running.stdout, "ready");
    ground.signal("a", SignalTarget::Everyone, libc::SIGUSR1).unwrap();
    assert_eq!(other.end().status, libc::SIGUSR1);
    read_until(&mut running.stdout, "caught");
    ground.signal("a", SignalTarget::First, libc::SIGKILL).unwrap();
    assert_eq!(running.end().status, libc::SIGKILL);
    assert_eq!(
        ground.signal("a", SignalTarget::First, libc::SIGTERM),
        Ok(Response::Done)
    );
    assert_eq!(
        ground.signal("a", SignalTarget::Everyone, libc::SIGTERM),
        Ok(Response::Done)
    );
    let nobody = ground.ask(Request::Processes { jail: jail("a") }).unwrap_err();
    assert_eq!(nobody.code, ErrorCode::NotFound);
}

#[test]
fn a_first_process_ignores_signals_that_it_does_not_handle_as_process_1_does() {
    let Some(mut ground) = Ground::new("ignored") else {
        return;
    };
    ground.create("a");
    let mut running = ground.launch("a", first(&["cat"])).unwrap();
    ground.signal("a", SignalTarget::First, libc::SIGTERM).unwrap();
    say(&mut running.stdin, "alive");
    assert_eq!(running.end(), ended(0, "alive\n"));
}
