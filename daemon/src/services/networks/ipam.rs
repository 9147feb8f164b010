//! The addresses of one subnet and who has them: pure.

use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// All are taken.
    Exhausted,
    /// Somebody has the wished one.
    InUse,
    /// The wished one is not of this subnet.
    Outside,
}

/// The addresses of a subnet and who has them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    subnet: IpNet,
    /// What addresses are given from: the subnet, or the part of it that the user named.
    range: IpNet,
    /// The gateway and addresses of others: never given.
    reserved: BTreeSet<IpAddr>,
    taken: BTreeMap<IpAddr, String>,
    /// The last address given out: the next one is taken, so that an address is not used again at once.
    last: u128,
}

impl Pool {
    /// A subnet with nobody on it. `reserved` are the gateway and whatever else must not be given.
    pub(super) fn new(
        subnet: IpNet,
        range: Option<IpNet>,
        reserved: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let range = range.unwrap_or(subnet);
        Pool {
            subnet,
            range,
            reserved: reserved.into_iter().collect(),
            taken: BTreeMap::new(),
            last: bits(range.network()).saturating_sub(1),
        }
    }

    pub(super) fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The address that `owner` has, else the wished one, else the one it would like best, else the next free one.
    pub(super) fn take(
        &mut self,
        owner: &str,
        wished: Option<IpAddr>,
        liked: Option<IpAddr>,
    ) -> Result<IpAddr, NoAddress> {
        if let Some((address, _)) = self.taken.iter().find(|(_, by)| *by == owner) {
            return Ok(*address);
        }
        let address = match wished {
            Some(wished) if !self.is_host(wished) => return Err(NoAddress::Outside),
            Some(wished) if !self.is_free(wished) => return Err(NoAddress::InUse),
            Some(wished) => wished,
            None => match liked {
                Some(liked) if self.is_host(liked) && self.range.contains(&liked) && self.is_free(liked) => {
                    liked
                }
                Some(_) | None => {
                    let next = self.next_free().ok_or(NoAddress::Exhausted)?;
                    self.last = bits(next);
                    next
                }
            },
        };
        self.taken.insert(address, owner.to_owned());
        Ok(address)
    }

    /// `owner` has this address already.
    pub(super) fn hold(&mut self, owner: &str, address: IpAddr) {
        self.taken.insert(address, owner.to_owned());
    }

    /// Frees what `owner` has.
    pub(super) fn free(&mut self, owner: &str) {
        self.taken.retain(|_, by| by != owner);
    }

    fn next_free(&self) -> Option<IpAddr> {
        let (first, last) = (bits(self.range.network()), bits(self.range.broadcast()));
        // Each address that is not free is one of those, so this many tries find a free one if there is one.
        let tries = (self.taken.len() + self.reserved.len() + 4) as u128;
        let size = (last - first).saturating_add(1);
        let begin = if (first..last).contains(&self.last) {
            self.last + 1 - first
        } else {
            0
        };
        (0..tries.min(size))
            .map(|step| self.address(first + (begin + step) % size))
            .find(|address| self.is_host(*address) && self.is_free(*address))
    }

    fn is_free(&self, address: IpAddr) -> bool {
        !self.taken.contains_key(&address) && !self.reserved.contains(&address)
    }

    /// Whether a station may have the address: not the subnet's own, nor IPv4's broadcast address.
    fn is_host(&self, address: IpAddr) -> bool {
        let is_point_to_point = self.subnet.prefix_len() + 1 >= self.subnet.max_prefix_len();
        self.subnet.contains(&address)
            && (is_point_to_point
                || (address != self.subnet.network()
                    && (address.is_ipv6() || address != self.subnet.broadcast())))
    }

    fn address(&self, bits: u128) -> IpAddr {
        match self.subnet {
            // The bits came from an IPv4 address, so they fit.
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The first address that is given out: the gateway's where nobody named another.
pub(super) fn first_address(net: IpNet, range: Option<IpNet>) -> IpAddr {
    Pool::new(net, range, [])
        .next_free()
        .unwrap_or_else(|| net.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, reserved: &[&str]) -> Pool {
        Pool::new(
            subnet.parse().unwrap(),
            None,
            reserved.iter().map(|a| a.parse().unwrap()),
        )
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_two_owners_share_an_address_and_none_gets_the_gateway() {
        let mut pool = pool("10.0.0.0/29", &["10.0.0.1"]);
        let given: Vec<_> = (0..6).map(|n| pool.take(&n.to_string(), None, None)).collect();
        let wanted: Vec<_> = (2..=6)
            .map(|d| Ok(ip(&format!("10.0.0.{d}"))))
            .chain([Err(NoAddress::Exhausted)])
            .collect();
        assert_eq!(given, wanted);
        assert_eq!(pool.take("0", None, None), Ok(ip("10.0.0.2")));
        pool.free("3");
        assert_eq!(pool.take("x", None, None), Ok(ip("10.0.0.5")));
    }

    #[test]
    fn a_freed_address_rests_while_others_are_free_but_its_last_owner_gets_it_back() {
        let mut pool = pool("10.0.0.0/24", &["10.0.0.1"]);
        let first = pool.take("a", None, None).unwrap();
        pool.free("a");
        assert_ne!(pool.take("b", None, None), Ok(first));
        assert_eq!(pool.take("a", None, Some(first)), Ok(first));
    }

    #[test]
    fn a_wished_address_is_given_or_refused() {
        let mut pool = pool("10.0.0.0/24", &["10.0.0.1", "10.0.0.9"]);
        assert_eq!(pool.take("a", Some(ip("10.0.0.77")), None), Ok(ip("10.0.0.77")));
        for (wished, why) in [
            ("10.0.0.77", NoAddress::InUse),
            ("10.0.0.1", NoAddress::InUse),
            ("10.0.0.9", NoAddress::InUse),
            ("10.0.0.0", NoAddress::Outside),
            ("10.0.0.255", NoAddress::Outside),
            ("10.0.1.2", NoAddress::Outside),
            ("fd00::2", NoAddress::Outside),
        ] {
            assert_eq!(pool.take("b", Some(ip(wished)), None), Err(why), "{wished}");
        }
    }

    #[test]
    fn a_range_limits_what_is_given_but_not_what_may_be_wished() {
        let range = Some("10.0.0.128/30".parse().unwrap());
        let mut pool = Pool::new("10.0.0.0/24".parse().unwrap(), range, [ip("10.0.0.1")]);
        assert_eq!(pool.take("w", Some(ip("10.0.0.5")), None), Ok(ip("10.0.0.5")));
        let given: Vec<_> = (0..5)
            .map(|n| pool.take(&n.to_string(), None, None).ok())
            .collect();
        let wanted: Vec<_> = (128..132)
            .map(|d| Some(ip(&format!("10.0.0.{d}"))))
            .chain([None])
            .collect();
        assert_eq!(given, wanted);
    }

    #[test]
    fn ipv6_subnets_give_their_second_address_first() {
        let mut pool = pool("fd00:1::/64", &["fd00:1::1"]);
        assert_eq!(first_address(pool.subnet(), None), ip("fd00:1::1"));
        assert_eq!(pool.take("a", None, None), Ok(ip("fd00:1::2")));
        assert_eq!(pool.take("b", None, None), Ok(ip("fd00:1::3")));
    }
}
