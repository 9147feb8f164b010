//! Resource limits: judged as dockerd judges them, and put into the jail helper's words.

use super::state::Container;
use super::verbs::Deps;
use crate::services::{Failure, naming};
use docker_api::host_config::{HostConfig, ThrottleDevice};
use protocol::Principal;
use protocol::handshake::HostOs;
use protocol::jail::{Limits, Rlimit, Sysctl, Throttle, Throttled, UNLIMITED};
use protocol::limits::{RLIMITS_MAX, SYSCTLS_MAX};
use protocol::names::{Bounded, Label, Text};

/// The smallest memory limit: dockerd's, in bytes.
const MEMORY_BYTES_MIN: i64 = 6 * 1024 * 1024;

/// Billionths of a processor in one.
const NANO: i64 = 1_000_000_000;

/// The periods that the kernel takes, in microseconds, and the smallest quota.
const CPU_PERIOD_US: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;

/// The setting that holds a host's domain (hostname(7), "NIS domain").
const DOMAIN_SETTING: &str = "kernel.domainname";

fn invalid(text: impl Into<String>) -> Result<(), Failure> {
    Err(Failure::Invalid(text.into()))
}

/// Refuses limits that dockerd refuses, and any where this host enforces none.
///
/// # Errors
/// `Invalid` in dockerd's words, `Unsupported`.
pub(super) fn check(deps: &Deps, host: &HostConfig) -> Result<(), Failure> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    check_values(host, cpus, false)?;
    let facts = deps.helpers.jail.0.facts();
    if facts.is_some_and(|facts| !facts.enforces_limits) && needs_counting(&convert(host)?) {
        let why = match deps.host_os() {
            HostOs::FreeBsd => "kern.racct.enable=1 in /boot/loader.conf and a restart of the host",
            HostOs::Linux => "the memory, cpu and pids controllers of control groups",
        };
        return Err(Failure::Unsupported(format!("resource limits need {why}")));
    }
    Ok(())
}

/// Whether a limit is among those that FreeBSD needs racct for.
fn needs_counting(limits: &Limits) -> bool {
    [
        limits.memory_bytes,
        limits.memory_swap_bytes,
        limits.cpu_quota_us,
        limits.processes,
    ]
    .iter()
    .any(|limit| *limit != UNLIMITED)
}

/// dockerd's checks, in its order (`verifyPlatformContainerResources`, 28.5).
///
/// # Errors
/// `Invalid` in dockerd's words.
pub(super) fn check_values(host: &HostConfig, cpus: usize, is_update: bool) -> Result<(), Failure> {
    check_memory(host, is_update)?;
    check_processor(host, cpus)?;
    check_processors(&host.cpuset_cpus, "cpus", "CPUs", cpus)?;
    check_processors(&host.cpuset_mems, "mems", "memory nodes", 1)?;
    if host.blkio_weight != 0 && !(10..=1000).contains(&host.blkio_weight) {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        let score = host.oom_score_adj;
        return invalid(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        ));
    }
    Ok(())
}

