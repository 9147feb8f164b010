//! The end of a run: seeing it, taking away what the start made, telling everybody.

use super::state::{Container, Event, Phase};
use super::verbs::Deps;
use super::{endpoint, health, mounting, restart, start};
use crate::services::processes::Ended;
use crate::services::processes::messages::DropExecs;
use crate::services::{Failure, naming};
use docker_api::containers::WaitCondition;
use protocol::Principal;
use std::sync::Arc;
use tokio::sync::watch;

/// Goes on watching a run in the background until its end.
pub(super) fn watch(deps: &Arc<Deps>, by: &Principal, container: &Arc<Container>, running: Ended) {
    health::monitor(deps, by, container);
    let (deps, by, container) = (Arc::clone(deps), by.clone(), Arc::clone(container));
    tokio::spawn(async move {
        let Ended {
            exit_code,
            process_over,
            ..
        } = running;
        let _ = process_over.await;
        let oom_killed = was_oom_killed(&deps, &by, &container).await;
        // What the first process left behind ends now, so that the output ends too.
        remove_jail(&deps, &by, &container.id).await;
        let exit_code = exit_code.await.unwrap_or(255);
        ended(&deps, &by, &container.id, exit_code, oom_killed).await;
    });
}

/// Whether a process of the run was killed because memory ran out. Asked while the jail is still there.
async fn was_oom_killed(deps: &Deps, by: &Principal, container: &Container) -> bool {
    let Ok(jail) = naming::jail(&container.id) else {
        return false;
    };
    // Without a limit of its own a container dies of the host's, which dockerd does not tell either.
    let is_limited = container.host_config.memory > 0;
    let killed = is_limited
        && deps
            .helpers
            .jail
            .usage(by, jail)
            .await
            .is_ok_and(|usage| usage.oom_kills > 0);
    if killed {
        deps.tell(container, "oom", &[]);
    }
    killed
}

/// Takes away what a run needed, then tells that it is over, and has its policy start it again.
pub(super) async fn ended(deps: &Arc<Deps>, by: &Principal, id: &str, exit_code: i64, oom_killed: bool) {
    let Ok(Some(view)) = deps.table.ask(super::messages::Watch { id: id.to_owned() }).await else {
        return;
    };
    let container = Arc::clone(&view.borrow());
    // Taking away begins with the descriptors that the exit code came from.
    if let Err(error) = deps.change(id, Event::Over { exit_code }).await {
        tracing::error!(%error, container = id, "an exit code was not recorded");
    }
    tear_down(deps, by, &container).await;
    // Before anybody is told that it is over: whoever stopped it finds none of its execs.
    if let Err(error) = deps
        .processes
        .ask(DropExecs {
            container: id.to_owned(),
        })
        .await
    {
        tracing::warn!(%error, container = id, "execs not forgotten");
    }
    // What was wished meanwhile counts: whoever stops it says so before it ends.
    let wished = Arc::clone(&view.borrow());
    let restart_after = restart::after(&wished, exit_code, crate::services::clock::now_ns());
    let event = Event::Ended {
        exit_code,
        oom_killed,
        restart_after,
    };
    let container = match deps.change(id, event).await {
        Ok(container) => container,
        Err(error) => {
            tracing::error!(%error, container = id, "the end of a run was not recorded");
            return;
        }
    };
    let ran_s = (container.finished_ns - container.started_ns) / 1_000_000_000;
    let extra = [
        ("exitCode", exit_code.to_string()),
        ("execDuration", ran_s.to_string()),
    ];
    deps.tell(&container, "die", &extra);
    if let Some(wait) = restart_after.filter(|_| container.phase == Phase::Restarting) {
        restart::later(deps, by, &container, wait);
    }
    if container.host_config.auto_remove && !container.is_kept {
        super::remove::auto_remove(deps, by, &container).await;
    }
}

async fn remove_jail(deps: &Deps, by: &Principal, id: &str) {
    let removed = match naming::jail(id) {
        Ok(jail) => deps.helpers.jail.remove(by, jail).await.map_err(Failure::from),
        Err(bad) => Err(bad.into()),
    };
    report(id, "jail", removed);
}

/// Takes away jail, link, mounts and kept descriptors. Each is fine where it is gone already, so this may be called at any
/// time for a container that does not run.
pub(super) async fn tear_down(deps: &Deps, by: &Principal, container: &Container) {
    let id = &container.id;
    remove_jail(deps, by, id).await;
    // A process that a descriptor holds back from being reaped keeps its jail's root in use.
    if let Err(error) = deps.launcher.forget(&start::keep_key(id)) {
        tracing::warn!(%error, container = id, "the launcher does not answer");
    }
    report(id, "link", endpoint::disconnect(deps, by, container).await);
    // What lies below the root goes with it; a root that `docker cp` still uses is unmounted by that.
    report(id, "root", deps.roots.let_go(id).await);
    report(id, "volumes", mounting::leave_all(deps, by, container).await);
    report(id, "address", endpoint::forget(deps, container).await);
}

fn report(id: &str, what: &str, result: Result<(), Failure>) {
    if let Err(error) = result {
        tracing::warn!(%error, container = id, what, "not taken away");
    }
}

/// Waits as `POST /containers/{id}/wait` does; gives the exit code and the error of a failed start.
pub(super) async fn wait(
    mut view: watch::Receiver<Arc<Container>>,
    condition: WaitCondition,
) -> (i64, String) {
    let exits_before = view.borrow().exits;
    loop {
        let (is_over, answer) = {
            let now = view.borrow_and_update();
            let is_over = match condition {
                // An end is an end, even where the container is going to be started again.
                WaitCondition::NotRunning => !now.is_running() || now.exits > exits_before,
                WaitCondition::NextExit => now.exits > exits_before,
                // A removal that failed will not happen by itself.
                WaitCondition::Removed => now.phase == Phase::Dead,
            };
            (is_over, (now.exit_code, now.error.clone()))
        };
        if is_over {
            return answer;
        }
        // A container that is forgotten has been removed; how its start failed is not told to who waited for that.
        if view.changed().await.is_err() {
            return (answer.0, String::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::container;
    use super::*;

    #[tokio::test]
    async fn conditions_wait_for_different_things() {
        let created = Arc::new(container(Phase::Created));
        let (sender, view) = watch::channel(Arc::clone(&created));
        assert_eq!(wait(view.clone(), WaitCondition::NotRunning).await.0, 0);
        let next = tokio::spawn(wait(view.clone(), WaitCondition::NextExit));
        let removed = tokio::spawn(wait(view, WaitCondition::Removed));
        tokio::task::yield_now().await;
        let mut over = Container::clone(&created);
        (over.phase, over.exits, over.exit_code) = (Phase::Exited, 1, 3);
        sender.send_replace(Arc::new(over));
        assert_eq!(next.await.unwrap().0, 3);
        assert!(!removed.is_finished());
        drop(sender);
        assert_eq!(removed.await.unwrap().0, 3);
    }
}
