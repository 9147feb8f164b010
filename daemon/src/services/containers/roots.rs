//! Containers' roots, mounted while somebody needs them: while they run, and while `docker cp` reads a stopped one.

use super::state::Container;
use crate::services::{Failure, naming};
use crate::transport::mount::Mount;
use protocol::mount::Access;
use protocol::names::{Label, MountName};
use protocol::{ErrorCode, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// All roots in use.
#[derive(Debug, Clone)]
pub struct Roots {
    mount: Mount,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<String, usize>,
    /// The guards of running containers.
    kept: BTreeMap<String, RootGuard>,
}

/// A root in use. Dropping it gives it up in the background; [`RootGuard::release`] waits for that.
#[derive(Debug)]
pub struct RootGuard {
    roots: Roots,
    id: String,
    at: MountName,
    is_released: bool,
}

impl Roots {
    /// No root in use.
    #[must_use]
    pub fn new(mount: Mount) -> Self {
        Roots {
            mount,
            state: Arc::default(),
        }
    }

    /// Mounts a container's root, or joins those who use it already.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn acquire(&self, by: &Principal, container: &Container) -> Result<RootGuard, Failure> {
        let at = naming::container_mount(&container.id)?;
        let mut state = self.state.lock().await;
        let users = state.users.entry(container.id.clone()).or_default();
        if *users == 0 {
            let dataset = naming::container_dataset(&container.id)?;
            match self
                .mount
                .dataset(by, dataset, at.clone(), Access::ReadWrite)
                .await
            {
                // An earlier daemon mounted it for a container that runs still.
                Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {}
                other => other?,
            }
        }
        *users += 1;
        Ok(RootGuard {
            roots: self.clone(),
            id: container.id.clone(),
            at,
            is_released: false,
        })
    }

    /// Keeps a root until [`Roots::let_go`]: the container runs.
    pub async fn keep(&self, guard: RootGuard) {
        let before = self.state.lock().await.kept.insert(guard.id.clone(), guard);
        drop(before);
    }

    /// Gives up what [`Roots::keep`] kept.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn let_go(&self, id: &str) -> Result<(), Failure> {
        let guard = self.state.lock().await.kept.remove(id);
        match guard {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }

    async fn give_up(&self, id: &str, at: MountName) -> Result<(), Failure> {
        let mut state = self.state.lock().await;
        let users = state.users.entry(id.to_owned()).or_default();
        *users = users.saturating_sub(1);
        if *users > 0 {
            return Ok(());
        }
        state.users.remove(id);
        let by = Principal {
            tenant: Label::new("-")?,
            subject: Label::new("daemon")?,
        };
        Ok(self.mount.unmount(&by, at).await?)
    }
}

impl RootGuard {
    /// Where the root is mounted.
    #[must_use]
    pub fn mount_name(&self) -> MountName {
        self.at.clone()
    }

    /// Gives the root up; unmounts it if nobody else uses it.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn release(mut self) -> Result<(), Failure> {
        self.is_released = true;
        self.roots.give_up(&self.id, self.at.clone()).await
    }
}

impl Drop for RootGuard {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        let (roots, id, at) = (self.roots.clone(), self.id.clone(), self.at.clone());
        // Outside the runtime (the daemon is ending) the next start cleans up.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = roots.give_up(&id, at).await {
                    tracing::warn!(%error, container = id, "root not unmounted");
                }
            });
        }
    }
}
