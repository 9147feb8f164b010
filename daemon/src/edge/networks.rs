//! `/networks`: the predefined ones can be seen. User-defined networks come with an issue of their own.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::containers::{Container, Endpoint};
use crate::services::networks::Network;
use crate::services::{Failure, clock};
use axum::Router;
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::networks::{EndpointResource, Ipam, IpamConfig, NetworkInspect};
use protocol::Principal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/create", post(create))
        .route("/networks/{id}", get(inspect))
}

async fn list(Shared(state): Shared<State>, params: Params) -> Result<Response, ApiError> {
    let filters = params.filters()?;
    let accepted = ["driver", "id", "label", "name", "scope", "type", "dangling"];
    filters
        .accept_only(&accepted)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let any =
        |key: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(fits);
    let networks = state.networks.all();
    let chosen = networks.iter().filter(|network| {
        any("name", &|wanted| network.name.contains(wanted))
            && any("id", &|wanted| network.id.starts_with(wanted))
            && any("driver", &|wanted| network.driver == wanted)
            && any("scope", &|wanted| wanted == "local")
            && any("type", &|wanted| wanted == "builtin")
            && any("dangling", &|wanted| !docker_api::query::truthy(wanted))
            && !filters.contains("label")
    });
    Ok(json(
        StatusCode::OK,
        &chosen.map(|network| shown(&state, network)).collect::<Vec<_>>(),
    ))
}

async fn inspect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let network = state.networks.find(&id)?;
    let on_it = |container: &Arc<Container>| {
        let endpoint = container
            .endpoint
            .as_ref()
            .filter(|endpoint| endpoint.network_id == network.id)?;
        Some((container.id.clone(), endpoint_resource(&container.name, endpoint)))
    };
    let containers = state
        .containers
        .all(&by)
        .await?
        .iter()
        .filter_map(on_it)
        .collect();
    Ok(json(
        StatusCode::OK,
        &NetworkInspect {
            containers: Some(containers),
            ..shown(&state, &network)
        },
    ))
}

fn endpoint_resource(name: &str, endpoint: &Endpoint) -> EndpointResource {
    EndpointResource {
        name: name.to_owned(),
        endpoint_id: endpoint.endpoint_id.clone(),
        mac_address: endpoint.mac.map(|byte| format!("{byte:02x}")).join(":"),
        ipv4_address: format!("{}/{}", endpoint.address, endpoint.prefix_bits),
        ipv6_address: String::new(),
    }
}

/// What dockerd shows of its default bridge, as far as it holds here.
fn options(state: &State, network: &Network) -> BTreeMap<String, String> {
    let own = |(name, value): (&str, &str)| (format!("com.docker.network.{name}"), value.to_owned());
    let Some(bridge) = state.networks.bridge_name(network) else {
        return BTreeMap::new();
    };
    let options = [
        ("bridge.default_bridge", "true"),
        ("bridge.enable_icc", "true"),
        ("bridge.enable_ip_masquerade", "true"),
        ("bridge.name", bridge.as_str()),
        ("driver.mtu", "1500"),
    ];
    options.map(own).into()
}

async fn create() -> ApiError {
    Failure::Unsupported("user-defined networks are not supported by cellblock yet".to_owned()).into()
}

fn shown(state: &State, network: &Network) -> NetworkInspect {
    let config = network.subnet.map(|subnet| {
        vec![IpamConfig {
            subnet: subnet.to_string(),
            gateway: subnet
                .hosts()
                .next()
                .map(|address| address.to_string())
                .unwrap_or_default(),
            ..IpamConfig::default()
        }]
    });
    NetworkInspect {
        name: network.name.clone(),
        id: network.id.clone(),
        created: clock::text(network.created_ns),
        scope: "local".to_owned(),
        driver: network.driver.clone(),
        enable_ipv4: true,
        options: Some(options(state, network)),
        ipam: Ipam {
            driver: "default".to_owned(),
            options: None,
            config,
        },
        ..NetworkInspect::default()
    }
}
