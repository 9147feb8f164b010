//! `HostConfig`: everything about a container that belongs to this host rather than to the image.

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::mounts::{BindOptions, ImageOptions, Mount, MountDriver, TmpfsOptions, VolumeOptions};

/// Published ports by container port (`80/tcp`); a port with `null` or an empty list takes a free host port.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// `HostConfig` of create, and of inspect (API 1.51; resources included, as Docker writes them flat).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HostConfig {
    /// Bind mounts and named volumes, `source:destination[:options]`.
    pub binds: Option<Vec<String>>,
    /// Client-side file for the id; only stored.
    #[serde(rename = "ContainerIDFile", deserialize_with = "null::or_default")]
    pub container_id_file: String,
    /// Where output goes.
    #[serde(deserialize_with = "null::or_default")]
    pub log_config: LogConfig,
    /// `bridge`, `none`, `host`, `container:<id>` or a network's name.
    #[serde(deserialize_with = "null::or_default")]
    pub network_mode: String,
    /// Published ports by container port, such as `80/tcp`.
    pub port_bindings: Option<PortMap>,
    /// What happens after an exit.
    #[serde(deserialize_with = "null::or_default")]
    pub restart_policy: RestartPolicy,
    /// Remove the container when it stops.
    #[serde(deserialize_with = "null::or_default")]
    pub auto_remove: bool,
    /// Driver for volumes created on the way.
    #[serde(deserialize_with = "null::or_default")]
    pub volume_driver: String,
    /// Containers whose volumes are mounted too, `name[:ro|rw]`.
    pub volumes_from: Option<Vec<String>>,
    /// First terminal size: rows, columns.
    #[serde(deserialize_with = "null::or_default")]
    pub console_size: [u32; 2],
    /// Metadata handed to the runtime (API 1.43).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Capabilities to add.
    #[serde(deserialize_with = "null::strings")]
    pub cap_add: Option<Vec<String>>,
    /// Capabilities to drop.
    #[serde(deserialize_with = "null::strings")]
    pub cap_drop: Option<Vec<String>>,
    /// Control group namespace: `private`, `host` or empty.
    #[serde(deserialize_with = "null::or_default")]
    pub cgroupns_mode: String,
    /// Name servers.
    pub dns: Option<Vec<String>>,
    /// Resolver options.
    pub dns_options: Option<Vec<String>>,
    /// Search domains.
    pub dns_search: Option<Vec<String>>,
    /// Lines for the hosts file, `name:address`.
    pub extra_hosts: Option<Vec<String>>,
    /// Additional groups of the main process.
    pub group_add: Option<Vec<String>>,
    /// `none`, `private`, `shareable`, `container:<id>`, `host` or empty.
    #[serde(deserialize_with = "null::or_default")]
    pub ipc_mode: String,
    /// Control group to use.
    #[serde(deserialize_with = "null::or_default")]
    pub cgroup: String,
    /// Old-style links, `container:alias`.
    pub links: Option<Vec<String>>,
    /// Preference of the out-of-memory killer.
    #[serde(deserialize_with = "null::or_default")]
    pub oom_score_adj: i64,
    /// `container:<id>`, `host` or empty.
    #[serde(deserialize_with = "null::or_default")]
    pub pid_mode: String,
    /// Give the container the host's powers.
    #[serde(deserialize_with = "null::or_default")]
    pub privileged: bool,
    /// Publish every exposed port on a free host port.
    #[serde(deserialize_with = "null::or_default")]
    pub publish_all_ports: bool,
    /// Mount the root file system read-only.
    #[serde(deserialize_with = "null::or_default")]
    pub readonly_rootfs: bool,
    /// Security options.
    pub security_opt: Option<Vec<String>>,
    /// Storage driver options, such as `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opt: Option<BTreeMap<String, String>>,
    /// Memory file systems: options by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    /// Host name namespace: `host` or empty.
    #[serde(rename = "UTSMode", deserialize_with = "null::or_default")]
    pub uts_mode: String,
    /// User namespace: `host` or empty.
    #[serde(deserialize_with = "null::or_default")]
    pub userns_mode: String,
    /// Size of `/dev/shm` in bytes.
    #[serde(deserialize_with = "null::or_default")]
    pub shm_size: i64,
    /// Kernel settings of the container's namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    /// Name of the runtime.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub runtime: String,
    /// Windows isolation technology.
    #[serde(deserialize_with = "null::or_default")]
    pub isolation: String,
    /// Relative processor weight.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_shares: i64,
    /// Memory limit in bytes; 0 is none.
    #[serde(deserialize_with = "null::or_default")]
    pub memory: i64,
    /// Processor limit in billionths of a processor.
    #[serde(deserialize_with = "null::or_default")]
    pub nano_cpus: i64,
    /// Parent control group.
    #[serde(deserialize_with = "null::or_default")]
    pub cgroup_parent: String,
    /// Relative block device weight, 10 to 1000.
    #[serde(deserialize_with = "null::or_default")]
    pub blkio_weight: u16,
    /// Weight per block device.
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    /// Read limit in bytes per second per device.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Write limit in bytes per second per device.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Read limit in operations per second per device.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Write limit in operations per second per device.
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
    /// Processors to run on, `0-2,4`.
    #[serde(deserialize_with = "null::or_default")]
    pub cpuset_cpus: String,
    /// Memory nodes to use.
    #[serde(deserialize_with = "null::or_default")]
    pub cpuset_mems: String,
    /// Host devices to show inside.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Rules for the device control group.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Devices asked of a driver.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Kernel memory limit in bytes; not accepted since API 1.42.
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
    /// Swappiness, 0 to 100, or -1.
    pub memory_swappiness: Option<i64>,
    /// Do not kill when memory runs out.
    pub oom_kill_disable: Option<bool>,
    /// Number of processes; 0 or -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// Process limits.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Windows: number of processors.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_count: i64,
    /// Windows: share of the processors in percent.
    #[serde(deserialize_with = "null::or_default")]
    pub cpu_percent: i64,
    /// Windows: operations per second of the system drive.
    #[serde(rename = "IOMaximumIOps", deserialize_with = "null::or_default")]
    pub io_maximum_iops: u64,
    /// Windows: bytes per second of the system drive.
    #[serde(rename = "IOMaximumBandwidth", deserialize_with = "null::or_default")]
    pub io_maximum_bandwidth: u64,
    /// Mounts in long form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Paths hidden inside; null means the default list.
    pub masked_paths: Option<Vec<String>>,
    /// Paths read-only inside; null means the default list.
    pub readonly_paths: Option<Vec<String>>,
    /// Run a small init as the first process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// Size of `/dev/shm` in bytes when the client gives none (dockerd's `--default-shm-size`, 64 MiB).
