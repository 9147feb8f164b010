//! The state machine as a table.

use super::*;

pub(crate) fn container(phase: Phase) -> Container {
    Container {
        id: "ab".repeat(32),
        name: "x".to_owned(),
        tenant: "default".to_owned(),
        created_ns: 1,
        image_id: String::new(),
        image_os: "linux".to_owned(),
        chain: Vec::new(),
        config: ContainerConfig::default(),
        host_config: HostConfig::default(),
        attachments: Vec::new(),
        path: "true".to_owned(),
        args: Vec::new(),
        mounts: Vec::new(),
        phase,
        started_ns: 0,
        finished_ns: 0,
        exit_code: 0,
        over: None,
        error: String::new(),
        exits: 0,
        restart_count: 0,
        restart_wait_ms: 0,
        stopped_by_hand: false,
        is_ending: false,
        is_kept: false,
        oom_killed: false,
        health: None,
    }
}

fn ended(restart_after: Option<Duration>) -> Event {
    Event::Ended {
        exit_code: 3,
        oom_killed: false,
        restart_after,
    }
}

/// Every state, and what each event makes of it: the next state or the refusal.
#[test]
fn every_state_answers_every_event_as_the_table_says() {
    use Phase::{Created, Dead, Exited, Removing, Restarting};
    let (running, paused) = (Phase::Running { pid: 7 }, Phase::Paused { pid: 7 });
    let started = |by| Event::Started { pid: 7, by };
    let failed = Event::StartFailed {
        error: "no".to_owned(),
        exit_code: 127,
    };
    let states = [Created, running, paused, Restarting, Exited, Removing, Dead];
    let (r, p, n) = (
        Err(Refusal::Running),
        Err(Refusal::Paused),
        Err(Refusal::NotRunning),
    );
    let (again, removing, dead) = (
        Err(Refusal::Restarting),
        Err(Refusal::Removing),
        Err(Refusal::Dead),
    );
    let not_paused = Err(Refusal::NotPaused);
    let soon = Some(Duration::from_millis(100));
    // In the order of `states`.
    let table = [
        (
            started(Starter::Hand),
            [Ok(running), r, p, r, Ok(running), removing, dead],
        ),
        (
            started(Starter::Policy),
            [n, r, p, Ok(running), n, removing, dead],
        ),
        (
            started(Starter::Boot),
            [n, r, p, Ok(running), Ok(running), removing, dead],
        ),
        (
            failed,
            [Ok(Created), r, p, Ok(Exited), Ok(Exited), removing, dead],
        ),
        (
            Event::Over { exit_code: 3 },
            [n, Ok(running), Ok(paused), n, n, n, n],
        ),
        (ended(None), [n, Ok(Exited), Ok(Exited), n, n, n, n]),
        (ended(soon), [n, Ok(Restarting), Ok(Restarting), n, n, n, n]),
        (Event::RestartCancelled, [n, n, n, Ok(Exited), n, n, n]),
        (Event::Paused, [n, Ok(paused), p, again, n, n, n]),
        (
            Event::Resumed,
            [
                not_paused,
                not_paused,
                Ok(running),
                not_paused,
                not_paused,
                not_paused,
                not_paused,
            ],
        ),
        (
            Event::RemovalBegan,
            [Ok(Removing), r, p, again, Ok(Removing), removing, Ok(Removing)],
        ),
        (Event::RemovalFailed, [Ok(Dead); 7]),
        (
            Event::EndWanted {
                by_hand: true,
                keep: false,
            },
            states.map(Ok),
        ),
        (Event::Updated(Box::default()), states.map(Ok)),
        (Event::Renamed { name: "y".to_owned() }, states.map(Ok)),
        (Event::Attached(Vec::new()), states.map(Ok)),
        (Event::Health(None), states.map(Ok)),
    ];
    for (event, wanted) in table {
        for (before, wanted) in states.into_iter().zip(wanted) {
            let mut subject = container(before);
            let result = subject.apply(event.clone(), 5).map(|()| subject.phase);
            assert_eq!(result, wanted, "{before:?} {event:?}");
        }
    }
}

#[test]
fn a_new_run_forgets_how_the_last_one_ended_but_not_when() {
    let mut subject = container(Phase::Running { pid: 1 });
    subject.apply(ended(None), 10).unwrap();
    assert_eq!(
        (subject.exit_code, subject.finished_ns, subject.exits),
        (3, 10, 1)
    );
    let by = Starter::Hand;
    subject.apply(Event::Started { pid: 2, by }, 11).unwrap();
    assert_eq!(
        (subject.exit_code, subject.finished_ns, subject.exits),
        (0, 10, 1)
    );
}

#[test]
fn restarts_are_counted_until_somebody_starts_it() {
    let mut subject = container(Phase::Running { pid: 1 });
    for count in 1..=2 {
        subject
            .apply(ended(Some(Duration::from_millis(200))), 10)
            .unwrap();
        assert_eq!((subject.restart_count, subject.restart_wait_ms), (count, 200));
        let by = Starter::Policy;
        subject.apply(Event::Started { pid: 2, by }, 11).unwrap();
    }
    subject
        .apply(
            Event::EndWanted {
                by_hand: true,
                keep: false,
            },
            12,
        )
        .unwrap();
    subject.apply(ended(None), 13).unwrap();
    assert!(subject.stopped_by_hand && subject.is_ending);
    let by = Starter::Hand;
    subject.apply(Event::Started { pid: 2, by }, 14).unwrap();
    assert_eq!((subject.restart_count, subject.restart_wait_ms), (0, 0));
    assert!(!subject.stopped_by_hand && !subject.is_ending);
}
