//! `docker inspect` of a container, and the parts that `docker ps` shares.

use super::state::{Container, MountPlan, MountSource, Phase};
use crate::services::clock;
use docker_api::containers::{ContainerInspect, ContainerState, GraphDriver, MountPoint, NetworkSettings};
use docker_api::networks::{EndpointIpamConfig, EndpointSettings};
use protocol::handshake::HostOs;
use std::collections::BTreeMap;
use std::path::Path;

/// What inspect needs to know beside the container.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The container's log.
    pub log_path: &'a Path,
    /// Its execs that have not ended.
    pub exec_ids: Vec<String>,
    /// The host.
    pub os: HostOs,
}

/// The storage driver's name, as `docker info` shows it too.
#[must_use]
pub fn driver_name(os: HostOs) -> &'static str {
    match os {
        HostOs::FreeBsd => "zfs",
        HostOs::Linux => "overlay2",
    }
}

/// The answer to `GET /containers/{id}/json`.
#[must_use]
pub fn inspect(container: &Container, around: &Surroundings<'_>) -> ContainerInspect {
    let driver = driver_name(around.os).to_owned();
    ContainerInspect {
        id: container.id.clone(),
        created: clock::text(container.created_ns),
        path: container.path.clone(),
        args: container.args.clone(),
        state: state(container),
        image: container.image_id.clone(),
        log_path: around.log_path.display().to_string(),
        name: format!("/{}", container.name),
        driver: driver.clone(),
        platform: container.image_os.clone(),
        exec_ids: Some(around.exec_ids.clone()).filter(|ids| !ids.is_empty()),
        host_config: container.host_config.clone(),
        graph_driver: GraphDriver {
            data: Some(BTreeMap::new()),
            name: driver,
        },
        mounts: container.mounts.iter().map(mount_point).collect(),
        config: container.config.clone(),
        network_settings: network_settings(container),
        ..ContainerInspect::default()
    }
}

fn state(container: &Container) -> ContainerState {
    ContainerState {
        status: container.status_word().to_owned(),
        running: container.is_running(),
        dead: container.phase == Phase::Dead,
        pid: container.pid().map_or(0, i64::from),
        exit_code: container.exit_code,
        error: container.error.clone(),
        started_at: clock::text(container.started_ns),
        finished_at: clock::text(container.finished_ns),
        ..ContainerState::default()
    }
}

/// A mount as Docker shows it. Memory file systems made by `--tmpfs` are not listed there by dockerd; those made by
/// `--mount` are, and so are all of ours: the record does not tell them apart.
#[must_use]
pub(super) fn mount_point(plan: &MountPlan) -> MountPoint {
    let (kind, name, source, driver, propagation) = match &plan.source {
        MountSource::Bind { path, .. } => ("bind", "", path.as_str(), "", "rprivate"),
        MountSource::Volume { name } => ("volume", name.as_str(), "", "local", ""),
        MountSource::Tmpfs { .. } => ("tmpfs", "", "", "", ""),
    };
    MountPoint {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source: source.to_owned(),
        destination: plan.destination.clone(),
        driver: driver.to_owned(),
        mode: plan.mode.clone(),
        rw: plan.writable,
        propagation: propagation.to_owned(),
    }
}

/// The container's endpoints by network name, also for one that does not run.
#[must_use]
pub(super) fn endpoints(container: &Container) -> BTreeMap<String, EndpointSettings> {
    let name = container.host_config.network_mode.clone();
    let settings = match &container.endpoint {
        None => EndpointSettings::default(),
        Some(endpoint) => EndpointSettings {
            ipam_config: None::<EndpointIpamConfig>,
            mac_address: mac_text(endpoint.mac),
            network_id: endpoint.network_id.clone(),
            endpoint_id: endpoint.endpoint_id.clone(),
            gateway: endpoint.gateway.to_string(),
            ip_address: endpoint.address.to_string(),
            ip_prefix_len: endpoint.prefix_bits,
            ..EndpointSettings::default()
        },
    };
    BTreeMap::from([(name, settings)])
}

fn network_settings(container: &Container) -> NetworkSettings {
    let networks = endpoints(container);
    let is_running = container.is_running();
    let sandbox_id = if is_running {
        container.id.clone()
    } else {
        String::new()
    };
    let settings = NetworkSettings {
        sandbox_id,
        ports: Some(BTreeMap::new()),
        ..NetworkSettings::default()
    };
    // The top level repeats the endpoint on the default bridge.
    match &container.endpoint {
        Some(endpoint) if endpoint.network_name == "bridge" => NetworkSettings {
            endpoint_id: endpoint.endpoint_id.clone(),
            gateway: endpoint.gateway.to_string(),
            ip_address: endpoint.address.to_string(),
            ip_prefix_len: endpoint.prefix_bits,
            mac_address: mac_text(endpoint.mac),
            networks,
            ..settings
        },
        Some(_) | None => NetworkSettings { networks, ..settings },
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
