//! The docker command, end to end: each test types commands as people do and looks at what they print, how they end, and
//! what is there afterwards. All share one `cellblock dev`, which is checked for leftovers when the last test is done.
//!
//! `CELLBLOCK_TEST_SOCKET=/path/docker.sock cargo test -p system-tests --test cli` puts the same tests to another daemon, such
//! as a real dockerd, to see whether they expect what it does.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod basics;
mod build;
mod build_options;
mod build_reuse;
mod commit;
mod copy;
mod errors;
mod exec;
mod folder;
mod images;
mod life;
mod lifecycle;
mod log_drivers;
mod network;
mod network_names;
mod network_ports;
mod network_user;
mod network_v6;
mod propagation;
mod registry;
mod requests;
mod run;
mod sharing;
mod streams;
mod volumes;
