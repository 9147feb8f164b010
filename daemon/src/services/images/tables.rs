//! Every tenant's images, and the layers that all of them stand on: pure.
//!
//! Layers lie on disk once, whoever's images use them. Which images a tenant sees is a [`State`]: its own, and those of the tenant
//! `default`, which the others may use and not change.

use super::Image;
use super::state::{Change, Layer, Layers, State};
use crate::tenants::DEFAULT;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Images by tenant, and layers with who keeps them.
#[derive(Debug, Default, Clone)]
pub(super) struct Tables {
    /// Without layers.
    owned: BTreeMap<String, State>,
    layers: Arc<Layers>,
    holds: BTreeMap<String, usize>,
}

impl Tables {
    /// The tables as they were stored.
    #[must_use]
    pub(super) fn new(images: Vec<Image>, layers: Vec<Layer>) -> Self {
        let mut stored: BTreeMap<String, Vec<Image>> = BTreeMap::new();
        for image in images {
            stored.entry(image.tenant.clone()).or_default().push(image);
        }
        let layers = layers.into_iter().map(|layer| (layer.chain.clone(), layer));
        let mut tables = Tables {
            layers: Arc::new(layers.collect()),
            ..Tables::default()
        };
        for (tenant, images) in stored {
            let mut state = State::empty(&tenant, Arc::default());
            state.add(images);
            tables.owned.insert(tenant, state);
        }
        tables
    }

    /// What a tenant has.
    #[must_use]
    pub(super) fn owned_by(&self, tenant: &str) -> State {
        let mut state = State::empty(tenant, Arc::clone(&self.layers));
        if let Some(own) = self.owned.get(tenant) {
            state.take(own);
        }
        state
    }

    /// What a tenant sees.
    #[must_use]
    pub(super) fn seen_by(&self, tenant: &str) -> State {
        let mut state = self.owned_by(tenant);
        if let Some(shared) = self.owned.get(DEFAULT).filter(|_| tenant != DEFAULT) {
            state.share(shared);
        }
        state
    }

    /// Every image of every tenant.
    pub(super) fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        self.owned.values().flat_map(State::images)
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
        self.owned.values().map(|own| own.users_of(chain)).sum()
    }

    /// Makes a change.
    pub(super) fn apply(&mut self, change: Change) {
        let tenant = change.tenant.clone();
        let own = self.owned.entry(tenant);
        let own = own.or_insert_with_key(|tenant| State::empty(tenant, Arc::default()));
        own.apply(change);
    }

    fn layers_mut(&mut self) -> &mut Layers {
        Arc::make_mut(&mut self.layers)
    }

    /// Adds a layer.
    pub(super) fn put_layer(&mut self, layer: Layer) {
        self.layers_mut().insert(layer.chain.clone(), layer);
    }

    /// Keeps a layer from [`Tables::take_unused`], if it exists.
    pub(super) fn hold(&mut self, chain: &str) -> Option<Layer> {
        let layer = self.layers.get(chain)?.clone();
        *self.holds.entry(chain.to_owned()).or_default() += 1;
        Some(layer)
    }

    /// Ends one [`Tables::hold`].
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
        self.layers_mut().remove(chain)
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
    fn a_layer_leaves_only_when_nothing_needs_it() {
        let mut user = image('a', &[]);
        user.chain = vec!["low".to_owned(), "used".to_owned()];
        let layers = vec![
            layer("low", None),
            layer("used", Some("low")),
            layer("top", Some("used")),
        ];
        let mut state = Tables::new(vec![user], layers);
        assert_eq!(state.take_unused("low"), None, "another layer stands on it");
        state.hold("top").unwrap();
        state.hold("top").unwrap();
        state.let_go("top");
        assert_eq!(state.take_unused("top"), None, "it is held");
        state.let_go("top");
        assert_eq!(state.take_unused("top").unwrap().chain, "top");
        assert_eq!(state.take_unused("used"), None, "an image uses it");
        state.apply(Change {
            tenant: DEFAULT.to_owned(),
            gone: vec![image('a', &[]).id],
            ..Change::default()
        });
        assert!(state.take_unused("used").is_some());
        assert!(state.take_unused("low").is_some());
        assert_eq!(state.take_unused("low"), None, "it is gone");
        assert_eq!(state.hold("low"), None);
    }

    #[test]
    fn a_tenant_sees_its_own_images_and_the_shared_ones() {
        let of = |tenant: &str, digit: char| Image {
            tenant: tenant.to_owned(),
            chain: vec!["base".to_owned()],
            ..image(digit, &["x:1"])
        };
        let all = vec![of(DEFAULT, 'a'), of("red", 'b'), of("blue", 'c')];
        let mut tables = Tables::new(all, vec![layer("base", None)]);
        let ids = |state: &State| -> Vec<char> {
            state
                .images()
                .filter_map(|image| image.id.chars().last())
                .collect()
        };
        for (tenant, own, seen) in [
            (DEFAULT, vec!['a'], vec!['a']),
            ("red", vec!['b'], vec!['a', 'b']),
            ("green", vec![], vec!['a']),
        ] {
            assert_eq!(ids(&tables.owned_by(tenant)), own, "{tenant}");
            assert_eq!(ids(&tables.seen_by(tenant)), seen, "{tenant}");
        }
        assert_eq!(tables.users_of("base"), 3);
        assert!(tables.seen_by("green").layer("base").is_some());
        tables.apply(Change {
            tenant: "red".to_owned(),
            gone: vec![image('b', &[]).id, image('c', &[]).id],
            ..Change::default()
        });
        assert_eq!(ids(&tables.seen_by("red")), ['a']);
        assert_eq!(ids(&tables.owned_by("blue")), ['c'], "another tenant's stays");
    }
}
