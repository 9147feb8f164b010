//! What a client wants mounted: `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's VOLUMEs, as dockerd's Linux parser
//! reads them. Pure.

use super::state::{MountPlan, MountSource, VolumeWanted};
use crate::services::Failure;
use crate::services::units::ram_in_bytes;
use docker_api::containers::ContainerConfig;
use docker_api::error;
use docker_api::host_config::{HostConfig, Mount};
use std::collections::{BTreeMap, BTreeSet};

/// Mode of a memory file system where none is given.
const TMPFS_MODE: u16 = 0o1777;

/// How mounts of the host reach a bind where nothing is said: not at all.
const PRIVATE: &str = "rprivate";

/// One container of `--volumes-from`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct From<'a> {
    /// The container.
    pub(super) container: &'a str,
    /// Whether its mounts keep their access, or are read-only.
    pub(super) writable: bool,
}

/// Every mount of a container, in the order in which they are made: parents before what lies below them. `from` are the
/// mounts of the containers of `--volumes-from`; what the request itself says comes over them.
///
/// # Errors
/// `Invalid` or `Unsupported`, in dockerd's words for a specification that is wrong.
pub(super) fn plan(
    config: &ContainerConfig,
    host: &HostConfig,
    from: Vec<MountPlan>,
) -> Result<Vec<MountPlan>, Failure> {
    let mut plans: BTreeMap<String, MountPlan> = from
        .into_iter()
        .map(|plan| (plan.destination.clone(), plan))
        .collect();
    let memory = host.tmpfs.iter().flatten();
    let memory: Vec<MountPlan> = memory
        .map(|(path, options)| parse_tmpfs(path, options))
        .collect::<Result<_, _>>()?;
    let mut asked = BTreeSet::new();
    for bind in host.binds.iter().flatten() {
        let plan = parse_bind(bind, &host.volume_driver)?;
        let is_memory = memory.iter().any(|tmpfs| tmpfs.destination == plan.destination);
        if is_memory || !asked.insert(plan.destination.clone()) {
            return Err(Failure::Invalid(error::duplicate_mount_point(&plan.destination)));
        }
        plans.insert(plan.destination.clone(), plan);
    }
    for mount in host.mounts.iter().flatten() {
        let plan = parse_mount(mount)?;
        if !asked.insert(plan.destination.clone()) {
            return Err(Failure::Invalid(error::duplicate_mount_point(&mount.target)));
        }
        plans.insert(plan.destination.clone(), plan);
    }
    for plan in memory {
        plans.insert(plan.destination.clone(), plan);
    }
    // A path that is mounted over by the request is not made an anonymous volume.
    for path in config.volumes.iter().flat_map(|volumes| volumes.keys()) {
        let destination = destination(path).map_err(Failure::Invalid)?;
        plans
            .entry(destination.clone())
            .or_insert_with(|| anonymous(destination, host));
    }
    let mut plans: Vec<MountPlan> = plans.into_values().collect();
    plans.sort_by_key(|plan| plan.destination.matches('/').count());
    Ok(plans)
}

fn anonymous(destination: String, host: &HostConfig) -> MountPlan {
    MountPlan {
        source: volume(
            "",
            VolumeWanted {
                driver: host.volume_driver.clone(),
                ..VolumeWanted::default()
            },
        ),
        destination,
        writable: true,
        mode: String::new(),
        propagation: String::new(),
    }
}

fn volume(name: &str, wanted: VolumeWanted) -> MountSource {
    MountSource::Volume {
        name: name.to_owned(),
        anonymous: name.is_empty(),
        fill: true,
        subpath: String::new(),
        on_host: String::new(),
        wanted,
    }
}

/// An absolute path without `.`, `..` and doubled slashes; none where it is not absolute.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            named => parts.push(named),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// A place in a container, cleaned, or dockerd's words for why it is none.
fn destination(path: &str) -> Result<String, String> {
    match clean(path) {
        Some(root) if root == "/" => Err("invalid specification: destination can't be '/'".to_owned()),
        Some(clean) => Ok(clean),
        None => Err(format!(
            "invalid mount path: '{path}' mount path must be absolute"
        )),
    }
}

