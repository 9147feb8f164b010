//! Addresses of one network: pure.

use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The addresses of a network and who has them.
#[derive(Debug)]
pub(super) struct Pool {
    subnet: Ipv4Net,
    taken: BTreeMap<Ipv4Addr, String>,
    /// The last address given out: the next one is taken, so that an address is not used again at once.
    last: Ipv4Addr,
}

impl Pool {
    /// A network with nobody on it but the gateway, which has the first address.
    pub(super) fn new(subnet: Ipv4Net) -> Self {
        let subnet = subnet.trunc();
        let mut pool = Pool {
            subnet,
            taken: BTreeMap::new(),
            last: subnet.network(),
        };
        pool.last = pool.gateway();
        pool
    }

    pub(super) fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    pub(super) fn gateway(&self) -> Ipv4Addr {
        self.subnet
            .hosts()
            .next()
            .unwrap_or_else(|| self.subnet.network())
    }

    /// A free address for `owner`, or the one it has; none where all are taken.
    pub(super) fn take(&mut self, owner: &str) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.taken.iter().find(|(_, by)| *by == owner) {
            return Some(*address);
        }
        let is_free = |address: &Ipv4Addr| *address != self.gateway() && !self.taken.contains_key(address);
        let after = self
            .subnet
            .hosts()
            .filter(|address| *address > self.last)
            .find(is_free);
        let address = after.or_else(|| self.subnet.hosts().find(is_free))?;
        self.last = address;
        self.taken.insert(address, owner.to_owned());
        Some(address)
    }

    /// `owner` has this address already.
    pub(super) fn hold(&mut self, owner: &str, address: Ipv4Addr) {
        self.taken.insert(address, owner.to_owned());
    }

    /// Frees what `owner` has.
    pub(super) fn free(&mut self, owner: &str) {
        self.taken.retain(|_, by| by != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_owners_share_an_address_and_none_gets_the_gateway() {
        let mut pool = Pool::new("10.0.0.0/29".parse().unwrap());
        let given: Vec<_> = (0..6).map(|n| pool.take(&n.to_string())).collect();
        let wanted: Vec<Option<Ipv4Addr>> = (2..=6)
            .map(|d| Some(Ipv4Addr::new(10, 0, 0, d)))
            .chain([None])
            .collect();
        assert_eq!(given, wanted);
        assert_eq!(pool.take("0"), Some(Ipv4Addr::new(10, 0, 0, 2)));
        pool.free("3");
        assert_eq!(pool.take("x"), Some(Ipv4Addr::new(10, 0, 0, 5)));
    }

    #[test]
    fn a_freed_address_rests_while_others_are_free() {
        let mut pool = Pool::new("10.0.0.0/24".parse().unwrap());
        let first = pool.take("a");
        pool.free("a");
        assert_ne!(pool.take("b"), first);
    }
}
