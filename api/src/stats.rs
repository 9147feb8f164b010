//! Resource use: records of `GET /containers/{id}/stats`, one JSON object per line.

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One sample. A container that is not running answers zeros and Go's zero time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsResponse {
    /// Name with a leading slash.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub name: String,
    /// The container's id.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub id: String,
    /// When this sample was taken (RFC 3339).
    pub read: String,
    /// When the previous one was taken.
    pub preread: String,
    /// Processes.
    pub pids_stats: PidsStats,
    /// Block devices.
    pub blkio_stats: BlkioStats,
    /// Windows only; 0.
    pub num_procs: u32,
    /// Windows only; empty.
    pub storage_stats: StorageStats,
    /// Processor use now.
    pub cpu_stats: CpuStats,
    /// Processor use at the previous sample.
    pub precpu_stats: CpuStats,
    /// Memory use.
    pub memory_stats: MemoryStats,
    /// Traffic by interface name inside; absent without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<BTreeMap<String, NetworkStats>>,
}

/// Processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    /// Number now.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub current: u64,
    /// Number allowed.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub limit: u64,
}

/// Processor use since the container started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    /// Time used.
    pub cpu_usage: CpuUsage,
    /// Time used by the whole host, in nanoseconds.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub system_cpu_usage: u64,
    /// Number of processors.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub online_cpus: u32,
    /// Time held back by a limit.
    pub throttling_data: ThrottlingData,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// All of it.
    pub total_usage: u64,
    /// By processor, where the host tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percpu_usage: Option<Vec<u64>>,
    /// In the kernel.
    pub usage_in_kernelmode: u64,
    /// In programs.
    pub usage_in_usermode: u64,
}

/// How often a processor limit held the container back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottlingData {
    /// Periods with the limit in force.
    pub periods: u64,
    /// Periods in which it was reached.
    pub throttled_periods: u64,
    /// Nanoseconds held back.
    pub throttled_time: u64,
}

/// Memory use in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// Now.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub usage: u64,
    /// Highest so far, where the host tells.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub max_usage: u64,
    /// The host's own counters; clients subtract `inactive_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<BTreeMap<String, u64>>,
    /// How often the limit was reached.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub failcnt: u64,
    /// The limit, or the host's memory.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub limit: u64,
}

/// Block device counters; dockerd on control groups v2 fills only the first and writes null for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioStats {
    /// Bytes by device and operation.
    pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
    /// Operations by device.
    pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
    /// Waiting operations.
    pub io_queue_recursive: Option<Vec<BlkioEntry>>,
    /// Service time.
    pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
    /// Waiting time.
    pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
    /// Merged operations.
    pub io_merged_recursive: Option<Vec<BlkioEntry>>,
    /// Device time.
    pub io_time_recursive: Option<Vec<BlkioEntry>>,
    /// Sectors.
    pub sectors_recursive: Option<Vec<BlkioEntry>>,
}

/// One counter of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioEntry {
    /// Major device number.
    pub major: u64,
    /// Minor device number.
    pub minor: u64,
    /// `read`, `write`, `Total` and others.
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Windows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageStats {
    /// Reads.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub read_count_normalized: u64,
    /// Bytes read.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub read_size_bytes: u64,
    /// Writes.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub write_count_normalized: u64,
    /// Bytes written.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub write_size_bytes: u64,
}

/// Traffic of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStats {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Received packets dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Packets to send dropped.
    pub tx_dropped: u64,
}
