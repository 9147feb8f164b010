//! `docker pull`: from a registry's manifest to an image here.
//!
//! Layers come side by side and are unpacked one over the other. Everything ends when the client goes away, unless another
//! client wants the same; layers that no image came to use go with their holds.

use super::layers::{Hold, LayerError, Wanted};
use super::manifest::LAYERS_MAX;
use super::progress::{Detail, Progress};
use super::registry::{Access, Credentials, Download, Fetched, Place, RegistryError, Session, Stage};
use super::stream::Source;
use super::verbs::Images;
use super::{Image, Manifest, chain};
use crate::kernel::limits::LAYER_CONTENT_BYTES_MAX;
use crate::services::{Failure, clock};
use docker_api::ids::SHORT_ID_HEX_CHARS;
use docker_api::image_config::{
    Descriptor, ImageConfigFile, ImageIndex, ImageManifest, Platform, media_type,
};
use docker_api::images::ProgressLine;
use docker_api::reference::Reference;
use protocol::Principal;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Indexes within indexes.
const INDEX_DEPTH_MAX: usize = 3;
/// What the media types of layers begin with.
const LAYER_TYPES: [&str; 2] = [
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.v1.tar",
];

/// What a client wants. Its debug form does not show who the client is.
#[derive(Clone)]
pub struct Pull {
    /// One image, or with neither tag nor digest all of the repository.
    pub name: Reference,
    /// What it is to run on; none is this host.
    pub platform: Option<Platform>,
    /// The header `X-Registry-Auth`.
    pub auth: String,
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pull({} {:?})", self.name, self.platform)
    }
}

/// A manifest that was found for a name.
struct Found {
    /// What the name means: the digest that is shown.
    top: String,
    /// The image's own manifest.
    own: Fetched,
    manifest: ImageManifest,
}

/// What a pull begins with at one address.
struct Begun {
    session: Session,
    /// What is pulled.
    references: Vec<Reference>,
    /// The first of them.
    first: Option<Found>,
}

/// A pull, and the addresses of its registry that were not asked yet.
struct Addresses {
    pull: Pull,
    credentials: Credentials,
    platforms: Vec<Platform>,
    places: std::vec::IntoIter<Place>,
}

impl Addresses {
    /// Begins at the next address that has it. Only mirrors need not: what the registry itself says counts.
    async fn begin(&mut self) -> Result<Begun, Failure> {
        loop {
            let name = &self.pull.name;
            let opened = Session::next(&mut self.places, name, Access::Pull, &self.credentials).await;
            let session = opened.map_err(|error| worded(error, name))?;
            let is_mirror = session.is_mirror();
            match self.begin_at(session).await {
                Err(error) if is_mirror => tracing::debug!(%error, "a mirror does not have it"),
                other => return other,
            }
        }
    }

    async fn begin_at(&self, session: Session) -> Result<Begun, Failure> {
        let name = &self.pull.name;
        let references = if name.is_name_only() {
            let tags = session.tags().await.map_err(|error| worded(error, name))?;
            let named = |tag: &String| {
                name.with_tag(tag)
                    .map_err(|bad| Failure::Invalid(bad.to_string()))
            };
            tags.iter().map(named).collect::<Result<Vec<_>, _>>()?
        } else {
            vec![name.clone()]
        };
        let first = match references.first() {
            Some(name) => Some(find(&session, name, &self.platforms).await?),
            None => None,
        };
        Ok(Begun {
            session,
            references,
            first,
        })
    }
}

/// Where a layer's bytes come from.
enum Origin {
    /// The layer is there.
    Held(Box<Hold>),
    /// Its bytes were kept.
    Kept(Source),
    /// The registry.
    Coming(Arc<Download>),
}

