//! EDGE (rank 0): HTTP in, service calls out, Docker's JSON back. No policy here.
//!
//! `serve.rs` owns connections and the version prefix; a file for each group of paths owns its handlers; `error.rs` is the only
//! one that maps failures to status codes.

mod archive;
mod body;
mod build_image;
mod commit;
mod containers;
mod detach;
pub mod error;
mod events;
mod exec;
mod hijack;
mod images;
mod info;
mod logs;
mod networks;
mod params;
mod platform;
mod registry;
mod serve;
mod stats;
mod swarm;
mod system;
mod top;
mod usage;
mod volumes;
mod websocket;

pub use body::{json, json_body, lines};
pub use serve::serve;

use crate::config::Settings;
use crate::kernel::bus::Bus;
use crate::services::builder::Builder;
use crate::services::containers::Containers;
use crate::services::images::Images;
use crate::services::networks::Networks;
use crate::services::volumes::Volumes;
use crate::transport::Helpers;
use axum::Router;
use protocol::handshake::{HostFacts, HostOs};
use std::sync::Arc;

/// What handlers may ask.
#[derive(Debug, Clone)]
pub struct State {
    /// Containers.
    pub containers: Containers,
    /// Images.
    pub images: Images,
    /// Networks.
    pub networks: Networks,
    /// Volumes.
    pub volumes: Volumes,
    /// Builds.
    pub builder: Builder,
    /// News.
    pub bus: Bus,
    /// Only for what the host is and how much space it has.
    pub helpers: Helpers,
    /// The daemon's settings.
    pub settings: Arc<Settings>,
    /// This installation's id.
    pub installation: Arc<str>,
}

impl State {
    /// What the jail helper said of the host.
    #[must_use]
    pub fn host(&self) -> Option<HostFacts> {
        self.helpers.jail.0.facts()
    }

    /// The host's family.
    #[must_use]
    pub fn os(&self) -> HostOs {
        self.host().map_or(HostOs::Linux, |facts| facts.os)
    }

    /// The operating system type that clients are told.
    #[must_use]
    pub fn os_type(&self) -> String {
        let own = match self.os() {
            HostOs::FreeBsd => "freebsd",
            HostOs::Linux => "linux",
        };
        self.settings
            .report_os_type
            .clone()
            .unwrap_or_else(|| own.to_owned())
    }
}

fn router(state: State) -> Router {
    Router::new()
        .merge(archive::routes())
        .merge(build_image::routes())
        .merge(commit::routes())
        .merge(containers::routes())
        .merge(events::routes())
        .merge(exec::routes())
        .merge(images::routes())
        .merge(info::routes())
        .merge(networks::routes())
        .merge(registry::routes())
        .merge(swarm::routes())
        .merge(system::routes())
        .merge(usage::routes())
        .merge(volumes::routes())
        .fallback(error::page_not_found)
        .method_not_allowed_fallback(error::page_not_found)
        .with_state(state)
}
