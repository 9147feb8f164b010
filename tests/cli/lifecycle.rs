//! From create to rm: start, stop, kill, restart, wait, rename.

use std::time::{Duration, Instant};
use system_tests::docker;
use system_tests::docker::{Docker, eventually};

/// Ends with 143 when it is told to terminate, as shells do.
const POLITE: &str = "sh -c 'trap \"exit 143\" TERM; echo ready; while :; do sleep 0.1; done'";

fn state(docker: &Docker, name: &str) -> String {
    docker.ok(&format!(
        "inspect --format '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' {name}"
    ))
}

fn start_polite(docker: &Docker, name: &str, options: &str) {
    docker.ok(&format!("run -d --name {name} {options} base {POLITE}"));
    eventually("the trap is set", || {
        docker.ok(&format!("logs {name}")) == "ready"
    });
}

#[test]
fn a_created_container_starts_runs_and_ends() {
    let docker = docker!();
    let id = docker.ok("create --name lc-1 base sh -c 'echo one; exit 4'");
    assert_eq!(id.len(), 64);
    assert_eq!(state(&docker, "lc-1"), "created 0");
    assert_eq!(docker.ok("start lc-1"), "lc-1");
    assert_eq!(docker.ok("wait lc-1"), "4");
    assert_eq!(state(&docker, "lc-1"), "exited 4");
    assert_eq!(docker.ok("logs lc-1"), "one");
    let ran = docker.run("start -a lc-1");
    assert_eq!((ran.code, ran.out.as_str()), (4, "one\n"));
    assert_eq!(docker.ok("logs lc-1"), "one\none");
    assert_eq!(docker.ok("rm lc-1"), "lc-1");
}

#[test]
fn starting_what_runs_and_stopping_what_does_not_are_no_errors() {
    let docker = docker!();
    docker.ok("run -d --name lc-2 base sleep 600");
    assert_eq!(docker.ok("start lc-2"), "lc-2");
    docker.ok("kill lc-2");
    docker.ok("wait lc-2");
    assert_eq!(docker.ok("stop lc-2"), "lc-2");
    docker.ok("rm lc-2");
}

#[test]
fn stop_asks_politely_first() {
    let docker = docker!();
    start_polite(&docker, "lc-3", "");
    let begun = Instant::now();
    assert_eq!(docker.ok("stop lc-3"), "lc-3");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(state(&docker, "lc-3"), "exited 143");
    docker.ok("rm lc-3");
}

#[test]
fn stop_kills_what_does_not_listen_after_the_given_time() {
    let docker = docker!();
    // The first process of a container has no default action for SIGTERM.
    docker.ok("run -d --name lc-4 base sleep 600");
    let begun = Instant::now();
    docker.ok("stop -t 2 lc-4");
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(8),
        "{took:?}"
    );
    assert_eq!(state(&docker, "lc-4"), "exited 137");
    docker.ok("start lc-4");
    let begun = Instant::now();
    docker.ok("stop -t 0 lc-4");
    assert!(begun.elapsed() < Duration::from_secs(2));
    docker.ok("rm lc-4");
}

#[test]
fn a_container_may_name_its_own_stop_signal_and_time() {
    let docker = docker!();
    docker.ok("run -d --name lc-5 --stop-signal USR1 base sh -c 'trap \"exit 9\" USR1; echo ready; while :; do sleep 0.1; done'");
    eventually("the trap is set", || docker.ok("logs lc-5") == "ready");
    docker.ok("stop lc-5");
    assert_eq!(state(&docker, "lc-5"), "exited 9");
    docker.ok("run -d --name lc-6 --stop-timeout 1 base sleep 600");
    let begun = Instant::now();
    docker.ok("stop lc-6");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    docker.ok("rm lc-5 lc-6");
}

#[test]
fn kill_sends_the_signal_that_is_named() {
    let docker = docker!();
    let script = "trap \"echo got hup\" HUP; echo ready; while :; do sleep 0.1; done";
    docker.ok(&format!("run -d --name lc-7 base sh -c '{script}'"));
    eventually("the trap is set", || docker.ok("logs lc-7") == "ready");
    assert_eq!(docker.ok("kill -s HUP lc-7"), "lc-7");
    eventually("the signal arrives", || {
        docker.ok("logs lc-7").ends_with("got hup")
    });
    docker.ok("kill --signal 1 lc-7");
    eventually("the number works too", || {
        docker.ok("logs lc-7").matches("got hup").count() == 2
    });
    assert_eq!(state(&docker, "lc-7"), "running 0");
    docker.ok("kill lc-7");
    assert_eq!(docker.ok("wait lc-7"), "137");
    let error = docker.fails(1, "kill lc-7");
    assert!(
        error.contains("cannot kill container: lc-7: container ") && error.contains(" is not running"),
        "{error}"
    );
    let error = docker.fails(1, "kill -s NOSUCH lc-7");
    assert!(error.contains("invalid signal: NOSUCH"), "{error}");
    docker.ok("rm lc-7");
}

