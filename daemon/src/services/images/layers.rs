//! Making and removing layers: a dataset, filled once, then a snapshot that others are cloned from.
//!
//! Order of making: dataset, mount, fill, unmount, snapshot, row. A failure undoes what was made; a killed daemon leaves a
//! dataset without a row, which the next start destroys (`reconcile.rs`).

use super::actor::Table;
use super::messages::{HoldLayer, LayerLock, LetGoLayer, PutLayer, TakeUnusedLayer};
use super::progress::Progress;
use super::state::Layer;
use super::stream::{Source, StreamError, Streamed};
use super::tables::Tables;
use super::verbs::{Images, to_the_end};
use super::{Image, chain};
use crate::kernel::limits::{LAYER_CONTENT_BYTES_MAX, LAYER_ENTRIES_MAX};
use crate::services::{Failure, naming};
use crate::store::Kind;
use crate::transport::archive::Moved;
use protocol::archive::{Extract, Owner, Replace, Whiteouts};
use protocol::mount::Access;
use protocol::names::{DatasetName, MountName, RelPath};
use protocol::{ErrorCode, Principal};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pauses before what a missing helper left is tried again: the launcher starts a helper again after five seconds at most.
const RETRY_PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// A layer that exists now.
#[derive(Debug)]
pub struct LayerAdded {
    /// Its chain id, without `sha256:`.
    pub chain_id: String,
    /// The digest of its uncompressed tar, with `sha256:`.
    pub diff_id: String,
    /// Bytes of its regular files.
    pub size_bytes: u64,
    /// Keeps the layer until an image uses it.
    pub hold: Hold,
}

/// Keeps a layer. When it ends, the layer goes if nothing else needs it by then, and so do those below it.
#[derive(Debug)]
pub struct Hold {
    images: Images,
    /// None once it ended.
    chain: Option<String>,
}

impl Hold {
    /// Ends it now; dropping it does the same in the background.
    pub async fn end(mut self) {
        if let Some(chain) = self.chain.take() {
            self.images.let_go(chain).await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Without a runtime the daemon is ending, and the next start finds the layer unused.
        if let (Some(chain), Ok(runtime)) = (self.chain.take(), tokio::runtime::Handle::try_current()) {
            let images = self.images.clone();
            runtime.spawn(async move { images.let_go(chain).await });
        }
    }
}

/// Why a layer was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// The bytes are not those of the configuration's digest.
    #[error("invalid diffID: expected \"sha256:{expected}\", got \"sha256:{got}\"")]
    WrongDiff {
        /// As the configuration says.
        expected: String,
        /// As read.
        got: String,
    },
    /// The archive is at fault.
    #[error("{0}")]
    Stream(StreamError),
    /// Something else failed.
    #[error("{0}")]
    Failed(#[from] Failure),
}

impl From<LayerError> for Failure {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Failed(failure) => failure,
            // dockerd answers 500 for damaged archives.
            LayerError::WrongDiff { .. } | LayerError::Stream(_) => Failure::System(error.to_string()),
        }
    }
}

impl From<crate::transport::TransportError> for LayerError {
    fn from(error: crate::transport::TransportError) -> Self {
        LayerError::Failed(error.into())
    }
}

/// What a layer is to become.
pub(super) struct Wanted {
    /// The chain id of the layer below, which the caller holds.
    pub(super) parent: Option<String>,
    /// The digest of its uncompressed tar, without `sha256:`.
    pub(super) diff: String,
    /// Its bytes.
    pub(super) source: Source,
}

impl Images {
    /// Makes a layer of a spooled tar (plain or gzip) on top of others, whose images or holds the caller has. A layer that
    /// exists is not made again.
    ///
    /// # Errors
    /// [`Failure::System`] with the reason where the tar is at fault, or what a helper says. Nothing half-made is left.
    pub async fn add_layer(
        &self,
        by: &Principal,
        parent_chain: &[String],
        spooled: &Path,
    ) -> Result<LayerAdded, Failure> {
        let source = Source::whole(spooled).map_err(|error| Failure::System(error.to_string()))?;
        let streamed = source
            .clone()
            .digested()
            .await
            .map_err(|error| Failure::from(LayerError::Stream(error)))?;
        let wanted = Wanted {
            parent: parent_chain.last().cloned(),
            diff: streamed.diff,
            source,
        };
        self.ensure_layer(by, wanted, Progress::none())
            .await
            .map_err(Failure::from)
    }

