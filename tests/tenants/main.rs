//! Several tenants on one daemon: users of the host who share its socket and see nothing of each other. Each test has an engine
//! of its own.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod hidden;
mod limits;
mod story;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use system_tests::docker::Docker;
use system_tests::engine::Engine;
use system_tests::skipped;

/// Numbers of users and of a group that nobody has. The last one is in no tenant.
const RED: u32 = 64_801;
const BLUE: u32 = 64_802;
const BLUE_GROUP: u32 = 64_803;
const NOBODYS: u32 = 64_804;

/// The daemon with the base image, which root's tenant `default` shares.
struct Ground {
    engine: Engine,
    root: Docker,
    red: Docker,
    blue: Docker,
}

/// Starts one where `red` has these limits; or says why the test is skipped.
fn start(test: &str, limits: &str) -> Option<Ground> {
    let config = format!(
        "[[tenant]]\nname = \"red\"\nusers = [{RED}]\n{limits}\n\
         [[tenant]]\nname = \"blue\"\nusers = [{BLUE}]\ngroups = [{BLUE_GROUP}]\n"
    );
    let started = if Command::new("docker").arg("--version").output().is_err() {
        Err("needs the docker command".to_owned())
    } else {
        Engine::start_with("tenants", &config)
    };
    match started.and_then(|engine| engine.import_base().map(|()| engine)) {
        Ok(engine) => {
            // What the group of the socket does on a host: lets them in.
            set_permissions(engine.socket(), Permissions::from_mode(0o666)).unwrap();
            let root = Docker::new(&engine.socket());
            let (red, blue) = (root.run_by(RED), root.run_by(BLUE));
            Some(Ground {
                engine,
                root,
                red,
                blue,
            })
        }
        Err(why) => {
            skipped(&format!("tenants::{test}"), &why);
            None
        }
    }
}
