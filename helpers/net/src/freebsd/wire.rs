//! Bytes that FreeBSD's kernel takes and gives: interface requests, the route message, interface and route lists.
//!
//! No system calls here, so this is built and tested on every host. Offsets are those of the structs in net/if.h,
//! netinet/in_var.h, netinet6/in6_var.h, net/if_bridgevar.h and net/route.h on 64-bit machines; FreeBSD's numbers are
//! little-endian on all of them.

use crate::prefix;
use protocol::net::AddressPrefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `IFNAMSIZ`: bytes of an interface's name with its NUL.
pub const NAME_BYTES: usize = 16;
/// `sizeof(struct ifreq)`.
pub const IFREQ_BYTES: usize = 32;
/// `sizeof(struct in_aliasreq)`.
pub const ALIAS_BYTES: usize = 68;
/// `sizeof(struct in6_aliasreq)`.
pub const ALIAS6_BYTES: usize = 136;
/// Where the union of `struct ifreq` begins.
const VALUE_AT: usize = NAME_BYTES;

const AF_INET: u8 = 2;
const AF_LINK: u8 = 18;
const AF_INET6: u8 = 28;
const SOCKADDR_IN_BYTES: usize = 16;
const SOCKADDR_IN6_BYTES: usize = 28;
/// No duplicate address detection: nobody else can have the address on a bridge that was just made.
const IN6_IFF_NODAD: u32 = 0x20;

/// A name in its field; a longer one is cut, and no interface will have it.
#[must_use]
pub fn name(text: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    let count = text.len().min(NAME_BYTES - 1);
    bytes[..count].copy_from_slice(&text.as_bytes()[..count]);
    bytes
}

/// The text of a name's field, up to its NUL.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// `struct ifreq` with its union zero.
#[must_use]
pub fn ifreq(interface: &str) -> [u8; IFREQ_BYTES] {
    let mut bytes = [0; IFREQ_BYTES];
    bytes[..NAME_BYTES].copy_from_slice(&name(interface));
    bytes
}

