//! What a client wants mounted: `-v`, `--mount`, `--tmpfs`, and the image's VOLUMEs.

use super::state::{MountPlan, MountSource};
use crate::services::Failure;
use docker_api::containers::ContainerConfig;
use docker_api::host_config::{HostConfig, Mount};
use std::collections::BTreeSet;

/// Every mount of a container, in the order in which they are made: parents before what lies below them.
///
/// # Errors
/// `System` or `Invalid` in dockerd's words for a specification that is wrong.
pub(super) fn plan(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<MountPlan>, Failure> {
    let mut plans = Vec::new();
    for bind in host.binds.iter().flatten() {
        plans.push(parse_bind(bind)?);
    }
    for mount in host.mounts.iter().flatten() {
        plans.push(parse_mount(mount)?);
    }
    for (path, options) in host.tmpfs.iter().flatten() {
        plans.push(parse_tmpfs(path, options)?);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = plans.iter().find(|plan| !seen.insert(plan.destination.clone())) {
        return Err(Failure::Invalid(format!(
            "Duplicate mount point: {}",
            twice.destination
        )));
    }
    // A path that the user mounts over is not made an anonymous volume.
    for path in config.volumes.iter().flat_map(|volumes| volumes.keys()) {
        let destination = clean(path).ok_or_else(|| bad_path(path))?;
        if seen.insert(destination.clone()) {
            plans.push(MountPlan {
                source: MountSource::Volume {
                    name: crate::services::naming::new_id(),
                },
                destination,
                writable: true,
                mode: String::new(),
            });
        }
    }
    plans.sort_by_key(|plan| plan.destination.matches('/').count());
    Ok(plans)
}

fn bad_path(path: &str) -> Failure {
    Failure::Invalid(format!(
        "invalid mount path: '{path}' mount path must be absolute"
    ))
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

fn parse_bind(text: &str) -> Result<MountPlan, Failure> {
    let bad = |why: &str| {
        let colon = if why.is_empty() { "" } else { ": " };
        Failure::System(format!("invalid volume specification: '{text}'{colon}{why}"))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match parts[..] {
        [destination] if !destination.is_empty() => ("", destination, ""),
        [source, destination] if !source.is_empty() => (source, destination, ""),
        [source, destination, mode] if !source.is_empty() => (source, destination, mode),
        _ => return Err(bad("")),
    };
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let destination = clean(destination).ok_or_else(|| {
        let why = format!("invalid mount path: '{destination}' mount path must be absolute");
        bad(&format!("invalid mount config for type \"{kind}\": {why}"))
    })?;
    if destination == "/" {
        let why = "invalid specification: destination can't be '/'";
        return Err(bad(&format!("invalid mount config for type \"{kind}\": {why}")));
    }
    let mut writable = true;
    for option in mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" => {}
            "ro" => writable = false,
            // SELinux labels and consistency hints have no meaning here, as on a dockerd without SELinux.
            "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" | "copy" | "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                let text = format!("the mount option {option} is not supported by cellblock yet");
                return Err(Failure::Unsupported(text));
            }
            other => return Err(Failure::System(format!("invalid mode: {other}"))),
        }
    }
    let source = match (kind, source) {
        ("bind", path) => MountSource::Bind {
            path: clean(path).ok_or_else(|| bad(""))?,
            create: true,
        },
        (_, "") => MountSource::Volume {
            name: crate::services::naming::new_id(),
        },
        (_, name) => MountSource::Volume {
            name: volume_name(name)?,
        },
    };
    Ok(MountPlan {
        source,
        destination,
        writable,
        mode: mode.to_owned(),
    })
}

/// Docker's rule for volume names.
fn volume_name(name: &str) -> Result<String, Failure> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if name.len() >= 2 && first && name.bytes().all(fits) {
        Ok(name.to_owned())
    } else {
        Err(Failure::Invalid(format!(
            "\"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )))
    }
}

fn parse_mount(mount: &Mount) -> Result<MountPlan, Failure> {
    let kind = mount.kind.as_str();
    let bad = |why: &str| Failure::Invalid(format!("invalid mount config for type \"{kind}\": {why}"));
    if !matches!(kind, "bind" | "volume" | "tmpfs") {
        let is_known = matches!(kind, "image" | "npipe" | "cluster");
        return if is_known {
            Err(Failure::Unsupported(format!(
                "mounts of type {kind} are not supported by cellblock yet"
            )))
        } else {
            Err(bad("mount type unknown"))
        };
    }
    if mount.target.is_empty() {
        return Err(bad("field Target must not be empty"));
    }
    let destination = clean(&mount.target).ok_or_else(|| {
        bad(&format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.target
        ))
    })?;
    if destination == "/" {
        return Err(bad("invalid specification: destination can't be '/'"));
    }
    let has_volume_options = mount
        .volume_options
        .as_ref()
        .is_some_and(|options| *options != Default::default());
    let has_bind_options = mount
        .bind_options
        .as_ref()
        .is_some_and(|options| *options != Default::default() && options.propagation != "rprivate");
    if has_volume_options || has_bind_options {
        let text = format!("options of mounts of type {kind} are not supported by cellblock yet");
        return Err(Failure::Unsupported(text));
    }
    let source = match kind {
        "bind" => {
            let path = clean(&mount.source).ok_or_else(|| {
                bad(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                ))
            })?;
            MountSource::Bind { path, create: false }
        }
        "volume" if mount.source.is_empty() => MountSource::Volume {
            name: crate::services::naming::new_id(),
        },
        "volume" => MountSource::Volume {
            name: volume_name(&mount.source)?,
        },
        _ => tmpfs_of(mount)?,
    };
    Ok(MountPlan {
        source,
        destination,
        writable: !mount.read_only,
        mode: String::new(),
    })
}

fn tmpfs_of(mount: &Mount) -> Result<MountSource, Failure> {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    if options.options.is_some_and(|list| !list.is_empty()) {
        let text = "tmpfs options beyond size and mode are not supported by cellblock yet";
        return Err(Failure::Unsupported(text.to_owned()));
    }
    let size_bytes = u64::try_from(options.size_bytes).ok().filter(|size| *size > 0);
    let mode = u16::try_from(options.mode)
        .ok()
        .filter(|mode| *mode != 0)
        .unwrap_or(0o1777);
    Ok(MountSource::Tmpfs {
        size_bytes,
        mode,
        noexec: false,
    })
}

/// `--tmpfs PATH[:OPTIONS]`: dockerd's defaults are `noexec` (with nosuid and nodev, which always hold here).
fn parse_tmpfs(path: &str, options: &str) -> Result<MountPlan, Failure> {
    let destination = clean(path)
        .filter(|path| path != "/")
        .ok_or_else(|| bad_path(path))?;
    let (mut size_bytes, mut mode, mut noexec, mut writable) = (None, 0o1777, true, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let invalid = || Failure::Invalid(format!("invalid tmpfs option [\"{option}\"]"));
        match option.split_once('=') {
            None => match option {
                "exec" => noexec = false,
                "noexec" => noexec = true,
                "ro" => writable = false,
                "rw" | "nosuid" | "nodev" => {}
                _ => return Err(invalid()),
            },
            Some(("size", value)) => size_bytes = Some(parse_size(value).ok_or_else(invalid)?),
            Some(("mode", value)) => mode = u16::from_str_radix(value, 8).map_err(|_| invalid())?,
            Some(_) => return Err(invalid()),
        }
    }
    let source = MountSource::Tmpfs {
        size_bytes,
        mode,
        noexec,
    };
    Ok(MountPlan {
        source,
        destination,
        writable,
        mode: options.to_owned(),
    })
}

/// A number of bytes with `k`, `m` or `g` behind it, as mount(8) takes it.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if lower.ends_with('k') => (digits, 10),
        Some(digits) if lower.ends_with('m') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (lower.as_str(), 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Result<MountPlan, String> {
        parse_bind(text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn binds_are_read_as_dockerd_reads_them() {
        let plan = bind("/a/../b:/x/:ro").unwrap();
        assert_eq!(
            plan.source,
            MountSource::Bind {
                path: "/b".to_owned(),
                create: true
            }
        );
        assert_eq!((plan.destination.as_str(), plan.writable), ("/x", false));
        assert_eq!(
            bind("data:/x").unwrap().source,
            MountSource::Volume {
                name: "data".to_owned()
            }
        );
        assert!(matches!(bind("/x").unwrap().source, MountSource::Volume { .. }));
    }

    #[test]
    fn bad_binds_are_refused_in_dockerds_words() {
        assert_eq!(
            bind("/a:rel").unwrap_err(),
            "invalid volume specification: '/a:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"
        );
        assert_eq!(bind("/a:/b:zz").unwrap_err(), "invalid mode: zz");
        assert_eq!(
            bind("a:b:c:d").unwrap_err(),
            "invalid volume specification: 'a:b:c:d'"
        );
        assert_eq!(
            bind("/tmp:/").unwrap_err(),
            "invalid volume specification: '/tmp:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        );
        assert_eq!(bind("").unwrap_err(), "invalid volume specification: ''");
    }

    #[test]
    fn tmpfs_options_are_all_done_or_refused() {
        let plan = parse_tmpfs("/t", "size=64m,mode=700,exec").unwrap();
        assert_eq!(
            plan.source,
            MountSource::Tmpfs {
                size_bytes: Some(64 << 20),
                mode: 0o700,
                noexec: false
            }
        );
        assert!(parse_tmpfs("/t", "uid=5").is_err());
        assert!(parse_tmpfs("rel", "").is_err());
    }

    #[test]
    fn the_same_place_cannot_be_mounted_over_twice() {
        let host = HostConfig {
            binds: Some(vec!["/a:/x".to_owned(), "/b:/x".to_owned()]),
            ..HostConfig::default()
        };
        let failure = plan(&ContainerConfig::default(), &host).unwrap_err();
        assert_eq!(failure.to_string(), "Duplicate mount point: /x");
    }
}
