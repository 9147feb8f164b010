//! A network's rule set in the language of pf.conf(5): one anchor, replaced as a whole in one transaction.
//!
//! Pure text from typed values only. The administrator's pf.conf calls our anchors (`nat-anchor`, `rdr-anchor` and `anchor`
//! with `"<name>/*"`). What an anchor does:
//! - `nat`: what leaves the network leaves with the address of the interface that it takes. A container that reaches its own
//!   network through a published port leaves with the bridge's address, else the answer would not come back through
//!   the host.
//! - `rdr`: packets for one of this host's addresses and a published port go to the container. Not on lo0, where a
//!   translated answer would not find its way back without `net.pf.filter_local`; a proxy serves the host itself.
//! - filter: what `rdr` sent to a container (and tagged) comes in by a rule with the container's label, by which pf can be told
//!   to forget it ([`label`]): the state on the outer interface knows the container only by its translation. Into the network
//!   come answers, what is tagged and the host; nothing else, and so nothing from another container network. Frames between
//!   members of one bridge are not seen here (`net.link.bridge.pfil_*` are 0).
//!   The network's name server, at the host's own address there, is always reached. IPv6 finds neighbours by packets that
//!   are judged here too (RFC 4861), where IPv4's ARP is not.
//!   Whether containers reach other services of the host itself is left to the administrator's own rules.

use crate::prefix;
use protocol::names::AnchorName;
use protocol::net::{PortRule, RuleSet, Transport};
use std::collections::HashSet;
use std::net::IpAddr;

/// The text that replaces the rule set. `outside` are the host's other interfaces, by name, through which containers may
/// leave.
#[must_use]
pub fn load(outer: &str, rules: &RuleSet, outside: &[String]) -> String {
    let mut lines = Vec::new();
    if rules.masquerade {
        lines.extend(outside.iter().flat_map(|interface| masquerade(rules, interface)));
    }
    // A port at one address goes before the same port at any address: the first match wins.
    let (any, one): (Vec<_>, Vec<_>) = rules
        .ports
        .as_slice()
        .iter()
        .partition(|port| port.host.is_unspecified());
    let ports: Vec<&PortRule> = one.into_iter().chain(any).collect();
    lines.extend(ports.iter().flat_map(|port| hairpin(rules, port)));
    lines.extend(ports.iter().map(|port| redirect(outer, port)));
    lines.extend(ports.iter().map(|port| let_in(outer, port)));
    for own in rules.subnets.as_slice() {
        let (family, subnet) = (family(own.address), prefix::text(*own));
        lines.extend(["tcp", "udp"].map(|proto| {
            format!(
                "pass in quick on {} {family} proto {proto} from {subnet} to {} port 53",
                rules.bridge, own.address
            )
        }));
    }
    if rules.subnets.as_slice().iter().any(|own| own.address.is_ipv6()) {
        lines.extend(["neighbrsol", "neighbradv"].map(|kind| {
            format!(
                "pass quick on {} inet6 proto ipv6-icmp all icmp6-type {kind} no state",
                rules.bridge
            )
        }));
    }
    lines.extend(subnet_lines(rules, |bridge, family, subnet| {
        let verdict = if rules.internal { "block drop" } else { "pass" };
        let tag = tag(outer);
        format!("{verdict} in quick on {bridge} {family} from {subnet} to ! (self) ! tagged {tag}")
    }));
    lines.extend(ports.iter().map(|port| admit(outer, rules, port)));
    lines.extend(subnet_lines(rules, |bridge, family, subnet| {
        format!("pass out quick on {bridge} {family} from (self) to {subnet}")
    }));
    lines.push(format!("block drop out quick on {}", rules.bridge));
    // pf refuses a rule set that holds one rule twice; two host ports may lead to one container port.
    let mut seen = HashSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines.join("\n") + "\n"
}

/// The text that removes the rule set, whether it is there or not: an empty one replaces it.
#[must_use]
pub fn clear() -> String {
    String::new()
}

/// The names of the rule sets in what `pfctl -s Anchors` printed of the outer anchor.
#[must_use]
pub fn names(outer: &str, text: &str) -> Vec<AnchorName> {
    let name = |line: &str| {
        line.trim()
            .strip_prefix(outer)?
            .strip_prefix('/')
            .map(str::to_owned)
    };
    text.lines()
        .filter_map(name)
        .filter_map(|name| AnchorName::new(name).ok())
        .collect()
}

