//! Networks: list, inspect, create, connect, disconnect, prune; and a container's endpoints in them.

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A container's place in one network: wishes in create and connect, facts in inspect and list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EndpointSettings {
    /// Wished addresses.
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpamConfig>,
    /// Old-style links, `container:alias`.
    pub links: Option<Vec<String>>,
    /// Further names of this container in this network.
    pub aliases: Option<Vec<String>>,
    /// Hardware address: wished in create (API 1.44), in force while running.
    #[serde(deserialize_with = "null::or_default")]
    pub mac_address: String,
    /// Network driver options.
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// The network with the highest priority gives the default route (API 1.48).
    #[serde(deserialize_with = "null::or_default")]
    pub gw_priority: i64,
    /// The network's id.
    #[serde(rename = "NetworkID", deserialize_with = "null::or_default")]
    pub network_id: String,
    /// The endpoint's id; empty while not running.
    #[serde(rename = "EndpointID", deserialize_with = "null::or_default")]
    pub endpoint_id: String,
    /// IPv4 gateway.
    #[serde(deserialize_with = "null::or_default")]
    pub gateway: String,
    /// IPv4 address.
    #[serde(rename = "IPAddress", deserialize_with = "null::or_default")]
    pub ip_address: String,
    /// Length of the IPv4 prefix in bits.
    #[serde(rename = "IPPrefixLen", deserialize_with = "null::or_default")]
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    #[serde(rename = "IPv6Gateway", deserialize_with = "null::or_default")]
    pub ipv6_gateway: String,
    /// IPv6 address.
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "null::or_default")]
    pub global_ipv6_address: String,
    /// Length of the IPv6 prefix in bits.
    #[serde(rename = "GlobalIPv6PrefixLen", deserialize_with = "null::or_default")]
    pub global_ipv6_prefix_len: u8,
    /// Every name that resolves to this container in this network (API 1.44).
    #[serde(rename = "DNSNames")]
    pub dns_names: Option<Vec<String>>,
}

/// Addresses wished for an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIpamConfig {
    /// IPv4 address.
    #[serde(
        rename = "IPv4Address",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub ipv4_address: String,
    /// IPv6 address.
    #[serde(
        rename = "IPv6Address",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub ipv6_address: String,
    /// Link-local addresses.
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Option::is_none")]
    pub link_local_ips: Option<Vec<String>>,
}

/// `NetworkingConfig` of container create: networks by name or id, `null` meaning no particular wish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkingConfig {
    /// Endpoint wishes by network.
    pub endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>>,
}

/// Address management of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ipam {
    /// `default`, or empty on create.
    #[serde(deserialize_with = "null::or_default")]
    pub driver: String,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// One entry per subnet.
    pub config: Option<Vec<IpamConfig>>,
}

/// One subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IpamConfig {
    /// `address/bits`.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub subnet: String,
    /// Part of the subnet to give addresses from.
    #[serde(
        rename = "IPRange",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub ip_range: String,
    /// The gateway's address.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub gateway: String,
    /// Addresses in use by others, by name.
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Option::is_none")]
    pub auxiliary_addresses: Option<BTreeMap<String, String>>,
}

/// A network in inspect; list answers the same with no `Containers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkInspect {
    /// The network's name.
    pub name: String,
    /// The network's id.
    pub id: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// `local`, `swarm` or `global`.
    pub scope: String,
    /// `bridge`, `host`, `null` and others.
    pub driver: String,
    /// IPv4 is in use (API 1.48).
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// IPv6 is in use.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Address management.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// No way out of this network.
    pub internal: bool,
    /// Swarm only.
    pub attachable: bool,
    /// Swarm only.
    pub ingress: bool,
    /// The network whose configuration was taken.
    pub config_from: ConfigReference,
    /// Only a configuration for other networks.
    pub config_only: bool,
    /// Running containers by id.
    pub containers: Option<BTreeMap<String, EndpointResource>>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A network in the list: the same fields as inspect.
pub type NetworkSummary = NetworkInspect;

/// Names another network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ConfigReference {
    /// The network's name; empty for none.
    #[serde(deserialize_with = "null::or_default")]
    pub network: String,
}

/// A container in a network's inspect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EndpointResource {
    /// The container's name, without slash.
    pub name: String,
    /// The endpoint's id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Hardware address.
    pub mac_address: String,
    /// `address/bits`, or empty.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// `address/bits`, or empty.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// Body of `POST /networks/create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkCreateRequest {
    /// The wished name.
    #[serde(deserialize_with = "null::or_default")]
    pub name: String,
    /// Old clients ask for a check that is always made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_duplicate: Option<bool>,
    /// Network driver; empty means `bridge`.
    #[serde(deserialize_with = "null::or_default")]
    pub driver: String,
    /// Wished scope.
    #[serde(deserialize_with = "null::or_default")]
    pub scope: String,
    /// Use IPv4; unset means yes (API 1.48).
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Use IPv6; unset means no.
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Address management.
    #[serde(rename = "IPAM")]
    pub ipam: Option<Ipam>,
    /// No way out.
    #[serde(deserialize_with = "null::or_default")]
    pub internal: bool,
    /// Swarm only.
    #[serde(deserialize_with = "null::or_default")]
    pub attachable: bool,
    /// Swarm only.
    #[serde(deserialize_with = "null::or_default")]
    pub ingress: bool,
    /// Make only a configuration.
    #[serde(deserialize_with = "null::or_default")]
    pub config_only: bool,
    /// Take another network's configuration.
    pub config_from: Option<ConfigReference>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Answer to `POST /networks/create` (201).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkCreateResponse {
    /// The new network's id.
    pub id: String,
    /// Empty if all is well.
    pub warning: String,
}

/// Body of `POST /networks/{id}/connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkConnectRequest {
    /// Container name or id.
    #[serde(deserialize_with = "null::or_default")]
    pub container: String,
    /// Endpoint wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_config: Option<EndpointSettings>,
}

/// Body of `POST /networks/{id}/disconnect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkDisconnectRequest {
    /// Container name or id.
    #[serde(deserialize_with = "null::or_default")]
    pub container: String,
    /// Disconnect even if the container does not answer.
    #[serde(deserialize_with = "null::or_default")]
    pub force: bool,
}

/// Answer to `POST /networks/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworksPruneReport {
    /// Names of the removed networks; null if none.
    pub networks_deleted: Option<Vec<String>>,
}
