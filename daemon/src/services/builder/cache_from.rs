//! `--cache-from`: the images named there are the only ones that may have done a step before.
//!
//! An image that was built elsewhere and fetched has no images of its steps here. Its history and layers say what they were: an
//! image so far whose history and layers are the beginning of its own, and whose next step reads the same, may go on with it.

use super::cache::Step;
use crate::services::images::{Image, Images, chain};
use docker_api::image_config::{ConfigHistory, ImageConfigFile};
use protocol::Principal;
use std::sync::Arc;

/// Images that may have done steps of a stage.
#[derive(Debug, Clone, Default)]
pub(super) enum Sources {
    /// Every image of this host.
    #[default]
    All,
    /// These, and what they were built on.
    Named(Vec<Arc<Image>>),
}

/// What stands for a step.
#[derive(Debug)]
pub(super) enum Reuse {
    /// An image that did it.
    Whole(Arc<Image>),
    /// The last step of a named image, which was built on another image than the one so far; now on this one too.
    Last(Arc<Image>),
    /// A step in the midst of a named image: the image that it made is to be made again of these.
    Part {
        /// Its configuration.
        file: Box<ImageConfigFile>,
        /// Its layers' chain ids, lowest first.
        chain: Vec<String>,
    },
}

impl Sources {
    /// Those that the request names. One that is not here is passed over, as with dockerd.
    pub(super) async fn of(images: &Images, by: &Principal, names: &[String]) -> Self {
        if names.is_empty() {
            return Sources::All;
        }
        let mut found = Vec::new();
        for name in names {
            match images.find(by, name).await {
                Ok(image) => found.push(image),
                Err(error) => tracing::info!(%error, name, "an image for the cache was passed over"),
            }
        }
        Sources::Named(found)
    }

    /// What stands for a step; `images` are all that the tenant sees.
    pub(super) fn reuse(&mut self, step: &Step, images: &[Arc<Image>]) -> Option<Reuse> {
        let local = step.done(images);
        let Sources::Named(sources) = self else {
            return local.map(Reuse::Whole);
        };
        if let Some(done) = local
            && sources.iter().any(|source| stands_on(source, &done.id, images))
        {
            return Some(Reuse::Whole(done));
        }
        let at = step.parent.map_or(0, |parent| parent.config.history.len());
        let is_next = |source: &&Arc<Image>| {
            goes_on_from(source, step.parent)
                && source
                    .config
                    .history
                    .get(at)
                    .is_some_and(|next| next.created_by == step.created_by)
        };
        let source = sources.iter().find(is_next).cloned()?;
        if at + 1 == source.config.history.len() {
            return Some(Reuse::Last(source));
        }
        let part = part(step, &source, at)?;
        // Steps of one image are not mixed with those of another.
        *sources = vec![source];
        Some(part)
    }
}

/// Whether an image was built on another, step by step.
fn stands_on(image: &Image, below: &str, images: &[Arc<Image>]) -> bool {
    let mut parent = image.parent.clone();
    // No image has more steps than there are images.
    for _ in images {
        match parent {
            Some(id) if id == below => return true,
            Some(id) => {
                let next = images.iter().find(|image| image.id == id);
                parent = next.and_then(|image| image.parent.clone());
            }
            None => return false,
        }
    }
    false
}

/// Whether an image's history and layers begin with another's.
fn goes_on_from(image: &Image, parent: Option<&Image>) -> bool {
    let begins_with = |parent: &Image| {
        image.config.history.starts_with(&parent.config.history) && image.chain.starts_with(&parent.chain)
    };
    !image.config.history.is_empty() && parent.is_none_or(begins_with)
}

/// The image of the step at that place of a source's history.
fn part(step: &Step, source: &Image, at: usize) -> Option<Reuse> {
    let has_layer = |step: &&ConfigHistory| !step.empty_layer;
    let history = source.config.history[..=at].to_vec();
    let layers = history.iter().filter(has_layer).count();
    // A history may lie about the layers, since it is only text.
    let diff_ids = source.config.rootfs.diff_ids.get(..layers)?.to_vec();
    let (config, below) = (&source.config, step.parent.map(|parent| &parent.config));
    let mut rootfs = below.unwrap_or(config).rootfs.clone();
    rootfs.diff_ids = diff_ids;
    let file = ImageConfigFile {
        created: history[at].created.clone(),
        author: config.author.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        config: step.config.clone(),
        rootfs,
        history,
        ..ImageConfigFile::default()
    };
    let chain = chain::of(&file.rootfs.diff_ids)?;
    let file = Box::new(file);
    Some(Reuse::Part { file, chain })
}
