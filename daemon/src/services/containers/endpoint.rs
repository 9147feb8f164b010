//! A container's link to its network, made at start and taken away at the end.

use super::state::{Container, Endpoint};
use super::verbs::Deps;
use crate::services::{Failure, naming};
use protocol::Principal;
use protocol::names::{Bounded, InnerInterfaceName};
use protocol::net::{AddressPrefix, Request};

/// Largest packet of a link, in bytes: Ethernet's.
const LINK_MTU: u16 = 1500;

/// The name of the link inside the container.
const INNER_NAME: &str = "eth0";

/// Where a container will be on its network; none for `none` and `host`.
///
/// # Errors
/// `NotFound` for an unknown network, `Unavailable` where no address is free.
pub(super) async fn allocate(
    deps: &Deps,
    by: &Principal,
    container: &Container,
) -> Result<Option<Endpoint>, Failure> {
    match container.host_config.network_mode.as_str() {
        "none" | "host" => Ok(None),
        name => {
            let in_networking = "failed to set up container networking";
            deps.networks
                .join(by, name, &container.id)
                .await
                .map(Some)
                .map_err(|failure| failure.within(in_networking))
        }
    }
}

/// Makes the link and configures both sides. With no endpoint only the loopback interface inside is brought up.
///
/// # Errors
/// What the jail and net helpers answer.
pub(super) async fn connect(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    endpoint: Option<&Endpoint>,
    jid: i32,
) -> Result<(), Failure> {
    if container.host_config.network_mode == "host" {
        return Ok(());
    }
    let inner = InnerInterfaceName::new(INNER_NAME)?;
    if let Some(endpoint) = endpoint {
        let attach = Request::AttachEndpoint {
            bridge: deps.networks.ensure_bridge(by, &endpoint.network_name).await?,
            host_end: naming::endpoint_interface(deps.networks.installation(), &container.id)?,
            jid,
            inner: inner.clone(),
            mac: endpoint.mac,
            mtu: LINK_MTU,
        };
        deps.helpers.net.change(by, attach, Vec::new()).await?;
    }
    let sockets = deps
        .helpers
        .jail
        .open_network(by, naming::jail(&container.id)?)
        .await?;
    let addresses = endpoint.map(|endpoint| AddressPrefix {
        address: endpoint.address.into(),
        prefix_bits: endpoint.prefix_bits,
    });
    let configure = Request::ConfigureInside {
        inner: endpoint.map(|_| inner),
        addresses: Bounded::new(addresses.into_iter().collect())?,
        gateways: Bounded::new(
            endpoint
                .map(|endpoint| endpoint.gateway.into())
                .into_iter()
                .collect(),
        )?,
    };
    Ok(deps.helpers.net.change(by, configure, sockets).await?)
}

/// Takes the link away and frees the address. Done if there is none.
///
/// # Errors
/// What the net helper answers.
pub(super) async fn disconnect(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let Some(endpoint) = &container.endpoint else {
        return Ok(());
    };
    let interface = naming::endpoint_interface(deps.networks.installation(), &container.id)?;
    deps.helpers.net.remove_interface(by, interface).await?;
    deps.networks.leave(&endpoint.network_name, &container.id).await;
    Ok(())
}
