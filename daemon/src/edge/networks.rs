//! `/networks`: list, inspect, create, connect, disconnect, remove, prune.

use super::State;
use super::body::{JsonBody, empty, json};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::containers::inspect::mac_text;
use crate::services::networks::{Endpoint, Network, Subnet};
use crate::services::{Failure, clock};
use axum::Router;
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::error::SEVERAL_UNTIL;
use docker_api::filters::Filters;
use docker_api::networks::{
    EndpointResource, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse,
    NetworkDisconnectRequest, NetworkInspect, NetworksPruneReport,
};
use docker_api::timestamps;
use protocol::Principal;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn list(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    params: Params,
) -> Result<Response, ApiError> {
    let filters = params.filters()?;
    let accepted = ["driver", "id", "label", "name", "scope", "type", "dangling"];
    let bad = |error: docker_api::filters::FilterError| ApiError::bad_request(error.to_string());
    filters.accept_only(&accepted).map_err(bad)?;
    if let Some(wrong) = filters
        .values("type")
        .find(|kind| !matches!(*kind, "builtin" | "custom"))
    {
        return Err(ApiError::bad_request(format!("invalid filter: 'type'='{wrong}'")));
    }
    let dangling = filters
        .contains("dangling")
        .then(|| filters.boolean("dangling", false))
        .transpose()
        .map_err(bad)?;
    let networks = state.networks.all(&by);
    let is_dangling =
        |network: &Network| !network.is_predefined() && state.networks.members(&by, network).is_empty();
    let chosen = networks
        .iter()
        .filter(|network| matches(network, &filters))
        .filter(|network| dangling.is_none_or(|wanted| is_dangling(network) == wanted));
    let shown: Vec<NetworkInspect> = chosen.map(|network| shown(&state, network)).collect();
    Ok(json(StatusCode::OK, &shown))
}

fn matches(network: &Network, filters: &Filters) -> bool {
    let any =
        |key: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(fits);
    let kind = if network.is_predefined() {
        "builtin"
    } else {
        "custom"
    };
    any("name", &|wanted| {
        network
            .name
            .contains(wanted.trim_start_matches('^').trim_end_matches('$'))
    }) && any("id", &|wanted| network.id.contains(wanted))
        && any("driver", &|wanted| network.driver == wanted)
        && any("scope", &|wanted| wanted == "local")
        && any("type", &|wanted| wanted == kind)
        && filters.matches_pairs("label", &network.labels)
}

async fn inspect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    if !matches!(params.text("scope"), "" | "local") {
        return Err(Failure::NotFound(format!("network {id} not found")).into());
    }
    let network = state.networks.find(&by, &id)?;
    let members = state.networks.members(&by, &network).into_iter();
    let containers = members
        .map(|(id, name, endpoint)| (id, endpoint_resource(&name, &endpoint)))
        .collect();
    Ok(json(
        StatusCode::OK,
        &NetworkInspect {
            containers: Some(containers),
            ..shown(&state, &network)
        },
    ))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    JsonBody(request): JsonBody<NetworkCreateRequest>,
) -> Result<Response, ApiError> {
    let network = to_the_end(async move { state.networks.create(&by, request).await }).await?;
    let made = NetworkCreateResponse {
        id: network.id,
        warning: String::new(),
    };
    Ok(json(StatusCode::CREATED, &made))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    to_the_end(async move { state.networks.remove(&by, &id).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn connect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkConnectRequest>,
) -> Result<Response, ApiError> {
    state.containers.connect(&by, &id, request).await?;
    Ok(empty(StatusCode::OK))
}

async fn disconnect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkDisconnectRequest>,
) -> Result<Response, ApiError> {
    state.containers.disconnect(&by, &id, &request.container).await?;
    Ok(empty(StatusCode::OK))
}

async fn prune(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    params: Params,
) -> Result<Response, ApiError> {
    let filters = params.filters()?;
    filters
        .accept_only(&["label", "label!", "until"])
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let until = until(&filters)?;
    let mut deleted = Vec::new();
    for network in state.networks.all(&by) {
        let unwanted = filters.contains("label!") && filters.matches_pairs("label!", &network.labels);
        let is_used = network.is_predefined() || !state.networks.members(&by, &network).is_empty();
        if is_used
            || until.is_some_and(|until| i128::from(network.created_ns) > until)
            || unwanted
            || !filters.matches_pairs("label", &network.labels)
        {
            continue;
        }
        match state.networks.remove(&by, &network.id).await {
            Ok(()) => deleted.push(network.name),
            Err(error) => tracing::warn!(%error, network = network.name, "not pruned"),
        }
    }
    let reclaimed = BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
    state
        .bus
        .publish(by.tenant.as_str(), "network", "prune", "", reclaimed);
    let report = NetworksPruneReport {
        networks_deleted: Some(deleted).filter(|names| !names.is_empty()),
    };
    Ok(json(StatusCode::OK, &report))
}

/// Nanoseconds since 1970.
fn until(filters: &Filters) -> Result<Option<i128>, ApiError> {
    let mut values = filters.values("until");
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(ApiError::bad_request(SEVERAL_UNTIL)),
        (Some(text), None) => timestamps::parse_flexible(text, OffsetDateTime::now_utc())
            .map(|until| Some(until.unix_timestamp_nanos()))
            .map_err(|error| ApiError::bad_request(error.to_string())),
    }
}

