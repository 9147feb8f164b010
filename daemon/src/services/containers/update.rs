//! `docker update`: other limits for a container that may run, and another restart policy.

use super::judge::{Ask, judge};
use super::messages::Found;
use super::start::current;
use super::state::Event;
use super::verbs::{Containers, Deps, to_the_end};
use super::{limits, refuse};
use crate::services::{Failure, naming};
use docker_api::containers::UpdateRequest;
use docker_api::host_config::HostConfig;
use protocol::Principal;
use std::sync::Arc;

impl Containers {
    /// Changes a container's limits and restart policy.
    ///
    /// # Errors
    /// `Invalid` for bad limits, `Conflict` where they do not fit those that are set, `Unsupported`.
    pub async fn update(&self, by: &Principal, text: &str, request: UpdateRequest) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move { update(&deps, &by, &found, request).await }).await
    }
}

async fn update(deps: &Deps, by: &Principal, found: &Found, request: UpdateRequest) -> Result<(), Failure> {
    let wanted = wanted(request)?;
    refuse::check_restart_policy(&wanted)?;
    limits::check_values(
        &wanted,
        std::thread::available_parallelism().map_or(1, usize::from),
        true,
    )?;
    let _changing = found.lock.lock().await;
    let container = current(deps, &found.container.id).await?;
    judge(Ask::Update, &container, &container.name)?;
    let context = format!("Cannot update container {}", container.id);
    let mut host = container.host_config.clone();
    merge(&mut host, wanted).map_err(|text| Failure::Conflict(format!("{context}: {text}")))?;
    limits::check(deps, &host)?;
    if container.pid().is_some() {
        let jail = naming::jail(&container.id)?;
        let set = deps.helpers.jail.limit(by, jail, limits::convert(&host)?).await;
        set.map_err(|error| Failure::from(error).within(&context))?;
    }
    let updated = deps.change(&container.id, Event::Updated(Box::new(host))).await?;
    deps.tell(&updated, "update", &[]);
    Ok(())
}

/// The request as the part of a host configuration that it changes.
///
/// # Errors
/// `Unsupported` for what cannot be changed.
fn wanted(request: UpdateRequest) -> Result<HostConfig, Failure> {
    fn some<T>(list: Option<&Vec<T>>) -> bool {
        list.is_some_and(|list| !list.is_empty())
    }
    let fixed = [
        (
            "kernel memory",
            request.kernel_memory != 0 || request.kernel_memory_tcp != 0,
        ),
        (
            "memory swappiness",
            request.memory_swappiness.is_some_and(|value| value != -1),
        ),
        (
            "real-time limits",
            request.cpu_realtime_period != 0 || request.cpu_realtime_runtime != 0,
        ),
        ("the parent control group", !request.cgroup_parent.is_empty()),
        ("the OOM killer", request.oom_kill_disable == Some(true)),
        ("ulimits", some(request.ulimits.as_ref())),
        (
            "devices",
            some(request.devices.as_ref()) || some(request.device_requests.as_ref()),
        ),
        (
            "rates of devices",
            some(request.blkio_device_read_bps.as_ref())
                || some(request.blkio_device_write_bps.as_ref())
                || some(request.blkio_device_read_iops.as_ref())
                || some(request.blkio_device_write_iops.as_ref())
                || some(request.blkio_weight_device.as_ref()),
        ),
    ];
    if let Some((what, _)) = fixed.iter().find(|(_, is_set)| *is_set) {
        return Err(Failure::Unsupported(format!(
            "update of {what} is not supported by cellblock"
        )));
    }
    Ok(HostConfig {
        cpu_shares: request.cpu_shares,
        memory: request.memory,
        nano_cpus: request.nano_cpus,
        blkio_weight: request.blkio_weight,
        cpu_period: request.cpu_period,
        cpu_quota: request.cpu_quota,
        cpuset_cpus: request.cpuset_cpus,
        cpuset_mems: request.cpuset_mems,
        memory_reservation: request.memory_reservation,
        memory_swap: request.memory_swap,
        pids_limit: request.pids_limit,
        restart_policy: request.restart_policy,
        ..HostConfig::default()
    })
}

/// Puts what was asked for over what is set; zero leaves a limit as it is (dockerd's `UpdateContainer`).
///
/// # Errors
/// dockerd's words where both do not fit together.
fn merge(host: &mut HostConfig, wanted: HostConfig) -> Result<(), String> {
    let conflict = |new: &str, old: &str| {
        Err(format!(
            "Conflicting options: {new} cannot be updated as {old} has already been set"
        ))
    };
    match &wanted {
        new if new.nano_cpus > 0 && host.cpu_period > 0 => return conflict("Nano CPUs", "CPU Period"),
        new if new.nano_cpus > 0 && host.cpu_quota > 0 => return conflict("Nano CPUs", "CPU Quota"),
        new if new.cpu_period > 0 && host.nano_cpus > 0 => return conflict("CPU Period", "NanoCPUs"),
        new if new.cpu_quota > 0 && host.nano_cpus > 0 => return conflict("CPU Quota", "NanoCPUs"),
        new if new.memory != 0 && new.memory > host.memory_swap && new.memory_swap == 0 => {
            let text = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
            return Err(text.to_owned());
        }
        _ => {}
    }
    let policy = wanted.restart_policy;
    if !policy.name.is_empty() {
        if host.auto_remove && policy.name != "no" {
            let text = "Restart policy cannot be updated because AutoRemove is enabled for the container";
            return Err(text.to_owned());
        }
        host.restart_policy = policy;
    }
    for (own, new) in [
        (&mut host.cpu_shares, wanted.cpu_shares),
        (&mut host.nano_cpus, wanted.nano_cpus),
        (&mut host.cpu_period, wanted.cpu_period),
        (&mut host.cpu_quota, wanted.cpu_quota),
        (&mut host.memory, wanted.memory),
        (&mut host.memory_swap, wanted.memory_swap),
        (&mut host.memory_reservation, wanted.memory_reservation),
    ] {
        if new != 0 {
            *own = new;
        }
    }
    for (own, new) in [
        (&mut host.cpuset_cpus, wanted.cpuset_cpus),
        (&mut host.cpuset_mems, wanted.cpuset_mems),
    ] {
        if !new.is_empty() {
            *own = new;
        }
    }
    if wanted.blkio_weight != 0 {
        host.blkio_weight = wanted.blkio_weight;
    }
    if wanted.pids_limit.is_some() {
        host.pids_limit = wanted.pids_limit;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_leaves_a_limit_and_conflicts_are_told_in_dockerds_words() {
        let mut host = HostConfig {
            memory: 100,
            memory_swap: 200,
            cpu_quota: 5000,
            ..HostConfig::default()
        };
        let wanted = |memory, nano_cpus| HostConfig {
            memory,
            nano_cpus,
            ..HostConfig::default()
        };
        assert!(
            merge(&mut host, wanted(300, 0))
                .unwrap_err()
                .starts_with("Memory limit should be smaller than")
        );
        assert_eq!(
            merge(&mut host, wanted(0, 1)).unwrap_err(),
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
        );
        merge(&mut host, wanted(150, 0)).unwrap();
        assert_eq!((host.memory, host.memory_swap, host.cpu_quota), (150, 200, 5000));
    }
}
