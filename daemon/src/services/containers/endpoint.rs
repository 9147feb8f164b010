//! A container's links to its networks: made at start, changed while it runs, taken away at the end.

use super::attachment::{Attachment, free_inner_name, way_out};
use super::state::{Container, Event};
use super::verbs::Deps;
use super::{files, names, ports};
use crate::services::networks::{Endpoint, Joining, Network, PortWish, Published};
use crate::services::{Failure, naming};
use protocol::Principal;
use protocol::names::{Bounded, InnerInterfaceName};
use protocol::net::{AddressPrefix, Request};
use std::net::IpAddr;

/// What dockerd puts before a network's refusal at start.
pub(super) const IN_NETWORKING: &str = "failed to set up container networking";

/// Where a container will be on its networks; all or none.
///
/// # Errors
/// `NotFound` for an unknown network, dockerd's words where no address can be had.
pub(super) async fn allocate(
    deps: &Deps,
    by: &Principal,
    container: &Container,
) -> Result<Vec<Attachment>, Failure> {
    let mut attachments = container.attachments.clone();
    for number in 0..attachments.len() {
        let joined = join(deps, by, container, &attachments, number).await;
        match joined {
            Ok(joined) => attachments[number] = joined,
            Err(failure) => {
                leave_all(deps, &container.id, &attachments);
                return Err(failure.within(IN_NETWORKING));
            }
        }
    }
    Ok(attachments)
}

/// One of the attachments, with its place.
///
/// # Errors
/// As [`allocate`].
pub(super) async fn join(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    attachments: &[Attachment],
    number: usize,
) -> Result<Attachment, Failure> {
    let mut attachment = attachments[number].clone();
    let network = deps.networks.find(by, &attachment.network)?;
    attachment.network.clone_from(&network.name);
    attachment.network_id.clone_from(&network.id);
    if !network.is_bridge() {
        return Ok(attachment);
    }
    attachment.link_local_addresses()?;
    let joining = Joining {
        inner: free_inner_name(attachments),
        ..joining(container, &attachment)
    };
    let endpoint = deps.networks.join(by, &network.id, &joining).await?;
    attachment.last = endpoint.places.iter().map(|place| place.address).collect();
    attachment.endpoint = Some(endpoint);
    Ok(attachment)
}

/// How a container is on a network, and what it is called there.
pub(super) fn joining(container: &Container, attachment: &Attachment) -> Joining {
    Joining {
        container: container.id.clone(),
        name: container.name.clone(),
        names: names::of_container(container, attachment).unwrap_or_default(),
        links: attachment.wish.links.clone().unwrap_or_default(),
        name_servers: files::name_servers(&container.host_config),
        inner: String::new(),
        wished: attachment.wished_addresses(),
        liked: attachment.last.clone(),
        mac: attachment.wished_mac(),
    }
}

fn leave_all(deps: &Deps, container: &str, attachments: &[Attachment]) {
    for endpoint in attachments
        .iter()
        .filter_map(|attachment| attachment.endpoint.as_ref())
    {
        deps.networks.leave(&endpoint.network_id, container);
    }
}

/// Makes the links of a container that starts and configures both sides. With no endpoint only the loopback interface inside
/// is brought up.
///
/// # Errors
/// What the jail and net helpers answer.
pub(super) async fn connect(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    jid: i32,
) -> Result<(), Failure> {
    let mode = &container.host_config.network_mode;
    if mode == "host" || mode.starts_with("container:") {
        return Ok(());
    }
    let mut is_bare = true;
    for endpoint in endpoints(&container.attachments) {
        is_bare = false;
        link(deps, by, container, endpoint, jid).await?;
        configure(deps, by, container, Some(endpoint)).await?;
        if let Ok(network) = deps.networks.find(by, &endpoint.network_id) {
            deps.networks
                .tell(by, &network, "connect", &[("container", container.id.as_str())]);
        }
    }
    if is_bare {
        configure(deps, by, container, None).await?;
    }
    Ok(())
}

