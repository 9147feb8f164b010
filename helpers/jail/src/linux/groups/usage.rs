//! What a group has used, from either version's files, and what the host and the jail's network count beside it.

use super::Group;
use protocol::jail::{BlockUse, Counter, InterfaceUse, UNLIMITED, Usage};
use protocol::names::{Bounded, Label};
use std::collections::BTreeMap;
use std::io::Result;
use std::path::Path;

const NS_PER_US: u64 = 1_000;
const NS_PER_S: u64 = 1_000_000_000;

/// Lines of a word and a number.
pub(super) fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// A file that holds one number, or says that there is no limit. 0 where it is not there.
fn number(directory: &Path, file: &str) -> u64 {
    match read(directory, file).trim() {
        "max" => UNLIMITED,
        text => text.parse().unwrap_or_default(),
    }
}

/// What a host does not count has no file.
fn read(directory: &Path, file: &str) -> String {
    std::fs::read_to_string(directory.join(file)).unwrap_or_default()
}

fn numbers(directory: &Path, file: &str) -> BTreeMap<String, u64> {
    keyed(&read(directory, file))
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

impl Group<'_> {
    /// What the group has used; `first` is the jail's first process while it lives.
    pub(in super::super) fn usage(&self, first: Option<i32>) -> Result<Usage> {
        let mut usage = Usage::default();
        host(&mut usage)?;
        self.processor(&mut usage);
        self.memory(&mut usage);
        if let Some((directory, _)) = self.directory("pids") {
            usage.processes = number(&directory, "pids.current");
            usage.processes_limit = number(&directory, "pids.max");
        }
        if let Some((directory, unified)) = self.directory("io") {
            let used = if unified {
                block_v2(&read(&directory, "io.stat"))
            } else {
                block_v1(
                    &read(&directory, "blkio.throttle.io_service_bytes_recursive"),
                    &read(&directory, "blkio.throttle.io_serviced_recursive"),
                )
            };
            usage.block = Bounded::cut(used);
        }
        if let Some(pid) = first {
            // It may end at any time; then there is no network any more.
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
            usage.interfaces = Bounded::cut(interfaces(&table));
        }
        Ok(usage)
    }

    fn processor(&self, usage: &mut Usage) {
        if let Some((directory, false)) = self.directory("cpuacct") {
            usage.cpu_ns = number(&directory, "cpuacct.usage");
            let tick_ns = NS_PER_S / rustix::param::clock_ticks_per_second().max(1);
            let ticks = numbers(&directory, "cpuacct.stat");
            let ns = |name: &str| {
                ticks
                    .get(name)
                    .copied()
                    .unwrap_or_default()
                    .saturating_mul(tick_ns)
            };
            (usage.cpu_user_ns, usage.cpu_kernel_ns) = (ns("user"), ns("system"));
        }
        let Some((directory, unified)) = self.directory("cpu") else {
            return;
        };
        let stat = numbers(&directory, "cpu.stat");
        let get = |name: &str| stat.get(name).copied().unwrap_or_default();
        (usage.cpu_periods, usage.cpu_periods_throttled) = (get("nr_periods"), get("nr_throttled"));
        usage.cpu_throttled_ns = get("throttled_time");
        if unified {
            usage.cpu_ns = get("usage_usec").saturating_mul(NS_PER_US);
            usage.cpu_user_ns = get("user_usec").saturating_mul(NS_PER_US);
            usage.cpu_kernel_ns = get("system_usec").saturating_mul(NS_PER_US);
            usage.cpu_throttled_ns = get("throttled_usec").saturating_mul(NS_PER_US);
        }
    }

    fn memory(&self, usage: &mut Usage) {
        let Some((directory, unified)) = self.directory("memory") else {
            return;
        };
        let [now, peak, limit] = if unified {
            ["memory.current", "memory.peak", "memory.max"]
        } else {
            [
                "memory.usage_in_bytes",
                "memory.max_usage_in_bytes",
                "memory.limit_in_bytes",
            ]
        };
        usage.memory_bytes = number(&directory, now);
        usage.memory_peak_bytes = number(&directory, peak);
        usage.memory_limit_bytes = usage.memory_limit_bytes.min(number(&directory, limit));
        let events = numbers(
            &directory,
            if unified {
                "memory.events"
            } else {
                "memory.oom_control"
            },
        );
        usage.oom_kills = events.get("oom_kill").copied().unwrap_or_default();
        usage.memory_failures = if unified {
            events.get("max").copied().unwrap_or_default()
        } else {
            number(&directory, "memory.failcnt")
        };
        let counters = keyed(&read(&directory, "memory.stat"))
            .filter_map(|(name, value)| {
                Some(Counter {
                    name: Label::new(name).ok()?,
                    value,
                })
            })
            .collect();
        usage.memory_counters = Bounded::cut(counters);
    }
}