pub const SHM_BYTES_DEFAULT: i64 = 64 * 1024 * 1024;

impl HostConfig {
    /// Fills what dockerd 28 fills in at create, so that inspect shows the values in force.
    ///
    /// Runtime, security paths and control group settings depend on the host and are the caller's.
    pub fn fill_defaults(&mut self) {
        if self.network_mode.is_empty() || self.network_mode == "default" {
            self.network_mode = "bridge".to_owned();
        }
        if self.ipc_mode.is_empty() {
            self.ipc_mode = "private".to_owned();
        }
        if self.shm_size == 0 {
            self.shm_size = SHM_BYTES_DEFAULT;
        }
        if self.restart_policy.name.is_empty() {
            self.restart_policy.name = "no".to_owned();
        }
        if self.log_config.kind.is_empty() {
            self.log_config.kind = "json-file".to_owned();
        }
        // With a memory limit and no swap limit, dockerd allows as much swap as memory.
        if self.memory > 0 && self.memory_swap == 0 {
            self.memory_swap = self.memory.saturating_mul(2);
        }
        self.log_config.config.get_or_insert_default();
    }
}

/// One host address and port for a published container port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// Host address; empty means every address.
    #[serde(rename = "HostIp", deserialize_with = "null::or_default")]
    pub host_ip: String,
    /// Host port, a range `from-to`, or empty for a free one.
    #[serde(rename = "HostPort", deserialize_with = "null::or_default")]
    pub host_port: String,
}

