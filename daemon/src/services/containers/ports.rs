//! The ports that a container wants published, read from `-p`, `-P` and `--expose`. Pure.

use super::state::Container;
use crate::services::Failure;
use crate::services::networks::{PortWish, transport};
use docker_api::containers::{ContainerConfig, PortSummary};
use docker_api::host_config::{HostConfig, PortBinding};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Reads every wish.
///
/// # Errors
/// `Invalid` in dockerd's words; `Unsupported` for SCTP.
pub(super) fn wishes(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<PortWish>, Failure> {
    let mut wishes = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let ephemeral = [PortBinding::default()];
        let bindings = bindings
            .as_deref()
            .filter(|list| !list.is_empty())
            .unwrap_or(&ephemeral);
        for binding in bindings {
            wishes.push(wish(port, binding)?);
        }
    }
    if host.publish_all_ports {
        let bound = |port: &str| {
            host.port_bindings
                .iter()
                .flatten()
                .any(|(known, _)| same(known, port))
        };
        for port in config
            .exposed_ports
            .iter()
            .flat_map(BTreeMap::keys)
            .filter(|port| !bound(port))
        {
            wishes.push(wish(port, &PortBinding::default())?);
        }
    }
    Ok(wishes)
}

fn same(one: &str, other: &str) -> bool {
    matches!((side(one), side(other)), (Ok(one), Ok(other)) if one == other)
}

/// The number and the transport's name of a container's port.
fn side(text: &str) -> Result<(u16, &str), Failure> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let bad = || Failure::Invalid(format!("invalid port specification: \"{text}\""));
    let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(bad)?;
    Ok((number, protocol))
}

fn wish(port: &str, binding: &PortBinding) -> Result<PortWish, Failure> {
    let (container_port, protocol) = side(port)?;
    let protocol = transport::named(protocol).ok_or_else(|| match protocol {
        "sctp" => Failure::Unsupported("publishing an SCTP port is not supported by cellblock".to_owned()),
        _ => Failure::Invalid(format!("invalid port specification: \"{port}\"")),
    })?;
    let host = match binding.host_ip.as_str() {
        "" => None,
        text => {
            let text = text.trim_start_matches('[').trim_end_matches(']');
            let address: Result<IpAddr, _> = text.parse();
            Some(address.map_err(|_| Failure::Invalid(format!("invalid IP address: {text}")))?)
        }
    };
    Ok(PortWish {
        protocol,
        container_port,
        host,
        host_ports: range(&binding.host_port)?,
    })
}

/// None for a free one.
fn range(text: &str) -> Result<Option<RangeInclusive<u16>>, Failure> {
    let bad = || Failure::Invalid(format!("invalid port specification: \"{text}\""));
    let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
    match text.split_once('-') {
        None if text.is_empty() || text == "0" => Ok(None),
        None => number(text).map(|port| Some(port..=port)),
        Some((first, last)) => {
            let range = number(first)?..=number(last)?;
            if range.is_empty() || *range.start() == 0 {
                return Err(bad());
            }
            Ok(Some(range))
        }
    }
}

/// The ports of a running container as inspect shows them; null for one that is only exposed. Empty for others.
#[must_use]
pub(super) fn in_force(container: &Container) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut ports: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    if !container.is_running() || container.attachments.iter().all(|one| one.endpoint.is_none()) {
        return ports;
    }
    for port in container.config.exposed_ports.iter().flat_map(BTreeMap::keys) {
        ports.insert(port.clone(), None);
    }
    let endpoints = super::endpoint::endpoints(&container.attachments);
    for published in endpoints.flat_map(|endpoint| &endpoint.published) {
        let bindings = ports.entry(published.container_side()).or_default();
        bindings.get_or_insert_default().push(PortBinding {
            host_ip: published.host.to_string(),
            host_port: published.host_port.to_string(),
        });
    }
    ports
}

/// The same as `docker ps` has them.
#[must_use]
pub(super) fn summaries(container: &Container) -> Vec<PortSummary> {
    let mut found = Vec::new();
    for (port, bindings) in in_force(container) {
        let Ok((private_port, protocol)) = side(&port) else {
            continue;
        };
        let exposed = PortSummary {
            private_port,
            protocol: protocol.to_owned(),
            ..PortSummary::default()
        };
        match bindings {
            None => found.push(exposed),
            Some(bindings) => found.extend(bindings.into_iter().map(|binding| PortSummary {
                ip: binding.host_ip,
                public_port: binding.host_port.parse().unwrap_or_default(),
                ..exposed.clone()
            })),
        }
    }
    found
}

