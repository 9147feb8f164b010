//! What a container shares with the host or with another container: `--pid`, `--ipc`, `--uts`, `--network container:`, `--device` and
//! `--device-cgroup-rule`. The jail helper's policy has the last word.

use super::links;
use super::state::Container;
use super::verbs::Deps;
use crate::services::{Failure, naming};
use crate::tenants::{self, Tenant};
use docker_api::containers::ContainerConfig;
use docker_api::host_config::{DeviceMapping, HostConfig};
use protocol::Principal;
use protocol::jail::{Device, DeviceRule, Openings, Space};
use protocol::names::{Bounded, Text};
use rustix::fs::{FileType, RawMode};
use std::sync::Arc;

/// How a mode names another container.
const CONTAINER: &str = "container:";

/// Permission bits of a device node.
const MODE_BITS: RawMode = 0o777;

/// Looks at the modes of a new container, and at what does not go together with them (dockerd's `validateNetMode`).
///
/// # Errors
/// `Invalid` in dockerd's words.
pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<(), Failure> {
    let invalid = |text: &str| Err(Failure::Invalid(text.to_owned()));
    let has_hostname = !config.hostname.is_empty();
    match host.pid_mode.as_str() {
        "" | "host" => {}
        other if other.strip_prefix(CONTAINER).is_some_and(|name| !name.is_empty()) => {}
        other => return Err(Failure::Invalid(format!("invalid PID mode: {other}"))),
    }
    match host.ipc_mode.as_str() {
        "" | "none" | "private" | "shareable" | "host" => {}
        other if other.strip_prefix(CONTAINER).is_some_and(|name| !name.is_empty()) => {}
        other => return Err(Failure::Invalid(format!("invalid IPC mode: {other}"))),
    }
    match host.uts_mode.as_str() {
        "" => {}
        "host" if has_hostname => return invalid("conflicting options: hostname and the UTS mode"),
        "host" => {}
        other => return Err(Failure::Invalid(format!("invalid UTS mode: {other}"))),
    }
    for rule in host.device_cgroup_rules.iter().flatten() {
        parse_rule(rule)
            .ok_or_else(|| Failure::Invalid(format!("invalid device cgroup rule format: '{rule}'")))?;
    }
    check_network(config, host)
}

/// What does not go together with the network that a container is on.
fn check_network(config: &ContainerConfig, host: &HostConfig) -> Result<(), Failure> {
    let invalid = |text: &str| Err(Failure::Invalid(text.to_owned()));
    let has_hostname = !config.hostname.is_empty();
    let has_mac = !config.mac_address.is_empty();
    if host.network_mode == "host" && host.links.as_ref().is_some_and(|links| !links.is_empty()) {
        return invalid(links::HOST_AND_LINKS);
    }
    if has_mac && (host.network_mode == "host" || host.network_mode.starts_with(CONTAINER)) {
        return invalid("conflicting options: mac-address and the network mode");
    }
    if host.network_mode == "container" {
        return invalid("invalid container format container:<name|id>");
    }
    let Some(other) = host.network_mode.strip_prefix(CONTAINER) else {
        return Ok(());
    };
    if other.is_empty() {
        return invalid("invalid container format container:<name|id>");
    }
    fn some<T>(list: Option<&Vec<T>>) -> bool {
        list.is_some_and(|list| !list.is_empty())
    }
    let conflicts = [
        (has_hostname, "conflicting options: hostname and the network mode"),
        (
            some(host.links.as_ref()),
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (
            some(host.dns.as_ref()),
            "conflicting options: dns and the network mode",
        ),
        (
            some(host.extra_hosts.as_ref()),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty()),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            config
                .exposed_ports
                .as_ref()
                .is_some_and(|ports| !ports.is_empty()),
            "conflicting options: port exposing and the container type network mode",
        ),
    ];
    match conflicts.iter().find(|(is_so, _)| *is_so) {
        Some((_, text)) => invalid(text),
        None => Ok(()),
    }
}

