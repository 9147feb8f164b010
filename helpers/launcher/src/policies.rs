//! What each helper is told: the configuration, cut to what that helper must know.

use crate::config::Config;
use crate::layout::Layout;
use crate::tenants;
use protocol::codec::encode;
use protocol::handshake::HelperKind;
use protocol::names::{Bounded, HostPath};
use protocol::policy::{ArchivePolicy, JailPolicy, MountPolicy, NetPolicy, Policy, ZfsPolicy};
use std::io::{Error, ErrorKind, Result};

/// Longest encoded policy, in bytes: it is written to a pipe before anybody reads, and a pipe of FreeBSD takes 16 KiB.
const POLICY_BYTES_MAX: usize = 16 * 1024;

/// The five policies of an installation.
#[derive(Debug)]
pub struct Policies<'a> {
    config: &'a Config,
    base: HostPath,
    pool: HostPath,
    mounts: HostPath,
    records: HostPath,
}

impl<'a> Policies<'a> {
    /// The policies for these directories.
    ///
    /// # Errors
    /// `InvalidInput` where a path or a policy is too long.
    pub fn new(config: &'a Config, layout: &Layout) -> Result<Self> {
        let policies = Policies {
            config,
            base: layout.base().clone(),
            pool: layout.path("pool")?,
            mounts: layout.path("mnt")?,
            records: layout.path("jails")?,
        };
        HelperKind::ALL
            .into_iter()
            .try_for_each(|kind| policies.encoded(kind).map(drop))?;
        Ok(policies)
    }

    /// A helper's policy as bytes.
    ///
    /// # Errors
    /// `InvalidInput` where it is too long.
    pub fn encoded(&self, kind: HelperKind) -> Result<Vec<u8>> {
        let invalid = |why: String| Error::new(ErrorKind::InvalidInput, why);
        let bytes = encode(&self.of(kind)).map_err(|error| invalid(error.to_string()))?;
        if bytes.len() > POLICY_BYTES_MAX {
            let helper = kind.name();
            let why = format!("the configuration is too long for the {helper} helper; name fewer bind_roots");
            return Err(invalid(why));
        }
        Ok(bytes)
    }

    fn of(&self, kind: HelperKind) -> Policy {
        let config = self.config;
        match kind {
            HelperKind::Zfs => Policy::Zfs(ZfsPolicy {
                parent: config.parent_dataset.clone(),
                pool_dir: self.pool.clone(),
            }),
            HelperKind::Jail => Policy::Jail(JailPolicy {
                prefix: config.jail_prefix.clone(),
                mount_root: self.mounts.clone(),
                record_dir: self.records.clone(),
                allow_host_network: config.allow_host_network,
                allow_host_processes: config.allow_host_processes,
                allow_host_devices: config.allow_host_devices,
                capability_mask: config.capability_mask,
                devfs_ruleset: config.devfs_ruleset,
            }),
            HelperKind::Net => Policy::Net(NetPolicy {
                anchor: config.anchor.clone(),
                enable_forwarding: config.enable_forwarding,
                tenants: Bounded::cut(tenants::ports(&config.tenants)),
            }),
            HelperKind::Mount => Policy::Mount(MountPolicy {
                mount_root: self.mounts.clone(),
                parent: config.parent_dataset.clone(),
                pool_dir: self.pool.clone(),
                bind_roots: config.bind_roots.clone(),
                tenants: Bounded::cut(tenants::roots(&config.tenants)),
                bind_refused: Bounded::cut(vec![self.base.clone()]),
                devfs_ruleset: config.devfs_ruleset,
            }),
            HelperKind::Archive => Policy::Archive(ArchivePolicy {
                mount_root: self.mounts.clone(),
            }),
        }
    }
}