    /// Makes a layer where it is missing, one at a time per chain id.
    pub(super) async fn ensure_layer(
        &self,
        by: &Principal,
        wanted: Wanted,
        progress: Progress,
    ) -> Result<LayerAdded, LayerError> {
        let (images, by) = (self.clone(), by.clone());
        to_the_end(async move { images.ensure(&by, wanted, progress).await })
            .await
            .unwrap_or_else(|ended| Err(ended.into()))
    }

    async fn ensure(
        &self,
        by: &Principal,
        wanted: Wanted,
        progress: Progress,
    ) -> Result<LayerAdded, LayerError> {
        let chain = chain::next(wanted.parent.as_deref(), &wanted.diff);
        let lock = self
            .table
            .ask(LayerLock { chain: chain.clone() })
            .await
            .map_err(Failure::from)?;
        let _one = lock.lock().await;
        let layer = match hold(&self.table, &chain).await? {
            Some(layer) => {
                let added = self.added(&layer);
                self.prove(by, &layer, &wanted).await?;
                return Ok(added);
            }
            None => {
                let (source, parent) = (wanted.source.clone(), wanted.parent.clone());
                let (layer, streamed) = self.make(by, &chain, wanted, progress).await?;
                let recorded = self.record(&chain, &source, &layer, &streamed).await;
                if let Err(error) = recorded {
                    let (dataset, at) = names(&chain)?;
                    self.discard(by, dataset, at).await;
                    tracing::warn!(%error, chain, ?parent, "a layer was made and not recorded");
                    return Err(error.into());
                }
                layer
            }
        };
        Ok(self.added(&layer))
    }

    /// A layer that is held, as its maker sees it.
    fn added(&self, layer: &Layer) -> LayerAdded {
        LayerAdded {
            chain_id: layer.chain.clone(),
            diff_id: chain::digest(&layer.diff),
            size_bytes: layer.size_bytes,
            hold: Hold {
                images: self.clone(),
                chain: Some(layer.chain.clone()),
            },
        }
    }

    /// Who names a layer that no image of its tenant has shows its bytes: else an archive that only names another tenant's layers
    /// would give their files away.
    async fn prove(&self, by: &Principal, layer: &Layer, wanted: &Wanted) -> Result<(), LayerError> {
        if self.seen(by).await?.knows_chain(&layer.chain) {
            return Ok(());
        }
        let got = wanted
            .source
            .clone()
            .digested()
            .await
            .map_err(LayerError::Stream)?
            .diff;
        if got != wanted.diff {
            return Err(LayerError::WrongDiff {
                expected: wanted.diff.clone(),
                got,
            });
        }
        Ok(())
    }

    /// Writes a layer down with its bytes, and holds it.
    async fn record(
        &self,
        chain: &str,
        source: &Source,
        layer: &Layer,
        streamed: &Streamed,
    ) -> Result<(), Failure> {
        let _changing = self.blobs.changing().await;
        self.blobs.keep(source, streamed).await?;
        self.store.put(Kind::Layer, chain, layer).await?;
        self.table.ask(PutLayer(layer.clone())).await?;
        hold(&self.table, chain).await?;
        Ok(())
    }

    async fn make(
        &self,
        by: &Principal,
        chain: &str,
        wanted: Wanted,
        progress: Progress,
    ) -> Result<(Layer, Streamed), LayerError> {
        let (dataset, at) = names(chain)?;
        self.new_dataset(by, wanted.parent.as_deref(), &dataset, &at)
            .await?;
        match self.fill(by, &dataset, &at, &wanted, progress).await {
            Ok((moved, streamed)) => {
                let layer = Layer {
                    chain: chain.to_owned(),
                    parent: wanted.parent,
                    diff: wanted.diff,
                    size_bytes: moved.content_bytes,
                };
                Ok((layer, streamed))
            }
            Err(error) => {
                self.discard(by, dataset, at).await;
                Err(error)
            }
        }
    }

    async fn new_dataset(
        &self,
        by: &Principal,
        parent: Option<&str>,
        dataset: &DatasetName,
        at: &MountName,
    ) -> Result<(), Failure> {
        match self.create_or_clone(by, parent, dataset).await {
            // The rest of an attempt whose undoing failed: no row speaks of it.
            Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {
                self.discard(by, dataset.clone(), at.clone()).await;
                Ok(self.create_or_clone(by, parent, dataset).await?)
            }
            other => Ok(other?),
        }
    }