/// Whether the `publish` or `expose` filter of `docker ps` means one of these ports: `80`, `80/udp`, `8000-8010/tcp`.
#[must_use]
pub(super) fn matches_filter<'a>(wanted: &str, mut ports: impl Iterator<Item = (u16, &'a str)>) -> bool {
    let (numbers, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let Ok(Some(range)) = range(numbers) else {
        return false;
    };
    ports.any(|(number, transport)| transport == protocol && range.contains(&number))
}

/// Every port that is exposed or bound, `80/tcp`, once: a bound one is exposed too, as in dockerd.
#[must_use]
pub(super) fn all_exposed(config: &ContainerConfig, host: &HostConfig) -> BTreeSet<String> {
    let exposed = config.exposed_ports.iter().flat_map(BTreeMap::keys);
    let bound = host.port_bindings.iter().flat_map(BTreeMap::keys);
    exposed.chain(bound).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::net::Transport;

    fn read(host: &str) -> Result<Vec<PortWish>, String> {
        let config: ContainerConfig =
            serde_json::from_str(r#"{"ExposedPorts":{"80/tcp":{},"53/udp":{}}}"#).unwrap();
        let host: HostConfig = serde_json::from_str(host).unwrap();
        wishes(&config, &host).map_err(|failure| failure.to_string())
    }

    #[test]
    fn bindings_are_addresses_ports_ranges_or_free() {
        let wishes = read(
            r#"{"PortBindings":{"80/tcp":[{"HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8000-8010"},{"HostIp":"::"}],
            "53/udp":[],"443":null}}"#,
        )
        .unwrap();
        let shown: Vec<_> = wishes
            .iter()
            .map(|wish| {
                (
                    wish.protocol,
                    wish.container_port,
                    wish.host.map(|host| host.to_string()),
                    wish.host_ports.clone(),
                )
            })
            .collect();
        let wanted = [
            (Transport::Tcp, 443, None, None),
            (Transport::Udp, 53, None, None),
            (Transport::Tcp, 80, None, Some(8080..=8080)),
            (
                Transport::Tcp,
                80,
                Some("127.0.0.1".to_owned()),
                Some(8000..=8010),
            ),
            (Transport::Tcp, 80, Some("::".to_owned()), None),
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn publish_all_takes_what_is_exposed_and_not_bound() {
        let wishes = read(r#"{"PublishAllPorts":true,"PortBindings":{"80":[{"HostPort":"1"}]}}"#).unwrap();
        let ports: Vec<u16> = wishes.iter().map(|wish| wish.container_port).collect();
        assert_eq!(ports, [80, 53]);
    }

    #[test]
    fn bad_ports_are_refused_in_dockerds_words() {
        for (binding, words) in [
            (r#""zz/tcp":[]"#, "invalid port specification: \"zz/tcp\""),
            (r#""0/tcp":[]"#, "invalid port specification: \"0/tcp\""),
            (
                r#""80/tcp":[{"HostPort":"zz"}]"#,
                "invalid port specification: \"zz\"",
            ),
            (
                r#""80/tcp":[{"HostPort":"9-8"}]"#,
                "invalid port specification: \"9-8\"",
            ),
            (
                r#""80/tcp":[{"HostPort":"70000"}]"#,
                "invalid port specification: \"70000\"",
            ),
            (r#""80/tcp":[{"HostIp":"zz"}]"#, "invalid IP address: zz"),
            (
                r#""80/sctp":[]"#,
                "publishing an SCTP port is not supported by cellblock",
            ),
        ] {
            let refused = read(&format!("{{\"PortBindings\":{{{binding}}}}}"));
            assert_eq!(refused.unwrap_err(), words, "{binding}");
        }
    }

    #[test]
    fn filters_take_numbers_and_ranges() {
        let ports = || [(80, "tcp"), (53, "udp")].into_iter();
        for yes in ["80", "80/tcp", "53/udp", "50-60/udp"] {
            assert!(matches_filter(yes, ports()), "{yes}");
        }
        for no in ["53", "81", "80/udp", "zz", ""] {
            assert!(!matches_filter(no, ports()), "{no}");
        }
    }
}
