//! What a container uses, as `docker stats` shows it.

use super::state::Container;
use super::verbs::Containers;
use crate::services::{Failure, clock, naming};
use docker_api::stats::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, StatsResponse,
    ThrottlingData,
};
use protocol::Principal;
use protocol::jail::{BlockUse, InterfaceUse, UNLIMITED, Usage};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Containers {
    /// A container's use now; one that does not run has none. None where it is gone.
    ///
    /// # Errors
    /// What the jail helper answers.
    pub async fn sample(&self, by: &Principal, id: &str) -> Result<Option<StatsResponse>, Failure> {
        let view = self
            .0
            .table
            .ask(super::messages::Watch { id: id.to_owned() })
            .await?;
        let Some(view) = view else {
            return Ok(None);
        };
        let container: Arc<Container> = Arc::clone(&view.borrow());
        if container.pid().is_none() {
            return Ok(Some(empty(&container)));
        }
        match self.0.helpers.jail.usage(by, naming::jail(id)?).await {
            Ok(usage) => Ok(Some(respond(&container, &usage, clock::now_ns()))),
            // It has ended since.
            Err(error) if error.is_not_found() => Ok(Some(empty(&container))),
            Err(error) => Err(error.into()),
        }
    }
}

/// The answer for a container that does not run.
fn empty(container: &Container) -> StatsResponse {
    StatsResponse {
        name: format!("/{}", container.name),
        id: container.id.clone(),
        read: clock::text(0),
        preread: clock::text(0),
        ..StatsResponse::default()
    }
}

fn respond(container: &Container, usage: &Usage, now_ns: i64) -> StatsResponse {
    let counters = usage.memory_counters.as_slice().iter();
    let counters: BTreeMap<String, u64> = counters
        .map(|counter| (counter.name.as_str().to_owned(), counter.value))
        .collect();
    let interfaces: BTreeMap<String, NetworkStats> =
        usage.interfaces.as_slice().iter().map(interface).collect();
    StatsResponse {
        read: clock::text(now_ns),
        pids_stats: PidsStats {
            current: usage.processes,
            // dockerd shows no limit as the largest number.
            limit: usage.processes_limit,
        },
        blkio_stats: block(usage.block.as_slice()),
        cpu_stats: CpuStats {
            cpu_usage: CpuUsage {
                total_usage: usage.cpu_ns,
                percpu_usage: None,
                usage_in_kernelmode: usage.cpu_kernel_ns,
                usage_in_usermode: usage.cpu_user_ns,
            },
            system_cpu_usage: usage.host_cpu_ns,
            online_cpus: usage.host_cpus,
            throttling_data: ThrottlingData {
                periods: usage.cpu_periods,
                throttled_periods: usage.cpu_periods_throttled,
                throttled_time: usage.cpu_throttled_ns,
            },
        },
        memory_stats: MemoryStats {
            usage: usage.memory_bytes,
            max_usage: usage.memory_peak_bytes,
            stats: Some(counters).filter(|counters| !counters.is_empty()),
            failcnt: usage.memory_failures,
            limit: usage.memory_limit_bytes.min(limit(container)),
        },
        networks: Some(interfaces).filter(|interfaces| !interfaces.is_empty()),
        ..empty(container)
    }
}

/// The container's own limit, which not every host tells with the use.
fn limit(container: &Container) -> u64 {
    match u64::try_from(container.host_config.memory) {
        Ok(0) | Err(_) => UNLIMITED,
        Ok(limit) => limit,
    }
}

fn interface(used: &InterfaceUse) -> (String, NetworkStats) {
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    ] = used.counts;
    let stats = NetworkStats {
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    };
    (used.name.as_str().to_owned(), stats)
}

fn block(devices: &[BlockUse]) -> BlkioStats {
    let entries = |read: fn(&BlockUse) -> u64, written: fn(&BlockUse) -> u64| {
        let entry = |device: &BlockUse, op: &str, value: u64| BlkioEntry {
            major: u64::from(device.major),
            minor: u64::from(device.minor),
            op: op.to_owned(),
            value,
        };
        let both = |device: &BlockUse| {
            [
                entry(device, "read", read(device)),
                entry(device, "write", written(device)),
            ]
        };
        Some(devices.iter().flat_map(both).collect())
    };
    BlkioStats {
        io_service_bytes_recursive: entries(|d| d.read_bytes, |d| d.written_bytes),
        io_serviced_recursive: entries(|d| d.reads, |d| d.writes),
        ..BlkioStats::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;
    use protocol::names::{Bounded, Label};

    #[test]
    fn use_is_told_in_the_fields_that_docker_stats_computes_from() {
        let mut one = container(Phase::Running { pid: 1 });
        one.host_config.memory = 1000;
        let usage = Usage {
            cpu_ns: 5,
            host_cpu_ns: 50,
            host_cpus: 2,
            memory_bytes: 7,
            memory_limit_bytes: 4000,
            interfaces: Bounded::cut(vec![InterfaceUse {
                name: Label::new("eth0").unwrap(),
                counts: [1, 2, 3, 4, 5, 6, 7, 8],
            }]),
            block: Bounded::cut(vec![BlockUse {
                written_bytes: 9,
                ..BlockUse::default()
            }]),
            ..Usage::default()
        };
        let told = respond(&one, &usage, 1);
        assert_eq!(
            (
                told.cpu_stats.cpu_usage.total_usage,
                told.cpu_stats.system_cpu_usage
            ),
            (5, 50)
        );
        assert_eq!((told.memory_stats.usage, told.memory_stats.limit), (7, 1000));
        let sent = &told.networks.unwrap()["eth0"];
        assert_eq!((sent.rx_bytes, sent.tx_bytes, sent.tx_dropped), (1, 5, 8));
        let written = &told.blkio_stats.io_service_bytes_recursive.unwrap()[1];
        assert_eq!((written.op.as_str(), written.value), ("write", 9));
    }
}
