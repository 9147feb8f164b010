//! Rule sets for the tests of both hosts' languages.

use protocol::names::{Bounded, InterfaceName};
use protocol::net::{AddressPrefix, PortRule, RuleSet, Transport};

pub(crate) fn port(protocol: Transport, host: (&str, u16), container: (&str, u16)) -> PortRule {
    let (host, host_port) = (host.0.parse().unwrap(), host.1);
    let (container, container_port) = (container.0.parse().unwrap(), container.1);
    PortRule {
        protocol,
        host,
        host_port,
        container,
        container_port,
    }
}

pub(crate) fn rules(subnets: &[(&str, u8)], masquerade: bool, ports: Vec<PortRule>) -> RuleSet {
    let prefix = |&(address, prefix_bits): &(&str, u8)| AddressPrefix {
        address: address.parse().unwrap(),
        prefix_bits,
    };
    RuleSet {
        bridge: InterfaceName::new("cbbr0").unwrap(),
        subnets: Bounded::new(subnets.iter().map(prefix).collect()).unwrap(),
        masquerade,
        internal: false,
        members_talk: true,
        ports: Bounded::new(ports).unwrap(),
    }
}

/// Both families, any and one address, two host ports for one container port.
pub(crate) fn full() -> RuleSet {
    let ports = vec![
        port(Transport::Tcp, ("0.0.0.0", 8080), ("172.18.0.2", 80)),
        port(Transport::Tcp, ("192.0.2.1", 8080), ("172.18.0.3", 80)),
        port(Transport::Udp, ("0.0.0.0", 5300), ("172.18.0.2", 53)),
        port(Transport::Tcp, ("0.0.0.0", 8081), ("172.18.0.2", 80)),
        port(Transport::Tcp, ("::", 8080), ("fd00:1::2", 80)),
    ];
    rules(&[("172.18.0.1", 16), ("fd00:1::1", 64)], true, ports)
}
