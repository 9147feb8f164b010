//! Points in time: written as Go's RFC3339Nano, read in every form a client may send.

use crate::durations;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Go's zero time, which stands for "never" in answers.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// A time as Go prints it: UTC, with as many of nine fraction digits as are not trailing zeros.
#[must_use]
pub fn rfc3339_nano(at: OffsetDateTime) -> String {
    let mut text = without_fraction(at);
    let nanoseconds = at.nanosecond();
    if nanoseconds != 0 {
        let digits = format!("{nanoseconds:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// A time with exactly nine fraction digits, as in front of log lines.
#[must_use]
pub fn rfc3339_nano_fixed(at: OffsetDateTime) -> String {
    format!("{}.{:09}Z", without_fraction(at), at.nanosecond())
}

/// A time in whole seconds, as volumes show it.
#[must_use]
pub fn rfc3339_seconds(at: OffsetDateTime) -> String {
    format!("{}Z", without_fraction(at))
}

fn without_fraction(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Reads an RFC 3339 time, as [`rfc3339_nano`] prints it; `None` for [`ZERO`] and for anything else.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    if text == ZERO {
        return None;
    }
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// Why a time argument was refused; status 400. The texts are dockerd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// A part is not a number.
    #[error("strconv.ParseInt: parsing {0:?}: invalid syntax")]
    NotANumber(String),
    /// A number does not fit 64 bits, or the time does not exist.
    #[error("strconv.ParseInt: parsing {0:?}: value out of range")]
    OutOfRange(String),
    /// Neither a time nor a duration.
    #[error("failed to parse value as time or duration: {0:?}")]
    Unknown(String),
}

/// Reads `since` and `until` of logs and events: Unix seconds, with an optional fraction. `None` if empty.
///
/// The docker CLI turns dates and durations into this form before it asks, and dockerd takes no other here.
///
/// # Errors
/// [`TimestampError::NotANumber`] or [`TimestampError::OutOfRange`].
pub fn parse_unix(text: &str) -> Result<Option<OffsetDateTime>, TimestampError> {
    if text.is_empty() {
        return Ok(None);
    }
    let (seconds, fraction) = text.split_once('.').map_or((text, None), |(s, f)| (s, Some(f)));
    let seconds = integer(seconds)?;
    let nanoseconds = match fraction {
        None => 0,
        Some(fraction) => {
            integer(fraction)?;
            // Digits beyond the ninth are cut off; fewer mean a larger unit.
            let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
            integer(&digits)?
        }
    };
    i128::from(seconds)
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(i128::from(nanoseconds)))
        .and_then(|ns| OffsetDateTime::from_unix_timestamp_nanos(ns).ok())
        .map(Some)
        .ok_or_else(|| TimestampError::OutOfRange(text.to_owned()))
}

fn integer(text: &str) -> Result<i64, TimestampError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TimestampError::NotANumber(text.to_owned()));
    }
    text.parse()
        .map_err(|_| TimestampError::OutOfRange(text.to_owned()))
}