impl Images {
    /// Pulls an image, or all of a repository. What is done comes as lines; dropping them ends it.
    ///
    /// # Errors
    /// What the registry said before anything was begun, in dockerd's words.
    pub async fn pull(&self, by: &Principal, pull: Pull) -> Result<mpsc::Receiver<ProgressLine>, Failure> {
        let platforms = pull
            .platform
            .clone()
            .map_or_else(|| self.host_platforms(), |wanted| vec![wanted]);
        let places = self.places.of(pull.name.domain(), true)?;
        let mut addresses = Addresses {
            credentials: Credentials::from_header(&pull.auth),
            pull,
            platforms,
            places: places.into_iter(),
        };
        // The first is looked for before the answer begins, so that an error has a status of its own.
        let begun = addresses.begin().await?;
        let (progress, lines) = Progress::channel(Detail::Bytes);
        let (images, by) = (self.clone(), by.clone());
        tokio::spawn(async move {
            let work = images.pull_from(&by, addresses, begun, &progress);
            tokio::select! {
                done = work => if let Err(error) = done {
                    progress.say(ProgressLine::error(error.to_string())).await;
                },
                () = progress.closed() => tracing::debug!("the client of a pull went away"),
            }
        });
        Ok(lines)
    }

    /// Pulls from the address that was found, and from the next where that is a mirror and fails.
    async fn pull_from(
        &self,
        by: &Principal,
        mut addresses: Addresses,
        mut begun: Begun,
        progress: &Progress,
    ) -> Result<(), Failure> {
        loop {
            let is_mirror = begun.session.is_mirror();
            match self.pull_all(by, &addresses, begun, progress).await {
                Err(error) if is_mirror => {
                    tracing::info!(%error, "a mirror failed; the next address is asked");
                    begun = addresses.begin().await.map_err(|_| error)?;
                }
                other => return other,
            }
        }
    }

    async fn pull_all(
        &self,
        by: &Principal,
        addresses: &Addresses,
        begun: Begun,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let Addresses { pull, platforms, .. } = addresses;
        let (session, mut first) = (begun.session, begun.first);
        let mut is_newer = false;
        for name in &begun.references {
            let found = match first.take() {
                Some(found) => found,
                None => find(&session, name, platforms).await?,
            };
            let id = name.tag().or(name.digest()).unwrap_or_default();
            progress
                .say(ProgressLine {
                    id: id.to_owned(),
                    ..ProgressLine::status(format!("Pulling from {}", name.path()))
                })
                .await;
            let digest = found.top.clone();
            is_newer |= self
                .pull_one(by, &session, name, found, pull.platform.as_ref(), progress)
                .await?;
            progress
                .say(ProgressLine::status(format!("Digest: {digest}")))
                .await;
        }
        let what = pull.name.familiar();
        let status = if is_newer {
            "Downloaded newer image"
        } else {
            "Image is up to date"
        };
        progress
            .say(ProgressLine::status(format!("Status: {status} for {what}")))
            .await;
        Ok(())
    }

    /// Whether the name means another image than before.
    async fn pull_one(
        &self,
        by: &Principal,
        session: &Session,
        name: &Reference,
        found: Found,
        platform: Option<&Platform>,
        progress: &Progress,
    ) -> Result<bool, Failure> {
        let id = found.manifest.config.digest.clone();
        let digest_name = name
            .with_digest(&found.top)
            .map_err(|bad| Failure::Invalid(bad.to_string()))?;
        let mut names = vec![digest_name.familiar()];
        if name.digest().is_none() {
            names.insert(0, name.familiar());
        }
        let view = self.seen(by).await?;
        let is_newer = view.named(&names[0]) != Some(&id);
        let known = view.image(&id).cloned();
        drop(view);
        let (json, config) = match &known {
            Some(image) => (image.config_json.clone(), image.config.clone()),
            None => configuration(session, &found.manifest).await?,
        };
        let holds = self
            .pull_layers(by, session, &found.manifest, &config, progress)
            .await?;
        let manifest = Manifest {
            digest: found.own.digest,
            media_type: found.own.media_type,
            text: String::from_utf8(found.own.bytes).unwrap_or_default(),
        };
        let (image, _) = self
            .put(by, json, config, None, &names, clock::now_ns(), Some(manifest))
            .await?;
        drop(holds);
        if let Some(wanted) = platform.filter(|wanted| !image.fits(wanted)) {
            let text = format!(
                "WARNING: image with reference {} was found but its platform ({}/{}) does not match the specified platform ({}/{})",
                name.familiar(),
                image.config.os,
                image.config.architecture,
                wanted.os,
                wanted.architecture
            );
            progress.say(ProgressLine::status(text)).await;
        }
        self.tell_of(by, &image, "pull", name);
        Ok(is_newer)
    }

