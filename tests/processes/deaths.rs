//! What happens when the daemon or a helper is killed while containers run.

use crate::{kill, leftovers, start, successor};
use std::fs;
use std::path::Path;
use system_tests::docker::{Docker, Running, eventually};
use system_tests::proc::{self, Process};

/// A container that counts, and whose last line and code come when a file appears on the host.
fn counting(docker: &Docker, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let script = "i=0; while [ ! -e /in/go ]; do i=$((i+1)); echo $i; usleep 10000; done; echo last; exit 7";
    docker.ok(&format!(
        "run -d --name counting -v {}:/in:ro base sh -c '{script}'",
        folder.display()
    ));
    eventually("it counts", || counted(docker) > 3);
}

/// How far it has counted.
fn counted(docker: &Docker) -> u32 {
    let log = docker.ok("logs --tail 1 counting");
    log.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// Nothing is missing between the first line and the last.
#[track_caller]
fn is_whole(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let (last, numbers) = lines.split_last().unwrap();
    assert_eq!(*last, "last");
    for (at, line) in numbers.iter().enumerate() {
        assert_eq!(
            *line,
            (at + 1).to_string(),
            "line {} of {}",
            at + 1,
            numbers.len()
        );
    }
}

#[test]
fn a_container_lives_through_the_death_of_the_daemon() {
    let Some((engine, docker)) = start("a_container_lives_through_the_death_of_the_daemon") else {
        return;
    };
    let folder = engine.dir().with_extension("in");
    counting(&docker, &folder);
    let first = pid_of(&docker, "counting");
    let daemon = engine.child("cellblockd");
    kill(daemon);
    let daemon = successor(&engine, "cellblockd", daemon);
    eventually("the API answers", || docker.run("ps").code == 0);
    assert_eq!(pid_of(&docker, "counting"), first);
    assert_eq!(
        docker.ok("inspect --format {{.State.Status}} counting"),
        "running"
    );
    assert_eq!(docker.ok("exec counting echo here"), "here");
    let before = counted(&docker);
    eventually("it still counts", || counted(&docker) > before);
    // It ends while no daemon is there to see it.
    kill(daemon);
    fs::write(folder.join("go"), "").unwrap();
    successor(&engine, "cellblockd", daemon);
    eventually("the API answers", || docker.run("ps").code == 0);
    assert_eq!(docker.ok("wait counting"), "7");
    is_whole(&docker.ok("logs counting"));
    docker.ok("rm counting");
    assert_eq!(docker.ok("run --rm base echo new"), "new");
    engine.stop();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_exit_code_is_kept_when_the_daemon_dies_right_after_it() {
    let Some((engine, docker)) = start("the_exit_code_is_kept_when_the_daemon_dies_right_after_it") else {
        return;
    };
    for round in 0..3 {
        // Much output, so that the daemon is still busy with it when the container has ended.
        docker.ok(&format!(
            "run -d --name busy-{round} base sh -c 'sleep 0.5; seq 1 200000; exit 7'"
        ));
        let container = pid_of(&docker, &format!("busy-{round}"));
        let daemon = engine.child("cellblockd");
        eventually("it ends", || !container.lives());
        kill(daemon);
        successor(&engine, "cellblockd", daemon);
        eventually("the API answers", || docker.run("ps").code == 0);
        assert_eq!(docker.ok(&format!("wait busy-{round}")), "7");
        docker.ok(&format!("rm busy-{round}"));
    }
    engine.stop();
}

fn pid_of(docker: &Docker, name: &str) -> Process {
    let pid = docker.ok(&format!("inspect --format {{{{.State.Pid}}}} {name}"));
    Process::find(pid.parse().unwrap()).unwrap_or_else(|| panic!("no process {pid}"))
}

#[test]
fn a_removed_container_is_gone_also_when_the_daemon_died_meanwhile() {
    let Some((engine, docker)) = start("a_removed_container_is_gone_also_when_the_daemon_died_meanwhile")
    else {
        return;
    };
    for round in 0..3 {
        let run: Running = docker.start(&format!(
            "run --rm --name dying-{round} base sh -c 'echo up; sleep 600'"
        ));
        assert_eq!(run.line(), "up");
        let daemon = engine.child("cellblockd");
        let container = pid_of(&docker, &format!("dying-{round}"));
        kill(daemon);
        // The container ends with nobody watching; its removal is the next daemon's to do.
        kill(container);
        run.kill();
        successor(&engine, "cellblockd", daemon);
        eventually("it is removed", || {
            let all = docker.run("ps -aq");
            all.code == 0 && all.out.is_empty()
        });
    }
    eventually("nothing stays", || leftovers(&engine).is_empty());
    engine.stop();
}

#[test]
fn a_killed_helper_comes_back_and_the_next_request_works() {
    let Some((engine, docker)) = start("a_killed_helper_comes_back_and_the_next_request_works") else {
        return;
    };
    docker.ok("run -d --name witness base sleep 600");
    let (witness, daemon) = (pid_of(&docker, "witness"), engine.child("cellblockd"));
    for program in [
        "cellblock-zfs",
        "cellblock-jail",
        "cellblock-net",
        "cellblock-mount",
        "cellblock-archive",
    ] {
        let first = engine.child(program);
        kill(first);
        works(&docker, program);
        let second = successor(&engine, program, first);
        // Of a pair, the front may be the one that dies.
        if let Some(front) = proc::children(second.pid)
            .into_iter()
            .find(|child| child.program() == program)
        {
            kill(front);
            works(&docker, &format!("{program}, front"));
            successor(&engine, program, second);
        }
        assert!(witness.lives(), "the container died with {program}");
    }
    assert_eq!(engine.child("cellblockd"), daemon);
    assert_eq!(docker.ok("exec witness echo here"), "here");
    docker.ok("rm -f witness");
    engine.stop();
}

/// Something of every helper's job.
#[track_caller]
fn works(docker: &Docker, after: &str) {
    let ran = docker.run("run --name works base sh -c 'ping -c 1 -w 5 $(ip route | cut -d \" \" -f 3 | head -n 1) > /dev/null && echo hi > /f && cat /f'");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "hi\n"),
        "after {after}: {ran:?}"
    );
    let copied = docker.run("cp works:/f -");
    assert!(
        copied.code == 0 && copied.out.contains("hi\n"),
        "after {after}: {copied:?}"
    );
    docker.ok("rm works");
}
