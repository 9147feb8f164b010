//! The daemon itself: version, info, disk usage, registry logins.

use crate::containers::ContainerSummary;
use crate::images::ImageSummary;
use crate::null;
use crate::volumes::Volume;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer to `GET /version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Version {
    /// The product.
    pub platform: VersionPlatform,
    /// The engine and its parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<Vec<ComponentVersion>>,
    /// The engine's version.
    pub version: String,
    /// Newest API version.
    pub api_version: String,
    /// Oldest API version.
    #[serde(rename = "MinAPIVersion", skip_serializing_if = "null::is_zero")]
    pub min_api_version: String,
    /// Commit it was built from.
    pub git_commit: String,
    /// Compiler version; clients print it.
    pub go_version: String,
    /// The daemon's operating system.
    pub os: String,
    /// The daemon's processor.
    pub arch: String,
    /// The kernel's release.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub kernel_version: String,
    /// Experimental features are on.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub experimental: bool,
    /// When it was built.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub build_time: String,
}

/// Names the product in `docker version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VersionPlatform {
    /// The product; may be empty.
    pub name: String,
}

/// One part of the engine; the first is named `Engine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ComponentVersion {
    /// The part.
    pub name: String,
    /// Its version.
    pub version: String,
    /// More, in the order of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<BTreeMap<String, String>>,
}

/// Answer to `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Info {
    /// Identifies this daemon; kept over restarts.
    #[serde(rename = "ID")]
    pub id: String,
    /// Number of containers.
    pub containers: i64,
    /// Of them running.
    pub containers_running: i64,
    /// Of them paused.
    pub containers_paused: i64,
    /// Of them neither.
    pub containers_stopped: i64,
    /// Number of images.
    pub images: i64,
    /// Storage driver.
    pub driver: String,
    /// Facts from the storage driver.
    pub driver_status: Option<Vec<(String, String)>>,
    /// Drivers by kind.
    pub plugins: PluginsInfo,
    /// Memory can be limited.
    pub memory_limit: bool,
    /// Swap can be limited.
    pub swap_limit: bool,
    /// Never set since 5.4 kernels.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub kernel_memory: bool,
    /// Kernel memory of TCP can be limited.
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "null::is_zero")]
    pub kernel_memory_tcp: bool,
    /// Processor time can be limited.
    pub cpu_cfs_period: bool,
    /// Processor time can be limited.
    pub cpu_cfs_quota: bool,
    /// Processor weights work.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// Processors can be chosen.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// The number of processes can be limited.
    pub pids_limit: bool,
    /// The host forwards.
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    /// Bridged packets are filtered (until API 1.49).
    #[serde(rename = "BridgeNfIptables", skip_serializing_if = "Option::is_none")]
    pub bridge_nf_iptables: Option<bool>,
    /// The same for IPv6.
    #[serde(rename = "BridgeNfIp6tables", skip_serializing_if = "Option::is_none")]
    pub bridge_nf_ip6tables: Option<bool>,
    /// Debug logging is on.
    pub debug: bool,
    /// Open descriptors of the daemon.
    pub n_fd: i64,
    /// Killing for want of memory can be turned off.
    pub oom_kill_disable: bool,
    /// Tasks of the daemon.
    pub n_goroutines: i64,
    /// The daemon's clock (RFC 3339).
    pub system_time: String,
    /// Default log driver.
    pub logging_driver: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub cgroup_version: String,
    /// Clients reading events.
    pub n_events_listener: i64,
    /// The kernel's release.
    pub kernel_version: String,
    /// The host's system, for people.
    pub operating_system: String,
    /// Its version.
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    /// `linux` or `freebsd`.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// Processor as the kernel names it.
    pub architecture: String,
    /// The registry logins default to.
    pub index_server_address: String,
    /// Registries.
    pub registry_config: Option<RegistryConfig>,
    /// Processors.
    #[serde(rename = "NCPU")]
    pub ncpu: i64,
    /// Memory in bytes.
    pub mem_total: i64,
    /// Swarm only.
    pub generic_resources: Option<Vec<serde_json::Value>>,
    /// Where the daemon keeps its data.
    pub docker_root_dir: String,
    /// Proxy for pulls.
    pub http_proxy: String,
    /// Proxy for pulls.
    pub https_proxy: String,
    /// Hosts reached without it.
    pub no_proxy: String,
    /// The host's name.
    pub name: String,
    /// The daemon's labels.
    pub labels: Option<Vec<String>>,
    /// Experimental features are on.
    pub experimental_build: bool,
    /// The engine's version.
    pub server_version: String,
    /// Runtimes by name.
    pub runtimes: Option<BTreeMap<String, RuntimeInfo>>,
    /// The default one.
    pub default_runtime: String,
    /// Always inactive here.
    pub swarm: SwarmInfo,
    /// Containers outlive the daemon.
    pub live_restore_enabled: bool,
    /// Windows only.
    pub isolation: String,
    /// The small init program.
    pub init_binary: String,
    /// A part's version.
    pub containerd_commit: Commit,
    /// A part's version.
    pub runc_commit: Commit,
    /// A part's version.
    pub init_commit: Commit,
    /// `name=…` of what confines containers.
    pub security_options: Option<Vec<String>>,
    /// Licence.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub product_license: String,
    /// Where new networks take subnets from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_address_pools: Option<Vec<AddressPool>>,
    /// What filters packets (API 1.49).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_backend: Option<FirewallInfo>,
    /// Device description directories.
    #[serde(rename = "CDISpecDirs")]
    pub cdi_spec_dirs: Option<Vec<String>>,
    /// Devices found through them (API 1.50).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_devices: Option<Vec<DeviceInfo>>,
    /// Where containerd is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd: Option<serde_json::Value>,
    /// What is wrong with this host.
    pub warnings: Option<Vec<String>>,
}