/// The options of a bind, each kind of which may stand once.
#[derive(Debug, Default)]
struct Mode<'a> {
    access: Option<&'a str>,
    label: Option<&'a str>,
    propagation: Option<&'a str>,
    copy: Option<&'a str>,
    consistency: Option<&'a str>,
}

impl<'a> Mode<'a> {
    fn read(mode: &'a str) -> Option<Self> {
        let mut read = Mode::default();
        if mode.is_empty() {
            return Some(read);
        }
        for option in mode.split(',') {
            let place = match option {
                "rw" | "ro" => &mut read.access,
                // SELinux labels have no meaning here, as on a dockerd without SELinux.
                "z" | "Z" => &mut read.label,
                "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => &mut read.propagation,
                "copy" | "nocopy" => &mut read.copy,
                // Hints for Docker Desktop.
                "consistent" | "cached" | "delegated" => &mut read.consistency,
                _ => return None,
            };
            if place.replace(option).is_some() {
                return None;
            }
        }
        Some(read)
    }

    fn writable(&self) -> bool {
        self.access != Some("ro")
    }
}

fn parse_bind(text: &str, driver: &str) -> Result<MountPlan, Failure> {
    let bad = |why: &str| {
        let colon = if why.is_empty() { "" } else { ": " };
        Failure::Invalid(format!("invalid volume specification: '{text}'{colon}{why}"))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode_text) = match parts[..] {
        [target] if !target.is_empty() => ("", target, ""),
        // A destination with a mode is no volume.
        [source, target] if !source.is_empty() && Mode::read(target).is_none() => (source, target, ""),
        [source, target, mode] if !source.is_empty() => (source, target, mode),
        _ => return Err(bad("")),
    };
    let mode = Mode::read(mode_text).ok_or_else(|| Failure::Invalid(format!("invalid mode: {mode_text}")))?;
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let of_kind = |why: &str| bad(&format!("invalid mount config for type \"{kind}\": {why}"));
    if target.is_empty() {
        return Err(of_kind("field Target must not be empty"));
    }
    let destination = destination(target).map_err(|why| of_kind(&why))?;
    let source = if kind == "bind" {
        if mode.copy.is_some() {
            return Err(of_kind("field VolumeOptions must not be specified"));
        }
        MountSource::Bind {
            path: clean(source).ok_or_else(|| bad(""))?,
            create: true,
            alone: false,
        }
    } else {
        if mode.propagation.is_some() {
            return Err(of_kind("field BindOptions must not be specified"));
        }
        let driver = driver.to_owned();
        let mut source = volume(
            source,
            VolumeWanted {
                driver,
                ..VolumeWanted::default()
            },
        );
        if let MountSource::Volume { fill, .. } = &mut source {
            *fill = mode.copy != Some("nocopy");
        }
        source
    };
    let propagation = propagation(mode.propagation.unwrap_or_default());
    Ok(MountPlan {
        mode: shown_mode(&source, mode_text),
        propagation: if kind == "bind" {
            propagation
        } else {
            String::new()
        },
        source,
        destination,
        writable: mode.writable(),
    })
}

/// dockerd shows `z` for a volume that was asked for without a mode.
fn shown_mode(source: &MountSource, mode: &str) -> String {
    match source {
        MountSource::Volume { .. } if mode.is_empty() => "z".to_owned(),
        _ => mode.to_owned(),
    }
}

/// How mounts of the host reach a bind; the mount helper knows whether this host can.
fn propagation(asked: &str) -> String {
    match asked {
        "" => PRIVATE.to_owned(),
        asked => asked.to_owned(),
    }
}

/// Reads one entry of `--volumes-from`.
///
/// # Errors
/// `Invalid` in dockerd's words.
pub(super) fn parse_from(text: &str) -> Result<From<'_>, Failure> {
    if text.is_empty() {
        let words = "volumes-from specification cannot be an empty string";
        return Err(Failure::Invalid(words.to_owned()));
    }
    let (container, mode_text) = text.split_once(':').unwrap_or((text, ""));
    let mode = Mode::read(mode_text).filter(|mode| mode.propagation.is_none() && mode.copy.is_none());
    let mode = mode.ok_or_else(|| Failure::Invalid(format!("invalid mode: {mode_text}")))?;
    Ok(From {
        container,
        writable: mode.writable(),
    })
}

