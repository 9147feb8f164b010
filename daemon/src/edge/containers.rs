//! `/containers`: parse, ask the service, answer.

use super::body::{JsonBody, channel, empty, json, raw_body, with_type};
use super::error::ApiError;
use super::hijack::{self, Streams};
use super::params::{Params, Read};
use super::{State, logs, platform, stats, top, websocket};
use crate::services::Failure;
use crate::services::containers::inspect::{Surroundings, inspect};
use crate::services::containers::list::{Query, select, summary};
use crate::services::containers::{Container, RemoveHow, StopHow, StopWhy, names_by_links};
use crate::services::processes::hub::Wanted;
use axum::Router;
use axum::extract::{Extension, Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use docker_api::containers::{
    ContainersPruneReport, CreateRequest, CreateResponse, UpdateRequest, UpdateResponse, WaitCondition,
    WaitError, WaitResponse,
};
use docker_api::error;
use docker_api::version::ApiVersion;
use protocol::Principal;
use protocol::handshake::HostOs;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// From this version on a container's IPC is its own unless it is offered to others.
const SHARES_NO_IPC: ApiVersion = ApiVersion::new(1, 40);

/// From this version on the number of processes can be changed.
const UPDATES_PIDS: ApiVersion = ApiVersion::new(1, 40);

/// From this version on a container can be asked for with a platform.
const HAS_PLATFORM: ApiVersion = ApiVersion::new(1, 41);

/// From this version on a container can be made on several networks.
const HAS_SEVERAL_ENDPOINTS: ApiVersion = ApiVersion::new(1, 44);

/// From this version on annotations are shown in lists.
const LISTS_ANNOTATIONS: ApiVersion = ApiVersion::new(1, 46);

type Answer = Result<Response, ApiError>;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/containers/create", post(create))
        .route("/containers/json", get(list))
        .route("/containers/prune", post(prune))
        .route("/containers/{id}/{alias}", delete(remove_linked))
        .route("/containers/{id}", delete(remove))
        .route("/containers/{id}/json", get(inspect_one))
        .route("/containers/{id}/start", post(start))
        .route("/containers/{id}/stop", post(stop))
        .route("/containers/{id}/restart", post(restart))
        .route("/containers/{id}/kill", post(kill))
        .route("/containers/{id}/pause", post(pause))
        .route("/containers/{id}/unpause", post(unpause))
        .route("/containers/{id}/update", post(update))
        .route("/containers/{id}/rename", post(rename))
        .route("/containers/{id}/wait", post(wait))
        .route("/containers/{id}/attach", post(attach))
        .route("/containers/{id}/attach/ws", get(attach_by_websocket))
        .route("/containers/{id}/resize", post(resize))
        .route("/containers/{id}/top", get(top::top))
        .route("/containers/{id}/stats", get(stats::stats))
        .route("/containers/{id}/logs", get(logs::logs))
}

