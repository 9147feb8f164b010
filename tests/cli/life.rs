//! Holding, limiting and restarting containers.

use serde_json::Value;
use system_tests::docker;
use system_tests::docker::{Docker, eventually};

/// `State` of inspect.
fn state(docker: &Docker, name: &str) -> Value {
    serde_json::from_str(&docker.ok(&format!("inspect --format '{{{{json .State}}}}' {name}"))).unwrap()
}

fn inspect(docker: &Docker, name: &str, what: &str) -> String {
    docker.ok(&format!("inspect --format '{{{{{what}}}}}' {name}"))
}

#[test]
fn a_paused_container_does_nothing_until_it_is_unpaused() {
    let docker = docker!();
    docker.ok("run -d --name li-1 base sh -c 'while :; do echo x; sleep 0.02; done'");
    assert_eq!(docker.ok("pause li-1"), "li-1");
    let status = docker.ok("ps --filter name=li-1 --format '{{.Status}} {{.State}}'");
    assert!(
        status.starts_with("Up ") && status.ends_with("(Paused) paused"),
        "{status}"
    );
    let now = state(&docker, "li-1");
    assert_eq!(
        (&now["Running"], &now["Paused"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    let lines = docker.ok("logs li-1").len();
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(docker.ok("logs li-1").len(), lines, "it still writes");
    for (line, words) in [
        ("pause li-1", "is already paused"),
        (
            "start li-1",
            "cannot start a paused container, try unpause instead",
        ),
        ("exec li-1 true", "is paused, unpause the container before exec"),
        (
            "rm li-1",
            "cannot remove container \"li-1\": container is paused and must be unpaused first",
        ),
    ] {
        let error = docker.fails(1, line);
        assert!(error.contains(words), "{line}: {error}");
    }
    assert_eq!(docker.ok("unpause li-1"), "li-1");
    assert!(docker.fails(1, "unpause li-1").contains("is not paused"));
    eventually("it goes on", || docker.ok("logs li-1").len() > lines);
    docker.ok("pause li-1");
    // What is stopped while it is held goes on to its end.
    docker.ok("stop -t 0 li-1");
    assert_eq!(state(&docker, "li-1")["ExitCode"], 137);
    docker.ok("start li-1");
    docker.ok("pause li-1");
    docker.ok("rm -f li-1");
}

#[test]
fn memory_that_runs_out_ends_the_container() {
    let docker = docker!();
    let hog = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";
    docker.fails(137, &format!("run --name li-2 --memory 16m base sh -c '{hog}'"));
    let now = state(&docker, "li-2");
    assert_eq!(
        (&now["OOMKilled"], &now["ExitCode"]),
        (&Value::Bool(true), &Value::from(137))
    );
    assert_eq!(
        inspect(&docker, "li-2", ".HostConfig.MemorySwap"),
        (32 << 20).to_string()
    );
    docker.ok("rm li-2");
    let error = docker.fails(125, "run --rm --memory 1m base true");
    assert!(error.contains("Minimum memory limit allowed is 6MB"), "{error}");
}

#[test]
fn limits_on_processes_hold_and_can_be_raised_while_it_runs() {
    let docker = docker!();
    // Its init takes away the processes that nobody waited for, else they would count for ever.
    docker.ok("run -d --name li-3 --init --pids-limit 4 --cpus 0.5 --ulimit nofile=77:88 base sleep 600");
    let fork = "exec li-3 sh -c 'sleep 0.2 & sleep 0.2 & sleep 0.2 & sleep 0.2 & wait; echo $?'";
    assert!(docker.run(fork).err.contains("can't fork"));
    eventually("they have ended", || docker.run("exec li-3 true").code == 0);
    assert_eq!(docker.ok("exec li-3 sh -c 'ulimit -n; ulimit -Hn'"), "77\n88");
    docker.ok("update --pids-limit 50 li-3");
    assert_eq!(docker.ok(fork).lines().last(), Some("0"));
    assert_eq!(inspect(&docker, "li-3", ".HostConfig.PidsLimit"), "50");
    let error = docker.fails(1, "update --cpu-quota 50000 li-3");
    assert!(
        error.contains("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"),
        "{error}"
    );
    let used = docker.ok("stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' li-3");
    assert!(used.starts_with("li-3 2 ") && used.contains(" / "), "{used}");
    docker.ok("rm -f li-3");
}

#[test]
fn a_policy_starts_a_container_again_until_it_is_stopped() {
    let docker = docker!();
    docker.ok("run -d --name li-4 --restart on-failure:2 base sh -c 'echo x; exit 3'");
    eventually("it gave up", || state(&docker, "li-4")["Status"] == "exited");
    assert_eq!(docker.ok("logs li-4"), "x\nx\nx");
    assert_eq!(inspect(&docker, "li-4", ".RestartCount"), "2");
    docker.ok("run -d --name li-5 --restart always base sh -c 'echo x; sleep 0.2'");
    eventually("it was started again", || {
        docker.ok("logs li-5").lines().count() > 2
    });
    docker.ok("stop -t 0 li-5");
    let lines = docker.ok("logs li-5");
    std::thread::sleep(std::time::Duration::from_millis(900));
    assert_eq!(
        docker.ok("logs li-5"),
        lines,
        "it was started again after it was stopped"
    );
    assert_eq!(state(&docker, "li-5")["Status"], "exited");
    docker.ok("update --restart no li-5");
    docker.ok("start li-5");
    docker.ok("wait li-5");
    docker.ok("rm li-4 li-5");
}

#[test]
fn an_init_and_kernel_settings_are_the_containers_own() {
    let docker = docker!();
    let line = "run --rm --init --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4242 --oom-score-adj 300 base sh -c \
        'cat /proc/1/comm /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/self/oom_score_adj; exit 9'";
    let ran = docker.run(line);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (9, "init\n1\n4242\n300\n"),
        "{}",
        ran.err
    );
    // The command itself refuses what is not within a namespace; this one is, of another kind of namespace.
    let error = docker.fails(
        125,
        "run --rm --network host --sysctl net.core.somaxconn=9 base true",
    );
    assert!(error.contains("is not in a separate kernel namespace"), "{error}");
}

#[test]
fn health_is_checked_and_shown() {
    let docker = docker!();
    let options = "--health-cmd 'echo looked; test -e /ok' --health-interval 200ms --health-retries 2";
    docker.ok(&format!("run -d --name li-6 {options} base sleep 600"));
    let status = || docker.ok("ps --filter name=li-6 --format '{{.Status}}'");
    assert!(status().ends_with("(health: starting)"), "{}", status());
    eventually("it is unhealthy", || status().ends_with("(unhealthy)"));
    docker.ok("exec li-6 touch /ok");
    eventually("it is healthy", || status().ends_with("(healthy)"));
    assert_eq!(
        docker.ok("ps --filter health=healthy --format '{{.Names}}'"),
        "li-6"
    );
    let health = &state(&docker, "li-6")["Health"];
    let log = health["Log"].as_array().unwrap();
    assert!(
        (1..=5).contains(&log.len()) && log[log.len() - 1]["Output"] == "looked\n",
        "{health}"
    );
    docker.ok("rm -f li-6");
    // The image's check is left out on demand, and one that takes too long is ended.
    docker.ok("run -d --name li-7 --health-cmd 'sleep 77' --health-interval 100ms --health-timeout 300ms --health-retries 1 base sleep 600");
    eventually("it is unhealthy", || {
        state(&docker, "li-7")["Health"]["Status"] == "unhealthy"
    });
    let output = state(&docker, "li-7")["Health"]["Log"][0]["Output"].clone();
    assert_eq!(output, "Health check exceeded timeout (300ms)");
    eventually("it was killed", || {
        docker.ok("top li-7").matches("sleep 77").count() <= 1
    });
    docker.ok("rm -f li-7");
}

#[test]
fn a_container_that_runs_is_held_while_it_is_committed() {
    let docker = docker!();
    docker.ok("run -d --name li-commit base sh -c 'echo kept > /kept; while :; do sleep 0.1; done'");
    docker.ok("exec li-commit sh -c 'while [ ! -e /kept ]; do sleep 0.1; done'");
    let since = docker.ok("exec li-commit date +%s");
    docker.ok("commit li-commit li-committed");
    assert_eq!(state(&docker, "li-commit")["Status"], "running");
    let until = since.parse::<u64>().unwrap() + 3;
    let events = docker.ok(&format!(
        "events --since {since} --until {until} --filter container=li-commit --format {{{{.Action}}}}"
    ));
    let wanted = ["pause", "unpause", "commit"];
    let told: Vec<&str> = events.lines().filter(|action| wanted.contains(action)).collect();
    assert_eq!(told, wanted);
    assert_eq!(docker.ok("run --rm li-committed cat /kept"), "kept");
    docker.ok("rm -f li-commit");
    docker.ok("rmi li-committed");
}

#[test]
fn prune_removes_what_does_not_run_and_is_chosen() {
    let docker = docker!();
    for (name, command) in [("li-p1", "true"), ("li-p2", "true"), ("li-p3", "sleep 600")] {
        docker.ok(&format!(
            "run -d --name {name} -l prune-test={name} base {command}"
        ));
    }
    docker.ok("wait li-p1 li-p2");
    let pruned = docker.ok("container prune -f --filter label=prune-test=li-p1");
    assert!(pruned.contains("Total reclaimed space"), "{pruned}");
    docker.ok("container prune -f --filter label=prune-test=li-p3");
    let left = docker.ok("ps -a --filter label=prune-test --format {{.Names}}");
    assert_eq!(left, "li-p3\nli-p2");
    let error = docker.fails(1, "container prune -f --filter nope=1");
    assert!(error.contains("invalid filter 'nope'"), "{error}");
    docker.ok("rm -f li-p2 li-p3");
}

#[test]
fn a_link_is_a_name_that_can_be_taken_away() {
    let docker = docker!();
    docker.ok("run -d --name li-l1 base sleep 600");
    docker.ok("run -d --name li-l2 --link li-l1:db base sleep 600");
    let names = || docker.ok("ps --no-trunc --filter name=li-l1 --format {{.Names}}");
    assert_eq!(names(), "li-l1,li-l2/db");
    docker.ok("rm --link li-l2/db");
    assert_eq!(names(), "li-l1");
    assert_eq!(inspect(&docker, "li-l2", ".HostConfig.Links"), "[]");
    let error = docker.fails(1, "rm --link li-l2/db");
    assert!(error.contains("No such container"), "{error}");
    docker.ok("rm -f li-l1 li-l2");
}

#[test]
fn a_stopped_containers_volumes_are_where_they_belong() {
    let docker = docker!();
    docker.ok("run --name li-v1 -v li-vol:/data base sh -c 'echo inside > /data/f'");
    let (code, archive, _) = docker.bytes("cp li-v1:/data/f -", b"");
    assert_eq!(code, 0);
    assert!(archive.windows(7).any(|part| part == b"inside\n"));
    let folder = std::env::temp_dir().join(format!("li-v1-{}", std::process::id()));
    std::fs::write(&folder, "from outside\n").unwrap();
    docker.ok(&format!("cp {} li-v1:/data/g", folder.display()));
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(
        docker.ok("run --rm -v li-vol:/data base cat /data/f /data/g"),
        "inside\nfrom outside"
    );
    docker.ok("rm li-v1");
    docker.ok("volume rm li-vol");
}

#[test]
fn compose_files_and_scripts_may_name_the_runtime_of_docker() {
    let docker = docker!();
    assert_eq!(docker.ok("info --format '{{.DefaultRuntime}}'"), "runc");
    let id = docker.ok("create --runtime runc base true");
    assert_eq!(
        docker.ok(&format!("inspect -f '{{{{.HostConfig.Runtime}}}}' {id}")),
        "runc"
    );
    docker.ok(&format!("rm {id}"));
    assert_eq!(
        docker.ok("run --rm --runtime io.containerd.runc.v2 base echo hi"),
        "hi"
    );
}

#[test]
fn a_container_sees_its_own_limits_and_cannot_change_them() {
    let docker = docker!();
    let look = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
    let told = docker.run(&format!("run --rm --memory 64m base sh -c '{look}'"));
    assert_eq!(told.out.trim(), "67108864", "{told:?}");
    let told = docker.run("run --rm base sh -c 'mkdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x'");
    assert!(
        told.code != 0 && told.err.contains("Read-only file system"),
        "{told:?}"
    );
}
