//! `/commit`, `/containers/{id}/changes`, `/containers/{id}/export`: what a container changed.

use super::State;
use super::body::{fallible, json, raw_body, with_type};
use super::error::ApiError;
use super::params::Pairs;
use crate::kernel::limits::OUTPUT_CHUNK_BYTES;
use crate::services::containers::Commit;
use crate::services::containers::changes::Exporting;
use crate::services::images::target;
use axum::Router;
use axum::extract::{Extension, Path, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use docker_api::containers::{ContainerConfig, CreateRequest};
use docker_api::exec::IdResponse;
use protocol::Principal;
use std::io::{Error, Result as IoResult};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// Chunks between the archive worker and the client.
const CHUNKS_AHEAD: usize = 16;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/commit", post(commit))
        .route("/containers/{id}/changes", get(changes))
        .route("/containers/{id}/export", get(export))
}

async fn commit(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Query(pairs): Query<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, ApiError> {
    let pairs = Pairs(&pairs);
    let commit = Commit {
        name: target(pairs.text("repo"), pairs.text("tag"))?,
        author: pairs.text("author").to_owned(),
        comment: pairs.text("comment").to_owned(),
        changes: pairs.all("changes").map(str::to_owned).collect(),
        config: config(request).await?,
        // dockerd pauses unless it is told not to.
        pause: pairs.all("pause").next().is_none() || pairs.flag("pause"),
    };
    let id = state
        .containers
        .commit(&by, pairs.text("container"), commit)
        .await?;
    Ok(json(StatusCode::CREATED, &IdResponse { id }))
}

/// The body may be left out.
async fn config(request: Request) -> Result<Option<ContainerConfig>, ApiError> {
    let (kind, bytes) = raw_body(request).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let read = docker_api::error::read_body::<CreateRequest>(kind.as_deref(), &bytes);
    let CreateRequest { config, .. } = read.map_err(|e| ApiError::bad_request(e.to_string()))?;
    Ok(Some(config).filter(|config| *config != ContainerConfig::default()))
}

async fn changes(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let changes = state.containers.changed_paths(&by, &id).await?;
    Ok(json(
        StatusCode::OK,
        &Some(changes).filter(|changes| !changes.is_empty()),
    ))
}

async fn export(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let exporting = state.containers.export(&by, &id).await?;
    let (sender, body) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(send(exporting, sender));
    Ok(with_type(
        StatusCode::OK,
        "application/octet-stream",
        fallible(body),
    ))
}

/// Sends a tree; where that fails, the answer breaks off, so that nobody takes it for whole.
async fn send(mut exporting: Exporting, to: mpsc::Sender<IoResult<Bytes>>) {
    let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
    while let Ok(count @ 1..) = exporting.packing.stream.read(&mut buffer).await {
        if to
            .send(Ok(Bytes::copy_from_slice(&buffer[..count])))
            .await
            .is_err()
        {
            break;
        }
    }
    if let Err(error) = exporting.packing.finish().await {
        tracing::warn!(%error, "a container was not exported whole");
        let _ = to.send(Err(Error::other(error.to_string()))).await;
    }
    // The tree stays mounted until the worker is done with it.
    drop(exporting.root);
}