/// Gives a request the meaning that it had in its version of the API, as dockerd does.
fn for_version(body: &mut CreateRequest, version: ApiVersion, os: HostOs) -> Result<(), ApiError> {
    let host = &mut body.host_config;
    if version < SHARES_NO_IPC && os == HostOs::Linux && host.ipc_mode.is_empty() {
        "shareable".clone_into(&mut host.ipc_mode);
    }
    // Whatever is no limit is shown as none.
    host.pids_limit = host.pids_limit.filter(|limit| *limit > 0);
    let endpoints = body
        .networking_config
        .iter()
        .flat_map(|config| &config.endpoints_config);
    let names: Vec<&str> = endpoints.flat_map(|all| all.keys().map(String::as_str)).collect();
    if version < HAS_SEVERAL_ENDPOINTS && names.len() > 1 {
        let text = format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        );
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

async fn create(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    params: Params,
    request: Request,
) -> Answer {
    let (kind, bytes) = raw_body(request).await?;
    if kind.is_some() && bytes.is_empty() {
        return Err(ApiError::bad_request(
            "invalid JSON: got EOF while reading request body",
        ));
    }
    let read = docker_api::error::read_body::<CreateRequest>(kind.as_deref(), &bytes);
    let mut body = read.map_err(|e| ApiError::bad_request(e.to_string()))?;
    if body == CreateRequest::default() {
        return Err(ApiError::bad_request(error::CONFIG_EMPTY));
    }
    for_version(&mut body, version, state.os())?;
    // An image that is not there is refused by its name.
    if version >= HAS_PLATFORM
        && let Some(wanted) = platform::of_words(params.text("platform"))?
        && let Ok(image) = state.images.find(&by, &body.config.image).await
    {
        platform::check(&image, &body.config.image, &wanted)?;
    }
    let name = Some(params.text("name").to_owned()).filter(|name| !name.is_empty());
    let (id, warnings) = state.containers.create(&by, name, body).await?;
    Ok(json(StatusCode::CREATED, &CreateResponse { id, warnings }))
}

async fn list(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    params: Params,
) -> Answer {
    let limit = params
        .number("limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|l| *l > 0);
    let filters = params.filters()?;
    let mut ancestors = BTreeSet::new();
    for name in filters.values("ancestor") {
        ancestors.extend(state.images.with_descendants(&by, name).await?);
    }
    let query = Query {
        all: params.flag("all"),
        limit,
        filters,
        ancestors,
    };
    let everyone = state.containers.all(&by).await?;
    let chosen = select(everyone.clone(), &query)?;
    let mut shown = Vec::with_capacity(chosen.len());
    for container in chosen {
        let image = shown_image(&state, &by, &container).await;
        let mut one = summary(&container, image);
        one.names.extend(names_by_links(&container, &everyone));
        if version < LISTS_ANNOTATIONS {
            one.host_config.annotations = None;
        }
        if params.flag("size") {
            let sizes = state.containers.sizes(&by, &container).await;
            (one.size_rw, one.size_root_fs) = (sizes.written_bytes, sizes.all_bytes);
        }
        shown.push(one);
    }
    Ok(json(StatusCode::OK, &shown))
}

/// The image as the client named it, or its id where that name means another image by now.
pub(super) async fn shown_image(state: &State, by: &Principal, container: &Container) -> String {
    let named = &container.config.image;
    match state.images.find(by, named).await {
        Ok(image) if image.id == container.image_id => named.clone(),
        Ok(_) | Err(_) if container.image_id.is_empty() => named.clone(),
        Ok(_) | Err(_) => container.image_id.clone(),
    }
}

async fn inspect_one(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let container = state.containers.find(&by, &id).await?.container;
    let around = Surroundings {
        log_path: &state.containers.log_path(&container),
        exec_ids: state.containers.execs_of(&container.id).await?,
        os: state.os(),
    };
    let mut shown = inspect(&container, &around);
    if params.flag("size") {
        let sizes = state.containers.sizes(&by, &container).await;
        shown.size_rw = Some(sizes.written_bytes);
        shown.size_root_fs = Some(sizes.all_bytes);
    }
    Ok(json(StatusCode::OK, &shown))
}

async fn start(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let (_, body) = raw_body(request).await?;
    // docker-py and old clients send an empty object.
    if !body.is_empty() && body.as_ref() != b"{}" && body.as_ref() != b"null" {
        return Err(ApiError::bad_request(error::START_WITH_BODY));
    }
    state.containers.start(&by, &id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn how(params: &Params) -> Result<StopHow, ApiError> {
    let signal = Some(params.text("signal").to_owned()).filter(|signal| !signal.is_empty());
    Ok(StopHow {
        signal,
        timeout_s: params.number("t")?,
        why: StopWhy::Stop,
    })
}

async fn stop(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    state.containers.stop(&by, &id, how(&params)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn restart(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let how = StopHow {
        why: StopWhy::Restart,
        ..how(&params)?
    };
    state.containers.restart(&by, &id, how).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn kill(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    state.containers.kill(&by, &id, params.text("signal")).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn pause(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Answer {
    state.containers.pause(&by, &id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn unpause(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Answer {
    state.containers.unpause(&by, &id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn update(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    Extension(version): Extension<ApiVersion>,
    JsonBody(mut body): JsonBody<UpdateRequest>,
) -> Answer {
    // Whatever is no limit takes the limit away, and is shown as 0.
    body.pids_limit = body
        .pids_limit
        .filter(|_| version >= UPDATES_PIDS)
        .map(|limit| limit.max(0));
    state.containers.update(&by, &id, body).await?;
    Ok(json(StatusCode::OK, &UpdateResponse::default()))
}

async fn rename(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    state.containers.rename(&by, &id, params.text("name")).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    if params.flag("link") {
        state.containers.find(&by, &id).await?;
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "Conflict, cannot remove the default link name of the container",
        ));
    }
    state.containers.remove(&by, &id, remove_how(&params)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DELETE /containers/{parent}/{alias}`: a link is named so, and so is the container that it leads to.
async fn remove_linked(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path((parent, alias)): Path<(String, String)>,
    params: Params,
) -> Answer {
    if params.flag("link") {
        state.containers.unlink(&by, &parent, &alias).await?;
    } else {
        let id = state.containers.linked(&by, &parent, &alias).await?;
        state.containers.remove(&by, &id, remove_how(&params)).await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

fn remove_how(params: &Params) -> RemoveHow {
    RemoveHow {
        force: params.flag("force"),
        volumes: params.flag("v"),
    }
}

async fn prune(Shared(state): Shared<State>, Extension(by): Extension<Principal>, params: Params) -> Answer {
    let pruned = state.containers.prune(&by, params.filters()?).await?;
    let report = ContainersPruneReport {
        containers_deleted: Some(pruned.ids).filter(|ids| !ids.is_empty()),
        space_reclaimed: pruned.reclaimed_bytes,
    };
    Ok(json(StatusCode::OK, &report))
}

/// The head of the answer goes out at once: clients wait for it before they start the container.
async fn wait(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let condition = WaitCondition::parse(params.text("condition")).map_err(ApiError::bad_request)?;
    let over = state.containers.wait(&by, &id, condition).await?;
    let (sender, body) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            (status_code, message) = over => {
                let error = Some(WaitError { message }).filter(|error| !error.message.is_empty());
                let answer = WaitResponse { error, status_code };
                let text = serde_json::to_string(&answer).unwrap_or_default() + "\n";
                let _ = sender.send(Bytes::from(text)).await;
            }
            () = sender.closed() => {}
        }
    });
    Ok(with_type(StatusCode::OK, "application/json", channel(body)))
}

async fn attach(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Response {
    match attach_to(&state, &by, &id, &params, request).await {
        Ok(response) => response,
        Err(failure) => hijack::refuse(failure),
    }
}

async fn attach_to(
    state: &State,
    by: &Principal,
    id: &str,
    params: &Params,
    request: Request,
) -> Result<Response, ApiError> {
    let (streams, container) = streams(state, by, id, params).await?;
    state.containers.attached(&container);
    let version = hijack::version_of(&request);
    Ok(hijack::answer(request, streams, version))
}

async fn attach_by_websocket(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
    mut request: Request,
) -> Answer {
    let (streams, container) = streams(&state, &by, &id, &params).await?;
    let response = websocket::accept(request.headers())?;
    state.containers.attached(&container);
    let version = hijack::version_of(&request);
    let connection = websocket::take_over(&mut request, version);
    let streams = Streams {
        is_raw: true,
        ..streams
    };
    hijack::serve(connection, streams);
    Ok(response)
}

/// What a client attaches to.
async fn streams(
    state: &State,
    by: &Principal,
    id: &str,
    params: &Params,
) -> Result<(Streams, Arc<Container>), ApiError> {
    let container = state.containers.find_to_attach(by, id).await?;
    let detach = hijack::detach_keys(params.text("detachKeys"), container.config.tty)?;
    let wanted = Wanted {
        stdout: params.flag("stdout"),
        stderr: params.flag("stderr"),
    };
    let past = if params.flag("logs") {
        Some(state.containers.log(&container)?)
    } else {
        None
    };
    let streams = Streams {
        hub: state.containers.hub(&container.id).await?,
        wanted,
        input: params.flag("stdin") && container.config.open_stdin,
        is_stream: params.flag("stream"),
        is_raw: container.config.tty,
        ends_input: container.config.stdin_once,
        detach,
        past,
    };
    Ok((streams, container))
}

async fn resize(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let (rows, columns) = params.sides()?;
    let container = state.containers.find(&by, &id).await?.container;
    if container.pid().is_none() {
        return Err(Failure::Conflict(format!("container {} is not running", container.id)).into());
    }
    let hub = state.containers.hub(&container.id).await?;
    hub.resize(rows, columns)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    state.containers.resized(&container, rows, columns);
    Ok(empty(StatusCode::OK))
}
