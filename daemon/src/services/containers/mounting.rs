//! Making a container's mounts: volumes when it is created, the mounts themselves when it starts.

use super::mounts::{inherited, parse_from};
use super::roots::RootGuard;
use super::state::{Container, MountPlan, MountSource, VolumeWanted};
use super::verbs::Deps;
use crate::services::Failure;
use crate::services::volumes::{InUse, Tree, Wanted};
use crate::transport::TransportError;
use docker_api::host_config::HostConfig;
use protocol::archive::FileKind;
use protocol::mount::{Access, BindSource, Join, MissingSource, Request, TmpfsFlags};
use protocol::names::{HostPath, MountName, RelPath};
use protocol::{ErrorCode, Principal};

/// The mounts of the containers that `--volumes-from` names.
///
/// # Errors
/// `Invalid` in dockerd's words, also where there is no such container.
pub(super) async fn from_others(
    deps: &Deps,
    by: &Principal,
    host: &HostConfig,
) -> Result<Vec<MountPlan>, Failure> {
    let mut plans = Vec::new();
    for text in host.volumes_from.iter().flatten() {
        let from = parse_from(text)?;
        let find = super::messages::Find {
            text: from.container.to_owned(),
            tenant: by.tenant.as_str().to_owned(),
        };
        let found = deps.table.ask(find).await?;
        let found = found.map_err(|error| Failure::Invalid(error.to_string()))?;
        // What `--tmpfs` makes is a container's own.
        let shared = found
            .container
            .mounts
            .iter()
            .filter(|plan| !matches!(plan.source, MountSource::Tmpfs { is_shown: false, .. }));
        plans.extend(shared.map(|plan| inherited(plan, from.writable)));
    }
    Ok(plans)
}

/// Makes the volumes that a new container refers to, and looks at what it binds. `plans` gets the names of anonymous volumes
/// and where each volume is; after a failure it holds those that the container refers to already.
///
/// # Errors
/// What `volumes` or the mount helper answers, in dockerd's words.
pub(super) async fn prepare(
    deps: &Deps,
    by: &Principal,
    id: &str,
    plans: &mut [MountPlan],
) -> Result<(), Failure> {
    for plan in plans {
        match &mut plan.source {
            MountSource::Bind { path, create, alone } => {
                let source = host_source(path, *create, *alone, &plan.propagation)?;
                let checked = deps.helpers.mount.make(by, Request::Check { source }).await;
                checked.map_err(|error| bind_refused(path, error))?;
            }
            MountSource::Volume {
                name,
                on_host,
                wanted,
                ..
            } => {
                let VolumeWanted {
                    driver,
                    options,
                    labels,
                } = std::mem::take(wanted);
                let wanted = Wanted {
                    name: name.clone(),
                    driver,
                    options,
                    labels,
                };
                let volume = deps.volumes.create(by, wanted, Some(id)).await?;
                *on_host = deps.volumes.mountpoint(&volume);
                *name = volume.name;
            }
            MountSource::Tmpfs { .. } => {}
        }
    }
    Ok(())
}

fn bind_refused(path: &str, error: TransportError) -> Failure {
    if error.is_not_found() {
        let why = format!("bind source path does not exist: {path}");
        return Failure::Invalid(format!("invalid mount config for type \"bind\": {why}"));
    }
    Failure::from(error).within(&format!("error while checking mount source path '{path}'"))
}

/// Copies what the image has at the places of a new container's volumes into those that are empty.
///
/// # Errors
/// What the helpers answer; `Invalid` where the image has a file at such a place.
pub(super) async fn fill(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let filled = |plan: &&MountPlan| matches!(plan.source, MountSource::Volume { fill: true, .. });
    let plans: Vec<&MountPlan> = container.mounts.iter().filter(filled).collect();
    if plans.is_empty() {
        return Ok(());
    }
    let root = deps.roots.acquire(by, container).await?;
    let mut done = Ok(());
    for plan in plans {
        done = fill_one(deps, by, &root.mount_name(), container, plan).await;
        if done.is_err() {
            break;
        }
    }
    root.release().await?;
    done
}