/// `struct ifreq` with a number in its union: a jail id or a packet size.
#[must_use]
pub fn ifreq_number(interface: &str, number: i32) -> [u8; IFREQ_BYTES] {
    let mut bytes = ifreq(interface);
    bytes[VALUE_AT..VALUE_AT + 4].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// `struct ifreq` with an IPv4 address in its union.
#[must_use]
pub fn ifreq_address(interface: &str, address: Ipv4Addr) -> [u8; IFREQ_BYTES] {
    let mut bytes = ifreq(interface);
    bytes[VALUE_AT..].copy_from_slice(&sockaddr_in(address));
    bytes
}

/// `struct ifreq` with a hardware address: the length of its sockaddr is that of the hardware address (ether_ioctl).
#[must_use]
pub fn ifreq_station(interface: &str, mac: [u8; 6]) -> [u8; IFREQ_BYTES] {
    let mut bytes = ifreq(interface);
    bytes[VALUE_AT] = 6;
    bytes[VALUE_AT + 1] = AF_LINK;
    bytes[VALUE_AT + 2..VALUE_AT + 8].copy_from_slice(&mac);
    bytes
}

/// The flags that `SIOCGIFFLAGS` put into a request; the upper half stands behind the lower.
#[must_use]
pub fn flags(request: &[u8; IFREQ_BYTES]) -> u32 {
    number(request, VALUE_AT).unwrap_or(0)
}

/// Sets the flags for `SIOCSIFFLAGS`.
pub fn set_flags(request: &mut [u8; IFREQ_BYTES], flags: u32) {
    request[VALUE_AT..VALUE_AT + 4].copy_from_slice(&flags.to_le_bytes());
}

/// The capabilities in use that `SIOCGIFCAP` put into a request, behind the possible ones.
#[must_use]
pub fn capabilities(request: &[u8; IFREQ_BYTES]) -> u32 {
    number(request, VALUE_AT + 4).unwrap_or(0)
}

/// The IPv4 netmask's length that `SIOCGIFNETMASK` put into a request.
#[must_use]
pub fn netmask_bits(request: &[u8; IFREQ_BYTES]) -> u8 {
    leading_ones(&request[VALUE_AT + 4..VALUE_AT + 8])
}

/// `struct in_aliasreq`.
#[must_use]
pub fn alias(interface: &str, address: Ipv4Addr, prefix_bits: u8) -> [u8; ALIAS_BYTES] {
    let mut bytes = [0; ALIAS_BYTES];
    bytes[..16].copy_from_slice(&name(interface));
    bytes[16..32].copy_from_slice(&sockaddr_in(address));
    let netmask = prefix::netmask(prefix_bits);
    let broadcast = Ipv4Addr::from_bits(address.to_bits() | !netmask.to_bits());
    bytes[32..48].copy_from_slice(&sockaddr_in(broadcast));
    bytes[48..64].copy_from_slice(&sockaddr_in(netmask));
    bytes
}

/// `struct in6_aliasreq`, valid for ever.
#[must_use]
pub fn alias6(interface: &str, address: Ipv6Addr, prefix_bits: u8) -> [u8; ALIAS6_BYTES] {
    let mut bytes = [0; ALIAS6_BYTES];
    bytes[..16].copy_from_slice(&name(interface));
    bytes[16..44].copy_from_slice(&sockaddr_in6(address));
    let ones = u128::MAX
        .checked_shl(128 - u32::from(prefix_bits.min(128)))
        .unwrap_or(0);
    bytes[72..100].copy_from_slice(&sockaddr_in6(Ipv6Addr::from_bits(ones)));
    bytes[100..104].copy_from_slice(&IN6_IFF_NODAD.to_le_bytes());
    // Valid and preferred lifetime: ND6_INFINITE_LIFETIME.
    bytes[120..128].fill(0xff);
    bytes
}

/// The peer's name of the end that a new pair's `SIOCIFCREATE2` gives: `epair3a` has `epair3b`.
#[must_use]
pub fn peer(first: &str) -> Option<String> {
    first.strip_suffix('a').map(|pair| format!("{pair}b"))
}

fn sockaddr_in(address: Ipv4Addr) -> [u8; SOCKADDR_IN_BYTES] {
    let mut bytes = [0; SOCKADDR_IN_BYTES];
    bytes[0] = SOCKADDR_IN_BYTES as u8;
    bytes[1] = AF_INET;
    bytes[4..8].copy_from_slice(&address.octets());
    bytes
}

fn sockaddr_in6(address: Ipv6Addr) -> [u8; SOCKADDR_IN6_BYTES] {
    let mut bytes = [0; SOCKADDR_IN6_BYTES];
    bytes[0] = SOCKADDR_IN6_BYTES as u8;
    bytes[1] = AF_INET6;
    bytes[8..24].copy_from_slice(&address.octets());
    bytes
}

/// `sizeof(struct rt_msghdr)`.
const ROUTE_HEADER_BYTES: usize = 152;
/// Addresses in a message begin at multiples of this: `sizeof(long)`.
const ROUTE_ALIGNMENT_BYTES: usize = 8;
const RTM_VERSION: u8 = 5;
const RTM_ADD: u8 = 1;
const RTM_CHANGE: u8 = 3;
const RTF_UP: u32 = 1;
const RTF_GATEWAY: u32 = 2;
const RTF_HOST: u32 = 4;
const RTF_STATIC: u32 = 0x800;
const RTA_DST: u32 = 1;
const RTA_GATEWAY: u32 = 2;
const RTA_NETMASK: u32 = 4;

/// The message that adds or changes the default route (route(4)).
#[must_use]
pub fn default_route(gateway: IpAddr, change: bool) -> Vec<u8> {
    let mut bytes = vec![0; ROUTE_HEADER_BYTES];
    match gateway {
        IpAddr::V4(v4) => {
            for address in [Ipv4Addr::UNSPECIFIED, v4, Ipv4Addr::UNSPECIFIED] {
                bytes.extend_from_slice(&sockaddr_in(address));
            }
        }
        IpAddr::V6(v6) => {
            for address in [Ipv6Addr::UNSPECIFIED, v6, Ipv6Addr::UNSPECIFIED] {
                bytes.extend_from_slice(&sockaddr_in6(address));
                bytes.resize(bytes.len().next_multiple_of(ROUTE_ALIGNMENT_BYTES), 0);
            }
        }
    }
    let length = bytes.len() as u16;
    bytes[0..2].copy_from_slice(&length.to_le_bytes());
    bytes[2] = RTM_VERSION;
    bytes[3] = if change { RTM_CHANGE } else { RTM_ADD };
    bytes[8..12].copy_from_slice(&(RTF_UP | RTF_GATEWAY | RTF_STATIC).to_le_bytes());
    bytes[12..16].copy_from_slice(&(RTA_DST | RTA_GATEWAY | RTA_NETMASK).to_le_bytes());
    bytes[20..24].copy_from_slice(&1u32.to_le_bytes());
    bytes
}

/// The prefixes in a route list (`NET_RT_DUMP`). Default, link-local and multicast routes are left out.
#[must_use]
pub fn routes(mut list: &[u8]) -> Vec<AddressPrefix> {
    let mut found = Vec::new();
    while let Some(message) = list
        .get(..2)
        .map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])))
    {
        let Some(bytes) = list.get(..message.max(2)) else {
            break;
        };
        found.extend(route(bytes));
        list = &list[bytes.len()..];
    }
    found
}

