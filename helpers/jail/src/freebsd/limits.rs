//! Limits and use of a jail: rctl(8), cpuset(1), racct.
//!
//! Rules name the jail by its host name and outlive it. `memoryuse` counts resident memory and is enforced once a second, by
//! killing whichever process grows; there is no counter of that.

use super::sys::{self, ADD_RULE, CPU_SET_BYTES, REMOVE_RULE, SUBJECT_USAGE};
use super::unsupported;
use protocol::Answer;
use protocol::HelperError;
use protocol::jail::{Limits, UNLIMITED, Usage};
use std::ffi::CStr;
use std::io::{Error, Result};

/// Nanoseconds in a second: racct counts seconds, Docker nanoseconds.
const NS_PER_S: u64 = 1_000_000_000;

/// Room for what a jail uses, in bytes: some 25 short names with numbers.
const USAGE_BYTES: usize = 4096;

/// Whether the kernel counts and limits: a boolean of one byte (kern_racct.c); absent in a kernel without racct.
pub(super) fn are_enforced() -> bool {
    sys::by_name(c"kern.racct.enable").is_ok_and(|value| value.first() == Some(&1))
}

/// Whether this kind of host can enforce such limits at all.
///
/// # Errors
/// `Unsupported` for what FreeBSD has nothing like.
pub(crate) fn judge(limits: &Limits) -> Answer<()> {
    let none = [
        limits.memory_reservation_bytes,
        limits.cpu_shares,
        limits.block_weight,
        limits.swappiness,
    ];
    if none.iter().any(|limit| *limit != UNLIMITED) {
        return unsupported("FreeBSD has no memory reservation, swappiness and weights");
    }
    if !limits.memory_nodes.as_str().is_empty() || !limits.throttles.as_slice().is_empty() {
        return unsupported("FreeBSD limits no memory nodes and no single devices for a jail");
    }
    processors(limits.cpus.as_str()).map(drop)
}

/// The rules behind limits, each without its subject.
fn rules(limits: &Limits) -> Vec<String> {
    // racct counts as swap what is reserved for anonymous memory, wherever it lies now: Docker's limit of both. Docker's default,
    // twice the memory, would only refuse programs that reserve more than they use.
    let both = match limits.memory_swap_bytes {
        default if default == limits.memory_bytes.saturating_mul(2) => UNLIMITED,
        other => other,
    };
    let percent = match limits.cpu_quota_us {
        UNLIMITED => UNLIMITED,
        quota => (quota.saturating_mul(100) / limits.cpu_period_us).max(1),
    };
    [
        ("memoryuse:sigkill", limits.memory_bytes),
        ("swapuse:deny", both),
        ("pcpu:deny", percent),
        ("maxproc:deny", limits.processes),
        ("nthr:deny", limits.processes),
    ]
    .into_iter()
    .filter(|(_, amount)| *amount != UNLIMITED)
    .map(|(rule, amount)| format!("{rule}={amount}"))
    .collect()
}

/// Sets every limit.
///
/// # Errors
/// `Unsupported` where the kernel was started without racct; otherwise what it answers.
pub(super) fn set(name: &str, jid: i32, limits: &Limits) -> Answer<()> {
    let failed = |error: Error| HelperError::system("limits", &error);
    let rules = rules(limits);
    if !rules.is_empty() && !are_enforced() {
        return unsupported("limits need kern.racct.enable=1 in /boot/loader.conf and a restart of the host");
    }
    forget(name).map_err(failed)?;
    for rule in rules {
        sys::rule(ADD_RULE, &format!("jail:{name}:{rule}"), 0).map_err(failed)?;
    }
    sys::set_processors(jid, processors(limits.cpus.as_str())?)
        .map_err(|e| HelperError::system("processors", &e))
}

/// Removes the rules of a jail.
pub(super) fn forget(name: &str) -> Result<()> {
    match sys::rule(REMOVE_RULE, &format!("jail:{name}"), 0) {
        // There are none, or the kernel was started without racct.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOSYS)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A list such as `0-2,4` as one bit for each processor; none for an empty one.
fn processors(list: &str) -> Answer<Option<[u8; CPU_SET_BYTES]>> {
    let mut set = [0; CPU_SET_BYTES];
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else {
            return unsupported("list of processors");
        };
        for cpu in from..=to.min(CPU_SET_BYTES * 8 - 1) {
            set[cpu / 8] |= 1 << (cpu % 8);
        }
    }
    Ok((!list.is_empty()).then_some(set))
}

/// What a jail has used. Processor time of living processes is known more finely than racct's whole seconds.
pub(super) fn usage(name: &str, runtime_us: u64) -> Result<Usage> {
    let counted = match sys::rule(SUBJECT_USAGE, &format!("jail:{name}:"), USAGE_BYTES) {
        Err(error) if error.raw_os_error() != Some(libc::ENOSYS) => return Err(error),
        other => other.unwrap_or_default(),
    };
    let get = |wanted: &str| {
        let mut pairs = counted.split(',').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == wanted)
            .and_then(|(_, value)| value.parse::<u64>().ok())
            .unwrap_or_default()
    };
    // Ticks of the statistics clock by state, and how many of them a second has (`struct clockinfo`, the fourth number).
    let ticks = numbers(c"kern.cp_time", 8)?.iter().sum::<u64>();
    let per_s = numbers(c"kern.clockrate", 4)?
        .get(3)
        .copied()
        .filter(|hz| *hz > 0)
        .unwrap_or(128);
    let host_cpus = numbers(c"hw.ncpu", 4)?.first().copied().unwrap_or(1);
    let cpu_ns = (get("cputime") * NS_PER_S).max(runtime_us.saturating_mul(1000));
    Ok(Usage {
        cpu_ns,
        cpu_user_ns: cpu_ns,
        host_cpu_ns: ticks.saturating_mul(NS_PER_S / per_s),
        host_cpus: u32::try_from(host_cpus).unwrap_or(1),
        memory_bytes: get("memoryuse"),
        memory_limit_bytes: numbers(c"hw.physmem", 8)?.first().copied().unwrap_or_default(),
        processes: get("nthr"),
        processes_limit: UNLIMITED,
        ..Usage::default()
    })
}

/// A value that is an array of numbers of 4 or 8 bytes.
fn numbers(name: &CStr, width: usize) -> Result<Vec<u64>> {
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(bytes);
        u64::from_le_bytes(wide)
    };
    Ok(sys::by_name(name)?.chunks_exact(width).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_rules() {
        let limits = Limits {
            memory_bytes: 100,
            memory_swap_bytes: 150,
            cpu_quota_us: 150_000,
            processes: 9,
            ..Limits::default()
        };
        let wanted = [
            "memoryuse:sigkill=100",
            "swapuse:deny=150",
            "pcpu:deny=150",
            "maxproc:deny=9",
            "nthr:deny=9",
        ];
        assert_eq!(rules(&limits), wanted);
        let by_default = Limits {
            memory_bytes: 100,
            memory_swap_bytes: 200,
            ..Limits::default()
        };
        assert_eq!(rules(&by_default), ["memoryuse:sigkill=100"]);
        assert!(rules(&Limits::default()).is_empty());
    }

    #[test]
    fn a_list_of_processors_becomes_bits() {
        assert_eq!(processors("").unwrap(), None);
        let set = processors("0-2,9").unwrap().unwrap();
        assert_eq!((set[0], set[1]), (0b111, 0b10));
    }
}
