//! `docker exec`.

use system_tests::docker;
use system_tests::docker::{Docker, eventually};
use system_tests::terminal::Terminal;

fn sleeper(docker: &Docker, name: &str) {
    docker.ok(&format!(
        "run -d --name {name} -e FROM_RUN=1 -w /tmp base sleep 600"
    ));
}

#[test]
fn output_errors_and_exit_code_come_back_apart() {
    let docker = docker!();
    sleeper(&docker, "ex-1");
    let ran = docker.run("exec ex-1 sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (7, "out\n", "err\n")
    );
    assert_eq!(
        docker.ok("exec ex-1 sh -c 'cat /proc/1/cmdline | tr \"\\0\" \" \"'"),
        "sleep 600 "
    );
    docker.ok("rm -f ex-1");
}

#[test]
fn a_program_that_is_not_there_is_126_or_127() {
    let docker = docker!();
    sleeper(&docker, "ex-2");
    let words = |ran: system_tests::docker::Ran| ran.out + &ran.err;
    let ran = docker.run("exec ex-2 /no/such");
    assert_eq!(ran.code, 127, "{ran:?}");
    assert!(words(ran).contains("exec: \"/no/such\": stat /no/such: no such file or directory"));
    let ran = docker.run("exec ex-2 nosuch");
    assert_eq!(ran.code, 127, "{ran:?}");
    assert!(words(ran).contains("exec: \"nosuch\": executable file not found in $PATH"));
    let ran = docker.run("exec ex-2 /etc/passwd");
    assert_eq!(ran.code, 126, "{ran:?}");
    assert!(words(ran).contains("exec: \"/etc/passwd\": permission denied"));
    docker.ok("rm -f ex-2");
}

#[test]
fn standard_input_reaches_the_process_to_its_end() {
    let docker = docker!();
    sleeper(&docker, "ex-3");
    let big: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 249) as u8).collect();
    let (code, out, _) = docker.bytes("exec -i ex-3 cat", &big);
    assert_eq!(code, 0);
    assert!(out == big, "{} bytes of {}", out.len(), big.len());
    assert_eq!(docker.with_input("exec ex-3 cat", b"unseen").out, "");
    docker.ok("rm -f ex-3");
}

#[test]
fn a_terminal_is_one_inside() {
    let docker = docker!();
    sleeper(&docker, "ex-4");
    let mut terminal = Terminal::start(&docker.command("exec -it ex-4 sh"), 30, 90);
    terminal.expect("# ");
    // The size comes with a request of its own right after the start.
    terminal.write("sleep 1; tty; stty size; echo $((40+2))\n");
    let shown = terminal.expect("42\r\n");
    assert!(shown.contains("/dev/pts/") && shown.contains("30 90"), "{shown}");
    terminal.resize(20, 60);
    terminal.write("sleep 1; stty size\n");
    terminal.expect("20 60");
    terminal.write("exit 6\n");
    assert_eq!(terminal.end().0, 6);
    docker.ok("rm -f ex-4");
}

#[test]
fn environment_directory_and_user_are_its_own() {
    let docker = docker!();
    sleeper(&docker, "ex-5");
    assert_eq!(
        docker.ok("exec -e A=1 ex-5 sh -c 'echo $A $FROM_RUN $HOME'"),
        "1 1 /root"
    );
    assert_eq!(docker.ok("exec ex-5 pwd"), "/tmp");
    assert_eq!(docker.ok("exec -w /etc ex-5 pwd"), "/etc");
    assert_eq!(
        docker.ok("exec -u app ex-5 sh -c 'id -u; id -G; echo $HOME'"),
        "1000\n1000 10\n/home/app"
    );
    assert_eq!(docker.ok("exec -u 7:8 ex-5 sh -c 'id -u; id -g'"), "7\n8");
    assert_eq!(
        docker.ok("exec ex-5 grep CapEff /proc/self/status"),
        "CapEff:\t00000000a80425fb"
    );
    assert_eq!(
        docker.ok("exec -u app ex-5 grep CapEff /proc/self/status"),
        "CapEff:\t0000000000000000"
    );
    let error = docker.run("exec -u nosuch ex-5 true");
    assert!(
        error.code != 0 && error.err.contains("unable to find user nosuch"),
        "{error:?}"
    );
    let error = docker.run("exec -w /no/such ex-5 true");
    assert!(
        error.code != 0 && (error.out.clone() + &error.err).contains("no such file or directory"),
        "{error:?}"
    );
    docker.ok("rm -f ex-5");
}

#[test]
fn detached_goes_on_by_itself() {
    let docker = docker!();
    sleeper(&docker, "ex-6");
    assert_eq!(docker.ok("exec -d ex-6 sh -c 'echo done > /tmp/made'"), "");
    eventually("it has run", || {
        docker.run("exec ex-6 cat /tmp/made").out == "done\n"
    });
    docker.ok("rm -f ex-6");
}

#[test]
fn it_ends_with_its_container() {
    let docker = docker!();
    sleeper(&docker, "ex-7");
    let exec = docker.start("exec ex-7 sh -c 'echo ready; sleep 600'");
    assert_eq!(exec.line(), "ready");
    docker.ok("kill ex-7");
    assert_eq!(exec.end().code, 137);
    docker.ok("rm ex-7");
}

#[test]
fn a_container_that_does_not_run_is_refused() {
    let docker = docker!();
    let id = docker.ok("create --name ex-8 base true");
    let error = docker.fails(1, "exec ex-8 true");
    assert!(
        error.contains(&format!("container {id} is not running")),
        "{error}"
    );
    assert!(
        docker
            .fails(1, "exec ex-none true")
            .contains("No such container: ex-none")
    );
    docker.ok("rm ex-8");
}

#[test]
fn many_at_once_do_not_mix() {
    let docker = docker!();
    sleeper(&docker, "ex-9");
    let execs: Vec<_> = (0..8)
        .map(|n| docker.start(&format!("exec ex-9 sh -c 'sleep 0.2; echo {n}; exit {n}'")))
        .collect();
    for (n, exec) in execs.into_iter().enumerate() {
        assert_eq!(exec.line(), n.to_string());
        assert_eq!(exec.end().code, i32::try_from(n).unwrap());
    }
    docker.ok("rm -f ex-9");
}
