//! `/networks`: the predefined ones can be seen. User-defined networks come with an issue of their own.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::networks::Network;
use crate::services::{Failure, clock};
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::networks::{Ipam, IpamConfig, NetworkInspect};

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
    filters.accept_only(&accepted).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let any = |key: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(fits);
    let chosen = state.networks.all().iter().filter(|network| {
        any("name", &|wanted| network.name.contains(wanted))
            && any("id", &|wanted| network.id.starts_with(wanted))
            && any("driver", &|wanted| network.driver == wanted)
            && any("scope", &|wanted| wanted == "local")
            && any("type", &|wanted| wanted == "builtin")
            && any("dangling", &|wanted| !docker_api::query::truthy(wanted))
            && !filters.contains("label")
    });
    Ok(json(StatusCode::OK, &chosen.map(shown).collect::<Vec<_>>()))
}

async fn inspect(Shared(state): Shared<State>, Path(id): Path<String>) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &shown(state.networks.find(&id)?)))
}

async fn create() -> ApiError {
    Failure::Unsupported("user-defined networks are not supported by cellblock yet".to_owned()).into()
}

fn shown(network: &Network) -> NetworkInspect {
    let config = network.subnet.map(|subnet| {
        vec![IpamConfig {
            subnet: subnet.to_string(),
            gateway: subnet.hosts().next().map(|address| address.to_string()).unwrap_or_default(),
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
        ipam: Ipam { driver: "default".to_owned(), options: None, config },
        ..NetworkInspect::default()
    }
}
