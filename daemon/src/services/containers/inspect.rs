//! `docker inspect` of a container, and the parts that `docker ps` shares.

use super::attachment::Attachment;
use super::state::{Container, MountPlan, MountSource, Phase};
use super::{names, ports};
use crate::services::clock;
use crate::services::networks::Place;
use crate::services::volumes::DRIVER;
use docker_api::containers::{ContainerInspect, ContainerState, GraphDriver, MountPoint, NetworkSettings};
use docker_api::host_config::HostConfig;
use docker_api::networks::EndpointSettings;
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
        restart_count: container.restart_count,
        exec_ids: Some(around.exec_ids.clone()).filter(|ids| !ids.is_empty()),
        host_config: HostConfig {
            links: links(container),
            ..container.host_config.clone()
        },
        graph_driver: GraphDriver {
            data: Some(BTreeMap::new()),
            name: driver,
        },
        mounts: container.mounts.iter().filter_map(mount_point).collect(),
        config: container.config.clone(),
        network_settings: network_settings(container),
        ..ContainerInspect::default()
    }
}

/// Links of the default network as dockerd shows them: `/target:/container/alias`. Those of other networks stand in their
/// settings.
fn links(container: &Container) -> Option<Vec<String>> {
    let asked = container.host_config.links.as_ref();
    let asked = asked.filter(|list| !list.is_empty() && container.host_config.network_mode == "bridge")?;
    let shown = asked.iter().map(|link| {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        let (target, alias) = (target.trim_start_matches('/'), alias.trim_start_matches('/'));
        format!("/{target}:/{}/{alias}", container.name)
    });
    Some(shown.collect())
}

fn state(container: &Container) -> ContainerState {
    ContainerState {
        status: container.status_word().to_owned(),
        running: container.is_running(),
        paused: container.is_paused(),
        restarting: container.phase == Phase::Restarting,
        oom_killed: container.oom_killed,
        dead: container.phase == Phase::Dead,
        pid: container.pid().map_or(0, i64::from),
        exit_code: container.exit_code,
        error: container.error.clone(),
        started_at: clock::text(container.started_ns),
        finished_at: clock::text(container.finished_ns),
        health: container.health.clone(),
    }
}

/// A mount as Docker shows it; none for what `--tmpfs` made, which it does not list.
#[must_use]
pub(super) fn mount_point(plan: &MountPlan) -> Option<MountPoint> {
    let (kind, name, source, driver) = match &plan.source {
        MountSource::Bind { path, .. } => ("bind", "", path.as_str(), ""),
        MountSource::Volume { name, on_host, .. } => ("volume", name.as_str(), on_host.as_str(), DRIVER),
        MountSource::Tmpfs { is_shown: true, .. } => ("tmpfs", "", "", ""),
        MountSource::Tmpfs { is_shown: false, .. } => return None,
    };
    Some(MountPoint {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source: source.to_owned(),
        destination: plan.destination.clone(),
        driver: driver.to_owned(),
        mode: plan.mode.clone(),
        rw: plan.writable,
        propagation: plan.propagation.clone(),
    })
}

/// The container's endpoints by network name, also for one that does not run.
#[must_use]
pub(super) fn endpoints(container: &Container) -> BTreeMap<String, EndpointSettings> {
    container
        .attachments
        .iter()
        .map(|attachment| {
            (
                attachment.network.clone(),
                endpoint_settings(container, attachment),
            )
        })
        .collect()
}

fn endpoint_settings(container: &Container, attachment: &Attachment) -> EndpointSettings {
    let asked = EndpointSettings {
        network_id: attachment.network_id.clone(),
        dns_names: names::of_container(container, attachment),
        ..attachment.wish.clone()
    };
    let Some(endpoint) = &attachment.endpoint else {
        return asked;
    };
    let (v4, v6) = (endpoint.place(false), endpoint.place(true));
    EndpointSettings {
        mac_address: mac_text(endpoint.mac),
        endpoint_id: endpoint.endpoint_id.clone(),
        gateway: gateway_text(v4),
        ip_address: address_text(v4),
        ip_prefix_len: v4.map(|place| place.prefix_bits).unwrap_or_default(),
        ipv6_gateway: gateway_text(v6),
        global_ipv6_address: address_text(v6),
        global_ipv6_prefix_len: v6.map(|place| place.prefix_bits).unwrap_or_default(),
        ..asked
    }
}

fn address_text(place: Option<&Place>) -> String {
    place.map(|place| place.address.to_string()).unwrap_or_default()
}

fn gateway_text(place: Option<&Place>) -> String {
    let gateway = place.and_then(|place| place.gateway);
    gateway.map(|address| address.to_string()).unwrap_or_default()
}

fn network_settings(container: &Container) -> NetworkSettings {
    let networks = endpoints(container);
    let sandbox_id = if container.is_running() {
        container.id.clone()
    } else {
        String::new()
    };
    // The top level repeats the endpoint on the default bridge.
    let repeated = networks.get("bridge").cloned().unwrap_or_default();
    NetworkSettings {
        sandbox_id,
        ports: Some(ports::in_force(container)),
        endpoint_id: repeated.endpoint_id,
        gateway: repeated.gateway,
        ip_address: repeated.ip_address,
        ip_prefix_len: repeated.ip_prefix_len,
        ipv6_gateway: repeated.ipv6_gateway,
        global_ipv6_address: repeated.global_ipv6_address,
        global_ipv6_prefix_len: repeated.global_ipv6_prefix_len,
        mac_address: repeated.mac_address,
        networks,
        ..NetworkSettings::default()
    }
}

pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
