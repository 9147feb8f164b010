//! A network's rule set in the language of nft(8): one table, replaced as a whole in one transaction.
//!
//! Pure text from typed values only. What the table does:
//! - `published`: packets for one of this host's addresses and a published port go to the container, with the sender's own
//!   address. Not those for loopback addresses, nor TCP of the network's own members: the daemon's proxy, which holds the
//!   port, serves both, and it does so whatever the bridge does with its members' frames. A proxy's UDP answer could
//!   come from another address than was asked, so UDP is translated for members too.
//! - `postrouting`: what leaves the network leaves with the host's address. What a member sends to its own network through
//!   a published port does too, else the answer would not come back through the host.
//! - `forward`: into the network come answers, published ports and its own members; nothing else, and so nothing from
//!   another container network. Out of an internal network goes nothing. Other tables of this host may still drop what
//!   this one accepts.

use crate::prefix;
use protocol::names::AnchorName;
use protocol::net::{PortRule, RuleSet, Transport};
use std::net::IpAddr;

/// The text that replaces the rule set.
#[must_use]
pub(super) fn load(outer: &str, anchor: &AnchorName, rules: &RuleSet) -> String {
    let table = table(outer, anchor);
    let mut text = clear(outer, anchor);
    text += &format!("table inet {table} {{\n");
    text += &chain("published", None, &published(rules));
    text += &chain(
        "prerouting",
        Some("type nat hook prerouting priority dstnat; policy accept;"),
        &[
            format!("iifname \"{}\" meta l4proto tcp accept", rules.bridge),
            "fib daddr type local jump published".to_owned(),
        ],
    );
    text += &chain(
        "output",
        // The name dstnat stands for -100 in the prerouting hook only (nft(8)).
        Some("type nat hook output priority -100; policy accept;"),
        &[
            "ip daddr != 127.0.0.0/8 fib daddr type local jump published".to_owned(),
            "ip6 daddr != ::1 fib daddr type local jump published".to_owned(),
        ],
    );
    text += &chain(
        "postrouting",
        Some("type nat hook postrouting priority srcnat; policy accept;"),
        &postrouting(rules),
    );
    text += &chain(
        "forward",
        Some("type filter hook forward priority filter; policy accept;"),
        &forward(rules),
    );
    text + "}\n"
}

/// The text that removes the rule set, whether it is there or not.
#[must_use]
pub(super) fn clear(outer: &str, anchor: &AnchorName) -> String {
    let table = table(outer, anchor);
    // Deleting a table that is not there is an error; adding one that is there is none.
    format!("add table inet {table}\ndelete table inet {table}\n")
}

/// The names of the rule sets in what `nft list tables inet` printed.
#[must_use]
pub fn names(outer: &str, text: &str) -> Vec<AnchorName> {
    let name = |line: &str| {
        let table = line.strip_prefix("table inet ")?;
        table.strip_prefix(outer)?.strip_prefix('_').map(str::to_owned)
    };
    text.lines()
        .filter_map(name)
        .filter_map(|name| AnchorName::new(name).ok())
        .collect()
}

fn table(outer: &str, anchor: &AnchorName) -> String {
    format!("{outer}_{anchor}")
}

fn chain(name: &str, hook: Option<&str>, rules: &[String]) -> String {
    let lines = hook.into_iter().chain(rules.iter().map(String::as_str));
    let body: String = lines.map(|line| format!("\t\t{line}\n")).collect();
    format!("\tchain {name} {{\n{body}\t}}\n")
}

fn published(rules: &RuleSet) -> Vec<String> {
    // A port at one address goes before the same port at any address: the first match wins.
    let (any, one): (Vec<_>, Vec<_>) = rules
        .ports
        .as_slice()
        .iter()
        .partition(|port| port.host.is_unspecified());
    one.into_iter().chain(any).map(translation).collect()
}

