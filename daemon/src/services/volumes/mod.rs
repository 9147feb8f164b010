//! VOLUMES (rank 4): datasets that outlive containers, named or anonymous, always with the driver `local`.
//!
//! A volume is mounted once, at a mount point of its own, while any container uses it, and bound into containers from there.
//! Who refers to a volume (a container that was created with it) and who has it mounted (one that runs) are two things:
//! the first keeps it from being removed, the second from being unmounted.

mod fill;
mod make;
mod options;
mod table;

pub use fill::Tree;
pub use table::{ANONYMOUS_LABEL, DRIVER, Volume};

use crate::kernel::bus::Bus;
use crate::services::reservations::Reservations;
use crate::services::{Failure, naming};
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use docker_api::filters::Filters;
use options::{Content, Options};
use protocol::mount::{Access, BindSource, MissingSource, Request, TmpfsFlags};
use protocol::names::{DatasetName, MountName, RelPath};
use protocol::{ErrorCode, Principal};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use table::Table;
use tokio::sync::Mutex;

/// Where the memory of a volume of type tmpfs is mounted in its dataset.
const MEMORY: &str = "memory";

/// The handle.
#[derive(Debug, Clone)]
pub struct Volumes {
    store: Store,
    helpers: Helpers,
    bus: Bus,
    mount_root: Arc<PathBuf>,
    table: Arc<Mutex<Table>>,
    /// The volumes that are being filled from others, by their keys; the table has them when they are whole.
    making: Reservations,
    /// The tenants whose volumes are being pruned.
    pruning: Reservations,
}

/// What a client wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Its name; empty for an anonymous one.
    pub name: String,
    /// The driver; empty is the default.
    pub driver: String,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A volume that is mounted for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// What is bound into the container.
    pub source: BindSource,
    /// Whether the volume itself can be written.
    pub writable: bool,
}

/// What `docker volume prune` did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Names.
    pub names: Vec<String>,
    /// Bytes.
    pub reclaimed_bytes: u64,
}

/// Size and use of a volume.
#[derive(Debug)]
pub struct Usage {
    /// The volume.
    pub volume: Volume,
    /// Containers that refer to it.
    pub references: usize,
    /// Bytes, where they can be counted.
    pub size_bytes: Option<u64>,
}

impl Volumes {
    /// Loads the volumes. `root_dir` is the installation's directory.
    ///
    /// # Errors
    /// What the store or the zfs helper answers.
    pub async fn start(
        store: Store,
        helpers: Helpers,
        bus: Bus,
        root_dir: &std::path::Path,
    ) -> Result<Self, Failure> {
        let mut table = Table::default();
        for (_, volume) in store.all::<Volume>(Kind::Volume).await? {
            if volume.is_filling {
                make::give_up(&store, &helpers, &volume).await?;
            } else {
                table.insert(volume);
            }
        }
        Ok(Volumes {
            store,
            helpers,
            bus,
            mount_root: Arc::new(root_dir.join("mnt")),
            table: Arc::new(Mutex::new(table)),
            making: Reservations::default(),
            pruning: Reservations::default(),
        })
    }

    /// Where a volume's files are on the host while a container uses it.
    #[must_use]
    pub fn mountpoint(&self, volume: &Volume) -> String {
        let at = mount_point(&volume.key());
        self.mount_root.join(at).display().to_string()
    }

    /// Makes a volume unless there is one of that name, and has a container refer to it.
    ///
    /// # Errors
    /// `Invalid` and `NotFound` in dockerd's words; what the store or the helpers answer.
    pub async fn create(
        &self,
        by: &Principal,
        wanted: Wanted,
        container: Option<&str>,
    ) -> Result<Volume, Failure> {
        let context = format!("create {}", wanted.name);
        self.make(by, wanted, container)
            .await
            .map_err(|e| e.within(&context))
    }

    /// A volume.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words.
    pub async fn get(&self, by: &Principal, name: &str) -> Result<Volume, Failure> {
        let table = self.table.lock().await;
        let entry = table.get(by.tenant.as_str(), name);
        entry
            .map(|entry| entry.volume.clone())
            .ok_or_else(|| missing(name))
    }

