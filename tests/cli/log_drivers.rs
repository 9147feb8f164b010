//! Log drivers and their options; and a great deal of output, interleaved, in long lines, binary, and with a client that stalls.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use system_tests::docker;
use system_tests::docker::eventually;

#[test]
fn a_full_log_file_is_put_aside_and_the_oldest_goes() {
    let docker = docker!();
    docker.ok("run -d --name ld-1 --log-opt max-size=10k --log-opt max-file=3 base sh -c 'seq 1 2000 | sed s/^/line-/'");
    docker.ok("wait ld-1");
    let logs = docker.ok("logs ld-1");
    let lines: Vec<&str> = logs.lines().collect();
    assert!((100..400).contains(&lines.len()), "{}", lines.len());
    let last: Vec<String> = (2001 - lines.len()..=2000)
        .map(|number| format!("line-{number}"))
        .collect();
    assert_eq!(lines, last);
    assert_eq!(
        docker.ok("logs --tail 150 ld-1").lines().collect::<Vec<_>>(),
        last[last.len() - 150..]
    );
    let path = docker.ok("inspect --format {{.LogPath}} ld-1");
    assert!(path.ends_with("-json.log"), "{path}");
    docker.ok("rm ld-1");
    let error = docker.fails(125, "run --rm --log-opt max-file=0 base true");
    assert!(
        error.contains("failed to initialize logging driver: max-file cannot be less than 1"),
        "{error}"
    );
    let error = docker.fails(125, "run --rm --log-opt nope=1 base true");
    assert!(
        error.contains("unknown log opt 'nope' for json-file log driver"),
        "{error}"
    );
}

#[test]
fn a_follower_misses_nothing_while_files_change() {
    let docker = docker!();
    docker.ok("run -d --name ld-2 --log-opt max-size=20k --log-opt max-file=100 base sh -c 'while [ ! -e /go ]; do sleep 0.1; done; seq 1 5000'");
    let follow = docker.start("logs -f ld-2");
    docker.ok("exec ld-2 touch /go");
    for number in 1..=5000 {
        assert_eq!(follow.line(), number.to_string());
    }
    assert_eq!(follow.end().code, 0);
    docker.ok("rm ld-2");
}

#[test]
fn the_driver_local_keeps_bytes_and_none_keeps_nothing() {
    let docker = docker!();
    docker.ok("run -d --name ld-3 --log-driver local base printf '\\377\\000\\200\\n'");
    docker.ok("wait ld-3");
    let (code, out, _) = docker.bytes("logs ld-3", b"");
    assert_eq!((code, out.as_slice()), (0, &b"\xff\x00\x80\n"[..]));
    assert_eq!(docker.ok("inspect --format {{.LogPath}} ld-3"), "");
    assert_eq!(
        docker.ok("run --name ld-4 --log-driver none base echo shown"),
        "shown"
    );
    let error = docker.fails(1, "logs ld-4");
    assert!(
        error.contains("configured logging driver does not support reading"),
        "{error}"
    );
    docker.ok("rm ld-3 ld-4");
}

#[test]
fn details_are_the_labels_and_variables_that_the_options_name() {
    let docker = docker!();
    docker.ok("run -d --name ld-5 -l tier=web -e KIND='a b' --log-opt labels=tier --log-opt env=KIND base echo text");
    docker.ok("wait ld-5");
    assert_eq!(docker.ok("logs --details ld-5"), "KIND=a+b,tier=web text");
    assert_eq!(docker.ok("logs ld-5"), "text");
    docker.ok("rm ld-5");
}

#[test]
fn ten_thousand_interleaved_lines_keep_their_order_in_each_stream() {
    let docker = docker!();
    let script = "i=0; while [ $i -lt 5000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
    let ran = docker.run(&format!("run --name ld-6 base sh -c '{script}'"));
    let numbered =
        |name: &str| -> Vec<String> { (0..5000).map(|number| format!("{name}{number}")).collect() };
    let check = |ran: &docker::Ran| {
        assert_eq!(ran.code, 0);
        assert_eq!(ran.out.lines().collect::<Vec<_>>(), numbered("out"));
        assert_eq!(ran.err.lines().collect::<Vec<_>>(), numbered("err"));
    };
    check(&ran);
    check(&docker.run("logs ld-6"));
    check(&docker.run("logs -f ld-6"));
    docker.ok("rm ld-6");
}

#[test]
fn lines_of_a_megabyte_and_binary_output_arrive_whole() {
    let docker = docker!();
    let script = "for c in a b c; do head -c 1048576 /dev/zero | tr \"\\0\" $c; echo; done";
    let (code, out, _) = docker.bytes(&format!("run --name ld-7 base sh -c '{script}'"), b"");
    let wanted: Vec<u8> = b"abc"
        .iter()
        .flat_map(|letter| [vec![*letter; 1 << 20], vec![b'\n']].concat())
        .collect();
    assert!(code == 0 && out == wanted, "{} bytes", out.len());
    let (_, logs, _) = docker.bytes("logs ld-7", b"");
    assert!(logs == wanted, "{} bytes", logs.len());
    docker.ok("rm ld-7");
    // Every byte there is, many times over.
    let all: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let (code, out, _) = docker.bytes("run -i --rm base cat", &all);
    assert!(code == 0 && out == all, "{} bytes", out.len());
}

#[test]
fn a_client_that_stalls_loses_nothing_and_holds_nobody_up() {
    let docker = docker!();
    docker.ok("run -d --name ld-8 base sh -c 'seq 1 60000; echo done >&2; sleep 600'");
    // Asks for all of it and reads nothing for a while.
    let mut stalled = UnixStream::connect(docker.socket()).unwrap();
    let request =
        "GET /containers/ld-8/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stalled, request.as_bytes()).unwrap();
    eventually("it has written everything", || {
        let (_, out, err) = docker.bytes("logs ld-8", b"");
        err == b"done\n" && out.iter().filter(|byte| **byte == b'\n').count() == 60_000
    });
    docker.ok("kill ld-8");
    // Now it reads: all that was written, in order.
    stalled.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = Vec::new();
    stalled.read_to_end(&mut answer).unwrap();
    let text: Vec<u8> = answer
        .iter()
        .copied()
        .filter(|byte| byte.is_ascii_digit() || *byte == b'\n')
        .collect();
    let text = String::from_utf8(text).unwrap();
    let mut wanted = 1;
    for line in text.lines() {
        if line == wanted.to_string() {
            wanted += 1;
        }
    }
    assert_eq!(wanted, 60_001);
    docker.ok("rm ld-8");
}
