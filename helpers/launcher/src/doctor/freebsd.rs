//! What the service needs of a FreeBSD host.

use super::{Check, Finding, Mend, Probe};
use crate::config::Config;

/// Kernel modules that must be loaded before the helpers enter their sandboxes, which cannot load any.
const MODULES: [&str; 8] = [
    "zfs",
    "if_bridge",
    "if_epair",
    "pf",
    "nullfs",
    "tmpfs",
    "fdescfs",
    "procfs",
];

/// Kernel modules for images of Linux programs.
const LINUX_MODULES: [&str; 3] = ["linux64", "linprocfs", "linsysfs"];

/// The names under which kldstat(8) knows modules whose file is called otherwise.
const MODULE_NAMES: [(&str, &str); 1] = [("linux64", "linux64elf")];

/// The daemon's account where the configuration cannot be read.
const ACCOUNT: &str = "cellblock";

/// All checks for a configuration.
pub fn checks(config: &Config, probe: &dyn Probe) -> Vec<Check> {
    let mut checks: Vec<Check> = MODULES
        .into_iter()
        .map(|module| kernel_module(probe, module))
        .collect();
    checks.push(vnet(probe));
    checks.push(linux(probe));
    checks.extend(datasets(config, probe));
    checks.push(pools_at_boot(probe));
    checks.extend(accounts(config, probe));
    checks.push(racct(probe));
    checks.extend([forwarding(config, probe), forwarding_ipv6(config, probe)]);
    // In the order in which they can be mended: rules, then pf, then what pf reads when it starts.
    checks.extend(anchors(config, probe));
    checks.push(pf(probe));
    checks.push(filter_local(probe));
    checks.push(devfs(config, probe));
    checks
}

fn line(line: String) -> Mend {
    Mend::Line(line)
}

fn is_loaded(probe: &dyn Probe, module: &str) -> bool {
    let known = MODULE_NAMES
        .iter()
        .find(|(file, _)| *file == module)
        .map_or(module, |(_, name)| name);
    probe.ask(&["/sbin/kldstat", "-q", "-m", known]).is_ok()
}

fn load(modules: &str) -> String {
    format!("kldload -n {modules} && sysrc kld_list+=\"{modules}\"")
}

fn kernel_module(probe: &dyn Probe, module: &str) -> Check {
    let what = format!("kernel module {module}");
    Check::new(
        what,
        is_loaded(probe, module),
        "is not loaded",
        line(load(module)),
    )
}

/// GENERIC has it since FreeBSD 12; a kernel of the administrator's own may lack it.
fn vnet(probe: &dyn Probe) -> Check {
    let mend = "boot a kernel with `options VIMAGE`, as GENERIC is";
    Check::new(
        "VNET in the kernel",
        is_on(probe, "kern.features.vimage"),
        "containers have no networks of their own, only --network host",
        Mend::ByHand(mend.to_owned()),
    )
}

fn linux(probe: &dyn Probe) -> Check {
    let lacking: Vec<&str> = LINUX_MODULES
        .into_iter()
        .filter(|module| !is_loaded(probe, module))
        .collect();
    let finding = if lacking.is_empty() {
        Finding::Good
    } else {
        let mend = format!(
            "sysrc linux_enable=YES && service linux start && {}",
            load(&lacking.join(" "))
        );
        Finding::Useful("images of Linux programs do not run".to_owned(), line(mend))
    };
    Check {
        what: "Linux programs".to_owned(),
        finding,
    }
}

fn datasets(config: &Config, probe: &dyn Probe) -> Vec<Check> {
    let parent = config.parent_dataset.as_str();
    let pool = parent.split('/').next().unwrap_or(parent);
    let has_pool = probe
        .ask(&["/sbin/zpool", "list", "-H", "-o", "name", pool])
        .is_ok();
    let make_pool = format!("zpool create {pool} DISK, or name another parent_dataset");
    let mut checks = vec![Check::new(
        format!("pool {pool}"),
        has_pool,
        "is not there",
        Mend::ByHand(make_pool),
    )];
    if has_pool && parent != pool {
        let has_parent = probe
            .ask(&["/sbin/zfs", "list", "-H", "-o", "name", parent])
            .is_ok();
        let make = format!("zfs create -p -o canmount=off -o mountpoint=none {parent}");
        checks.push(Check::new(
            format!("dataset {parent}"),
            has_parent,
            "is not there",
            line(make),
        ));
    }
    checks
}

/// The module alone imports no pool: rc(8) does, where it is told to.
fn pools_at_boot(probe: &dyn Probe) -> Check {
    let name = "zfs_enable";
    let value = probe.ask(&["/usr/sbin/sysrc", "-n", name]).unwrap_or_default();
    let is_yes = ["yes", "true", "on", "1"].contains(&value.trim().to_ascii_lowercase().as_str());
    let wrong = "after a restart of this host its pools are not there";
    Check::new(name, is_yes, wrong, line(format!("sysrc {name}=YES")))
}