    async fn create_or_clone(
        &self,
        by: &Principal,
        parent: Option<&str>,
        dataset: &DatasetName,
    ) -> Result<(), crate::transport::TransportError> {
        let zfs = &self.helpers.zfs;
        match parent {
            None => zfs.create(by, dataset.clone()).await,
            Some(parent) => {
                let origin = naming::image_dataset(parent)?;
                zfs.clone_snapshot(by, origin, naming::layer_label()?, dataset.clone())
                    .await
            }
        }
    }

    async fn fill(
        &self,
        by: &Principal,
        dataset: &DatasetName,
        at: &MountName,
        wanted: &Wanted,
        progress: Progress,
    ) -> Result<(Moved, Streamed), LayerError> {
        self.helpers
            .mount
            .dataset(by, dataset.clone(), at.clone(), Access::ReadWrite)
            .await?;
        let (moved, streamed) = self.extract(by, at, wanted, progress).await?;
        if streamed.diff != wanted.diff {
            return Err(LayerError::WrongDiff {
                expected: wanted.diff.clone(),
                got: streamed.diff,
            });
        }
        self.helpers.mount.unmount(by, at.clone()).await?;
        let label = naming::layer_label().map_err(Failure::from)?;
        self.helpers.zfs.snapshot(by, dataset.clone(), label).await?;
        Ok((moved, streamed))
    }

    async fn extract(
        &self,
        by: &Principal,
        at: &MountName,
        wanted: &Wanted,
        progress: Progress,
    ) -> Result<(Moved, Streamed), LayerError> {
        let extract = Extract {
            root: at.clone(),
            path: RelPath::new("").map_err(Failure::from)?,
            whiteouts: Whiteouts::Apply,
            replace: Replace::Allowed,
            owner: Owner::FromArchive,
            content_bytes_max: LAYER_CONTENT_BYTES_MAX,
            entries_max: LAYER_ENTRIES_MAX,
        };
        let counter = progress.layer_counter(&wanted.diff, wanted.source.bytes);
        let feed = wanted.source.clone().feed(counter).map_err(LayerError::Stream)?;
        let moved = self.helpers.archive.extract(by, extract, feed.reader).await;
        let streamed = feed.done.await.unwrap_or(Err(StreamError::Interrupted));
        match (moved, streamed) {
            (Ok(moved), Ok(streamed)) => Ok((moved, streamed)),
            // The worker refused something and stopped reading: its reason counts, in dockerd's words.
            (Err(refused), Ok(_) | Err(StreamError::Closed)) => Err(match Failure::from(refused) {
                Failure::Invalid(text) => LayerError::Failed(Failure::System(text)),
                other => LayerError::Failed(other),
            }),
            (Ok(_) | Err(_), Err(stream)) => Err(LayerError::Stream(stream)),
        }
    }

    /// What stays where a helper is not there is a dataset without a row; it is tried again in a while.
    async fn discard(&self, by: &Principal, dataset: DatasetName, at: MountName) {
        let unmounted = self.helpers.mount.unmount(by, at.clone()).await;
        let destroyed = self.helpers.zfs.destroy(by, dataset.clone()).await;
        if let Err(error) = unmounted.and(destroyed) {
            tracing::warn!(%error, %dataset, "a half-made layer was not destroyed");
            let (images, by) = (self.clone(), by.clone());
            tokio::spawn(async move { images.discard_later(&by, dataset, at).await });
        }
    }

    async fn discard_later(&self, by: &Principal, dataset: DatasetName, at: MountName) {
        let chain = dataset.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        for pause in RETRY_PAUSES {
            tokio::time::sleep(pause).await;
            let Ok(lock) = self.table.ask(LayerLock { chain: chain.clone() }).await else {
                return;
            };
            let _one = lock.lock().await;
            // Somebody else may have made it since.
            let view = self.view().await;
            if view.is_ok_and(|view| view.layer(&chain).is_some()) {
                return;
            }
            let unmounted = self.helpers.mount.unmount(by, at.clone()).await;
            if unmounted.is_ok() && self.helpers.zfs.destroy(by, dataset.clone()).await.is_ok() {
                return;
            }
        }
        tracing::error!(%dataset, "a half-made layer stays until the next start");
    }

