//! NETWORKS (rank 4): the predefined networks `bridge`, `host` and `none`, and the addresses in use on the bridge.
//!
//! User-defined networks come with an issue of their own. Not an actor: one map behind a lock, never held across a wait for
//! anything but itself.

mod ipam;

use crate::services::containers::Endpoint;
use crate::services::{Failure, clock, naming};
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use ipam::Pool;
use ipnet::Ipv4Net;
use protocol::names::{AnchorName, Bounded, InterfaceName};
use protocol::net::{AddressPrefix, Request, RuleSet};
use protocol::{ErrorCode, Principal};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Prefixes tried after the configured one: the rest of dockerd's default pools with 65,536 addresses.
const FALLBACK_SUBNETS: std::ops::RangeInclusive<u8> = 18..=31;

/// How often a prefix is chosen for one bridge. Each further try means that another engine took the chosen one within
/// milliseconds, and there are no more prefixes than this.
const BRIDGE_TRIES_MAX: u8 = 14;

/// A predefined network, as stored (kind `Network`, key = name).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `bridge`, `host` or `none`.
    pub name: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// Its addresses; the first one is the gateway.
    pub subnet: Option<Ipv4Net>,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Networks {
    helpers: Helpers,
    installation: Arc<str>,
    store: Store,
    wanted: Ipv4Net,
    networks: Arc<Mutex<Vec<Network>>>,
    pool: Arc<Mutex<Pool>>,
    /// Whether the bridge has been made by this daemon.
    bridge_is_up: Arc<tokio::sync::Mutex<bool>>,
}

