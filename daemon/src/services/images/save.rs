//! `docker save`: images as an archive of Docker's that is an OCI layout as well, as dockerd (28.5) writes it: layers
//! uncompressed, a manifest for each image, its names in `manifest.json`, `index.json` and `repositories`.

use super::blobs::Blob;
use super::state::State;
use super::verbs::Images;
use super::{Image, chain};
use crate::services::Failure;
use bytes::Bytes;
use docker_api::image_config::{
    ArchiveManifestItem, Descriptor, ImageIndex, ImageManifest, OciLayout, media_type,
};
use docker_api::reference::{Reference, is_identifier};
use protocol::Principal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes of one chunk of the archive.
const CHUNK_BYTES: usize = 128 * 1024;
/// Chunks between the writing thread and the client.
const CHUNKS_AHEAD: usize = 8;
/// Bytes of a tar block.
const BLOCK_BYTES: u64 = 512;
/// Zero blocks at the end of an archive (tar(5)).
const END_BLOCKS: usize = 2;
/// Where blobs lie in the archive.
const BLOBS: &str = "blobs/sha256/";

/// An image to be saved, with the names that go with it.
struct Chosen {
    image: Arc<Image>,
    names: Vec<Reference>,
}

/// A file of the archive.
enum Content {
    Small(Vec<u8>),
    Layer(Blob),
}

/// The archive before it is written: its files by path.
#[derive(Default)]
struct Plan {
    files: BTreeMap<String, Content>,
    items: Vec<ArchiveManifestItem>,
    index: Vec<Descriptor>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Images {
    /// Saves images by name or id. A name without a tag means all tags of the repository, as in dockerd. The archive comes in
    /// chunks; an error among them means that what came before it is not whole.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::System`] where a layer's bytes were not kept.
    pub async fn save(
        &self,
        by: &Principal,
        wanted: &[String],
    ) -> Result<mpsc::Receiver<io::Result<Bytes>>, Failure> {
        let chosen = choose(&self.seen(by).await?, wanted)?;
        let mut plan = Plan::default();
        let mut holds = Vec::new();
        for one in &chosen {
            // Held until all is sent: the image may be removed meanwhile.
            holds.extend(self.hold_chain(&one.image).await?);
            let mut layers = Vec::new();
            for diff_id in &one.image.config.rootfs.diff_ids {
                layers.push(self.kept(diff_id).await?);
            }
            plan.add(one, layers)?;
        }
        plan.finish()?;
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let images = self.clone();
        tokio::task::spawn_blocking(move || {
            let chunks = Chunks(sender.clone());
            let mut to = BufWriter::with_capacity(CHUNK_BYTES, chunks);
            let written = images.write(&plan, &mut to).and_then(|()| to.flush());
            if let Err(error) = written
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                tracing::warn!(%error, "an archive was not written whole");
                let _ = sender.blocking_send(Err(error));
            }
            drop(holds);
        });
        for one in &chosen {
            self.tell(by, &one.image, "save", &one.image.id);
        }
        Ok(chunks)
    }

    /// The kept bytes of a layer.
    pub(super) async fn kept(&self, diff_id: &str) -> Result<Blob, Failure> {
        let diff = chain::digits(diff_id).unwrap_or_default();
        let lost = || Failure::System(format!("the bytes of layer {diff_id} are not there any more"));
        self.blobs.get(diff).await?.ok_or_else(lost)
    }

    fn write(&self, plan: &Plan, to: &mut impl Write) -> io::Result<()> {
        for directory in ["blobs/", BLOBS] {
            to.write_all(header(directory, tar::EntryType::Directory, 0)?.as_bytes())?;
        }
        for (path, content) in &plan.files {
            let bytes = match content {
                Content::Small(bytes) => bytes.len() as u64,
                Content::Layer(blob) => blob.plain_bytes,
            };
            to.write_all(header(path, tar::EntryType::Regular, bytes)?.as_bytes())?;
            match content {
                Content::Small(bytes) => to.write_all(bytes)?,
                Content::Layer(blob) => {
                    let streamed = self.blobs.source(blob).pump(to, &mut |_| ());
                    let streamed = streamed.map_err(|error| io::Error::other(error.to_string()))?;
                    if streamed.diff != blob.diff {
                        return Err(io::Error::other(format!(
                            "the bytes of layer {} are damaged",
                            blob.diff
                        )));
                    }
                }
            }
            let padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
            to.write_all(&[0; BLOCK_BYTES as usize][..padding as usize])?;
        }
        to.write_all(&[0; END_BLOCKS * BLOCK_BYTES as usize])
    }
}

