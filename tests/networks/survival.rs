//! Networks over the daemon's death, and after many comings and goings.

use super::probe::Place;
use super::start;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::process::Command;
use system_tests::docker::eventually;
use system_tests::http;

/// Comings and goings: enough for a leak of one interface, address or descriptor each to be seen.
const CYCLES: usize = 500;

#[test]
fn ports_and_names_are_there_again_after_the_daemon_died() {
    let Some((engine, docker)) = start("ports_and_names_are_there_again_after_the_daemon_died") else {
        return;
    };
    docker.ok("network create lives");
    docker.ok("run -d --name server --network lives -p 7000 base sleep 600");
    docker.ok("run -d --name asker --network lives base sleep 600");
    let (server, before) = (Place::container(&docker, "server"), docker.ok("port server"));
    let _serving = server.serve(7000);
    let port = before.rsplit(':').next().unwrap().parse().unwrap();
    eventually("the port answers", || {
        Place::Host.ask("tcp", "127.0.0.1", port).is_some()
    });
    let daemon = engine.child("cellblockd");
    kill_process(Pid::from_raw(daemon.pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    eventually("another daemon answers", || docker.run("version").code == 0);
    assert_eq!(docker.ok("port server"), before);
    eventually("the port answers again", || {
        Place::Host.ask("tcp", "127.0.0.1", port).is_some()
    });
    let found = docker.run("exec asker nslookup server");
    assert_eq!(found.code, 0, "{found:?}");
    let said = docker.fails(1, "network rm lives");
    assert!(said.contains("has active endpoints"), "{said}");
    docker.ok("rm -f server asker");
    docker.ok("network rm lives");
    engine.stop();
}

#[test]
fn rules_that_were_flushed_come_back() {
    let Some((engine, docker)) = start("rules_that_were_flushed_come_back") else {
        return;
    };
    docker.ok("network create flushed");
    docker.ok("run -d --name server --network flushed base sleep 600");
    let id = docker.ok("network inspect --format '{{.Id}}' flushed");
    let table = || {
        let tables = nft(&["list", "tables", "inet"]);
        let own = tables.lines().find(|line| line.ends_with(&id[..12]));
        own.and_then(|line| line.split(' ').next_back())
            .map(str::to_owned)
    };
    let name = table().expect("the network has rules");
    let before = nft(&["list", "table", "inet", &name]);
    nft(&["delete", "table", "inet", &name]);
    assert_eq!(table(), None);
    eventually("the rules are there again", || table().is_some());
    assert_eq!(nft(&["list", "table", "inet", &name]), before);
    docker.ok("rm -f server");
    docker.ok("network rm flushed");
    engine.stop();
}

fn nft(arguments: &[&str]) -> String {
    let ran = Command::new("nft").args(arguments).output().unwrap();
    assert!(ran.status.success(), "nft {arguments:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn many_comings_and_goings_leave_nothing() {
    let Some((engine, docker)) = start("many_comings_and_goings_leave_nothing") else {
        return;
    };
    docker.ok("network create again");
    docker.ok("run -d --name comer base sleep 600");
    let interfaces = || -> BTreeSet<String> {
        let list = Command::new("ip").args(["-o", "link"]).output().unwrap();
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        list.lines()
            .filter_map(|line| line.split(": ").nth(1))
            .filter(|name| name.starts_with(engine.interfaces()))
            .map(str::to_owned)
            .collect()
    };
    let descriptors = || {
        let daemon = engine.child("cellblockd");
        std::fs::read_dir(format!("/proc/{}/fd", daemon.pid))
            .unwrap()
            .count()
    };
    let cycle = || {
        for verb in ["connect", "disconnect"] {
            let line = format!("POST /v1.51/networks/again/{verb}");
            let json = [("Content-Type", "application/json")];
            let answer = http::request(&engine.socket(), &line, &json, br#"{"Container":"comer"}"#);
            assert_eq!(answer.status, 200, "{verb}: {}", answer.text());
        }
    };
    cycle();
    let (links, open) = (interfaces(), descriptors());
    (0..CYCLES).for_each(|_| cycle());
    assert_eq!(interfaces(), links);
    // Connections of the API come and go meanwhile.
    let now = descriptors();
    assert!(now <= open + 4, "{now} descriptors, {open} before");
    let inside = docker.ok("exec comer ip -o link");
    assert_eq!(inside.lines().count(), 2, "{inside}");
    docker.ok("rm -f comer");
    docker.ok("network rm again");
    let id = docker.ok("network inspect --format '{{.Id}}' bridge");
    let has_rules = || nft(&["list", "tables", "inet"]).contains(&id[..12]);
    assert!(has_rules());
    engine.stop();
    assert!(!has_rules(), "the default bridge's rules go with the engine");
}
