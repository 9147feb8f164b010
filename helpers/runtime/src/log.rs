//! The helper's log: standard error, which the launcher passes on.

use std::io::Write as _;

/// Writes one line. A log that is closed must not end the helper, so that is not an error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
