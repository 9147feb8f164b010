//! `GET /containers/{id}/logs`.

use super::State;
use super::body::{channel, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::Failure;
use crate::services::processes::logs::{Follow, LogEntry, LogQuery, read};
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use docker_api::error;
use docker_api::stream::{self, StreamKind};
use docker_api::timestamps::rfc3339_nano_fixed;
use docker_api::version::ApiVersion;
use protocol::Principal;
use tokio::sync::mpsc;

/// Entries between the file and the client.
const ENTRIES_AHEAD: usize = 64;

/// The first version whose clients tell framed from raw logs by the content type.
const CONTENT_TYPE_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// Sends a container's log.
pub(super) async fn logs(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let (stdout, stderr) = (params.flag("stdout"), params.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::bad_request(error::NO_LOG_STREAM));
    }
    if params.flag("details") {
        let text = "the details option of logs is not supported by cellblock yet";
        return Err(Failure::Unsupported(text.to_owned()).into());
    }
    let container = state.containers.find(&by, &id).await?.container;
    let query = LogQuery {
        stdout,
        stderr,
        since: params.moment("since")?,
        // Clients that always send both say 0 for none, which dockerd takes so.
        until: if params.text("until") == "0" {
            None
        } else {
            params.moment("until")?
        },
        // Anything that is no number means all, as in dockerd.
        tail: params.text("tail").parse().ok(),
    };
    let follow = if params.flag("follow") {
        let changes = state.containers.hub(&container.id).await?.log_changes();
        Some(Follow {
            changes,
            over: Box::pin(state.containers.over(&container.id).await?),
        })
    } else {
        None
    };
    let mut entries = read(state.containers.log_path(&container.id), query, follow);
    let (tty, with_time) = (container.config.tty, params.flag("timestamps"));
    let (sender, body) = mpsc::channel(ENTRIES_AHEAD);
    tokio::spawn(async move {
        while let Some(entry) = entries.recv().await {
            if sender.send(line(&entry, tty, with_time)).await.is_err() {
                return;
            }
        }
    });
    let is_raw = tty || version < CONTENT_TYPE_SINCE;
    let kind = if is_raw {
        "application/vnd.docker.raw-stream"
    } else {
        "application/vnd.docker.multiplexed-stream"
    };
    Ok(with_type(StatusCode::OK, kind, channel(body)))
}

fn line(entry: &LogEntry, tty: bool, with_time: bool) -> Bytes {
    let text = if with_time {
        format!("{} {}", rfc3339_nano_fixed(entry.at()), entry.log)
    } else {
        entry.log.clone()
    };
    if tty {
        return Bytes::from(text);
    }
    let kind = if entry.stream == "stderr" {
        StreamKind::Stderr
    } else {
        StreamKind::Stdout
    };
    let mut framed = Vec::with_capacity(text.len() + stream::HEADER_BYTES);
    stream::encode(kind, text.as_bytes(), &mut framed);
    framed.into()
}
