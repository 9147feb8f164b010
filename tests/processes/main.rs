//! What each process may do, as the kernel tells it, and what happens when one of them is killed.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod deaths;
mod images;
mod volumes;

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use system_tests::docker::{Docker, eventually};
use system_tests::engine::Engine;
use system_tests::proc::{self, Process};
use system_tests::{programs, skipped};

/// Numbers of capabilities (linux/capability.h).
mod capability {
    pub(crate) const CHOWN: u64 = 1;
    pub(crate) const DAC_OVERRIDE: u64 = 1 << 1;
    pub(crate) const FOWNER: u64 = 1 << 3;
    pub(crate) const FSETID: u64 = 1 << 4;
    pub(crate) const KILL: u64 = 1 << 5;
    pub(crate) const SETGID: u64 = 1 << 6;
    pub(crate) const SETUID: u64 = 1 << 7;
    pub(crate) const SETPCAP: u64 = 1 << 8;
    pub(crate) const NET_BIND_SERVICE: u64 = 1 << 10;
    pub(crate) const NET_ADMIN: u64 = 1 << 12;
    pub(crate) const NET_RAW: u64 = 1 << 13;
    pub(crate) const IPC_LOCK: u64 = 1 << 14;
    pub(crate) const SYS_CHROOT: u64 = 1 << 18;
    pub(crate) const SYS_PTRACE: u64 = 1 << 19;
    pub(crate) const SYS_ADMIN: u64 = 1 << 21;
    pub(crate) const SYS_NICE: u64 = 1 << 23;
    pub(crate) const MKNOD: u64 = 1 << 27;
    pub(crate) const AUDIT_WRITE: u64 = 1 << 29;
    pub(crate) const SETFCAP: u64 = 1 << 31;
}
use capability::*;

/// What the launcher lets containers have, which the jail helper must hold to give it.
const FOR_CONTAINERS: u64 = AUDIT_WRITE
    | CHOWN
    | DAC_OVERRIDE
    | FOWNER
    | FSETID
    | IPC_LOCK
    | KILL
    | MKNOD
    | NET_ADMIN
    | NET_BIND_SERVICE
    | NET_RAW
    | SETFCAP
    | SETGID
    | SETPCAP
    | SETUID
    | SYS_CHROOT
    | SYS_NICE
    | SYS_PTRACE;

/// What applying layers takes: owners, modes and nodes of any user.
const FOR_TREES: u64 = CHOWN | DAC_OVERRIDE | FOWNER | FSETID | MKNOD | SETFCAP;

/// The unprivileged user of fronts.
const NOBODY: u32 = 65534;

/// A process as it should be.
struct Expected {
    what: &'static str,
    user: u32,
    capabilities: u64,
    has_call_list: bool,
    gains_nothing: bool,
}

#[rustfmt::skip]
const SINGLE: [(&str, Expected); 2] = [
    ("cellblock-zfs", Expected { what: "zfs", user: 0, capabilities: DAC_OVERRIDE | FOWNER, has_call_list: true, gains_nothing: true }),
    ("cellblock-archive", Expected { what: "archive", user: 0, capabilities: FOR_TREES, has_call_list: true, gains_nothing: true }),
];

/// The hand is the launcher's child, the front the hand's. What containers inherit (the jail's hand) and what the host's nft
/// needs (the net's hand) can have no list of system calls.
#[rustfmt::skip]
const PAIRS: [(&str, Expected, Expected); 3] = [
    ("cellblock-mount",
        Expected { what: "mount, hand", user: 0, capabilities: FOR_TREES | SYS_ADMIN, has_call_list: true, gains_nothing: true },
        Expected { what: "mount, front", user: NOBODY, capabilities: 0, has_call_list: true, gains_nothing: true }),
    ("cellblock-jail",
        Expected { what: "jail, hand", user: 0, capabilities: FOR_CONTAINERS | SYS_ADMIN, has_call_list: false, gains_nothing: false },
        Expected { what: "jail, front", user: NOBODY, capabilities: 0, has_call_list: true, gains_nothing: true }),
    ("cellblock-net",
        Expected { what: "net, hand", user: 0, capabilities: NET_ADMIN | NET_BIND_SERVICE, has_call_list: false, gains_nothing: false },
        Expected { what: "net, front", user: 0, capabilities: NET_ADMIN, has_call_list: true, gains_nothing: true }),
];

