//! `docker push`: an image's layers, configuration and manifest to a registry.
//!
//! What was pulled goes as it came, with the manifest that it came with, so that its digest stays. What was made here gets a
//! manifest of Docker's schema 2, and its layers are compressed once; from then on the compressed bytes are what is kept.

use super::blobs::Blob;
use super::layers::Hold;
use super::progress::{Detail, Progress};
use super::pull::{retrying, short, worded};
use super::registry::{Access, Credentials, RegistryError, Session};
use super::stream::Compression;
use super::verbs::Images;
use super::{Image, Manifest, chain};
use crate::services::Failure;
use docker_api::image_config::{Descriptor, ImageManifest, media_type};
use docker_api::images::ProgressLine;
use docker_api::reference::Reference;
use protocol::Principal;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Layers that go at the same time, as in dockerd (`max-concurrent-uploads`).
const UPLOADS_MAX: usize = 5;
/// Tries for one layer, as in dockerd.
const ATTEMPTS_MAX: u32 = 5;

impl Images {
    /// Pushes one tag of a repository, or with none all of them. What is done comes as lines; dropping them ends it.
    #[must_use]
    pub fn push(&self, by: &Principal, name: Reference, auth: &str) -> mpsc::Receiver<ProgressLine> {
        let (progress, lines) = Progress::channel(Detail::Bytes);
        let (images, by, credentials) = (self.clone(), by.clone(), Credentials::from_header(auth));
        tokio::spawn(async move {
            tokio::select! {
                done = images.push_all(&by, &name, credentials, &progress) => if let Err(error) = done {
                    progress.say(ProgressLine::error(error.to_string())).await;
                },
                () = progress.closed() => tracing::debug!("the client of a push went away"),
            }
        });
        lines
    }

    async fn push_all(
        &self,
        by: &Principal,
        name: &Reference,
        credentials: Credentials,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let text = format!("The push refers to repository [{}]", name.name());
        progress.say(ProgressLine::status(text)).await;
        let view = self.seen(by).await?;
        let mut chosen: Vec<(Reference, Arc<Image>)> = Vec::new();
        for image in view.images() {
            let tags = image.tags.iter().filter_map(|tag| Reference::parse(tag).ok());
            for tag in tags.filter(|tag| tag.name() == name.name()) {
                chosen.push((tag, Arc::clone(image)));
            }
        }
        drop(view);
        if chosen.is_empty() {
            let text = format!(
                "An image does not exist locally with the tag: {}",
                name.familiar_name()
            );
            return Err(Failure::NotFound(text));
        }
        if let Some(tag) = name.tag() {
            chosen.retain(|(known, _)| known.tag() == Some(tag));
            if chosen.is_empty() {
                return Err(Failure::NotFound(format!(
                    "tag does not exist: {}",
                    name.familiar()
                )));
            }
        }
        let opened = Session::open(&self.places, name, Access::Push, credentials).await;
        let session = opened.map_err(|error| worded(error, name))?;
        chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (tag, image) in chosen {
            self.push_one(by, &session, &tag, &image, progress).await?;
            self.tell_of(by, &image, "push", &tag);
        }
        Ok(())
    }

    async fn push_one(
        &self,
        by: &Principal,
        session: &Session,
        name: &Reference,
        image: &Arc<Image>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        // Held until all is sent: the image may be removed meanwhile.
        let _holds: Vec<Hold> = self.hold_chain(image).await?;
        let mut blobs = Vec::new();
        for diff_id in &image.config.rootfs.diff_ids {
            let blob = self.kept(diff_id).await?;
            progress
                .say(ProgressLine::about(
                    short(&chain::digest(&blob.diff)),
                    "Preparing",
                ))
                .await;
            blobs.push(blob);
        }
        let manifest = match self.known_manifest(session, image, &blobs).await {
            Some(manifest) => {
                for blob in &blobs {
                    let id = chain::digest(&blob.diff);
                    progress
                        .say(ProgressLine::about(short(&id), "Layer already exists"))
                        .await;
                }
                manifest
            }
            None => {
                for blob in &mut blobs {
                    *blob = self.compressed(blob.clone()).await?;
                }
                self.push_layers(session, name, image, &blobs, progress).await?;
                manifest(image, &blobs)?
            }
        };
        let config = &image.config_json;
        let refused = |error: RegistryError| pushed_worded(error, name);
        if !session.has_blob(&image.id).await.map_err(refused)? {
            session
                .upload_small(&image.id, config.as_bytes())
                .await
                .map_err(refused)?;
        }
        let tag = name.tag().unwrap_or_default();
        let put = session
            .put_manifest(tag, &manifest.media_type, manifest.text.as_bytes())
            .await;
        put.map_err(refused)?;
        let (digest, size) = (manifest.digest.clone(), manifest.text.len());
        let text = format!("{tag}: digest: {digest} size: {size}");
        progress.say(ProgressLine::status(text)).await;
        progress
            .say(ProgressLine {
                progress_detail: Some(Default::default()),
                aux: Some(serde_json::json!({ "Tag": tag, "Digest": digest, "Size": size })),
                ..ProgressLine::default()
            })
            .await;
        self.name_pushed(by, name, image, manifest).await
    }

