//! `docker create`: judge the request, merge it with the image, clone the image's last layer.

use super::messages::{All, Forget, Reserve};
use super::state::{Container, Event, MountPlan, Phase};
use super::verbs::Deps;
use super::{attachment, limits, links, mounting, mounts, openings, ports, refuse};
use crate::services::images::Image;
use crate::services::{Failure, clock, naming};
use crate::store::Kind;
use crate::tenants;
use docker_api::containers::{ContainerConfig, CreateRequest};
use docker_api::error;
use docker_api::image_config::ImageConfig;
use protocol::Principal;
use protocol::handshake::HostOs;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adjectives and nouns of made-up names: 32 of each give a thousand; a number follows when one is taken.
const ADJECTIVES: [&str; 32] = [
    "amber", "bold", "brisk", "calm", "clever", "crisp", "deft", "eager", "fair", "fleet", "gentle", "glad",
    "grand", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "noble", "quick", "quiet",
    "rapid", "sharp", "smooth", "solid", "steady", "swift", "tidy", "warm",
];
const NOUNS: [&str; 32] = [
    "anchor", "badger", "beacon", "birch", "cedar", "comet", "coral", "crane", "delta", "ember", "falcon",
    "fjord", "grove", "harbor", "heron", "island", "juniper", "lagoon", "lantern", "lynx", "maple", "meadow",
    "otter", "pebble", "pine", "raven", "ridge", "river", "sparrow", "summit", "tundra", "willow",
];

/// How often a made-up name is tried before it gets a number that cannot be taken.
const NAME_TRIES_MAX: u32 = 8;

/// Makes a container; gives its id and warnings.
///
/// # Errors
/// `Invalid` and `Unsupported` for the request, `NotFound` for the image, `Conflict` for the name; nothing is left behind.
pub(super) async fn create(
    deps: &Deps,
    by: &Principal,
    name: Option<String>,
    mut request: CreateRequest,
) -> Result<(String, Vec<String>), Failure> {
    let name = name
        .map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned())
        .filter(|n| !n.is_empty());
    if let Some(bad) = name.as_ref().filter(|name| !error::is_container_name(name)) {
        return Err(Failure::Invalid(error::invalid_container_name(bad)));
    }
    refuse::check(&request, deps.host_os())?;
    openings::may_open(by, &deps.settings.tenants, &request.host_config)?;
    limits::check(deps, &request.host_config)?;
    let image = match request.config.image.as_str() {
        "" => None,
        wanted => Some(deps.images.find(by, wanted).await?),
    };
    let from = mounting::from_others(deps, by, &request.host_config).await?;
    if let Some(other) = openings::settle(deps, by.tenant.as_str(), &mut request.host_config).await? {
        request.config.hostname.clone_from(&other.config.hostname);
    }
    let mut container = assemble(by, deps.host_os(), image.as_deref(), request, from)?;
    for attachment in &mut container.attachments {
        // A network that is not there yet may be there at the start.
        let network = deps.networks.find(by, &attachment.network).ok();
        attachment::judge(attachment, network.as_ref()).map_err(|failure| {
            failure.within(&format!("invalid config for network {}", attachment.network))
        })?;
        if let Some(network) = network {
            (attachment.network, attachment.network_id) = (network.name, network.id);
        }
    }
    let id = container.id.clone();
    if container.host_config.network_mode == "bridge" {
        links::check(deps, by.tenant.as_str(), container.host_config.links.as_ref()).await?;
    }
    let container = prepare(deps, by, container, name).await?;
    match build(deps, by, &container).await {
        Ok(()) => {
            deps.tell(&container, "create", &[]);
            Ok((id, Vec::new()))
        }
        Err(failure) => {
            undo(deps, by, &container).await;
            Err(failure)
        }
    }
}

/// Makes the volumes that it refers to, and reserves its name.
async fn prepare(
    deps: &Deps,
    by: &Principal,
    mut container: Container,
    name: Option<String>,
) -> Result<Arc<Container>, Failure> {
    let id = container.id.clone();
    let reserved = match mounting::prepare(deps, by, &id, &mut container.mounts).await {
        Ok(()) => reserve(deps, container.clone(), name).await,
        Err(failure) => Err(failure),
    };
    if reserved.is_err() {
        give_up_volumes(deps, by, &container).await;
    }
    reserved
}

