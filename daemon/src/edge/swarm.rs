//! What belongs to a swarm or to plugins, answered as a daemon answers that is in no swarm and has no plugins.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::Failure;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

/// dockerd's answer to everything that only a manager of a swarm can do.
const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    let swarm = Router::new()
        .route("/swarm", get(manager))
        .route("/swarm/init", post(no_swarm))
        .route("/swarm/join", post(no_swarm))
        .route("/swarm/leave", post(leave))
        .route("/swarm/update", post(update_swarm))
        .route("/swarm/unlockkey", get(manager))
        .route("/swarm/unlock", post(manager))
        .route("/tasks", get(manager))
        .route("/tasks/{id}", get(manager))
        .route("/tasks/{id}/logs", get(logs))
        .route("/nodes", get(manager))
        .route("/nodes/{id}", get(manager).delete(manager))
        .route("/nodes/{id}/update", post(update_node))
        .route("/services", get(manager))
        .route("/services/create", post(manager))
        .route("/services/{id}", get(manager).delete(manager))
        .route("/services/{id}/update", post(update_service))
        .route("/services/{id}/logs", get(logs))
        .route("/secrets", get(manager))
        .route("/secrets/create", post(manager))
        .route("/secrets/{id}", get(manager).delete(manager))
        .route("/secrets/{id}/update", post(update_secret))
        .route("/configs", get(manager))
        .route("/configs/create", post(manager))
        .route("/configs/{id}", get(manager).delete(manager))
        .route("/configs/{id}/update", post(update_config));
    let plugins = Router::new()
        .route("/plugins", get(plugins))
        .route("/plugins/pull", post(no_plugins))
        .route("/plugins/create", post(no_plugins))
        .route("/plugins/privileges", get(no_plugins))
        .route("/plugins/{*rest}", get(plugin).post(plugin).delete(plugin));
    swarm.merge(plugins)
}

/// 503: this daemon manages no swarm.
pub(super) fn not_a_manager() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, NOT_A_MANAGER)
}

async fn manager() -> ApiError {
    not_a_manager()
}

async fn no_swarm() -> ApiError {
    Failure::Unsupported("swarm mode is not supported by cellblock".to_owned()).into()
}

async fn leave() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not part of a swarm",
    )
}

async fn logs(params: Params) -> ApiError {
    if params.flag("stdout") || params.flag("stderr") {
        not_a_manager()
    } else {
        ApiError::bad_request(docker_api::error::NO_LOG_STREAM)
    }
}

/// An object's version, which dockerd reads before it asks whether it is a manager.
fn versioned(params: &Params, bad: impl FnOnce(&str) -> String) -> ApiError {
    let text = params.text("version");
    if text.parse::<u64>().is_ok() {
        not_a_manager()
    } else {
        ApiError::bad_request(bad(text))
    }
}

fn unreadable(what: &str, text: &str) -> String {
    format!("invalid {what} version '{text}': strconv.ParseUint: parsing \"{text}\": invalid syntax")
}

async fn update_swarm(params: Params) -> ApiError {
    versioned(&params, |text| unreadable("swarm", text))
}

async fn update_node(params: Params) -> ApiError {
    versioned(&params, |text| unreadable("node", text))
}

async fn update_service(params: Params) -> ApiError {
    versioned(&params, |text| unreadable("service", text))
}

async fn update_secret(params: Params) -> ApiError {
    versioned(&params, |_| "invalid secret version".to_owned())
}

async fn update_config(params: Params) -> ApiError {
    versioned(&params, |_| "invalid config version".to_owned())
}

async fn plugins() -> Response {
    json(StatusCode::OK, &[(); 0])
}

async fn no_plugins() -> ApiError {
    Failure::Unsupported("plugins are not supported by cellblock".to_owned()).into()
}

/// Any path below a plugin's name, which may hold slashes.
async fn plugin(Path(rest): Path<String>) -> ApiError {
    let verbs = ["/json", "/enable", "/disable", "/push", "/set", "/upgrade"];
    let name = verbs
        .iter()
        .find_map(|verb| rest.strip_suffix(verb))
        .unwrap_or(&rest);
    ApiError::new(StatusCode::NOT_FOUND, format!("plugin \"{name}\" not found"))
}
