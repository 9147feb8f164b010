//! What the launcher tells each helper before it serves: the frozen part of the administrator's configuration.
//!
//! The launcher (root) reads the configuration file, checks it, and writes one encoded [`Policy`] to the helper's standard
//! input. A helper believes its policy and nothing else; the daemon never sees or sends one.

use crate::codec::{Decode, Encode};
use crate::limits::{POLICY_PATHS_MAX, TENANTS_MAX};
use crate::names::{Bounded, HostPath, Label, Text};

/// The policy of one helper.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Policy {
    /// For `cellblock-zfs`.
    Zfs(ZfsPolicy),
    /// For `cellblock-jail`.
    Jail(JailPolicy),
    /// For `cellblock-net`.
    Net(NetPolicy),
    /// For `cellblock-mount`.
    Mount(MountPolicy),
    /// For `cellblock-archive`.
    Archive(ArchivePolicy),
}

/// Where datasets lie.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ZfsPolicy {
    /// FreeBSD: the parent dataset, such as `zroot/cellblock`.
    pub parent: Text<200>,
    /// Linux: the directory that plays the pool.
    pub pool_dir: HostPath,
}

/// Where mounts may be made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MountPolicy {
    /// The only directory below which anything is mounted.
    pub mount_root: HostPath,
    /// FreeBSD: the parent dataset whose children may be mounted.
    pub parent: Text<200>,
    /// Linux: the directory that plays the pool.
    pub pool_dir: HostPath,
    /// Host directories whose content the tenant `default` may bind-mount; none allows no host path.
    pub bind_roots: Bounded<HostPath, POLICY_PATHS_MAX>,
    /// Host directories that are never bind-mounted even below a bind root: our own state.
    pub bind_refused: Bounded<HostPath, POLICY_PATHS_MAX>,
    /// FreeBSD: the number of the private devfs ruleset (devfs.rules(5)).
    pub devfs_ruleset: u16,
    /// The same directories of other tenants; a tenant that stands nowhere has none.
    pub tenants: Bounded<TenantRoots, TENANTS_MAX>,
}

/// Host directories whose content one tenant may bind-mount.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TenantRoots {
    /// Its name.
    pub tenant: Label,
    /// The directories; none allows no host path.
    pub bind_roots: Bounded<HostPath, POLICY_PATHS_MAX>,
}

/// What jails may be.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JailPolicy {
    /// Stands before each jail's name.
    pub prefix: Label,
    /// The only directory below which a jail's root lies.
    pub mount_root: HostPath,
    /// Where the helper keeps its own records (Linux: which process holds which jail).
    pub record_dir: HostPath,
    /// Whether a jail may share the host's network.
    pub allow_host_network: bool,
    /// Linux: whether a jail may see the host's processes and have its name.
    pub allow_host_processes: bool,
    /// Linux: whether a jail may have devices of the host.
    pub allow_host_devices: bool,
    /// Linux capabilities that a container may be given, as a bit mask by capability number.
    pub capability_mask: u64,
    /// FreeBSD: the number of the private devfs ruleset.
    pub devfs_ruleset: u16,
}

/// Which rule sets may be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NetPolicy {
    /// Name of the pf anchor (FreeBSD) or the prefix of tables (Linux) that holds the rule sets.
    pub anchor: Label,
    /// Whether the helper switches IPv4/IPv6 forwarding on at start.
    pub enable_forwarding: bool,
    /// The tenants that may publish some of the host's ports only.
    pub tenants: Bounded<TenantPorts, TENANTS_MAX>,
}

/// The host's ports that one tenant may publish.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TenantPorts {
    /// Its name.
    pub tenant: Label,
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

/// Where trees may be written and read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ArchivePolicy {
    /// The only directory below which anything is read or written.
    pub mount_root: HostPath,
}
