//! logs and attach.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use system_tests::docker::eventually;
use system_tests::terminal::Terminal;
use system_tests::{docker, http};

#[test]
fn logs_keep_the_two_streams_apart() {
    let docker = docker!();
    docker.ok("run -d --name st-1 base sh -c 'echo out; echo err >&2; printf partial'");
    docker.ok("wait st-1");
    let ran = docker.run("logs st-1");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "out\npartial", "err\n")
    );
    docker.ok("rm st-1");
    assert!(docker.fails(1, "logs st-1").contains("No such container: st-1"));
}

#[test]
fn logs_can_be_cut_at_the_end_and_by_time() {
    let docker = docker!();
    docker.ok("run -d --name st-2 base sh -c 'for i in 1 2 3; do echo a$i; done; sleep 2; for i in 1 2; do echo b$i; done'");
    docker.ok("wait st-2");
    assert_eq!(docker.ok("logs --tail 2 st-2"), "b1\nb2");
    assert_eq!(docker.ok("logs --tail 0 st-2"), "");
    assert_eq!(docker.ok("logs -n 100 st-2"), "a1\na2\na3\nb1\nb2");
    let stamped = docker.ok("logs -t st-2");
    let stamps: Vec<(&str, &str)> = stamped
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    assert_eq!(
        stamps.iter().map(|(_, text)| *text).collect::<Vec<_>>(),
        ["a1", "a2", "a3", "b1", "b2"]
    );
    for (stamp, _) in &stamps {
        assert!(
            stamp.len() == "2026-01-02T03:04:05.123456789Z".len() && stamp.ends_with('Z'),
            "{stamp}"
        );
    }
    assert!(stamps.is_sorted_by_key(|(stamp, _)| *stamp));
    let since = stamps[3].0;
    assert_eq!(docker.ok(&format!("logs --since {since} st-2")), "b1\nb2");
    assert_eq!(
        docker.ok(&format!("logs --until {} st-2", stamps[2].0)),
        "a1\na2\na3"
    );
    assert_eq!(docker.ok("logs --since 1h st-2"), "a1\na2\na3\nb1\nb2");
    docker.ok("rm st-2");
}

#[test]
fn logs_follow_until_the_end() {
    let docker = docker!();
    docker.ok(
        "run -d --name st-3 base sh -c 'echo first; while [ ! -e /go ]; do sleep 0.1; done; echo second'",
    );
    eventually("it runs", || docker.ok("logs st-3") == "first");
    let follow = docker.start("logs -f st-3");
    assert_eq!(follow.line(), "first");
    let tail = docker.start("logs -f --tail 0 st-3");
    assert!(tail.is_silent_for(Duration::from_millis(300)));
    docker.ok("exec st-3 touch /go");
    assert_eq!(
        (follow.line(), tail.line()),
        ("second".to_owned(), "second".to_owned())
    );
    assert_eq!((follow.end().code, tail.end().code), (0, 0));
    // What has ended is told and done.
    assert_eq!(docker.ok("logs -f st-3"), "first\nsecond");
    docker.ok("rm st-3");
}

#[test]
fn many_and_long_lines_arrive_whole_and_in_order() {
    let docker = docker!();
    // 20,000 lines, and one that is longer than any buffer on the way.
    let script = "seq 1 20000; head -c 100000 /dev/zero | tr \"\\0\" x; echo; echo end";
    let ran = docker.run(&format!("run --name st-4 base sh -c '{script}'"));
    let lines: Vec<&str> = ran.out.lines().collect();
    let check = |lines: &[&str]| {
        assert_eq!(lines.len(), 20_002);
        assert!(
            lines[..20_000]
                .iter()
                .enumerate()
                .all(|(at, line)| *line == (at + 1).to_string())
        );
        assert!(
            lines[20_000].len() == 100_000 && lines[20_001] == "end",
            "{}",
            lines[20_000].len()
        );
    };
    check(&lines);
    let logs = docker.ok("logs st-4");
    check(&logs.lines().collect::<Vec<_>>());
    docker.ok("rm st-4");
}

#[test]
fn a_great_deal_of_output_is_not_lost_when_the_container_ends_at_once() {
    let docker = docker!();
    let (code, out, _) = docker.bytes("run --rm base dd if=/dev/zero bs=1M count=16", b"");
    assert_eq!((code, out.len()), (0, 16 << 20));
}

