//! `/volumes`: parse, ask the service, answer.

use super::State;
use super::body::{JsonBody, empty, json};
use super::error::ApiError;
use super::params::{Params, Read};
use super::swarm::not_a_manager;
use crate::services::clock::seconds_text;
use crate::services::volumes::{DRIVER, Volume, Wanted};
use axum::Router;
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::filters::Filters;
use docker_api::version::ApiVersion;
use docker_api::volumes::{Volume as Shown, VolumeCreateRequest, VolumeList, VolumesPruneReport};
use protocol::Principal;

type Answer = Result<Response, ApiError>;

/// From this version on prune takes anonymous volumes only, unless it is told otherwise, and volumes of a swarm exist.
const PRUNES_ANONYMOUS: ApiVersion = ApiVersion::new(1, 42);

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/", get(nameless).delete(nameless).put(update))
        .route("/volumes/{name}", get(inspect).delete(remove).put(update))
}

/// A volume as Docker shows it.
pub(super) fn shown(state: &State, volume: &Volume) -> Shown {
    Shown {
        created_at: seconds_text(volume.created_ns),
        driver: DRIVER.to_owned(),
        labels: volume.labels.clone(),
        mountpoint: state.volumes.mountpoint(volume),
        name: volume.name.clone(),
        options: volume.options.clone(),
        scope: "local".to_owned(),
        ..Shown::default()
    }
}

async fn list(Shared(state): Shared<State>, Extension(by): Extension<Principal>, params: Params) -> Answer {
    let filters = Filters::parse(params.text("filters"))
        .map_err(|error| ApiError::bad_request(format!("error reading volume filters: {error}")))?;
    let volumes = state.volumes.list(&by, &filters).await?;
    let answer = VolumeList {
        volumes: Some(volumes.iter().map(|volume| shown(&state, volume)).collect()),
        warnings: None,
    };
    Ok(json(StatusCode::OK, &answer))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    JsonBody(request): JsonBody<VolumeCreateRequest>,
) -> Answer {
    if request.cluster_volume_spec.is_some() && version >= PRUNES_ANONYMOUS {
        return Err(not_a_manager());
    }
    let wanted = Wanted {
        name: request.name,
        driver: request.driver,
        options: request.driver_opts,
        labels: request.labels,
    };
    let volume = state.volumes.create(&by, wanted, None).await?;
    Ok(json(StatusCode::CREATED, &shown(&state, &volume)))
}

async fn inspect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(name): Path<String>,
) -> Answer {
    let volume = state.volumes.get(&by, &name).await?;
    Ok(json(StatusCode::OK, &shown(&state, &volume)))
}

/// dockerd's path takes an empty name too, which no volume has.
async fn nameless() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "get: no such volume")
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(name): Path<String>,
    params: Params,
) -> Answer {
    match state.volumes.remove(&by, &name).await {
        Err(crate::services::Failure::NotFound(_)) if params.flag("force") => {}
        other => other?,
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Only volumes of a swarm can be changed.
async fn update() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    )
}

async fn prune(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    params: Params,
) -> Answer {
    let mut filters = params.filters()?;
    if version < PRUNES_ANONYMOUS {
        filters.add("all", "true");
    }
    let pruned = state.volumes.prune(&by, filters).await?;
    let report = VolumesPruneReport {
        volumes_deleted: Some(pruned.names),
        space_reclaimed: pruned.reclaimed_bytes,
    };
    Ok(json(StatusCode::OK, &report))
}
