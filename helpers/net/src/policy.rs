//! What the net helper is willing to do. Pure: a request is judged before anything on the host is touched.
//!
//! The daemon is taken to be hostile here. Interface names cannot leave our prefix (their type sees to that); this file
//! keeps addresses and rules within what a container network can need, so that no request can take over the host's own
//! addresses, its loopback or its default route.

use crate::prefix;
use protocol::names::Label;
use protocol::net::{AddressPrefix, PortRule, Request, RuleSet};
use protocol::policy::{NetPolicy, TenantPorts};
use protocol::{Answer, ErrorCode, HelperError};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Smallest packet size that an interface may be limited to, in bytes: every IPv4 link carries 68 (RFC 791).
const MTU_BYTES_MIN: u16 = 68;

/// Shortest IPv4 prefix, in bits: 10.0.0.0/8 is the largest private network, and a shorter one would draw a large part of
/// the internet to a bridge.
const IPV4_PREFIX_BITS_MIN: u8 = 8;

/// Shortest IPv6 prefix, in bits: providers hand out /32 at most.
const IPV6_PREFIX_BITS_MIN: u8 = 32;

/// The port of name servers (RFC 1035), which listen at the address of a network's bridge.
const NAME_SERVER_PORT: u16 = 53;

/// Longest name of the outer anchor, in bytes: pf allows 63 per component and a table's name holds two.
const ANCHOR_BYTES_MAX: usize = 20;

/// The prefixes that no container network may touch: this host's own addresses, link-local (cloud metadata lives there),
/// multicast and reserved ones.
const RESERVED: [AddressPrefix; 8] = [
    v4([0, 0, 0, 0], 8),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([224, 0, 0, 0], 3),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

const fn v4([a, b, c, d]: [u8; 4], prefix_bits: u8) -> AddressPrefix {
    AddressPrefix {
        address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix_bits,
    }
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix_bits: u8) -> AddressPrefix {
    AddressPrefix {
        address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        prefix_bits,
    }
}

/// Judges one request.
///
/// # Errors
/// `Refused` with the rule that it breaks; `Unsupported` for what neither host can do yet.
pub fn judge(request: &Request) -> Answer<()> {
    match request {
        Request::EnsureBridge {
            bridge: _,
            addresses,
            mtu,
        } => {
            mtu_fits(*mtu)?;
            addresses_fit(addresses.as_slice())
        }
        Request::AttachEndpoint {
            bridge,
            host_end,
            jid,
            inner: _,
            mac,
            mtu,
            isolated: _,
        } => {
            mtu_fits(*mtu)?;
            refuse_if(bridge == host_end, "the bridge and the host's end have one name")?;
            // Neither a process id nor a jid is ever 0 or negative.
            refuse_if(*jid < 1, "no such jail id")?;
            // The lowest bit of the first byte marks a group address (IEEE 802).
            let is_of_one = mac[0] & 1 == 0 && *mac != [0; 6];
            refuse_if(!is_of_one, "not a hardware address of one station")
        }
        Request::ConfigureInside {
            inner,
            addresses,
            gateways,
        } => {
            let has_any = !(addresses.as_slice().is_empty() && gateways.as_slice().is_empty());
            refuse_if(inner.is_none() && has_any, "addresses without an interface")?;
            let (local, others): (Vec<_>, Vec<_>) = addresses
                .as_slice()
                .iter()
                .partition(|prefix| is_of_one_link(**prefix));
            addresses_stand_once(&local)?;
            addresses_fit(&others)?;
            gateways_fit(gateways.as_slice(), &others)
        }
        Request::LoadRules { anchor: _, rules } => rules_fit(rules),
        Request::BindPort {
            protocol: _,
            address,
            port,
        } => bind_fits(*address, *port),
        Request::ForgetConnections { .. }
        | Request::RemoveInterface { interface: _ }
        | Request::ClearRules { anchor: _ }
        | Request::List { after: _ }
        | Request::HostPrefixes
        | Request::ListRules { after: _ } => Ok(()),
    }
}

/// Judges whether a tenant may publish what the request does. Name servers are the daemon's and not published.
///
/// # Errors
/// `Refused` for a port outside the tenant's range.
pub fn ports_fit(request: &Request, tenant: &Label, limits: &[TenantPorts]) -> Answer<()> {
    let limit = limits.iter().find(|limit| limit.tenant == *tenant);
    let is_outside = |port: u16| limit.is_some_and(|limit| !(limit.from..=limit.to).contains(&port));
    let is_any_outside = if let Request::BindPort { address, port, .. } = request {
        is_outside(*port) && (*port != NAME_SERVER_PORT || address.is_unspecified())
    } else if let Request::LoadRules { rules, .. } = request {
        rules
            .ports
            .as_slice()
            .iter()
            .any(|port| is_outside(port.host_port))
    } else {
        false
    };
    refuse_if(
        is_any_outside,
        "the port is not among those that the tenant may publish",
    )
}

/// The name that stands before each rule set: lower-case letters, digits and `_`, because it is written into rule text.
///
/// # Errors
/// `InvalidData` where the administrator's name has other characters.
pub fn outer_anchor(policy: &NetPolicy) -> std::io::Result<String> {
    let name = policy.anchor.as_str();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let begins_well = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    if begins_well && name.len() <= ANCHOR_BYTES_MAX && name.bytes().all(fits) {
        Ok(name.to_owned())
    } else {
        let why = "the anchor's name must be a letter and then at most 19 lower-case letters, digits or '_'";
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why))
    }
}