/// Publishes the container's ports through the endpoint that has the way out; gives its attachments with them. `again` are the
/// ports that it had already, which stay the same.
///
/// # Errors
/// dockerd's words for a port in use.
pub(super) async fn publish(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    again: &[Published],
) -> Result<Option<Vec<Attachment>>, Failure> {
    let out = way_out(&container.attachments, false).or_else(|| way_out(&container.attachments, true));
    let Some((_, endpoint, _)) = out else {
        return Ok(None);
    };
    let wishes = if again.is_empty() {
        ports::wishes(&container.config, &container.host_config)?
    } else {
        again.iter().map(|port| PortWish::again(*port)).collect()
    };
    if wishes.is_empty() {
        return Ok(None);
    }
    let networks = &deps.networks;
    let published = networks
        .publish(by, &container.id, &container.name, endpoint, &wishes)
        .await?;
    let mut attachments = container.attachments.clone();
    let endpoints = attachments.iter_mut().filter_map(|one| one.endpoint.as_mut());
    for changed in endpoints.filter(|one| one.endpoint_id == endpoint.endpoint_id) {
        changed.published.clone_from(&published);
    }
    Ok(Some(attachments))
}

/// Publishes the same ports again: after another endpoint has become the way out, or by a new daemon.
///
/// # Errors
/// As [`publish`].
pub(super) async fn publish_again(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let mut held: Vec<Published> = Vec::new();
    let mut bare = container.clone();
    for endpoint in bare
        .attachments
        .iter_mut()
        .filter_map(|one| one.endpoint.as_mut())
    {
        deps.networks.withdraw(by, &container.id, endpoint).await?;
        held.append(&mut endpoint.published);
    }
    let attachments = publish(deps, by, &bare, &held).await?.unwrap_or(bare.attachments);
    deps.change(&container.id, Event::Attached(attachments))
        .await
        .map(|_| ())
}

/// The endpoints of attachments that have one.
pub(super) fn endpoints(attachments: &[Attachment]) -> impl Iterator<Item = &Endpoint> {
    attachments
        .iter()
        .filter_map(|attachment| attachment.endpoint.as_ref())
}

/// Makes the pair of interfaces between a network's bridge and the jail.
///
/// # Errors
/// What the net helper answers.
pub(super) async fn link(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    endpoint: &Endpoint,
    jid: i32,
) -> Result<(), Failure> {
    let network = deps.networks.find(by, &endpoint.network_id)?;
    let gone = || Failure::NotFound(format!("network {} not found", endpoint.network_name));
    let attach = Request::AttachEndpoint {
        bridge: deps.networks.bridge_name(&network).ok_or_else(gone)?,
        host_end: naming::endpoint_interface(deps.networks.installation(), &endpoint.endpoint_id)?,
        jid,
        inner: InnerInterfaceName::new(endpoint.inner.clone())?,
        mac: endpoint.mac,
        mtu: network.mtu_bytes(),
        isolated: !network.members_talk(),
    };
    tracing::debug!(container = container.id, network = network.name, "linked");
    Ok(deps.helpers.net.change(by, attach, Vec::new()).await?)
}

/// Sets an endpoint's addresses inside, and the default routes that lead through it.
///
/// # Errors
/// What the jail and net helpers answer.
pub(super) async fn configure(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    endpoint: Option<&Endpoint>,
) -> Result<(), Failure> {
    let jail = naming::jail(&container.id)?;
    let sockets = deps.helpers.jail.open_network(by, jail).await?;
    let places = endpoint
        .map(|endpoint| endpoint.places.as_slice())
        .unwrap_or_default();
    let mut addresses: Vec<(IpAddr, u8)> = places
        .iter()
        .map(|place| (place.address, place.prefix_bits))
        .collect();
    let own = container
        .attachments
        .iter()
        .find(|own| own.endpoint.as_ref() == endpoint);
    if let Some(own) = own.filter(|_| endpoint.is_some()) {
        addresses.extend(own.link_local_addresses()?);
    }
    let addresses = addresses
        .into_iter()
        .map(|(address, prefix_bits)| AddressPrefix { address, prefix_bits });
    let leads_out = |ipv6: bool| -> Option<IpAddr> {
        let (_, out, place) = way_out(&container.attachments, ipv6)?;
        let is_it = endpoint.is_some_and(|endpoint| endpoint.endpoint_id == out.endpoint_id);
        place.gateway.filter(|_| is_it)
    };
    let inner = endpoint
        .map(|endpoint| InnerInterfaceName::new(endpoint.inner.clone()))
        .transpose()?;
    let configure = Request::ConfigureInside {
        inner,
        addresses: Bounded::new(addresses.collect())?,
        gateways: Bounded::new([false, true].into_iter().filter_map(leads_out).collect())?,
    };
    Ok(deps.helpers.net.change(by, configure, sockets).await?)
}

