//! `GET /containers/{id}/stats`.

use super::State;
use super::body::{channel, json, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::Failure;
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use docker_api::error;
use docker_api::stats::StatsResponse;
use docker_api::timestamps;
use protocol::Principal;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time between two samples: dockerd's.
const INTERVAL: Duration = Duration::from_secs(1);

/// Answers with one sample, or one each second until the client or the container is gone.
pub(super) async fn stats(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let is_stream = params.text("stream").is_empty() || params.flag("stream");
    let is_one_shot = params.flag("one-shot");
    if is_stream && is_one_shot && !params.text("stream").is_empty() {
        return Err(ApiError::bad_request("cannot have stream=true and one-shot=true"));
    }
    let container = state.containers.find(&by, &id).await?.container;
    let gone = || Failure::NotFound(error::no_such_container(&id));
    let first = state
        .containers
        .sample(&by, &container.id)
        .await?
        .ok_or_else(gone)?;
    if is_stream && !is_one_shot {
        let (sender, body) = mpsc::channel(1);
        tokio::spawn(send(state, by, container.id.clone(), first, sender));
        return Ok(with_type(StatusCode::OK, "application/json", channel(body)));
    }
    // Clients compute rates from two samples, so a single one takes as long as that needs.
    let needs_two = !is_one_shot && container.is_running();
    if !needs_two {
        let mut first = first;
        first.preread = timestamps::ZERO.to_owned();
        return Ok(json(StatusCode::OK, &first));
    }
    tokio::time::sleep(INTERVAL).await;
    let second = state
        .containers
        .sample(&by, &container.id)
        .await?
        .ok_or_else(gone)?;
    Ok(json(StatusCode::OK, &after(&first, second)))
}

/// A sample with what it is compared with.
fn after(before: &StatsResponse, now: StatsResponse) -> StatsResponse {
    StatsResponse {
        preread: before.read.clone(),
        precpu_stats: before.cpu_stats.clone(),
        ..now
    }
}

async fn send(state: State, by: Principal, id: String, first: StatsResponse, to: mpsc::Sender<Bytes>) {
    let mut told = first.clone();
    let mut before = first;
    loop {
        let text = serde_json::to_string(&told).unwrap_or_default() + "\n";
        if to.send(Bytes::from(text)).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = to.closed() => return,
        }
        match state.containers.sample(&by, &id).await {
            Ok(Some(now)) => {
                told = after(&before, now.clone());
                before = now;
            }
            // The container is gone.
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, container = id, "no sample of its use"),
        }
    }
}
