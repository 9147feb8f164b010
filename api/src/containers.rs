//! Containers: create, list, wait, top, update, changes, prune, commit, archive. Inspect is in [`crate::inspect`].

use crate::host_config::{
    DeviceMapping, DeviceRequest, HostConfig, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice,
};
use crate::networks::{EndpointSettings, NetworkingConfig};
use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::inspect::{
    ContainerInspect, ContainerState, GraphDriver, Health, HealthCheckResult, NetworkSettings,
};
pub use crate::stats::StatsResponse;

/// An empty JSON object, the value of the sets Docker writes as maps (`ExposedPorts`, `Volumes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Empty {}

/// A set written as a map of empty objects.
pub type JsonSet = BTreeMap<String, Empty>;

/// What a container runs: `Config` of inspect and commit, and the top level of create.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// Host name; empty means the short id.
    #[serde(deserialize_with = "null::or_default")]
    pub hostname: String,
    /// Domain name.
    #[serde(deserialize_with = "null::or_default")]
    pub domainname: String,
    /// User (and group) to run as, `user[:group]`.
    #[serde(deserialize_with = "null::or_default")]
    pub user: String,
    /// The client will attach standard input.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stdin: bool,
    /// The client will attach standard output.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stdout: bool,
    /// The client will attach standard error.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stderr: bool,
    /// Ports the program listens on, `80/tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<JsonSet>,
    /// Run on a terminal.
    #[serde(deserialize_with = "null::or_default")]
    pub tty: bool,
    /// Keep standard input open.
    #[serde(deserialize_with = "null::or_default")]
    pub open_stdin: bool,
    /// Close standard input when the first attached client goes.
    #[serde(deserialize_with = "null::or_default")]
    pub stdin_once: bool,
    /// Environment, `NAME=value`; `NAME` alone removes one of the image's.
    pub env: Option<Vec<String>>,
    /// Command or its arguments.
    #[serde(deserialize_with = "null::strings")]
    pub cmd: Option<Vec<String>>,
    /// How to see that the program is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows only.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub args_escaped: bool,
    /// The image as the client named it.
    #[serde(deserialize_with = "null::or_default")]
    pub image: String,
    /// Paths that become anonymous volumes.
    pub volumes: Option<JsonSet>,
    /// Working directory.
    #[serde(deserialize_with = "null::or_default")]
    pub working_dir: String,
    /// Program in front of `Cmd`; an empty list removes the image's.
    #[serde(deserialize_with = "null::strings")]
    pub entrypoint: Option<Vec<String>>,
    /// No network at all.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub network_disabled: bool,
    /// Hardware address; replaced by the endpoint's since API 1.44.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub mac_address: String,
    /// Build triggers of the image.
    pub on_build: Option<Vec<String>>,
    /// Labels; inspect always shows a map.
    pub labels: Option<BTreeMap<String, String>>,
    /// Signal that asks the program to stop.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub stop_signal: String,
    /// Seconds between that signal and killing; -1 waits for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Shell for commands given as text.
    #[serde(deserialize_with = "null::strings", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// How health is checked. Durations are in nanoseconds; 0 inherits the image's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Time between checks.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub interval: i64,
    /// Time after which a check counts as failed.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub timeout: i64,
    /// Time in which failures do not count.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub start_period: i64,
    /// Time between checks in the start period (API 1.44).
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub retries: i64,
}

/// Body of `POST /containers/create`: the container's configuration with two objects beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// The flattened top level.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// What belongs to the host.
    #[serde(rename = "HostConfig", deserialize_with = "null::or_default")]
    pub host_config: HostConfig,
    /// Networks to join beyond `NetworkMode`.
    #[serde(rename = "NetworkingConfig", skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<NetworkingConfig>,
}

/// Answer to `POST /containers/create` (201).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateResponse {
    /// The new container's id.
    pub id: String,
    /// Always a list, empty if all is well.
    pub warnings: Vec<String>,
}

