//! News: one bounded stream of events for everybody who listens, with the last ones kept for replay.
//!
//! Publishing never waits. A listener that falls [`EVENTS_QUEUE_MAX`] events behind is told so and dropped; the
//! daemon's memory is not its.

use super::limits::{EVENTS_KEPT_MAX, EVENTS_QUEUE_MAX};
use docker_api::events::{EventActor, EventMessage};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// An event, and whose it is.
#[derive(Debug)]
pub struct News {
    /// The tenant that may hear of it.
    pub tenant: String,
    /// What happened.
    pub event: EventMessage,
}

/// The handle that services publish through and the edge listens on.
#[derive(Debug, Clone)]
pub struct Bus {
    live: broadcast::Sender<Arc<News>>,
    kept: Arc<Mutex<VecDeque<Arc<News>>>>,
}

impl Default for Bus {
    fn default() -> Self {
        Bus {
            live: broadcast::channel(EVENTS_QUEUE_MAX).0,
            kept: Arc::default(),
        }
    }
}

impl Bus {
    /// Publishes `kind` `action` about a tenant's `id`, now.
    pub fn publish(
        &self,
        tenant: &str,
        kind: &str,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let actor = EventActor {
            id: id.to_owned(),
            attributes,
        };
        let event = EventMessage::new(kind, action, actor, crate::services::clock::now_ns());
        let news = Arc::new(News {
            tenant: tenant.to_owned(),
            event,
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == EVENTS_KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&news));
        // Sent under the lock, so that a listener who reads the kept ones sees each event once. No listener is fine.
        let _ = self.live.send(news);
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// What was kept, oldest first, and everything from then on, of every tenant.
    #[must_use]
    pub fn listen(&self) -> (Vec<Arc<News>>, broadcast::Receiver<Arc<News>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.live.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_sees_each_event_once() {
        let bus = Bus::default();
        bus.publish("t", "container", "create", "a", BTreeMap::new());
        let (kept, mut live) = bus.listen();
        bus.publish("t", "container", "start", "a", BTreeMap::new());
        assert_eq!(kept.len(), 1);
        assert_eq!(live.try_recv().unwrap().event.action, "start");
        assert!(live.try_recv().is_err());
    }

    #[test]
    fn only_the_last_events_are_kept() {
        let bus = Bus::default();
        for number in 0..=EVENTS_KEPT_MAX {
            bus.publish("t", "container", &number.to_string(), "a", BTreeMap::new());
        }
        let (kept, _) = bus.listen();
        assert_eq!(
            (kept.len(), kept[0].event.action.as_str()),
            (EVENTS_KEPT_MAX, "1")
        );
    }
}