/// A mount of another container, as `--volumes-from` takes it over.
pub(super) fn inherited(plan: &MountPlan, writable: bool) -> MountPlan {
    let mut plan = plan.clone();
    plan.writable &= writable;
    plan.mode = String::new();
    if let MountSource::Volume { fill, .. } = &mut plan.source {
        *fill = false;
    }
    plan
}

fn parse_mount(mount: &Mount) -> Result<MountPlan, Failure> {
    let kind = mount.kind.as_str();
    let bad = |why: &str| Failure::Invalid(format!("invalid mount config for type \"{kind}\": {why}"));
    if mount.target.is_empty() {
        return Err(bad("field Target must not be empty"));
    }
    let destination = destination(&mount.target).map_err(|why| bad(&why))?;
    let options = [
        ("BindOptions", mount.bind_options.is_some(), "bind"),
        ("VolumeOptions", mount.volume_options.is_some(), "volume"),
        ("ImageOptions", mount.image_options.is_some(), "image"),
        ("TmpfsOptions", mount.tmpfs_options.is_some(), "tmpfs"),
    ];
    if !matches!(kind, "bind" | "volume" | "tmpfs" | "image" | "npipe" | "cluster") {
        return Err(bad("mount type unknown"));
    }
    if let Some((name, ..)) = options.iter().find(|(_, is_set, of)| *is_set && *of != kind) {
        return Err(Failure::Invalid(format!(
            "{name} must not be specified on mount type \"{kind}\""
        )));
    }
    let mut shown = String::new();
    let source = match kind {
        "bind" => {
            let (source, propagation) = bind_of(mount).map_err(|failure| prefixed(kind, failure))?;
            shown = propagation;
            source
        }
        "volume" => volume_of(mount).map_err(|failure| prefixed(kind, failure))?,
        "tmpfs" => tmpfs_of(mount).map_err(|failure| prefixed(kind, failure))?,
        other => {
            let text = format!("mounts of type {other} are not supported by cellblock");
            return Err(Failure::Unsupported(text));
        }
    };
    Ok(MountPlan {
        mode: shown_mode(&source, ""),
        propagation: shown,
        source,
        destination,
        writable: !mount.read_only,
    })
}

fn prefixed(kind: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(why) => Failure::Invalid(format!("invalid mount config for type \"{kind}\": {why}")),
        other => other,
    }
}

fn bind_of(mount: &Mount) -> Result<(MountSource, String), Failure> {
    let invalid = |why: String| Failure::Invalid(why);
    if mount.source.is_empty() {
        return Err(invalid("field Source must not be empty".to_owned()));
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    let known = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];
    if !known.contains(&options.propagation.as_str()) {
        return Err(invalid(format!(
            "invalid propagation mode: {}",
            options.propagation
        )));
    }
    let path = clean(&mount.source).ok_or_else(|| {
        invalid(format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.source
        ))
    })?;
    // Here a read-only bind is read-only with all that is mounted below it, so the forced kind is what there is.
    let conflict = match (options.read_only_non_recursive, options.read_only_force_recursive) {
        (true, true) => Some("ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive"),
        (true, _) if !mount.read_only => Some("!ReadOnly && BindOptions.ReadOnlyNonRecursive"),
        (_, true) if !mount.read_only => Some("!ReadOnly && BindOptions.ReadOnlyForceRecursive"),
        _ => None,
    };
    if let Some(conflict) = conflict {
        return Err(invalid(format!("mount options conflict: {conflict}")));
    }
    if options.read_only_non_recursive {
        let text =
            "bind-recursive=writable is not supported by cellblock: a read-only bind is read-only throughout";
        return Err(Failure::Unsupported(text.to_owned()));
    }
    let propagation = propagation(&options.propagation);
    if options.non_recursive && !propagation.ends_with("private") {
        let text = format!(
            "bind-recursive=disabled with bind-propagation={propagation} is not supported by cellblock"
        );
        return Err(Failure::Unsupported(text));
    }
    let source = MountSource::Bind {
        path,
        create: options.create_mountpoint,
        alone: options.non_recursive,
    };
    Ok((source, propagation))
}