/// Reads the `until` filter of prune: a duration before `now`, a date or time (taken as UTC if it has no zone), or Unix seconds.
///
/// # Errors
/// [`TimestampError::Unknown`], or those of [`parse_unix`].
pub fn parse_flexible(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, TimestampError> {
    let unknown = || TimestampError::Unknown(text.to_owned());
    if text != "0"
        && let Some((negative, duration)) = durations::parse_go(text)
    {
        let moved = if negative {
            now.checked_add(signed(duration))
        } else {
            now.checked_sub(signed(duration))
        };
        return moved.ok_or_else(unknown);
    }
    if let Some(at) = parse_date(text) {
        return Ok(at);
    }
    parse_unix(text).ok().flatten().ok_or_else(unknown)
}

fn signed(duration: std::time::Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

/// Reads `2006-01-02`, with `T15`, `T15:04`, `T15:04:05` or `T15:04:05.9` after it, and `Z` or `±07:00` at the end.
fn parse_date(text: &str) -> Option<OffsetDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, offset) = split_zone(rest)?;
    let clock = if clock.is_empty() {
        "00:00:00"
    } else {
        clock.strip_prefix('T')?
    };
    let complete = match clock.len() {
        2 => format!("{clock}:00:00"),
        5 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    let date = Date::parse(date, time::macros::format_description!("[year]-[month]-[day]")).ok()?;
    let format = time::macros::format_description!("[hour]:[minute]:[second][optional [.[subsecond]]]");
    let clock = Time::parse(&complete, format).ok()?;
    Some(PrimitiveDateTime::new(date, clock).assume_offset(offset))
}

fn split_zone(text: &str) -> Option<(&str, UtcOffset)> {
    if let Some(clock) = text.strip_suffix(['z', 'Z']) {
        return Some((clock, UtcOffset::UTC));
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, UtcOffset::UTC));
    };
    let (clock, zone) = text.split_at(at);
    let format = time::macros::format_description!("[offset_hour sign:mandatory]:[offset_minute]");
    Some((clock, UtcOffset::parse(zone, format).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let at = datetime!(2026-11-24 02:45:35.214_450_960 UTC);
        assert_eq!(rfc3339_nano(at), "2026-11-24T02:45:35.21445096Z");
        assert_eq!(rfc3339_nano_fixed(at), "2026-11-24T02:45:35.214450960Z");
        assert_eq!(rfc3339_seconds(at), "2026-11-24T02:45:35Z");
        assert_eq!(
            rfc3339_nano(datetime!(2026-01-02 03:04:05 +01:00)),
            "2026-01-02T02:04:05Z"
        );
        assert_eq!(
            rfc3339_nano_fixed(datetime!(2026-01-02 03:04:05 UTC)),
            "2026-01-02T03:04:05.000000000Z"
        );
    }

    #[test]
    fn printed_times_are_read_back_and_never_is_none() {
        let at = datetime!(2026-11-24 02:45:35.000_000_001 UTC);
        assert_eq!(parse_rfc3339(&rfc3339_nano(at)), Some(at));
        assert_eq!(parse_rfc3339(ZERO), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn unix_seconds_with_a_fraction_are_read() {
        let second = datetime!(2023-11-14 22:13:20 UTC);
        for (text, nanoseconds) in [
            ("1700000000", 0),
            ("1700000000.000000000", 0),
            ("1700000000.000000001", 1),
            ("1700000000.5", 500_000_000),
            ("1700000000.1234567899", 123_456_789),
        ] {
            let wanted = second + time::Duration::nanoseconds(nanoseconds);
            assert_eq!(parse_unix(text), Ok(Some(wanted)), "{text}");
        }
        assert_eq!(parse_unix(""), Ok(None));
        assert_eq!(
            parse_unix("abc").expect_err("no number").to_string(),
            "strconv.ParseInt: parsing \"abc\": invalid syntax"
        );
        assert!(parse_unix("10m").is_err() && parse_unix("1.").is_err());
        assert!(matches!(
            parse_unix("99999999999999999999"),
            Err(TimestampError::OutOfRange(_))
        ));
        assert!(matches!(
            parse_unix("9000000000000000000"),
            Err(TimestampError::OutOfRange(_))
        ));
    }

    #[test]
    fn prune_takes_durations_dates_and_seconds() {
        let now = datetime!(2026-11-24 12:00 UTC);
        for (text, wanted) in [
            ("10m", datetime!(2026-11-24 11:50 UTC)),
            ("-1h", datetime!(2026-11-24 13:00 UTC)),
            ("2026-01-02", datetime!(2026-01-02 00:00 UTC)),
            ("2026-01-02T03", datetime!(2026-01-02 03:00 UTC)),
            ("2026-01-02T03:04", datetime!(2026-01-02 03:04 UTC)),
            ("2026-01-02T03:04:05", datetime!(2026-01-02 03:04:05 UTC)),
            ("2026-01-02T03:04:05.5Z", datetime!(2026-01-02 03:04:05.5 UTC)),
            ("2026-01-02T03:04:05+02:00", datetime!(2026-01-02 01:04:05 UTC)),
            ("2026-01-02T03:04:05-02:00", datetime!(2026-01-02 05:04:05 UTC)),
            ("2026-01-02Z", datetime!(2026-01-02 00:00 UTC)),
            ("1700000000", datetime!(2023-11-14 22:13:20 UTC)),
        ] {
            assert_eq!(parse_flexible(text, now), Ok(wanted), "{text}");
        }
        for text in ["", "zz", "2026-13-01", "2026-01-02T25:00", "10x"] {
            assert!(parse_flexible(text, now).is_err(), "{text}");
        }
    }
}
