//! At start, the rows of images and layers are compared with the datasets that exist.
//!
//! A dataset without a row was being made when the daemon ended: it is destroyed. A row without a dataset speaks of something
//! that somebody took away: it goes, and with it the images that stood on it.

use super::chain;
use super::tables::Tables;
use super::verbs::Images;
use crate::services::{Failure, naming};
use crate::store::Kind;
use protocol::Principal;
use protocol::names::DatasetName;
use std::collections::BTreeSet;

/// What has to go so that rows and datasets agree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Chain ids of datasets without a row.
    strays: Vec<String>,
    /// Chain ids of rows without a dataset.
    lost: Vec<String>,
    /// Tenants and ids of images that stand on lost layers.
    broken: Vec<(String, String)>,
}

fn differences(state: &Tables, datasets: &BTreeSet<String>) -> Differences {
    let has_row = |chain: &String| state.layer(chain).is_some();
    let lost: Vec<String> = state
        .layers()
        .map(|layer| &layer.chain)
        .filter(|chain| !datasets.contains(*chain))
        .cloned()
        .collect();
    let is_whole = |chain: &String| has_row(chain) && datasets.contains(chain);
    let broken = state.images().filter(|image| !image.chain.iter().all(is_whole));
    Differences {
        strays: datasets.iter().filter(|chain| !has_row(chain)).cloned().collect(),
        broken: broken
            .map(|image| (image.tenant.clone(), image.id.clone()))
            .collect(),
        lost,
    }
}

impl Images {
    /// Makes rows and datasets agree, before anybody else uses images.
    ///
    /// # Errors
    /// What the helpers or the store say; nothing is removed from the record unless the datasets could be listed.
    pub(super) async fn reconcile(&self, by: &Principal) -> Result<(), Failure> {
        for mounted in self.helpers.mount.list(by).await? {
            let is_of_image = mounted.at.as_str().starts_with(naming::image_mount("")?.as_str());
            if is_of_image && mounted.target.as_str().is_empty() {
                self.helpers.mount.unmount(by, mounted.at).await?;
            }
        }
        let view = self.view().await?;
        let Some(datasets) = self.image_datasets(by, &view).await? else {
            return Ok(());
        };
        let found = differences(&view, &datasets);
        drop(view);
        if !found.broken.is_empty() || !found.lost.is_empty() {
            tracing::error!(images = ?found.broken, layers = ?found.lost, "datasets are gone; so are these");
        }
        for (tenant, id) in found.broken {
            self.forget(&tenant, vec![id]).await?;
        }
        for chain in &found.lost {
            self.store.delete(Kind::Layer, chain).await?;
            // Destroying what is not there is no error, and the row leaves the table.
            self.release(by, chain).await;
        }
        self.destroy_strays(by, found.strays).await;
        self.sweep(by).await;
        let needed = self
            .view()
            .await?
            .layers()
            .map(|layer| layer.diff.clone())
            .collect();
        self.blobs.reconcile(&needed).await
    }

    /// Chain ids that have a dataset; none where there is no family of images yet.
    async fn image_datasets(
        &self,
        by: &Principal,
        view: &Tables,
    ) -> Result<Option<BTreeSet<String>>, Failure> {
        match self.helpers.zfs.list(by, &DatasetName::new("images")?).await {
            Ok(datasets) => {
                let last = |dataset: &DatasetName| dataset.as_str().rsplit('/').next().map(str::to_owned);
                Ok(Some(datasets.iter().filter_map(last).collect()))
            }
            // Rows without even the family look like a pool that is not there: nothing is believed lost.
            Err(error) if error.is_not_found() && view.layers().next().is_none() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn destroy_strays(&self, by: &Principal, mut strays: Vec<String>) {
        // A dataset goes after its clones, so passes are made until one destroys nothing.
        loop {
            let before = strays.len();
            let mut left = Vec::new();
            for chain in strays {
                let destroyed = match naming::image_dataset(&chain) {
                    Ok(dataset) => self.helpers.zfs.destroy(by, dataset).await.map_err(Failure::from),
                    Err(bad) => Err(bad.into()),
                };
                match destroyed {
                    Ok(()) => {
                        tracing::info!(layer = chain::digest(&chain), "a half-made layer was destroyed")
                    }
                    Err(error) => {
                        tracing::debug!(%error, chain, "not destroyed yet");
                        left.push(chain);
                    }
                }
            }
            if left.is_empty() {
                return;
            }
            if left.len() == before {
                return tracing::warn!(layers = ?left, "half-made layers were not destroyed");
            }
            strays = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Layer;
    use super::super::tests::fake::image;
    use super::*;

    #[test]
    fn rows_and_datasets_are_compared_both_ways() {
        let layer = |chain: &str| Layer {
            chain: chain.to_owned(),
            parent: None,
            diff: String::new(),
            size_bytes: 0,
        };
        let mut whole = image('a', &[]);
        whole.chain = vec!["one".to_owned()];
        let mut broken = image('b', &[]);
        broken.chain = vec!["one".to_owned(), "two".to_owned()];
        let state = Tables::new(vec![whole, broken.clone()], vec![layer("one"), layer("two")]);
        let datasets = ["one", "three"].map(str::to_owned).into();
        assert_eq!(
            differences(&state, &datasets),
            Differences {
                strays: vec!["three".to_owned()],
                lost: vec!["two".to_owned()],
                broken: vec![(broken.tenant, broken.id)],
            }
        );
    }
}