fn volume_of(mount: &Mount) -> Result<MountSource, Failure> {
    let options = mount.volume_options.clone().unwrap_or_default();
    let is_anonymous = mount.source.is_empty();
    let why = match options.subpath.as_str() {
        "" if mount.read_only && is_anonymous => {
            Some("must not set ReadOnly mode when using anonymous volumes")
        }
        "" => None,
        _ if is_anonymous => Some("must not set Subpath when using anonymous volumes"),
        path if !stays_inside(path) => Some("subpath must be a relative path within the volume"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(Failure::Invalid(why.to_owned()));
    }
    let driver = options.driver_config.unwrap_or_default();
    Ok(MountSource::Volume {
        name: mount.source.clone(),
        anonymous: is_anonymous,
        fill: !options.no_copy,
        subpath: clean(&format!("/{}", options.subpath))
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        on_host: String::new(),
        wanted: VolumeWanted {
            driver: driver.name,
            options: driver.options,
            labels: options.labels,
        },
    })
}

/// Whether a relative path, taken as text, does not lead out (Go's `filepath.IsLocal`).
fn stays_inside(path: &str) -> bool {
    let mut depth = 0usize;
    !path.starts_with('/')
        && path.split('/').all(|part| match part {
            "" | "." => true,
            ".." => depth.checked_sub(1).map(|less| depth = less).is_some(),
            _ => {
                depth += 1;
                true
            }
        })
}

fn tmpfs_of(mount: &Mount) -> Result<MountSource, Failure> {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let mut noexec = true;
    for option in options.options.iter().flatten() {
        match option.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["exec"] => noexec = false,
            ["noexec"] => noexec = true,
            [name] | [name, _] => return Err(Failure::Invalid(format!("invalid option: {name}"))),
            _ => return Err(Failure::Invalid("invalid option array length".to_owned())),
        }
    }
    if !mount.source.is_empty() {
        return Err(Failure::Invalid("field Source must not be specified".to_owned()));
    }
    let mode = u16::try_from(options.mode).ok().filter(|mode| *mode != 0);
    Ok(MountSource::Tmpfs {
        size_bytes: u64::try_from(options.size_bytes).ok().filter(|size| *size > 0),
        mode: mode.unwrap_or(TMPFS_MODE),
        noexec,
        is_shown: true,
    })
}

/// `--tmpfs PATH[:OPTIONS]`: dockerd's defaults are `noexec` (with nosuid and nodev, which always hold here).
fn parse_tmpfs(path: &str, options: &str) -> Result<MountPlan, Failure> {
    let destination = destination(path).map_err(Failure::Invalid)?;
    let (mut size_bytes, mut mode, mut noexec, mut writable) = (None, TMPFS_MODE, true, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let invalid = || Failure::Invalid(format!("invalid tmpfs option [\"{option}\"]"));
        let unsupported =
            || Failure::Unsupported(format!("the tmpfs option {option} is not supported by cellblock"));
        match option.split_once('=') {
            None => match option {
                "exec" => noexec = false,
                "noexec" => noexec = true,
                "ro" => writable = false,
                "rw" | "nosuid" | "nodev" => {}
                "private" | "rprivate" => {}
                "suid" | "dev" | "sync" | "async" | "dirsync" | "remount" | "mand" | "nomand" | "atime"
                | "noatime" | "diratime" | "nodiratime" | "bind" | "rbind" | "unbindable" | "runbindable"
                | "shared" | "rshared" | "slave" | "rslave" | "relatime" | "norelatime" | "strictatime"
                | "nostrictatime" => {
                    return Err(unsupported());
                }
                _ => return Err(invalid()),
            },
            Some(("size", value)) => size_bytes = Some(ram_in_bytes(value).map_err(|_| invalid())?),
            Some(("mode", value)) => mode = u16::from_str_radix(value, 8).map_err(|_| invalid())?,
            Some(("uid" | "gid" | "nr_inodes" | "nr_blocks" | "mpol", _)) => return Err(unsupported()),
            Some(_) => return Err(invalid()),
        }
    }
    let source = MountSource::Tmpfs {
        size_bytes,
        mode,
        noexec,
        is_shown: false,
    };
    Ok(MountPlan {
        source,
        destination,
        writable,
        mode: options.to_owned(),
        propagation: String::new(),
    })
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
