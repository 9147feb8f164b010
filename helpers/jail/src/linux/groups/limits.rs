//! Limits as the two versions' files want them (Linux's admin-guide/cgroup-v2.rst and cgroup-v1/).

use super::Group;
use protocol::jail::{Limits, Throttled, UNLIMITED};
use protocol::{Answer, ErrorCode, HelperError};
use std::path::Path;

/// One file to be written.
struct Setting {
    controller: &'static str,
    file: String,
    value: String,
    /// Whether it limits anything. One that does not is no loss where the host has no such file.
    limits: bool,
}

fn set(controller: &'static str, file: &str, value: impl ToString, limits: bool) -> Setting {
    Setting {
        controller,
        file: file.to_owned(),
        value: value.to_string(),
        limits,
    }
}

fn or(number: u64, unlimited: &str) -> String {
    if number == UNLIMITED {
        unlimited.to_owned()
    } else {
        number.to_string()
    }
}

impl Group<'_> {
    /// Sets every limit.
    ///
    /// # Errors
    /// `Unsupported` for a limit whose controller or file this host lacks; `Busy` where more memory is in use than the limit.
    pub(in super::super) fn limit(&self, limits: &Limits) -> Answer<()> {
        let unified = |controller: &str| self.directory(controller).is_some_and(|(_, unified)| unified);
        let mut settings = memory(limits, unified("memory"));
        settings.extend(processor(limits, unified("cpu")));
        settings.extend(block(limits, unified("io")));
        settings.push(set(
            "pids",
            "pids.max",
            or(limits.processes, "max"),
            limits.processes != UNLIMITED,
        ));
        for (file, list) in [
            ("cpuset.cpus", &limits.cpus),
            ("cpuset.mems", &limits.memory_nodes),
        ] {
            let list = list.as_str();
            match self.directory("cpuset") {
                // Version 1 knows no "all": it is what the group above has.
                Some((directory, false)) if list.is_empty() => {
                    let above = directory
                        .parent()
                        .map(|above| std::fs::read_to_string(above.join(file)));
                    let all = above.and_then(Result::ok).unwrap_or_default();
                    settings.push(set("cpuset", file, all.trim(), false));
                }
                Some(_) | None => settings.push(set("cpuset", file, list, !list.is_empty())),
            }
        }
        settings.iter().try_for_each(|setting| self.write(setting))
    }

    fn write(&self, setting: &Setting) -> Answer<()> {
        let Setting {
            controller,
            file,
            value,
            limits,
        } = setting;
        let Some((directory, _)) = self.directory(controller) else {
            return if *limits { Err(missing(controller)) } else { Ok(()) };
        };
        match write(&directory.join(file), value) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory.exists() => {
                if *limits {
                    Err(missing(file))
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(HelperError::system(format!("{file} {value}"), &error)),
        }
    }
}

/// Memory and swap together must never be set below memory alone, so version 1's two files are written in the order that the
/// kernel takes: it refuses the one that would cross the other, and then the other way round works.
fn write(path: &Path, value: &str) -> std::io::Result<()> {
    let swap = path.with_file_name("memory.memsw.limit_in_bytes");
    match path.file_name().and_then(|name| name.to_str()) {
        Some("memory.limit_in_bytes") if swap.exists() => {
            let (memory, together) = value.split_once(' ').unwrap_or((value, value));
            let both = [(path, memory), (swap.as_path(), together)];
            let attempt = both
                .iter()
                .try_for_each(|(path, value)| std::fs::write(path, value));
            attempt.or_else(|_| {
                both.iter()
                    .rev()
                    .try_for_each(|(path, value)| std::fs::write(path, value))
            })
        }
        Some("memory.limit_in_bytes") => std::fs::write(path, value.split(' ').next().unwrap_or(value)),
        _ => std::fs::write(path, value),
    }
}

fn missing(what: &str) -> HelperError {
    HelperError::new(
        ErrorCode::Unsupported,
        format!("this host's control groups have no {what}"),
    )
}