fn route(message: &[u8]) -> Option<AddressPrefix> {
    let (flags, which) = (number(message, 8)?, number(message, 12)?);
    let mut rest = message.get(ROUTE_HEADER_BYTES..)?;
    let mut destination: &[u8] = &[];
    let mut netmask: &[u8] = &[];
    for bit in [RTA_DST, RTA_GATEWAY, RTA_NETMASK] {
        if which & bit == 0 {
            continue;
        }
        let length = usize::from(*rest.first()?);
        let one = rest.get(..length)?;
        match bit {
            RTA_DST => destination = one,
            RTA_NETMASK => netmask = one,
            _ => {}
        }
        // An empty one takes a whole step.
        rest = rest
            .get(length.max(1).next_multiple_of(ROUTE_ALIGNMENT_BYTES)..)
            .unwrap_or(&[]);
    }
    let (address, at) = match *destination.get(1)? {
        AF_INET => (IpAddr::from(<[u8; 4]>::try_from(destination.get(4..8)?).ok()?), 4),
        AF_INET6 => (
            IpAddr::from(<[u8; 16]>::try_from(destination.get(8..24)?).ok()?),
            8,
        ),
        _ => return None,
    };
    let width = prefix::width(address);
    let bits = if flags & RTF_HOST != 0 {
        width
    } else {
        // A netmask may end with its last byte that is not zero.
        leading_ones(netmask.get(at..).unwrap_or(&[])).min(width)
    };
    let is_global =
        !address.is_multicast() && !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    (bits > 0 && is_global).then_some(AddressPrefix {
        address,
        prefix_bits: bits,
    })
}

/// The interfaces and their IPv4 addresses in an interface list (`SIOCGIFCONF`).
#[must_use]
pub fn interfaces(mut list: &[u8]) -> Vec<(String, Ipv4Addr)> {
    let mut found = Vec::new();
    while let Some(&length) = list.get(VALUE_AT) {
        // An address is at least the sockaddr that struct ifreq has room for.
        let end = VALUE_AT + usize::from(length).max(IFREQ_BYTES - VALUE_AT);
        let Some(entry) = list.get(..end) else {
            break;
        };
        if entry[VALUE_AT + 1] == AF_INET {
            let [a, b, c, d] = [entry[20], entry[21], entry[22], entry[23]];
            found.push((text(&entry[..NAME_BYTES]), Ipv4Addr::new(a, b, c, d)));
        }
        list = &list[end..];
    }
    found
}