/// One entry of `GET /containers/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerSummary {
    /// The container's id.
    pub id: String,
    /// Names with a leading slash.
    pub names: Vec<String>,
    /// The image as named at create; its id if that name moved to another image.
    pub image: String,
    /// The image's id.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// Program and arguments joined by spaces.
    pub command: String,
    /// Unix time in seconds.
    pub created: i64,
    /// Published and exposed ports.
    pub ports: Vec<PortSummary>,
    /// Bytes written by the container; only with `size=1`.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub size_rw: i64,
    /// Bytes of all its files; only with `size=1`.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub size_root_fs: i64,
    /// Labels.
    #[serde(deserialize_with = "null::or_default")]
    pub labels: BTreeMap<String, String>,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
    /// The state for people, see [`crate::durations::ContainerStatus`].
    pub status: String,
    /// Two fields of the host configuration.
    pub host_config: SummaryHostConfig,
    /// The networks.
    pub network_settings: SummaryNetworkSettings,
    /// The mounts.
    pub mounts: Vec<MountPoint>,
}

/// The part of `HostConfig` a list entry shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryHostConfig {
    /// Network mode.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub network_mode: String,
    /// Annotations (API 1.46).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The part of `NetworkSettings` a list entry shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryNetworkSettings {
    /// Endpoints by network name.
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// One port of a list entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortSummary {
    /// Host address; absent if not published.
    #[serde(rename = "IP", skip_serializing_if = "null::is_zero")]
    pub ip: String,
    /// Port inside.
    pub private_port: u16,
    /// Host port; absent if not published.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub public_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub protocol: String,
}

/// A mount in force, in inspect and list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MountPoint {
    /// `bind`, `volume`, `tmpfs`, `image`.
    #[serde(rename = "Type", skip_serializing_if = "null::is_zero")]
    pub kind: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub name: String,
    /// Directory on the host.
    pub source: String,
    /// Path inside.
    pub destination: String,
    /// The volume's driver.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub driver: String,
    /// Options as the client wrote them.
    pub mode: String,
    /// Writable.
    #[serde(rename = "RW")]
    pub rw: bool,
    /// Mount propagation of a bind mount.
    pub propagation: String,
}

/// What `POST /containers/{id}/wait` waits for (`condition`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Any state but running; returns at once for a created container. The default.
    #[default]
    NotRunning,
    /// The next exit, also of a container that is not running yet.
    NextExit,
    /// Until the container is gone.
    Removed,
}

impl WaitCondition {
    /// Reads the query value; empty means the default.
    ///
    /// # Errors
    /// The text to answer with status 400 if the value is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(format!("invalid condition: \"{other}\"")),
        }
    }
}

/// Answer to `POST /containers/{id}/wait`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitResponse {
    /// Set if the container could not be waited for or started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitError>,
    /// Exit code.
    pub status_code: i64,
}

/// Why waiting or starting failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitError {
    /// For people.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub message: String,
}

/// Answer to `GET /containers/{id}/top`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TopResponse {
    /// One row per process.
    pub processes: Vec<Vec<String>>,
    /// Column titles.
    pub titles: Vec<String>,
}

