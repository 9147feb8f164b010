//! IMAGES (rank 4): what images exist, their names, and the layers that they stand on.
//!
//! A layer is a dataset `images/<chain id>` with the snapshot `layer`, cloned from the layer below it; images share layers.
//! A layer lives as long as an image uses it, somebody holds it ([`Hold`]) or a container was cloned from it.
//!
//! | message | asked by | answered with |
//! |---|---|---|
//! | `View` | everybody | the table as it is now, to read at leisure |
//! | `Apply` | whoever changed rows | it is so now |
//! | `LayerLock` | whoever makes or removes a layer | the lock of that chain id |
//! | `HoldLayer`, `LetGoLayer` | layer work | the layer, kept from removal until it is let go |
//! | `PutLayer`, `TakeUnusedLayer` | layer work | a layer joined the table, or left it because nothing needs it |
//!
//! The table is the actor's; verbs plan a change on a view, write it to the store and then apply it, one at a time. What they
//! do runs in tasks of its own, so a client that hangs up does not leave half of it.
//!
//! Reading archives, decompression and hashing happen in this process, which has no privilege, on threads that may block;
//! the archive helper sees plain tar only.

mod actor;
mod base;
mod blobs;
pub mod chain;
pub mod changes;
mod fetch;
mod find;
mod import;
pub mod instructions;
mod layers;
mod list;
mod load;
mod manifest;
mod messages;
mod pattern;
mod progress;
mod prune;
mod pull;
mod push;
mod reconcile;
mod registry;
mod remote;
mod remove;
mod save;
mod show;
mod spool;
mod squash;
mod state;
mod stream;
mod tables;
mod tarball;
mod verbs;
pub mod words;

#[cfg(test)]
mod tests;

pub use base::Base;
pub use fetch::fetch;
pub use import::Import;
pub use layers::{Hold, LayerAdded};
pub use list::{ListWish, Sharing};
pub use progress::PROGRESS_QUEUE_LINES_MAX;
pub use pull::Pull;
pub use registry::{Patience, RegistrySettings};
pub use remote::Search;
pub use remove::{Children, Force, ImageUser};
pub use spool::Spool;
pub use stream::{is_compressed, unpacked};
pub use verbs::{Images, target};

use crate::services::Failure;
use crate::tenants::DEFAULT;
use docker_api::image_config::{ImageConfigFile, Platform};
use serde::{Deserialize, Serialize};

/// The key of an image's row: its id, with the tenant before it where that is not `default`.
pub(super) fn key(tenant: &str, id: &str) -> String {
    if tenant == DEFAULT {
        id.to_owned()
    } else {
        format!("{tenant}/{id}")
    }
}

/// An image, as stored (kind `Image`, key see [`key`]) and as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:` and the digest of [`Image::config_json`].
    pub id: String,
    /// The configuration exactly as it came or was made: its digest is the id.
    pub config_json: String,
    /// The same, parsed.
    #[serde(skip)]
    pub config: ImageConfigFile,
    /// Chain ids (without `sha256:`) of its layers, lowest first; the last names the dataset that containers are cloned from.
    pub chain: Vec<String>,
    /// Names that point here, familiar form with tag (`busybox:latest`), sorted.
    pub tags: Vec<String>,
    /// `name@digest` of the manifests it was fetched by, familiar form, sorted.
    #[serde(default)]
    pub digests: Vec<String>,
    /// The manifests that it came with from registries: what was pulled is pushed as it came.
    #[serde(default)]
    pub manifests: Vec<Manifest>,
    /// The image that this was built on, for `docker history` and pruning of children.
    pub parent: Option<String>,
    /// Bytes of all layers' content.
    pub size_bytes: u64,
    /// When a name last moved here, nanoseconds since 1970; 0 is never.
    pub tagged_at_ns: i64,
    /// Whose it is.
    #[serde(default = "default_tenant")]
    pub tenant: String,
}

fn default_tenant() -> String {
    DEFAULT.to_owned()
}

/// A manifest as a registry gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `sha256:` and the digits of the text's digest.
    pub digest: String,
    /// What it is.
    pub media_type: String,
    /// Its text.
    pub text: String,
}

impl Image {
    /// A stored image with its configuration parsed again.
    ///
    /// # Errors
    /// [`Failure::System`] where the stored text is not a configuration.
    pub(super) fn parsed(mut self) -> Result<Self, Failure> {
        let config = serde_json::from_str(&self.config_json);
        self.config =
            config.map_err(|error| Failure::System(format!("stored image {}: {error}", self.id)))?;
        Ok(self)
    }

    /// Whether it is for a platform; parts that are not asked for, and an architecture that the image does not name, fit.
    #[must_use]
    pub fn fits(&self, wanted: &Platform) -> bool {
        let fits = |have: &str, want: &str| want.is_empty() || have.is_empty() || have == want;
        fits(&self.config.os, &wanted.os)
            && fits(&self.config.architecture, &wanted.architecture)
            && fits(&self.config.variant, &wanted.variant)
    }

    /// The key of its row.
    pub(super) fn key(&self) -> String {
        key(&self.tenant, &self.id)
    }

    /// The same image, another tenant's: names stay behind.
    pub(super) fn of_tenant(self, tenant: &str) -> Self {
        if self.tenant == tenant {
            return self;
        }
        Image {
            tags: Vec::new(),
            digests: Vec::new(),
            tagged_at_ns: 0,
            tenant: tenant.to_owned(),
            ..self
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.tags.iter().chain(&self.digests)
    }
}