/// Drivers by kind; null where the kind has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PluginsInfo {
    /// Volume drivers.
    pub volume: Option<Vec<String>>,
    /// Network drivers.
    pub network: Option<Vec<String>>,
    /// Authorization plugins.
    pub authorization: Option<Vec<String>>,
    /// Log drivers.
    pub log: Option<Vec<String>>,
}

/// How registries are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RegistryConfig {
    /// Registries by name.
    pub index_configs: BTreeMap<String, IndexInfo>,
    /// Networks reached without TLS.
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Vec<String>,
    /// Mirrors of Docker Hub.
    pub mirrors: Option<Vec<String>>,
}

/// One registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IndexInfo {
    /// Its mirrors.
    pub mirrors: Vec<String>,
    /// Its name.
    pub name: String,
    /// It is Docker Hub.
    pub official: bool,
    /// TLS is demanded.
    pub secure: bool,
}

/// One runtime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeInfo {
    /// The program.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub path: String,
    /// Its arguments.
    #[serde(rename = "runtimeArgs", skip_serializing_if = "Option::is_none")]
    pub runtime_args: Option<Vec<String>>,
    /// Its kind.
    #[serde(rename = "runtimeType", skip_serializing_if = "null::is_zero")]
    pub runtime_type: String,
    /// Its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<serde_json::Value>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<BTreeMap<String, String>>,
}

/// Swarm state; `LocalNodeState` is always `inactive`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SwarmInfo {
    /// Empty.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Empty.
    pub node_addr: String,
    /// `inactive`.
    pub local_node_state: String,
    /// False.
    pub control_available: bool,
    /// Empty.
    pub error: String,
    /// Null.
    pub remote_managers: Option<Vec<serde_json::Value>>,
}

/// A part's version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Commit {
    /// The version in use.
    #[serde(rename = "ID")]
    pub id: String,
    /// Only before API 1.49.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub expected: String,
}

/// Subnets for new networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AddressPool {
    /// `address/bits`.
    pub base: String,
    /// Bits of each subnet's prefix.
    pub size: i64,
}

/// What filters packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FirewallInfo {
    /// `iptables`, `pf`, …
    pub driver: String,
    /// Facts about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Vec<(String, String)>>,
}

/// A device found by the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceInfo {
    /// Who found it.
    pub source: String,
    /// Its name there.
    #[serde(rename = "ID")]
    pub id: String,
}

/// Body of `POST /auth`, and in base64 of the header `X-Registry-Auth`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthRequest {
    /// Login name.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub username: String,
    /// Password.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub password: String,
    /// Both in base64, in old clients.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub auth: String,
    /// Ignored.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub email: String,
    /// Registry; empty means Docker Hub.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub serveraddress: String,
    /// Token instead of a password.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub identitytoken: String,
    /// Token sent as it is.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub registrytoken: String,
}

impl std::fmt::Debug for AuthRequest {
    /// Leaves every secret out, so that a logged request gives none away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthRequest")
            .field("username", &self.username)
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

/// Answer to `POST /auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AuthResponse {
    /// `Login Succeeded`.
    pub status: String,
    /// Token to use instead of the password; empty if none.
    pub identity_token: String,
}

/// Answer to `GET /system/df`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DiskUsage {
    /// Bytes of all layers.
    pub layers_size: i64,
    /// Images, with shared sizes.
    pub images: Option<Vec<ImageSummary>>,
    /// Containers, with sizes.
    pub containers: Option<Vec<ContainerSummary>>,
    /// Volumes, with usage.
    pub volumes: Option<Vec<Volume>>,
    /// Build cache.
    pub build_cache: Option<Vec<BuildCacheItem>>,
}

/// One record of the build cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BuildCacheItem {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// What it was built on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parents: Option<Vec<String>>,
    /// `regular`, `source.local` and others.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The step.
    pub description: String,
    /// A build uses it.
    pub in_use: bool,
    /// Shared with an image.
    pub shared: bool,
    /// Bytes.
    pub size: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339, or null.
    pub last_used_at: Option<String>,
    /// How often it was used.
    pub usage_count: i64,
}
