//! `GET /events`.

use super::State;
use super::body::{channel, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use docker_api::events::EventMessage;
use docker_api::filters::Filters;
use docker_api::timestamps::parse_unix;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Events between the bus and the client.
const EVENTS_AHEAD: usize = 64;

/// The filters that dockerd accepts here.
const FILTERS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/events", get(events))
}

async fn events(Shared(state): Shared<State>, params: Params) -> Result<Response, ApiError> {
    let moment = |name: &str| parse_unix(params.text(name)).map_err(|e| ApiError::internal(e.to_string()));
    let (since, until) = (moment("since")?, moment("until")?);
    let filters = params.filters()?;
    filters
        .accept_only(&FILTERS)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let (sender, body) = mpsc::channel(EVENTS_AHEAD);
    let bus = state.bus.clone();
    // Joined before the answer's head goes out: what happens after that is seen.
    let (kept, mut live) = bus.listen();
    tokio::spawn(async move {
        let is_wanted = |event: &EventMessage| {
            until.is_none_or(|until| event.time_nano <= nanoseconds(until)) && matches(event, &filters)
        };
        let from = since.map(nanoseconds);
        for event in kept
            .iter()
            .filter(|event| from.is_some_and(|from| event.time_nano >= from))
        {
            if is_wanted(event) && sender.send(line(event)).await.is_err() {
                return;
            }
        }
        let end = async {
            match until {
                Some(until) => tokio::time::sleep(time_left(until)).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                event = live.recv() => match event {
                    Ok(event) if is_wanted(&event) => if sender.send(line(&event)).await.is_err() { return },
                    Ok(_) => {}
                    // Too slow: the stream ends rather than leave a gap that nobody sees.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                },
                () = &mut end => return,
                () = sender.closed() => return,
            }
        }
    });
    Ok(with_type(StatusCode::OK, "application/json", channel(body)))
}

fn nanoseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

fn time_left(until: OffsetDateTime) -> Duration {
    Duration::try_from(until - OffsetDateTime::now_utc()).unwrap_or_default()
}

fn line(event: &Arc<EventMessage>) -> Bytes {
    Bytes::from(serde_json::to_string(&**event).unwrap_or_default() + "\n")
}

fn matches(event: &EventMessage, filters: &Filters) -> bool {
    let any =
        |key: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(fits);
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str);
    let object = |kind: &'static str| {
        move |wanted: &str| {
            event.kind == kind
                && (event.actor.id == wanted
                    || (!wanted.is_empty() && event.actor.id.starts_with(wanted))
                    || attribute("name") == Some(wanted))
        }
    };
    let image = |wanted: &str| {
        let tagged = if wanted.contains(':') {
            wanted.to_owned()
        } else {
            format!("{wanted}:latest")
        };
        let is_named = |text: Option<&str>| text == Some(wanted) || text == Some(tagged.as_str());
        is_named(attribute("image"))
            || (event.kind == "image" && (event.actor.id == wanted || is_named(attribute("name"))))
    };
    any("type", &|wanted| event.kind == wanted)
        // `exec_create: cmd` is asked for as `exec_create`.
        && any("event", &|wanted| event.action == wanted || event.action.split(':').next() == Some(wanted))
        && any("container", &object("container"))
        && any("network", &object("network"))
        && any("volume", &object("volume"))
        && any("daemon", &object("daemon"))
        && any("image", &image)
        && any("scope", &|wanted| event.scope == wanted)
        // No swarm and no plugins here.
        && ["config", "node", "plugin", "secret", "service"].iter().all(|key| !filters.contains(key))
        && filters.matches_pairs("label", &event.actor.attributes)
}
