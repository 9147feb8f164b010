//! Published ports: a socket at the host's side, rules for what comes from outside, a proxy for what those do not reach.
//!
//! ```text
//! outside, other containers ─▶ rules of the net helper: to the container, with the sender's own address
//! 127.0.0.1, ::1, IPv6 for a container with IPv4 only ─▶ the socket that reserves the port ─▶ proxy.rs ─▶ container
//! ```
//!
//! The net helper binds the socket: a port may be below 1024, and this daemon has no privilege.

use super::network::{Endpoint, Published, transport};
use super::proxy::{self, Proxy};
use super::{Network, Networks};
use crate::services::Failure;
use crate::tenants;
use crate::transport::TransportError;
use protocol::net::{PortRule, Request, Transport};
use protocol::{ErrorCode, Principal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

/// Where free ports are taken from: what Linux and dockerd take (ip_local_port_range), within what FreeBSD does not give out.
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

/// A port that a container wants published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortWish {
    /// Transport.
    pub protocol: Transport,
    /// The container's port.
    pub container_port: u16,
    /// The host's address; none is the network's choice, else every one.
    pub host: Option<IpAddr>,
    /// The host's port or one of these; none is a free one.
    pub host_ports: Option<RangeInclusive<u16>>,
}

impl PortWish {
    /// The same port once more.
    #[must_use]
    pub fn again(published: Published) -> Self {
        PortWish {
            protocol: published.protocol,
            container_port: published.container_port,
            host: Some(published.host),
            host_ports: Some(published.host_port..=published.host_port),
        }
    }
}

/// A published port with what serves it. Dropping it ends the proxy and frees the port.
#[derive(Debug)]
pub(super) struct Held {
    container: String,
    published: Published,
    _proxy: Proxy,
}

/// Why a port could not be had.
enum NoPort {
    /// Somebody has it: these are dockerd's words.
    Taken(String),
    /// Anything else.
    Failed(Failure),
}

impl Networks {
    /// Publishes a container's ports through one of its endpoints; all or none. Gives what is in force.
    ///
    /// # Errors
    /// dockerd's words for a port in use.
    pub async fn publish(
        &self,
        by: &Principal,
        container: &str,
        name: &str,
        endpoint: &Endpoint,
        wishes: &[PortWish],
    ) -> Result<Vec<Published>, Failure> {
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let network = self.find(by, &endpoint.network_id)?;
        if network.internal {
            return Ok(Vec::new());
        }
        let result = self.bind_all(by, container, &network, endpoint, wishes).await;
        let result = match result {
            Ok(published) => self.tell_rules(by, container, &network, published).await,
            Err(failure) => Err(failure),
        };
        result.map_err(|failure| {
            self.drop_ports(container);
            failure.within(&format!(
                "driver failed programming external connectivity on endpoint {name} ({})",
                endpoint.endpoint_id
            ))
        })
    }

    /// Takes a container's published ports back.
    ///
    /// # Errors
    /// What the net helper answers.
    pub async fn withdraw(
        &self,
        by: &Principal,
        container: &str,
        endpoint: &Endpoint,
    ) -> Result<(), Failure> {
        self.drop_ports(container);
        if endpoint.published.is_empty() {
            return Ok(());
        }
        match self.find(by, &endpoint.network_id) {
            Ok(network) => self
                .tell_rules(by, container, &network, Vec::new())
                .await
                .map(|_| ()),
            // Rules went with the network.
            Err(_) => Ok(()),
        }
    }

    /// The host's ports that the tenant may publish; none is every port.
    fn allowed(&self, by: &Principal) -> Option<&RangeInclusive<u16>> {
        tenants::named(&self.tenants, by.tenant.as_str())?.ports.as_ref()
    }

    fn drop_ports(&self, container: &str) {
        self.ports().retain(|held| held.container != container);
    }

    async fn bind_all(
        &self,
        by: &Principal,
        container: &str,
        network: &Network,
        endpoint: &Endpoint,
        wishes: &[PortWish],
    ) -> Result<Vec<Published>, Failure> {
        let mut all = Vec::new();
        let allowed = self.allowed(by);
        for wish in wishes {
            let hosts = hosts(wish, network);
            let free = wish.host_ports.is_none();
            let candidates = candidates(wish, allowed, by)?;
            let mut taken = None;
            let mut found = None;
            for port in candidates {
                match self.bind_group(by, endpoint, wish, &hosts, port).await {
                    Ok(group) => {
                        found = Some(group);
                        break;
                    }
                    Err(NoPort::Taken(words)) => taken = Some(words),
                    Err(NoPort::Failed(failure)) => return Err(failure),
                }
            }
            let Some(group) = found else {
                let words = taken
                    .filter(|_| !free)
                    .unwrap_or_else(|| "all ports are allocated".to_owned());
                return Err(Failure::System(words));
            };
            for (published, socket) in group {
                let target = target(endpoint, published)
                    .ok_or_else(|| Failure::System("the container has no address".to_owned()))?;
                let proxy = proxy::start(published.protocol, socket, target)
                    .map_err(|error| Failure::System(format!("error starting userland proxy: {error}")))?;
                self.ports().push(Held {
                    container: container.to_owned(),
                    published,
                    _proxy: proxy,
                });
                all.push(published);
            }
        }
        Ok(all)
    }