fn translation(port: &PortRule) -> String {
    let transport = match port.protocol {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let to = match (port.host.is_unspecified(), port.host) {
        (true, IpAddr::V4(_)) => "meta nfproto ipv4".to_owned(),
        (true, IpAddr::V6(_)) => "meta nfproto ipv6".to_owned(),
        (false, host) => format!("{} daddr {host}", family(host)),
    };
    let target = match port.container {
        IpAddr::V4(address) => format!("{address}:{}", port.container_port),
        IpAddr::V6(address) => format!("[{address}]:{}", port.container_port),
    };
    format!(
        "{to} {transport} dport {} dnat {} to {target}",
        port.host_port,
        family(port.container)
    )
}

fn postrouting(rules: &RuleSet) -> Vec<String> {
    let bridge = &rules.bridge;
    let mut lines = Vec::new();
    for subnet in rules.subnets.as_slice() {
        let from = format!("{} saddr {}", family(subnet.address), prefix::text(*subnet));
        if rules.masquerade {
            lines.push(format!("{from} oifname != \"{bridge}\" masquerade"));
        }
        lines.push(format!("{from} oifname \"{bridge}\" ct status dnat masquerade"));
    }
    lines
}

fn forward(rules: &RuleSet) -> Vec<String> {
    let bridge = &rules.bridge;
    let among_members = if rules.members_talk { "accept" } else { "drop" };
    let mut lines = vec![
        format!("oifname \"{bridge}\" ct state established,related accept"),
        format!("oifname \"{bridge}\" ct status dnat accept"),
        format!("oifname \"{bridge}\" iifname \"{bridge}\" {among_members}"),
        format!("oifname \"{bridge}\" drop"),
    ];
    if rules.internal {
        lines.insert(0, format!("iifname \"{bridge}\" oifname != \"{bridge}\" drop"));
    }
    lines
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full, rules};

    fn anchor() -> AnchorName {
        AnchorName::new("net-1").unwrap()
    }

    #[test]
    fn a_full_rule_set_is_one_transaction_that_replaces_the_table() {
        let golden = r#"add table inet cellblock_net-1
delete table inet cellblock_net-1
table inet cellblock_net-1 {
	chain published {
		ip daddr 192.0.2.1 tcp dport 8080 dnat ip to 172.18.0.3:80
		meta nfproto ipv4 tcp dport 8080 dnat ip to 172.18.0.2:80
		meta nfproto ipv4 udp dport 5300 dnat ip to 172.18.0.2:53
		meta nfproto ipv4 tcp dport 8081 dnat ip to 172.18.0.2:80
		meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd00:1::2]:80
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "cbbr0" meta l4proto tcp accept
		fib daddr type local jump published
	}
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local jump published
		ip6 daddr != ::1 fib daddr type local jump published
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.18.0.0/16 oifname != "cbbr0" masquerade
		ip saddr 172.18.0.0/16 oifname "cbbr0" ct status dnat masquerade
		ip6 saddr fd00:1::/64 oifname != "cbbr0" masquerade
		ip6 saddr fd00:1::/64 oifname "cbbr0" ct status dnat masquerade
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname "cbbr0" ct state established,related accept
		oifname "cbbr0" ct status dnat accept
		oifname "cbbr0" iifname "cbbr0" accept
		oifname "cbbr0" drop
	}
}
"#;
        assert_eq!(load("cellblock", &anchor(), &full()), golden);
    }

    #[test]
    fn a_network_without_masquerade_translates_no_source_on_its_way_out() {
        let text = load(
            "cellblock",
            &anchor(),
            &rules(&[("172.18.0.1", 16)], false, vec![]),
        );
        assert!(!text.contains("oifname != \"cbbr0\" masquerade"), "{text}");
        assert!(text.contains("chain published {\n\t}"), "{text}");
    }

    #[test]
    fn nothing_leaves_an_internal_network_and_silent_members_do_not_talk() {
        let mut rules = rules(&[("172.18.0.1", 16)], false, vec![]);
        assert!(!load("cellblock", &anchor(), &rules).contains("iifname \"cbbr0\" oifname"));
        (rules.internal, rules.members_talk) = (true, false);
        let text = load("cellblock", &anchor(), &rules);
        assert!(
            text.contains("iifname \"cbbr0\" oifname != \"cbbr0\" drop"),
            "{text}"
        );
        assert!(
            text.contains("oifname \"cbbr0\" iifname \"cbbr0\" drop"),
            "{text}"
        );
    }

    #[test]
    fn names_are_those_of_our_tables() {
        let text = "table inet cell_ab12\ntable inet filter\ntable inet cell_net-1\ntable ip cell_x\n";
        assert_eq!(
            names("cell", text)
                .iter()
                .map(AnchorName::as_str)
                .collect::<Vec<_>>(),
            ["ab12", "net-1"]
        );
    }

    #[test]
    fn clearing_works_whether_the_table_is_there_or_not() {
        assert_eq!(
            clear("cellblock", &anchor()),
            "add table inet cellblock_net-1\ndelete table inet cellblock_net-1\n"
        );
    }
}