fn subnet_lines(rules: &RuleSet, line: impl Fn(&str, &str, &str) -> String) -> Vec<String> {
    let subnets = rules.subnets.as_slice().iter();
    subnets
        .map(|one| line(rules.bridge.as_str(), family(one.address), &prefix::text(*one)))
        .collect()
}

fn masquerade(rules: &RuleSet, interface: &str) -> Vec<String> {
    subnet_lines(rules, |_, family, subnet| {
        format!("nat on {interface} {family} from {subnet} to ! {subnet} -> ({interface}:0)")
    })
}

fn hairpin(rules: &RuleSet, port: &PortRule) -> Option<String> {
    let home = rules
        .subnets
        .as_slice()
        .iter()
        .find(|subnet| prefix::covers(**subnet, port.container))?;
    let (bridge, subnet) = (&rules.bridge, prefix::text(*home));
    Some(format!(
        "nat on {bridge} {} from {subnet} to {} -> ({bridge}:0)",
        transport(port),
        target(port)
    ))
}

fn redirect(outer: &str, port: &PortRule) -> String {
    let host = if port.host.is_unspecified() {
        "(self)".to_owned()
    } else {
        port.host.to_string()
    };
    let (from, to) = (port.host_port, port.container_port);
    format!(
        "rdr on ! lo0 {} from any to {host} port {from} tag {} -> {} port {to}",
        transport(port),
        tag(outer),
        port.container
    )
}

fn let_in(outer: &str, port: &PortRule) -> String {
    format!(
        "pass in quick on ! lo0 {} from any to {} tagged {} label \"{}\"",
        transport(port),
        target(port),
        tag(outer),
        label(outer, port.container)
    )
}

fn admit(outer: &str, rules: &RuleSet, port: &PortRule) -> String {
    format!(
        "pass out quick on {} {} from any to {} tagged {}",
        rules.bridge,
        transport(port),
        target(port),
        tag(outer)
    )
}

/// Tells what was sent to a published port from what was sent to the container's own address.
fn tag(outer: &str) -> String {
    format!("{outer}-published")
}

/// What the rule is called by which a container's published ports are reached: at most 61 of the 63 bytes that pf takes.
#[must_use]
pub fn label(outer: &str, container: IpAddr) -> String {
    format!("{outer}-{container}")
}

fn target(port: &PortRule) -> String {
    format!("{} port {}", port.container, port.container_port)
}