/// Refuses with the rule that is broken.
fn refuse_if(is_broken: bool, why: &str) -> Answer<()> {
    if is_broken {
        Err(HelperError::new(ErrorCode::Refused, why))
    } else {
        Ok(())
    }
}

fn mtu_fits(mtu_bytes: u16) -> Answer<()> {
    refuse_if(mtu_bytes < MTU_BYTES_MIN, "the largest packet is below 68 bytes")
}

/// Whether it is an address that its link alone knows. A container may have one on its own end, from where nothing is routed; a
/// bridge, on which the host's routes would change, may not.
fn is_of_one_link(prefix: AddressPrefix) -> bool {
    match prefix.address {
        IpAddr::V4(address) => address.is_link_local() && prefix.prefix_bits == 16,
        IpAddr::V6(address) => address.is_unicast_link_local() && prefix.prefix_bits == 64,
    }
}

fn addresses_fit(addresses: &[AddressPrefix]) -> Answer<()> {
    addresses.iter().try_for_each(|prefix| prefix_fits(*prefix))?;
    addresses_stand_once(addresses)
}

fn addresses_stand_once(addresses: &[AddressPrefix]) -> Answer<()> {
    let mut seen = HashSet::new();
    for prefix in addresses {
        refuse_if(!seen.insert(prefix.address), "an address stands there twice")?;
        let why = "an interface cannot have the network's own or its broadcast address";
        refuse_if(is_network_or_broadcast(*prefix), why)?;
    }
    Ok(())
}

fn prefix_fits(prefix: AddressPrefix) -> Answer<()> {
    let shortest = if prefix.address.is_ipv4() {
        IPV4_PREFIX_BITS_MIN
    } else {
        IPV6_PREFIX_BITS_MIN
    };
    let is_odd = prefix.prefix_bits > prefix::width(prefix.address) || prefix.prefix_bits < shortest;
    refuse_if(is_odd, "the prefix length is out of range")?;
    let is_reserved = RESERVED.iter().any(|reserved| prefix::overlap(*reserved, prefix));
    refuse_if(is_reserved, "the prefix touches reserved addresses")
}

/// Links of two addresses (/31, RFC 3021) and single addresses have neither.
fn is_network_or_broadcast(prefix: AddressPrefix) -> bool {
    match prefix.address {
        IpAddr::V4(address) if prefix.prefix_bits < 31 => {
            let host_part = address.to_bits() & !prefix::netmask(prefix.prefix_bits).to_bits();
            host_part == 0 || host_part == u32::MAX >> prefix.prefix_bits
        }
        IpAddr::V4(_) | IpAddr::V6(_) => false,
    }
}

