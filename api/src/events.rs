//! Records of `GET /events`, one JSON object per line.

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMessage {
    /// Old name of `Action`; dockerd 28 fills it for containers and images only.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub status: String,
    /// Old name of `Actor.ID`; for containers and images only.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub id: String,
    /// Old name of the attribute `image`; for containers only.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub from: String,
    /// `container`, `image`, `network`, `volume`, `daemon`, `builder`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What happened: `create`, `start`, `die`, `exec_start: sh`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// What it happened to.
    #[serde(rename = "Actor")]
    pub actor: EventActor,
    /// `local` or `swarm`.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub scope: String,
    /// Unix time in seconds.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub time: i64,
    /// Unix time in nanoseconds.
    #[serde(rename = "timeNano", skip_serializing_if = "null::is_zero")]
    pub time_nano: i64,
}

/// The object of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventActor {
    /// Id, or name for volumes and image names.
    #[serde(rename = "ID")]
    pub id: String,
    /// Labels and facts such as `name`, `image`, `exitCode`, `signal`.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

impl EventMessage {
    /// Makes an event, filling the old field names as dockerd does for API versions before 1.52.
    #[must_use]
    pub fn new(kind: &str, action: &str, actor: EventActor, time_nano: i64) -> Self {
        const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;
        let mut event = Self {
            kind: kind.to_owned(),
            action: action.to_owned(),
            scope: "local".to_owned(),
            time: time_nano.div_euclid(NANOSECONDS_PER_SECOND),
            time_nano,
            ..Self::default()
        };
        if kind == "container" || kind == "image" {
            event.status.clone_from(&event.action);
            event.id.clone_from(&actor.id);
        }
        if kind == "container" {
            event.from = actor.attributes.get("image").cloned().unwrap_or_default();
        }
        event.actor = actor;
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_event_has_the_old_fields_and_a_network_event_has_not() {
        let actor = EventActor {
            id: "c1".to_owned(),
            attributes: BTreeMap::from([("image".to_owned(), "busybox".to_owned())]),
        };
        let event = EventMessage::new("container", "start", actor.clone(), 1_700_000_000_000_000_005);
        assert_eq!(
            (event.status.as_str(), event.id.as_str(), event.from.as_str()),
            ("start", "c1", "busybox")
        );
        assert_eq!(event.time, 1_700_000_000);
        let written =
            serde_json::to_value(EventMessage::new("network", "create", actor, 1)).expect("plain data");
        assert!(
            written.get("status").is_none() && written.get("id").is_none() && written.get("from").is_none()
        );
    }
}
