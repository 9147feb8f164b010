//! `GET /events`.

use super::State;
use super::body::{channel, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::kernel::bus::News;
use axum::Router;
use axum::extract::{Extension, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use docker_api::events::EventMessage;
use docker_api::filters::Filters;
use protocol::Principal;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Events between the bus and the client.
const EVENTS_AHEAD: usize = 64;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/events", get(events))
}

async fn events(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    params: Params,
) -> Result<Response, ApiError> {
    let (since, until) = (params.moment("since")?, params.moment("until")?);
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        let (from, to) = (params.text("since"), params.text("until"));
        return Err(ApiError::bad_request(format!(
            "`since` time ({from}) cannot be after `until` time ({to})"
        )));
    }
    // As with dockerd, a filter that it does not know chooses everything.
    let filters = params.filters()?;
    let (sender, body) = mpsc::channel(EVENTS_AHEAD);
    let bus = state.bus.clone();
    // Joined before the answer's head goes out: what happens after that is seen.
    let (kept, mut live) = bus.listen();
    tokio::spawn(async move {
        let is_wanted = |News { tenant, event }: &News| {
            tenant == by.tenant.as_str()
                && until.is_none_or(|until| event.time_nano <= nanoseconds(until))
                && matches(event, &filters)
        };
        // What was before is asked for by either end.
        let from = since
            .or(until.map(|_| OffsetDateTime::UNIX_EPOCH))
            .map(nanoseconds);
        for news in kept
            .iter()
            .filter(|news| from.is_some_and(|from| news.event.time_nano >= from))
        {
            if is_wanted(news) && sender.send(line(&news.event)).await.is_err() {
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
                news = live.recv() => match news {
                    Ok(news) if is_wanted(&news) => if sender.send(line(&news.event)).await.is_err() { return },
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

fn line(event: &EventMessage) -> Bytes {
    Bytes::from(serde_json::to_string(event).unwrap_or_default() + "\n")
}

/// Whether the filters choose an event, by dockerd's rules: each key must fit, by any of its values.
fn matches(event: &EventMessage, filters: &Filters) -> bool {
    let attribute = |name: &str| event.actor.attributes.get(name).map_or("", String::as_str);
    // These look at every event, whatever its type is: a name means what has it, or begins with it.
    let named = |kind: &str| {
        filters.matches_beginning(kind, &event.actor.id) || filters.matches_beginning(kind, attribute("name"))
    };
    let objects = [
        "container",
        "daemon",
        "plugin",
        "volume",
        "network",
        "node",
        "service",
        "secret",
        "config",
    ];
    filters.matches_exactly("type", &event.kind)
        && matches_action(event, filters)
        && filters.matches_exactly("scope", &event.scope)
        && objects.into_iter().all(named)
        && matches_image(event, filters)
        && filters.matches_pairs("label", &event.actor.attributes)
}

/// Actions such as `exec_create: cmd` are asked for by their beginning.
fn matches_action(event: &EventMessage, filters: &Filters) -> bool {
    let with_more = |value: &str| matches!(value, "health_status" | "exec_create" | "exec_start");
    if filters.values("event").any(with_more) {
        filters.matches_beginning("event", &event.action)
    } else {
        filters.matches_exactly("event", &event.action)
    }
}

/// An image is meant by its id or name, with or without tag; for a container, by the image it was made from.
fn matches_image(event: &EventMessage, filters: &Filters) -> bool {
    let name = if event.kind == "image" { "name" } else { "image" };
    let name = event.actor.attributes.get(name).map_or("", String::as_str);
    let fits = |text: &str| filters.matches_exactly("image", text);
    fits(&event.actor.id) || fits(name) || fits(without_tag(&event.actor.id)) || fits(without_tag(name))
}

fn without_tag(name: &str) -> &str {
    let end = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[end..].split_once([':', '@']) {
        Some((last, _)) => &name[..end + last.len()],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_api::events::EventActor;

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let actor = EventActor {
            id: id.to_owned(),
            attributes: attributes.collect(),
        };
        EventMessage::new(kind, action, actor, 1)
    }

    fn fits(event: &EventMessage, pairs: &[(&str, &str)]) -> bool {
        let mut filters = Filters::default();
        for (key, value) in pairs {
            filters.add(*key, *value);
        }
        matches(event, &filters)
    }

    #[test]
    fn every_key_must_fit_by_one_of_its_values() {
        let start = event(
            "container",
            "start",
            "abc123",
            &[("name", "web"), ("image", "r/app:1")],
        );
        for yes in [
            &[][..],
            &[("type", "container"), ("type", "image")],
            &[("event", "start")],
            &[("container", "abc")],
            &[("container", "we")],
            &[("image", "r/app")],
            &[("image", "r/app:1")],
            &[("label", "name=web")],
            &[("scope", "local")],
            &[("unknown", "x")],
        ] {
            assert!(fits(&start, yes), "{yes:?}");
        }
        for no in [
            &[("type", "image")][..],
            &[("event", "sta")],
            &[("container", "eb")],
            &[("image", "app")],
            &[("label", "name=other")],
            &[("scope", "swarm")],
            &[("type", "container"), ("event", "stop")],
        ] {
            assert!(!fits(&start, no), "{no:?}");
        }
    }

    #[test]
    fn actions_with_more_in_them_are_asked_for_by_their_beginning() {
        let exec = event("container", "exec_start: sh", "a", &[]);
        assert!(fits(&exec, &[("event", "exec_start")]));
        assert!(fits(&exec, &[("event", "exec_start: sh")]));
        assert!(!fits(&exec, &[("event", "exec_create")]));
        assert!(fits(
            &event("container", "health_status: healthy", "a", &[]),
            &[("event", "health_status")]
        ));
    }

    #[test]
    fn tags_are_taken_off_and_ports_of_registries_are_not() {
        for (name, bare) in [
            ("busybox:1", "busybox"),
            ("host:5000/a/b:1", "host:5000/a/b"),
            ("host:5000/a/b", "host:5000/a/b"),
            ("a@sha256:12", "a"),
            ("", ""),
        ] {
            assert_eq!(without_tag(name), bare);
        }
    }
}
