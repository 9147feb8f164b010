//! The real helper on Linux, asked as the daemon asks it. Each test runs alone in a mount namespace of its
//! own, so that a failed one leaves nothing mounted.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "a failed step fails the test, in its ground as well"
)]

#[macro_use]
mod ground;
mod binds;
mod confinement;
mod datasets;
mod mounts;