fn assemble(
    by: &Principal,
    host: HostOs,
    image: Option<&Image>,
    request: CreateRequest,
    from: Vec<MountPlan>,
) -> Result<Container, Failure> {
    let own_os = match host {
        HostOs::FreeBsd => "freebsd",
        HostOs::Linux => "linux",
    };
    let CreateRequest {
        mut config,
        mut host_config,
        networking_config,
    } = request;
    let id = naming::new_id();
    if let Some(image) = image {
        merge(&mut config, &image.config.config);
    }
    tidy(&mut config);
    if config.hostname.is_empty() {
        config.hostname = openings::hostname(&host_config, &id);
    }
    host_config.fill_defaults();
    if host_config.runtime.is_empty() {
        refuse::runtimes(host)[0].clone_into(&mut host_config.runtime);
    }
    let command = [config.entrypoint.clone(), config.cmd.clone()];
    let mut command = command.into_iter().flatten().flatten();
    let path = command
        .next()
        .ok_or_else(|| Failure::Invalid(error::NO_COMMAND.to_owned()))?;
    let args: Vec<String> = command.collect();
    let mounts = mounts::plan(&config, &host_config, from)?;
    ports::wishes(&config, &host_config)?;
    let attachments = attachment::of_request(&config, &host_config, networking_config)?;
    Ok(Container {
        id,
        name: String::new(),
        tenant: by.tenant.as_str().to_owned(),
        created_ns: clock::now_ns(),
        image_id: image.map(|image| image.id.clone()).unwrap_or_default(),
        image_os: image.map_or(own_os, |image| &image.config.os).to_owned(),
        chain: image.map(|image| image.chain.clone()).unwrap_or_default(),
        config,
        host_config,
        attachments,
        path,
        args,
        mounts,
        phase: Phase::Created,
        started_ns: 0,
        finished_ns: 0,
        exit_code: 0,
        error: String::new(),
        over: None,
        exits: 0,
        restart_count: 0,
        restart_wait_ms: 0,
        stopped_by_hand: false,
        is_ending: false,
        is_kept: false,
        oom_killed: false,
        health: None,
    })
}

/// Puts values as dockerd keeps them.
fn tidy(config: &mut ContainerConfig) {
    if let Some(clean) = mounts::clean(&config.working_dir) {
        config.working_dir = clean;
    }
    // One empty word says that the image's is not wanted.
    config.entrypoint = config.entrypoint.take().filter(|words| *words != [""]);
}

