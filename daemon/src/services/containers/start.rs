//! `docker start`: mount the root, write the files, mount what belongs in it, make the jail, link it, launch.
//!
//! Every step's inverse is in `finish::tear_down`, which may be called at any time: whatever fails here calls it, and so does a
//! daemon that finds a start half-done.

use super::judge::{Ask, judge};
use super::messages::Found;
use super::roots::RootGuard;
use super::state::{Container, Event, Starter};
use super::verbs::Deps;
use super::{endpoint, files, finish, limits, links, mounting, openings, process, user};
use crate::services::processes::messages::HubOf;
use crate::services::processes::{Ended, Run, Stdio, launch};
use crate::services::{Failure, naming};
use crate::transport::TransportError;
use docker_api::error;
use protocol::handshake::HostOs;
use protocol::jail::{JailSpec, Network, Openings, Role};
use protocol::mount::{Access, Flavour, Request};
use protocol::names::HostName;
use protocol::{ErrorCode, Principal};
use std::sync::Arc;

/// What dockerd puts before a start that its runtime refused; clients look for the end of it.
pub(super) const RUNTIME_REFUSED: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init";

/// Starts a container.
///
/// # Errors
/// `NotModified` where it runs; otherwise why it could not be started, which is also written into its state.
pub(super) async fn start(
    deps: &Arc<Deps>,
    by: &Principal,
    found: &Found,
    starter: Starter,
) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let container = current(deps, &found.container.id).await?;
    if starter == Starter::Hand {
        judge(Ask::Start, &container, &container.name)?;
    }
    container
        .may_start(starter)
        .map_err(|why| Failure::Conflict(why.to_string()))?;
    match run(deps, by, &container).await {
        Ok(running) => {
            let pid = running.pid;
            let event = Event::Started { pid, by: starter };
            let started = deps.change(&container.id, event).await?;
            deps.tell(&started, "start", &[]);
            finish::watch(deps, by, &started, running);
            Ok(())
        }
        Err(failure) => {
            let container = current(deps, &container.id).await?;
            finish::tear_down(deps, by, &container).await;
            let event = Event::StartFailed {
                error: failure.to_string(),
                exit_code: exit_code_of(&failure),
            };
            let container = deps.change(&container.id, event).await?;
            if container.host_config.auto_remove {
                super::remove::auto_remove(deps, by, &container).await;
            }
            Err(failure)
        }
    }
}

/// The exit code that dockerd writes down for a start that failed so.
#[must_use]
pub(super) fn exit_code_of(failure: &Failure) -> i64 {
    let text = failure.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["executable file not found", "no such file or directory"]) {
        127
    } else if has(&["permission denied", "exec format error", "is a directory"]) {
        126
    } else {
        128
    }
}

/// A refusal of the jail helper's in dockerd's words.
#[must_use]
pub(super) fn explain(context: &str, error: TransportError) -> Failure {
    match (error.code(), &error) {
        (
            Some(ErrorCode::CommandNotFound | ErrorCode::CommandNotExecutable),
            TransportError::Helper(helper),
        ) => Failure::Invalid(format!("{context}: {}", helper.detail.as_str())),
        _ => Failure::from(error).within(context),
    }
}

pub(super) async fn current(deps: &Deps, id: &str) -> Result<Arc<Container>, Failure> {
    let gone = || Failure::NotFound(error::no_such_container(id));
    let view = deps
        .table
        .ask(super::messages::Watch { id: id.to_owned() })
        .await?
        .ok_or_else(gone)?;
    let container = Arc::clone(&view.borrow());
    Ok(container)
}

async fn run(deps: &Deps, by: &Principal, container: &Container) -> Result<Ended, Failure> {
    let attachments = endpoint::allocate(deps, by, container).await?;
    let container = deps.change(&container.id, Event::Attached(attachments)).await?;
    let root = deps.roots.acquire(by, &container).await?;
    let running = run_in(deps, by, &root, &container).await;
    // Kept after a failure too: `tear_down` gives it up when the jail is gone, before which it cannot be unmounted.
    deps.roots.keep(root).await;
    running
}

