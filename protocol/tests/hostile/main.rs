//! What a hostile peer can put into a payload: whatever the bytes, a helper answers with an error. It never panics,
//! never allocates what a count claims, and never holds a name that breaks its rule.
//!
//! Sockets and descriptors are in `frames.rs`, which is a process of its own because it counts descriptors.

#![allow(clippy::expect_used, reason = "a broken expectation is a failed test")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../samples/mod.rs"]
mod samples;

mod counts;
mod messages;
mod names;
mod random;

use samples::{Wire, bare_wires, wrapped_wires};

/// Every message type, by itself and inside what carries it.
fn all_wires() -> Vec<Wire> {
    let mut wires = bare_wires();
    wires.extend(wrapped_wires());
    wires
}