/// dockerd's rule for what comes from the image where the request says nothing.
pub(super) fn merge(config: &mut ContainerConfig, image: &ImageConfig) {
    let ContainerConfig {
        user,
        working_dir,
        stop_signal,
        ..
    } = config;
    for (own, from_image) in [
        (user, &image.user),
        (working_dir, &image.working_dir),
        (stop_signal, &image.stop_signal),
    ] {
        if own.is_empty() {
            own.clone_from(from_image);
        }
    }
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd.clone_from(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    let name_of = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut env = config.env.take().unwrap_or_default();
    for entry in image.env.iter().flatten() {
        if !env.iter().any(|own| name_of(own) == name_of(entry)) {
            env.push(entry.clone());
        }
    }
    config.env = Some(env);
    let mut labels = image.labels.clone().unwrap_or_default();
    labels.extend(config.labels.take().unwrap_or_default());
    config.labels = Some(labels);
    for (own, from_image) in [
        (&mut config.exposed_ports, &image.exposed_ports),
        (&mut config.volumes, &image.volumes),
    ] {
        if let Some(set) = from_image {
            own.get_or_insert_default()
                .extend(set.iter().map(|(key, value)| (key.clone(), *value)));
        }
    }
    if config.shell.is_none() {
        config.shell.clone_from(&image.shell);
    }
    super::health::merge(&mut config.healthcheck, image.healthcheck.as_ref());
}

/// Puts the container in the table, under its name or a made-up one, and writes it down before anything is done.
async fn reserve(
    deps: &Deps,
    mut container: Container,
    name: Option<String>,
) -> Result<Arc<Container>, Failure> {
    // Under the lock, so that two at once do not both find the last place free.
    let counting = deps.recording.lock().await;
    let tenant = container.tenant.clone();
    if let Some(most) = tenants::named(&deps.settings.tenants, &tenant).and_then(|known| known.containers_max)
        && deps
            .table
            .ask(All {
                tenant: Some(tenant.clone()),
            })
            .await?
            .len()
            >= most
    {
        return Err(Failure::Forbidden(format!(
            "the tenant {tenant} has {most} containers, as many as it may have"
        )));
    }
    let mut tries = 0;
    let found = loop {
        container.name = name.clone().unwrap_or_else(|| made_up_name(tries));
        match deps.table.ask(Reserve(Box::new(container.clone()))).await? {
            Ok(found) => break found,
            Err(taken) if name.is_some() => {
                return Err(Failure::Conflict(taken.to_string()));
            }
            Err(_) => tries += 1,
        }
    };
    drop(counting);
    if let Err(error) = deps.store.put(Kind::Container, &container.id, &container).await {
        deps.table.ask(Forget { id: container.id }).await?;
        return Err(error.into());
    }
    Ok(found.container)
}

fn made_up_name(tries: u32) -> String {
    let [first, second, third, fourth] = naming::random::<4>();
    let adjective = ADJECTIVES[usize::from(first) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(second) % NOUNS.len()];
    if tries < NAME_TRIES_MAX {
        format!("{adjective}_{noun}")
    } else {
        format!("{adjective}_{noun}{}", u32::from(third) << 8 | u32::from(fourth))
    }
}

async fn build(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let dataset = naming::container_dataset(&container.id)?;
    match container.chain.last() {
        Some(top) => {
            let origin = naming::image_dataset(top)?;
            deps.helpers
                .zfs
                .clone_snapshot(by, origin, naming::layer_label()?, dataset)
                .await?;
        }
        None => deps.helpers.zfs.create(by, dataset).await?,
    }
    let directory = deps.directory(&container.id);
    tokio::fs::create_dir_all(&directory)
        .await
        .map_err(|e| Failure::System(e.to_string()))?;
    mounting::fill(deps, by, container).await
}

/// A container that did not come to be refers to no volume, and leaves no anonymous one behind.
async fn give_up_volumes(deps: &Deps, by: &Principal, container: &Container) {
    for plan in &container.mounts {
        if let Some(name) = plan.volume().filter(|name| !name.is_empty()) {
            deps.volumes.release(by, name, &container.id).await;
        }
        if let Some(name) = plan.anonymous_volume().filter(|name| !name.is_empty())
            && let Err(error) = deps.volumes.remove_if_unused(by, name).await
        {
            tracing::warn!(%error, volume = name, "an anonymous volume was not removed");
        }
    }
}

async fn undo(deps: &Deps, by: &Principal, container: &Container) {
    let id = &container.id;
    // Best effort: what cannot be undone now is found by the next start of the daemon, since the row says what was begun.
    let _ = deps.change(id, Event::RemovalBegan).await;
    let removed = super::remove::erase(deps, by, container, true).await;
    if let Err(error) = removed {
        tracing::warn!(%error, container = id, "a half-made container was not removed");
    }
}

/// The labels of a container, never absent in answers.
#[must_use]
pub(super) fn labels(config: &ContainerConfig) -> BTreeMap<String, String> {
    config.labels.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn a_command_replaces_the_images_and_an_entrypoint_drops_it() {
        let image = ImageConfig {
            cmd: list(&["c"]),
            entrypoint: list(&["e"]),
            ..ImageConfig::default()
        };
        let merged = |entrypoint: Option<Vec<String>>, cmd: Option<Vec<String>>| {
            let mut config = ContainerConfig {
                entrypoint,
                cmd,
                ..ContainerConfig::default()
            };
            merge(&mut config, &image);
            (config.entrypoint, config.cmd)
        };
        assert_eq!(merged(None, None), (list(&["e"]), list(&["c"])));
        assert_eq!(merged(None, list(&["x"])), (list(&["e"]), list(&["x"])));
        assert_eq!(merged(list(&["y"]), None), (list(&["y"]), None));
        assert_eq!(merged(list(&[""]), None), (list(&[""]), None));
    }

    #[test]
    fn the_requests_environment_and_labels_come_over_the_images() {
        let label = |value: &str| Some(BTreeMap::from([("l".to_owned(), value.to_owned())]));
        let image = ImageConfig {
            env: list(&["A=1", "B=1"]),
            labels: label("image"),
            ..ImageConfig::default()
        };
        let mut config = ContainerConfig {
            env: list(&["B=2"]),
            labels: label("own"),
            ..ContainerConfig::default()
        };
        merge(&mut config, &image);
        assert_eq!((config.env, config.labels), (list(&["B=2", "A=1"]), label("own")));
    }

    #[test]
    fn made_up_names_are_container_names() {
        assert!(error::is_container_name(&made_up_name(0)));
        assert!(error::is_container_name(&made_up_name(NAME_TRIES_MAX)));
    }
}
