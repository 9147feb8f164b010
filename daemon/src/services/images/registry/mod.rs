//! Registries: the distribution protocol (OCI distribution-spec 1.1), over HTTPS unless the registry is on a list.
//!
//! ```text
//! places.rs    which addresses stand for a registry, and with which certificates
//! session.rs   requests to one repository, with authentication (auth.rs) where it asks for it
//! download.rs  blobs into files: resumed, tried again, checked, shared by all who want the same one
//! ```
//!
//! Credentials come with each request of a client and live as long as that request: they are in no record, log or audit.

mod auth;
mod download;
mod error;
mod places;
mod session;

pub(super) use auth::Credentials;
pub(super) use download::{Download, Downloads, Stage};
pub(super) use error::RegistryError;
pub(super) use places::{Place, Places};
pub(super) use session::{Access, Fetched, Session, search};

use docker_api::reference::DOMAIN_DEFAULT;
use std::path::PathBuf;
use std::time::Duration;

/// Where docker.io is served.
const DOCKER_IO_HOST: &str = "registry-1.docker.io";
/// Where its index is searched.
const DOCKER_IO_INDEX: &str = "index.docker.io";

/// What the administrator says about registries.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// Registries that may be asked without TLS or with certificates that nobody vouches for: `host[:port]` or `address/bits`.
    /// Those on this host always may.
    pub insecure: Vec<String>,
    /// Addresses that are asked before docker.io, in order.
    pub mirrors: Vec<String>,
    /// A directory with a directory for each `host[:port]`: `*.crt` are its authorities, `*.cert` and `*.key` our own.
    pub certs_dir: Option<PathBuf>,
    /// How long registries are waited for.
    pub patience: Patience,
}

/// How long registries are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long a registry may send nothing in the middle of an answer.
    pub stall: Duration,
    /// The pause before the second try of a download; each further one is twice as long.
    pub pause: Duration,
}

impl Default for Patience {
    /// dockerd's connection deadline, a minute for a registry that says nothing, and a second before trying again.
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            pause: Duration::from_secs(1),
        }
    }
}

/// The host that serves a registry's name.
fn host_of(domain: &str) -> &str {
    if domain == DOMAIN_DEFAULT {
        DOCKER_IO_HOST
    } else {
        domain
    }
}