    /// The volumes that the filters choose.
    ///
    /// # Errors
    /// `Invalid` for a filter that is not known or has a bad value.
    pub async fn list(&self, by: &Principal, filters: &Filters) -> Result<Vec<Volume>, Failure> {
        let invalid = |error: docker_api::filters::FilterError| Failure::Invalid(error.to_string());
        filters
            .accept_only(&["dangling", "driver", "label", "name"])
            .map_err(invalid)?;
        let dangling = match filters.contains("dangling") {
            true => Some(filters.boolean("dangling", false).map_err(invalid)?),
            false => None,
        };
        let table = self.table.lock().await;
        let chosen = table.choose(by.tenant.as_str(), |entry| {
            table::is_listed(entry, filters, dangling)
        });
        Ok(chosen.iter().map(|entry| entry.volume.clone()).collect())
    }

    /// Removes a volume that nobody refers to.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` while a container refers to it; what the zfs helper answers.
    pub async fn remove(&self, by: &Principal, name: &str) -> Result<(), Failure> {
        let mut table = self.table.lock().await;
        self.remove_from(by, &mut table, name).await
    }

    async fn remove_from(&self, by: &Principal, table: &mut Table, name: &str) -> Result<(), Failure> {
        let tenant = by.tenant.as_str();
        let entry = table.get(tenant, name).ok_or_else(|| missing(name))?;
        let users: Vec<&str> = entry
            .referred_by
            .union(&entry.mounted_by)
            .map(String::as_str)
            .collect();
        if !users.is_empty() {
            return Err(in_use(name, &users.join(", ")));
        }
        let (key, dataset) = (entry.volume.key(), naming::volume_dataset(tenant, name)?);
        match self.helpers.zfs.destroy(by, dataset.clone()).await {
            Err(error) if error.code() == Some(ErrorCode::Busy) => {
                self.destroy_before_clones(by, table, name, dataset).await?;
            }
            other => other?,
        }
        self.store.delete(Kind::Volume, &key).await?;
        table.remove(tenant, name);
        self.tell(by, "destroy", name, &[("driver", DRIVER)]);
        Ok(())
    }

    /// Destroys the dataset of a volume that others are clones of: each is turned round with it, until nothing depends on it.
    async fn destroy_before_clones(
        &self,
        by: &Principal,
        table: &Table,
        name: &str,
        dataset: DatasetName,
    ) -> Result<(), Failure> {
        let zfs = &self.helpers.zfs;
        let tenant = by.tenant.as_str();
        for entry in table.choose(tenant, |_| true) {
            let other = naming::volume_dataset(tenant, &entry.volume.name)?;
            let is_clone = match zfs.stats(by, other.clone()).await {
                Ok(stats) => stats.origin.as_ref() == Some(&dataset),
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(error.into()),
            };
            if !is_clone {
                continue;
            }
            zfs.promote(by, other).await?;
            match zfs.destroy(by, dataset.clone()).await {
                Err(error) if error.code() == Some(ErrorCode::Busy) => {}
                other => return Ok(other?),
            }
        }
        Err(in_use(name, "its dataset is busy"))
    }

