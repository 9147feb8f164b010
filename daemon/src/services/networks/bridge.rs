//! A network's bridge and rules at the net helper.

use super::network::{Network, Subnet};
use super::wish::Wish;
use super::{Live, Networks, dns, ipam, pools, subnets};
use crate::kernel::housekeeping_of;
use crate::services::{Failure, naming};
use crate::store::Kind;
use crate::transport::TransportError;
use ipnet::IpNet;
use protocol::names::{AnchorName, Bounded};
use protocol::net::{AddressPrefix, PortRule, Request, RuleSet, Transport};
use protocol::{ErrorCode, Principal};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How often subnets are chosen for one bridge. Each further try means that another engine took the chosen one within
/// milliseconds, and dockerd's pools hold no more.
const BRIDGE_TRIES_MAX: u8 = 31;

/// dockerd's words for subnets that share addresses; its status is 403.
const OVERLAP: &str = "invalid pool request: Pool overlaps with other one on this address space";

impl Networks {
    /// Makes a wished network: subnets, bridge, rules, entry in the table. The caller holds `wiring`.
    pub(super) async fn make(&self, by: &Principal, wish: Wish) -> Result<Network, Failure> {
        let Wish {
            mut network,
            wants_ipv4,
            wants_ipv6,
        } = wish;
        let used = self.used(None);
        let named: Vec<IpNet> = network.subnets.iter().map(|subnet| subnet.net).collect();
        if named
            .iter()
            .any(|net| used.iter().any(|known| subnets::overlap(net, known)))
        {
            return Err(Failure::Forbidden(OVERLAP.to_owned()));
        }
        let families = [(wants_ipv4, false), (wants_ipv6, true)];
        let placeholders = families.into_iter().filter(|(wants, _)| *wants);
        for (_, ipv6) in placeholders {
            let net = self.choose(by, ipv6, None, &[]).await?;
            network.subnets.push(chosen(net));
        }
        network.subnets.sort_by_key(|subnet| subnet.net.addr().is_ipv6());
        let network = self.bring_up(by, network, false).await?;
        let live = Live {
            is_up: true,
            resolver: self.listen(by, &network).await,
            ..Live::new(network.clone())
        };
        self.table().insert(network.id.clone(), live);
        Ok(network)
    }

    /// Takes bridge and rules away. The caller holds `wiring`.
    pub(super) async fn unmake(&self, by: &Principal, network: &Network) -> Result<(), Failure> {
        let Some(bridge) = self.bridge_name(network) else {
            return Ok(());
        };
        if let Some(live) = self.table().get_mut(&network.id) {
            (live.is_up, live.resolver) = (false, None);
        }
        let clear = Request::ClearRules {
            anchor: anchor(network)?,
        };
        match self.helpers.net.change(by, clear, Vec::new()).await {
            // No rule was ever loaded on such a host.
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => {}
            other => other?,
        }
        Ok(self.helpers.net.remove_interface(by, bridge).await?)
    }

    /// Makes a network's bridge and rules where this daemon has not yet.
    pub(super) async fn ensure_up(&self, by: &Principal, id: &str) -> Result<(), Failure> {
        let _wiring = self.wiring.lock().await;
        let (network, may_move) = match self.table().get(id) {
            None => return Err(Failure::NotFound(format!("network {id} not found"))),
            Some(live) if live.is_up || !live.network.is_bridge() => return Ok(()),
            Some(live) => (live.network.clone(), live.members.is_empty()),
        };
        let before = network.clone();
        let network = self.bring_up(by, network, may_move).await?;
        if network != before {
            self.store.put(Kind::Network, &network.id, &network).await?;
        }
        let resolver = self.listen(by, &network).await;
        if let Some(live) = self.table().get_mut(id) {
            live.resolver = resolver;
            if network != before {
                live.pools = pools(&network);
            }
            live.network = network;
            live.is_up = true;
        }
        Ok(())
    }

    /// Bridge, then rules. A bridge whose subnets the host has come to route itself moves to others where it `may_move` and
    /// nobody named its subnets.
    async fn bring_up(
        &self,
        by: &Principal,
        mut network: Network,
        may_move: bool,
    ) -> Result<Network, Failure> {
        let bridge = naming::bridge_interface(&self.installation, &network.id)?;
        let is_new = !self.table().contains_key(&network.id);
        let mut tries = BRIDGE_TRIES_MAX;
        loop {
            let ensure = Request::EnsureBridge {
                bridge: bridge.clone(),
                addresses: Bounded::new(host_addresses(&network))?,
                mtu: network.mtu_bytes(),
            };
            tries -= 1;
            match self.helpers.net.change(by, ensure, Vec::new()).await {
                Err(error) if error.code() == Some(ErrorCode::AddressInUse) => {
                    let is_free = network.subnets.iter().all(|subnet| !subnet.given) && (is_new || may_move);
                    if !is_free || tries == 0 {
                        return Err(Failure::Forbidden(format!("{OVERLAP}: {}", said(&error))));
                    }
                    tracing::info!(%error, network = network.name, "other subnets are chosen");
                    self.choose_anew(by, &mut network).await?;
                }
                done => {
                    done?;
                    break;
                }
            }
        }
        let rules = self.rule_set(&network, &self.port_rules(&network.id))?;
        let loaded = self.load(by, &network, rules).await;
        if loaded.is_err() && is_new {
            self.helpers.net.remove_interface(by, bridge).await?;
        }
        loaded.map(|()| network)
    }