    /// Gives the image the digest under which the registry has it now.
    async fn name_pushed(
        &self,
        by: &Principal,
        name: &Reference,
        image: &Image,
        manifest: Manifest,
    ) -> Result<(), Failure> {
        let digest_name = name
            .with_digest(&manifest.digest)
            .map_err(|bad| Failure::Invalid(bad.to_string()))?;
        let names = [digest_name.familiar()];
        let (json, parsed) = (image.config_json.clone(), image.config.clone());
        self.put(by, json, parsed, None, &names, 0, Some(manifest))
            .await
            .map(drop)
    }

    /// A manifest that the image came with and whose layers the registry has already, in whatever form they are kept here.
    async fn known_manifest(&self, session: &Session, image: &Image, blobs: &[Blob]) -> Option<Manifest> {
        for known in &image.manifests {
            let read: ImageManifest = serde_json::from_str(&known.text).unwrap_or_default();
            if read.config.digest != image.id || read.layers.len() != blobs.len() {
                continue;
            }
            let mut has_all = true;
            for layer in &read.layers {
                // What is in doubt is sent.
                has_all = has_all && session.has_blob(&layer.digest).await.unwrap_or(false);
            }
            if has_all {
                return Some(known.clone());
            }
        }
        None
    }

    /// Sends layers side by side; the first that fails ends the others.
    async fn push_layers(
        &self,
        session: &Session,
        name: &Reference,
        image: &Image,
        blobs: &[Blob],
        progress: &Progress,
    ) -> Result<(), Failure> {
        let sources: Arc<[String]> = repositories_beside(image, name).into();
        let places = Arc::new(Semaphore::new(UPLOADS_MAX));
        let mut sending = JoinSet::new();
        for (at, blob) in blobs.iter().enumerate() {
            if blobs[..at].iter().any(|sent| sent.digest == blob.digest) {
                continue;
            }
            let (images, session, blob, progress) =
                (self.clone(), session.clone(), blob.clone(), progress.clone());
            let (sources, places) = (Arc::clone(&sources), Arc::clone(&places));
            sending.spawn(async move {
                let _place = places.acquire().await;
                images.push_layer(&session, &blob, &sources, &progress).await
            });
        }
        while let Some(sent) = sending.join_next().await {
            let sent = sent.unwrap_or(Err(RegistryError::Cancelled));
            sent.map_err(|error| pushed_worded(error, name))?;
        }
        Ok(())
    }

    async fn push_layer(
        &self,
        session: &Session,
        blob: &Blob,
        sources: &[String],
        progress: &Progress,
    ) -> Result<(), RegistryError> {
        let shown = chain::digest(&blob.diff);
        let id = short(&shown);
        if session.has_blob(&blob.digest).await? {
            progress
                .say(ProgressLine::about(id, "Layer already exists"))
                .await;
            return Ok(());
        }
        for source in sources {
            // A registry that does not let us see that repository says so; then the layer is sent.
            if session.mount(&blob.digest, source).await.unwrap_or(false) {
                progress
                    .say(ProgressLine::about(id, format!("Mounted from {source}")))
                    .await;
                return Ok(());
            }
        }
        let mut attempts = 1;
        loop {
            let counter = progress.counter(id, "Pushing", blob.bytes);
            let file = self.blobs.source(blob).path;
            match session.upload(&blob.digest, &file, counter).await {
                Ok(()) => break,
                Err(error) if !error.is_passing() || attempts >= ATTEMPTS_MAX => return Err(error),
                Err(error) => {
                    let pause = session.pause_after(attempts);
                    tracing::info!(%error, digest = blob.digest, "an upload is tried again");
                    progress.say(ProgressLine::about(id, retrying(pause))).await;
                    tokio::time::sleep(pause).await;
                    attempts += 1;
                }
            }
        }
        progress.say(ProgressLine::about(id, "Pushed")).await;
        Ok(())
    }

    /// A layer's bytes in a form that every client can read: gzip or zstd.
    async fn compressed(&self, blob: Blob) -> Result<Blob, Failure> {
        match blob.compression {
            Compression::Gzip | Compression::Zstd => Ok(blob),
            Compression::None | Compression::Xz | Compression::Bzip2 => self.blobs.compress(&blob).await,
        }
    }
}

