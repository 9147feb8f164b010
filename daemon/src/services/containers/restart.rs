//! Restart policies: what dockerd's restart manager decides, and doing it.

use super::messages::{Found, Watch};
use super::start;
use super::state::{Container, Event, Phase, Starter};
use super::verbs::Deps;
use docker_api::host_config::RestartPolicy;
use protocol::Principal;
use std::sync::Arc;
use std::time::Duration;

/// The first wait of a policy.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// The longest: each wait is twice the one before.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A run that lasted so long was a good one: waits begin anew.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// How a run ended, as far as a policy asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Its exit code.
    pub exit_code: i64,
    /// How long it ran.
    pub ran: Duration,
    /// Somebody stopped it since somebody started it.
    pub stopped_by_hand: bool,
    /// How often the policy started it before.
    pub restarts: i64,
    /// How long it waited the last time.
    pub waited: Duration,
}

/// How long to wait until the next start; none where there shall be none.
#[must_use]
pub(super) fn decide(policy: &RestartPolicy, end: End) -> Option<Duration> {
    let wanted = match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !end.stopped_by_hand,
        "on-failure" => {
            end.exit_code != 0
                && (policy.maximum_retry_count == 0 || end.restarts < policy.maximum_retry_count)
        }
        _ => false,
    };
    let wait = if end.ran >= GOOD_RUN || end.waited.is_zero() {
        WAIT_MIN
    } else {
        (end.waited * 2).min(WAIT_MAX)
    };
    wanted.then_some(wait)
}

/// What a container's policy says at the end of its run.
pub(super) fn after(container: &Container, exit_code: i64, now_ns: i64) -> Option<Duration> {
    let end = End {
        exit_code,
        ran: Duration::from_nanos(u64::try_from(now_ns - container.started_ns).unwrap_or_default()),
        stopped_by_hand: container.stopped_by_hand,
        restarts: container.restart_count,
        waited: Duration::from_millis(container.restart_wait_ms),
    };
    decide(&container.host_config.restart_policy, end).filter(|_| !container.is_ending)
}

/// Whether a container that does not run is started when the daemon starts, as after a restart of the host.
pub(super) fn at_boot(container: &Container) -> bool {
    let ended = matches!(container.phase, Phase::Restarting)
        || (container.phase == Phase::Exited && container.started_ns != 0);
    let end = End {
        exit_code: container.exit_code,
        ran: GOOD_RUN,
        stopped_by_hand: container.stopped_by_hand,
        restarts: 0,
        waited: Duration::ZERO,
    };
    ended && decide(&container.host_config.restart_policy, end).is_some()
}

/// Starts a container again after its wait, unless it is stopped, removed or started meanwhile.
pub(super) fn later(deps: &Arc<Deps>, by: &Principal, container: &Arc<Container>, wait: Duration) {
    let (deps, by, id, exits) = (
        Arc::clone(deps),
        by.clone(),
        container.id.clone(),
        container.exits,
    );
    tokio::spawn(async move {
        let Ok(Some(mut view)) = deps.table.ask(Watch { id: id.clone() }).await else {
            return;
        };
        let over = |now: &Container| now.phase != Phase::Restarting || now.exits != exits;
        let cancelled = async {
            // A table that is gone cancels too.
            let _ = view.wait_for(|now| over(now)).await;
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = cancelled => return,
        }
        deps.wait_until_reconciled().await;
        again(&deps, &by, &id, Starter::Policy).await;
    });
}

/// Starts a container in the name of its policy; one that cannot be started stays ended.
pub(super) async fn again(deps: &Arc<Deps>, by: &Principal, id: &str, starter: Starter) {
    let find = super::messages::Find {
        text: id.to_owned(),
        tenant: by.tenant.as_str().to_owned(),
    };
    let Ok(Ok(found)) = deps.table.ask(find).await else {
        return;
    };
    let Found { container, .. } = &found;
    if let Err(error) = start::start(deps, by, &found, starter).await {
        tracing::warn!(%error, container = container.id, "not started again");
        // Where it was not even tried (it was stopped at this moment) this changes nothing.
        let _ = deps.change(id, Event::RestartCancelled).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::container;
    use super::*;

    fn policy(name: &str, maximum_retry_count: i64) -> RestartPolicy {
        RestartPolicy {
            name: name.to_owned(),
            maximum_retry_count,
        }
    }

    const END: End = End {
        exit_code: 1,
        ran: Duration::from_secs(1),
        stopped_by_hand: false,
        restarts: 0,
        waited: Duration::ZERO,
    };

    #[test]
    fn policies_decide_as_dockerds_do() {
        let restarts = |name: &str, count: i64, end: End| decide(&policy(name, count), end).is_some();
        let good = End { exit_code: 0, ..END };
        let stopped = End {
            stopped_by_hand: true,
            ..END
        };
        let third = End { restarts: 2, ..END };
        for (name, count, end, wanted) in [
            ("", 0, END, false),
            ("no", 0, END, false),
            ("always", 0, good, true),
            ("always", 0, stopped, true),
            ("unless-stopped", 0, good, true),
            ("unless-stopped", 0, stopped, false),
            ("on-failure", 0, good, false),
            ("on-failure", 0, third, true),
            ("on-failure", 3, third, true),
            ("on-failure", 2, third, false),
        ] {
            assert_eq!(restarts(name, count, end), wanted, "{name}:{count} {end:?}");
        }
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let always = policy("always", 0);
        let mut end = END;
        let mut waits = Vec::new();
        for _ in 0..12 {
            end.waited = decide(&always, end).unwrap();
            waits.push(end.waited.as_millis());
        }
        assert_eq!(
            waits,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
        end.ran = GOOD_RUN;
        assert_eq!(decide(&always, end), Some(WAIT_MIN));
    }

    #[test]
    fn a_container_that_is_stopped_or_never_ran_is_not_started() {
        let with = |phase, name: &str| {
            let mut one = container(phase);
            one.host_config.restart_policy = policy(name, 0);
            one.started_ns = 1;
            one
        };
        let mut stopped = with(Phase::Running { pid: 1 }, "always");
        assert!(after(&stopped, 0, 2).is_some());
        stopped.is_ending = true;
        assert!(after(&stopped, 0, 2).is_none());
        assert!(at_boot(&with(Phase::Exited, "always")));
        assert!(at_boot(&with(Phase::Restarting, "unless-stopped")));
        assert!(!at_boot(&with(Phase::Exited, "no")));
        assert!(!at_boot(&with(Phase::Exited, "on-failure")), "it ended well");
        assert!(!at_boot(&with(Phase::Created, "always")));
        stopped = with(Phase::Exited, "unless-stopped");
        stopped.stopped_by_hand = true;
        assert!(!at_boot(&stopped));
    }
}
