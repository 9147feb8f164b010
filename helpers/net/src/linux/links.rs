//! Bridges and endpoint pairs (rtnetlink(7), `struct ifinfomsg`).

use super::netlink::{self, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Reply, Socket};
use crate::prefix;
use crate::service::Endpoint;
use protocol::names::InterfaceName;
use protocol::net::AddressPrefix;
use protocol::{Answer, ErrorCode, HelperError};
use std::io;
use std::net::IpAddr;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
/// Bytes of `struct ifinfomsg`.
const IFINFOMSG_BYTES: usize = 16;
const IFF_UP: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const RTM_NEWROUTE: u16 = 24;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// An IPv6 address is usable at once: nobody else can have it on a bridge that was just made.
const IFA_F_NODAD: u32 = 2;

const BRIDGE: &str = "bridge";
const PAIR: &str = "veth";

/// An interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    kind: String,
    /// Whether it is a pair whose other end is in another network namespace.
    leads_elsewhere: bool,
}

/// A bridge with these addresses, up. What is there already is completed.
pub(super) fn ensure_bridge(
    socket: &mut Socket,
    bridge: &InterfaceName,
    addresses: &[AddressPrefix],
    mtu_bytes: u16,
) -> Answer<()> {
    let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifinfomsg(0, 0))
        .text(IFLA_IFNAME, bridge.as_str())
        .nest(IFLA_LINKINFO, &[], |info| info.text(IFLA_INFO_KIND, BRIDGE));
    // Without an address of its own a bridge takes over the lowest one of its members, and changes it as they come and
    // go, while containers still remember the old one for their gateway.
    if let Some(mac) = addresses.iter().find_map(|own| station_of(own.address)) {
        message = message.bytes(IFLA_ADDRESS, &mac);
    }
    match socket.ask(&message) {
        Ok(_) => {}
        Err(there) if there.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unsupported_or("making a bridge", &error)),
    }
    let link = find(socket, bridge.as_str())?.ok_or_else(|| gone(bridge.as_str()))?;
    if link.kind != BRIDGE {
        let why = format!("{bridge} is there already and is no bridge");
        return Err(HelperError::new(ErrorCode::AlreadyExists, why));
    }
    let up =
        Message::new(RTM_NEWLINK, 0, &ifinfomsg(link.index, IFF_UP)).number(IFLA_MTU, u32::from(mtu_bytes));
    let raised = socket.ask(&up);
    raised.map_err(|e| HelperError::system("bringing a bridge up", &e))?;
    addresses
        .iter()
        .try_for_each(|address| add_address(socket, link.index, *address))
}

/// Makes the pair whole in one message: one end on the bridge and up, the other in the jail's network under its name.
pub(super) fn attach(socket: &mut Socket, endpoint: &Endpoint<'_>) -> Answer<()> {
    let bridge = find(socket, endpoint.bridge.as_str())?.ok_or_else(|| gone(endpoint.bridge.as_str()))?;
    if bridge.kind != BRIDGE {
        let why = format!("{} is no bridge", endpoint.bridge);
        return Err(HelperError::new(ErrorCode::Refused, why));
    }
    let mtu_bytes = u32::from(endpoint.mtu_bytes);
    let message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifinfomsg(0, IFF_UP))
        .text(IFLA_IFNAME, endpoint.host_end.as_str())
        .number(IFLA_MTU, mtu_bytes)
        .number(IFLA_MASTER, bridge.index)
        .nest(IFLA_LINKINFO, &[], |info| {
            info.text(IFLA_INFO_KIND, PAIR).nest(IFLA_INFO_DATA, &[], |data| {
                data.nest(VETH_INFO_PEER, &ifinfomsg(0, 0), |peer| {
                    peer.text(IFLA_IFNAME, endpoint.inner.as_str())
                        .bytes(IFLA_ADDRESS, &endpoint.mac)
                        .number(IFLA_MTU, mtu_bytes)
                        .number(IFLA_NET_NS_PID, endpoint.jid.cast_unsigned())
                })
            })
        });
    socket.ask(&message).map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => HelperError::new(ErrorCode::NotFound, format!("no jail {}", endpoint.jid)),
        Some(_) | None => unsupported_or("making a pair of interfaces", &error),
    })?;
    refuse_own_namespace(socket, endpoint.host_end)?;
    set_member_flags(socket, endpoint.host_end, endpoint.isolated)
}

/// Makes the bridge keep frames of its isolated members from each other, and send a frame back where it came in if its
/// destination was translated to a member that asked itself (bridge(8), `isolated` and `hairpin`).
fn set_member_flags(socket: &mut Socket, host_end: &InterfaceName, isolated: bool) -> Answer<()> {
    let link = find(socket, host_end.as_str())?.ok_or_else(|| gone(host_end.as_str()))?;
    let mut fixed = ifinfomsg(link.index, 0);
    fixed[0] = libc::AF_BRIDGE as u8;
    let message = Message::new(RTM_SETLINK, 0, &fixed).nest(IFLA_PROTINFO, &[], |port| {
        port.bytes(IFLA_BRPORT_MODE, &[1])
            .bytes(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)])
    });
    match socket.ask(&message) {
        Ok(_) => Ok(()),
        Err(error) => {
            remove(socket, host_end)?;
            Err(unsupported_or("setting up a member of a bridge", &error))
        }
    }
}

/// The id may be any process: one that shares this host's network would have got an interface of any name in it. The kernel
/// says where the other end is only once the pair is there.
fn refuse_own_namespace(socket: &mut Socket, host_end: &InterfaceName) -> Answer<()> {
    let link = find(socket, host_end.as_str())?.ok_or_else(|| gone(host_end.as_str()))?;
    if link.leads_elsewhere {
        return Ok(());
    }
    remove(socket, host_end)?;
    Err(HelperError::new(
        ErrorCode::Refused,
        "this jail has no network of its own",
    ))
}

