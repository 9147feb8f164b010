//! Samples of the net helper's messages.

use super::{list, message};
use protocol::names::{AnchorName, InnerInterfaceName, InterfaceName};
use protocol::net::{AddressPrefix, PortRule, Request, Response, RuleSet, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

message!(Request, "net::Request" {
    EnsureBridge => Self::EnsureBridge {
        bridge: interface("cb0"),
        addresses: list([prefix(ipv4(1), 16), prefix(ipv6(1), 64)]),
        mtu: 1500,
    },
    AttachEndpoint => Self::AttachEndpoint {
        bridge: interface("cb0"),
        host_end: interface("cbe1a"),
        jid: 7,
        inner: inner(),
        mac: [0x02, 0x42, 0xac, 0x11, 0x00, 0x02],
        mtu: 9000,
        isolated: true,
    },
    ConfigureInside => Self::ConfigureInside {
        inner: Some(inner()),
        addresses: list([prefix(ipv4(2), 16)]),
        gateways: list([ipv4(1), ipv6(1)]),
    },
    RemoveInterface => Self::RemoveInterface { interface: interface("cbe1a") },
    LoadRules => Self::LoadRules {
        anchor: anchor(),
        rules: Box::new(RuleSet {
            bridge: interface("cb0"),
            subnets: list([prefix(ipv4(0), 16)]),
            masquerade: true,
            internal: false,
            members_talk: true,
            ports: list([PortRule {
                protocol: Transport::Udp,
                host: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                host_port: 8053,
                container: ipv4(2),
                container_port: 53,
            }]),
        }),
    },
    ClearRules => Self::ClearRules { anchor: anchor() },
    List => Self::List { after: Some(interface("cb0")) },
    HostPrefixes => Self::HostPrefixes,
    BindPort => Self::BindPort { protocol: Transport::Tcp, address: ipv4(1), port: 443 },
    ListRules => Self::ListRules { after: Some(anchor()) },
    ForgetConnections => Self::ForgetConnections {
        bridge: interface("cb0"),
        addresses: list([ipv4(2), ipv6(2)]),
    },
});

message!(Transport, "net::Transport" {
    Tcp => Self::Tcp,
    Udp => Self::Udp,
});

message!(Response, "net::Response" {
    Done => Self::Done,
    Interfaces => Self::Interfaces(list([interface("cb0"), interface("cbe1a")])),
    Prefixes => Self::Prefixes(list([prefix(ipv4(0), 16), prefix(ipv6(0), 64)])),
    RuleSets => Self::RuleSets(list([anchor()])),
});

fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).expect("sample interface")
}

fn inner() -> InnerInterfaceName {
    InnerInterfaceName::new("eth0").expect("sample inner interface")
}

fn anchor() -> AnchorName {
    AnchorName::new("n-1").expect("sample anchor")
}

fn ipv4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(172, 17, 0, last))
}

fn ipv6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xcb, 0, 0, 0, 0, 0, last))
}

fn prefix(address: IpAddr, prefix_bits: u8) -> AddressPrefix {
    AddressPrefix { address, prefix_bits }
}