fn memory(limits: &Limits, unified: bool) -> Vec<Setting> {
    let Limits {
        memory_bytes,
        memory_swap_bytes,
        memory_reservation_bytes,
        ..
    } = *limits;
    let (is_limited, is_reserved) = (memory_bytes != UNLIMITED, memory_reservation_bytes != UNLIMITED);
    if !unified {
        let both = format!("{} {}", or(memory_bytes, "-1"), or(memory_swap_bytes, "-1"));
        let soft = or(memory_reservation_bytes, "-1");
        let mut settings = vec![
            set("memory", "memory.limit_in_bytes", both, is_limited),
            set("memory", "memory.soft_limit_in_bytes", soft, is_reserved),
        ];
        if limits.swappiness != UNLIMITED {
            settings.push(set("memory", "memory.swappiness", limits.swappiness, true));
        }
        return settings;
    }
    let swap = if memory_swap_bytes == UNLIMITED {
        UNLIMITED
    } else {
        memory_swap_bytes - memory_bytes
    };
    let mut settings = Vec::new();
    if limits.swappiness != UNLIMITED {
        // There is no such file, which is told.
        settings.push(set("memory", "memory.swappiness", limits.swappiness, true));
    }
    settings.extend([
        set("memory", "memory.max", or(memory_bytes, "max"), is_limited),
        // A kernel without swap accounting has no such file, and memory alone is limited then.
        set("memory", "memory.swap.max", or(swap, "max"), false),
        set(
            "memory",
            "memory.low",
            if is_reserved { memory_reservation_bytes } else { 0 },
            is_reserved,
        ),
    ]);
    settings
}

fn processor(limits: &Limits, unified: bool) -> Vec<Setting> {
    let Limits {
        cpu_quota_us,
        cpu_period_us,
        cpu_shares,
        ..
    } = *limits;
    let (has_quota, has_shares) = (cpu_quota_us != UNLIMITED, cpu_shares != UNLIMITED);
    let mut settings = Vec::new();
    if unified {
        settings.push(set(
            "cpu",
            "cpu.max",
            format!("{} {cpu_period_us}", or(cpu_quota_us, "max")),
            has_quota,
        ));
        if has_shares {
            settings.push(set("cpu", "cpu.weight", weight_of(cpu_shares), true));
        }
    } else {
        // A quota is judged against the period, whichever is written first: no quota fits every period.
        settings.push(set("cpu", "cpu.cfs_quota_us", "-1", false));
        settings.push(set("cpu", "cpu.cfs_period_us", cpu_period_us, has_quota));
        settings.push(set("cpu", "cpu.cfs_quota_us", or(cpu_quota_us, "-1"), has_quota));
        if has_shares {
            settings.push(set("cpu", "cpu.shares", cpu_shares, true));
        }
    }
    settings
}

/// Shares of version 1 (2 to 262144) on version 2's scale (1 to 10000), as runc converts them.
fn weight_of(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn block(limits: &Limits, unified: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    if limits.block_weight != UNLIMITED {
        let file = if unified {
            "io.bfq.weight"
        } else {
            "blkio.bfq.weight"
        };
        settings.push(set("io", file, limits.block_weight, true));
    }
    for throttle in limits.throttles.as_slice() {
        let (first, second) = match throttle.what {
            Throttled::ReadBytes => ("rbps", "blkio.throttle.read_bps_device"),
            Throttled::WriteBytes => ("wbps", "blkio.throttle.write_bps_device"),
            Throttled::Reads => ("riops", "blkio.throttle.read_iops_device"),
            Throttled::Writes => ("wiops", "blkio.throttle.write_iops_device"),
        };
        let device = format!("{}:{}", throttle.major, throttle.minor);
        settings.push(if unified {
            set(
                "io",
                "io.max",
                format!("{device} {first}={}", throttle.rate),
                true,
            )
        } else {
            set("io", second, format!("{device} {}", throttle.rate), true)
        });
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_as_runc_converts_them() {
        assert_eq!([2, 1024, 262_144].map(weight_of), [1, 39, 10_000]);
    }

    #[test]
    fn version_two_counts_swap_apart() {
        let limits = Limits {
            memory_bytes: 100,
            memory_swap_bytes: 150,
            ..Limits::default()
        };
        let values: Vec<_> = memory(&limits, true)
            .into_iter()
            .map(|setting| setting.value)
            .collect();
        assert_eq!(values, ["100", "50", "0"]);
        let values: Vec<_> = memory(&limits, false)
            .into_iter()
            .map(|setting| setting.value)
            .collect();
        assert_eq!(values, ["100 150", "-1"]);
    }
}
