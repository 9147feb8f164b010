//! The images that one tenant has or sees, with their names: pure, and told the time.

use super::Image;
use docker_api::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A layer, as stored (kind `Layer`, key = chain id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    /// The chain id, without `sha256:`.
    pub chain: String,
    /// The chain id of the layer below.
    pub parent: Option<String>,
    /// The digest of its uncompressed tar, without `sha256:`.
    pub diff: String,
    /// Bytes of its regular files.
    pub size_bytes: u64,
}

/// Images and their names: those that one tenant has, or those that it sees.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// Whose images are made here.
    tenant: String,
    images: BTreeMap<String, Arc<Image>>,
    /// Tags and `name@digest` in familiar form, to image ids.
    names: BTreeMap<String, String>,
    layers: Arc<Layers>,
}

/// Every layer, by chain id.
pub(super) type Layers = BTreeMap<String, Layer>;

/// Rows that change together.
#[derive(Debug, Default, Clone)]
pub(super) struct Change {
    /// Whose they are.
    pub tenant: String,
    /// Images as they will be.
    pub put: Vec<Arc<Image>>,
    /// Ids of images that will not be.
    pub gone: Vec<String>,
    /// Names that pointed elsewhere, with the image that loses them.
    pub moved: Vec<(String, String)>,
}

impl State {
    /// A tenant without images.
    #[must_use]
    pub(super) fn empty(tenant: &str, layers: Arc<Layers>) -> Self {
        State {
            tenant: tenant.to_owned(),
            layers,
            ..State::default()
        }
    }

    /// Images of the tenant `default`, without layers.
    #[cfg(test)]
    pub(super) fn of(images: Vec<Image>) -> Self {
        let mut state = State::empty(crate::tenants::DEFAULT, Arc::default());
        state.add(images);
        state
    }

    /// Adds images as they were stored.
    pub(super) fn add(&mut self, mut images: Vec<Image>) {
        // The daemon may have ended between the two rows of a moved name: the image that it moved to last keeps it.
        images.sort_by(|one, other| (one.tagged_at_ns, &one.id).cmp(&(other.tagged_at_ns, &other.id)));
        for image in images {
            let names: Vec<String> = image.names().cloned().collect();
            let change = self.plan_names(image, &names, 0);
            self.apply(change);
        }
    }

    /// Takes the images and names of a tenant over as they are.
    pub(super) fn take(&mut self, own: &State) {
        (self.images, self.names) = (own.images.clone(), own.names.clone());
    }

    /// Adds what another tenant shares. A name that is here already keeps its meaning, and an image that is here too has the names
    /// of both.
    pub(super) fn share(&mut self, shared: &State) {
        for image in shared.images.values() {
            let is_free = |name: &&String| !self.names.contains_key(*name);
            let tags: Vec<String> = image.tags.iter().filter(is_free).cloned().collect();
            let digests: Vec<String> = image.digests.iter().filter(is_free).cloned().collect();
            for name in tags.iter().chain(&digests) {
                self.names.insert(name.clone(), image.id.clone());
            }
            let mut seen = match self.images.get(&image.id) {
                Some(own) => Image::clone(own),
                None if tags.len() + digests.len() == image.names().count() => {
                    self.images.insert(image.id.clone(), Arc::clone(image));
                    continue;
                }
                None => Image {
                    tags: Vec::new(),
                    digests: Vec::new(),
                    ..Image::clone(image)
                },
            };
            seen.tags.extend(tags);
            seen.digests.extend(digests);
            seen.tags.sort();
            seen.digests.sort();
            self.images.insert(seen.id.clone(), Arc::new(seen));
        }
    }

    /// Whether a layer belongs to one of these images: what does not may not even be known to exist.
    #[must_use]
    pub(super) fn knows_chain(&self, chain: &str) -> bool {
        self.users_of(chain) > 0
    }

    /// The same of a layer's bytes, whatever lies below.
    #[must_use]
    pub(super) fn knows_diff(&self, diff_id: &str) -> bool {
        let has = |image: &Arc<Image>| image.config.rootfs.diff_ids.iter().any(|known| known == diff_id);
        self.images.values().any(has)
    }