    /// Starts a network's name server. Where another program has the port, names are not resolved there and containers get the
    /// host's own name servers.
    async fn listen(&self, by: &Principal, network: &Network) -> Option<dns::Resolver> {
        if network.is_default() {
            return None;
        }
        let mut sockets = Vec::new();
        for subnet in &network.subnets {
            let bind = |protocol| Request::BindPort {
                protocol,
                address: subnet.gateway,
                port: dns::PORT,
            };
            let udp = self.helpers.net.bind(by, bind(Transport::Udp)).await;
            let tcp = self.helpers.net.bind(by, bind(Transport::Tcp)).await;
            match (udp, tcp) {
                (Ok(udp), Ok(tcp)) => sockets.push((udp, tcp)),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, network = network.name, "no name server on this network");
                    return None;
                }
            }
        }
        dns::Resolver::start(self, &network.id, sockets)
            .inspect_err(
                |error| tracing::warn!(%error, network = network.name, "no name server on this network"),
            )
            .ok()
    }

    async fn choose_anew(&self, by: &Principal, network: &mut Network) -> Result<(), Failure> {
        let own: Vec<IpNet> = network.subnets.iter().map(|subnet| subnet.net).collect();
        for subnet in &mut network.subnets {
            let ipv6 = subnet.net.addr().is_ipv6();
            *subnet = chosen(self.choose(by, ipv6, Some(&network.id), &own).await?);
        }
        Ok(())
    }

    /// A subnet that neither the host nor another network uses.
    async fn choose(
        &self,
        by: &Principal,
        ipv6: bool,
        except: Option<&str>,
        but_not: &[IpNet],
    ) -> Result<IpNet, Failure> {
        let mut used = self.used(except);
        used.extend(but_not);
        match self.helpers.net.host_prefixes(by).await {
            Ok(prefixes) => used.extend(prefixes.iter().filter_map(as_net)),
            Err(error) => {
                tracing::warn!(%error, "the host's routes are not known; its prefixes cannot be avoided");
            }
        }
        let found = if ipv6 {
            subnets::first_free(subnets::ipv6(&self.installation), &used)
        } else {
            subnets::first_free(subnets::ipv4(), &used)
        };
        let used_up = "all predefined address pools have been fully subnetted";
        found.ok_or_else(|| Failure::Invalid(used_up.to_owned()))
    }

    /// The subnets of all networks, or all but one.
    fn used(&self, except: Option<&str>) -> Vec<IpNet> {
        let table = self.table();
        let others = table
            .values()
            .filter(|live| Some(live.network.id.as_str()) != except);
        others
            .flat_map(|live| live.network.subnets.iter().map(|subnet| subnet.net))
            .collect()
    }

    /// The rules of a network.
    pub(super) fn rule_set(&self, network: &Network, ports: &[PortRule]) -> Result<Box<RuleSet>, Failure> {
        Ok(Box::new(RuleSet {
            bridge: naming::bridge_interface(&self.installation, &network.id)?,
            subnets: Bounded::new(host_addresses(network))?,
            masquerade: network.masquerades(),
            internal: network.internal,
            members_talk: network.members_talk(),
            ports: Bounded::new(ports.to_vec())
                .map_err(|_| Failure::Invalid("too many published ports on one network".to_owned()))?,
        }))
    }

    /// Replaces a network's rules. A host without a packet filter gets a warning and no address translation.
    pub(super) async fn load(
        &self,
        by: &Principal,
        network: &Network,
        rules: Box<RuleSet>,
    ) -> Result<(), Failure> {
        let load = Request::LoadRules {
            anchor: anchor(network)?,
            rules,
        };
        match self.helpers.net.change(by, load, Vec::new()).await {
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => {
                tracing::warn!(%error, "containers cannot reach the outside");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Takes bridges and rules away: the daemon is asked to leave nothing behind.
    pub async fn tear_down(&self) {
        let _wiring = self.wiring.lock().await;
        // Also those that an earlier daemon made and this one never needed.
        let networks: Vec<Network> = {
            let table = self.table();
            table.values().map(|live| live.network.clone()).collect()
        };
        for network in networks {
            let unmade = match housekeeping_of(network.owner()) {
                Ok(by) => self.unmake(&by, &network).await,
                Err(bad) => Err(bad.into()),
            };
            if let Err(error) = unmade {
                tracing::warn!(%error, network = network.name, "not taken away");
            }
        }
    }
}

fn said(error: &TransportError) -> String {
    match error {
        TransportError::Helper(helper) => helper.detail.as_str().to_owned(),
        other => other.to_string(),
    }
}

fn chosen(net: IpNet) -> Subnet {
    Subnet {
        net,
        range: None,
        gateway: ipam::first_address(net, None),
        gateway_given: false,
        auxiliary: BTreeMap::new(),
        given: false,
    }
}

/// The host's own addresses on a network's bridge.
fn host_addresses(network: &Network) -> Vec<AddressPrefix> {
    let of = |subnet: &Subnet| AddressPrefix {
        address: subnet.gateway,
        prefix_bits: subnet.net.prefix_len(),
    };
    network.subnets.iter().map(of).collect()
}

pub(super) fn anchor(network: &Network) -> Result<AnchorName, Failure> {
    Ok(AnchorName::new(network.id.get(..12).unwrap_or(&network.id))?)
}

fn as_net(prefix: &AddressPrefix) -> Option<IpNet> {
    let is_default = prefix.prefix_bits == 0;
    let is_narrow_link = matches!(prefix.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let net = IpNet::new(prefix.address, prefix.prefix_bits).ok()?;
    (!is_default && !is_narrow_link).then(|| net.trunc())
}