/// Where there are several tenants, what is the host's is for the tenant `default` alone: from there every other one is reached.
///
/// # Errors
/// `Forbidden`.
pub(super) fn may_open(by: &Principal, tenants: &[Tenant], host: &HostConfig) -> Result<(), Failure> {
    if tenants.is_empty() || by.tenant.as_str() == tenants::DEFAULT {
        return Ok(());
    }
    let wished = [
        ("--network host", host.network_mode == "host"),
        ("--pid host", host.pid_mode == "host"),
        ("--uts host", host.uts_mode == "host"),
        ("--ipc host", host.ipc_mode == "host"),
        (
            "--device",
            host.devices.as_ref().is_some_and(|list| !list.is_empty()),
        ),
        (
            "--device-cgroup-rule",
            host.device_cgroup_rules
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
        ),
    ];
    match wished.iter().find(|(_, is_wished)| *is_wished) {
        Some((option, _)) => Err(Failure::Forbidden(format!(
            "the tenant {} may not share what is the host's: {option}",
            by.tenant
        ))),
        None => Ok(()),
    }
}

/// Has the modes of a new container name others by their ids, as dockerd shows them; gives the one whose network it is going to
/// share, if that is there already: one that is not is told at the start.
///
/// # Errors
/// `Invalid` where there is no other whose processes or memory it would share.
pub(super) async fn settle(
    deps: &Deps,
    tenant: &str,
    host: &mut HostConfig,
) -> Result<Option<Arc<Container>>, Failure> {
    for mode in [&mut host.pid_mode, &mut host.ipc_mode] {
        if let Some(name) = mode.strip_prefix(CONTAINER) {
            let other = links::target(deps, tenant, name).await;
            // No 404: that is taken for a missing image.
            let other = other.map_err(|failure| Failure::Invalid(failure.to_string()))?;
            *mode = format!("{CONTAINER}{}", other.id);
        }
    }
    let Some(name) = host.network_mode.strip_prefix(CONTAINER) else {
        return Ok(None);
    };
    let Ok(other) = links::target(deps, tenant, name).await else {
        return Ok(None);
    };
    host.network_mode = format!("{CONTAINER}{}", other.id);
    Ok(Some(other))
}

/// The host name of a container that was given none: the host's where it shares its name or network, else the beginning of its
/// id.
pub(super) fn hostname(host: &HostConfig, id: &str) -> String {
    if host.network_mode == "host" || host.uts_mode == "host" {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        id.get(..12).unwrap_or(id).to_owned()
    }
}

/// The container whose network a starting one shares.
///
/// # Errors
/// dockerd's words for one that is not there or does not run.
pub(super) async fn neighbour(deps: &Deps, container: &Container) -> Result<Option<Arc<Container>>, Failure> {
    let Some(name) = container.host_config.network_mode.strip_prefix(CONTAINER) else {
        return Ok(None);
    };
    let missing = |failure| Failure::System(format!("joining network namespace of container: {failure}"));
    let other = links::target(deps, &container.tenant, name)
        .await
        .map_err(missing)?;
    if other.id == container.id {
        return Err(Failure::System("cannot join own network namespace".to_owned()));
    }
    if other.pid().is_none() {
        let text = format!(
            "cannot join network namespace of a non running container: container {} is {}",
            other.name,
            other.status_word()
        );
        return Err(Failure::Conflict(text));
    }
    Ok(Some(other))
}

/// The container whose processes or memory a starting one shares.
async fn donor(
    deps: &Deps,
    container: &Container,
    name: &str,
    what: &str,
) -> Result<Arc<Container>, Failure> {
    let other = links::target(deps, &container.tenant, name).await;
    let failed = |why: String| format!("failed to join {what} namespace: {why}");
    let other = other.map_err(|failure| Failure::Invalid(failed(failure.to_string())))?;
    match other.pid() {
        Some(_) => Ok(other),
        None => Err(Failure::Conflict(failed(format!(
            "container {} is not running",
            other.id
        )))),
    }
}

/// A container as its files show it: where it shares a network, names and addresses are those of the other one.
#[must_use]
pub(super) fn as_on_network(container: &Container, other: &Container) -> Container {
    let mut shown = container.clone();
    shown.attachments.clone_from(&other.attachments);
    shown.config.hostname.clone_from(&other.config.hostname);
    shown.config.domainname.clone_from(&other.config.domainname);
    let (own, others) = (&mut shown.host_config, &other.host_config);
    own.network_mode.clone_from(&others.network_mode);
    own.links.clone_from(&others.links);
    own.extra_hosts.clone_from(&others.extra_hosts);
    own.dns.clone_from(&others.dns);
    own.dns_options.clone_from(&others.dns_options);
    own.dns_search.clone_from(&others.dns_search);
    shown
}