/// Goes on when the client hangs up: half a network helps nobody.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let gone = |_| Err(Failure::Unavailable("the daemon is ending".to_owned()));
    tokio::spawn(work).await.unwrap_or_else(gone)
}

fn endpoint_resource(name: &str, endpoint: &Endpoint) -> EndpointResource {
    let address = |ipv6: bool| {
        let place = endpoint.place(ipv6);
        place
            .map(|place| format!("{}/{}", place.address, place.prefix_bits))
            .unwrap_or_default()
    };
    EndpointResource {
        name: name.to_owned(),
        endpoint_id: endpoint.endpoint_id.clone(),
        mac_address: mac_text(endpoint.mac),
        ipv4_address: address(false),
        ipv6_address: address(true),
    }
}

/// A network's options as they were given; of the default bridge what dockerd shows, as far as it holds here.
fn options(state: &State, network: &Network) -> BTreeMap<String, String> {
    let own = |(name, value): (&str, &str)| (format!("com.docker.network.{name}"), value.to_owned());
    match state.networks.bridge_name(network) {
        Some(bridge) if network.is_default() => [
            ("bridge.default_bridge", "true"),
            ("bridge.enable_icc", "true"),
            ("bridge.enable_ip_masquerade", "true"),
            ("bridge.host_binding_ipv4", "0.0.0.0"),
            ("bridge.name", bridge.as_str()),
            ("driver.mtu", "1500"),
        ]
        .map(own)
        .into(),
        Some(_) | None => network.options.clone(),
    }
}

fn ipam_config(subnet: &Subnet) -> IpamConfig {
    let auxiliary = subnet.auxiliary.iter();
    let auxiliary: BTreeMap<String, String> = auxiliary
        .map(|(name, address)| (name.clone(), address.to_string()))
        .collect();
    IpamConfig {
        subnet: subnet.net.to_string(),
        ip_range: subnet.range.map(|range| range.to_string()).unwrap_or_default(),
        // dockerd shows what was asked for, or all that it chose itself.
        gateway: if subnet.gateway_given || !subnet.given {
            subnet.gateway.to_string()
        } else {
            String::new()
        },
        auxiliary_addresses: Some(auxiliary).filter(|addresses| !addresses.is_empty()),
    }
}

fn shown(state: &State, network: &Network) -> NetworkInspect {
    NetworkInspect {
        name: network.name.clone(),
        id: network.id.clone(),
        created: clock::text(network.created_ns),
        scope: "local".to_owned(),
        driver: network.driver.clone(),
        enable_ipv4: network.has_ipv4(),
        enable_ipv6: network.has_ipv6(),
        internal: network.internal,
        attachable: network.attachable,
        containers: Some(BTreeMap::new()),
        labels: Some(network.labels.clone()),
        options: Some(options(state, network)),
        ipam: Ipam {
            driver: "default".to_owned(),
            options: network.ipam_options.clone(),
            config: network
                .is_bridge()
                .then(|| network.subnets.iter().map(ipam_config).collect()),
        },
        ..NetworkInspect::default()
    }
}
