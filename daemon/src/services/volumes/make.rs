//! How a volume comes to be: empty at once, or with another volume's content, which may take as long as there is to copy.

use super::options::{Beginning, Options};
use super::table::{ANONYMOUS_LABEL, DRIVER, Table, Volume};
use super::{Volumes, Wanted, check_driver, check_name, mount_name, options_of};
use crate::services::{Failure, clock, naming};
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use protocol::zfs::Tuning;
use protocol::{ErrorCode, Principal};

/// Takes away what an earlier daemon filled from another volume when it ended. What cannot be now is tried again at the next start.
///
/// # Errors
/// What the store answers.
pub(super) async fn give_up(store: &Store, helpers: &Helpers, volume: &Volume) -> Result<(), Failure> {
    let by = crate::kernel::housekeeping_of(&volume.tenant)?;
    let dataset = naming::volume_dataset(&volume.tenant, &volume.name)?;
    let unmounted = helpers.mount.unmount(&by, mount_name(&volume.key())?).await;
    let destroyed = unmounted.and(helpers.zfs.destroy(&by, dataset).await);
    tracing::warn!(
        volume = volume.name,
        ?destroyed,
        "was being filled when the daemon ended"
    );
    if destroyed.is_ok() {
        store.delete(Kind::Volume, &volume.key()).await?;
    }
    Ok(())
}

impl Volumes {
    pub(super) async fn make(
        &self,
        by: &Principal,
        wanted: Wanted,
        container: Option<&str>,
    ) -> Result<Volume, Failure> {
        check_driver(&wanted.driver)?;
        let is_anonymous = wanted.name.is_empty();
        let mut labels = wanted.labels;
        let name = if is_anonymous {
            let all = labels.get_or_insert_default();
            all.insert(ANONYMOUS_LABEL.to_owned(), String::new());
            naming::new_id()
        } else {
            wanted.name
        };
        let tenant = by.tenant.as_str();
        let mut table = self.table.lock().await;
        if table.get(tenant, &name).is_none() {
            check_name(&name)?;
            let volume = Volume {
                name: name.clone(),
                tenant: tenant.to_owned(),
                created_ns: clock::now_ns(),
                labels,
                options: wanted.options,
                is_filling: false,
            };
            let options = options_of(&volume)?;
            if self.making.holds(&volume.key()) {
                return Err(Failure::Conflict(format!("the volume {name} is being copied")));
            }
            table = match &options.beginning {
                Beginning::Empty => {
                    self.build(by, &volume, &options).await?;
                    self.show(by, &mut table, volume);
                    table
                }
                Beginning::Clone { of, .. } | Beginning::Copy { of } if table.get(tenant, of).is_none() => {
                    return Err(Failure::NotFound(docker_api::error::no_such_volume(of)));
                }
                Beginning::Clone { .. } | Beginning::Copy { .. } => {
                    drop(table);
                    self.build_aside(by, volume, options).await?;
                    self.table.lock().await
                }
            };
        }
        let gone = || Failure::NotFound(docker_api::error::no_such_volume(&name));
        let entry = table.get_mut(tenant, &name).ok_or_else(gone)?;
        entry.referred_by.extend(container.map(str::to_owned));
        Ok(entry.volume.clone())
    }

    fn show(&self, by: &Principal, table: &mut Table, volume: Volume) {
        let name = volume.name.clone();
        table.insert(volume);
        self.tell(by, "create", &name, &[("driver", DRIVER)]);
    }

    /// Makes a volume while others use the table, and to its end even where the client that asked goes away.
    async fn build_aside(&self, by: &Principal, volume: Volume, options: Options) -> Result<(), Failure> {
        let reserved = self.making.reserve(&volume.key()).ok_or_else(|| {
            let text = format!("the volume {} is being copied", volume.name);
            Failure::Conflict(text)
        })?;
        let (volumes, by) = (self.clone(), by.clone());
        let making = tokio::spawn(async move {
            volumes.build(&by, &volume, &options).await?;
            let mut table = volumes.table.lock().await;
            volumes.show(&by, &mut table, volume);
            drop(reserved);
            Ok(())
        });
        let ending = |_| Failure::Unavailable("the daemon is ending".to_owned());
        making.await.map_err(ending)?
    }

    /// Makes a new volume's dataset. Its row is written first, so that a crash in between leaves nothing unknown.
    async fn build(&self, by: &Principal, volume: &Volume, options: &Options) -> Result<(), Failure> {
        let is_filling = options.beginning != Beginning::Empty;
        let row = Volume {
            is_filling,
            ..volume.clone()
        };
        self.store.put(Kind::Volume, &volume.key(), &row).await?;
        let built = self.build_dataset(by, volume, options).await;
        if built.is_ok() && is_filling {
            self.store.put(Kind::Volume, &volume.key(), volume).await?;
        }
        if built.is_err() {
            let dataset = naming::volume_dataset(&volume.tenant, &volume.name)?;
            if let Err(error) = self.helpers.zfs.destroy(by, dataset).await {
                tracing::warn!(%error, volume = volume.name, "a half-made volume was not removed");
            }
            self.store.delete(Kind::Volume, &volume.key()).await?;
        }
        built
    }

    async fn build_dataset(&self, by: &Principal, volume: &Volume, options: &Options) -> Result<(), Failure> {
        let dataset = naming::volume_dataset(&volume.tenant, &volume.name)?;
        match &options.beginning {
            Beginning::Empty => match self.helpers.zfs.create(by, dataset.clone()).await {
                // An earlier daemon was killed between making it and telling.
                Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {}
                other => other?,
            },
            beginning => self.begin_as(by, volume, beginning).await?,
        }
        let tuning = Tuning {
            quota_bytes: options.quota_bytes,
            record_bytes: options.record_bytes,
            compression: options.compression,
        };
        if tuning == Tuning::default() {
            return Ok(());
        }
        match self.helpers.zfs.tune(by, dataset, tuning).await {
            Err(error) if error.code() == Some(ErrorCode::Unsupported) && options.quota_bytes.is_some() => {
                let text = "quota size requested but no quota support";
                Err(Failure::Invalid(text.to_owned()))
            }
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => {
                let text = "compression and recordsize are not supported on this host";
                Err(Failure::Unsupported(text.to_owned()))
            }
            other => Ok(other?),
        }
    }
}
