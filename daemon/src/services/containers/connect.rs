//! `docker network connect` and `disconnect`: of a container that runs, and of one that does not.

use super::attachment::{self, Attachment, HOST_NETWORK, LEAVE_HOST_NETWORK, NO_NETWORK, SHARED_NETWORK};
use super::messages::Found;
use super::state::{Container, Event, Phase};
use super::verbs::Deps;
use super::{endpoint, start::current};
use crate::services::Failure;
use crate::services::networks::Network;
use docker_api::networks::EndpointSettings;
use protocol::Principal;
use std::sync::Arc;

/// Puts a container on a network.
///
/// # Errors
/// dockerd's words for what does not go together, or what the helpers answer; the container is as it was then.
pub(super) async fn connect(
    deps: &Arc<Deps>,
    by: &Principal,
    found: &Found,
    network: &Network,
    wish: EndpointSettings,
) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let container = current(deps, &found.container.id).await?;
    may_change(&container)?;
    let new = Attachment::new(network.name.clone(), network.id.clone(), wish);
    goes_together(&container, network)?;
    attachment::judge(&new, Some(network))?;
    let mut attachments = container.attachments.clone();
    match attachments.iter().position(|known| is_on(known, network)) {
        Some(_) if container.is_running() => {
            let text = format!(
                "endpoint with name {} already exists in network {}",
                container.name, network.name
            );
            return Err(Failure::Forbidden(text));
        }
        Some(known) => attachments[known] = new,
        None => attachments.push(new),
    }
    if container.is_running() {
        let number = attachments.len() - 1;
        attachments[number] = endpoint::join(deps, by, &container, &attachments, number).await?;
        let mut changed = Container::clone(&container);
        changed.attachments.clone_from(&attachments);
        if let Err(failure) = link(deps, by, &changed, number).await {
            if let Some(endpoint) = &attachments[number].endpoint {
                let _ = endpoint::unlink(deps, by, &container, endpoint).await;
            }
            return Err(failure);
        }
    }
    let container = deps.change(&container.id, Event::Attached(attachments)).await?;
    if container.is_running() {
        endpoint::settle(deps, by, &container).await?;
    }
    deps.networks
        .tell(by, network, "connect", &[("container", container.id.as_str())]);
    Ok(())
}

async fn link(deps: &Deps, by: &Principal, container: &Container, number: usize) -> Result<(), Failure> {
    let Some(endpoint) = &container.attachments[number].endpoint else {
        return Ok(());
    };
    let jid = endpoint::jid(deps, by, container).await?;
    endpoint::link(deps, by, container, endpoint, jid).await?;
    endpoint::configure(deps, by, container, Some(endpoint)).await
}

/// Takes a container off a network.
///
/// # Errors
/// dockerd's words where it is not on it.
pub(super) async fn disconnect(
    deps: &Arc<Deps>,
    by: &Principal,
    found: &Found,
    network: &Network,
) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let container = current(deps, &found.container.id).await?;
    may_change(&container)?;
    if network.driver == "host" && container.host_config.network_mode == "host" {
        return Err(Failure::Invalid(LEAVE_HOST_NETWORK.to_owned()));
    }
    let mut attachments = container.attachments.clone();
    let Some(number) = attachments.iter().position(|known| is_on(known, network)) else {
        let the = if container.is_running() { "" } else { "the " };
        let text = format!(
            "container {} is not connected to {the}network {}",
            container.id, network.name
        );
        return Err(Failure::System(text));
    };
    let left = attachments.remove(number);
    if let Some(endpoint) = &left.endpoint {
        deps.networks.withdraw(by, &container.id, endpoint).await?;
        endpoint::unlink(deps, by, &container, endpoint).await?;
    } else {
        deps.networks
            .tell(by, network, "disconnect", &[("container", container.id.as_str())]);
    }
    let container = deps.change(&container.id, Event::Attached(attachments)).await?;
    if container.is_running() {
        endpoint::settle(deps, by, &container).await?;
    }
    Ok(())
}

fn is_on(attachment: &Attachment, network: &Network) -> bool {
    attachment.network_id == network.id
        || (attachment.network_id.is_empty()
            && (attachment.network == network.name || network.id.starts_with(&attachment.network)))
}

/// dockerd's rules for networks of one container.
fn goes_together(container: &Container, network: &Network) -> Result<(), Failure> {
    let mode = container.host_config.network_mode.as_str();
    let refuse = |why: &str| Err(Failure::Invalid(why.to_owned()));
    if network.driver == "host" && mode != "host" {
        return refuse(HOST_NETWORK);
    }
    if mode.starts_with("container:") {
        return refuse(SHARED_NETWORK);
    }
    let others = container
        .attachments
        .iter()
        .filter(|known| !is_on(known, network));
    for other in others {
        if other.network == "host" || network.driver == "host" {
            return refuse(SHARED_NETWORK);
        }
        if other.network == "none" || network.driver == "null" {
            return refuse(NO_NETWORK);
        }
    }
    Ok(())
}

fn may_change(container: &Container) -> Result<(), Failure> {
    match container.phase {
        Phase::Removing | Phase::Dead => Err(Failure::Conflict(format!(
            "Container {} is marked for removal and cannot be connected or disconnected to the network",
            container.id
        ))),
        _ => Ok(()),
    }
}
