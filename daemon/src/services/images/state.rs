//! The table itself: pure, and told the time.

use super::Image;
use docker_api::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// Images, their names, and layers with who keeps them.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    images: BTreeMap<String, Arc<Image>>,
    /// Tags and `name@digest` in familiar form, to image ids.
    names: BTreeMap<String, String>,
    layers: BTreeMap<String, Layer>,
    holds: BTreeMap<String, usize>,
}

/// Rows that change together.
#[derive(Debug, Default, Clone)]
pub(super) struct Change {
    /// Images as they will be.
    pub put: Vec<Arc<Image>>,
    /// Ids of images that will not be.
    pub gone: Vec<String>,
    /// Names that pointed elsewhere, with the image that loses them.
    pub moved: Vec<(String, String)>,
}

impl State {
    /// The table as it was stored.
    #[must_use]
    pub(super) fn new(mut images: Vec<Image>, layers: Vec<Layer>) -> Self {
        let mut state = State::default();
        // The daemon may have ended between the two rows of a moved name: the image that it moved to last keeps it.
        images.sort_by(|one, other| (one.tagged_at_ns, &one.id).cmp(&(other.tagged_at_ns, &other.id)));
        for image in images {
            let names: Vec<String> = image.names().cloned().collect();
            let change = state.plan_names(image, &names, 0);
            state.apply(change);
        }
        layers.into_iter().for_each(|layer| state.put_layer(layer));
        state
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

    /// Every layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.values()
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
        let mut image = self
            .images
            .get(&image.id)
            .map_or(image, |known| Image::clone(known));
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

    /// Adds a layer.
    pub(super) fn put_layer(&mut self, layer: Layer) {
        self.layers.insert(layer.chain.clone(), layer);
    }

    /// Keeps a layer from [`State::take_unused`], if it exists.
    pub(super) fn hold(&mut self, chain: &str) -> Option<Layer> {
        let layer = self.layers.get(chain)?.clone();
        *self.holds.entry(chain.to_owned()).or_default() += 1;
        Some(layer)
    }

    /// Ends one [`State::hold`].
    pub(super) fn let_go(&mut self, chain: &str) {
        if let Some(count) = self.holds.get_mut(chain) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.holds.remove(chain);
            }
        }
    }

    /// Takes a layer out that no image uses, nobody holds and no other layer stands on.
    pub(super) fn take_unused(&mut self, chain: &str) -> Option<Layer> {
        let is_parent = self
            .layers
            .values()
            .any(|layer| layer.parent.as_deref() == Some(chain));
        if is_parent || self.holds.contains_key(chain) || self.users_of(chain) > 0 {
            return None;
        }
        self.layers.remove(chain)
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

    fn layer(chain: &str, parent: Option<&str>) -> Layer {
        Layer {
            chain: chain.to_owned(),
            parent: parent.map(str::to_owned),
            diff: chain.to_owned(),
            size_bytes: 1,
        }
    }

    #[test]
    fn a_name_moves_to_the_image_that_gets_it() {
        let mut state = State::new(vec![image('a', &["x:1", "x:2"])], Vec::new());
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
        let state = State::new(vec![late.clone(), early.clone()], Vec::new());
        assert_eq!(state.named("x:1"), Some(&late.id));
        assert!(state.image(&early.id).unwrap().tags.is_empty());
    }

    #[test]
    fn a_layer_leaves_only_when_nothing_needs_it() {
        let mut user = image('a', &[]);
        user.chain = vec!["low".to_owned(), "used".to_owned()];
        let layers = vec![
            layer("low", None),
            layer("used", Some("low")),
            layer("top", Some("used")),
        ];
        let mut state = State::new(vec![user], layers);
        assert_eq!(state.take_unused("low"), None, "another layer stands on it");
        state.hold("top").unwrap();
        state.hold("top").unwrap();
        state.let_go("top");
        assert_eq!(state.take_unused("top"), None, "it is held");
        state.let_go("top");
        assert_eq!(state.take_unused("top").unwrap().chain, "top");
        assert_eq!(state.take_unused("used"), None, "an image uses it");
        state.apply(Change {
            gone: vec![image('a', &[]).id],
            ..Change::default()
        });
        assert!(state.take_unused("used").is_some());
        assert!(state.take_unused("low").is_some());
        assert_eq!(state.take_unused("low"), None, "it is gone");
        assert_eq!(state.hold("low"), None);
    }
}
