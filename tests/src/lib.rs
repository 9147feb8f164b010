//! What only the whole repository or a whole system shows. The tests beside this folder use it; nothing ships it.
//!
//! - `tidy/`: the house rules, as tests over every file of the repository.
//! - `licences.rs`: licences and banned crates, from the lists in `.deny.toml`.
//! - `counts.rs`: how much code runs as root, as a table and as a limit.
//! - `cli/`: the docker command against `cellblock dev`, as people use it.
//! - `hostile/`: requests and archives that no honest client sends.
//! - `processes/`: what each process may do, and what happens when one is killed.
//! - `tenants/`: users of the host who share one daemon and see nothing of each other.
//! - `demo/`: `cargo demo`.

#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is for tests: what the host does not do fails the test that asked"
)]

pub mod busybox;
pub mod docker;
pub mod engine;
pub mod http;
pub mod proc;
pub mod programs;
pub mod registry;
pub mod repository;
pub mod saved;
pub mod source;
#[allow(unsafe_code, reason = "atexit(3)")]
mod sys;
pub mod tarball;
pub mod terminal;
#[cfg(target_os = "linux")]
pub mod users;

use std::io::Write;

/// Says that a test was left out, in one line that shows even when the test runner hides what tests print.
pub fn skipped(test: &str, why: &str) {
    // The runner captures the print macros, not the stream itself. A closed stream is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
