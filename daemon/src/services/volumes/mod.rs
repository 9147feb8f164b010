//! VOLUMES (rank 4): datasets that outlive containers, named or anonymous, always with the driver `local`.
//!
//! A volume is mounted once, at a mount point of its own, while any container uses it, and bound into containers from there.

use crate::services::{Failure, clock, naming};
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use protocol::mount::Access;
use protocol::names::MountName;
use protocol::{ErrorCode, Principal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A volume, as stored (kind `Volume`, key = `tenant/name`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    /// Its name; 64 hexadecimal digits for an anonymous one.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// Whether it was made for one container, and goes with it on `rm -v` and `run --rm`.
    pub anonymous: bool,
    /// Whether image content has been copied into it: that happens once, when it is new.
    pub is_filled: bool,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Volumes {
    store: Store,
    helpers: Helpers,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    volumes: BTreeMap<String, Volume>,
    /// The containers that use a mounted volume, by its key.
    users: BTreeMap<String, Vec<String>>,
}

/// A volume that is mounted for a container.
#[derive(Debug)]
pub struct InUse {
    /// Where.
    pub at: MountName,
    /// Whether it is new: image content shall be copied into it.
    pub wants_content: bool,
}

impl Volumes {
    /// Loads the volumes.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn start(store: Store, helpers: Helpers) -> Result<Self, Failure> {
        let volumes = store.all(Kind::Volume).await?.into_iter().collect();
        Ok(Volumes {
            store,
            helpers,
            state: Arc::new(Mutex::new(State {
                volumes,
                ..State::default()
            })),
        })
    }

    /// Makes a volume unless it is there.
    ///
    /// # Errors
    /// What the store or the zfs helper answers.
    pub async fn ensure(&self, by: &Principal, name: &str) -> Result<(), Failure> {
        let key = key(by, name);
        let mut state = self.state.lock().await;
        if state.volumes.contains_key(&key) {
            return Ok(());
        }
        let is_id = |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let volume = Volume {
            name: name.to_owned(),
            tenant: by.tenant.as_str().to_owned(),
            created_ns: clock::now_ns(),
            anonymous: is_id(name),
            is_filled: false,
        };
        self.store.put(Kind::Volume, &key, &volume).await?;
        match self
            .helpers
            .zfs
            .create(by, naming::volume_dataset(&volume.tenant, name)?)
            .await
        {
            // The row is written first, so a crash in between leaves a dataset that this finds.
            Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {}
            Err(error) => {
                self.store.delete(Kind::Volume, &key).await?;
                return Err(error.into());
            }
            Ok(()) => {}
        }
        state.volumes.insert(key, volume);
        Ok(())
    }

    /// Mounts a volume for a container.
    ///
    /// # Errors
    /// `NotFound`, or what the mount helper answers.
    pub async fn enter(&self, by: &Principal, name: &str, container: &str) -> Result<InUse, Failure> {
        let key = key(by, name);
        let mut state = self.state.lock().await;
        let missing = || Failure::NotFound(format!("get {name}: no such volume"));
        let volume = state.volumes.get(&key).cloned().ok_or_else(missing)?;
        let at = mount_name(&key)?;
        let users = state.users.entry(key).or_default();
        if users.is_empty() {
            let dataset = naming::volume_dataset(&volume.tenant, name)?;
            match self
                .helpers
                .mount
                .dataset(by, dataset, at.clone(), Access::ReadWrite)
                .await
            {
                Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {}
                other => other?,
            }
        }
        if !users.iter().any(|user| user == container) {
            users.push(container.to_owned());
        }
        Ok(InUse {
            at,
            wants_content: !volume.is_filled,
        })
    }

    /// Image content has been copied into a volume, or there was none.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn filled(&self, by: &Principal, name: &str) -> Result<(), Failure> {
        let key = key(by, name);
        let mut state = self.state.lock().await;
        if let Some(volume) = state.volumes.get_mut(&key) {
            volume.is_filled = true;
            self.store.put(Kind::Volume, &key, &*volume).await?;
        }
        Ok(())
    }

    /// A container does not use a volume any more; unmounts it if nobody does.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn leave(&self, by: &Principal, name: &str, container: &str) -> Result<(), Failure> {
        let key = key(by, name);
        let mut state = self.state.lock().await;
        let Some(users) = state.users.get_mut(&key) else {
            return Ok(());
        };
        users.retain(|user| user != container);
        if users.is_empty() {
            state.users.remove(&key);
            self.helpers.mount.unmount(by, mount_name(&key)?).await?;
        }
        Ok(())
    }

    /// Destroys a volume if it is anonymous and unused.
    ///
    /// # Errors
    /// What the zfs helper answers.
    pub async fn remove_anonymous(&self, by: &Principal, name: &str) -> Result<(), Failure> {
        let key = key(by, name);
        let mut state = self.state.lock().await;
        let is_ours = state.volumes.get(&key).is_some_and(|volume| volume.anonymous);
        if !is_ours || state.users.contains_key(&key) {
            return Ok(());
        }
        self.helpers
            .zfs
            .destroy(by, naming::volume_dataset(by.tenant.as_str(), name)?)
            .await?;
        self.store.delete(Kind::Volume, &key).await?;
        state.volumes.remove(&key);
        Ok(())
    }
}

fn key(by: &Principal, name: &str) -> String {
    format!("{}/{name}", by.tenant.as_str())
}

/// Volume names may hold capitals and dots, which mount points may not: a digest stands for them.
fn mount_name(key: &str) -> Result<MountName, Failure> {
    let digest = naming::hex(&Sha256::digest(key.as_bytes())[..16]);
    Ok(MountName::new(format!("v-{digest}"))?)
}
