//! What a development instance needs of a Linux host.

use super::{Check, Finding, Mend, Probe};

/// The namespaces that a container is made of (namespaces(7)).
const NAMESPACES: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

/// Where Docker's command may be.
const DOCKER: [&str; 3] = ["/usr/bin/docker", "/usr/local/bin/docker", "/snap/bin/docker"];

/// Run in a network of its own, which is gone with the program; so the host is not touched.
const ALONE: [&str; 2] = ["/usr/bin/unshare", "--net"];

/// All checks.
pub fn checks(probe: &dyn Probe) -> Vec<Check> {
    let mut checks = vec![overlay(probe), namespaces(probe)];
    let links = [
        ("bridges", "bridge", &["type", "bridge"][..]),
        (
            "pairs of interfaces",
            "veth",
            &["type", "veth", "peer", "name", "cbdoctor2"][..],
        ),
    ];
    checks.extend(links.map(|(what, module, kind)| link(probe, what, module, kind)));
    checks.push(rules(probe));
    checks.push(docker(probe));
    checks
}

fn line(line: &str) -> Mend {
    Mend::Line(line.to_owned())
}

fn overlay(probe: &dyn Probe) -> Check {
    let known = probe.read("/proc/filesystems").unwrap_or_default();
    let has = known
        .lines()
        .any(|line| line.split_whitespace().last() == Some("overlay"));
    Check::new(
        "overlayfs",
        has,
        "the kernel does not have it loaded",
        line("modprobe overlay"),
    )
}

fn namespaces(probe: &dyn Probe) -> Check {
    let lacking: Vec<&str> = NAMESPACES
        .into_iter()
        .filter(|name| !probe.exists(&format!("/proc/self/ns/{name}")))
        .collect();
    let mend = Mend::ByHand("boot a kernel that has them (CONFIG_NAMESPACES and one for each)".to_owned());
    Check::new(
        "namespaces",
        lacking.is_empty(),
        format!("the kernel has no {}", lacking.join(", ")),
        mend,
    )
}

fn link(probe: &dyn Probe, what: &str, module: &str, kind: &[&str]) -> Check {
    let tool = "/usr/sbin/ip";
    if let Some(check) = cannot_look(probe, what, tool, "apt-get install iproute2") {
        return check;
    }
    let program = [&ALONE[..], &[tool, "link", "add", "cbdoctor1"], kind].concat();
    found(what, probe.ask(&program), line(&format!("modprobe {module}")))
}

fn rules(probe: &dyn Probe) -> Check {
    let (what, tool) = ("nftables with address translation", "/usr/sbin/nft");
    if let Some(check) = cannot_look(probe, what, tool, "apt-get install nftables") {
        return check;
    }
    let script = "add table ip cbdoctor; \
                  add chain ip cbdoctor out { type nat hook postrouting priority 100; }; \
                  add rule ip cbdoctor out masquerade";
    let program = [&ALONE[..], &[tool, script]].concat();
    found(
        what,
        probe.ask(&program),
        line("modprobe -a nf_tables nft_chain_nat nft_masq"),
    )
}

fn docker(probe: &dyn Probe) -> Check {
    let finding = if DOCKER.iter().any(|path| probe.exists(path)) {
        Finding::Good
    } else {
        let why = "the docker command is not in its usual places".to_owned();
        Finding::Useful(why, Mend::ByHand("install docker-cli or docker.io".to_owned()))
    };
    Check {
        what: "docker command".to_owned(),
        finding,
    }
}

fn cannot_look(probe: &dyn Probe, what: &str, tool: &str, install: &str) -> Option<Check> {
    if !probe.exists(tool) {
        return Some(Check::new(
            what,
            false,
            format!("{tool} is not installed"),
            line(install),
        ));
    }
    let why = match (probe.is_root(), probe.exists(ALONE[0])) {
        (true, true) => return None,
        (false, _) => "only root can look",
        (true, false) => "unshare(1) is not installed",
    };
    Some(Check {
        what: what.to_owned(),
        finding: Finding::Unknown(why.to_owned()),
    })
}

fn found(what: &str, answer: Result<String, String>, mend: Mend) -> Check {
    match answer {
        Ok(_) => Check {
            what: what.to_owned(),
            finding: Finding::Good,
        },
        Err(complaint) => Check {
            what: what.to_owned(),
            finding: Finding::Missing(complaint, mend),
        },
    }
}
