//! Durations: for people (`Up 5 minutes`), and as Go writes and reads them (`1h30m`).

use std::fmt;
use std::time::Duration;

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3600;
const HOURS_PER_DAY: u64 = 24;
const HOURS_PER_WEEK: u64 = 24 * 7;
const HOURS_PER_MONTH: u64 = 24 * 30;
const HOURS_PER_YEAR: u64 = 24 * 365;

/// A duration for people, in the words of `docker ps`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / SECONDS_PER_MINUTE;
    // Docker rounds hours to the nearest, but years down.
    let hours = (duration.as_secs() + SECONDS_PER_HOUR / 2) / SECONDS_PER_HOUR;
    match (seconds, minutes, hours) {
        (0, _, _) => "Less than a second".to_owned(),
        (1, _, _) => "1 second".to_owned(),
        (2..60, _, _) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / HOURS_PER_DAY),
        (_, _, ..1440) => format!("{} weeks", hours / HOURS_PER_WEEK),
        (_, _, ..17520) => format!("{} months", hours / HOURS_PER_MONTH),
        (_, _, _) => format!("{} years", seconds / SECONDS_PER_HOUR / HOURS_PER_YEAR),
    }
}

/// `Status` of a list entry; prints the words of `docker ps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Never started.
    Created,
    /// Running, with the health if it has a check (`starting`, `healthy`, `unhealthy`).
    Up {
        /// Time since the start.
        for_: Duration,
        /// `health` of inspect, if there is a check.
        health: Option<String>,
    },
    /// Frozen.
    Paused {
        /// Time since the start.
        for_: Duration,
    },
    /// Between two runs.
    Restarting {
        /// Exit code of the last run.
        exit_code: i64,
        /// Time since the last exit.
        ago: Duration,
    },
    /// Being removed.
    RemovalInProgress,
    /// Removal failed half-way.
    Dead,
    /// Stopped.
    Exited {
        /// Exit code.
        exit_code: i64,
        /// Time since the exit.
        ago: Duration,
    },
}

impl fmt::Display for ContainerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("Created"),
            Self::Up { for_, health: None } => write!(f, "Up {}", human(*for_)),
            Self::Up {
                for_,
                health: Some(health),
            } if health == "starting" => {
                write!(f, "Up {} (health: starting)", human(*for_))
            }
            Self::Up {
                for_,
                health: Some(health),
            } => write!(f, "Up {} ({health})", human(*for_)),
            Self::Paused { for_ } => write!(f, "Up {} (Paused)", human(*for_)),
            Self::Restarting { exit_code, ago } => {
                write!(f, "Restarting ({exit_code}) {} ago", human(*ago))
            }
            Self::RemovalInProgress => f.write_str("Removal In Progress"),
            Self::Dead => f.write_str("Dead"),
            Self::Exited { exit_code, ago } => write!(f, "Exited ({exit_code}) {} ago", human(*ago)),
        }
    }
}

/// Reads a Go duration such as `1h30m`, `1.5s` or `300ms`; the sign is returned beside it.
///
/// `None` for anything else, and for what does not fit 64 bits of nanoseconds, as in Go.
#[must_use]
pub fn parse_go(text: &str) -> Option<(bool, Duration)> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some((negative, Duration::ZERO));
    }
    if rest.is_empty() {
        return None;
    }
    let mut total_ns: u64 = 0;
    while !rest.is_empty() {
        let number_bytes = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(number_bytes);
        let unit_bytes = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_bytes);
        total_ns = total_ns.checked_add(in_nanoseconds(number, unit_ns(unit)?)?)?;
        rest = next;
    }
    i64::try_from(total_ns).ok()?;
    Some((negative, Duration::from_nanos(total_ns)))
}

/// A duration as Go prints it, to the millisecond: `1m30s`, `1.5s`, `300ms`.
#[must_use]
pub fn go(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 1000 {
        return if ms == 0 {
            "0s".to_owned()
        } else {
            format!("{ms}ms")
        };
    }
    let (minutes, rest_ms) = (duration.as_secs() / SECONDS_PER_MINUTE, ms % 60_000);
    let fraction = format!("{:03}", rest_ms % 1000);
    let seconds = match fraction.trim_end_matches('0') {
        "" => format!("{}s", rest_ms / 1000),
        fraction => format!("{}.{fraction}s", rest_ms / 1000),
    };
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn unit_ns(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

fn in_nanoseconds(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit_ns)?;
    let mut digit_ns = unit_ns;
    for digit in fraction.bytes() {
        digit_ns /= 10;
        total = total.checked_add(u64::from(digit - b'0') * digit_ns)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_worded_as_docker_words_them() {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (2, "2 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * MINUTE + 59, "59 minutes"),
            (HOUR, "About an hour"),
            (89 * MINUTE, "About an hour"),
            (90 * MINUTE, "2 hours"),
            (47 * HOUR, "47 hours"),
            (48 * HOUR, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
            (1100 * DAY, "3 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), words, "{seconds} s");
        }
        assert_eq!(human(Duration::from_millis(999)), "Less than a second");
    }

    #[test]
    fn statuses_read_as_in_docker_ps() {
        let five = Duration::from_secs(300);
        let up = |health: Option<&str>| {
            ContainerStatus::Up {
                for_: five,
                health: health.map(str::to_owned),
            }
            .to_string()
        };
        assert_eq!(up(None), "Up 5 minutes");
        assert_eq!(up(Some("healthy")), "Up 5 minutes (healthy)");
        assert_eq!(up(Some("starting")), "Up 5 minutes (health: starting)");
        assert_eq!(
            ContainerStatus::Paused { for_: five }.to_string(),
            "Up 5 minutes (Paused)"
        );
        let ago = Duration::from_secs(3);
        assert_eq!(
            ContainerStatus::Exited { exit_code: 137, ago }.to_string(),
            "Exited (137) 3 seconds ago"
        );
        assert_eq!(
            ContainerStatus::Restarting { exit_code: 1, ago }.to_string(),
            "Restarting (1) 3 seconds ago"
        );
        assert_eq!(ContainerStatus::Created.to_string(), "Created");
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (ms, text) in [
            (0, "0s"),
            (300, "300ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn go_durations_are_read() {
        for (text, nanoseconds) in [
            ("10m", 600_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("300ms", 300_000_000),
            ("1us2ns", 1_002),
            ("0", 0),
            ("+3ns", 3),
        ] {
            assert_eq!(
                parse_go(text),
                Some((false, Duration::from_nanos(nanoseconds))),
                "{text}"
            );
        }
        assert_eq!(parse_go("-1s"), Some((true, Duration::from_secs(1))));
        for text in [
            "", "-", "10", "m", "1x", "1d", ".s", "1..2s", "1 s", "9999999h", "1h-2m",
        ] {
            assert_eq!(parse_go(text), None, "{text}");
        }
    }
}
