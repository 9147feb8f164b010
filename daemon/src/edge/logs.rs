//! `GET /containers/{id}/logs`.

use super::State;
use super::body::{channel, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
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
use std::fmt::Write as _;
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
    let container = state.containers.find(&by, &id).await?.container;
    let log = state.containers.log(&container)?;
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
        state.containers.first_output(&container).await?;
        None
    };
    let mut entries = read(&log, query, follow);
    let tty = container.config.tty;
    let look = Look {
        is_raw: tty,
        with_time: params.flag("timestamps"),
        with_details: params.flag("details"),
    };
    let (sender, body) = mpsc::channel(ENTRIES_AHEAD);
    tokio::spawn(async move {
        while let Some(entry) = entries.recv().await {
            if sender.send(line(&entry, look)).await.is_err() {
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

/// How entries are sent.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// A terminal's output is not framed.
    is_raw: bool,
    with_time: bool,
    with_details: bool,
}

fn line(entry: &LogEntry, look: Look) -> Bytes {
    let mut text = Vec::new();
    if look.with_time {
        text.extend_from_slice(rfc3339_nano_fixed(entry.at()).as_bytes());
        text.push(b' ');
    }
    if look.with_details {
        text.extend_from_slice(details(entry).as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(&entry.bytes());
    if look.is_raw {
        return Bytes::from(text);
    }
    let kind = if entry.stream == "stderr" {
        StreamKind::Stderr
    } else {
        StreamKind::Stdout
    };
    let mut framed = Vec::with_capacity(text.len() + stream::HEADER_BYTES);
    stream::encode(kind, &text, &mut framed);
    framed.into()
}

/// What the log options say of the container: `name=value,name=value`, each escaped as in a query.
fn details(entry: &LogEntry) -> String {
    let pairs = entry.attrs.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join(",")
}

/// Go's `url.QueryEscape`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            b' ' => escaped.push('+'),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "%{other:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn details_come_after_the_time_and_before_the_text() {
        let entry = LogEntry {
            log: "x\n".to_owned(),
            stream: "stdout".to_owned(),
            attrs: BTreeMap::from([
                ("a b".to_owned(), "1/2".to_owned()),
                ("c".to_owned(), String::new()),
            ]),
            time: "2026-01-02T03:04:05.000000006Z".to_owned(),
            raw: String::new(),
        };
        let look = Look {
            is_raw: true,
            with_time: true,
            with_details: true,
        };
        assert_eq!(
            line(&entry, look),
            "2026-01-02T03:04:05.000000006Z a+b=1%2F2,c= x\n"
        );
    }
}
