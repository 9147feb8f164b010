//! The time, and its Docker forms. State machines take the time as a parameter; this is where it comes from.

use docker_api::timestamps;
use time::OffsetDateTime;

/// Nanoseconds since 1970, as stored and as in events.
#[must_use]
pub fn now_ns() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

/// A stored time as Docker prints it; 0 is Go's zero time.
#[must_use]
pub fn text(at_ns: i64) -> String {
    match OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ns)) {
        Ok(at) if at_ns != 0 => timestamps::rfc3339_nano(at),
        Ok(_) | Err(_) => timestamps::ZERO.to_owned(),
    }
}

/// A stored time in whole seconds, as volumes show it.
#[must_use]
pub fn seconds_text(at_ns: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ns))
        .map_or_else(|_| timestamps::ZERO.to_owned(), timestamps::rfc3339_seconds)
}
