//! What no honest client sends: Docker's status and words come back, nothing half-made stays, and the daemon goes on.
//!
//! These tests speak HTTP themselves, so they need no docker command. `CELLBLOCK_TEST_SOCKET` puts them to another daemon, as in
//! `cli/`.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod answers;
mod bombs;
mod layers;
mod operations;
mod requests;
mod schema;
mod target;
