//! `GET /containers/{id}/json`: everything about one container.

use crate::containers::{ContainerConfig, MountPoint};
use crate::host_config::{HostConfig, PortBinding};
use crate::networks::EndpointSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer to `GET /containers/{id}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerInspect {
    /// The container's id.
    pub id: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it is doing.
    pub state: ContainerState,
    /// The image's id.
    pub image: String,
    /// Resolver configuration on the host; empty before the first start.
    pub resolv_conf_path: String,
    /// Host name file on the host.
    pub hostname_path: String,
    /// Hosts file on the host.
    pub hosts_path: String,
    /// Log file on the host.
    pub log_path: String,
    /// Name with a leading slash.
    pub name: String,
    /// Restarts by policy.
    pub restart_count: i64,
    /// Storage driver.
    pub driver: String,
    /// Operating system of the image.
    pub platform: String,
    /// SELinux only.
    pub mount_label: String,
    /// SELinux only.
    pub process_label: String,
    /// AppArmor only.
    pub app_armor_profile: String,
    /// Running execs; null if none.
    #[serde(rename = "ExecIDs")]
    pub exec_ids: Option<Vec<String>>,
    /// What belongs to the host.
    pub host_config: HostConfig,
    /// Where its files are.
    pub graph_driver: GraphDriver,
    /// Bytes written by the container; only with `size=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    /// Bytes of all its files; only with `size=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    /// The mounts.
    pub mounts: Vec<MountPoint>,
    /// What it runs.
    pub config: ContainerConfig,
    /// The networks.
    pub network_settings: NetworkSettings,
}

/// `State` of inspect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerState {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub status: String,
    /// True also while paused and restarting.
    pub running: bool,
    /// Frozen.
    pub paused: bool,
    /// Between two runs by restart policy.
    pub restarting: bool,
    /// Killed for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Removal failed half-way.
    pub dead: bool,
    /// Process id on the host; 0 if not running.
    pub pid: i64,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// RFC 3339; Go's zero time if never started.
    pub started_at: String,
    /// RFC 3339; Go's zero time if never finished.
    pub finished_at: String,
    /// Only with a health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// Health of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Health {
    /// `none`, `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: i64,
    /// The last checks, oldest first; null before the first.
    pub log: Option<Vec<HealthCheckResult>>,
}

/// One health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheckResult {
    /// When it started (RFC 3339).
    pub start: String,
    /// When it ended (RFC 3339).
    pub end: String,
    /// 0 is healthy, 1 unhealthy, anything else a failed check.
    pub exit_code: i64,
    /// What it printed, at most 4096 bytes.
    pub output: String,
}

/// Storage driver facts of a container or an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GraphDriver {
    /// Directories, by the driver's own names.
    pub data: Option<BTreeMap<String, String>>,
    /// The driver.
    pub name: String,
}

/// `NetworkSettings` of inspect. The address fields repeat the default bridge's endpoint (until API 1.52).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// Only with a daemon started with `--bridge`.
    pub bridge: String,
    /// The network stack's id; empty while not running.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// The network stack's handle; empty while not running.
    pub sandbox_key: String,
    /// Bindings in force by container port; null for a port that is only exposed.
    pub ports: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    /// Never set.
    pub hairpin_mode: bool,
    /// Never set.
    #[serde(rename = "LinkLocalIPv6Address")]
    pub link_local_ipv6_address: String,
    /// Never set.
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    pub link_local_ipv6_prefix_len: u8,
    /// Never set.
    #[serde(rename = "SecondaryIPAddresses")]
    pub secondary_ip_addresses: Option<Vec<Address>>,
    /// Never set.
    #[serde(rename = "SecondaryIPv6Addresses")]
    pub secondary_ipv6_addresses: Option<Vec<Address>>,
    /// The endpoint's id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// IPv6 address.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// Length of the IPv6 prefix in bits.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// IPv4 address.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Length of the IPv4 prefix in bits.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// Hardware address.
    pub mac_address: String,
    /// Endpoints by network name.
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// An address with its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Address {
    /// The address.
    pub addr: String,
    /// Length of the prefix in bits.
    pub prefix_len: u8,
}
