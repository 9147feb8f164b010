//! The launcher: root, the parent of everything, and the administrator's command.
//!
//! ```text
//! cellblock up|dev -- config, layout, socket, policies --> programs --> supervise: helpers and daemon, kept descriptors
//! cellblock doctor|setup -- what the host lacks            cellblock audit -- the helpers' own records
//! ```
//!
//! It parses its own configuration, which only root can write, and the few messages of [`protocol::keeper`]. It must never
//! parse anything else, accept a request, or know what helpers and daemon say to each other.

use std::io::Write;

/// Writes one line of the launcher's own to its log.
macro_rules! log {
    ($($part:tt)*) => { $crate::log_line(&format!($($part)*)) };
}

pub mod accounts;
pub mod audit;
pub mod backoff;
pub mod capabilities;
pub mod config;
pub mod control;
pub mod doctor;
pub mod kept;
pub mod launch;
pub mod layout;
pub mod policies;
pub mod programs;
pub mod setup;
pub mod signals;
pub mod socket;
pub mod supervise;
mod sys;
pub mod tenants;

#[cfg(target_os = "freebsd")]
#[path = "freebsd/mod.rs"]
pub mod host;
#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
pub mod host;

/// Writes a line to the log. A log that cannot be written must not end what runs.
pub fn log_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "cellblock: {line}");
}

/// Prints a line for whoever called. Nobody may be listening any more.
pub fn print_line(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