    /// Removes a volume with the container that it was made for, unless somebody else refers to it.
    ///
    /// # Errors
    /// What the zfs helper or the store answers.
    pub async fn remove_if_unused(&self, by: &Principal, name: &str) -> Result<(), Failure> {
        match self.remove(by, name).await {
            Ok(()) | Err(Failure::Conflict(_) | Failure::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Removes what nobody refers to: anonymous volumes, or all of them with the filter `all`.
    ///
    /// # Errors
    /// `Invalid` for a bad filter, `Conflict` while another prune runs.
    pub async fn prune(&self, by: &Principal, mut filters: Filters) -> Result<Pruned, Failure> {
        let running = || Failure::Conflict(docker_api::error::PRUNE_RUNNING.to_owned());
        let _pruning = self.pruning.reserve(by.tenant.as_str()).ok_or_else(running)?;
        if !prunes_all(&filters)? {
            filters.add("label", ANONYMOUS_LABEL);
        }
        self.prune_chosen(by, &filters).await
    }

    async fn prune_chosen(&self, by: &Principal, filters: &Filters) -> Result<Pruned, Failure> {
        filters
            .accept_only(&["label", "label!", "all"])
            .map_err(|error| Failure::Invalid(error.to_string()))?;
        let mut pruned = Pruned::default();
        let mut table = self.table.lock().await;
        let chosen = table.choose(by.tenant.as_str(), |entry| table::is_pruned(entry, filters));
        let names: Vec<String> = chosen.iter().map(|entry| entry.volume.name.clone()).collect();
        for name in names {
            let size_bytes = self.size(by, &name).await.unwrap_or_default();
            match self.remove_from(by, &mut table, &name).await {
                Ok(()) => {
                    pruned.reclaimed_bytes += size_bytes;
                    pruned.names.push(name);
                }
                Err(error) => tracing::warn!(%error, volume = name, "not pruned"),
            }
        }
        let reclaimed = pruned.reclaimed_bytes.to_string();
        self.tell(by, "prune", "", &[("reclaimed", &reclaimed)]);
        Ok(pruned)
    }

    async fn size(&self, by: &Principal, name: &str) -> Option<u64> {
        let dataset = naming::volume_dataset(by.tenant.as_str(), name).ok()?;
        let stats = self.helpers.zfs.stats(by, dataset).await.ok()?;
        Some(stats.referenced_bytes)
    }

    /// Every volume with its size and the number of containers that refer to it. As with dockerd, those with options are left
    /// out: what they show is not on our store.
    pub async fn usage(&self, by: &Principal) -> Vec<Usage> {
        let mut all: Vec<Usage> = {
            let table = self.table.lock().await;
            let plain = |volume: &Volume| volume.options.as_ref().is_none_or(BTreeMap::is_empty);
            let chosen = table.choose(by.tenant.as_str(), |entry| plain(&entry.volume));
            let usage = |entry: &&table::Entry| Usage {
                volume: entry.volume.clone(),
                references: entry.referred_by.len(),
                size_bytes: None,
            };
            chosen.iter().map(usage).collect()
        };
        for usage in &mut all {
            usage.size_bytes = self.size(by, &usage.volume.name).await;
        }
        all
    }

    /// A container that an earlier daemon made refers to a volume.
    pub async fn refer(&self, tenant: &str, name: &str, container: &str) {
        if let Some(entry) = self.table.lock().await.get_mut(tenant, name) {
            entry.referred_by.insert(container.to_owned());
        }
    }

    /// A container that is removed refers to a volume no more.
    pub async fn release(&self, by: &Principal, name: &str, container: &str) {
        if let Some(entry) = self.table.lock().await.get_mut(by.tenant.as_str(), name) {
            entry.referred_by.remove(container);
        }
    }

    /// Mounts a volume for a container, or for a copy.
    ///
    /// # Errors
    /// `NotFound`, or what the mount helper answers.
    pub async fn enter(&self, by: &Principal, name: &str, user: &str) -> Result<InUse, Failure> {
        let mut table = self.table.lock().await;
        let entry = table
            .get_mut(by.tenant.as_str(), name)
            .ok_or_else(|| missing(name))?;
        let content = options_of(&entry.volume)?.content;
        let at = mount_name(&entry.volume.key())?;
        let in_use = match &content {
            Content::Dataset => InUse {
                source: BindSource::Mounted { at: at.clone() },
                writable: true,
            },
            Content::Tmpfs { .. } => InUse {
                source: BindSource::MountedPath {
                    at: at.clone(),
                    path: RelPath::new(MEMORY)?,
                },
                writable: true,
            },
            Content::Bind { path, writable } => InUse {
                source: BindSource::Host {
                    path: path.clone(),
                    missing: MissingSource::Refuse,
                },
                writable: *writable,
            },
        };
        if entry.mounted_by.is_empty() {
            self.mount(by, &entry.volume, &at, &content).await?;
        }
        entry.mounted_by.insert(user.to_owned());
        Ok(in_use)
    }

    async fn mount(
        &self,
        by: &Principal,
        volume: &Volume,
        at: &MountName,
        content: &Content,
    ) -> Result<(), Failure> {
        if matches!(content, Content::Bind { .. }) {
            return Ok(());
        }
        let mount = &self.helpers.mount;
        let dataset = naming::volume_dataset(&volume.tenant, &volume.name)?;
        match mount.dataset(by, dataset, at.clone(), Access::ReadWrite).await {
            // An earlier daemon mounted it for a container that runs still.
            Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => return Ok(()),
            other => other?,
        }
        let Content::Tmpfs {
            size_bytes,
            mode,
            noexec,
        } = *content
        else {
            return Ok(());
        };
        let request = Request::Tmpfs {
            at: at.clone(),
            target: RelPath::new(MEMORY)?,
            size_bytes,
            mode,
            flags: TmpfsFlags {
                noexec,
                read_only: false,
            },
        };
        let made = mount.make(by, request).await;
        if made.is_err() {
            mount.unmount(by, at.clone()).await?;
        }
        Ok(made?)
    }

    /// A container does not use a volume any more; unmounts it if nobody does. Tells whether the container had it.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn leave(&self, by: &Principal, name: &str, user: &str) -> Result<bool, Failure> {
        let mut table = self.table.lock().await;
        let Some(entry) = table.get_mut(by.tenant.as_str(), name) else {
            return Ok(false);
        };
        if !entry.mounted_by.remove(user) {
            return Ok(false);
        }
        if entry.mounted_by.is_empty() {
            let at = mount_name(&entry.volume.key())?;
            self.helpers.mount.unmount(by, at).await?;
        }
        Ok(true)
    }

    fn tell(&self, by: &Principal, action: &str, name: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.bus
            .publish(by.tenant.as_str(), "volume", action, name, attributes);
    }
}

fn options_of(volume: &Volume) -> Result<Options, Failure> {
    let none = BTreeMap::new();
    options::read(volume.options.as_ref().unwrap_or(&none))
}

fn missing(name: &str) -> Failure {
    Failure::NotFound(docker_api::error::no_such_volume(name))
}

fn in_use(name: &str, users: &str) -> Failure {
    Failure::Conflict(format!("remove {name}: volume is in use - [{users}]"))
}

fn check_driver(driver: &str) -> Result<(), Failure> {
    match driver {
        "" | DRIVER => Ok(()),
        other => Err(Failure::NotFound(format!(
            "error looking up volume plugin {other}: plugin \"{other}\" not found"
        ))),
    }
}

/// Docker's rule for volume names.
fn check_name(name: &str) -> Result<(), Failure> {
    if name.len() == 1 {
        let text = "volume name is too short, names should be at least two alphanumeric characters";
        return Err(Failure::Invalid(text.to_owned()));
    }
    if docker_api::error::is_container_name(name) {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// The filter `all` of prune.
fn prunes_all(filters: &Filters) -> Result<bool, Failure> {
    let values: Vec<&str> = filters.values("all").collect();
    match values[..] {
        [] => Ok(false),
        ["1" | "t" | "T" | "TRUE" | "true" | "True"] => Ok(true),
        ["0" | "f" | "F" | "FALSE" | "false" | "False"] => Ok(false),
        [other] => Err(Failure::Invalid(format!(
            "invalid filter 'all': strconv.ParseBool: parsing \"{other}\": invalid syntax"
        ))),
        _ => Err(Failure::Invalid(format!(
            "invalid filter 'all=[{}]': only one value is expected",
            values.join(" ")
        ))),
    }
}

/// Volume names may hold capitals and dots, which mount points may not: a digest stands for them.
fn mount_point(key: &str) -> String {
    format!("v-{}", naming::hex(&Sha256::digest(key.as_bytes())[..16]))
}

fn mount_name(key: &str) -> Result<MountName, Failure> {
    Ok(MountName::new(mount_point(key))?)
}