/// Takes every link away and frees the addresses. Done if there is none.
///
/// # Errors
/// What the net helper answers.
pub(super) async fn disconnect(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let mut result = Ok(());
    for endpoint in endpoints(&container.attachments) {
        result = result.and(deps.networks.withdraw(by, &container.id, endpoint).await);
        let unlinked = unlink(deps, by, container, endpoint).await;
        result = result.and(unlinked);
    }
    result
}

/// Takes one link away and frees its addresses.
///
/// # Errors
/// What the net helper answers.
pub(super) async fn unlink(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    endpoint: &Endpoint,
) -> Result<(), Failure> {
    let interface = naming::endpoint_interface(deps.networks.installation(), &endpoint.endpoint_id)?;
    deps.helpers.net.remove_interface(by, interface).await?;
    let network = deps.networks.find(by, &endpoint.network_id);
    // Before the addresses are free for others.
    if let Ok(network) = &network {
        forget_connections(deps, by, network, endpoint).await;
    }
    deps.networks.leave(&endpoint.network_id, &container.id);
    if let Ok(network) = network {
        deps.networks.tell(
            by,
            &network,
            "disconnect",
            &[("container", container.id.as_str())],
        );
    }
    Ok(())
}

/// What the packet filter keeps of an endpoint's connections would time out by itself, so nothing depends on this.
async fn forget_connections(deps: &Deps, by: &Principal, network: &Network, endpoint: &Endpoint) {
    let forget = async || {
        let addresses = endpoint.places.iter().map(|place| place.address);
        let request = Request::ForgetConnections {
            bridge: naming::bridge_interface(deps.networks.installation(), &network.id)?,
            addresses: Bounded::new(addresses.collect())?,
        };
        Ok::<_, Failure>(deps.helpers.net.change(by, request, Vec::new()).await?)
    };
    if let Err(error) = forget().await {
        tracing::debug!(%error, endpoint = endpoint.endpoint_id, "its connections time out");
    }
}

/// A running container's jail, as its helper numbers it.
///
/// # Errors
/// `NotFound` where it has ended meanwhile.
pub(super) async fn jid(deps: &Deps, by: &Principal, container: &Container) -> Result<i32, Failure> {
    let jails = deps.helpers.jail.list(by).await?;
    let found = jails.iter().find(|info| info.jail.as_str() == container.id);
    let gone = || Failure::Conflict(format!("container {} is not running", container.id));
    found.map(|info| info.jid).ok_or_else(gone)
}

/// Makes a running container agree with its attachments after one came or went: default routes, published ports and files.
///
/// # Errors
/// What the helpers answer.
pub(super) async fn settle(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let mut done: Option<&str> = None;
    for ipv6 in [false, true] {
        if let Some((_, endpoint, _)) = way_out(&container.attachments, ipv6)
            && done != Some(endpoint.endpoint_id.as_str())
        {
            done = Some(&endpoint.endpoint_id);
            configure(deps, by, container, Some(endpoint)).await?;
        }
    }
    let out = way_out(&container.attachments, false).or_else(|| way_out(&container.attachments, true));
    if out.is_none_or(|(_, endpoint, _)| endpoint.published.is_empty()) {
        publish_again(deps, by, container).await?;
    }
    let root = deps.roots.acquire(by, container).await?;
    let written = files::write(deps, by, &root, container).await;
    root.release().await?;
    written
}

/// The container has no place on any network any more.
///
/// # Errors
/// What the store answers.
pub(super) async fn forget(deps: &Deps, container: &Container) -> Result<(), Failure> {
    if endpoints(&container.attachments).next().is_none() {
        return Ok(());
    }
    let mut attachments = container.attachments.clone();
    attachments
        .iter_mut()
        .for_each(|attachment| attachment.endpoint = None);
    deps.change(&container.id, Event::Attached(attachments))
        .await
        .map(|_| ())
}
