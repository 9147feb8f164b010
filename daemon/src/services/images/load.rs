//! `docker load`: every image of a spooled archive, told line by line.

use super::layers::{Hold, LayerError, Wanted};
use super::manifest::{self, Listed, ManifestError};
use super::progress::{Detail, Progress};
use super::spool::Spool;
use super::stream::{Source, StreamError};
use super::tarball::{ArchiveError, Tarball};
use super::verbs::{Images, NamesMoved};
use super::{Image, chain};
use crate::services::Failure;
use docker_api::image_config::Platform;
use docker_api::images::ProgressLine;
use protocol::Principal;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Why an archive was not loaded; the text is the stream's last line.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    /// The file cannot be read, or is no archive.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// It holds no images that can be loaded.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// It cannot be decompressed.
    #[error("{0}")]
    Stream(#[from] StreamError),
    /// A layer is not the one that the configuration names.
    #[error("invalid diffID for layer {index}: expected \"sha256:{expected}\", got \"sha256:{got}\"")]
    WrongDiff {
        /// Which layer, from 0.
        index: usize,
        /// As the configuration says.
        expected: String,
        /// As read.
        got: String,
    },
    /// A layer was not made.
    #[error("{0}")]
    Layer(LayerError),
    /// No image is for the platform that was asked for.
    #[error("no image in the archive is for platform {0}")]
    Platform(String),
    /// Something else failed.
    #[error("{0}")]
    Failed(#[from] Failure),
}

impl Images {
    /// Loads the images of a spooled archive: `docker save` or OCI layout, plain or gzip. What it did comes as lines, and the
    /// last one tells of an error. A failed image leaves nothing; images before it stay.
    #[must_use]
    pub fn load(
        &self,
        by: &Principal,
        spool: Spool,
        is_quiet: bool,
        platform: Option<Platform>,
    ) -> mpsc::Receiver<ProgressLine> {
        let (progress, lines) = Progress::channel(if is_quiet { Detail::Results } else { Detail::Bytes });
        let (images, by) = (self.clone(), by.clone());
        tokio::spawn(async move {
            if let Err(error) = images.load_all(&by, spool, platform, &progress).await {
                progress.say(ProgressLine::error(error.to_string())).await;
            }
        });
        lines
    }

    async fn load_all(
        &self,
        by: &Principal,
        spool: Spool,
        platform: Option<Platform>,
        progress: &Progress,
    ) -> Result<(), LoadError> {
        let platforms = platform
            .clone()
            .map_or_else(|| self.host_platforms(), |platform| vec![platform]);
        let reading = tokio::task::spawn_blocking(move || read(spool, &platforms));
        let (spool, mut images) = reading.await.unwrap_or(Err(StreamError::Interrupted.into()))?;
        if let Some(wanted) = platform {
            images.retain(|listed| is_for(listed, &wanted));
            if images.is_empty() {
                return Err(LoadError::Platform(format!(
                    "{}/{}",
                    wanted.os, wanted.architecture
                )));
            }
        }
        for listed in images {
            self.load_one(by, listed, progress).await?;
        }
        drop(spool);
        Ok(())
    }

    async fn load_one(&self, by: &Principal, listed: Listed, progress: &Progress) -> Result<(), LoadError> {
        let mut holds = Vec::new();
        let loaded = self.load_layers_and_row(by, &listed, progress, &mut holds).await;
        // Before the client is told, so that it never sees half an image. Each ends after those that stand on it.
        for hold in holds.into_iter().rev() {
            hold.end().await;
        }
        let (image, moved) = loaded?;
        for name in &listed.names {
            if let Some((_, old)) = moved.iter().find(|(taken, _)| taken == name) {
                let text = format!(
                    "The image {name} already exists, renaming the old one with ID {old} to empty string\n"
                );
                progress.say(ProgressLine::stream(text)).await;
            }
            progress
                .say(ProgressLine::stream(format!("Loaded image: {name}\n")))
                .await;
        }
        if listed.names.is_empty() {
            progress
                .say(ProgressLine::stream(format!("Loaded image ID: {}\n", image.id)))
                .await;
        }
        self.tell(by, &image, "load", &image.id);
        Ok(())
    }

    async fn load_layers_and_row(
        &self,
        by: &Principal,
        listed: &Listed,
        progress: &Progress,
        holds: &mut Vec<Hold>,
    ) -> Result<(Arc<Image>, NamesMoved), LoadError> {
        let mut parent = None;
        let digests = &listed.config.rootfs.diff_ids;
        for (index, (source, digest)) in listed.layers.iter().zip(digests).enumerate() {
            let diff = chain::digits(digest)
                .ok_or(ManifestError::DigestFormat)?
                .to_owned();
            let wanted = Wanted {
                parent: parent.take(),
                diff,
                source: source.clone(),
            };
            let added =
                self.ensure_layer(by, wanted, progress.clone())
                    .await
                    .map_err(|error| match error {
                        LayerError::WrongDiff { expected, got } => {
                            LoadError::WrongDiff { index, expected, got }
                        }
                        other => LoadError::Layer(other),
                    })?;
            parent = Some(added.chain_id);
            holds.push(added.hold);
        }
        let built_on = match &listed.parent {
            Some(parent) => self.seen(by).await?.image(parent).map(|image| image.id.clone()),
            None => None,
        };
        let (json, config) = (listed.config_json.clone(), listed.config.clone());
        Ok(self
            .put(by, json, config, built_on, &listed.names, 0, None)
            .await?)
    }
}

/// Walks the archive; a compressed one is decompressed beside it first, since its files are read in any order.
fn read(spool: Spool, platforms: &[Platform]) -> Result<(Spool, Vec<Listed>), LoadError> {
    let source = Source::whole(spool.path()).map_err(StreamError::from)?;
    let spool = if source.is_compressed()? {
        let directory = spool.path().parent().unwrap_or_else(|| Path::new("."));
        let (plain, mut file) = Spool::create(directory).map_err(StreamError::from)?;
        source.pump(&mut file, &mut |_| ())?;
        plain
    } else {
        spool
    };
    let tarball = Tarball::open(spool.path())?;
    let images = manifest::list(&tarball, platforms)?;
    Ok((spool, images))
}

fn is_for(listed: &Listed, wanted: &Platform) -> bool {
    let fits = |have: &str, want: &str| want.is_empty() || have == want;
    fits(&listed.config.os, &wanted.os)
        && fits(&listed.config.architecture, &wanted.architecture)
        && fits(&listed.config.variant, &wanted.variant)
}