fn accounts(config: &Config, probe: &dyn Probe) -> Vec<Check> {
    let user = config.user.as_deref().unwrap_or(ACCOUNT);
    let group = config.socket_group.as_deref().unwrap_or("wheel");
    let mut checks = Vec::new();
    let is_there = |kind: &str, name: &str| probe.ask(&["/usr/sbin/pw", kind, name]).is_ok();
    let mut groups = vec![user];
    if group != user {
        groups.push(group);
    }
    for name in groups {
        let make = line(format!("pw groupadd {name}"));
        checks.push(Check::new(
            format!("group {name}"),
            is_there("groupshow", name),
            "is not there",
            make,
        ));
    }
    let make =
        format!("pw useradd {user} -g {user} -d /nonexistent -s /usr/sbin/nologin -c 'Cellblock daemon'");
    let has_user = is_there("usershow", user);
    checks.push(Check::new(
        format!("user {user}"),
        has_user,
        "is not there",
        line(make),
    ));
    checks
}

/// Whether a number of the kernel is 1.
fn is_on(probe: &dyn Probe, name: &str) -> bool {
    probe
        .ask(&["/sbin/sysctl", "-n", name])
        .is_ok_and(|value| value.trim() == "1")
}

fn racct(probe: &dyn Probe) -> Check {
    let name = "kern.racct.enable";
    // sysrc(8) takes no name with a point; where the file sets it twice, the last line counts. A reboot is not for a program to
    // start.
    let mend = format!("echo {name}=1 >> /boot/loader.conf, and reboot");
    Check::new(
        name,
        is_on(probe, name),
        "resource limits are not enforced",
        Mend::ByHand(mend),
    )
}

fn forwarding(config: &Config, probe: &dyn Probe) -> Check {
    let name = "net.inet.ip.forwarding";
    let is_good = config.enable_forwarding || is_on(probe, name);
    let mend = format!("sysrc gateway_enable=YES && sysctl {name}=1");
    Check::new(
        name,
        is_good,
        "containers reach only their own network",
        line(mend),
    )
}

fn forwarding_ipv6(config: &Config, probe: &dyn Probe) -> Check {
    let name = "net.inet6.ip6.forwarding";
    let finding = if config.enable_forwarding || is_on(probe, name) {
        Finding::Good
    } else {
        let mend = format!("sysrc ipv6_gateway_enable=YES && sysctl {name}=1");
        Finding::Useful("networks with IPv6 reach only themselves".to_owned(), line(mend))
    };
    Check {
        what: name.to_owned(),
        finding,
    }
}

fn pf(probe: &dyn Probe) -> Check {
    let is_enabled = probe
        .ask(&["/sbin/pfctl", "-s", "info"])
        .is_ok_and(|info| info.contains("Status: Enabled"));
    Check::new(
        "pf enabled",
        is_enabled,
        "is not",
        line("sysrc pf_enable=YES && service pf start".to_owned()),
    )
}

/// Read only when pf is enabled, so pf is restarted; and set at boot before pf is, so the module is loaded by then.
fn filter_local(probe: &dyn Probe) -> Check {
    let name = "net.pf.filter_local";
    let mend = format!(
        "sysctl {name}=1 && sysrc -f /boot/loader.conf pf_load=YES && \
         echo {name}=1 >> /etc/sysctl.conf && service pf restart"
    );
    Check::new(
        name,
        is_on(probe, name),
        "this host does not reach its own published ports",
        line(mend),
    )
}

/// pf evaluates our rules only where its own call them. The order in /etc/pf.conf matters, so a file that is there is the
/// administrator's to edit.
fn anchors(config: &Config, probe: &dyn Probe) -> Vec<Check> {
    let anchor = config.anchor.as_str();
    let kinds = [("nat-anchor", "nat"), ("rdr-anchor", "nat"), ("anchor", "rules")];
    let wished = |kind: &str| format!("{kind} \"{anchor}/*\"");
    let mend = if probe.exists("/etc/pf.conf") {
        let all = kinds.map(|(kind, _)| wished(kind)).join(" and ");
        Mend::ByHand(format!(
            "put {all} into /etc/pf.conf, in this order before its own rules; service pf reload"
        ))
    } else {
        let all: String = kinds
            .iter()
            .map(|(kind, _)| format!("{}\\n", wished(kind)))
            .collect();
        line(format!(
            "printf '{all}pass\\n' > /etc/pf.conf && pfctl -q -f /etc/pf.conf"
        ))
    };
    let check = |(kind, shown): (&str, &str)| {
        let wished = wished(kind);
        let rules = probe.ask(&["/sbin/pfctl", "-s", shown]).unwrap_or_default();
        let is_called = rules.lines().any(|rule| rule.trim_start().starts_with(&wished));
        Check::new(
            format!("pf line {wished}"),
            is_called,
            "no rule of pf calls it",
            mend.clone(),
        )
    };
    kinds.map(check).into()
}

fn devfs(config: &Config, probe: &dyn Probe) -> Check {
    let number = config.devfs_ruleset.to_string();
    let rules = probe.ask(&["/sbin/devfs", "rule", "-s", &number, "show"]);
    let rules = rules.unwrap_or_default();
    // The mount helper fills an empty set; ours begins by hiding everything.
    let first = rules.lines().next().unwrap_or_default().trim();
    let is_ours = first.is_empty() || first.ends_with("hide") && first.split_whitespace().count() == 2;
    let mend = Mend::ByHand("choose another devfs_ruleset in the configuration".to_owned());
    Check::new(
        format!("devfs ruleset {number}"),
        is_ours,
        "holds somebody else's rules",
        mend,
    )
}