/// Removes a bridge or a pair. Done if it is not there.
pub(super) fn remove(socket: &mut Socket, interface: &InterfaceName) -> Answer<()> {
    let Some(link) = find(socket, interface.as_str())? else {
        return Ok(());
    };
    if link.kind != BRIDGE && link.kind != PAIR {
        // Somebody else's, with a name like ours.
        return Err(HelperError::new(
            ErrorCode::Refused,
            format!("{interface} is neither a bridge nor a pair"),
        ));
    }
    match socket.ask(&Message::new(RTM_DELLINK, 0, &ifinfomsg(link.index, 0))) {
        Ok(_) => Ok(()),
        // A pair goes with the jail that holds its other end, at any time.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        Err(error) => Err(HelperError::system("removing an interface", &error)),
    }
}

/// Names of the interfaces of ours, in any order.
pub(super) fn list(socket: &mut Socket) -> Answer<Vec<InterfaceName>> {
    let dump = Message::dump(RTM_GETLINK, &ifinfomsg(0, 0));
    let replies = socket
        .ask(&dump)
        .map_err(|e| HelperError::system("listing interfaces", &e))?;
    let ours = |link: Link| matches!(link.kind.as_str(), BRIDGE | PAIR).then_some(link.name);
    Ok(replies
        .iter()
        .map(parse)
        .filter_map(ours)
        .filter_map(|name| InterfaceName::new(name).ok())
        .collect())
}

fn find(socket: &mut Socket, interface: &str) -> Answer<Option<Link>> {
    let message = Message::new(RTM_GETLINK, 0, &ifinfomsg(0, 0)).text(IFLA_IFNAME, interface);
    match socket.ask(&message) {
        Ok(replies) => Ok(replies.first().map(parse)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(HelperError::system("looking an interface up", &error)),
    }
}

fn parse(reply: &Reply) -> Link {
    let mut link = Link {
        index: reply.number(4),
        name: String::new(),
        kind: String::new(),
        leads_elsewhere: false,
    };
    for (kind, value) in reply.attributes(IFINFOMSG_BYTES) {
        match kind {
            IFLA_IFNAME => link.name = netlink::text(value).unwrap_or_default().to_owned(),
            IFLA_LINK_NETNSID => link.leads_elsewhere = true,
            IFLA_LINKINFO => {
                let found = netlink::attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                link.kind = found
                    .and_then(|(_, value)| netlink::text(value))
                    .unwrap_or_default()
                    .to_owned();
            }
            _ => {}
        }
    }
    link
}

/// The number of an interface after it has been brought up.
pub(super) fn bring_up(socket: &mut Socket, interface: &str) -> Answer<u32> {
    let link = find(socket, interface)?.ok_or_else(|| gone(interface))?;
    let up = Message::new(RTM_NEWLINK, 0, &ifinfomsg(link.index, IFF_UP));
    let raised = socket.ask(&up);
    raised.map_err(|e| HelperError::system("bringing an interface up", &e))?;
    Ok(link.index)
}

/// Makes the default route of the gateway's family lead to it.
pub(super) fn set_default_route(socket: &mut Socket, index: u32, gateway: IpAddr) -> Answer<()> {
    let (family, bytes) = octets(gateway);
    // struct rtmsg: family, lengths, type of service, table main, protocol boot, scope universe, type unicast, flags.
    let fixed = [family, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &fixed)
        .bytes(RTA_GATEWAY, &bytes)
        .number(RTA_OIF, index);
    let set = socket.ask(&message);
    set.map(|_| ())
        .map_err(|e| HelperError::system("setting the default route", &e))
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
    }
}

/// Gives an interface an address; one that is there already stays.
pub(super) fn add_address(socket: &mut Socket, index: u32, prefix: AddressPrefix) -> Answer<()> {
    let (family, bytes) = octets(prefix.address);
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut fixed = vec![family, prefix.prefix_bits, 0, 0];
    fixed.extend_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &fixed)
        .bytes(IFA_LOCAL, &bytes)
        .bytes(IFA_ADDRESS, &bytes)
        .number(IFA_FLAGS, IFA_F_NODAD);
    if let (IpAddr::V4(address), 0..31) = (prefix.address, prefix.prefix_bits) {
        let broadcast = address.to_bits() | !prefix::netmask(prefix.prefix_bits).to_bits();
        message = message.bytes(IFA_BROADCAST, &broadcast.to_be_bytes());
    }
    let added = socket.ask(&message);
    added
        .map(|_| ())
        .map_err(|e| HelperError::system("giving an interface its address", &e))
}

/// The hardware address that goes with an IPv4 address, as Docker forms it.
fn station_of(address: IpAddr) -> Option<[u8; 6]> {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Some([0x02, 0x42, a, b, c, d])
        }
        IpAddr::V6(_) => None,
    }
}

/// `struct ifinfomsg`: family and type 0, index, flags, and which flags change.
fn ifinfomsg(index: u32, flags: u32) -> [u8; IFINFOMSG_BYTES] {
    let mut bytes = [0; IFINFOMSG_BYTES];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn gone(interface: &str) -> HelperError {
    HelperError::new(ErrorCode::NotFound, format!("no interface {interface}"))
}

fn unsupported_or(step: &str, error: &io::Error) -> HelperError {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => HelperError {
            code: ErrorCode::Unsupported,
            ..HelperError::system(step, error)
        },
        Some(_) | None => HelperError::system(step, error),
    }
}