async fn fill_one(
    deps: &Deps,
    by: &Principal,
    root: &MountName,
    container: &Container,
    plan: &MountPlan,
) -> Result<(), Failure> {
    let MountSource::Volume { name, subpath, .. } = &plan.source else {
        return Ok(());
    };
    let place = RelPath::new(plan.destination.trim_start_matches('/'))?;
    let archive = &deps.helpers.archive;
    let stat = match archive.stat(by, root.clone(), place.clone()).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let stat = match stat.kind {
        FileKind::Symlink => match archive.stat(by, root.clone(), stat.resolved.clone()).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        },
        _ => stat,
    };
    if stat.kind != FileKind::Directory {
        let text = format!(
            "cannot mount volume over existing file, file exists {}",
            plan.destination
        );
        return Err(Failure::Invalid(text));
    }
    let volume = deps.volumes.enter(by, name, &container.id).await?;
    let from = Tree {
        root: root.clone(),
        path: stat.resolved,
    };
    let filled = deps.volumes.fill(by, from, &volume, subpath).await;
    deps.volumes.leave(by, name, &container.id).await?;
    filled
}

/// Mounts everything that a container's plan says below its root.
///
/// # Errors
/// What the mount helper answers, in dockerd's words.
pub(super) async fn mount_all(
    deps: &Deps,
    by: &Principal,
    root: &RootGuard,
    container: &Container,
) -> Result<(), Failure> {
    for plan in &container.mounts {
        // A container without its devices does not start: dockerd's runtime finds no /dev/null then.
        if plan.destination == "/dev" {
            return Err(refused_by_runtime(
                "\"/dev\" cannot be mounted over: open /dev/null: no such file or directory",
            ));
        }
        let request = request(deps, by, &root.mount_name(), container, plan).await?;
        let made = deps.helpers.mount.make(by, request).await;
        made.map_err(|error| not_mounted(plan, error))?;
        if let Some(name) = plan.volume() {
            let attributes = [
                ("container", container.id.clone()),
                ("destination", plan.destination.clone()),
                ("driver", crate::services::volumes::DRIVER.to_owned()),
                ("propagation", plan.propagation.clone()),
                ("read/write", plan.writable.to_string()),
            ];
            tell(deps, by, "mount", name, &attributes);
        }
    }
    Ok(())
}

/// Mounts the binds and volumes of a container that does not run, for `docker cp`. Memory file systems hold nothing then.
///
/// # Errors
/// What the mount helper answers, in dockerd's words.
pub(super) async fn mount_to_copy(
    deps: &Deps,
    by: &Principal,
    root: &MountName,
    container: &Container,
) -> Result<(), Failure> {
    for plan in &container.mounts {
        if matches!(plan.source, MountSource::Tmpfs { .. }) || plan.destination == "/dev" {
            continue;
        }
        let request = request(deps, by, root, container, plan).await?;
        let made = deps.helpers.mount.make(by, request).await;
        made.map_err(|error| not_mounted(plan, error))?;
    }
    Ok(())
}

/// A container that does not run any more gives up its volumes.
pub(super) async fn leave_all(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let mut done = Ok(());
    for name in container.mounts.iter().filter_map(MountPlan::volume) {
        match deps.volumes.leave(by, name, &container.id).await {
            Ok(true) => {
                let attributes = [
                    ("container", container.id.clone()),
                    ("driver", crate::services::volumes::DRIVER.to_owned()),
                ];
                tell(deps, by, "unmount", name, &attributes);
            }
            Ok(false) => {}
            Err(error) => done = Err(error),
        }
    }
    done
}

fn tell(deps: &Deps, by: &Principal, action: &str, volume: &str, attributes: &[(&str, String)]) {
    let attributes = attributes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    deps.bus
        .publish(by.tenant.as_str(), "volume", action, volume, attributes);
}