/// Body of `POST /containers/{id}/update`; zero and null leave a limit as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateRequest {
    /// Relative processor weight.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_shares: i64,
    /// Memory limit in bytes.
    #[serde(deserialize_with = "null::or_default")]
    pub memory: i64,
    /// Processor limit in billionths of a processor.
    #[serde(deserialize_with = "null::or_default")]
    pub nano_cpus: i64,
    /// Cannot be changed.
    #[serde(deserialize_with = "null::or_default")]
    pub cgroup_parent: String,
    /// Relative block device weight.
    #[serde(deserialize_with = "null::or_default")]
    pub blkio_weight: u16,
    /// Weight per block device.
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    /// Read limit in bytes per second.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Write limit in bytes per second.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Read limit in operations per second.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Write limit in operations per second.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    /// Scheduler period in microseconds.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_period: i64,
    /// Processor time per period in microseconds.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_quota: i64,
    /// Real-time period in microseconds.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_realtime_period: i64,
    /// Real-time budget in microseconds.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_realtime_runtime: i64,
    /// Processors to run on.
    #[serde(deserialize_with = "null::or_default")]
    pub cpuset_cpus: String,
    /// Memory nodes to use.
    #[serde(deserialize_with = "null::or_default")]
    pub cpuset_mems: String,
    /// Cannot be changed.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Cannot be changed.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Cannot be changed.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Kernel memory limit in bytes.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub kernel_memory: i64,
    /// Kernel memory for TCP buffers in bytes.
    #[serde(
        rename = "KernelMemoryTCP",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub kernel_memory_tcp: i64,
    /// Soft memory limit in bytes.
    #[serde(deserialize_with = "null::or_default")]
    pub memory_reservation: i64,
    /// Memory plus swap in bytes; -1 is unlimited.
    #[serde(deserialize_with = "null::or_default")]
    pub memory_swap: i64,
    /// Swappiness.
    pub memory_swappiness: Option<i64>,
    /// Do not kill when memory runs out.
    pub oom_kill_disable: Option<bool>,
    /// Number of processes; 0 or -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// Cannot be changed.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Windows only.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_count: i64,
    /// Windows only.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_percent: i64,
    /// Windows only.
    #[serde(rename = "IOMaximumIOps", deserialize_with = "null::or_default")]
    pub io_maximum_iops: u64,
    /// Windows only.
    #[serde(rename = "IOMaximumBandwidth", deserialize_with = "null::or_default")]
    pub io_maximum_bandwidth: u64,
    /// New restart policy; an empty name leaves it.
    #[serde(deserialize_with = "null::or_default")]
    pub restart_policy: RestartPolicy,
}

/// Answer to `POST /containers/{id}/update`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateResponse {
    /// Null if all is well.
    pub warnings: Option<Vec<String>>,
}

/// One changed path, in the answer to `GET /containers/{id}/changes` (the whole answer is null if nothing changed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeItem {
    /// One of [`ChangeItem::MODIFIED`], [`ChangeItem::ADDED`] and [`ChangeItem::DELETED`].
    pub kind: u8,
    /// Absolute path inside.
    pub path: String,
}

impl ChangeItem {
    /// Content or metadata differ from the image.
    pub const MODIFIED: u8 = 0;
    /// Not in the image.
    pub const ADDED: u8 = 1;
    /// Only in the image.
    pub const DELETED: u8 = 2;
}

/// Answer to `POST /containers/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainersPruneReport {
    /// Ids of the removed containers; null if none.
    pub containers_deleted: Option<Vec<String>>,
    /// Freed bytes.
    pub space_reclaimed: u64,
}

/// What a path inside a container is: JSON in base64 in the header [`PathStat::HEADER`] of archive requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStat {
    /// The last component of the path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode`: permission bits, with the type in the high bits (see the constants).
    pub mode: u32,
    /// Time of the last change (RFC 3339).
    pub mtime: String,
    /// Where a symbolic link points, resolved inside the container; else empty.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

impl PathStat {
    /// The header that carries it.
    pub const HEADER: &str = "X-Docker-Container-Path-Stat";
    /// Bit of a directory in `mode`.
    pub const MODE_DIRECTORY: u32 = 1 << 31;
    /// Bit of a symbolic link.
    pub const MODE_SYMLINK: u32 = 1 << 27;
    /// Bit of a device; a character device has [`PathStat::MODE_CHARACTER_DEVICE`] too.
    pub const MODE_DEVICE: u32 = 1 << 26;
    /// Bit of a named pipe.
    pub const MODE_NAMED_PIPE: u32 = 1 << 25;
    /// Bit of a socket.
    pub const MODE_SOCKET: u32 = 1 << 24;
    /// Set-user-id.
    pub const MODE_SETUID: u32 = 1 << 23;
    /// Set-group-id.
    pub const MODE_SETGID: u32 = 1 << 22;
    /// Bit of a character device.
    pub const MODE_CHARACTER_DEVICE: u32 = 1 << 21;
    /// Sticky bit.
    pub const MODE_STICKY: u32 = 1 << 20;
}
