//! Which subnet a network gets where nobody named one: dockerd's default pools, without what is in use. Pure.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv6 subnets tried for one network. A host with more networks than this has other worries.
const IPV6_SUBNETS_MAX: u16 = 4096;

/// dockerd's default IPv4 pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on by /20.
pub(super) fn ipv4() -> impl Iterator<Item = IpNet> {
    let wide = (17..=31).map(|b| (Ipv4Addr::new(172, b, 0, 0), 16));
    let narrow = (0..16).map(|c| (Ipv4Addr::new(192, 168, c * 16, 0), 20));
    wide.chain(narrow)
        .filter_map(|(address, bits)| Ipv4Net::new(address, bits).ok().map(IpNet::V4))
}

/// The /64s of a unique local prefix (RFC 4193) that is this installation's own.
pub(super) fn ipv6(installation: &str) -> impl Iterator<Item = IpNet> {
    let global_id = installation
        .get(..10)
        .and_then(|digits| u128::from_str_radix(digits, 16).ok())
        .unwrap_or_default();
    let prefix = (0xfd_u128 << 120) | (global_id << 80);
    (0..IPV6_SUBNETS_MAX).filter_map(move |subnet| {
        let address = Ipv6Addr::from_bits(prefix | (u128::from(subnet) << 64));
        Ipv6Net::new(address, 64).ok().map(IpNet::V6)
    })
}

/// Whether two subnets share an address.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// The first candidate that shares no address with those in use.
pub(super) fn first_free(mut candidates: impl Iterator<Item = IpNet>, used: &[IpNet]) -> Option<IpNet> {
    candidates.find(|candidate| !used.iter().any(|known| overlap(candidate, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_pools_are_dockerds() {
        let all: Vec<String> = ipv4().map(|net| net.to_string()).collect();
        assert_eq!(all.len(), 31);
        assert_eq!(
            (all[0].as_str(), all[14].as_str()),
            ("172.17.0.0/16", "172.31.0.0/16")
        );
        assert_eq!(
            (all[15].as_str(), all[30].as_str()),
            ("192.168.0.0/20", "192.168.240.0/20")
        );
    }

    #[test]
    fn what_is_in_use_is_stepped_over() {
        let used = nets(&["172.16.0.0/15", "172.18.5.0/24", "fd00::/8"]);
        assert_eq!(
            first_free(ipv4(), &used),
            nets(&["172.19.0.0/16"]).first().copied()
        );
        assert_eq!(first_free(ipv4(), &nets(&["0.0.0.0/0"])), None);
        assert_eq!(first_free(ipv6("ab"), &used), None);
    }

    #[test]
    fn ipv6_subnets_begin_with_the_installations_id() {
        let id = "0123456789abcdef";
        let first: Vec<IpNet> = ipv6(id).take(2).collect();
        assert_eq!(first, nets(&["fd01:2345:6789::/64", "fd01:2345:6789:1::/64"]));
    }
}