fn leading_ones(mask: &[u8]) -> u8 {
    let whole = mask.iter().take_while(|byte| **byte == 0xff).count();
    let part = mask.get(whole).map_or(0, |byte| byte.leading_ones() as usize);
    u8::try_from(whole * 8 + part).unwrap_or(u8::MAX)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str, prefix_bits: u8) -> AddressPrefix {
        AddressPrefix {
            address: text.parse().unwrap(),
            prefix_bits,
        }
    }

    #[test]
    fn requests_have_their_fields_where_the_kernel_looks() {
        let station = ifreq_station("epair0b", [2, 0x42, 172, 18, 0, 2]);
        assert_eq!(&station[..8], b"epair0b\0");
        assert_eq!(station[16..24], [6, 18, 2, 0x42, 172, 18, 0, 2]);
        assert_eq!(ifreq_number("x", 7)[16..20], [7, 0, 0, 0]);
        let mut request = ifreq("x");
        request[16..24].copy_from_slice(&[0x43, 0x88, 1, 0, 0x0b, 0, 0x60, 0]);
        assert_eq!(flags(&request), 0x0001_8843);
        assert_eq!(capabilities(&request), 0x0060_000b);
        let address = alias("cbbr0", Ipv4Addr::new(172, 18, 0, 1), 16);
        assert_eq!(address[16..24], [16, 2, 0, 0, 172, 18, 0, 1]);
        assert_eq!(address[32..40], [16, 2, 0, 0, 172, 18, 255, 255]);
        assert_eq!(address[48..56], [16, 2, 0, 0, 255, 255, 0, 0]);
        let address6 = alias6("cbbr0", "fd00::1".parse().unwrap(), 64);
        assert_eq!(address6[16..18], [28, 28]);
        assert_eq!((address6[24], address6[39]), (0xfd, 1));
        assert_eq!(address6[80..90], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0]);
        assert_eq!(address6[100..104], [0x20, 0, 0, 0]);
        assert_eq!(address6[120..130], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0]);
    }

    #[test]
    fn a_name_that_is_too_long_keeps_its_nul() {
        assert_eq!(name("abcdefghijklmnopqrst"), *b"abcdefghijklmno\0");
        assert_eq!(text(&name("em0")), "em0");
    }

    #[test]
    fn the_second_end_of_a_pair_follows_from_the_first() {
        assert_eq!(peer("epair12a").as_deref(), Some("epair12b"));
        assert_eq!(peer("epair12"), None);
    }

    #[test]
    fn the_default_route_is_a_message_of_a_header_and_three_addresses() {
        let message = default_route("fd00::1".parse().unwrap(), true);
        assert_eq!(message.len(), 152 + 3 * 32);
        assert_eq!(message[..4], [248, 0, 5, 3]);
        assert_eq!(message[152..156], [28, 28, 0, 0]);
        assert_eq!(message[184..186], [28, 28]);
        assert_eq!((message[192], message[207]), (0xfd, 1));
        assert_eq!(message[216..218], [28, 28]);
        let message = default_route("172.18.0.1".parse().unwrap(), false);
        assert_eq!(message.len(), 200);
        assert_eq!(message[..4], [200, 0, 5, 1]);
        assert_eq!(message[8..16], [3, 8, 0, 0, 7, 0, 0, 0]);
        assert_eq!(message[152..160], [16, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(message[168..176], [16, 2, 0, 0, 172, 18, 0, 1]);
    }

    fn message(flags: u32, parts: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; ROUTE_HEADER_BYTES];
        let which: u32 = parts.iter().map(|(bit, _)| bit).sum();
        for (_, part) in parts {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(8).max(bytes.len()), 0);
            if part.is_empty() {
                bytes.extend_from_slice(&[0; 8]);
            }
        }
        let length = bytes.len() as u16;
        bytes[..2].copy_from_slice(&length.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..16].copy_from_slice(&which.to_le_bytes());
        bytes
    }

    #[test]
    fn a_route_list_gives_its_prefixes() {
        let v4 = |text: &str| sockaddr_in(text.parse().unwrap());
        let v6 = |text: &str| sockaddr_in6(text.parse().unwrap());
        let link = [8, 18, 1, 0, 0, 0, 0, 0];
        let list: Vec<u8> = [
            // A netmask cut behind its last byte that counts, as route(4) allows.
            message(
                1,
                &[
                    (RTA_DST, &v4("10.0.0.0")),
                    (RTA_GATEWAY, &link),
                    (RTA_NETMASK, &[5, 0, 0, 0, 255]),
                ],
            ),
            message(
                3,
                &[
                    (RTA_DST, &v4("0.0.0.0")),
                    (RTA_GATEWAY, &v4("192.0.2.1")),
                    (RTA_NETMASK, &[]),
                ],
            ),
            message(5, &[(RTA_DST, &v4("192.0.2.9")), (RTA_GATEWAY, &link)]),
            message(
                1,
                &[
                    (RTA_DST, &v6("fd00:1::")),
                    (RTA_GATEWAY, &link),
                    (RTA_NETMASK, &v6("ffff:ffff:ffff::")),
                ],
            ),
            message(
                1,
                &[
                    (RTA_DST, &v6("fe80::")),
                    (RTA_GATEWAY, &link),
                    (RTA_NETMASK, &v6("ffc0::")),
                ],
            ),
            message(1, &[(RTA_DST, &link), (RTA_GATEWAY, &link)]),
        ]
        .concat();
        let expected = [
            prefix("10.0.0.0", 8),
            prefix("192.0.2.9", 32),
            prefix("fd00:1::", 48),
        ];
        assert_eq!(routes(&list), expected);
        assert_eq!(
            routes(&list[..list.len() - 1]),
            expected,
            "a message cut short is left out"
        );
        assert_eq!(routes(&[0, 0, 0]), []);
    }

    #[test]
    fn an_interface_list_gives_its_ipv4_addresses() {
        let link = |interface: &str| {
            let mut entry = name(interface).to_vec();
            entry.push(54);
            entry.push(AF_LINK);
            entry.resize(NAME_BYTES + 54, 0);
            entry
        };
        let inet = ifreq_address("em0", Ipv4Addr::new(192, 0, 2, 1)).to_vec();
        let list = [link("em0"), inet, link("lo0"), ifreq("none").to_vec()].concat();
        assert_eq!(
            interfaces(&list),
            [("em0".to_owned(), Ipv4Addr::new(192, 0, 2, 1))]
        );
        assert_eq!(interfaces(&list[..40]), []);
    }

    #[test]
    fn netmasks_are_read_as_lengths() {
        for (mask, bits) in [([255, 255, 240, 0], 20), ([0; 4], 0), ([255; 4], 32)] {
            let request = ifreq_address("x", Ipv4Addr::from(mask));
            assert_eq!(netmask_bits(&request), bits);
        }
    }
}
