//! Images' trees, mounted read-only for as long as somebody looks at them: steps of a build, `docker diff`, `docker commit`.
//!
//! A dataset can be mounted once only, so those who look at the same one share its mount.

use crate::services::{Failure, naming};
use crate::transport::archive::Packing;
use crate::transport::{Helpers, TransportError};
use protocol::Principal;
use protocol::archive::PathStat;
use protocol::mount::Access;
use protocol::names::{MountName, RelPath};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// All trees in use.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    helpers: Helpers,
    /// How many look at each chain.
    users: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A tree, or nothing where a stage begins with `scratch`. Dropping it gives it up in the background.
#[derive(Debug)]
pub struct Base {
    bases: Bases,
    by: Principal,
    mounted: Option<(String, MountName)>,
}

impl Bases {
    /// None in use.
    pub(super) fn new(helpers: Helpers) -> Self {
        Bases {
            helpers,
            users: Arc::default(),
        }
    }

    /// Mounts the tree of an image's layers (chain ids, lowest first), or joins those who look at it already.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub(super) async fn open(&self, by: &Principal, chain: &[String]) -> Result<Base, Failure> {
        let mut base = Base {
            bases: self.clone(),
            by: by.clone(),
            mounted: None,
        };
        if let Some(top) = chain.last() {
            let at = naming::image_mount(top)?;
            let mut users = self.users.lock().await;
            let count = users.entry(top.clone()).or_default();
            if *count == 0 {
                let dataset = naming::image_dataset(top)?;
                self.helpers
                    .mount
                    .dataset(by, dataset, at.clone(), Access::ReadOnly)
                    .await?;
            }
            *count += 1;
            base.mounted = Some((top.clone(), at));
        }
        Ok(base)
    }

    async fn give_up(&self, by: &Principal, chain: &str, at: MountName) -> Result<(), Failure> {
        let mut users = self.users.lock().await;
        let count = users.entry(chain.to_owned()).or_default();
        *count = count.saturating_sub(1);
        if *count > 0 {
            return Ok(());
        }
        users.remove(chain);
        Ok(self.helpers.mount.unmount(by, at).await?)
    }
}

impl Base {
    /// Where it is mounted.
    pub fn mount_name(&self) -> Option<MountName> {
        self.mounted.as_ref().map(|(_, at)| at.clone())
    }

    /// What is at a path, its last part not followed; none where nothing is.
    ///
    /// # Errors
    /// What the archive helper answers.
    pub async fn stat(&self, path: &str) -> Result<Option<PathStat>, Failure> {
        let Some(at) = self.mount_name() else {
            return Ok(None);
        };
        match self
            .bases
            .helpers
            .archive
            .stat(&self.by, at, RelPath::new(path)?)
            .await
        {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A small file's text, links followed; empty where there is none.
    ///
    /// # Errors
    /// What the archive helper answers.
    pub async fn text(&self, path: &str, bytes_max: u32) -> Result<String, Failure> {
        let Some(at) = self.mount_name() else {
            return Ok(String::new());
        };
        let bytes = self
            .bases
            .helpers
            .archive
            .read(&self.by, at, RelPath::new(path)?, bytes_max)
            .await?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    }

    /// A path as a tar whose entries have their paths in the tree; none where nothing is mounted.
    ///
    /// # Errors
    /// What the archive helper answers.
    pub async fn pack(&self, path: &str) -> Result<Option<Packing>, TransportError> {
        let Some(at) = self.mount_name() else {
            return Ok(None);
        };
        let (path, name) = (RelPath::new(path)?, RelPath::new(path)?);
        self.bases
            .helpers
            .archive
            .pack(&self.by, at, path, name)
            .await
            .map(Some)
    }

    /// Gives the tree up and waits for that.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn close(mut self) -> Result<(), Failure> {
        match self.mounted.take() {
            Some((chain, at)) => Ok(self.bases.give_up(&self.by, &chain, at).await?),
            None => Ok(()),
        }
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let Some((chain, at)) = self.mounted.take() else {
            return;
        };
        let (bases, by) = (self.bases.clone(), self.by.clone());
        // Outside the runtime (the daemon is ending) the next start cleans up.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = bases.give_up(&by, &chain, at).await {
                    tracing::warn!(%error, chain, "an image's tree was not unmounted");
                }
            });
        }
    }
}
