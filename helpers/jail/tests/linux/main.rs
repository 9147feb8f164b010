//! The jail helper on Linux, as root, through the real binary. Tests that cannot run say so in one line.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod confinement;
mod ground;
mod groups;
mod lifetimes;
mod processes;
mod roots;
mod sys;
