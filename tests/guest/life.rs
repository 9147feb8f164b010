//! Stopping and continuing, what is measured, and limits that bite.

use crate::story::Story;

/// A loop that tells how far it is.
const COUNTING: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done";

/// A shell's variable that doubles until something stops it: 64 MiB after 26 rounds.
const GROWING: &str = "x=0123456789abcdef; while :; do x=$x$x; sleep 0.5; done";

pub(crate) fn a_paused_container_stands_still(story: &mut Story) {
    story.docker(&format!("run -d --name counter base sh -c '{COUNTING}'"));
    story.docker("pause counter");
    assert_eq!(
        story.docker("inspect --format '{{.State.Status}} {{.State.Paused}}' counter"),
        "paused true"
    );
    // Every process of it is stopped (ps(1): T).
    let states = story.guest("ps -ax -o stat= -o jid= | awk '$2 != 0 { print substr($1, 1, 1) }' | sort -u");
    assert_eq!(states, "T");
    let before = story.docker("logs --tail 1 counter");
    story.guest("sleep 2");
    assert_eq!(story.docker("logs --tail 1 counter"), before);
    story.docker("unpause counter");
    story.guest("sleep 2");
    assert_ne!(story.docker("logs --tail 1 counter"), before);
    story.docker("rm -f counter");
}

pub(crate) fn a_container_is_measured(story: &mut Story) {
    story.docker("run -d --name busy base sh -c 'while :; do :; done'");
    let format = "{{.Name}} {{.PIDs}} {{.MemUsage}} {{.CPUPerc}}";
    let line = story.docker(&format!("stats --no-stream --format '{format}' busy"));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..2], ["busy", "1"], "{line}");
    assert!(words[2] != "0B", "{line}");
    let percent: f64 = words.last().unwrap().trim_end_matches('%').parse().unwrap();
    assert!(percent > 10.0, "{line}");
    assert!(story.docker("top busy").contains("while"), "top");
    story.docker("rm -f busy");
}

pub(crate) fn limits_bite(story: &mut Story) {
    let grown = story.ends(
        137,
        &format!("run --name grown --memory 30m base sh -c '{GROWING}'"),
    );
    assert_eq!(grown.out, "");
    assert_eq!(
        story.docker("inspect --format '{{.HostConfig.Memory}} {{.State.ExitCode}}' grown"),
        "31457280 137"
    );
    story.docker("rm grown");
    // The shell itself and two more are three; the fourth cannot be forked.
    let forks = "sleep 5 & sleep 5 & sleep 5 & wait";
    let ran = story.ran(&format!("run --rm --pids-limit 3 base sh -c '{forks}'"));
    assert!(ran.err.contains("fork"), "{ran:?}");
    // One processor of two: the set says so inside.
    let set = story.docker("run --rm --cpuset-cpus 0 base sh -c 'cpuset -g -p $$ || nproc'");
    assert!(set.contains("mask: 0") || set == "1", "{set}");
    story.docker("run -d --name half --cpus 0.25 base sh -c 'while :; do :; done'");
    story.guest("sleep 10");
    let rules = story.guest("rctl jail: | grep pcpu");
    assert!(rules.contains("pcpu:deny=25"), "{rules}");
    let used = story.guest("ps -ax -o pcpu= -o jid= | awk '$2 != 0 { print int($1) }'");
    assert!(used.parse::<u32>().is_ok_and(|percent| percent < 60), "{used}");
    story.docker("rm -f half");
    assert_eq!(story.guest("rctl"), "");
}