fn gateways_fit(gateways: &[IpAddr], addresses: &[AddressPrefix]) -> Answer<()> {
    let of_ipv4 = gateways.iter().filter(|gateway| gateway.is_ipv4()).count();
    let has_several = of_ipv4 > 1 || gateways.len() - of_ipv4 > 1;
    refuse_if(has_several, "more than one default route of a family")?;
    for gateway in gateways {
        let is_within = addresses.iter().any(|own| prefix::covers(*own, *gateway));
        refuse_if(!is_within, "the gateway is not within the interface's prefixes")?;
        let is_own = addresses.iter().any(|own| own.address == *gateway);
        refuse_if(is_own, "the gateway is the interface's own address")?;
    }
    Ok(())
}

/// What may be published may be bound. The hand judges this again.
///
/// # Errors
/// `Refused` for port 0 and for group addresses.
pub fn bind_fits(address: IpAddr, port: u16) -> Answer<()> {
    refuse_if(port == 0, "port 0 cannot be published")?;
    let is_of_group = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    refuse_if(is_of_group, "a port is published at a group address")
}

fn rules_fit(rules: &RuleSet) -> Answer<()> {
    let subnets = rules.subnets.as_slice();
    subnets.iter().try_for_each(|subnet| prefix_fits(*subnet))?;
    let networks: HashSet<_> = subnets.iter().map(|subnet| prefix::text(*subnet)).collect();
    refuse_if(networks.len() != subnets.len(), "a prefix stands there twice")?;
    let mut published = HashSet::new();
    for port in rules.ports.as_slice() {
        port_fits(port, subnets)?;
        // pf takes no rule twice, and nft would keep the first silently.
        let is_tcp = port.protocol == protocol::net::Transport::Tcp;
        let is_new = published.insert((is_tcp, port.host, port.host_port));
        refuse_if(!is_new, "a port is published twice")?;
    }
    Ok(())
}

