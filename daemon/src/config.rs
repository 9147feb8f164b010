//! What the launcher tells the daemon on its command line. The configuration file itself is the launcher's to read.
//!
//! Standard input is the control connection to the launcher, standard output the listening API socket: those two numbers can be
//! taken without unsafe code.

use clap::Parser;
use std::path::PathBuf;

/// The daemon's settings. Started by `cellblock`, never by hand: its standard input and output are sockets.
#[derive(Debug, Clone, Parser)]
#[command(name = "cellblockd", version)]
pub struct Settings {
    /// The daemon's own directory: database, logs, uploads.
    #[arg(long)]
    pub state_dir: PathBuf,
    /// What `docker info` shows as the root directory.
    #[arg(long)]
    pub root_dir: PathBuf,
    /// First choice for the default network, such as 172.17.0.0/16; the next free one is taken where the host routes it.
    #[arg(long, default_value = "172.17.0.0/16")]
    pub bridge_subnet: ipnet::Ipv4Net,
    /// What `docker info` shows as the operating system type in place of the host's own: some clients know only `linux`.
    #[arg(long)]
    pub report_os_type: Option<String>,
    /// The host's memory in bytes, which the launcher asks the kernel for; 0 is not known.
    #[arg(long, default_value_t = 0)]
    pub memory_bytes: u64,
    /// A registry that may be asked without TLS: `host[:port]` or `address/bits`. May stand several times.
    #[arg(long = "insecure-registry")]
    pub insecure_registries: Vec<String>,
    /// An address that is asked before docker.io. May stand several times.
    #[arg(long = "registry-mirror")]
    pub registry_mirrors: Vec<String>,
    /// The directory of registries' certificates.
    #[arg(long)]
    pub registry_certs_dir: Option<PathBuf>,
    /// Experimental features, of which there is one: `docker build --squash`.
    #[arg(long)]
    pub experimental: bool,
    /// A tenant: its name, then its limits and members as `uid:1000 gid:1000 containers:20 ports:20000-20999`. May stand several
    /// times; without any there is one tenant, and everybody is in it.
    #[arg(long = "tenant")]
    pub tenants: Vec<crate::tenants::Tenant>,
    /// Log filter, as in `info` or `cellblockd=debug`.
    #[arg(long, default_value = "info")]
    pub log: String,
}

impl Settings {
    /// What was said about registries.
    #[must_use]
    pub fn registries(&self) -> crate::services::images::RegistrySettings {
        crate::services::images::RegistrySettings {
            insecure: self.insecure_registries.clone(),
            mirrors: self.registry_mirrors.clone(),
            certs_dir: self.registry_certs_dir.clone(),
            ..Default::default()
        }
    }
}
