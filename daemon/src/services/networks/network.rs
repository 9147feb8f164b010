//! A network as it is stored, a container's place on one, and what was published there.

use crate::tenants;
use ipnet::IpNet;
use protocol::net::Transport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Whether neighbours reach each other (`com.docker.network.bridge.enable_icc`).
pub(super) const OPTION_ICC: &str = "com.docker.network.bridge.enable_icc";
/// Whether packets leave with the host's address.
pub(super) const OPTION_MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// The host's address that ports are published at.
pub(super) const OPTION_HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
/// Largest packet, in bytes.
pub(super) const OPTION_MTU: &str = "com.docker.network.driver.mtu";

/// The networks that are there without having been made, with their drivers. Each tenant has a bridge of its own.
pub(super) const PREDEFINED: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// Largest packet of a link where nobody says otherwise, in bytes: Ethernet's.
const MTU_BYTES_DEFAULT: u16 = 1500;

/// A network, as stored (kind `Network`, key = id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name; unique within a tenant.
    pub name: String,
    /// Whose it is; none is the tenant `default`'s for `bridge`, and everybody's for `host` and `none`.
    pub tenant: Option<String>,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// Its subnets, at most one of each address family.
    pub subnets: Vec<Subnet>,
    /// No way out of it.
    pub internal: bool,
    /// Only stored: a word of swarm's.
    pub attachable: bool,
    /// Driver options as they were given.
    pub options: BTreeMap<String, String>,
    /// Options of the address management as they were given.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The subnet.
    pub net: IpNet,
    /// The part of it that addresses are given from.
    pub range: Option<IpNet>,
    /// The host's address on it.
    pub gateway: IpAddr,
    /// Whether the user named the gateway.
    pub gateway_given: bool,
    /// Addresses of others, by name.
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// Whether the user named the subnet; else it may be another one after the host's routes have changed.
    pub given: bool,
}

impl Network {
    /// Whether it has a bridge of ours.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        self.driver == "bridge"
    }

    /// Whether it is a tenant's default bridge, on which names are not resolved.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.is_bridge() && self.is_predefined()
    }

    /// Whether it is there without having been made: such names cannot be given to another.
    #[must_use]
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.iter().any(|(name, _)| *name == self.name)
    }

    /// Whose bridge it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.tenant.as_deref().unwrap_or(tenants::DEFAULT)
    }

    /// Whether a tenant sees it.
    #[must_use]
    pub(super) fn is_seen_by(&self, tenant: &str) -> bool {
        self.owner() == tenant || (self.tenant.is_none() && !self.is_bridge())
    }

    /// Whether it has a subnet of this family.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.net.addr().is_ipv6())
    }

    /// Whether it has an IPv4 subnet, or needs none.
    #[must_use]
    pub fn has_ipv4(&self) -> bool {
        !self.is_bridge() || self.subnets.iter().any(|subnet| subnet.net.addr().is_ipv4())
    }

    /// Largest packet, in bytes.
    #[must_use]
    pub fn mtu_bytes(&self) -> u16 {
        let given = self.options.get(OPTION_MTU).and_then(|text| text.parse().ok());
        given.filter(|mtu| *mtu > 0).unwrap_or(MTU_BYTES_DEFAULT)
    }

    /// Whether its members reach each other.
    #[must_use]
    pub fn members_talk(&self) -> bool {
        self.switch(OPTION_ICC)
    }

    /// Whether packets leave with the host's address.
    #[must_use]
    pub fn masquerades(&self) -> bool {
        !self.internal && self.switch(OPTION_MASQUERADE)
    }

    /// The host's address that ports are published at where the container names none.
    #[must_use]
    pub fn host_binding(&self) -> Option<IpAddr> {
        self.options.get(OPTION_HOST_BINDING)?.parse().ok()
    }

    fn switch(&self, option: &str) -> bool {
        self.options
            .get(option)
            .and_then(|text| go_bool(text))
            .unwrap_or(true)
    }
}

/// A boolean as Go's strconv.ParseBool reads it.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A running container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network's id.
    pub network_id: String,
    /// The network's name.
    pub network_name: String,
    /// The endpoint's own id.
    pub endpoint_id: String,
    /// The interface's name inside.
    pub inner: String,
    /// The container's addresses, at most one of each family, IPv4 first.
    pub places: Vec<Place>,
    /// The hardware address.
    pub mac: [u8; 6],
    /// The ports that are published through it.
    pub published: Vec<Published>,
    /// The network's name server.
    pub resolver: Option<IpAddr>,
}

/// One address of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The container's address.
    pub address: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix_bits: u8,
    /// The way out; none where the network is internal.
    pub gateway: Option<IpAddr>,
}

impl Endpoint {
    /// The address of one family.
    #[must_use]
    pub fn place(&self, ipv6: bool) -> Option<&Place> {
        self.places.iter().find(|place| place.address.is_ipv6() == ipv6)
    }
}

/// A port in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Transport.
    #[serde(with = "transport")]
    pub protocol: Transport,
    /// The host's address; unspecified means every address of its family.
    pub host: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
}

impl Published {
    /// `80/tcp`, as Docker names the container's port.
    #[must_use]
    pub fn container_side(&self) -> String {
        format!("{}/{}", self.container_port, transport::name(self.protocol))
    }
}

/// The word for a transport.
pub(crate) mod transport {
    use protocol::net::Transport;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// `tcp` or `udp`.
    pub(crate) fn name(transport: Transport) -> &'static str {
        match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }

    /// The transport of that name.
    pub(crate) fn named(name: &str) -> Option<Transport> {
        match name.to_ascii_lowercase().as_str() {
            "tcp" => Some(Transport::Tcp),
            "udp" => Some(Transport::Udp),
            _ => None,
        }
    }

    pub(super) fn serialize<S: Serializer>(transport: &Transport, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name(*transport))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Transport, D::Error> {
        let text = String::deserialize(from)?;
        named(&text).ok_or_else(|| D::Error::custom("no such transport"))
    }
}
