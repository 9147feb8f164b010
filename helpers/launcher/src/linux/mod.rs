//! What is Linux's own: the development host.

use crate::doctor::{self, Check, Probe, linux};
use rustix::process::{getpid, set_child_subreaper};
use std::io::Result;
use std::path::Path;

/// Where the configuration lies unless the command line says otherwise.
pub const CONFIG_FILE: &str = "/etc/cellblock/cellblock.toml";

/// Where the service keeps its state (FHS 5.8).
pub const STATE_DIR: &str = "/var/lib/cellblock";

/// Whether each development instance has rules of its own. Tables of nftables need no line in the host's configuration, so
/// several instances can run beside each other.
pub const ANCHOR_PER_INSTANCE: bool = true;

/// Makes this process the parent of orphans among its descendants: the watchers of containers, which outlive the jail helper
/// that started them, are reaped here and not left to whatever the machine runs as process 1.
pub fn adopt_orphans() -> Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Nothing that this process starts gains privilege from a set-user-ID bit or file capabilities (prctl(2)).
pub fn renounce_new_privileges() -> Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Whether `cellblock setup` has anything to do here.
pub const CAN_BE_SET_UP: bool = false;

/// The host's memory in bytes (sysinfo(2)).
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit).saturating_mul(info.totalram)
}

/// What `cellblock doctor` looks at. A configuration is looked at only where one is named: development needs none.
pub fn checks(file: Option<&Path>, probe: &dyn Probe) -> Vec<Check> {
    let mut checks = linux::checks(probe);
    checks.extend(file.map(|file| doctor::configuration(Some(file)).1));
    checks
}