    /// An event whose subject is a name, as dockerd tells of pull and push.
    pub(super) fn tell_of(&self, by: &Principal, image: &Image, action: &str, name: &Reference) {
        let mut attributes = image.config.config.labels.clone().unwrap_or_default();
        attributes.insert("name".to_owned(), name.familiar_name());
        self.bus
            .publish(by.tenant.as_str(), "image", action, &name.familiar(), attributes);
    }

    /// Where a layer comes from; what is not here begins to come, and so does what only other tenants have: who knows a digest
    /// has yet to show that the registry gives it what the digest is of.
    async fn origin(
        &self,
        by: &Principal,
        session: &Session,
        layer: &Descriptor,
        chain: &str,
        diff: &str,
        progress: &Progress,
    ) -> Result<Origin, Failure> {
        let id = short(&layer.digest);
        let seen = self.seen(by).await?;
        if seen.knows_chain(chain)
            && let Some(hold) = self.hold_layer(chain).await?
        {
            progress.say(ProgressLine::about(id, "Already exists")).await;
            return Ok(Origin::Held(Box::new(hold)));
        }
        if seen.knows_diff(&chain::digest(diff))
            && let Some(blob) = self.blobs.get(diff).await?
        {
            progress.say(ProgressLine::about(id, "Already exists")).await;
            return Ok(Origin::Kept(self.blobs.source(&blob)));
        }
        progress.say(ProgressLine::about(id, "Pulling fs layer")).await;
        Ok(Origin::Coming(self.downloads.join(
            by.tenant.as_str(),
            session,
            layer,
        )))
    }

    async fn pull_layers(
        &self,
        by: &Principal,
        session: &Session,
        manifest: &ImageManifest,
        config: &ImageConfigFile,
        progress: &Progress,
    ) -> Result<Vec<Hold>, Failure> {
        let mut origins = Vec::new();
        let (mut above, mut followers) = (None, tokio::task::JoinSet::new());
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let bad = || Failure::System("invalid checksum digest format".to_owned());
            let diff = chain::digits(diff_id).ok_or_else(bad)?.to_owned();
            let next = chain::next(above.as_deref(), &diff);
            let origin = self.origin(by, session, layer, &next, &diff, progress).await?;
            if let Origin::Coming(download) = &origin {
                followers.spawn(follow(Arc::clone(download), layer.clone(), progress.clone()));
            }
            origins.push((origin, layer, diff));
            above = Some(next);
        }
        let (mut parent, mut holds): (Option<String>, Vec<Hold>) = (None, Vec::new());
        for (origin, layer, diff) in origins {
            let next = chain::next(parent.as_deref(), &diff);
            let id = short(&layer.digest);
            // Kept until the layer is made: the file goes with the last who wants it.
            let (mut _download, mut _spool) = (None, None);
            let source = match origin {
                Origin::Held(hold) => {
                    holds.push(*hold);
                    parent = Some(next);
                    continue;
                }
                Origin::Kept(source) => source,
                Origin::Coming(download) => {
                    let spool = arrived(&download).await?;
                    let mut source =
                        Source::whole(spool.path()).map_err(|error| Failure::System(error.to_string()))?;
                    source.digest = Some(layer.digest.clone());
                    (_download, _spool) = (Some(download), Some(spool));
                    source
                }
            };
            let wanted = Wanted {
                parent: parent.take(),
                diff,
                source,
            };
            let unpacking = progress.named(id, "Extracting");
            let added = self
                .ensure_layer(by, wanted, unpacking)
                .await
                .map_err(|error| match error {
                    LayerError::Failed(failure) => failure.within("failed to register layer"),
                    other => Failure::System(format!("failed to register layer: {other}")),
                })?;
            progress.say(ProgressLine::about(id, "Pull complete")).await;
            holds.push(added.hold);
            parent = Some(next);
        }
        Ok(holds)
    }
}