#[test]
fn wait_waits_and_tells_the_codes_in_order() {
    let docker = docker!();
    docker.ok("run -d --name lc-8 base sh -c 'sleep 1; exit 8'");
    docker.ok("run -d --name lc-9 base sh -c 'exit 9'");
    let begun = Instant::now();
    assert_eq!(docker.ok("wait lc-8 lc-9"), "8\n9");
    assert!(begun.elapsed() > Duration::from_millis(300));
    assert!(
        docker
            .fails(1, "wait lc-none")
            .contains("No such container: lc-none")
    );
    docker.ok("rm lc-8 lc-9");
}

#[test]
fn restart_starts_again_with_the_same_files() {
    let docker = docker!();
    docker.ok("run -d --name lc-10 base sh -c 'echo x >> /count; wc -l < /count; exec sleep 600'");
    eventually("it runs", || docker.ok("logs lc-10") == "1");
    let started = docker.ok("inspect --format {{.State.StartedAt}} lc-10");
    assert_eq!(docker.ok("restart -t 0 lc-10"), "lc-10");
    eventually("it runs again", || docker.ok("logs lc-10") == "1\n2");
    assert_ne!(docker.ok("inspect --format {{.State.StartedAt}} lc-10"), started);
    assert_eq!(state(&docker, "lc-10"), "running 0");
    // One that does not run is started.
    docker.ok("stop -t 0 lc-10");
    docker.ok("restart lc-10");
    eventually("it runs a third time", || docker.ok("logs lc-10") == "1\n2\n3");
    docker.ok("rm -f lc-10");
}

#[test]
fn rename_moves_the_name() {
    let docker = docker!();
    let id = docker.ok("create --name lc-11 base true");
    docker.ok("create --name lc-12 base true");
    assert_eq!(docker.ok("rename lc-11 lc-13"), "");
    assert_eq!(docker.ok("inspect --format {{.Id}} lc-13"), id);
    assert!(docker.fails(1, "inspect lc-11").contains("No such object: lc-11"));
    let error = docker.fails(1, "rename lc-13 lc-12");
    assert!(
        error.contains("Conflict. The container name \"/lc-12\" is already in use by container"),
        "{error}"
    );
    assert!(
        docker
            .fails(1, "rename lc-13 'a b'")
            .contains("Invalid container name")
    );
    // The old name is free again, also while the container runs.
    docker.ok("create --name lc-11 base true");
    docker.ok("rm lc-11 lc-12 lc-13");
}

#[test]
fn rm_refuses_what_runs_unless_it_is_forced() {
    let docker = docker!();
    let id = docker.ok("run -d --name lc-14 base sleep 600");
    let error = docker.fails(1, "rm lc-14");
    assert!(error.contains("cannot remove container \"lc-14\": container is running: stop the container before removing or force remove"), "{error}");
    assert_eq!(docker.ok("rm -f lc-14"), "lc-14");
    assert!(
        docker
            .fails(1, &format!("inspect {id}"))
            .contains("No such object")
    );
    assert!(docker.fails(1, "rm lc-14").contains("No such container: lc-14"));
    // Forcing makes it no error that nothing is there (Docker CLI 28).
    assert_eq!(docker.run("rm -f lc-14").code, 0);
    let ended = docker.run("ps -aq --no-trunc");
    assert!(!ended.out.contains(&id));
}

#[test]
fn what_a_container_wrote_stays_its_own_until_it_is_removed() {
    let docker = docker!();
    docker.fails(
        1,
        "run --name lc-15 base sh -c 'echo mine > /data; rm /bin/tar; exit 1'",
    );
    assert_eq!(
        docker.ok("run --rm base sh -c 'ls /data 2>/dev/null; ls /bin/tar'"),
        "/bin/tar"
    );
    docker.ok("start lc-15");
    assert_eq!(docker.ok("wait lc-15"), "1");
    assert!(docker.ok("cp lc-15:/data -").contains("mine\n"));
    docker.ok("rm lc-15");
}

#[test]
fn several_containers_are_named_in_one_command() {
    let docker = docker!();
    docker.ok("create --name lc-16 base sleep 600");
    docker.ok("create --name lc-17 base sleep 600");
    assert_eq!(docker.ok("start lc-16 lc-17"), "lc-16\nlc-17");
    assert_eq!(docker.ok("kill lc-16 lc-17"), "lc-16\nlc-17");
    let error = docker.fails(1, "rm lc-16 lc-none lc-17");
    assert!(error.contains("No such container: lc-none"), "{error}");
    assert!(docker.fails(1, "inspect lc-17").contains("No such object"));
}