async fn request(
    deps: &Deps,
    by: &Principal,
    root: &MountName,
    container: &Container,
    plan: &MountPlan,
) -> Result<Request, Failure> {
    let (at, target) = (
        root.clone(),
        RelPath::new(plan.destination.trim_start_matches('/'))?,
    );
    let (source, access) = match &plan.source {
        MountSource::Bind { path, create, alone } => (
            host_source(path, *create, *alone, &plan.propagation)?,
            plan.access(),
        ),
        MountSource::Volume { name, subpath, .. } => {
            let volume = deps.volumes.enter(by, name, &container.id).await?;
            let access = if volume.writable {
                plan.access()
            } else {
                Access::ReadOnly
            };
            (inside(volume, subpath)?, access)
        }
        MountSource::Tmpfs {
            size_bytes,
            mode,
            noexec,
            ..
        } => {
            return Ok(Request::Tmpfs {
                at,
                target,
                size_bytes: *size_bytes,
                mode: *mode,
                flags: TmpfsFlags {
                    noexec: *noexec,
                    read_only: !plan.writable,
                },
            });
        }
    };
    Ok(Request::Bind {
        source,
        at,
        target,
        access,
    })
}

fn host_source(path: &str, create: bool, alone: bool, propagation: &str) -> Result<BindSource, Failure> {
    let path = HostPath::new(path)?;
    let missing = if create {
        MissingSource::CreateDirectory
    } else {
        MissingSource::Refuse
    };
    let join = match propagation {
        "shared" => Some(Join::Shared),
        "rshared" => Some(Join::SharedThroughout),
        "slave" | "rslave" => Some(Join::Slave),
        _ => None,
    };
    Ok(match join {
        Some(join) => BindSource::HostJoined { path, missing, join },
        None if alone => BindSource::HostAlone { path, missing },
        None => BindSource::Host { path, missing },
    })
}

/// A path in a volume.
fn inside(volume: InUse, subpath: &str) -> Result<BindSource, Failure> {
    if subpath.is_empty() {
        return Ok(volume.source);
    }
    match volume.source {
        BindSource::Mounted { at } => Ok(BindSource::MountedPath {
            at,
            path: RelPath::new(subpath)?,
        }),
        BindSource::MountedPath { at, path } => Ok(BindSource::MountedPath {
            at,
            path: RelPath::new(format!("{path}/{subpath}"))?,
        }),
        BindSource::Host { .. } | BindSource::HostAlone { .. } | BindSource::HostJoined { .. } => {
            let text = "a path inside a volume of type none is not supported by cellblock";
            Err(Failure::Unsupported(text.to_owned()))
        }
    }
}

/// Why a mount was not made, in dockerd's words where it has some.
fn not_mounted(plan: &MountPlan, error: TransportError) -> Failure {
    let to = &plan.destination;
    match &plan.source {
        MountSource::Bind {
            path, create: false, ..
        } if error.is_not_found() => bind_refused(path, error),
        // dockerd takes everything about a start that it finds out this late for a fault of the system.
        MountSource::Bind { .. } if error.code() == Some(ErrorCode::BadContent) => {
            Failure::System(Failure::from(error).to_string())
        }
        MountSource::Volume { subpath, on_host, .. } if !subpath.is_empty() && error.is_not_found() => {
            Failure::Invalid(format!(
                "cannot access path {on_host}/{subpath}: lstat {on_host}/{subpath}: no such file or directory"
            ))
        }
        MountSource::Volume { subpath, on_host, .. } if !subpath.is_empty() && error.is_outside() => {
            Failure::Invalid(format!(
                "path concatenation escapes the base directory, base: {on_host}, subpath: {subpath}"
            ))
        }
        // runc's words: clients look for "inside /proc".
        source if error.code() == Some(ErrorCode::Refused) && to.starts_with("/proc") => {
            let from = match source {
                MountSource::Bind { path, .. } => path,
                MountSource::Volume { on_host, .. } => on_host,
                MountSource::Tmpfs { .. } => "tmpfs",
            };
            refused_by_runtime(&format!(
                "error mounting \"{from}\" to rootfs at \"{to}\": \"{to}\" cannot be mounted because it is inside /proc"
            ))
        }
        MountSource::Bind { path, .. } => {
            Failure::from(error).within(&format!("error while mounting {path} to {to}"))
        }
        MountSource::Volume { .. } | MountSource::Tmpfs { .. } => {
            Failure::from(error).within(&format!("error while mounting {to}"))
        }
    }
}

fn refused_by_runtime(why: &str) -> Failure {
    Failure::Invalid(format!("{}: {why}", super::start::RUNTIME_REFUSED))
}
