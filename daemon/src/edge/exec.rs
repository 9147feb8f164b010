//! `/exec`, and making one in a container.

use super::State;
use super::body::{JsonBody, empty, json, json_body};
use super::error::ApiError;
use super::hijack::{self, Streams};
use super::params::{Params, Read};
use crate::services::Failure;
use crate::services::processes::hub::Wanted;
use crate::services::processes::{Exec, ExecState, Hub};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::error;
use docker_api::exec::{ExecCreateRequest, ExecInspect, ExecProcessConfig, ExecStartRequest, IdResponse};
use protocol::Principal;
use std::sync::{Arc, PoisonError};

type Answer = Result<Response, ApiError>;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/containers/{id}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/resize", post(resize))
        .route("/exec/{id}/json", get(inspect))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ExecCreateRequest>,
) -> Answer {
    hijack::detach_keys(&body.detach_keys, body.tty)?;
    let id = state.containers.exec_create(&by, &id, body).await?;
    Ok(json(StatusCode::CREATED, &IdResponse { id }))
}

async fn start(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let head = parts.headers.clone();
    let mut for_body = Request::new(body);
    *for_body.headers_mut() = head;
    let how: ExecStartRequest = json_body(for_body).await?;
    let request = Request::from_parts(parts, Body::empty());
    let exec = state.containers.exec(&by, &id).await?;
    state.containers.exec_may_start(&by, &exec).await?;
    if how.detach {
        begin(&exec)?;
        state.containers.exec_start(&by, exec, how).await?;
        return Ok(empty(StatusCode::OK));
    }
    // dockerd takes the connection over first and then says in the stream what went wrong.
    let begun = begin(&exec);
    let hub = if begun.is_ok() {
        Arc::clone(&exec.hub)
    } else {
        Arc::default()
    };
    let response = converse(&exec, Arc::clone(&hub), how.tty, request)?;
    tokio::spawn(async move {
        let started = match begun {
            Ok(()) => state
                .containers
                .exec_start(&by, exec, how)
                .await
                .map_err(ApiError::from),
            Err(refused) => Err(refused),
        };
        if let Err(failure) = started {
            hub.fail(&failure.message).await;
        }
    });
    Ok(response)
}

/// Connects the client to an exec's streams, before it starts: a quick command's output is not missed.
///
/// dockerd frames the output by what the start says of a terminal, and not by whether there is one.
fn converse(exec: &Exec, hub: Arc<Hub>, is_raw: bool, request: Request) -> Answer {
    let asked = &exec.request;
    let streams = Streams {
        hub,
        wanted: Wanted {
            stdout: asked.attach_stdout,
            stderr: asked.attach_stderr,
        },
        input: asked.attach_stdin,
        is_stream: true,
        is_raw,
        ends_input: true,
        detach: hijack::detach_keys(&asked.detach_keys, asked.tty)?,
        past: None,
    };
    let version = hijack::version_of(&request);
    Ok(hijack::answer(request, streams, version))
}

/// An exec runs once.
fn begin(exec: &Exec) -> Result<(), ApiError> {
    let mut state = exec.state.lock().unwrap_or_else(PoisonError::into_inner);
    match *state {
        ExecState::Created => {
            *state = ExecState::Starting;
            Ok(())
        }
        ExecState::Starting | ExecState::Running { .. } => {
            Err(Failure::Conflict(error::exec_is_running(&exec.id)).into())
        }
        ExecState::Ended { .. } => Err(Failure::Conflict(error::exec_has_run(&exec.id)).into()),
    }
}

async fn resize(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let (rows, columns) = params.sides()?;
    let exec = state.containers.exec(&by, &id).await?;
    let container = state.containers.find(&by, &exec.container).await?.container;
    if container.pid().is_none() {
        return Err(Failure::Conflict(format!("container {} is not running", container.id)).into());
    }
    exec.hub
        .resize(rows, columns)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(empty(StatusCode::OK))
}

async fn inspect(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Answer {
    let exec = state.containers.exec(&by, &id).await?;
    let (running, exit_code, pid) = match exec.now() {
        ExecState::Created | ExecState::Starting => (false, None, 0),
        ExecState::Running { pid } => (true, None, pid),
        ExecState::Ended { exit_code, pid } => (false, Some(exit_code), pid),
    };
    let asked = &exec.request;
    let mut command = asked.cmd.clone().unwrap_or_default().into_iter();
    let shown = ExecInspect {
        id: exec.id.clone(),
        running,
        exit_code,
        process_config: ExecProcessConfig {
            tty: asked.tty,
            entrypoint: command.next().unwrap_or_default(),
            arguments: Some(command.collect()),
            privileged: Some(asked.privileged),
            user: asked.user.clone(),
        },
        open_stdin: asked.attach_stdin,
        open_stderr: asked.attach_stderr,
        open_stdout: asked.attach_stdout,
        can_remove: !running && exit_code.is_some(),
        container_id: exec.container.clone(),
        detach_keys: Some(String::new()),
        pid: i64::from(pid),
    };
    Ok(json(StatusCode::OK, &shown))
}