    /// One port at each of the addresses, or at none. An address that this host does not have is left out where there is
    /// another (IPv6 may be switched off).
    async fn bind_group(
        &self,
        by: &Principal,
        endpoint: &Endpoint,
        wish: &PortWish,
        hosts: &[IpAddr],
        host_port: u16,
    ) -> Result<Vec<(Published, OwnedFd)>, NoPort> {
        let mut group = Vec::new();
        let mut missing = None;
        for host in hosts {
            let published = Published {
                protocol: wish.protocol,
                host: *host,
                host_port,
                container_port: wish.container_port,
            };
            if self
                .ports()
                .iter()
                .any(|held| conflict(&held.published, &published))
            {
                let at = SocketAddr::new(*host, host_port);
                return Err(NoPort::Taken(format!(
                    "Bind for {at} failed: port is already allocated"
                )));
            }
            let bind = Request::BindPort {
                protocol: wish.protocol,
                address: *host,
                port: host_port,
            };
            match self.helpers.net.bind(by, bind).await {
                Ok(socket) => group.push((published, socket)),
                Err(error) => match error.code() {
                    Some(ErrorCode::AddressInUse) => return Err(NoPort::Taken(in_use(endpoint, published))),
                    Some(ErrorCode::Unsupported) if hosts.len() > 1 => missing = Some(error),
                    _ => return Err(NoPort::Failed(bind_failed(endpoint, published, error))),
                },
            }
        }
        match missing {
            Some(error) if group.is_empty() => Err(NoPort::Failed(error.into())),
            Some(_) | None => Ok(group),
        }
    }

    /// Replaces the rules of a network after a container's ports changed.
    async fn tell_rules(
        &self,
        by: &Principal,
        container: &str,
        network: &Network,
        published: Vec<Published>,
    ) -> Result<Vec<Published>, Failure> {
        let _wiring = self.wiring.lock().await;
        if let Some(live) = self.table().get_mut(&network.id)
            && let Some(member) = live.members.get_mut(container)
        {
            member.endpoint.published.clone_from(&published);
        }
        let rules = self.rule_set(network, &self.port_rules(&network.id))?;
        self.load(by, network, rules).await?;
        Ok(published)
    }

    /// The rules for everything published on a network.
    pub(super) fn port_rules(&self, network: &str) -> Vec<PortRule> {
        let table = self.table();
        let members = table
            .get(network)
            .into_iter()
            .flat_map(|live| live.members.values());
        members.flat_map(|member| rules_of(&member.endpoint)).collect()
    }
}

/// The host's ports that are tried for a wish, in order.
fn candidates(
    wish: &PortWish,
    allowed: Option<&RangeInclusive<u16>>,
    by: &Principal,
) -> Result<RangeInclusive<u16>, Failure> {
    let Some(allowed) = allowed else {
        return Ok(wish.host_ports.clone().unwrap_or(EPHEMERAL));
    };
    let wished = wish.host_ports.as_ref().unwrap_or(allowed);
    let both = *wished.start().max(allowed.start())..=*wished.end().min(allowed.end());
    if both.is_empty() {
        return Err(Failure::Forbidden(format!(
            "the tenant {} may publish the host's ports {} to {} only",
            by.tenant,
            allowed.start(),
            allowed.end()
        )));
    }
    Ok(both)
}