    /// Holds a layer, if it exists.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) async fn hold_layer(&self, chain: &str) -> Result<Option<Hold>, Failure> {
        let held = hold(&self.table, chain).await?;
        Ok(held.map(|layer| Hold {
            images: self.clone(),
            chain: Some(layer.chain),
        }))
    }

    /// Holds every layer of an image.
    ///
    /// # Errors
    /// [`Failure::NotFound`] where it is being removed.
    pub(super) async fn hold_chain(&self, image: &Image) -> Result<Vec<Hold>, Failure> {
        let mut holds = Vec::new();
        for chain in &image.chain {
            let gone = || Failure::NotFound(docker_api::error::no_such_image(&image.id));
            holds.push(self.hold_layer(chain).await?.ok_or_else(gone)?);
        }
        Ok(holds)
    }

    async fn let_go(&self, chain: String) {
        let let_go = self.table.ask(LetGoLayer { chain: chain.clone() }).await;
        let by = match let_go
            .map_err(Failure::from)
            .and(crate::kernel::housekeeping().map_err(Failure::from))
        {
            Ok(by) => by,
            Err(error) => return tracing::warn!(%error, chain, "a layer was not let go"),
        };
        let mut next = Some(chain);
        while let Some(chain) = next {
            next = self.release(&by, &chain).await.and_then(|layer| layer.parent);
        }
    }

    /// Removes a layer if nothing needs it, and gives it back then. A layer that a container was cloned from stays, for
    /// [`Images::sweep`].
    pub(super) async fn release(&self, by: &Principal, chain: &str) -> Option<Layer> {
        match self.try_release(by, chain).await {
            Ok(went) => went,
            Err(error) => {
                tracing::warn!(%error, chain, "a layer was not removed");
                self.sweep_later(by);
                None
            }
        }
    }

    async fn try_release(&self, by: &Principal, chain: &str) -> Result<Option<Layer>, Failure> {
        let lock = self
            .table
            .ask(LayerLock {
                chain: chain.to_owned(),
            })
            .await?;
        let _one = lock.lock().await;
        let Some(layer) = self
            .table
            .ask(TakeUnusedLayer {
                chain: chain.to_owned(),
            })
            .await?
        else {
            return Ok(None);
        };
        match self.helpers.zfs.destroy(by, naming::image_dataset(chain)?).await {
            Ok(()) => {
                self.store.delete(Kind::Layer, chain).await?;
                let _changing = self.blobs.changing().await;
                if !self.view().await?.layers().any(|other| other.diff == layer.diff) {
                    self.blobs.remove(&layer.diff).await?;
                }
                Ok(Some(layer))
            }
            Err(error) => {
                self.table.ask(PutLayer(layer)).await?;
                if error.code() == Some(ErrorCode::Busy) {
                    tracing::info!(%error, chain, "a layer that no image needs is in use");
                    self.sweep_later(by);
                    Ok(None)
                } else {
                    Err(error.into())
                }
            }
        }
    }

    /// Sweeps in a while, and again as long as there is something that was not removed.
    fn sweep_later(&self, by: &Principal) {
        if self.is_sweeping_later.swap(true, Ordering::AcqRel) {
            return;
        }
        let (images, by) = (self.clone(), by.clone());
        tokio::spawn(async move {
            for pause in RETRY_PAUSES {
                tokio::time::sleep(pause).await;
                images.sweep(&by).await;
                let view = images.view().await;
                let is_unused = |layer: &Layer, view: &Tables| view.users_of(&layer.chain) == 0;
                if view.is_ok_and(|view| !view.layers().any(|layer| is_unused(layer, &view))) {
                    break;
                }
            }
            images.is_sweeping_later.store(false, Ordering::Release);
        });
    }

    /// Removes layers that nothing needs any more, such as those of a removed container whose image was removed before it.
    pub(super) async fn sweep(&self, by: &Principal) {
        let Ok(view) = self.view().await else { return };
        let mut unused: Vec<String> = view
            .layers()
            .map(|layer| layer.chain.clone())
            .filter(|chain| view.users_of(chain) == 0)
            .collect();
        drop(view);
        // A layer goes after those that stand on it, so passes are made until one removes nothing.
        loop {
            let before = unused.len();
            let mut left = Vec::new();
            for chain in unused {
                if self.release(by, &chain).await.is_none() {
                    left.push(chain);
                }
            }
            if left.is_empty() || left.len() == before {
                return;
            }
            unused = left;
        }
    }
}

/// The dataset of a layer, and where it is mounted while it is filled.
fn names(chain: &str) -> Result<(DatasetName, MountName), Failure> {
    Ok((naming::image_dataset(chain)?, naming::image_mount(chain)?))
}

async fn hold(table: &Table, chain: &str) -> Result<Option<Layer>, Failure> {
    Ok(table
        .ask(HoldLayer {
            chain: chain.to_owned(),
        })
        .await?)
}
