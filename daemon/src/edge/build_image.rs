//! `/build`: the classic builder.

use super::State;
use super::body::{json, lines, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::kernel::limits::LAYER_CONTENT_BYTES_MAX;
use crate::services::Failure;
use crate::services::builder::Building;
use crate::services::images::Spool;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use docker_api::build_image::{BuildPruneReport, BuildQuery, ProgressLine};
use docker_api::version::ApiVersion;
use http_body_util::BodyExt;
use protocol::Principal;
use std::io::Error;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// Bytes of an uploaded context, as it is sent. What it unpacks to has a limit of its own.
const UPLOAD_BYTES_MAX: u64 = LAYER_CONTENT_BYTES_MAX;

/// Since when the id of a stage's image is told (Docker API 1.30).
const AUX_SINCE: ApiVersion = ApiVersion::new(1, 30);

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/build", post(build))
        .route("/build/prune", post(prune))
}

async fn build(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    Query(pairs): Query<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, ApiError> {
    let header = request.headers().get("X-Registry-Config");
    let registries = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let upload = spool(&state, request.into_body()).await?;
    let query = BuildQuery::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let Building {
        lines: mut told,
        ended,
    } = state.builder.start(&by, query, registries, upload);
    let Some(first) = told.recv().await else {
        // Nothing was told, so the failure is the answer.
        let ending = || Failure::Unavailable("the daemon is ending".to_owned());
        ended.await.unwrap_or_else(|_| Err(ending()))?;
        return Ok(with_type(StatusCode::OK, "application/json", Body::empty()));
    };
    let body = lines(forward(first, told, version >= AUX_SINCE));
    Ok(with_type(StatusCode::OK, "application/json", body))
}

/// The lines with the first one before them. A client that goes away closes the builder's end too.
fn forward(
    first: ProgressLine,
    mut rest: mpsc::Receiver<ProgressLine>,
    wants_aux: bool,
) -> mpsc::Receiver<ProgressLine> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(line) = next {
            if (wants_aux || line.aux.is_none()) && sender.send(line).await.is_err() {
                return;
            }
            next = tokio::select! {
                next = rest.recv() => next,
                () = sender.closed() => None,
            };
        }
    });
    receiver
}

/// There is no cache beside the images, which `docker image prune` removes: nothing to reclaim here.
async fn prune(params: Params) -> Result<Response, ApiError> {
    let accepted = [
        "until",
        "id",
        "label",
        "type",
        "description",
        "inuse",
        "shared",
        "private",
        "immutable",
        "unused-for",
    ];
    let known = params.filters()?.accept_only(&accepted);
    known.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(json(StatusCode::OK, &BuildPruneReport::default()))
}

/// Writes the context to a file of the daemon's own, before anything else is looked at: a client that still sends would see a
/// broken connection in place of a refusal.
async fn spool(state: &State, mut body: Body) -> Result<Spool, ApiError> {
    let internal = |error: Error| ApiError::internal(error.to_string());
    let (spool, file) = Spool::create(&state.builder.spool_directory()).map_err(internal)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > UPLOAD_BYTES_MAX {
            let text = "http: request body too large";
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        file.write_all(&data).await.map_err(internal)?;
    }
    file.flush().await.map_err(internal)?;
    Ok(spool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_lines_of_the_builder() {
        let (builder, rest) = mpsc::channel(1);
        let told = forward(ProgressLine::stream("a"), rest, true);
        drop(told);
        builder.closed().await;
    }

    #[tokio::test]
    async fn old_clients_are_not_told_ids_that_they_do_not_know() {
        for (wants_aux, count) in [(true, 3), (false, 2)] {
            let (builder, rest) = mpsc::channel(4);
            let id = docker_api::build_image::BuildResult { id: "x".to_owned() };
            builder.send(id.into_line()).await.unwrap();
            builder.send(ProgressLine::stream("b")).await.unwrap();
            drop(builder);
            let mut told = forward(ProgressLine::stream("a"), rest, wants_aux);
            let mut seen = 0;
            while told.recv().await.is_some() {
                seen += 1;
            }
            assert_eq!(seen, count);
        }
    }
}