fn port_fits(port: &PortRule, subnets: &[AddressPrefix]) -> Answer<()> {
    let is_zero = port.host_port == 0 || port.container_port == 0;
    refuse_if(is_zero, "port 0 cannot be published")?;
    let why = "a port cannot be translated from one address family to the other";
    refuse_if(port.host.is_ipv4() != port.container.is_ipv4(), why)?;
    // Packets for 127.0.0.1 and ::1 never leave the loopback interface on either host: a proxy has to serve those.
    if port.host.is_loopback() {
        let why = "a loopback address cannot be translated to a container";
        return Err(HelperError::new(ErrorCode::Unsupported, why));
    }
    refuse_if(port.host.is_multicast(), "a port is published at a group address")?;
    let is_inside = subnets
        .iter()
        .any(|subnet| prefix::covers(*subnet, port.container));
    refuse_if(!is_inside, "a port leads to an address outside the network")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::names::{AnchorName, Bounded, InnerInterfaceName, InterfaceName};
    use protocol::net::Transport;

    fn prefixes<const MAX: usize>(texts: &[&str]) -> Bounded<AddressPrefix, MAX> {
        let parse = |text: &&str| {
            let (address, bits) = text.split_once('/').unwrap();
            AddressPrefix {
                address: address.parse().unwrap(),
                prefix_bits: bits.parse().unwrap(),
            }
        };
        Bounded::new(texts.iter().map(parse).collect()).unwrap()
    }

    fn name(text: &str) -> InterfaceName {
        InterfaceName::new(text).unwrap()
    }

    fn bridge(addresses: &[&str], mtu: u16) -> Request {
        Request::EnsureBridge {
            bridge: name("cbbr0"),
            addresses: prefixes(addresses),
            mtu,
        }
    }

    fn endpoint(host_end: &str, jid: i32, mac: [u8; 6]) -> Request {
        let inner = InnerInterfaceName::new("eth0").unwrap();
        Request::AttachEndpoint {
            bridge: name("cbbr0"),
            host_end: name(host_end),
            jid,
            inner,
            mac,
            mtu: 1500,
            isolated: false,
        }
    }

    fn inside(inner: Option<&str>, addresses: &[&str], gateways: &[&str]) -> Request {
        Request::ConfigureInside {
            inner: inner.map(|inner| InnerInterfaceName::new(inner).unwrap()),
            addresses: prefixes(addresses),
            gateways: Bounded::new(gateways.iter().map(|one| one.parse().unwrap()).collect()).unwrap(),
        }
    }

    fn port(host: &str, host_port: u16, container: &str) -> PortRule {
        let (host, container) = (host.parse().unwrap(), container.parse().unwrap());
        PortRule {
            protocol: Transport::Tcp,
            host,
            host_port,
            container,
            container_port: 80,
        }
    }

    fn rules(subnets: &[&str], ports: Vec<PortRule>) -> Request {
        let ports = Bounded::new(ports).unwrap();
        let rules = RuleSet {
            bridge: name("cbbr0"),
            subnets: prefixes(subnets),
            masquerade: true,
            internal: false,
            members_talk: true,
            ports,
        };
        Request::LoadRules {
            anchor: AnchorName::new("n1").unwrap(),
            rules: Box::new(rules),
        }
    }

    const MAC: [u8; 6] = [2, 0x42, 172, 18, 0, 2];

    #[test]
    fn what_a_container_network_needs_is_allowed() {
        for request in [
            bridge(&["172.18.0.1/16", "fd00:1::1/64"], 1500),
            bridge(&[], 68),
            bridge(&["10.0.0.0/31"], 1500),
            endpoint("cbe1", 4711, MAC),
            inside(None, &[], &[]),
            inside(Some("eth0"), &["172.18.0.2/16"], &["172.18.0.1"]),
            inside(
                Some("eth0"),
                &["169.254.8.8/16", "172.18.0.2/16", "fe80::8/64"],
                &[],
            ),
            rules(&["172.18.0.0/16"], vec![]),
            rules(
                &["172.18.0.0/16"],
                vec![
                    port("0.0.0.0", 8080, "172.18.0.2"),
                    port("192.0.2.1", 8080, "172.18.0.2"),
                ],
            ),
        ] {
            assert_eq!(judge(&request), Ok(()), "{request:?}");
        }
    }

    #[test]
    fn what_could_reach_beyond_a_container_network_is_refused() {
        for (request, why) in [
            (bridge(&[], 67), "68 bytes"),
            (bridge(&["172.18.0.1/33"], 1500), "out of range"),
            (bridge(&["8.0.0.1/7"], 1500), "out of range"),
            (bridge(&["fd00::1/16"], 1500), "out of range"),
            (bridge(&["127.1.2.3/24"], 1500), "reserved"),
            (bridge(&["224.0.0.1/24"], 1500), "reserved"),
            (bridge(&["255.255.255.255/32"], 1500), "reserved"),
            (bridge(&["169.254.169.254/32"], 1500), "reserved"),
            (bridge(&["::1/128"], 1500), "reserved"),
            (bridge(&["::ffff:10.0.0.1/120"], 1500), "reserved"),
            (bridge(&["172.18.0.0/16"], 1500), "broadcast"),
            (bridge(&["172.18.255.255/16"], 1500), "broadcast"),
            (bridge(&["172.18.0.1/16", "172.18.0.1/24"], 1500), "twice"),
            (endpoint("cbbr0", 4711, MAC), "one name"),
            (endpoint("cbe1", 0, MAC), "no such jail"),
            (endpoint("cbe1", -5, MAC), "no such jail"),
            (endpoint("cbe1", 4711, [1, 0, 0x5e, 0, 0, 1]), "one station"),
            (endpoint("cbe1", 4711, [0; 6]), "one station"),
            (inside(None, &["172.18.0.2/16"], &[]), "without an interface"),
            (
                inside(Some("eth0"), &["172.18.0.2/16"], &["172.19.0.1"]),
                "not within",
            ),
            (
                inside(Some("eth0"), &["172.18.0.2/16"], &["172.18.0.2"]),
                "own address",
            ),
            (
                inside(Some("eth0"), &["172.18.0.2/16"], &["172.18.0.1", "172.18.0.3"]),
                "more than one",
            ),
            (inside(Some("eth0"), &["169.254.8.8/24"], &[]), "reserved"),
            (inside(Some("eth0"), &["169.254.8.8/16"; 2], &[]), "twice"),
            (
                inside(Some("eth0"), &["169.254.8.8/16"], &["169.254.8.1"]),
                "not within",
            ),
            (bridge(&["169.254.8.8/16"], 1500), "reserved"),
            (rules(&["127.0.0.0/8"], vec![]), "reserved"),
            (rules(&["172.18.0.1/16", "172.18.0.9/16"], vec![]), "twice"),
            (
                rules(&["172.18.0.0/16"], vec![port("0.0.0.0", 0, "172.18.0.2")]),
                "port 0",
            ),
            (
                rules(&["172.18.0.0/16"], vec![port("0.0.0.0", 80, "172.19.0.2")]),
                "outside the network",
            ),
            (
                rules(&["172.18.0.0/16"], vec![port("::", 80, "172.18.0.2")]),
                "address family",
            ),
            (
                rules(&["172.18.0.0/16"], vec![port("224.0.0.1", 80, "172.18.0.2")]),
                "group address",
            ),
            (
                rules(&["172.18.0.0/16"], vec![port("0.0.0.0", 80, "172.18.0.2"); 2]),
                "published twice",
            ),
        ] {
            let refusal = judge(&request).expect_err(why);
            assert_eq!(refusal.code, ErrorCode::Refused, "{request:?}");
            assert!(refusal.detail.as_str().contains(why), "{refusal} for {request:?}");
        }
    }

    #[test]
    fn what_is_not_built_yet_is_unsupported() {
        let request = rules(&["172.18.0.0/16"], vec![port("127.0.0.1", 80, "172.18.0.2")]);
        assert_eq!(judge(&request).map_err(|e| e.code), Err(ErrorCode::Unsupported));
    }

    #[test]
    fn an_anchor_that_could_be_more_than_a_name_is_no_anchor() {
        let policy = |anchor: &str| NetPolicy {
            anchor: Label::new(anchor).unwrap(),
            enable_forwarding: false,
            tenants: Bounded::default(),
        };
        assert_eq!(outer_anchor(&policy("cellblock_2")).unwrap(), "cellblock_2");
        for bad in [
            "",
            "Cellblock",
            "2cells",
            "a;b",
            "a/b",
            "{",
            "a-b",
            "aaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(outer_anchor(&policy(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_publishes_ports_of_its_range_only() {
        let label = |text: &str| Label::new(text).unwrap();
        let limits = [TenantPorts {
            tenant: label("red"),
            from: 20_000,
            to: 20_099,
        }];
        let judged = |tenant: &str, request: &Request| ports_fit(request, &label(tenant), &limits).is_ok();
        let bind = |address: &str, port| Request::BindPort {
            protocol: Transport::Tcp,
            address: address.parse().unwrap(),
            port,
        };
        let publish = |host_port| rules(&["10.0.0.1/24"], vec![port("0.0.0.0", host_port, "10.0.0.2")]);
        for (number, fits) in [(20_000, true), (20_099, true), (20_100, false), (80, false)] {
            assert_eq!(judged("red", &bind("0.0.0.0", number)), fits, "{number}");
            assert_eq!(judged("red", &publish(number)), fits, "{number}");
            assert!(judged("blue", &bind("0.0.0.0", number)) && judged("blue", &publish(number)));
        }
        assert!(judged("red", &bind("10.0.0.1", 53)), "its networks' name servers");
        assert!(!judged("red", &bind("0.0.0.0", 53)));
        assert!(judged("red", &rules(&["10.0.0.1/24"], Vec::new())));
    }
}