/// The host's processors and memory (proc_stat(5), proc_meminfo(5)).
fn host(usage: &mut Usage) -> Result<()> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let tick_ns = NS_PER_S / rustix::param::clock_ticks_per_second().max(1);
    for line in stat.lines().take_while(|line| line.starts_with("cpu")) {
        if let Some(all) = line.strip_prefix("cpu ") {
            // User, nice, system, idle, waiting, interrupts: guests' time is within user's.
            let ticks: u64 = all
                .split_whitespace()
                .take(7)
                .filter_map(|word| word.parse::<u64>().ok())
                .sum();
            usage.host_cpu_ns = ticks.saturating_mul(tick_ns);
        } else {
            usage.host_cpus += 1;
        }
    }
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    usage.memory_limit_bytes = total.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024;
    Ok(())
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn block_v2(text: &str) -> Vec<BlockUse> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device(words.next()?)?;
        let counts: BTreeMap<&str, u64> = words
            .filter_map(|word| word.split_once('='))
            .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
            .collect();
        let get = |name: &str| counts.get(name).copied().unwrap_or_default();
        Some(BlockUse {
            major,
            minor,
            read_bytes: get("rbytes"),
            written_bytes: get("wbytes"),
            reads: get("rios"),
            writes: get("wios"),
        })
    };
    text.lines().filter_map(line).collect()
}

/// `8:0 Read 1`, one line for each kind, in one file of bytes and one of operations.
fn block_v1(bytes: &str, operations: &str) -> Vec<BlockUse> {
    let mut devices: BTreeMap<(u32, u32), BlockUse> = BTreeMap::new();
    for (text, counts_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(numbers), Some(kind), Some(value)) =
                (words.next().and_then(device), words.next(), words.next())
            else {
                continue;
            };
            let (major, minor) = numbers;
            let used = devices.entry(numbers).or_insert(BlockUse {
                major,
                minor,
                ..BlockUse::default()
            });
            let place = match (kind, counts_bytes) {
                ("Read", true) => &mut used.read_bytes,
                ("Write", true) => &mut used.written_bytes,
                ("Read", false) => &mut used.reads,
                ("Write", false) => &mut used.writes,
                _ => continue,
            };
            *place = value.parse().unwrap_or_default();
        }
    }
    devices.into_values().collect()
}

/// The interfaces of a network's table (proc_pid_net(5)): bytes, packets, errors, dropped, four more; then what was sent.
fn interfaces(table: &str) -> Vec<InterfaceUse> {
    let line = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let all: Vec<u64> = counts
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let mut counts = [0; 8];
        counts[..4].copy_from_slice(all.get(..4)?);
        counts[4..].copy_from_slice(all.get(8..12)?);
        let name = name.trim();
        (name != "lo").then_some(InterfaceUse {
            name: Label::new(name).ok()?,
            counts,
        })
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_devices_are_counted_alike_in_both_versions() {
        let wanted = BlockUse {
            major: 8,
            minor: 1,
            read_bytes: 10,
            written_bytes: 20,
            reads: 3,
            writes: 4,
        };
        assert_eq!(
            block_v2("8:1 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n"),
            std::slice::from_ref(&wanted)
        );
        let bytes = "8:1 Read 10\n8:1 Write 20\n8:1 Sync 0\n8:1 Total 30\nTotal 30\n";
        let operations = "8:1 Read 3\n8:1 Write 4\n8:1 Total 7\nTotal 7\n";
        assert_eq!(block_v1(bytes, operations), [wanted]);
    }

    #[test]
    fn interfaces_are_read_without_the_loopback_one() {
        let table = "Inter-|   Receive |  Transmit\n face |bytes packets|bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
            \x20 eth0: 100 2 0 1 0 0 0 0 300 4 5 6 0 0 0 0\n";
        let found = interfaces(table);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].counts),
            ("eth0", [100, 2, 0, 1, 300, 4, 5, 6])
        );
    }
}
