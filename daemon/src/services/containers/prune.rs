//! `docker container prune`.

use super::remove;
use super::state::Container;
use super::verbs::{Containers, to_the_end};
use crate::services::Failure;
use docker_api::error;
use docker_api::filters::Filters;
use docker_api::timestamps::parse_flexible;
use protocol::Principal;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids of containers.
    pub ids: Vec<String>,
    /// What they had written, in bytes.
    pub reclaimed_bytes: u64,
}

impl Containers {
    /// Removes every container that does not run and that the filters choose. One that cannot be removed is left.
    ///
    /// # Errors
    /// `Invalid` for a filter, `Conflict` while another prune runs.
    pub async fn prune(&self, by: &Principal, filters: Filters) -> Result<Pruned, Failure> {
        filters
            .accept_only(&["label", "label!", "until"])
            .map_err(|error| Failure::Invalid(error.to_string()))?;
        let until = until(&filters, OffsetDateTime::now_utc())?;
        let running = || Failure::Conflict(error::PRUNE_RUNNING.to_owned());
        let pruning = self.0.pruning.reserve(by.tenant.as_str()).ok_or_else(running)?;
        let (this, by) = (self.clone(), by.clone());
        to_the_end(async move {
            let pruned = this.prune_chosen(&by, &filters, until).await;
            drop(pruning);
            pruned
        })
        .await
    }

    async fn prune_chosen(
        &self,
        by: &Principal,
        filters: &Filters,
        until: Option<OffsetDateTime>,
    ) -> Result<Pruned, Failure> {
        let how = remove::How {
            force: false,
            volumes: false,
        };
        let mut pruned = Pruned::default();
        for container in self.all(by).await? {
            if !is_chosen(&container, filters, until) {
                continue;
            }
            let written_bytes = self.sizes(by, &container).await.written_bytes;
            match self.remove(by, &container.id, how).await {
                Ok(()) => {
                    pruned.reclaimed_bytes += u64::try_from(written_bytes).unwrap_or_default();
                    pruned.ids.push(container.id.clone());
                }
                Err(error) => tracing::warn!(%error, container = container.id, "not pruned"),
            }
        }
        let attributes = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed_bytes.to_string())]);
        self.0
            .bus
            .publish(by.tenant.as_str(), "container", "prune", "", attributes);
        Ok(pruned)
    }
}

fn is_chosen(container: &Container, filters: &Filters, until: Option<OffsetDateTime>) -> bool {
    let labels = super::create::labels(&container.config);
    let is_excluded = filters.contains("label!") && filters.matches_pairs("label!", &labels);
    let is_later = until.is_some_and(|until| i128::from(container.created_ns) > until.unix_timestamp_nanos());
    !container.is_running() && !is_later && filters.matches_pairs("label", &labels) && !is_excluded
}

/// The filter `until`: containers made after it are left.
fn until(filters: &Filters, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Failure> {
    let mut values = filters.values("until");
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Failure::Invalid(error::SEVERAL_UNTIL.to_owned())),
        (Some(text), None) => parse_flexible(text, now)
            .map(Some)
            .map_err(|error| Failure::Invalid(error.to_string())),
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    fn filters(json: &str) -> Filters {
        Filters::parse(json).unwrap()
    }

    #[test]
    fn what_runs_and_what_the_filters_leave_out_stays() {
        let mut ended = container(Phase::Exited);
        ended.created_ns = 10_000_000_000;
        ended.config.labels = Some(BTreeMap::from([("keep".to_owned(), "1".to_owned())]));
        let chosen = |container: &Container, json: &str| {
            let filters = filters(json);
            let until = until(&filters, OffsetDateTime::now_utc()).unwrap();
            is_chosen(container, &filters, until)
        };
        assert!(chosen(&ended, ""));
        assert!(!chosen(&container(Phase::Running { pid: 1 }), ""));
        assert!(!chosen(&container(Phase::Restarting), ""));
        assert!(chosen(&container(Phase::Created), ""));
        for (json, wanted) in [
            (r#"{"label":["keep"]}"#, true),
            (r#"{"label":["keep=2"]}"#, false),
            (r#"{"label!":["keep=1"]}"#, false),
            (r#"{"label!":["other"]}"#, true),
            (r#"{"until":["5"]}"#, false),
            (r#"{"until":["20"]}"#, true),
        ] {
            assert_eq!(chosen(&ended, json), wanted, "{json}");
        }
    }

    #[test]
    fn two_times_are_too_many() {
        let refused = until(&filters(r#"{"until":["1","2"]}"#), OffsetDateTime::now_utc());
        assert!(matches!(refused, Err(Failure::Invalid(text)) if text == error::SEVERAL_UNTIL));
    }
}
