//! Start, restart, stop.

use crate::instance::{Ground, PROGRAMS, can_run, eventually, is_alive, kill};
use protocol::handshake::HelperKind;
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn one_line_says_where_the_api_is_and_a_restarted_daemon_adds_none() {
    if !can_run("one_line_says_where_the_api_is_and_a_restarted_daemon_adds_none") {
        return;
    }
    let ground = Ground::new("line");
    let mut instance = ground.start();
    instance.order("crash");
    eventually("a second daemon is ready", || {
        instance.log().matches("cellblockd is ready").count() == 2
    });
    instance.signal(Signal::TERM);
    assert!(instance.wait().success());
    assert_eq!(instance.lines.iter().count(), 0);
}

#[test]
fn what_is_kept_survives_daemons_that_crash() {
    if !can_run("what_is_kept_survives_daemons_that_crash") {
        return;
    }
    let ground = Ground::new("kept");
    let instance = ground.start();
    instance.expect("kept", "");
    instance.expect("keep container/a hello", "done");
    instance.expect("keep container/b gone", "done");
    instance.expect("forget container/b", "done");
    // The launcher has not read this one yet when the daemon ends.
    instance.order("keep-and-crash exec/c last");
    instance.expect("kept", "container/a exec/c");
    instance.expect("read container/a", "hello");
    instance.order("crash");
    instance.expect("kept", "container/a exec/c");
    instance.expect("read exec/c", "last");
}

#[test]
fn a_helper_that_dies_comes_back_to_the_same_daemon() {
    if !can_run("a_helper_that_dies_comes_back_to_the_same_daemon") {
        return;
    }
    let ground = Ground::new("helper");
    let instance = ground.start();
    let daemon = instance.process("cellblockd");
    for kind in HelperKind::ALL {
        instance.expect(&format!("ask {} one", kind.name()), "one");
        kill(
            instance.process(&format!("cellblock-{}", kind.name())),
            Signal::KILL,
        );
        instance.expect(&format!("ask {} two", kind.name()), "two");
    }
    assert_eq!(instance.process("cellblockd"), daemon);
    assert_eq!(ground.count("start"), 1);
}

#[test]
fn what_a_helper_left_in_its_group_ends_with_it() {
    if !can_run("what_a_helper_left_in_its_group_ends_with_it") {
        return;
    }
    let ground = Ground::new("group");
    let instance = ground.start();
    instance.expect("ask mount fork", "fork");
    let helper = instance.process("cellblock-mount");
    let rest = instance.process("sleep");
    kill(helper, Signal::KILL);
    eventually("the rest is gone", || !is_alive(rest));
    instance.expect("ask mount again", "again");
}

#[test]
fn a_new_daemon_gets_five_new_helpers() {
    if !can_run("a_new_daemon_gets_five_new_helpers") {
        return;
    }
    let ground = Ground::new("daemon");
    let instance = ground.start();
    let before = PROGRAMS.map(|program| instance.process(program));
    kill(before[0], Signal::KILL);
    for kind in HelperKind::ALL {
        instance.expect(&format!("ask {} again", kind.name()), "again");
    }
    let after = PROGRAMS.map(|program| instance.process(program));
    assert!(
        before.iter().all(|pid| !after.contains(pid)),
        "{before:?} {after:?}"
    );
    assert_eq!(instance.children().len(), PROGRAMS.len());
}

#[test]
fn a_daemon_that_breaks_the_protocol_is_replaced() {
    if !can_run("a_daemon_that_breaks_the_protocol_is_replaced") {
        return;
    }
    let ground = Ground::new("babble");
    let instance = ground.start();
    let daemon = instance.process("cellblockd");
    instance.order("babble");
    eventually("it is gone", || !is_alive(daemon));
    instance.expect("kept", "");
    assert!(
        instance.log().contains("cellblockd broke the protocol"),
        "{}",
        instance.log()
    );
}

#[test]
fn what_never_starts_is_given_up_after_waits_that_grow() {
    if !can_run("what_never_starts_is_given_up_after_waits_that_grow") {
        return;
    }
    let ground = Ground::new("hopeless");
    let mut instance = ground.start();
    instance.signal(Signal::TERM);
    assert!(instance.wait().success());
    fs::write(ground.daemon("crash-at-start"), "").unwrap();
    let begun = Instant::now();
    let said = ground.refused(&[]);
    // 100, 200, 400 and 800 ms lie between five starts.
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert_eq!(ground.count("start"), 1 + 5);
    assert!(said.contains("giving up"), "{said}");
    assert!(!ground.base().join("docker.sock").exists());
}

