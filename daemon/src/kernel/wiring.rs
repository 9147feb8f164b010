//! Who may ask whom: every handle is made and handed out here, lowest rank last, so that requests only go up.

use super::bus::Bus;
use super::supervisor::Supervisor;
use super::{StartError, housekeeping};
use crate::config::Settings;
use crate::edge;
use crate::services::Failure;
use crate::services::builder::Builder;
use crate::services::containers::{Container, Containers, ContainersActor, Deps, MountPlan, Roots, Table};
use crate::services::images::Images;
use crate::services::naming;
use crate::services::networks::Networks;
use crate::services::processes::{Processes, ProcessesActor};
use crate::services::reservations::Reservations;
use crate::services::volumes::Volumes;
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use crate::transport::launcher::Launcher;
use actix::Actor;
use protocol::Principal;
use std::sync::Arc;

/// Name of the fact that identifies this installation.
const INSTALLATION: &str = "installation";

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) settings: Arc<Settings>,
    pub(super) installation: String,
    pub(super) bus: Bus,
    pub(super) helpers: Helpers,
    pub(super) launcher: Launcher,
    pub(super) images: Images,
    pub(super) networks: Networks,
    pub(super) volumes: Volumes,
    pub(super) containers: Containers,
    pub(super) builder: Builder,
    /// For the daemon's own housekeeping.
    pub(super) by: Principal,
}

/// Wires everything.
pub(super) async fn wire(settings: Settings, supervisor: &Supervisor) -> Result<Kernel, StartError> {
    let settings = Arc::new(settings);
    let by = housekeeping().map_err(Failure::from)?;
    let bus = Bus::default();
    let store = Store::open(&settings.state_dir.join("cellblock.db"))?;
    let helpers = supervisor.helpers.clone();
    let installation = installation(&store).await?;
    let images = Images::start(
        &settings.state_dir,
        settings.registries(),
        store.clone(),
        helpers.clone(),
        bus.clone(),
    )
    .await?;
    let networks = Networks::start(
        &store,
        helpers.clone(),
        bus.clone(),
        installation.clone(),
        &settings,
    )
    .await?;
    let volumes = Volumes::start(store.clone(), helpers.clone(), bus.clone(), &settings.root_dir).await?;
    let processes = Processes(ProcessesActor::default().start());
    let stored: Vec<(String, Container)> = store.all(Kind::Container).await?;
    for (id, container) in &stored {
        for name in container.mounts.iter().filter_map(MountPlan::volume) {
            volumes.refer(&container.tenant, name, id).await;
        }
    }
    let table =
        Table(ContainersActor::new(stored.into_iter().map(|(_, container)| container).collect()).start());
    let deps = Deps {
        table,
        store,
        helpers: helpers.clone(),
        bus: bus.clone(),
        launcher: supervisor.launcher.clone(),
        processes,
        images: images.clone(),
        networks: networks.clone(),
        volumes: volumes.clone(),
        roots: Roots::new(helpers.mount.clone()),
        settings: Arc::clone(&settings),
        recording: tokio::sync::Mutex::default(),
        reconciled: tokio::sync::watch::channel(false).0,
        pruning: Reservations::default(),
    };
    let containers = Containers(Arc::new(deps));
    let builder = Builder::new(containers.clone(), images.clone(), Arc::clone(&settings));
    Ok(Kernel {
        settings,
        installation,
        bus,
        helpers,
        launcher: supervisor.launcher.clone(),
        images,
        networks,
        volumes,
        containers,
        builder,
        by,
    })
}

impl Kernel {
    /// What the edge may ask.
    pub(super) fn edge_state(&self) -> edge::State {
        edge::State {
            containers: self.containers.clone(),
            images: self.images.clone(),
            networks: self.networks.clone(),
            volumes: self.volumes.clone(),
            builder: self.builder.clone(),
            bus: self.bus.clone(),
            helpers: self.helpers.clone(),
            settings: Arc::clone(&self.settings),
            installation: self.installation.clone().into(),
        }
    }
}

async fn installation(store: &Store) -> Result<String, StartError> {
    if let Some(id) = store.get::<String>(Kind::Fact, INSTALLATION).await? {
        return Ok(id);
    }
    let id = naming::new_id();
    store.put(Kind::Fact, INSTALLATION, &id).await?;
    Ok(id)
}