/// An engine of its own with the base image, and the docker command for it.
fn start(test: &str) -> Option<(Engine, Docker)> {
    let started = match Command::new("docker").arg("--version").output() {
        Err(_) => Err("needs the docker command".to_owned()),
        Ok(_) => system_tests::busybox::root()
            .map_err(str::to_owned)
            .and_then(|_| Engine::start("proc")),
    };
    match started.and_then(|engine| engine.import_base().map(|()| engine)) {
        Ok(engine) => {
            let docker = Docker::new(&engine.socket());
            Some((engine, docker))
        }
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

fn kill(process: Process) {
    kill_process(
        Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    eventually("it is gone", || !process.lives());
}

/// The launcher's child of that program, once there is one other than `old`.
fn successor(engine: &Engine, program: &str, old: Process) -> Process {
    let others = || -> Vec<Process> {
        let children = proc::children(engine.launcher()).into_iter();
        children
            .filter(|process| process.program() == program && *process != old && process.lives())
            .filter(|process| !process.is_watcher())
            .collect()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match others().as_slice() {
            [one] => return *one,
            found => assert!(
                Instant::now() < deadline,
                "{program} in place of {old:?}: {found:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn offences(process: Process, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, found: String, wanted: String| {
        if found != wanted {
            wrong.push(format!(
                "{} (process {}): {what} is {found} and should be {wanted}",
                expected.what, process.pid
            ));
        }
    };
    for (set, mask) in [
        ("CapEff", expected.capabilities),
        ("CapPrm", expected.capabilities),
        ("CapBnd", expected.capabilities),
        ("CapInh", 0),
        ("CapAmb", 0),
    ] {
        check(
            set,
            format!("{:016x?}", process.capabilities(set)),
            format!("{:016x?}", Some(mask)),
        );
    }
    check(
        "user",
        format!("{:?}", process.uids()),
        format!("{:?}", [expected.user; 4]),
    );
    let line = |name: &str| process.status(name).unwrap_or_default();
    check(
        "Seccomp",
        line("Seccomp"),
        if expected.has_call_list { "2" } else { "0" }.to_owned(),
    );
    check(
        "NoNewPrivs",
        line("NoNewPrivs"),
        if expected.gains_nothing { "1" } else { "0" }.to_owned(),
    );
    wrong
}

#[test]
fn each_process_may_do_its_own_job_and_nothing_else() {
    let Some((engine, docker)) = start("each_process_may_do_its_own_job_and_nothing_else") else {
        return;
    };
    // What is found must be the same once every helper has worked.
    docker.ok("run --rm base true");
    let daemon = engine.child("cellblockd");
    let mut wrong = Vec::new();
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        if daemon.capabilities(set) != Some(0) {
            wrong.push(format!(
                "the daemon's {set} is {:016x?}",
                daemon.capabilities(set)
            ));
        }
    }
    if daemon.uids().contains(&0) || daemon.uids().len() != 4 {
        wrong.push(format!("the daemon runs as {:?}", daemon.uids()));
    }
    if daemon.status("NoNewPrivs").as_deref() != Some("1") || daemon.status("Groups").as_deref() != Some("") {
        wrong.push(format!(
            "the daemon can gain privilege: {:?} {:?}",
            daemon.status("NoNewPrivs"),
            daemon.status("Groups")
        ));
    }
    for (program, expected) in &SINGLE {
        wrong.extend(offences(engine.child(program), expected));
    }
    for (program, hand, front) in &PAIRS {
        let process = engine.child(program);
        wrong.extend(offences(process, hand));
        match proc::children(process.pid)
            .iter()
            .find(|child| child.program() == *program)
        {
            Some(child) => wrong.extend(offences(*child, front)),
            None => wrong.push(format!("{program} has no front")),
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    engine.stop();
}

#[test]
fn the_daemon_cannot_reach_what_the_helpers_keep() {
    let Some((engine, _)) = start("the_daemon_cannot_reach_what_the_helpers_keep") else {
        return;
    };
    let user = engine.child("cellblockd").uids()[0];
    for folder in ["pool", "jails", "audit"] {
        let path = engine.dir().join(folder);
        let status = Command::new("setpriv")
            .args([
                &format!("--reuid={user}"),
                &format!("--regid={user}"),
                "--clear-groups",
                "ls",
            ])
            .arg(&path)
            .output()
            .unwrap();
        assert!(!status.status.success(), "uid {user} can list {}", path.display());
    }
    engine.stop();
}

#[test]
fn images_and_containers_are_there_after_a_restart() {
    let Some((engine, docker)) = start("images_and_containers_are_there_after_a_restart") else {
        return;
    };
    docker.ok("run --name kept base sh -c 'echo one; echo kept > /f'");
    docker.ok("run -d --name ran base sh -c 'echo started; exec sleep 600'");
    let image = docker.ok("image inspect --format {{.Id}} base");
    let format =
        "--format '{{.Id}} {{.Created}} {{.State.Status}} {{.State.ExitCode}} {{.State.FinishedAt}}'";
    let kept = docker.ok(&format!("inspect {format} kept"));
    let engine = engine.stop_and_start();
    assert_eq!(docker.ok("image inspect --format {{.Id}} base"), image);
    assert_eq!(docker.ok(&format!("inspect {format} kept")), kept);
    assert_eq!(docker.ok("logs kept"), "one");
    assert!(docker.ok("cp kept:/f -").contains("kept\n"));
    assert_eq!(docker.ok("start -a kept"), "one");
    assert_eq!(docker.ok("inspect --format {{.State.Status}} ran"), "exited");
    docker.ok("start ran");
    eventually("it runs again", || docker.ok("logs ran") == "started\nstarted");
    assert_eq!(docker.ok("run --rm base echo new"), "new");
    docker.ok("rm -f kept ran");
    engine.stop();
}

/// What containers leave on the host while they exist.
fn leftovers(engine: &Engine) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in [
        "pool/containers",
        "mnt",
        "jails",
        "daemon/containers",
        "daemon/tmp",
    ] {
        let entries = fs::read_dir(engine.dir().join(folder))
            .into_iter()
            .flatten()
            .flatten();
        found.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    found.extend(proc::mounts_below(engine.dir()));
    let links = proc::interfaces(engine.interfaces());
    // The bridge stays for the next container.
    found.extend(
        links
            .into_iter()
            .filter(|name| !name[engine.interfaces().len()..].starts_with('b')),
    );
    found
}

fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd"))
        .map(Iterator::count)
        .unwrap_or(0)
}

#[test]
fn thirty_containers_later_nothing_is_left() {
    let Some((engine, docker)) = start("thirty_containers_later_nothing_is_left") else {
        return;
    };
    docker.ok("run --rm base true");
    eventually("the first is gone", || leftovers(&engine).is_empty());
    let processes = || -> BTreeSet<u32> {
        // A helper reaps its workers once a second.
        let family = proc::descendants(engine.launcher())
            .into_iter()
            .filter(|process| process.lives());
        family
            .map(|process| process.pid)
            .chain([engine.launcher()])
            .collect()
    };
    let (before, open) = (
        processes(),
        processes().into_iter().map(descriptors).sum::<usize>(),
    );
    for round in 0..30 {
        let option = [
            "",
            "--network none",
            "-t",
            "--tmpfs /t",
            "-v /etc:/in:ro",
            "-e A=b",
        ][round % 6];
        assert_eq!(
            docker.ok(&format!("run --rm {option} base echo {round}")).trim(),
            round.to_string()
        );
    }
    eventually("nothing is left", || leftovers(&engine).is_empty());
    eventually("the same processes are there", || processes() == before);
    let now = || processes().into_iter().map(descriptors).sum::<usize>();
    // A connection or two may be about to close.
    eventually("descriptors are closed", || now() <= open + 4);
    assert_eq!(docker.ok("ps -aq"), "");
    engine.stop();
}

#[test]
fn two_engines_beside_each_other_do_not_meet() {
    let name = "two_engines_beside_each_other_do_not_meet";
    let Some((first, docker_1)) = start(name) else {
        return;
    };
    let Some((second, docker_2)) = start(name) else {
        return;
    };
    let both = [&docker_1, &docker_2];
    // At the same moment, so that neither finds the other's network when it chooses its own.
    let starting = both.map(|docker| docker.start("run -d --name same base nc -ll -p 8080 -e hostname"));
    for run in starting {
        assert_eq!(run.end().code, 0);
    }
    let field = |docker: &Docker, path: &str| docker.ok(&format!("inspect --format {{{{{path}}}}} same"));
    let gateways = both.map(|docker| field(docker, ".NetworkSettings.Gateway"));
    assert_ne!(gateways[0], gateways[1]);
    for docker in both {
        let (address, host) = (
            field(docker, ".NetworkSettings.IPAddress"),
            field(docker, ".Config.Hostname"),
        );
        let ask = format!("run --rm base nc -w 5 {address} 8080");
        eventually("the neighbour answers", || docker.run(&ask).out.trim() == host);
    }
    docker_1.ok("rm -f same");
    assert_eq!(docker_2.ok("exec same echo untouched"), "untouched");
    first.stop();
    assert_eq!(docker_2.ok("exec same echo untouched"), "untouched");
    assert_eq!(docker_2.ok("run --rm base echo new"), "new");
    second.stop();
}

#[test]
fn the_audit_logs_verify_and_show_when_they_do_not() {
    let Some((engine, docker)) = start("the_audit_logs_verify_and_show_when_they_do_not") else {
        return;
    };
    docker.ok("run --rm base true");
    let engine = engine.stop_and_start();
    docker.ok("run --rm base true");
    let verify = || {
        Command::new(programs::path("cellblock"))
            .args(["audit", "verify", "--dir"])
            .arg(engine.dir())
            .output()
            .unwrap()
    };
    let good = verify();
    assert!(good.status.success(), "{good:?}");
    let shown = Command::new(programs::path("cellblock"))
        .args(["audit", "show", "--dir"])
        .arg(engine.dir())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.lines().count() > 10 && shown.contains("uid:0"), "{shown}");
    let logs: BTreeSet<String> = fs::read_dir(engine.dir().join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        logs,
        ["archive.log", "jail.log", "mount.log", "net.log", "zfs.log"]
            .map(str::to_owned)
            .into()
    );
    let path = engine.dir().join("audit/jail.log");
    let text = fs::read_to_string(&path).unwrap();
    // The helper goes on appending to the same file, so it is changed in place.
    let lied = text.replacen("verdict=ok", "verdict=OK", 1);
    assert_ne!(lied, text);
    fs::write(&path, lied).unwrap();
    let bad = verify();
    assert!(!bad.status.success(), "{bad:?}");
    let said = String::from_utf8_lossy(&bad.stdout).into_owned() + &String::from_utf8_lossy(&bad.stderr);
    assert!(said.contains("jail"), "{said}");
    engine.stop();
}