impl Networks {
    /// Loads the networks, makes the missing ones. The default bridge's prefix is chosen once, outside what the host routes.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn start(
        store: &Store,
        helpers: Helpers,
        installation: String,
        wanted: Ipv4Net,
    ) -> Result<Self, Failure> {
        let mut networks = Vec::new();
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            let network = match store.get(Kind::Network, name).await? {
                Some(network) => network,
                None => {
                    // Checked again when the bridge is made.
                    let subnet = (name == "bridge").then_some(wanted);
                    let network = Network {
                        id: naming::new_id(),
                        name: name.to_owned(),
                        driver: driver.to_owned(),
                        created_ns: clock::now_ns(),
                        subnet,
                    };
                    store.put(Kind::Network, name, &network).await?;
                    network
                }
            };
            networks.push(network);
        }
        let subnet = networks
            .iter()
            .find_map(|network| network.subnet)
            .unwrap_or(wanted);
        Ok(Networks {
            helpers,
            installation: installation.into(),
            store: store.clone(),
            wanted,
            networks: Arc::new(Mutex::new(networks)),
            pool: Arc::new(Mutex::new(Pool::new(subnet))),
            bridge_is_up: Arc::default(),
        })
    }

    /// The installation's id, which interface names begin with.
    #[must_use]
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Every network.
    #[must_use]
    pub fn all(&self) -> Vec<Network> {
        self.networks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A network by name, id or beginning of an id.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words.
    pub fn find(&self, text: &str) -> Result<Network, Failure> {
        let networks = self.all();
        let by_name = networks
            .iter()
            .find(|network| network.name == text || network.id == text);
        let by_id = || {
            networks
                .iter()
                .find(|network| !text.is_empty() && network.id.starts_with(text))
        };
        let found = by_name.or_else(by_id).cloned();
        found.ok_or_else(|| Failure::NotFound(format!("network {text} not found")))
    }

    /// The interface of a network that has one.
    #[must_use]
    pub fn bridge_name(&self, network: &Network) -> Option<String> {
        let bridge = naming::bridge_interface(&self.installation, &network.id).ok()?;
        network.subnet.map(|_| bridge.as_str().to_owned())
    }

    /// Gives a container an address on a network, whose bridge is made if it is the first.
    ///
    /// # Errors
    /// `NotFound` for an unknown network, `Unavailable` where no address is free, or what the net helper answers.
    pub async fn join(&self, by: &Principal, name: &str, container: &str) -> Result<Endpoint, Failure> {
        self.ensure_bridge(by, name).await?;
        let network = self.find(name)?;
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let address = pool.take(container).ok_or_else(|| {
            Failure::Unavailable(format!(
                "no available IPv4 addresses on this network's address pools: {name}"
            ))
        })?;
        let [a, b, c, d] = address.octets();
        Ok(Endpoint {
            network_id: network.id.clone(),
            network_name: network.name.clone(),
            endpoint_id: naming::new_id(),
            address,
            prefix_bits: pool.subnet().prefix_len(),
            gateway: pool.gateway(),
            // dockerd's rule for the default bridge: a locally administered prefix, then the address.
            mac: [0x02, 0x42, a, b, c, d],
        })
    }

    /// An address that a container has from an earlier daemon.
    pub fn rejoin(&self, endpoint: &Endpoint, container: &str) {
        self.pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hold(container, endpoint.address);
    }

    /// Frees a container's address.
    pub async fn leave(&self, _name: &str, container: &str) {
        self.pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free(container);
    }

    /// Makes the bridge of a network with its rules, once; gives its interface.
    ///
    /// # Errors
    /// What the net helper answers. A host without a packet filter gets a warning and no address translation.
    pub async fn ensure_bridge(&self, by: &Principal, name: &str) -> Result<InterfaceName, Failure> {
        let network = self.find(name)?;
        let bridge = naming::bridge_interface(&self.installation, &network.id)?;
        let mut is_up = self.bridge_is_up.lock().await;
        if *is_up {
            return Ok(bridge);
        }
        let subnet = self.make_bridge(by, &network.name, &bridge).await?;
        let prefix = AddressPrefix {
            address: IpAddr::V4(subnet.network()),
            prefix_bits: subnet.prefix_len(),
        };
        let rules = RuleSet {
            bridge: bridge.clone(),
            subnets: Bounded::new(vec![prefix])?,
            masquerade: true,
            ports: Bounded::default(),
        };
        let load = Request::LoadRules {
            anchor: anchor(&network)?,
            rules: Box::new(rules),
        };
        match self.helpers.net.change(by, load, Vec::new()).await {
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => {
                tracing::warn!(%error, "containers cannot reach the outside");
            }
            other => other?,
        }
        *is_up = true;
        Ok(bridge)
    }

    /// Makes the bridge with the first prefix that the host has no use for. Another engine may take one between the choice and
    /// the making; the helper, which sees both, says so then.
    async fn make_bridge(
        &self,
        by: &Principal,
        name: &str,
        bridge: &InterfaceName,
    ) -> Result<Ipv4Net, Failure> {
        let mut tries = BRIDGE_TRIES_MAX;
        loop {
            self.avoid_the_hosts_prefixes(by, &self.find(name)?, bridge)
                .await?;
            let (subnet, gateway) = {
                let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
                (pool.subnet(), pool.gateway())
            };
            let host_address = AddressPrefix {
                address: IpAddr::V4(gateway),
                prefix_bits: subnet.prefix_len(),
            };
            let ensure = Request::EnsureBridge {
                bridge: bridge.clone(),
                addresses: Bounded::new(vec![host_address])?,
                mtu: 1500,
            };
            tries -= 1;
            match self.helpers.net.change(by, ensure, Vec::new()).await {
                Err(error) if error.code() == Some(ErrorCode::AddressInUse) && tries > 0 => {
                    tracing::info!(%error, "another prefix is tried");
                }
                done => return Ok(done.map(|()| subnet)?),
            }
        }
    }

    /// Moves the network to another prefix where the host has come to route its own: a VPN, another engine. A bridge that is up
    /// (containers outlived an earlier daemon) stays where it is.
    async fn avoid_the_hosts_prefixes(
        &self,
        by: &Principal,
        network: &Network,
        bridge: &InterfaceName,
    ) -> Result<(), Failure> {
        if self.helpers.net.list(by).await?.contains(bridge) {
            return Ok(());
        }
        let own = network.subnet.unwrap_or(self.wanted);
        let subnet = free_subnet(&self.helpers, by, own, self.wanted).await;
        if subnet == own {
            return Ok(());
        }
        let moved = Network {
            subnet: Some(subnet),
            ..network.clone()
        };
        self.store.put(Kind::Network, &moved.name, &moved).await?;
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = Pool::new(subnet);
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks
            .iter_mut()
            .filter(|known| known.id == moved.id)
            .for_each(|known| *known = moved.clone());
        Ok(())
    }

    /// Takes the bridge and its rules away: the daemon is asked to leave nothing behind.
    pub async fn tear_down(&self, by: &Principal) {
        for network in self.all().iter().filter(|network| network.subnet.is_some()) {
            let (Ok(anchor), Ok(bridge)) = (
                anchor(network),
                naming::bridge_interface(&self.installation, &network.id),
            ) else {
                continue;
            };
            let cleared = self
                .helpers
                .net
                .change(by, Request::ClearRules { anchor }, Vec::new())
                .await;
            let removed = self.helpers.net.remove_interface(by, bridge).await;
            for error in [cleared.err(), removed.err()].into_iter().flatten() {
                tracing::warn!(%error, "network not taken away");
            }
        }
        *self.bridge_is_up.lock().await = false;
    }
}

fn anchor(network: &Network) -> Result<AnchorName, Failure> {
    Ok(AnchorName::new(network.id.get(..12).unwrap_or(&network.id))?)
}

/// The network's own prefix, the wanted one, or the next of the pool: the first that the host has no route into.
async fn free_subnet(helpers: &Helpers, by: &Principal, own: Ipv4Net, wanted: Ipv4Net) -> Ipv4Net {
    let routed: Vec<Ipv4Net> = match helpers.net.host_prefixes(by).await {
        Ok(prefixes) => prefixes.iter().filter_map(as_v4_net).collect(),
        Err(error) => {
            tracing::warn!(%error, "the host's routes are not known; its prefixes cannot be avoided");
            Vec::new()
        }
    };
    let pool = FALLBACK_SUBNETS.filter_map(|b| Ipv4Net::new([172, b, 0, 0].into(), 16).ok());
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(&b.network()) || b.contains(&a.network());
    [own, wanted]
        .into_iter()
        .chain(pool)
        .find(|candidate| !routed.iter().any(|known| overlaps(candidate, known)))
        .unwrap_or(own)
}

fn as_v4_net(prefix: &AddressPrefix) -> Option<Ipv4Net> {
    match prefix.address {
        // The default route covers everything and says nothing.
        IpAddr::V4(address) if prefix.prefix_bits > 0 => Ipv4Net::new(address, prefix.prefix_bits)
            .ok()
            .map(|net| net.trunc()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}
