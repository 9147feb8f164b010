//! What only the whole repository or a whole system shows. The tests beside this folder use it; nothing ships it.
//!
//! - `tidy/`: the house rules, as tests over every file of the repository.
//! - `licences.rs`: licences and banned crates, from the lists in `.deny.toml`.
//! - `counts.rs`: how much code runs as root, as a table and as a limit.

#![forbid(unsafe_code)]

pub mod repository;
pub mod source;

use std::io::Write;

/// Says that a test was left out, in one line that shows even when the test runner hides what tests print.
pub fn skipped(test: &str, why: &str) {
    // The runner captures the print macros, not the stream itself. A closed stream is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