/// The image's configuration, checked against its manifest.
async fn configuration(
    session: &Session,
    manifest: &ImageManifest,
) -> Result<(String, ImageConfigFile), Failure> {
    let bytes = session.small_blob(&manifest.config.digest).await?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Failure::System("invalid image JSON, it is not UTF-8".to_owned()))?;
    let config: ImageConfigFile = serde_json::from_str(&text)
        .map_err(|error| Failure::System(format!("invalid image JSON: {error}")))?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        let text = "layers from manifest don't match image configuration";
        return Err(Failure::System(text.to_owned()));
    }
    if manifest.layers.len() > LAYERS_MAX {
        return Err(Failure::System("max depth exceeded".to_owned()));
    }
    Ok((text, config))
}

/// Finds the manifest of the image that fits a platform, in order of preference.
async fn find(session: &Session, name: &Reference, platforms: &[Platform]) -> Result<Found, Failure> {
    let reference = name.digest().or(name.tag()).unwrap_or_default();
    let mut own = session
        .manifest(reference)
        .await
        .map_err(|error| worded(error, name))?;
    let top = own.digest.clone();
    for _ in 0..INDEX_DEPTH_MAX {
        let content: serde_json::Value = read(&own.bytes)?;
        if content.get("manifests").is_none() {
            let manifest: ImageManifest = read(&own.bytes)?;
            check(&manifest)?;
            return Ok(Found { top, own, manifest });
        }
        let index: ImageIndex = read(&own.bytes)?;
        let chosen = choose(&index, platforms).ok_or_else(|| {
            let wanted = platforms.first().map(shown).unwrap_or_default();
            Failure::NotFound(format!(
                "no matching manifest for {wanted} in the manifest list entries"
            ))
        })?;
        own = session
            .manifest(&chosen.digest)
            .await
            .map_err(|error| worded(error, name))?;
    }
    Err(Failure::System("too many nested image indexes".to_owned()))
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::System(format!("invalid manifest: {error}")))
}

pub(super) fn choose<'a>(index: &'a ImageIndex, platforms: &[Platform]) -> Option<&'a Descriptor> {
    let fits = |platform: &Platform, wanted: &Platform| {
        // Every arm64 is v8.
        let own = if platform.architecture == "arm64" && platform.variant == "v8" {
            ""
        } else {
            &platform.variant
        };
        platform.os == wanted.os
            && (wanted.architecture.is_empty() || platform.architecture == wanted.architecture)
            && (wanted.variant.is_empty() || wanted.variant == platform.variant || wanted.variant == own)
    };
    platforms.iter().find_map(|wanted| {
        index.manifests.iter().find(|listed| {
            listed
                .platform
                .as_ref()
                .is_some_and(|platform| fits(platform, wanted))
        })
    })
}

fn shown(platform: &Platform) -> String {
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let parts = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str);
    parts.collect::<Vec<_>>().join("/")
}