/// All of it in the helper's words.
///
/// # Errors
/// `Conflict` for another container that does not run, `Invalid` for a device that is none.
pub(super) async fn of(
    deps: &Deps,
    container: &Container,
    other: Option<&Container>,
) -> Result<Openings, Failure> {
    let host = &container.host_config;
    let processes = match host.pid_mode.as_str() {
        "host" => Space::Host,
        mode => match mode.strip_prefix(CONTAINER) {
            Some(name) => {
                // dockerd finds out so late that it takes it for a fault of the system.
                let other = donor(deps, container, name, "PID").await;
                let other = other.map_err(|failure| Failure::System(failure.to_string()))?;
                Space::Of(naming::jail(&other.id)?)
            }
            None => Space::Own,
        },
    };
    let devices = host.devices.iter().flatten().map(device);
    let rules = host.device_cgroup_rules.iter().flatten();
    let rules = rules.filter_map(|text| parse_rule(text)).flatten().collect();
    Ok(Openings {
        processes,
        shares_host_name: host.uts_mode == "host",
        network_of: other.map(|other| naming::jail(&other.id)).transpose()?,
        devices: Bounded::new(devices.collect::<Result<_, _>>()?)?,
        device_rules: Bounded::new(rules)?,
        ipc: ipc(deps, container).await?,
    })
}

