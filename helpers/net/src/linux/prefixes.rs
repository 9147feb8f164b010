//! The prefixes that this host uses now (rtnetlink(7), dumps of addresses and routes).

use super::netlink::{Message, Reply, Socket};
use crate::prefix;
use protocol::net::AddressPrefix;
use protocol::{Answer, HelperError};
use std::net::IpAddr;

const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const IFA_ADDRESS: u16 = 1;
const RTA_DST: u16 = 1;
/// Bytes of `struct ifaddrmsg`.
const IFADDRMSG_BYTES: usize = 8;
/// Bytes of `struct rtmsg`.
const RTMSG_BYTES: usize = 12;
/// The kernel's own table of local and broadcast addresses: each of its addresses is dumped as such.
const RT_TABLE_LOCAL: u8 = 255;

/// Every prefix that has an address or a route here, host parts cleared. Default routes are none.
pub(super) fn list(socket: &mut Socket) -> Answer<Vec<AddressPrefix>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        for (kind, fixed_bytes) in [(RTM_GETADDR, IFADDRMSG_BYTES), (RTM_GETROUTE, RTMSG_BYTES)] {
            let mut fixed = vec![0; fixed_bytes];
            fixed[0] = family;
            let replies = socket
                .ask(&Message::dump(kind, &fixed))
                .map_err(|e| HelperError::system("listing addresses and routes", &e))?;
            let parse = if kind == RTM_GETADDR { address_of } else { route_of };
            found.extend(replies.iter().filter_map(parse));
        }
    }
    Ok(found
        .into_iter()
        .filter(|one| one.prefix_bits > 0)
        .map(prefix::network)
        .collect())
}

/// `struct ifaddrmsg`: family, prefix length, …
fn address_of(reply: &Reply) -> Option<AddressPrefix> {
    let (_, value) = reply
        .attributes(IFADDRMSG_BYTES)
        .find(|(kind, _)| *kind == IFA_ADDRESS)?;
    Some(AddressPrefix {
        address: address(value)?,
        prefix_bits: reply.byte(1),
    })
}

/// `struct rtmsg`: family, length of destination and source, type of service, table, …
fn route_of(reply: &Reply) -> Option<AddressPrefix> {
    if reply.byte(4) == RT_TABLE_LOCAL {
        return None;
    }
    let (_, value) = reply.attributes(RTMSG_BYTES).find(|(kind, _)| *kind == RTA_DST)?;
    Some(AddressPrefix {
        address: address(value)?,
        prefix_bits: reply.byte(1),
    })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}
