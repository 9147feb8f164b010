//! At start, wishes (the store) are compared with facts (what the helpers list), and whatever an earlier daemon left half-done
//! is finished or undone. At the end, everything is stopped.

use super::housekeeping_of;
use super::supervisor::Kept;
use super::wiring::Kernel;
use crate::services::containers::{Container, Phase, StopHow, StopWhy};
use crate::services::{Failure, naming};
use protocol::names::{DatasetName, MountName};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes facts and wishes agree. Errors are logged: one broken container must not keep the others down.
pub(super) async fn reconcile(kernel: &Kernel, mut kept: Kept) {
    let containers = match kernel.containers.everyones().await {
        Ok(containers) => containers,
        Err(error) => return tracing::error!(%error, "containers are not known"),
    };
    let mut running = BTreeSet::new();
    for container in &containers {
        let descriptors = kept.remove(&format!("container/{}", container.id));
        if settle(kernel, container, descriptors).await {
            running.insert(container.id.clone());
        }
    }
    for key in kept.keys() {
        report(
            "kept descriptors",
            kernel
                .launcher
                .forget(key)
                .map_err(|e| Failure::System(e.to_string())),
        );
    }
    report("jails", remove_stray_jails(kernel, &running).await);
    report("links", remove_stray_links(kernel, &containers, &running).await);
    report("mounts", remove_stray_mounts(kernel, &running).await);
    let known: BTreeSet<String> = containers.iter().map(|container| container.id.clone()).collect();
    report("datasets", remove_stray_datasets(kernel, &known).await);
}

/// Goes on with a container; says whether it runs.
async fn settle(
    kernel: &Kernel,
    container: &Arc<Container>,
    descriptors: Option<Vec<std::os::fd::OwnedFd>>,
) -> bool {
    let by = match housekeeping_of(&container.tenant) {
        Ok(by) => by,
        Err(error) => {
            tracing::error!(%error, container = container.id, "a tenant that cannot be");
            return false;
        }
    };
    match (container.phase, descriptors) {
        (Phase::Running { pid } | Phase::Paused { pid }, Some(descriptors)) => {
            match kernel.containers.adopt(&by, container, pid, descriptors).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::error!(%error, container = container.id, "not adopted");
                    kernel.containers.lost(&by, container).await;
                }
            }
        }
        (Phase::Running { .. } | Phase::Paused { .. }, None) => kernel.containers.lost(&by, container).await,
        (Phase::Removing, _) => {
            report(
                "a removal",
                kernel.containers.finish_removal(&by, container).await,
            );
        }
        (Phase::Created | Phase::Restarting | Phase::Exited | Phase::Dead, _) => {}
    }
    false
}

async fn remove_stray_jails(kernel: &Kernel, running: &BTreeSet<String>) -> Result<(), Failure> {
    let jails = kernel.helpers.jail.list(&kernel.by).await?;
    for jail in jails
        .into_iter()
        .filter(|info| !running.contains(info.jail.as_str()))
    {
        kernel.helpers.jail.remove(&kernel.by, jail.jail).await?;
    }
    Ok(())
}

async fn remove_stray_links(
    kernel: &Kernel,
    containers: &[Arc<Container>],
    running: &BTreeSet<String>,
) -> Result<(), Failure> {
    let used: BTreeSet<String> = containers
        .iter()
        .filter(|container| running.contains(&container.id))
        .flat_map(|container| &container.attachments)
        .filter_map(|attachment| attachment.endpoint.as_ref())
        .filter_map(|endpoint| naming::endpoint_interface(&kernel.installation, &endpoint.endpoint_id).ok())
        .map(|name| name.as_str().to_owned())
        .collect();
    let ours = naming::endpoint_interface(&kernel.installation, "")?;
    for interface in kernel.helpers.net.list(&kernel.by).await? {
        if interface.as_str().starts_with(ours.as_str()) && !used.contains(interface.as_str()) {
            kernel.helpers.net.remove_interface(&kernel.by, interface).await?;
        }
    }
    Ok(())
}

async fn remove_stray_mounts(kernel: &Kernel, running: &BTreeSet<String>) -> Result<(), Failure> {
    let points: BTreeSet<MountName> = kernel
        .helpers
        .mount
        .list(&kernel.by)
        .await?
        .into_iter()
        .map(|mounted| mounted.at)
        .collect();
    // Container roots first: volumes are bound below them.
    for at in &points {
        let of_running = at.container().is_some_and(|id| running.contains(id));
        if !of_running && !at.as_str().starts_with("v-") {
            report(
                "a mount",
                kernel
                    .helpers
                    .mount
                    .unmount(&kernel.by, at.clone())
                    .await
                    .map_err(Into::into),
            );
        }
    }
    if running.is_empty() {
        for at in points.iter().filter(|at| at.as_str().starts_with("v-")) {
            report(
                "a mount",
                kernel
                    .helpers
                    .mount
                    .unmount(&kernel.by, at.clone())
                    .await
                    .map_err(Into::into),
            );
        }
    }
    Ok(())
}

async fn remove_stray_datasets(kernel: &Kernel, known: &BTreeSet<String>) -> Result<(), Failure> {
    let parent = DatasetName::new("containers")?;
    let datasets = match kernel.helpers.zfs.list(&kernel.by, &parent).await {
        // No container was ever made.
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    for dataset in datasets {
        let id = dataset.as_str().rsplit('/').next().unwrap_or_default();
        if !known.contains(id) {
            report(
                "a dataset",
                kernel
                    .helpers
                    .zfs
                    .destroy(&kernel.by, dataset)
                    .await
                    .map_err(Into::into),
            );
        }
    }
    Ok(())
}

/// Restart policies go on with the next daemon.
fn at_shutdown() -> StopHow {
    StopHow {
        why: StopWhy::Shutdown,
        ..StopHow::default()
    }
}

/// Stops every container, then takes the networks away.
pub(super) async fn stop_everything(kernel: &Kernel) {
    let containers = kernel.containers.everyones().await.unwrap_or_default();
    let mut stopping = tokio::task::JoinSet::new();
    for container in containers.into_iter().filter(|container| container.is_running()) {
        let Ok(by) = housekeeping_of(&container.tenant) else {
            continue;
        };
        let containers = kernel.containers.clone();
        stopping.spawn(async move {
            match containers.stop(&by, &container.id, at_shutdown()).await {
                Ok(()) | Err(Failure::NotModified) => {}
                Err(error) => tracing::error!(%error, container = container.id, "not stopped"),
            }
            // What `run --rm` still has to remove is removed now, not at the next start.
            if container.host_config.auto_remove {
                let _ = containers.wait_removed(&by, &container.id).await;
            }
        });
    }
    while stopping.join_next().await.is_some() {}
    kernel.networks.tear_down().await;
    tracing::info!("stopped");
}

fn report(what: &str, result: Result<(), Failure>) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "not cleaned up");
    }
}