/// The addresses that a port is published at.
fn hosts(wish: &PortWish, network: &Network) -> Vec<IpAddr> {
    match wish.host.or(network.host_binding()) {
        Some(host) => vec![host],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

/// Whether two ports cannot be published together.
fn conflict(one: &Published, other: &Published) -> bool {
    let meet = one.host == other.host || one.host.is_unspecified() || other.host.is_unspecified();
    one.protocol == other.protocol
        && one.host_port == other.host_port
        && one.host.is_ipv4() == other.host.is_ipv4()
        && meet
}

/// Where a port leads: the container's address of the same family if it has one.
fn target(endpoint: &Endpoint, published: Published) -> Option<SocketAddr> {
    let place = endpoint
        .place(published.host.is_ipv6())
        .or_else(|| endpoint.places.first())?;
    Some(SocketAddr::new(place.address, published.container_port))
}

/// The rules for an endpoint's ports: those that lead to an address of the same family. Loopback is the proxy's.
fn rules_of(endpoint: &Endpoint) -> Vec<PortRule> {
    let ports = endpoint.published.iter().filter(|port| !port.host.is_loopback());
    ports
        .filter_map(|port| {
            Some(PortRule {
                protocol: port.protocol,
                host: port.host,
                host_port: port.host_port,
                container: endpoint.place(port.host.is_ipv6())?.address,
                container_port: port.container_port,
            })
        })
        .collect()
}

fn in_use(endpoint: &Endpoint, published: Published) -> String {
    format!("{}: address already in use", binding(endpoint, published))
}

fn bind_failed(endpoint: &Endpoint, published: Published, error: TransportError) -> Failure {
    match error.code() {
        Some(ErrorCode::Unsupported) => {
            let words = binding(endpoint, published);
            Failure::System(format!("{words}: cannot assign requested address"))
        }
        _ => Failure::from(error),
    }
}

fn binding(endpoint: &Endpoint, published: Published) -> String {
    let at = SocketAddr::new(published.host, published.host_port);
    let to = target(endpoint, published)
        .map(|to| to.to_string())
        .unwrap_or_default();
    format!(
        "failed to bind host port for {at}:{to}/{}",
        transport::name(published.protocol)
    )
}

#[cfg(test)]
mod tests {
    use super::super::network::Place;
    use super::*;
    use protocol::names::Label;

    fn published(host: &str, host_port: u16) -> Published {
        Published {
            protocol: Transport::Tcp,
            host: host.parse().unwrap(),
            host_port,
            container_port: 80,
        }
    }

    fn endpoint(addresses: &[&str], published: Vec<Published>) -> Endpoint {
        let place = |address: &&str| Place {
            address: address.parse().unwrap(),
            prefix_bits: 24,
            gateway: None,
        };
        Endpoint {
            network_id: String::new(),
            network_name: String::new(),
            endpoint_id: String::new(),
            inner: "eth0".to_owned(),
            places: addresses.iter().map(place).collect(),
            mac: [2; 6],
            published,
            resolver: None,
        }
    }

    #[test]
    fn ports_conflict_at_one_address_and_with_every_address() {
        let any = published("0.0.0.0", 80);
        assert!(conflict(&any, &any));
        assert!(conflict(&any, &published("192.0.2.1", 80)));
        assert!(!conflict(
            &published("192.0.2.2", 80),
            &published("192.0.2.1", 80)
        ));
        assert!(!conflict(&any, &published("::", 80)));
        assert!(!conflict(&any, &published("0.0.0.0", 81)));
        let udp = Published {
            protocol: Transport::Udp,
            ..any
        };
        assert!(!conflict(&any, &udp));
    }

    #[test]
    fn a_tenant_publishes_ports_of_its_range_only() {
        let by = Principal {
            tenant: Label::new("red").unwrap(),
            subject: Label::new("uid:1").unwrap(),
        };
        let tried = |host_ports: Option<RangeInclusive<u16>>, allowed: Option<RangeInclusive<u16>>| {
            let wish = PortWish {
                host_ports,
                ..PortWish::again(published("0.0.0.0", 1))
            };
            candidates(&wish, allowed.as_ref(), &by).map_err(|failure| failure.to_string())
        };
        assert_eq!(tried(None, None), Ok(EPHEMERAL));
        assert_eq!(tried(Some(80..=80), None), Ok(80..=80));
        assert_eq!(tried(None, Some(20000..=20099)), Ok(20000..=20099));
        assert_eq!(tried(Some(20050..=20150), Some(20000..=20099)), Ok(20050..=20099));
        let refusal = "the tenant red may publish the host's ports 20000 to 20099 only";
        for outside in [80..=80, 19999..=19999, 20100..=20200] {
            assert_eq!(tried(Some(outside), Some(20000..=20099)), Err(refusal.to_owned()));
        }
    }

    #[test]
    fn rules_lead_to_the_same_family_and_never_from_loopback() {
        let all = vec![
            published("0.0.0.0", 1),
            published("::", 1),
            published("127.0.0.1", 2),
            published("::1", 3),
        ];
        let hosts = |addresses: &[&str]| -> Vec<String> {
            rules_of(&endpoint(addresses, all.clone()))
                .iter()
                .map(|rule| rule.host.to_string())
                .collect()
        };
        assert_eq!(hosts(&["10.0.0.2"]), ["0.0.0.0"]);
        assert_eq!(hosts(&["10.0.0.2", "fd00::2"]), ["0.0.0.0", "::"]);
        let target = |host: &str, addresses: &[&str]| {
            target(&endpoint(addresses, vec![]), published(host, 1))
                .unwrap()
                .to_string()
        };
        assert_eq!(target("::", &["10.0.0.2"]), "10.0.0.2:80");
        assert_eq!(target("::", &["10.0.0.2", "fd00::2"]), "[fd00::2]:80");
    }
}
