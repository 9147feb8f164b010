//! How much a container's files take.

use super::state::Container;
use super::verbs::Containers;
use crate::services::naming;
use protocol::Principal;

/// Sizes of a container, in bytes; 0 where they could not be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// What it wrote itself.
    pub written_bytes: i64,
    /// All files that it sees, those of its image among them.
    pub all_bytes: i64,
}

impl Containers {
    /// Counts a container's files. One that is removed meanwhile has none.
    pub async fn sizes(&self, by: &Principal, container: &Container) -> Sizes {
        let Ok(dataset) = naming::container_dataset(&container.id) else {
            return Sizes::default();
        };
        match self.0.helpers.zfs.stats(by, dataset).await {
            Ok(stats) => Sizes {
                written_bytes: i64::try_from(stats.used_bytes).unwrap_or(i64::MAX),
                all_bytes: i64::try_from(stats.referenced_bytes).unwrap_or(i64::MAX),
            },
            Err(error) => {
                tracing::debug!(%error, container = container.id, "not counted");
                Sizes::default()
            }
        }
    }
}