#[test]
fn a_stop_asks_the_daemon_and_leaves_nothing_running_and_everything_on_disk() {
    if !can_run("a_stop_asks_the_daemon_and_leaves_nothing_running_and_everything_on_disk") {
        return;
    }
    let ground = Ground::new("stop");
    for round in 1..=2 {
        let mut instance = ground.start();
        let processes = PROGRAMS.map(|program| instance.process(program));
        assert!(instance.socket().exists());
        instance.signal(if round == 1 { Signal::TERM } else { Signal::INT });
        assert_eq!(instance.wait().code(), Some(0), "{}", instance.log());
        assert_eq!(processes.map(is_alive), [false; 6]);
        assert!(!ground.base().join("docker.sock").exists());
        // Both daemons wrote to the same journal.
        assert_eq!((ground.count("start"), ground.count("stop")), (round, round));
    }
}

#[test]
fn a_second_interrupt_kills_everything_at_once() {
    if !can_run("a_second_interrupt_kills_everything_at_once") {
        return;
    }
    let ground = Ground::new("interrupt");
    let mut instance = ground.start();
    let processes = PROGRAMS.map(|program| instance.process(program));
    fs::write(ground.daemon("deaf"), "").unwrap();
    instance.signal(Signal::INT);
    eventually("the daemon heard", || ground.count("stop") == 1);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(processes.map(is_alive), [true; 6]);
    instance.signal(Signal::INT);
    assert_eq!(instance.wait().code(), Some(1));
    eventually("all are gone", || processes.map(is_alive) == [false; 6]);
}

#[test]
fn helpers_that_die_during_a_stop_are_started_again_and_a_daemon_is_not() {
    if !can_run("helpers_that_die_during_a_stop_are_started_again_and_a_daemon_is_not") {
        return;
    }
    let ground = Ground::new("stopping");
    let mut instance = ground.start();
    fs::write(ground.daemon("deaf"), "").unwrap();
    instance.signal(Signal::TERM);
    eventually("the daemon heard", || ground.count("stop") == 1);
    kill(instance.process("cellblock-mount"), Signal::KILL);
    instance.expect("ask mount still", "still");
    instance.order("crash");
    // Its containers were not stopped.
    assert_eq!(instance.wait().code(), Some(1));
    assert_eq!(ground.count("start"), 1);
}

#[test]
fn a_stop_does_not_wait_for_what_is_gone_already() {
    if !can_run("a_stop_does_not_wait_for_what_is_gone_already") {
        return;
    }
    let ground = Ground::new("gone");
    let mut instance = ground.start();
    fs::write(ground.daemon("deaf"), "").unwrap();
    instance.signal(Signal::TERM);
    eventually("the daemon heard", || ground.count("stop") == 1);
    // The launcher sees all of them end at once.
    instance.signal(Signal::STOP);
    // Named first, killed then: helpers end by themselves when the daemon does.
    let processes = PROGRAMS.map(|program| instance.process(program));
    processes.into_iter().for_each(|pid| kill(pid, Signal::KILL));
    let begun = Instant::now();
    instance.signal(Signal::CONT);
    instance.wait();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn containers_are_left_alone_where_the_configuration_says_so() {
    if !can_run("containers_are_left_alone_where_the_configuration_says_so") {
        return;
    }
    let ground = Ground::new("left");
    let config = ground.config("stop_containers_on_exit = false\n");
    let mut instance = ground.start_with(&["--config", &config]);
    eventually("it is ready", || instance.log().contains("is ready"));
    instance.signal(Signal::TERM);
    assert_eq!(instance.wait().code(), Some(0));
    assert_eq!((ground.count("stop"), ground.count("launcher gone")), (0, 1));
}

#[test]
fn orphans_are_reaped() {
    if !can_run("orphans_are_reaped") {
        return;
    }
    let ground = Ground::new("orphan");
    let instance = ground.start();
    instance.expect("orphan", "exit status: 0");
    let is_sleep = |(_, name, _): &(u32, String, char)| name == "sleep";
    eventually("the orphan is ours", || instance.children().iter().any(is_sleep));
    eventually("and gone without a trace", || {
        !instance.children().iter().any(is_sleep)
    });
}
