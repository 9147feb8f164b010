//! NETWORKS (rank 4): which networks there are, who is on them with which addresses, and what is published.
//!
//! ```text
//! create ─▶ wish.rs (dockerd's rules) ─▶ subnets.rs (a free one) ─▶ bridge.rs (the net helper) ─▶ store
//! the names of its members ◀─ dns/ ◀─ questions at its gateway address
//! a container's start ─▶ join (ipam.rs: an address) ─▶ publish (ports.rs) ─▶ its end: withdraw, leave
//! ```
//!
//! Not an actor: one map behind a lock that is never held across a wait. What asks the helper to make or change bridges and
//! rules holds `wiring` meanwhile, so that two of them do not cross.

mod bridge;
mod dns;
mod ipam;
mod network;
mod ports;
mod proxy;
mod repair;
mod subnets;
mod wish;

pub(crate) use network::transport;
pub use network::{Endpoint, Network, Place, Published, Subnet};
pub use ports::PortWish;
pub(crate) use wish::joined;

use crate::config::Settings;
use crate::kernel::bus::Bus;
use crate::services::{Failure, clock, naming};
use crate::store::{Kind, Store};
use crate::tenants::{self, Tenant};
use crate::transport::Helpers;
use docker_api::networks::NetworkCreateRequest;
use ipam::{NoAddress, Pool};
use ipnet::IpNet;
use protocol::Principal;
use protocol::names::{InterfaceName, Label};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A network with what is on it now.
#[derive(Debug)]
struct Live {
    network: Network,
    pools: Vec<Pool>,
    /// By container id.
    members: BTreeMap<String, Member>,
    /// Whether its bridge and rules have been made by this daemon.
    is_up: bool,
    /// Its name server; none on the default bridge, and where another program has the port.
    resolver: Option<dns::Resolver>,
}

/// A container on a network.
#[derive(Debug, Clone)]
struct Member {
    tenant: Label,
    name: String,
    /// Every name by which its neighbours find it.
    names: Vec<String>,
    /// `member:alias`, the names that it gave to neighbours.
    links: Vec<String>,
    /// Who is asked for names that no neighbour has.
    name_servers: Vec<IpAddr>,
    endpoint: Endpoint,
}

impl Live {
    fn new(network: Network) -> Self {
        let pools = pools(&network);
        Live {
            network,
            pools,
            members: BTreeMap::new(),
            is_up: false,
            resolver: None,
        }
    }
}

fn pools(network: &Network) -> Vec<Pool> {
    let pool = |subnet: &Subnet| {
        let reserved = subnet.auxiliary.values().copied().chain([subnet.gateway]);
        Pool::new(subnet.net, subnet.range, reserved)
    };
    network.subnets.iter().map(pool).collect()
}

type Table = BTreeMap<String, Live>;

/// The handle.
#[derive(Debug, Clone)]
pub struct Networks {
    helpers: Helpers,
    installation: Arc<str>,
    store: Store,
    bus: Bus,
    /// By network id.
    table: Arc<Mutex<Table>>,
    /// Everything published.
    ports: Arc<Mutex<Vec<ports::Held>>>,
    wiring: Arc<tokio::sync::Mutex<()>>,
    tenants: Arc<[Tenant]>,
}

/// How a container wants to be on a network.
#[derive(Debug, Clone, Default)]
pub struct Joining {
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Every name by which its neighbours find it.
    pub names: Vec<String>,
    /// `member:alias`, the names that it gives to neighbours.
    pub links: Vec<String>,
    /// Who is asked for names that no neighbour has.
    pub name_servers: Vec<IpAddr>,
    /// The interface's name inside.
    pub inner: String,
    /// Addresses that it must have.
    pub wished: Vec<IpAddr>,
    /// Addresses that it had last and would like again.
    pub liked: Vec<IpAddr>,
    /// The hardware address that it must have.
    pub mac: Option<[u8; 6]>,
}