    /// Whose images are made here.
    #[must_use]
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Every image.
    pub(super) fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        self.images.values()
    }

    /// The image with this whole id.
    #[must_use]
    pub(super) fn image(&self, id: &str) -> Option<&Arc<Image>> {
        self.images.get(id)
    }

    /// The id that a tag or `name@digest` in familiar form points to.
    #[must_use]
    pub(super) fn named(&self, name: &str) -> Option<&String> {
        self.names.get(name)
    }

    /// Images that were built on this one.
    pub(super) fn children<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<Image>> {
        self.images
            .values()
            .filter(move |image| image.parent.as_deref() == Some(id))
    }

    /// Bytes of all layers of these images, each counted once.
    #[must_use]
    pub(super) fn layers_bytes(&self) -> u64 {
        let chains: BTreeSet<&String> = self.images.values().flat_map(|image| &image.chain).collect();
        let layers = chains.into_iter().filter_map(|chain| self.layers.get(chain));
        layers.map(|layer| layer.size_bytes).sum()
    }

    /// A layer.
    #[must_use]
    pub(super) fn layer(&self, chain: &str) -> Option<&Layer> {
        self.layers.get(chain)
    }

    /// How many images stand on a layer.
    #[must_use]
    pub(super) fn users_of(&self, chain: &str) -> usize {
        self.images
            .values()
            .filter(|image| image.chain.iter().any(|used| used == chain))
            .count()
    }

    /// What changes when `image` gets `names`, whether it is new or known; other images lose those names. A known image
    /// keeps its other names. `tagged_at_ns` is 0 where this is no tagging (`docker load`).
    #[must_use]
    pub(super) fn plan_names(&self, image: Image, names: &[String], tagged_at_ns: i64) -> Change {
        let manifests = image.manifests.clone();
        let mut image = match self.images.get(&image.id) {
            Some(known) => Image::clone(known),
            None => image.of_tenant(&self.tenant),
        };
        for manifest in manifests {
            if !image.manifests.contains(&manifest) {
                image.manifests.push(manifest);
            }
        }
        if tagged_at_ns != 0 {
            image.tagged_at_ns = tagged_at_ns;
        }
        let mut losers: BTreeMap<String, Image> = BTreeMap::new();
        let mut moved = Vec::new();
        for name in names {
            if let Some(holder) = self.names.get(name).filter(|holder| **holder != image.id)
                && let Some(loser) = self.images.get(holder)
            {
                let loser = losers
                    .entry(holder.clone())
                    .or_insert_with(|| Image::clone(loser));
                loser.tags.retain(|tag| tag != name);
                loser.digests.retain(|digest| digest != name);
                moved.push((name.clone(), holder.clone()));
            }
            let own = if name.contains('@') {
                &mut image.digests
            } else {
                &mut image.tags
            };
            if !own.contains(name) {
                own.push(name.clone());
            }
        }
        image.tags.sort();
        image.digests.sort();
        let put = std::iter::once(image)
            .chain(losers.into_values())
            .map(Arc::new)
            .collect();
        Change {
            tenant: self.tenant.clone(),
            put,
            gone: Vec::new(),
            moved,
        }
    }

    /// Makes a change.
    pub(super) fn apply(&mut self, change: Change) {
        for image in &change.put {
            self.forget_names(&image.id);
        }
        for id in &change.gone {
            self.forget_names(id);
            self.images.remove(id);
        }
        for image in change.put {
            for name in image.names() {
                self.names.insert(name.clone(), image.id.clone());
            }
            self.images.insert(image.id.clone(), image);
        }
    }

    fn forget_names(&mut self, id: &str) {
        self.names.retain(|_, holder| holder != id);
    }
}

/// The familiar form under which a reference is looked up: a digest counts more than a tag, as in dockerd.
#[must_use]
pub(super) fn lookup_name(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{digest}", reference.familiar_name()),
        None => reference.clone().with_default_tag().familiar(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::image;
    use super::*;

    #[test]
    fn a_name_moves_to_the_image_that_gets_it() {
        let mut state = State::of(vec![image('a', &["x:1", "x:2"])]);
        let change = state.plan_names(image('b', &[]), &["x:1".to_owned(), "y:1".to_owned()], 5);
        assert_eq!(change.moved, [("x:1".to_owned(), image('a', &[]).id)]);
        state.apply(change);
        assert_eq!(state.named("x:1"), Some(&image('b', &[]).id));
        assert_eq!(state.image(&image('a', &[]).id).unwrap().tags, ["x:2"]);
        assert_eq!(state.image(&image('b', &[]).id).unwrap().tags, ["x:1", "y:1"]);
    }

    #[test]
    fn of_two_stored_holders_of_a_name_the_later_tagged_keeps_it() {
        let mut late = image('a', &["x:1"]);
        late.tagged_at_ns = 2;
        let mut early = image('b', &["x:1"]);
        early.tagged_at_ns = 1;
        let state = State::of(vec![late.clone(), early.clone()]);
        assert_eq!(state.named("x:1"), Some(&late.id));
        assert!(state.image(&early.id).unwrap().tags.is_empty());
    }

    #[test]
    fn an_image_of_another_tenant_is_named_without_its_other_names() {
        let mut state = State::empty("red", Arc::default());
        let change = state.plan_names(image('a', &["x:1"]), &["own:1".to_owned()], 5);
        assert_eq!((change.tenant.as_str(), change.put.len()), ("red", 1));
        assert_eq!(
            (change.put[0].tenant.as_str(), change.put[0].tags.clone()),
            ("red", vec!["own:1".to_owned()])
        );
        state.apply(change);
        assert_eq!(state.named("x:1"), None);
    }

    #[test]
    fn shared_images_are_seen_and_own_names_come_first() {
        let shared = State::of(vec![image('a', &["x:1", "y:1"]), image('b', &["z:1"])]);
        let mut seen = State::empty("red", Arc::default());
        seen.add(vec![image('c', &["x:1"]), image('b', &["own:1"])]);
        seen.share(&shared);
        for (name, id) in [("x:1", 'c'), ("y:1", 'a'), ("z:1", 'b'), ("own:1", 'b')] {
            assert_eq!(seen.named(name), Some(&image(id, &[]).id), "{name}");
        }
        assert_eq!(seen.image(&image('a', &[]).id).unwrap().tags, ["y:1"]);
        assert_eq!(seen.image(&image('b', &[]).id).unwrap().tags, ["own:1", "z:1"]);
        assert_eq!(seen.image(&image('b', &[]).id).unwrap().tenant, "red");
    }
}