/// Repositories of the same registry that may have the image's layers already.
fn repositories_beside(image: &Image, name: &Reference) -> Vec<String> {
    let known = image
        .digests
        .iter()
        .filter_map(|digest| Reference::parse(digest).ok());
    let mut paths: Vec<String> = known
        .filter(|known| known.domain() == name.domain() && known.path() != name.path())
        .map(|known| known.path().to_owned())
        .collect();
    paths.dedup();
    paths
}

/// The manifest that the image came with, if it is about these bytes; else a new one.
fn manifest(image: &Image, blobs: &[Blob]) -> Result<Manifest, Failure> {
    let is_of_these = |manifest: &&Manifest| {
        let read: ImageManifest = serde_json::from_str(&manifest.text).unwrap_or_default();
        let listed = read.layers.iter().map(|layer| &layer.digest);
        read.config.digest == image.id && listed.eq(blobs.iter().map(|blob| &blob.digest))
    };
    if let Some(known) = image.manifests.iter().find(is_of_these) {
        return Ok(known.clone());
    }
    // Docker's own schema knows gzip only.
    let is_gzip = blobs.iter().all(|blob| blob.compression == Compression::Gzip);
    let (own, config) = if is_gzip {
        (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG)
    } else {
        (media_type::OCI_MANIFEST, media_type::OCI_CONFIG)
    };
    let layer = |blob: &Blob| Descriptor {
        media_type: match blob.compression {
            Compression::Zstd => media_type::OCI_LAYER_ZSTD,
            _ if is_gzip => media_type::DOCKER_LAYER_GZIP,
            _ => media_type::OCI_LAYER_GZIP,
        }
        .to_owned(),
        digest: blob.digest.clone(),
        size: i64::try_from(blob.bytes).unwrap_or(i64::MAX),
        ..Descriptor::default()
    };
    let made = ImageManifest {
        schema_version: 2,
        media_type: own.to_owned(),
        config: Descriptor {
            media_type: config.to_owned(),
            digest: image.id.clone(),
            size: image.config_json.len() as i64,
            ..Descriptor::default()
        },
        layers: blobs.iter().map(layer).collect(),
        ..ImageManifest::default()
    };
    let text = serde_json::to_string_pretty(&made).map_err(|error| Failure::System(error.to_string()))?;
    Ok(Manifest {
        digest: chain::digest_of(text.as_bytes()),
        media_type: own.to_owned(),
        text,
    })
}

/// The registry's error about a push, in dockerd's words.
fn pushed_worded(error: RegistryError, name: &Reference) -> Failure {
    if error.is_denied() {
        let text = format!("push access denied for {}: {error}", name.familiar_name());
        return Failure::Forbidden(text);
    }
    worded(error, name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::image;
    use super::*;

    fn blob(digit: char, compression: Compression) -> Blob {
        Blob {
            diff: digit.to_string().repeat(64),
            digest: chain::digest(&digit.to_string().repeat(64)),
            bytes: 10,
            plain_bytes: 20,
            compression,
        }
    }

    #[test]
    fn a_manifest_that_fits_is_sent_as_it_came() {
        let mut known = image('a', &["x:1"]);
        let blobs = [blob('b', Compression::Gzip)];
        let made = manifest(&known, &blobs).unwrap();
        assert_eq!(made.media_type, media_type::DOCKER_MANIFEST);
        let spaced = made.text.replace('\n', " ");
        known.manifests.push(Manifest {
            digest: chain::digest_of(spaced.as_bytes()),
            media_type: made.media_type.clone(),
            text: spaced.clone(),
        });
        assert_eq!(manifest(&known, &blobs).unwrap().text, spaced);
        // Of other bytes it says nothing.
        assert_ne!(
            manifest(&known, &[blob('c', Compression::Gzip)]).unwrap().text,
            spaced
        );
        let zstd = manifest(&known, &[blob('c', Compression::Zstd)]).unwrap();
        assert_eq!(zstd.media_type, media_type::OCI_MANIFEST);
        assert!(zstd.text.contains("tar+zstd"));
    }

    #[test]
    fn layers_are_looked_for_in_other_repositories_of_the_registry() {
        let mut known = image('a', &["x:1"]);
        let digest = "0".repeat(64);
        known.digests = ["example.org/a", "example.org/b", "other.org/c"]
            .map(|name| format!("{name}@sha256:{digest}"))
            .to_vec();
        let name = Reference::parse("example.org/b:1").unwrap();
        assert_eq!(repositories_beside(&known, &name), ["a"]);
    }
}
