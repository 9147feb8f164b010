//! Arithmetic on address prefixes, for both address families and both hosts.

use protocol::net::AddressPrefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address bits, left-aligned in 128, so that both families share one arithmetic.
fn aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The mask of `prefix_bits` leading ones. 128 bits at most count.
fn mask(prefix_bits: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(prefix_bits.min(128)))
        .unwrap_or(0)
}

/// The number of bits of an address of this family.
#[must_use]
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The prefix with the host part cleared.
#[must_use]
pub fn network(prefix: AddressPrefix) -> AddressPrefix {
    let bits = aligned(prefix.address) & mask(prefix.prefix_bits);
    let address = match prefix.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    };
    AddressPrefix { address, ..prefix }
}

/// Whether the two prefixes share an address.
#[must_use]
pub fn overlap(one: AddressPrefix, other: AddressPrefix) -> bool {
    let common = mask(one.prefix_bits.min(other.prefix_bits));
    one.address.is_ipv4() == other.address.is_ipv4()
        && aligned(one.address) & common == aligned(other.address) & common
}

/// Whether the address lies within the prefix.
#[must_use]
pub fn covers(prefix: AddressPrefix, address: IpAddr) -> bool {
    overlap(
        prefix,
        AddressPrefix {
            address,
            prefix_bits: width(address),
        },
    )
}

/// The IPv4 netmask of a prefix length of at most 32.
#[must_use]
pub fn netmask(prefix_bits: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits((mask(prefix_bits.min(32)) >> 96) as u32)
}

/// The prefix as both hosts' rule languages write it, host part cleared.
#[must_use]
pub fn text(prefix: AddressPrefix) -> String {
    let network = network(prefix);
    format!("{}/{}", network.address, network.prefix_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> AddressPrefix {
        let (address, bits) = text.split_once('/').unwrap();
        AddressPrefix {
            address: address.parse().unwrap(),
            prefix_bits: bits.parse().unwrap(),
        }
    }

    #[test]
    fn the_host_part_is_cleared() {
        for (given, network) in [
            ("172.18.3.4/16", "172.18.0.0/16"),
            ("10.0.0.7/32", "10.0.0.7/32"),
            ("10.0.0.7/0", "0.0.0.0/0"),
            ("fd00:1:2::5/48", "fd00:1:2::/48"),
            ("::1/128", "::1/128"),
        ] {
            assert_eq!(text(prefix(given)), network);
        }
    }

    #[test]
    fn prefixes_overlap_when_one_holds_the_other() {
        assert!(overlap(prefix("10.0.0.0/8"), prefix("10.9.0.0/16")));
        assert!(overlap(prefix("10.9.0.0/16"), prefix("10.0.0.0/8")));
        assert!(!overlap(prefix("10.9.0.0/16"), prefix("10.8.0.0/16")));
        assert!(
            !overlap(prefix("0.0.0.0/0"), prefix("::/0")),
            "families never overlap"
        );
    }

    #[test]
    fn a_prefix_covers_its_own_addresses_only() {
        assert!(covers(prefix("192.168.4.0/22"), "192.168.7.255".parse().unwrap()));
        assert!(!covers(prefix("192.168.4.0/22"), "192.168.8.0".parse().unwrap()));
    }

    #[test]
    fn netmasks_follow_the_prefix_length() {
        assert_eq!(netmask(0), Ipv4Addr::UNSPECIFIED);
        assert_eq!(netmask(20), Ipv4Addr::new(255, 255, 240, 0));
        assert_eq!(netmask(32), Ipv4Addr::BROADCAST);
    }
}