fn transport(port: &PortRule) -> String {
    let name = match port.protocol {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("{} proto {name}", family(port.container))
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "inet" } else { "inet6" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full, port, rules};

    #[test]
    fn a_full_rule_set_puts_translation_before_filtering() {
        let golden = "\
nat on em0 inet from 172.18.0.0/16 to ! 172.18.0.0/16 -> (em0:0)
nat on em0 inet6 from fd00:1::/64 to ! fd00:1::/64 -> (em0:0)
nat on wg0 inet from 172.18.0.0/16 to ! 172.18.0.0/16 -> (wg0:0)
nat on wg0 inet6 from fd00:1::/64 to ! fd00:1::/64 -> (wg0:0)
nat on cbbr0 inet proto tcp from 172.18.0.0/16 to 172.18.0.3 port 80 -> (cbbr0:0)
nat on cbbr0 inet proto tcp from 172.18.0.0/16 to 172.18.0.2 port 80 -> (cbbr0:0)
nat on cbbr0 inet proto udp from 172.18.0.0/16 to 172.18.0.2 port 53 -> (cbbr0:0)
nat on cbbr0 inet6 proto tcp from fd00:1::/64 to fd00:1::2 port 80 -> (cbbr0:0)
rdr on ! lo0 inet proto tcp from any to 192.0.2.1 port 8080 tag cell-published -> 172.18.0.3 port 80
rdr on ! lo0 inet proto tcp from any to (self) port 8080 tag cell-published -> 172.18.0.2 port 80
rdr on ! lo0 inet proto udp from any to (self) port 5300 tag cell-published -> 172.18.0.2 port 53
rdr on ! lo0 inet proto tcp from any to (self) port 8081 tag cell-published -> 172.18.0.2 port 80
rdr on ! lo0 inet6 proto tcp from any to (self) port 8080 tag cell-published -> fd00:1::2 port 80
pass in quick on ! lo0 inet proto tcp from any to 172.18.0.3 port 80 tagged cell-published label \"cell-172.18.0.3\"
pass in quick on ! lo0 inet proto tcp from any to 172.18.0.2 port 80 tagged cell-published label \"cell-172.18.0.2\"
pass in quick on ! lo0 inet proto udp from any to 172.18.0.2 port 53 tagged cell-published label \"cell-172.18.0.2\"
pass in quick on ! lo0 inet6 proto tcp from any to fd00:1::2 port 80 tagged cell-published label \"cell-fd00:1::2\"
pass in quick on cbbr0 inet proto tcp from 172.18.0.0/16 to 172.18.0.1 port 53
pass in quick on cbbr0 inet proto udp from 172.18.0.0/16 to 172.18.0.1 port 53
pass in quick on cbbr0 inet6 proto tcp from fd00:1::/64 to fd00:1::1 port 53
pass in quick on cbbr0 inet6 proto udp from fd00:1::/64 to fd00:1::1 port 53
pass quick on cbbr0 inet6 proto ipv6-icmp all icmp6-type neighbrsol no state
pass quick on cbbr0 inet6 proto ipv6-icmp all icmp6-type neighbradv no state
pass in quick on cbbr0 inet from 172.18.0.0/16 to ! (self) ! tagged cell-published
pass in quick on cbbr0 inet6 from fd00:1::/64 to ! (self) ! tagged cell-published
pass out quick on cbbr0 inet proto tcp from any to 172.18.0.3 port 80 tagged cell-published
pass out quick on cbbr0 inet proto tcp from any to 172.18.0.2 port 80 tagged cell-published
pass out quick on cbbr0 inet proto udp from any to 172.18.0.2 port 53 tagged cell-published
pass out quick on cbbr0 inet6 proto tcp from any to fd00:1::2 port 80 tagged cell-published
pass out quick on cbbr0 inet from (self) to 172.18.0.0/16
pass out quick on cbbr0 inet6 from (self) to fd00:1::/64
block drop out quick on cbbr0
";
        assert_eq!(
            load("cell", &full(), &["em0".to_owned(), "wg0".to_owned()]),
            golden
        );
    }

    #[test]
    fn no_rule_stands_there_twice() {
        let ports = (1..=9)
            .map(|n| port(Transport::Tcp, ("0.0.0.0", 8000 + n), ("172.18.0.2", 80)))
            .collect();
        let text = load(
            "cell",
            &rules(&[("172.18.0.1", 16)], true, ports),
            &["em0".to_owned()],
        );
        let lines: Vec<_> = text.lines().collect();
        let distinct: HashSet<_> = lines.iter().collect();
        assert_eq!(lines.len(), distinct.len(), "{text}");
    }

    #[test]
    fn a_network_without_masquerade_translates_no_source_on_its_way_out() {
        let text = load(
            "cell",
            &rules(&[("172.18.0.1", 16)], false, vec![]),
            &["em0".to_owned()],
        );
        assert!(!text.contains("nat on em0"), "{text}");
    }

    #[test]
    fn nothing_leaves_an_internal_network() {
        let mut rules = rules(&[("172.18.0.1", 16)], false, vec![]);
        rules.internal = true;
        let text = load("cell", &rules, &["em0".to_owned()]);
        assert!(
            text.contains("block drop in quick on cbbr0 inet from 172.18.0.0/16 to ! (self)"),
            "{text}"
        );
        assert!(!text.contains("pass in quick on cbbr0 inet from"), "{text}");
    }

    #[test]
    fn names_are_those_within_our_anchor() {
        let text = "  cell/ab12\n  cell/net-1\n  cell/net-1/deep\n  cellar/x\n\n";
        assert_eq!(
            names("cell", text)
                .iter()
                .map(AnchorName::as_str)
                .collect::<Vec<_>>(),
            ["ab12", "net-1"]
        );
    }

    #[test]
    fn an_empty_text_clears_the_anchor() {
        assert_eq!(clear(), "");
    }
}