impl Networks {
    /// Loads the networks, makes the predefined ones where they are missing: each tenant has a bridge.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn start(
        store: &Store,
        helpers: Helpers,
        bus: Bus,
        installation: String,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let stored: Vec<(String, Network)> = store.all(Kind::Network).await?;
        let mut table: Table = stored
            .into_iter()
            .map(|(id, network)| (id, Live::new(network)))
            .collect();
        for network in missing(&table, settings) {
            store.put(Kind::Network, &network.id, &network).await?;
            table.insert(network.id.clone(), Live::new(network));
        }
        Ok(Networks {
            helpers,
            installation: installation.into(),
            store: store.clone(),
            bus,
            table: Arc::new(Mutex::new(table)),
            ports: Arc::default(),
            wiring: Arc::default(),
            tenants: settings.tenants.clone().into(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ports(&self) -> MutexGuard<'_, Vec<ports::Held>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The installation's id, which interface names begin with.
    #[must_use]
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Every network that the caller may see.
    #[must_use]
    pub fn all(&self, by: &Principal) -> Vec<Network> {
        let table = self.table();
        let networks = table.values().map(|live| &live.network);
        networks
            .filter(|network| network.is_seen_by(by.tenant.as_str()))
            .cloned()
            .collect()
    }

    /// A network by id, name or beginning of an id.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words; `Invalid` for the beginning of several ids.
    pub fn find(&self, by: &Principal, text: &str) -> Result<Network, Failure> {
        self.find_for(by.tenant.as_str(), text)
    }

    fn find_for(&self, tenant: &str, text: &str) -> Result<Network, Failure> {
        let table = self.table();
        let seen = || {
            table
                .values()
                .map(|live| &live.network)
                .filter(|network| network.is_seen_by(tenant))
        };
        let whole = |network: &&Network| network.id == text || network.name == text;
        if let Some(network) = seen().find(whole) {
            return Ok(network.clone());
        }
        let mut beginning = seen().filter(|network| !text.is_empty() && network.id.starts_with(text));
        match (beginning.next(), beginning.next()) {
            (Some(network), None) => Ok(network.clone()),
            (Some(_), Some(_)) => Err(Failure::Invalid(format!(
                "network {text} is ambiguous (2 matches found based on ID prefix)"
            ))),
            (None, _) => Err(Failure::NotFound(format!("network {text} not found"))),
        }
    }

    /// The interface of a network that has one.
    #[must_use]
    pub fn bridge_name(&self, network: &Network) -> Option<InterfaceName> {
        let bridge = naming::bridge_interface(&self.installation, &network.id).ok()?;
        network.is_bridge().then_some(bridge)
    }

    /// Which of the caller's containers are on a network now: container id, container name, place. On `host` and `none` may be
    /// those of others too.
    #[must_use]
    pub fn members(&self, by: &Principal, network: &Network) -> Vec<(String, String, Endpoint)> {
        let table = self.table();
        let members = table.get(&network.id).into_iter().flat_map(|live| &live.members);
        members
            .filter(|(_, member)| member.tenant == by.tenant)
            .map(|(id, member)| (id.clone(), member.name.clone(), member.endpoint.clone()))
            .collect()
    }

    /// Makes a network and its bridge.
    ///
    /// # Errors
    /// dockerd's words for what is wrong with the request, a name in use, subnets that overlap, pools that are used up.
    pub async fn create(&self, by: &Principal, request: NetworkCreateRequest) -> Result<Network, Failure> {
        let tenant = by.tenant.as_str();
        let wish = wish::read(request, tenant)?;
        let _wiring = self.wiring.lock().await;
        let name = &wish.network.name;
        if self.find_for(tenant, name).is_ok_and(|known| known.name == *name) {
            return Err(Failure::Conflict(format!(
                "network with name {name} already exists"
            )));
        }
        let network = self.make(by, wish).await?;
        self.store.put(Kind::Network, &network.id, &network).await?;
        self.tell(by, &network, "create", &[]);
        Ok(network)
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// `Forbidden` in dockerd's words for a predefined one and one in use.
    pub async fn remove(&self, by: &Principal, text: &str) -> Result<(), Failure> {
        let network = self.find(by, text)?;
        let name = &network.name;
        if network.is_predefined() {
            let text = format!("{name} is a pre-defined network and cannot be removed");
            return Err(Failure::Forbidden(text));
        }
        let _wiring = self.wiring.lock().await;
        let active = self.members(by, &network);
        if !active.is_empty() {
            let endpoints: Vec<String> = active
                .iter()
                .map(|(_, name, endpoint)| format!("name:\"{name}\" id:\"{}\"", short(&endpoint.endpoint_id)))
                .collect();
            let text = format!(
                "error while removing network: network {name} has active endpoints ({})",
                endpoints.join(", ")
            );
            return Err(Failure::Forbidden(text));
        }
        self.unmake(by, &network).await?;
        self.store.delete(Kind::Network, &network.id).await?;
        self.table().remove(&network.id);
        self.tell(by, &network, "destroy", &[]);
        Ok(())
    }

    /// Gives a container a place on a network, whose bridge is made if it is the first.
    ///
    /// # Errors
    /// `NotFound` for an unknown network, dockerd's words for addresses that cannot be had, or what the net helper answers.
    pub async fn join(&self, by: &Principal, text: &str, joining: &Joining) -> Result<Endpoint, Failure> {
        let id = self.find(by, text)?.id;
        self.ensure_up(by, &id).await?;
        let mut table = self.table();
        let gone = || Failure::NotFound(format!("network {text} not found"));
        let live = table.get_mut(&id).ok_or_else(gone)?;
        if live.members.contains_key(&joining.container) {
            let text = format!(
                "endpoint with name {} already exists in network {}",
                joining.name, live.network.name
            );
            return Err(Failure::Forbidden(text));
        }
        let places = take_places(live, joining)?;
        let endpoint = Endpoint {
            network_id: id,
            network_name: live.network.name.clone(),
            endpoint_id: naming::new_id(),
            inner: joining.inner.clone(),
            mac: joining.mac.unwrap_or_else(|| station_of(&places)),
            places,
            published: Vec::new(),
            resolver: live
                .resolver
                .as_ref()
                .and(live.network.subnets.first())
                .map(|subnet| subnet.gateway),
        };
        live.members
            .insert(joining.container.clone(), member(by, joining, &endpoint));
        Ok(endpoint)
    }

    /// A place that a container has from an earlier daemon.
    ///
    /// # Errors
    /// What the net helper answers.
    pub async fn rejoin(
        &self,
        by: &Principal,
        endpoint: &Endpoint,
        joining: &Joining,
    ) -> Result<(), Failure> {
        if let Some(live) = self.table().get_mut(&endpoint.network_id) {
            for place in &endpoint.places {
                let of_family = |pool: &&mut Pool| pool.subnet().contains(&place.address);
                if let Some(pool) = live.pools.iter_mut().find(of_family) {
                    pool.hold(&joining.container, place.address);
                }
            }
            live.members
                .insert(joining.container.clone(), member(by, joining, endpoint));
        }
        self.ensure_up(by, &endpoint.network_id).await
    }

    /// A container on networks has another name now.
    pub fn renamed(&self, container: &str, name: &str) {
        for live in self.table().values_mut() {
            if let Some(member) = live.members.get_mut(container) {
                let before = std::mem::replace(&mut member.name, name.to_owned());
                let renamed = member.names.iter_mut().filter(|known| **known == before);
                renamed.for_each(|known| name.clone_into(known));
            }
        }
    }

    /// Frees a container's place.
    pub fn leave(&self, network_id: &str, container: &str) {
        if let Some(live) = self.table().get_mut(network_id) {
            live.members.remove(container);
            for pool in &mut live.pools {
                pool.free(container);
            }
        }
    }

    /// The host's address as a tenant's containers on any network reach it: that on its default bridge.
    #[must_use]
    pub fn host_gateway(&self, tenant: &str) -> Option<IpAddr> {
        let table = self.table();
        let is_it = |live: &&Live| live.network.is_default() && live.network.owner() == tenant;
        let bridge = table.values().find(is_it)?;
        bridge.network.subnets.first().map(|subnet| subnet.gateway)
    }

    /// Publishes an event about a network with dockerd's attributes, to the tenant that did it: some networks are everybody's.
    pub fn tell(&self, by: &Principal, network: &Network, action: &str, extra: &[(&str, &str)]) {
        let own = [("name", network.name.as_str()), ("type", network.driver.as_str())];
        let attributes = own.iter().chain(extra);
        let attributes = attributes
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.bus
            .publish(by.tenant.as_str(), "network", action, &network.id, attributes);
    }
}

/// The predefined networks that are not there yet. The bridge of the tenant `default` gets the wanted subnet, those of others
/// the next free ones; the host's routes are looked at when a bridge is made.
fn missing(table: &Table, settings: &Settings) -> Vec<Network> {
    let wanted = IpNet::V4(settings.bridge_subnet.trunc());
    let is_there = |name: &str, owner: &str| {
        let is_it = |live: &Live| live.network.owner() == owner && live.network.name == name;
        table.values().any(is_it)
    };
    let mut made = Vec::new();
    for (name, driver) in network::PREDEFINED {
        if !is_there(name, tenants::DEFAULT) {
            let subnet = (driver == "bridge").then_some(wanted);
            made.push(predefined(name, driver, None, subnet));
        }
    }
    let stored = table.values().flat_map(|live| &live.network.subnets);
    let mut used: Vec<IpNet> = stored.map(|subnet| subnet.net).chain([wanted]).collect();
    let others = settings.tenants.iter().map(|tenant| tenant.name.as_str());
    for tenant in others.filter(|name| *name != tenants::DEFAULT && !is_there("bridge", name)) {
        let Some(net) = subnets::first_free(subnets::ipv4(), &used) else {
            // The tenant is told that there is no such network; its other ones work.
            tracing::error!(
                tenant,
                "all predefined address pools are used up: no default bridge"
            );
            continue;
        };
        used.push(net);
        made.push(predefined("bridge", "bridge", Some(tenant), Some(net)));
    }
    made
}

fn predefined(name: &str, driver: &str, tenant: Option<&str>, net: Option<IpNet>) -> Network {
    let subnet = |net| Subnet {
        net,
        range: None,
        gateway: ipam::first_address(net, None),
        gateway_given: false,
        auxiliary: BTreeMap::new(),
        given: false,
    };
    Network {
        id: naming::new_id(),
        name: name.to_owned(),
        tenant: tenant.map(str::to_owned),
        driver: driver.to_owned(),
        created_ns: clock::now_ns(),
        subnets: net.map(subnet).into_iter().collect(),
        internal: false,
        attachable: false,
        options: BTreeMap::new(),
        ipam_options: None,
        labels: BTreeMap::new(),
    }
}

fn member(by: &Principal, joining: &Joining, endpoint: &Endpoint) -> Member {
    Member {
        tenant: by.tenant.clone(),
        name: joining.name.clone(),
        names: joining.names.clone(),
        links: joining.links.clone(),
        name_servers: joining.name_servers.clone(),
        endpoint: endpoint.clone(),
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// An address of each of the network's subnets; all or none.
fn take_places(live: &mut Live, joining: &Joining) -> Result<Vec<Place>, Failure> {
    let owner = &joining.container;
    let mut places = Vec::new();
    let mut failed = None;
    for (pool, subnet) in live.pools.iter_mut().zip(&live.network.subnets) {
        let of_family = |list: &[IpAddr]| {
            list.iter()
                .copied()
                .find(|address| address.is_ipv4() == subnet.net.addr().is_ipv4())
        };
        match pool.take(owner, of_family(&joining.wished), of_family(&joining.liked)) {
            Ok(address) => places.push(Place {
                address,
                prefix_bits: subnet.net.prefix_len(),
                gateway: (!live.network.internal).then_some(subnet.gateway),
            }),
            Err(why) => {
                failed = Some(no_address(why, &live.network, subnet));
                break;
            }
        }
    }
    match failed {
        None => Ok(places),
        Some(failure) => {
            live.pools.iter_mut().for_each(|pool| pool.free(owner));
            Err(failure)
        }
    }
}

fn no_address(why: NoAddress, network: &Network, subnet: &Subnet) -> Failure {
    match why {
        NoAddress::Exhausted => {
            let family = if subnet.net.addr().is_ipv4() {
                "IPv4"
            } else {
                "IPv6"
            };
            Failure::Unavailable(format!(
                "no available {family} addresses on this network's address pools: {} ({})",
                network.name, network.id
            ))
        }
        NoAddress::InUse => Failure::Forbidden("Address already in use".to_owned()),
        NoAddress::Outside => Failure::Invalid(format!(
            "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address in {}",
            subnet.net
        )),
    }
}

/// The hardware address that goes with an endpoint: a locally administered prefix, then the IPv4 address, as dockerd long had
/// it, so that a neighbour's cache holds over a restart; random for one without an IPv4 address.
fn station_of(places: &[Place]) -> [u8; 6] {
    match places.first().map(|place| place.address) {
        Some(IpAddr::V4(v4)) => {
            let [a, b, c, d] = v4.octets();
            [0x02, 0x42, a, b, c, d]
        }
        Some(IpAddr::V6(_)) | None => {
            let [b, c, d, e, f] = naming::random::<5>();
            [0x02, b, c, d, e, f]
        }
    }
}