fn check_memory(host: &HostConfig, is_update: bool) -> Result<(), Failure> {
    let HostConfig {
        memory,
        memory_swap: swap,
        memory_reservation: reservation,
        ..
    } = *host;
    if memory != 0 && memory < MEMORY_BYTES_MIN {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 && !is_update {
        return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if let Some(swappiness) = host.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
        return invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if reservation > 0 && reservation < MEMORY_BYTES_MIN {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > 0 && memory < reservation {
        return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    Ok(())
}

fn check_processor(host: &HostConfig, cpus: usize) -> Result<(), Failure> {
    let HostConfig {
        nano_cpus,
        cpu_period,
        cpu_quota,
        cpu_shares,
        ..
    } = *host;
    if nano_cpus > 0 && cpu_period > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if nano_cpus > 0 && cpu_quota > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let most = i64::try_from(cpus).unwrap_or(i64::MAX).saturating_mul(NANO);
    if nano_cpus < 0 || nano_cpus > most {
        return invalid(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        ));
    }
    if cpu_shares < 0 {
        return invalid(format!(
            "invalid CPU shares ({cpu_shares}): value must be a positive integer"
        ));
    }
    if cpu_shares == 1 {
        return invalid("the minimum allowed cpu-shares is 2");
    }
    if cpu_period != 0 && !CPU_PERIOD_US.contains(&cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if cpu_quota > 0 && cpu_quota < *CPU_PERIOD_US.start() {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    Ok(())
}

/// A list such as `0-2,4`, none of them over what there is.
fn check_processors(list: &str, what: &str, those: &str, count: usize) -> Result<(), Failure> {
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<usize>(), to.trim().parse::<usize>()) else {
            return invalid(format!(
                "Invalid value {list} for cpuset {what}: invalid format: {part}"
            ));
        };
        if from > to {
            return invalid(format!(
                "Invalid value {list} for cpuset {what}: invalid format: {part}"
            ));
        }
        if to >= count {
            let available = if count == 1 {
                "0".to_owned()
            } else {
                format!("0-{}", count - 1)
            };
            return invalid(format!(
                "Requested {those} are not available - requested {list}, available: {available}"
            ));
        }
    }
    Ok(())
}

/// Limits in the helper's words.
///
/// # Errors
/// `Invalid` for a device that is not there.
pub(super) fn convert(host: &HostConfig) -> Result<Limits, Failure> {
    let positive = |value: i64| match u64::try_from(value) {
        Ok(0) | Err(_) => UNLIMITED,
        Ok(value) => value,
    };
    let (mut quota, mut period) = (positive(host.cpu_quota), positive(host.cpu_period));
    if period == UNLIMITED {
        period = Limits::CPU_PERIOD_US;
    }
    if host.nano_cpus > 0 {
        quota =
            (positive(host.nano_cpus).saturating_mul(Limits::CPU_PERIOD_US) / NANO.unsigned_abs()).max(1000);
    }
    let memory_bytes = positive(host.memory);
    let swap = positive(host.memory_swap);
    Ok(Limits {
        memory_bytes,
        memory_swap_bytes: if memory_bytes == UNLIMITED {
            UNLIMITED
        } else {
            swap.max(memory_bytes)
        },
        memory_reservation_bytes: positive(host.memory_reservation),
        cpu_quota_us: quota,
        cpu_period_us: period,
        cpu_shares: positive(host.cpu_shares),
        processes: positive(host.pids_limit.unwrap_or_default()),
        block_weight: positive(i64::from(host.blkio_weight)),
        swappiness: match host.memory_swappiness.map(u64::try_from) {
            Some(Ok(swappiness)) => swappiness,
            Some(Err(_)) | None => UNLIMITED,
        },
        cpus: Text::new(host.cpuset_cpus.replace(' ', ""))?,
        memory_nodes: Text::new(host.cpuset_mems.replace(' ', ""))?,
        throttles: Bounded::new(throttles(host)?)?,
    })
}

fn throttles(host: &HostConfig) -> Result<Vec<Throttle>, Failure> {
    let lists: [(Throttled, &Option<Vec<ThrottleDevice>>); 4] = [
        (Throttled::ReadBytes, &host.blkio_device_read_bps),
        (Throttled::WriteBytes, &host.blkio_device_write_bps),
        (Throttled::Reads, &host.blkio_device_read_iops),
        (Throttled::Writes, &host.blkio_device_write_iops),
    ];
    let mut all = Vec::new();
    for (what, devices) in lists {
        for ThrottleDevice { path, rate } in devices.iter().flatten() {
            let device = rustix::fs::stat(path)
                .map_err(|_| Failure::System(format!("stat {path}: no such file or directory")))?
                .st_rdev;
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            let rate = *rate;
            all.push(Throttle {
                what,
                major,
                minor,
                rate,
            });
        }
    }
    Ok(all)
}

/// `--ulimit` in the helper's words.
///
/// # Errors
/// `Invalid` for a name that is none.
pub(super) fn rlimits(host: &HostConfig) -> Result<Bounded<Rlimit, RLIMITS_MAX>, Failure> {
    // -1 is no limit, as in setrlimit(2).
    let value = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let limits = host.ulimits.iter().flatten().map(|limit| {
        Ok(Rlimit {
            name: Label::new(limit.name.clone())?,
            soft: value(limit.soft),
            hard: value(limit.hard),
        })
    });
    Ok(Bounded::new(limits.collect::<Result<_, Failure>>()?)?)
}

/// `--sysctl` in the helper's words.
///
/// # Errors
/// `Invalid` for a name or value that is none.
pub(super) fn sysctls(container: &Container, os: HostOs) -> Result<Bounded<Sysctl, SYSCTLS_MAX>, Failure> {
    let host = &container.host_config;
    let domain = &container.config.domainname;
    let has_domain = os == HostOs::Linux && host.uts_mode != "host" && !domain.is_empty();
    let (domain_setting, domain) = (DOMAIN_SETTING.to_owned(), domain.clone());
    let domain = has_domain.then_some((&domain_setting, &domain));
    let sysctls = host.sysctls.iter().flatten().chain(domain).map(|(name, value)| {
        // sysctl(8) takes both spellings.
        Ok(Sysctl {
            name: Label::new(name.replace('/', "."))?,
            value: Text::new(value.clone())?,
        })
    });
    Ok(Bounded::new(sysctls.collect::<Result<_, Failure>>()?)?)
}

/// Sets a container's limits on its jail, before anything runs in it.
///
/// # Errors
/// What the jail helper answers.
pub(super) async fn set(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    let limits = convert(&container.host_config)?;
    if limits == Limits::default() {
        return Ok(());
    }
    Ok(deps
        .helpers
        .jail
        .limit(by, naming::jail(&container.id)?, limits)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut HostConfig)) -> String {
        let mut host = HostConfig::default();
        change(&mut host);
        check_values(&host, 2, false).map_or_else(|failure| failure.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn bad_limits_are_refused_in_dockerds_words() {
        /// A round number of bytes over the smallest limit.
        const MB: i64 = 1_000_000;
        assert_eq!(said(|h| h.memory = 1000), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            said(|h| (h.memory, h.memory_swap) = (10 * MB, 5 * MB)),
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        );
        assert_eq!(
            said(|h| h.memory_swap = 50 * MB),
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        );
        assert_eq!(said(|h| (h.memory, h.memory_swap) = (10 * MB, -1)), "accepted");
        assert_eq!(
            said(|h| h.nano_cpus = 99 * NANO),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(
            said(|h| h.cpuset_cpus = "0-99".to_owned()),
            "Requested CPUs are not available - requested 0-99, available: 0-1"
        );
        assert_eq!(
            said(|h| h.cpuset_cpus = "x".to_owned()),
            "Invalid value x for cpuset cpus: invalid format: x"
        );
        assert_eq!(said(|h| h.cpuset_cpus = "0,1".to_owned()), "accepted");
        assert_eq!(
            said(|h| h.blkio_weight = 5),
            "Range of blkio weight is from 10 to 1000"
        );
    }

    #[test]
    fn what_is_not_limited_is_unlimited() {
        let none = HostConfig {
            pids_limit: Some(-1),
            cpu_quota: -1,
            ..HostConfig::default()
        };
        assert_eq!(convert(&none).unwrap(), Limits::default());
        let some = HostConfig {
            memory: 8 << 20,
            memory_swap: -1,
            nano_cpus: NANO / 2,
            ..HostConfig::default()
        };
        let limits = convert(&some).unwrap();
        assert_eq!(
            (limits.memory_bytes, limits.memory_swap_bytes),
            (8 << 20, UNLIMITED)
        );
        assert_eq!((limits.cpu_quota_us, limits.cpu_period_us), (50_000, 100_000));
    }
}
