//! Who reaches whom, and that networks survive a daemon and leave nothing behind. Each test has an engine of its own.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod outside;
mod probe;
mod reach;
mod survival;
mod tenants;

use std::process::Command;
use system_tests::docker::Docker;
use system_tests::engine::Engine;
use system_tests::skipped;

/// What these tests start beside the engine: networks of their own, programs in them, and two small languages.
const TOOLS: [(&str, &str); 5] = [
    ("docker", "--version"),
    ("ip", "-V"),
    ("nft", "--version"),
    ("nsenter", "--version"),
    ("perl", "-v"),
];

/// An engine of its own with the base image, and the docker command for it; or the line that says what is missing.
fn start(test: &str) -> Option<(Engine, Docker)> {
    start_as(test, || Engine::start("nets"))
}

fn start_as(test: &str, start: impl FnOnce() -> Result<Engine, String>) -> Option<(Engine, Docker)> {
    let missing = TOOLS
        .iter()
        .find(|(tool, version)| Command::new(tool).arg(version).output().is_err());
    let started = match missing {
        Some((tool, _)) => Err(format!("needs {tool}")),
        None => start(),
    };
    match started.and_then(|engine| engine.import_base().map(|()| engine)) {
        Ok(engine) => {
            let docker = Docker::new(&engine.socket());
            Some((engine, docker))
        }
        Err(why) => {
            skipped(&format!("networks::{test}"), &why);
            None
        }
    }
}
