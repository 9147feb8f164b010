//! `cellblock dev` with stand-ins for the daemon and the helpers.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test, as it should"
)]

mod confinement;
mod instance;
mod life;
mod refusals;
mod service;