/// Which images, each once, in the order in which they were asked for.
fn choose(view: &State, wanted: &[String]) -> Result<Vec<Chosen>, Failure> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut add = |image: &Arc<Image>, names: Vec<Reference>| match chosen
        .iter_mut()
        .find(|known| known.image.id == image.id)
    {
        Some(known) => {
            let new = names.into_iter().filter(|name| !known.names.contains(name));
            let new: Vec<Reference> = new.collect();
            known.names.extend(new);
        }
        None => chosen.push(Chosen {
            image: Arc::clone(image),
            names,
        }),
    };
    for text in wanted {
        let is_id = is_identifier(text.strip_prefix("sha256:").unwrap_or(text));
        let name = if is_id { None } else { Reference::parse(text).ok() };
        let mut is_of_repository = false;
        if let Some(name) = name.as_ref().filter(|name| name.is_name_only()) {
            for image in view.images() {
                let tags = image.tags.iter().filter_map(|tag| Reference::parse(tag).ok());
                let tags: Vec<Reference> = tags.filter(|tag| tag.name() == name.name()).collect();
                if !tags.is_empty() {
                    is_of_repository = true;
                    add(image, tags);
                }
            }
        }
        if !is_of_repository {
            let image = view.find(text)?;
            let names = name.filter(|name| name.tag().is_some() && name.digest().is_none());
            add(&image, names.into_iter().collect());
        }
    }
    Ok(chosen)
}

impl Plan {
    fn add(&mut self, chosen: &Chosen, layers: Vec<Blob>) -> Result<(), Failure> {
        let image = &chosen.image;
        let config = self.small(media_type::OCI_CONFIG, image.config_json.clone().into_bytes());
        let mut descriptors = Vec::new();
        let mut sources = BTreeMap::new();
        for blob in layers {
            let descriptor = Descriptor {
                media_type: media_type::OCI_LAYER.to_owned(),
                digest: chain::digest(&blob.diff),
                size: i64::try_from(blob.plain_bytes).unwrap_or(i64::MAX),
                ..Descriptor::default()
            };
            sources.insert(descriptor.digest.clone(), descriptor.clone());
            self.files
                .insert(format!("{BLOBS}{}", blob.diff), Content::Layer(blob));
            descriptors.push(descriptor);
        }
        let in_archive = |descriptor: &Descriptor| path(&descriptor.digest);
        self.items.push(ArchiveManifestItem {
            config: in_archive(&config),
            repo_tags: Some(chosen.names.iter().map(Reference::familiar).collect::<Vec<_>>())
                .filter(|names| !names.is_empty()),
            layers: descriptors.iter().map(in_archive).collect(),
            parent: String::new(),
            layer_sources: Some(sources).filter(|sources| !sources.is_empty()),
        });
        let top = descriptors
            .last()
            .map(|top| top.digest.clone())
            .unwrap_or_default();
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST.to_owned(),
            config,
            layers: descriptors,
            ..ImageManifest::default()
        };
        let manifest = self.small(media_type::OCI_MANIFEST, json(&manifest)?);
        for name in &chosen.names {
            let tag = name.tag().unwrap_or_default().to_owned();
            let annotations = BTreeMap::from([
                ("io.containerd.image.name".to_owned(), name.to_string()),
                ("org.opencontainers.image.ref.name".to_owned(), tag.clone()),
            ]);
            self.index.push(Descriptor {
                annotations: Some(annotations),
                ..manifest.clone()
            });
            let digits = chain::digits(&top).unwrap_or_default().to_owned();
            self.repositories
                .entry(name.familiar_name())
                .or_default()
                .insert(tag, digits);
        }
        if chosen.names.is_empty() {
            self.index.push(manifest);
        }
        Ok(())
    }

    /// Adds a blob and describes it.
    fn small(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest: chain::digest_of(&bytes),
            size: bytes.len() as i64,
            ..Descriptor::default()
        };
        self.files.insert(path(&descriptor.digest), Content::Small(bytes));
        descriptor
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let index = ImageIndex {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests: std::mem::take(&mut self.index),
            annotations: None,
        };
        let layout = OciLayout {
            image_layout_version: "1.0.0".to_owned(),
        };
        let files = [
            ("index.json", json(&index)?),
            ("manifest.json", json(&self.items)?),
            ("oci-layout", json(&layout)?),
        ];
        for (name, bytes) in files {
            self.files.insert(name.to_owned(), Content::Small(bytes));
        }
        if !self.repositories.is_empty() {
            let bytes = json(&self.repositories)?;
            self.files
                .insert("repositories".to_owned(), Content::Small(bytes));
        }
        Ok(())
    }
}

fn path(digest: &str) -> String {
    format!("{BLOBS}{}", chain::digits(digest).unwrap_or_default())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::System(error.to_string()))
}

fn header(path: &str, kind: tar::EntryType, bytes: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// Writes into a channel; a client that went away is a broken pipe.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len())
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
