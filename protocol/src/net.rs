//! Requests to the net helper: bridges, endpoint pairs, addresses and one rule set per network.

use crate::codec::{Decode, Encode};
use crate::limits::{ADDRESSES_MAX, LIST_ITEMS_MAX, PORT_RULES_MAX};
use crate::names::{AnchorName, Bounded, InnerInterfaceName, InterfaceName};
use std::net::IpAddr;

/// What the net helper can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// A bridge with these addresses, up. Done if it is there already; its addresses are completed.
    EnsureBridge {
        /// The bridge.
        bridge: InterfaceName,
        /// The host's addresses on it.
        addresses: Bounded<AddressPrefix, ADDRESSES_MAX>,
        /// Largest packet, in bytes; 68 to 65535.
        mtu: u16,
    },
    /// A pair of interfaces: one end on the bridge, the other moved into the jail under its inner name.
    AttachEndpoint {
        /// The bridge.
        bridge: InterfaceName,
        /// The host's end.
        host_end: InterfaceName,
        /// The jail, as its helper's `Created` named it.
        jid: i32,
        /// The name of the other end inside.
        inner: InnerInterfaceName,
        /// The inside end's hardware address.
        mac: [u8; 6],
        /// Largest packet, in bytes; 68 to 65535.
        mtu: u16,
        /// Whether the host's end exchanges no frames with the bridge's other isolated members.
        isolated: bool,
    },
    /// Sets addresses and the default routes inside a jail, brings its loopback up. A default route of the same family that is
    /// there already is replaced. The sockets that the jail helper made
    /// inside come along: on Linux one (route netlink), on FreeBSD three (AF_INET datagram, AF_INET6 datagram, PF_ROUTE raw,
    /// because each sets one kind of thing there).
    ConfigureInside {
        /// The interface inside; none configures only the loopback.
        inner: Option<InnerInterfaceName>,
        /// Its addresses.
        addresses: Bounded<AddressPrefix, ADDRESSES_MAX>,
        /// Default routes, at most one per family.
        gateways: Bounded<IpAddr, 2>,
    },
    /// Removes an interface of ours (a bridge, or a host's end with its pair). Done if it is not there.
    RemoveInterface {
        /// The interface.
        interface: InterfaceName,
    },
    /// Replaces the whole rule set of one network.
    LoadRules {
        /// The rule set.
        anchor: AnchorName,
        /// What it holds.
        rules: Box<RuleSet>,
    },
    /// Removes the rule set of one network. Done if it is not there.
    ClearRules {
        /// The rule set.
        anchor: AnchorName,
    },
    /// Interfaces of ours, one page in name order, after `after`.
    List {
        /// The last name of the previous page; none for the first page.
        after: Option<InterfaceName>,
    },
    /// The address families and prefixes that the host routes now, so that the daemon's pools avoid them.
    HostPrefixes,
    /// A socket of the host's network, bound to an address that a port is published at; a TCP socket listens. It comes with
    /// the answer.
    BindPort {
        /// Transport.
        protocol: Transport,
        /// The host's address; unspecified means every address of its family.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// Names of the rule sets of ours that the packet filter holds now, one page in name order, after `after`: somebody may have
    /// flushed it.
    ListRules {
        /// The last name of the previous page; none for the first page.
        after: Option<AnchorName>,
    },
    /// Has the packet filter forget the connections from and to addresses of a bridge's network that no endpoint has any more: else
    /// they are kept until they time out, and lead to whoever gets the address next. `Unsupported` on a host that cannot.
    ForgetConnections {
        /// The bridge.
        bridge: InterfaceName,
        /// The addresses.
        addresses: Bounded<IpAddr, ADDRESSES_MAX>,
    },
}

/// An address with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AddressPrefix {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network part: at most 32 or 128.
    pub prefix_bits: u8,
}

/// The packet filter rules of one network.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RuleSet {
    /// The network's bridge.
    pub bridge: InterfaceName,
    /// The network's prefixes, each with the host's own address there, at which the network's name server is.
    pub subnets: Bounded<AddressPrefix, ADDRESSES_MAX>,
    /// Whether containers reach the outside through address translation.
    pub masquerade: bool,
    /// Whether nothing passes between the network and the outside.
    pub internal: bool,
    /// Whether the network's members reach each other.
    pub members_talk: bool,
    /// Published ports.
    pub ports: Bounded<PortRule, PORT_RULES_MAX>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PortRule {
    /// Transport.
    pub protocol: Transport,
    /// The host's address; unspecified means any.
    pub host: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The container's address.
    pub container: IpAddr,
    /// The container's port.
    pub container_port: u16,
}

/// Transport protocols that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What the net helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// It is done.
    Done,
    /// To `List`.
    Interfaces(Bounded<InterfaceName, LIST_ITEMS_MAX>),
    /// To `HostPrefixes`.
    Prefixes(Bounded<AddressPrefix, LIST_ITEMS_MAX>),
    /// To `ListRules`.
    RuleSets(Bounded<AnchorName, LIST_ITEMS_MAX>),
}
