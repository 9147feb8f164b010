//! `docker rm`.

use super::judge::{Ask, judge};
use super::messages::{Forget, Found, Watch};
use super::state::{Container, Event, MountPlan};
use super::stop;
use super::verbs::Deps;
use crate::kernel::limits::KILL_DEADLINE;
use crate::services::processes::messages::DropContainer;
use crate::services::{Failure, naming};
use crate::store::Kind;
use docker_api::error;
use protocol::Principal;
use std::sync::Arc;

/// How to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
}

/// Removes a container.
///
/// # Errors
/// `Conflict` where it runs and `force` was not asked for, or is being removed.
pub(super) async fn remove(
    deps: &Arc<Deps>,
    by: &Principal,
    found: &Found,
    text: &str,
    how: How,
) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let id = &found.container.id;
    let gone = || Failure::NotFound(error::no_such_container(text));
    let view = deps.table.ask(Watch { id: id.clone() }).await?.ok_or_else(gone)?;
    let container = Arc::clone(&view.borrow());
    if container.is_running() {
        if !how.force {
            judge(Ask::Remove, &container, text)?;
        }
        let killed = stop::kill(
            deps,
            by,
            &Found {
                container: Arc::clone(&container),
                lock: Arc::default(),
            },
            "KILL",
        )
        .await;
        stop::unless_over(killed)?;
        stop::wait_until_over(deps, &container, KILL_DEADLINE).await?;
        if container.host_config.auto_remove {
            // Its own end removes it; what is left of that is waited for.
            return wait_until_gone(view).await;
        }
    }
    really_remove(deps, by, &container, text, how).await
}

async fn wait_until_gone(mut view: tokio::sync::watch::Receiver<Arc<Container>>) -> Result<(), Failure> {
    let gone = async { while view.changed().await.is_ok() {} };
    match tokio::time::timeout(KILL_DEADLINE, gone).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure::System(
            "the container was not removed in time".to_owned(),
        )),
    }
}

async fn really_remove(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    text: &str,
    how: How,
) -> Result<(), Failure> {
    let id = &container.id;
    deps.change(id, Event::RemovalBegan)
        .await
        .map_err(|failure| match failure {
            Failure::Conflict(_) => Failure::Conflict(error::removal_in_progress(text)),
            other => other,
        })?;
    match erase(deps, by, container, how.volumes).await {
        Ok(()) => {
            deps.tell(container, "destroy", &[]);
            Ok(())
        }
        Err(failure) => {
            let _ = deps.change(id, Event::RemovalFailed).await;
            Err(failure.within(&format!(
                "container {id}: driver failed to remove root filesystem"
            )))
        }
    }
}

/// `run --rm`: the container goes when it ends, with its anonymous volumes.
pub(super) async fn auto_remove(deps: &Deps, by: &Principal, container: &Container) {
    let how = How {
        force: true,
        volumes: true,
    };
    if let Err(error) = really_remove(deps, by, container, &container.name, how).await {
        tracing::error!(%error, container = container.id, "not removed by itself");
    }
}

/// Takes away everything that a container that does not run has: mounts, dataset, directory, row, place in the tables. May be
/// called again after it failed half-way.
///
/// # Errors
/// What the helpers or the store answer.
pub(super) async fn erase(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    with_volumes: bool,
) -> Result<(), Failure> {
    let id = &container.id;
    deps.roots.let_go(id).await?;
    deps.helpers
        .mount
        .unmount(by, naming::container_mount(id)?)
        .await?;
    deps.helpers
        .zfs
        .destroy(by, naming::container_dataset(id)?)
        .await?;
    for name in container.mounts.iter().filter_map(MountPlan::volume) {
        deps.volumes.release(by, name, id).await;
    }
    let anonymous = container.mounts.iter().filter_map(MountPlan::anonymous_volume);
    for name in anonymous.filter(|_| with_volumes) {
        deps.volumes.remove_if_unused(by, name).await?;
    }
    match tokio::fs::remove_dir_all(deps.directory(id)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::System(error.to_string()));
        }
        Ok(()) | Err(_) => {}
    }
    deps.store.delete(Kind::Container, id).await?;
    deps.processes
        .ask(DropContainer {
            container: id.clone(),
        })
        .await?;
    deps.table.ask(Forget { id: id.clone() }).await?;
    Ok(())
}