#[test]
fn attach_joins_what_runs() {
    let docker = docker!();
    docker.ok("run -d -i --name st-5 base sh -c 'while read line; do echo got $line; test $line = end && exit 9; done'");
    let mut attached = docker.start("attach st-5");
    let watcher = docker.start("attach --no-stdin st-5");
    // An attached client has no sign of being ready; the first line may come before the second client.
    std::thread::sleep(Duration::from_millis(500));
    attached.write("one\n");
    assert_eq!(
        (attached.line(), watcher.line()),
        ("got one".to_owned(), "got one".to_owned())
    );
    attached.write("end\n");
    assert_eq!(
        (attached.line(), watcher.line()),
        ("got end".to_owned(), "got end".to_owned())
    );
    assert_eq!((attached.end().code, watcher.end().code), (9, 9));
    assert_eq!(docker.ok("logs st-5"), "got one\ngot end");
    docker.ok("rm st-5");
}

#[test]
fn attach_refuses_what_does_not_run() {
    let docker = docker!();
    docker.ok("create --name st-6 base true");
    let error = docker.fails(1, "attach st-6");
    assert!(
        error.contains("cannot attach to a stopped container, start it first"),
        "{error}"
    );
    docker.ok("rm st-6");
}

#[test]
fn a_client_that_goes_away_does_not_take_the_container_along() {
    let docker = docker!();
    docker.ok("run -d -i --name st-7 base sh -c 'while :; do echo tick; sleep 0.1; done'");
    let attached = docker.start("attach st-7");
    assert_eq!(attached.line(), "tick");
    attached.kill();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(docker.ok("inspect --format {{.State.Status}} st-7"), "running");
    docker.ok("rm -f st-7");
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let docker = docker!();
    let mut terminal = Terminal::start(&docker.command("run -it --name st-8 base sh"), 24, 80);
    terminal.expect("# ");
    terminal.write("echo $((20+1))\n");
    terminal.expect("21\r\n");
    terminal.write("\x10\x11");
    let (_, shown) = terminal.end();
    assert!(
        shown.contains("read escape sequence") || !shown.contains("rror"),
        "{shown}"
    );
    assert_eq!(docker.ok("inspect --format {{.State.Status}} st-8"), "running");
    let mut terminal = Terminal::start(&docker.command("attach --detach-keys x,y st-8"), 24, 80);
    terminal.write("\n");
    terminal.expect("# ");
    terminal.write("echo $((30+1))\n");
    terminal.expect("31\r\n");
    terminal.write("xy");
    terminal.end();
    assert_eq!(docker.ok("inspect --format {{.State.Status}} st-8"), "running");
    docker.ok("rm -f st-8");
}

#[test]
fn start_attached_gives_input_and_the_exit_code() {
    let docker = docker!();
    docker.ok("create -i --name st-9 base sh -c 'cat; exit 3'");
    let ran = docker.with_input("start -a -i st-9", b"through\n");
    assert_eq!((ran.code, ran.out.as_str()), (3, "through\n"));
    docker.ok("rm st-9");
}

#[test]
fn a_signal_to_the_client_goes_to_the_container() {
    let docker = docker!();
    let run = docker.start("run --name st-10 base sh -c 'trap \"echo told; exit 11\" TERM; echo ready; while :; do sleep 0.1; done'");
    assert_eq!(run.line(), "ready");
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(run.line(), "told");
    assert_eq!(run.end().code, 11);
    docker.ok("rm st-10");
}

#[test]
fn a_websocket_carries_input_and_output() {
    let docker = docker!();
    docker.ok("run -d -i --name st-11 base sh -c 'read line; echo got $line'");
    let mut socket = UnixStream::connect(docker.socket()).unwrap();
    // The key and its answer are the example of RFC 6455.
    let request = "GET /containers/st-11/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    // A binary message, masked with nothing.
    socket.write_all(b"\x82\x83\0\0\0\0hi\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{head}"
    );
    assert_eq!(&answer[end + 4..], b"\x82\x07got hi\n\x88\0");
    docker.ok("rm -f st-11");
}

#[test]
fn what_a_short_program_wrote_is_in_its_log_as_soon_as_its_start_was_answered() {
    let docker = docker!();
    // As scripts do it, without the time that another docker command takes to begin.
    for _ in 0..5 {
        let id = docker.ok("create base sh -c 'echo first; ls -d /etc'");
        let started = http::request(docker.socket(), &format!("POST /containers/{id}/start"), &[], b"");
        assert_eq!(started.status, 204);
        let log = http::get(docker.socket(), &format!("/containers/{id}/logs?stdout=1")).text();
        assert!(log.contains("first") && log.contains("/etc"), "{log:?}");
        docker.ok(&format!("rm -f {id}"));
    }
}