/// Everything about a manifest that can be judged before anything is fetched.
fn check(manifest: &ImageManifest) -> Result<(), Failure> {
    let unsupported = |kind: &str| Failure::Invalid(format!("unsupported media type {kind}"));
    match manifest.config.media_type.as_str() {
        "" | media_type::OCI_CONFIG | media_type::DOCKER_CONFIG | "application/octet-stream" => {}
        other => return Err(unsupported(other)),
    }
    if manifest.layers.len() > LAYERS_MAX {
        return Err(Failure::System("max depth exceeded".to_owned()));
    }
    for layer in &manifest.layers {
        if !LAYER_TYPES
            .iter()
            .any(|known| layer.media_type.starts_with(known))
        {
            return Err(unsupported(&layer.media_type));
        }
        let size = u64::try_from(layer.size)
            .ok()
            .filter(|size| *size <= LAYER_CONTENT_BYTES_MAX);
        if size.is_none() {
            let text = format!(
                "layer {} of {} bytes: at most {LAYER_CONTENT_BYTES_MAX} are taken",
                layer.digest, layer.size
            );
            return Err(Failure::Invalid(text));
        }
    }
    let digests = manifest
        .layers
        .iter()
        .chain([&manifest.config])
        .map(|descriptor| &descriptor.digest);
    for digest in digests {
        chain::digits(digest)
            .ok_or_else(|| Failure::Invalid(format!("invalid checksum digest format: {digest}")))?;
    }
    Ok(())
}

/// The registry's error about a name, in dockerd's words.
pub(super) fn worded(error: RegistryError, name: &Reference) -> Failure {
    let text = error.to_string();
    let about = |what: &str| Failure::NotFound(format!("{what}: {text}"));
    if text.starts_with("manifest unknown") {
        about(&format!("manifest for {} not found", name.familiar()))
    } else if text.starts_with("name unknown") {
        about(&format!("repository {} not found", name.familiar_name()))
    } else if error.is_denied() {
        about(&format!(
            "pull access denied for {}, repository does not exist or may require 'docker login'",
            name.familiar_name()
        ))
    } else {
        error.into()
    }
}

/// Waits for a download's end.
async fn arrived(download: &Download) -> Result<Arc<super::Spool>, Failure> {
    let mut stage = download.stage();
    let ended = stage
        .wait_for(|stage| matches!(stage, Stage::Done(_) | Stage::Failed(_)))
        .await;
    match ended.map(|stage| stage.clone()) {
        Ok(Stage::Done(spool)) => Ok(spool),
        Ok(Stage::Failed(error)) => Err(error.into()),
        Ok(Stage::Waiting | Stage::Bytes(_) | Stage::Retrying(_)) | Err(_) => {
            Err(RegistryError::Cancelled.into())
        }
    }
}

/// Tells a client how far a download is.
async fn follow(download: Arc<Download>, layer: Descriptor, progress: Progress) {
    let id = short(&layer.digest).to_owned();
    let total = u64::try_from(layer.size).unwrap_or_default();
    let mut counter = progress.counter(&id, "Downloading", total);
    let mut stages = download.stage();
    // Whoever unpacks the layer holds the download; this only looks.
    drop(download);
    let mut is_waiting_told = false;
    loop {
        let stage = stages.borrow_and_update().clone();
        match stage {
            Stage::Waiting if !is_waiting_told => {
                is_waiting_told = true;
                progress.say(ProgressLine::about(&id, "Waiting")).await;
            }
            Stage::Waiting => {}
            Stage::Bytes(bytes) => counter(bytes),
            Stage::Retrying(pause) => {
                progress.say(ProgressLine::about(&id, retrying(pause))).await;
            }
            Stage::Done(_) => {
                progress.say(ProgressLine::about(&id, "Verifying Checksum")).await;
                progress.say(ProgressLine::about(&id, "Download complete")).await;
                return;
            }
            Stage::Failed(_) => return,
        }
        if stages.changed().await.is_err() {
            return;
        }
    }
}

/// What is told of a pause before the next try.
pub(super) fn retrying(pause: Duration) -> String {
    let seconds = pause.as_secs();
    let unit = if seconds == 1 { "second" } else { "seconds" };
    format!("Retrying in {seconds} {unit}")
}

/// A digest as progress lines name it.
pub(super) fn short(digest: &str) -> &str {
    let digits = chain::digits(digest).unwrap_or(digest);
    digits.get(..SHORT_ID_HEX_CHARS).unwrap_or(digits)
}
