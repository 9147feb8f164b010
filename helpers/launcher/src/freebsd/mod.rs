//! What is FreeBSD's own: the product's host.

use crate::doctor::{self, Check, Live, Probe, freebsd};
use std::io::Result;
use std::path::Path;

/// Where the configuration lies unless the command line says otherwise (hier(7)).
pub const CONFIG_FILE: &str = "/usr/local/etc/cellblock/cellblock.toml";

/// Where the service keeps its state (hier(7)).
pub const STATE_DIR: &str = "/var/db/cellblock";

/// Whether each development instance has rules of its own. pf evaluates only anchors that pf.conf(5) names, so they share the
/// configured one.
pub const ANCHOR_PER_INSTANCE: bool = false;

/// Leaves orphans to init(8). A reaper (procctl(2), PROC_REAP_ACQUIRE) would take the processes of every container as its
/// own, and would have to tell them apart.
pub fn adopt_orphans() -> Result<()> {
    Ok(())
}

/// Nothing that this process starts gains privilege from a set-user-ID bit (procctl(2), PROC_NO_NEW_PRIVS_CTL).
pub fn renounce_new_privileges() -> Result<()> {
    Ok(rustix::process::set_no_new_privs(None)?)
}

/// Whether `cellblock setup` has anything to do here.
pub const CAN_BE_SET_UP: bool = true;

/// The host's memory in bytes; 0 where sysctl(8) does not tell.
pub fn memory_bytes() -> u64 {
    let told = Live.ask(&["/sbin/sysctl", "-n", "hw.physmem"]);
    told.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

/// What `cellblock doctor` looks at.
pub fn checks(file: Option<&Path>, probe: &dyn Probe) -> Vec<Check> {
    let (config, check) = doctor::configuration(file);
    let mut checks = vec![check];
    checks.extend(config.iter().flat_map(|config| freebsd::checks(config, probe)));
    checks
}
