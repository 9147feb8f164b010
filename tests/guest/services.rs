//! Services that are looked after: their health, their ends, their limits, their logs.

use crate::story::Story;
use system_tests::docker::eventually;

/// Lines that a container writes, and the most bytes of one file of its log.
const LINES: u32 = 200;
const LOG_BYTES: u64 = 2048;

pub(crate) fn health_is_asked_for(story: &mut Story) {
    let check = "--health-cmd 'test -e /well' --health-interval 1s --health-retries 2";
    story.docker(&format!(
        "run -d --name patient {check} base sh -c 'touch /well; exec sleep 1000'"
    ));
    let health = "inspect --format '{{.State.Health.Status}}' patient";
    eventually("it is well", || story.quiet(health).out == "healthy\n");
    story.docker("exec patient rm /well");
    eventually("it is not", || story.quiet(health).out == "unhealthy\n");
    let codes = story.docker("inspect --format '{{range .State.Health.Log}}{{.ExitCode}} {{end}}' patient");
    assert!(codes.ends_with("1 1 "), "{codes}");
    story.docker("rm -f patient");
}

pub(crate) fn an_end_is_what_the_policy_makes_of_it(story: &mut Story) {
    story.docker("run -d --name failing --restart on-failure:2 base sh -c 'echo tried; exit 3'");
    let state = "inspect --format '{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}' failing";
    eventually("it was tried three times", || {
        story.quiet(state).out == "exited 2 3\n"
    });
    assert_eq!(story.docker("logs failing"), "tried\ntried\ntried");
    story.docker("rm failing");
    // What lost its parent is the host's init's here, with `--init` and without: nothing stays as a zombie.
    story.docker("run -d --name parent --init base sh -c '(sleep 1 &); exec sleep 1000'");
    let zombies = "exec parent sh -c 'ps -axo stat,comm | grep -c sleep'";
    eventually("one of two is gone", || story.quiet(zombies).out == "1\n");
    story.docker("stop -t 60 parent");
    let state = story.docker("inspect --format '{{.State.ExitCode}}' parent");
    assert_eq!(
        state, "143",
        "it ends by SIGTERM, which no first process of FreeBSD ignores"
    );
    story.docker("rm parent");
}

pub(crate) fn limits_are_set_and_changed(story: &mut Story) {
    let limits = "--ulimit nofile=64:128 --ulimit core=0 --ulimit nproc=50:60";
    let show = "sh -c 'ulimit -n; ulimit -Hn; ulimit -c; ulimit -u; ulimit -Hu'";
    assert_eq!(
        story.docker(&format!("run --rm {limits} base {show}")),
        "64\n128\n0\n50\n60"
    );
    story.docker("run -d --name changing --memory 256m base sleep 1000");
    story.docker(
        "update --memory 64m --memory-swap 128m --cpus 0.5 --pids-limit 20 --restart always changing",
    );
    let rules = story.guest("rctl | sed 's/.*://' | sort");
    let wanted = ["deny=20", "deny=20", "deny=50", "sigkill=67108864"];
    assert_eq!(rules.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(
        story.docker(
            "inspect --format '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.PidsLimit}}' changing"
        ),
        "always 20"
    );
    // Whom a user kills stays ended; this one just ends.
    story.docker("exec changing pkill -KILL -x sleep");
    let state = "inspect --format '{{.State.Status}} {{.RestartCount}}' changing";
    eventually("it runs again", || story.quiet(state).out == "running 1\n");
    assert_eq!(story.guest("rctl | wc -l").trim(), "4", "so do its limits");
    story.docker("rm -f changing");
    story.is_empty("limits", "rctl");
}

pub(crate) fn logs_are_kept_as_asked_for(story: &mut Story) {
    let write = format!("for i in $(seq {LINES}); do echo line $i; done");
    let options = format!("--log-opt max-size={LOG_BYTES} --log-opt max-file=2");
    let id = story.docker(&format!("create --name rotated {options} base sh -c '{write}'"));
    story.docker("start -a rotated");
    let logs = story.docker("logs rotated");
    assert!(logs.ends_with(&format!("line {LINES}")), "{logs}");
    assert!(!logs.contains("line 1\n"), "{logs}");
    let files = story.guest(&format!(
        "cat /var/db/cellblock/daemon/containers/{id}/*.log* | wc -c"
    ));
    let bytes: u64 = files.trim().parse().unwrap();
    assert!((LOG_BYTES..3 * LOG_BYTES).contains(&bytes), "{bytes}");
    story.docker("run --name local --log-driver local base echo kept");
    assert_eq!(story.docker("logs local"), "kept");
    story.docker("run --name detailed --label a=b --log-opt labels=a base echo said");
    assert_eq!(story.docker("logs --details detailed"), "a=b said");
    story.docker("run --name silent --log-driver none base echo shown");
    let refused = story.ends(1, "logs silent");
    assert!(refused.err.contains("does not support reading"), "{refused:?}");
    story.docker("run -d --name looked-into base sleep 1000");
    let top = story.docker("top looked-into -o pid,comm");
    assert!(top.starts_with("PID ") && top.ends_with("sleep"), "{top}");
    // Only what has ended goes.
    let pruned = story.docker("container prune -f");
    assert!(pruned.contains(id.as_str()), "{pruned}");
    assert_eq!(story.docker("ps -a --format '{{.Names}}'"), "looked-into");
    story.docker("rm -f looked-into");
}