/// Whose System V objects and /dev/shm a container has. One that is private is shared with nobody.
async fn ipc(deps: &Deps, container: &Container) -> Result<Space, Failure> {
    let name = match container.host_config.ipc_mode.as_str() {
        "host" => return Ok(Space::Host),
        mode => match mode.strip_prefix(CONTAINER) {
            Some(name) => name,
            None => return Ok(Space::Own),
        },
    };
    let other = donor(deps, container, name, "IPC").await?;
    if matches!(other.host_config.ipc_mode.as_str(), "" | "none" | "private") {
        return Err(Failure::Invalid(format!(
            "failed to join IPC namespace: container {name}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )));
    }
    Ok(Space::Of(naming::jail(&other.id)?))
}

/// `c 7:128 rwm`; `a` is both kinds.
fn parse_rule(text: &str) -> Option<Vec<DeviceRule>> {
    let mut parts = text.split(' ');
    let (kind, numbers, access) = (parts.next()?, parts.next()?, parts.next()?);
    let (major, minor) = numbers.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    let has = |letter: char| access.contains(letter);
    let is_access = (1..=3).contains(&access.len()) && access.chars().all(|letter| "rwm".contains(letter));
    let rule = DeviceRule {
        is_block: kind == "b",
        major: number(major)?,
        minor: number(minor)?,
        read: has('r'),
        write: has('w'),
        make: has('m'),
    };
    if parts.next().is_some() || !is_access {
        return None;
    }
    match kind {
        "a" => Some(vec![
            rule.clone(),
            DeviceRule {
                is_block: true,
                ..rule
            },
        ]),
        "b" | "c" => Some(vec![rule]),
        _ => None,
    }
}

fn device(wish: &DeviceMapping) -> Result<Device, Failure> {
    let path = &wish.path_on_host;
    let no_device = |why: &str| {
        Failure::Invalid(format!(
            "error gathering device information while adding custom device \"{path}\": {why}"
        ))
    };
    let stat = rustix::fs::stat(path.as_str()).map_err(|_| no_device("no such file or directory"))?;
    let is_block = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        _ => return Err(no_device("not a device node")),
    };
    let inside = Some(&wish.path_in_container).filter(|inside| !inside.is_empty());
    let access = match wish.cgroup_permissions.as_str() {
        "" => "rwm",
        access => access,
    };
    Ok(Device {
        path: Text::new(inside.unwrap_or(path).clone())?,
        rule: DeviceRule {
            is_block,
            major: Some(rustix::fs::major(stat.st_rdev)),
            minor: Some(rustix::fs::minor(stat.st_rdev)),
            read: access.contains('r'),
            write: access.contains('w'),
            make: access.contains('m'),
        },
        // Nine bits fit.
        mode: (stat.st_mode & MODE_BITS) as u16,
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &str, host: &str) -> String {
        let config = serde_json::from_str(config).unwrap();
        let host = serde_json::from_str(host).unwrap();
        check(&config, &host).map_or_else(|failure| failure.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn modes_are_judged_in_dockerds_words() {
        for (config, host, wanted) in [
            ("{}", r#"{"PidMode":"host","UTSMode":"host"}"#, "accepted"),
            (
                "{}",
                r#"{"PidMode":"container:x","NetworkMode":"container:x"}"#,
                "accepted",
            ),
            (
                "{}",
                r#"{"PidMode":"container:"}"#,
                "invalid PID mode: container:",
            ),
            ("{}", r#"{"PidMode":"zz"}"#, "invalid PID mode: zz"),
            ("{}", r#"{"UTSMode":"zz"}"#, "invalid UTS mode: zz"),
            ("{}", r#"{"IpcMode":"container:x"}"#, "accepted"),
            ("{}", r#"{"IpcMode":"zz"}"#, "invalid IPC mode: zz"),
            (
                "{}",
                r#"{"IpcMode":"container:"}"#,
                "invalid IPC mode: container:",
            ),
            (
                r#"{"Hostname":"h"}"#,
                r#"{"UTSMode":"host"}"#,
                "conflicting options: hostname and the UTS mode",
            ),
            (
                r#"{"Hostname":"h"}"#,
                r#"{"NetworkMode":"container:x"}"#,
                "conflicting options: hostname and the network mode",
            ),
            (
                "{}",
                r#"{"NetworkMode":"container:x","PublishAllPorts":true}"#,
                "conflicting options: port publishing and the container type network mode",
            ),
            (
                "{}",
                r#"{"NetworkMode":"container:"}"#,
                "invalid container format container:<name|id>",
            ),
            (
                "{}",
                r#"{"DeviceCgroupRules":["c 7:128 rwm","a *:* r","d 1:1 r"]}"#,
                "invalid device cgroup rule format: 'd 1:1 r'",
            ),
        ] {
            assert_eq!(refusal(config, host), wanted, "{config} {host}");
        }
    }

    #[test]
    fn what_is_the_hosts_is_the_default_tenants_where_there_are_several() {
        let tenants = ["red uid:1000".parse().unwrap()];
        let asked = |tenants: &[Tenant], uid: u32, host: &str| {
            let by = tenants::principal(tenants, uid, uid).unwrap().unwrap();
            may_open(&by, tenants, &serde_json::from_str(host).unwrap())
                .map_err(|failure| failure.to_string())
        };
        for (host, option) in [
            (r#"{"NetworkMode":"host"}"#, "--network host"),
            (r#"{"PidMode":"host"}"#, "--pid host"),
            (r#"{"UTSMode":"host"}"#, "--uts host"),
            (r#"{"IpcMode":"host"}"#, "--ipc host"),
            (r#"{"Devices":[{"PathOnHost":"/dev/fuse"}]}"#, "--device"),
            (r#"{"DeviceCgroupRules":["c 1:1 r"]}"#, "--device-cgroup-rule"),
        ] {
            let said = format!("the tenant red may not share what is the host's: {option}");
            assert_eq!(asked(&tenants, 1000, host), Err(said));
            assert_eq!(asked(&tenants, 0, host), Ok(()));
            assert_eq!(asked(&[], 1000, host), Ok(()));
        }
        let own = r#"{"NetworkMode":"container:x","PidMode":"container:x"}"#;
        assert_eq!(asked(&tenants, 1000, own), Ok(()));
    }

    #[test]
    fn rules_of_devices_are_read_whole_or_not_at_all() {
        let rule = parse_rule("c 7:* rm").unwrap();
        assert_eq!((rule[0].major, rule[0].minor), (Some(7), None));
        assert_eq!((rule[0].read, rule[0].write, rule[0].make), (true, false, true));
        assert_eq!(parse_rule("a *:* rwm").unwrap().len(), 2);
        for bad in [
            "",
            "c",
            "c 7",
            "c 7:1",
            "c 7:1 x",
            "c 7:1 rwmr",
            "c x:1 r",
            "c 7:1 r more",
            "c 7: r",
        ] {
            assert_eq!(parse_rule(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_device_is_described_as_it_is_on_the_host() {
        let wish = DeviceMapping {
            path_on_host: "/dev/null".to_owned(),
            path_in_container: "/dev/other".to_owned(),
            cgroup_permissions: "rw".to_owned(),
        };
        let shown = device(&wish).unwrap();
        assert_eq!(shown.path.as_str(), "/dev/other");
        assert!(!shown.rule.is_block && shown.rule.write && !shown.rule.make);
        let missing = DeviceMapping {
            path_on_host: "/dev/nosuch".to_owned(),
            ..wish
        };
        assert!(
            device(&missing)
                .unwrap_err()
                .to_string()
                .ends_with("no such file or directory")
        );
    }
}