/// What happens when the container exits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure` or empty (which means `no`).
    #[serde(deserialize_with = "null::or_default")]
    pub name: String,
    /// Number of restarts for `on-failure`; 0 is no limit.
    #[serde(deserialize_with = "null::or_default")]
    pub maximum_retry_count: i64,
}

/// A log driver and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// Driver, such as `json-file`; empty means the daemon's default.
    #[serde(rename = "Type", deserialize_with = "null::or_default")]
    pub kind: String,
    /// The driver's options, such as `max-size`.
    #[serde(rename = "Config")]
    pub config: Option<BTreeMap<String, String>>,
}

/// A limit on one process resource, as `setrlimit(2)` counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ulimit {
    /// Name without `RLIMIT_`, lower case: `nofile`.
    #[serde(deserialize_with = "null::or_default")]
    pub name: String,
    /// Hard limit; -1 is unlimited.
    #[serde(deserialize_with = "null::or_default")]
    pub hard: i64,
    /// Soft limit; -1 is unlimited.
    #[serde(deserialize_with = "null::or_default")]
    pub soft: i64,
}

/// A host device shown inside the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceMapping {
    /// Path on the host.
    #[serde(deserialize_with = "null::or_default")]
    pub path_on_host: String,
    /// Path inside.
    #[serde(deserialize_with = "null::or_default")]
    pub path_in_container: String,
    /// Any of `r`, `w`, `m`.
    #[serde(deserialize_with = "null::or_default")]
    pub cgroup_permissions: String,
}

/// Devices asked of a driver (`--gpus`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceRequest {
    /// Name of the driver.
    #[serde(deserialize_with = "null::or_default")]
    pub driver: String,
    /// Number of devices; -1 is all.
    #[serde(deserialize_with = "null::or_default")]
    pub count: i64,
    /// Wanted devices, in the driver's own names.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    /// Alternatives, each a list of capabilities needed together.
    pub capabilities: Option<Vec<Vec<String>>>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
}

/// A block device's relative weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WeightDevice {
    /// Device path.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A block device's rate limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ThrottleDevice {
    /// Device path.
    pub path: String,
    /// Bytes or operations per second, by the field it stands in.
    pub rate: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_read_as_unset() {
        let read: HostConfig = serde_json::from_str(
            r#"{"Binds":null,"NetworkMode":null,"Memory":null,"LogConfig":null,"CapAdd":"NET_RAW",
                "RestartPolicy":{"Name":null},"Future":1,"PortBindings":{"80/tcp":null}}"#,
        )
        .expect("tolerant");
        let wanted = HostConfig {
            cap_add: Some(vec!["NET_RAW".to_owned()]),
            port_bindings: Some(BTreeMap::from([("80/tcp".to_owned(), None)])),
            ..HostConfig::default()
        };
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error() {
        for text in [r#"{"Memory":"1g"}"#, r#"{"Binds":"a:b"}"#, r#"{"AutoRemove":1}"#] {
            assert!(serde_json::from_str::<HostConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn defaults_are_filled_in_once_and_wishes_are_kept() {
        let mut config = HostConfig {
            memory: 100,
            ..HostConfig::default()
        };
        config.fill_defaults();
        assert_eq!(config.network_mode, "bridge");
        assert_eq!(config.memory_swap, 200);
        assert_eq!(config.restart_policy.name, "no");
        let filled = config.clone();
        config.fill_defaults();
        assert_eq!(config, filled);
        let mut wished = HostConfig {
            network_mode: "none".to_owned(),
            memory_swap: -1,
            memory: 1,
            ..HostConfig::default()
        };
        wished.fill_defaults();
        assert_eq!((wished.network_mode.as_str(), wished.memory_swap), ("none", -1));
    }
}