async fn run_in(
    deps: &Deps,
    by: &Principal,
    root: &RootGuard,
    container: &Container,
) -> Result<Ended, Failure> {
    let id = &container.id;
    let other = openings::neighbour(deps, container).await?;
    match &other {
        Some(other) => files::write(deps, by, root, &openings::as_on_network(container, other)).await?,
        None => files::write(deps, by, root, container).await?,
    }
    let open = openings::of(deps, container, other.as_deref()).await?;
    let groups = container.host_config.group_add.clone().unwrap_or_default();
    let account = user::find(deps, by, &root.mount_name(), &container.config.user, &groups).await?;
    mount(deps, by, root, container).await?;
    let jid = deps
        .helpers
        .jail
        .create(by, jail_spec(deps, root, container, open)?)
        .await?;
    limits::set(deps, by, container).await?;
    endpoint::connect(deps, by, container, jid).await?;
    let published = endpoint::publish(deps, by, container, &[]).await;
    if let Some(attachments) = published.map_err(|failure| failure.within(endpoint::IN_NETWORKING))? {
        deps.change(id, Event::Attached(attachments)).await?;
    }

    launch_first(deps, by, container, &account).await
}

/// Starts a container's program in its jail.
async fn launch_first(
    deps: &Deps,
    by: &Principal,
    container: &Container,
    account: &user::Account,
) -> Result<Ended, Failure> {
    let id = &container.id;
    let hub = deps
        .processes
        .ask(HubOf {
            container: id.clone(),
        })
        .await?;
    let [rows, columns] = container.host_config.console_size;
    let asked = (
        u16::try_from(rows).unwrap_or(0),
        u16::try_from(columns).unwrap_or(0),
    );
    let linked = links::resolve(deps, container).await?;
    let link_env: Vec<String> = linked
        .iter()
        .flat_map(|linked| links::environment(container, linked))
        .collect();
    let wanted = process::Wanted {
        role: Role::First,
        argv: std::iter::once(&container.path)
            .chain(&container.args)
            .cloned()
            .collect(),
        extra_env: &link_env,
        cwd: "",
        terminal: container.config.tty.then(|| hub.size().unwrap_or(asked)),
    };
    let spec = process::spec(&container.config, &container.host_config, account, wanted)?;
    let log = deps.open_log(container)?;
    let run = Run {
        hub,
        log,
        keep_as: Some(keep_key(id)),
        exec: None,
    };
    let jail = naming::jail(id)?;
    let launched = launch(
        &deps.helpers.jail,
        &deps.launcher,
        by,
        jail,
        spec,
        stdio(container),
        run,
    )
    .await;
    launched.map_err(|error| explain(RUNTIME_REFUSED, error))
}

/// The key under which the launcher keeps a container's descriptors.
#[must_use]
pub(super) fn keep_key(id: &str) -> String {
    format!("container/{id}")
}

/// How a container's streams are connected.
#[must_use]
pub(super) fn stdio(container: &Container) -> Stdio {
    if container.config.tty {
        Stdio::Terminal
    } else {
        Stdio::Pipes {
            input: container.config.open_stdin,
        }
    }
}

fn jail_spec(
    deps: &Deps,
    root: &RootGuard,
    container: &Container,
    openings: Openings,
) -> Result<JailSpec, Failure> {
    let host = &container.host_config;
    let network = if host.network_mode == "host" || openings.network_of.is_some() {
        Network::Host
    } else {
        Network::Own
    };
    Ok(JailSpec {
        jail: naming::jail(&container.id)?,
        root: root.mount_name(),
        hostname: HostName::new(container.config.hostname.clone())?,
        network,
        root_access: if host.readonly_rootfs {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        },
        flavour: flavour(deps, container),
        shm_bytes: match host.ipc_mode.as_str() {
            "none" => 0,
            _ => u64::try_from(host.shm_size).unwrap_or_default(),
        },
        sysctls: limits::sysctls(container, deps.host_os())?,
        openings,
    })
}

/// Linux programs on FreeBSD need their own pseudo file systems; everything else is of the host's own kind.
fn flavour(deps: &Deps, container: &Container) -> Flavour {
    match deps.host_os() {
        HostOs::FreeBsd if container.image_os == "linux" => Flavour::Linux,
        HostOs::FreeBsd | HostOs::Linux => Flavour::Native,
    }
}

/// Mounts what belongs in every container, then what this one wants.
async fn mount(deps: &Deps, by: &Principal, root: &RootGuard, container: &Container) -> Result<(), Failure> {
    let pseudo = Request::PseudoFileSystems {
        at: root.mount_name(),
        flavour: flavour(deps, container),
    };
    deps.helpers.mount.make(by, pseudo).await?;
    mounting::mount_all(deps, by, root, container).await
}
