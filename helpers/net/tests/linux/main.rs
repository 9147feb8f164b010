//! The real helper on Linux: started as the launcher starts it, asked as the daemon asks it, in networks of the test's own.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![cfg(target_os = "linux")]

mod families;
mod space;

use cellblock_net::host::sandbox::FRONT;
use helper_runtime::sandbox::{Confinement, confine, syscall};
use helper_runtime::testing::{Places, children, jobs, status_line};
use protocol::ErrorCode;
use protocol::net::{Request, Response};
use space::{
    Host, Space, anchor, bridge, endpoint, foreign_interface, inside, interface, ip, is_possible, prefix,
    route_socket, rules, run,
};
use std::net::{Ipv4Addr, TcpListener};

/// The addresses of the tests: two container networks, and an outside (RFC 5737).
const NET_A: [u8; 4] = [172, 18, 0, 0];
const GATEWAY_A: [u8; 4] = [172, 18, 0, 1];
const FIRST_A: [u8; 4] = [172, 18, 0, 2];
const SECOND_A: [u8; 4] = [172, 18, 0, 3];
const NET_B: [u8; 4] = [172, 19, 0, 0];
const GATEWAY_B: [u8; 4] = [172, 19, 0, 1];
const FIRST_B: [u8; 4] = [172, 19, 0, 2];

/// A space beyond the host, which knows no way to the containers. The host is 203.0.113.1 there, the space 203.0.113.2.
fn outside() -> Space {
    let outside = Space::new();
    ip(&format!(
        "link add out0 type veth peer name eth0 netns {}",
        outside.jid()
    ));
    ip("addr add 203.0.113.1/24 dev out0");
    ip("link set out0 up");
    outside.inside(|| {
        ip("addr add 203.0.113.2/24 dev eth0");
        ip("link set eth0 up");
    });
    outside
}

#[test]
fn containers_on_one_bridge_reach_each_other_and_the_host() {
    if !is_possible("containers_on_one_bridge_reach_each_other_and_the_host") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    let first = host.jail("cbbr0", "cbe1", FIRST_A);
    let second = host.jail("cbbr0", "cbe2", SECOND_A);
    let here = first.server("0.0.0.0:80");
    assert_eq!(second.connect("172.18.0.2:80", &here), Some(SECOND_A.into()));
    assert_eq!(
        first.connect("127.0.0.1:80", &here),
        Some(Ipv4Addr::LOCALHOST),
        "the loopback is up"
    );
    let gateway = host.space.server("172.18.0.1:80");
    assert_eq!(second.connect("172.18.0.1:80", &gateway), Some(SECOND_A.into()));
    let link = first.inside(|| ip("-br link show eth0"));
    assert!(link.contains("02:42:ac:12:00:02"), "{link}");
    assert!(first.inside(|| ip("link show eth0")).contains("mtu 1400"));
    assert_eq!(host.names(), ["cbbr0", "cbe1", "cbe2"]);
}

#[test]
fn a_new_bridge_gets_no_prefix_that_the_host_uses() {
    if !is_possible("a_new_bridge_gets_no_prefix_that_the_host_uses") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    // It is there: asking again completes it.
    host.done(bridge("cbbr0", GATEWAY_A));
    assert_eq!(host.code(bridge("cbbr1", FIRST_A)), Some(ErrorCode::AddressInUse));
    assert_eq!(host.names(), ["cbbr0"]);
    host.done(bridge("cbbr1", GATEWAY_B));
    host.done(Request::RemoveInterface {
        interface: interface("cbbr0"),
    });
    host.done(bridge("cbbr2", FIRST_A));
}

#[test]
fn the_outside_sees_the_hosts_address_while_rules_are_loaded() {
    if !is_possible("the_outside_sees_the_hosts_address_while_rules_are_loaded") {
        return;
    }
    let mut host = Host::new();
    let outside = outside();
    host.done(bridge("cbbr0", GATEWAY_A));
    let jail = host.jail("cbbr0", "cbe1", FIRST_A);
    let server = outside.server("203.0.113.2:80");
    assert!(
        jail.is_kept_from("203.0.113.2:80", &server),
        "the outside knows no way back"
    );
    host.done(rules("cbbr0", NET_A, &[]));
    assert_eq!(
        jail.connect("203.0.113.2:80", &server),
        Some(Ipv4Addr::new(203, 0, 113, 1))
    );
    host.done(Request::ClearRules {
        anchor: anchor("cbbr0"),
    });
    host.done(Request::ClearRules {
        anchor: anchor("cbbr0"),
    });
    assert!(jail.is_kept_from("203.0.113.2:80", &server));
    assert_eq!(run("nft", "list ruleset"), "");
}

#[test]
fn published_ports_are_the_ones_of_the_last_rule_set() {
    if !is_possible("published_ports_are_the_ones_of_the_last_rule_set") {
        return;
    }
    let mut host = Host::new();
    let outside = outside();
    host.done(bridge("cbbr0", GATEWAY_A));
    let jail = host.jail("cbbr0", "cbe1", FIRST_A);
    let other = host.jail("cbbr0", "cbe2", SECOND_A);
    let server = jail.server("0.0.0.0:80");
    host.done(rules("cbbr0", NET_A, &[(8080, FIRST_A, 80)]));
    let seen = outside.connect("203.0.113.1:8080", &server);
    assert_eq!(seen, Some(Ipv4Addr::new(203, 0, 113, 2)));
    assert!(
        host.space.connect("203.0.113.1:8080", &server).is_some(),
        "from the host itself"
    );
    // A member comes to the host's own socket, behind which the daemon's proxy is.
    let proxy = host.space.server("203.0.113.1:8080");
    for (member, address) in [(&other, SECOND_A), (&jail, FIRST_A)] {
        assert_eq!(member.connect("203.0.113.1:8080", &proxy), Some(address.into()));
    }
    drop(proxy);
    host.done(rules("cbbr0", NET_A, &[(8081, FIRST_A, 80)]));
    assert!(outside.is_kept_from("203.0.113.1:8080", &server));
    assert!(outside.connect("203.0.113.1:8081", &server).is_some());
}

#[test]
fn networks_reach_each_other_by_published_ports_only() {
    if !is_possible("networks_reach_each_other_by_published_ports_only") {
        return;
    }
    let mut host = Host::new();
    let outside = outside();
    host.done(bridge("cba", GATEWAY_A));
    host.done(bridge("cbb", GATEWAY_B));
    let jail_a = host.jail("cba", "cbe1", FIRST_A);
    let jail_b = host.jail("cbb", "cbe2", FIRST_B);
    let server = jail_a.server("0.0.0.0:80");
    assert!(
        jail_b.connect("172.18.0.2:80", &server).is_some(),
        "no rules, no wall"
    );
    host.done(rules("cba", NET_A, &[(8080, FIRST_A, 80)]));
    host.done(rules("cbb", NET_B, &[]));
    assert!(jail_b.is_kept_from("172.18.0.2:80", &server));
    assert!(jail_b.connect("203.0.113.1:8080", &server).is_some());
    // A neighbour of the host that knows the way to the containers' own addresses.
    outside.inside(|| ip("route add 172.18.0.0/24 via 203.0.113.1"));
    assert!(outside.is_kept_from("172.18.0.2:80", &server));
}

#[test]
fn a_thousand_ports_fit_one_rule_set() {
    if !is_possible("a_thousand_ports_fit_one_rule_set") {
        return;
    }
    let mut host = Host::new();
    let ports: Vec<_> = (1..=1024).map(|n| (20_000 + n, FIRST_A, n)).collect();
    host.done(rules("cbbr0", NET_A, &ports));
    let loaded = run("nft", "list table inet cbtest_cbbr0");
    assert!(
        loaded.contains("tcp dport 21024 dnat ip to 172.18.0.2:1024"),
        "{loaded}"
    );
}

#[test]
fn without_nft_rules_are_unsupported_and_bridges_work() {
    if !is_possible("without_nft_rules_are_unsupported_and_bridges_work") {
        return;
    }
    let mut host = Host::without_nft();
    assert!(host.helper.facts().backend.as_str().contains("no nft"));
    host.done(bridge("cbbr0", GATEWAY_A));
    let refused = host.ask(rules("cbbr0", NET_A, &[])).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unsupported);
    assert!(refused.detail.as_str().contains("install nftables"), "{refused}");
    assert_eq!(host.names(), ["cbbr0"]);
}

#[test]
fn what_is_removed_is_gone_with_its_other_end() {
    if !is_possible("what_is_removed_is_gone_with_its_other_end") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    let jail = host.jail("cbbr0", "cbe1", FIRST_A);
    for name in ["cbe1", "cbbr0", "cbe1", "cbnever"] {
        host.done(Request::RemoveInterface {
            interface: interface(name),
        });
    }
    assert_eq!(host.names(), Vec::<String>::new());
    assert!(!jail.inside(|| ip("-br link")).contains("eth0"));
    assert_eq!(ip("-br link").lines().count(), 1, "only the loopback is left");
}

#[test]
fn an_endpoint_goes_with_its_jail() {
    if !is_possible("an_endpoint_goes_with_its_jail") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    drop(host.jail("cbbr0", "cbe1", FIRST_A));
    // The kernel takes a namespace apart in its own time, and a connection's socket holds it for a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while host.names() != ["cbbr0"] {
        assert!(std::time::Instant::now() < deadline, "{:?}", host.names());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn asking_for_a_bridge_twice_completes_it() {
    if !is_possible("asking_for_a_bridge_twice_completes_it") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    ip("link set cbbr0 down");
    host.done(bridge("cbbr0", [172, 18, 0, 9]));
    host.done(bridge("cbbr0", GATEWAY_A));
    let addresses = ip("-br -4 addr show cbbr0");
    assert!(
        addresses.contains("172.18.0.1/24") && addresses.contains("172.18.0.9/24"),
        "{addresses}"
    );
    assert!(ip("link show cbbr0").contains("UP"));
    let before = ip("-br link show cbbr0");
    let _jail = host.jail("cbbr0", "cbe1", [172, 18, 0, 0x10]);
    let mac = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    assert_eq!(
        mac(&ip("-br link show cbbr0")),
        mac(&before),
        "the gateway keeps its hardware address"
    );
}

#[test]
fn a_container_may_have_several_addresses_and_networks() {
    if !is_possible("a_container_may_have_several_addresses_and_networks") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cba", GATEWAY_A));
    host.done(bridge("cbb", GATEWAY_B));
    let jail = host.jail("cba", "cbe1", FIRST_A);
    host.done(endpoint("cbb", "cbe2", jail.jid(), "eth1", FIRST_B));
    let second = inside(Some("eth1"), &[(FIRST_B, 24), ([172, 19, 0, 77], 24)], None);
    for _again in 0..2 {
        assert_eq!(host.configure(&second, &jail.socket()), Ok(Response::Done));
    }
    let server = jail.server("0.0.0.0:80");
    for address in ["172.18.0.2:80", "172.19.0.2:80", "172.19.0.77:80"] {
        assert!(host.space.connect(address, &server).is_some(), "{address}");
    }
    let routes = jail.inside(|| ip("route"));
    assert_eq!(routes.matches("default").count(), 1, "{routes}");
}

#[test]
fn names_that_are_taken_or_missing_are_said_so() {
    if !is_possible("names_that_are_taken_or_missing_are_said_so") {
        return;
    }
    let mut host = Host::new();
    let jail = Space::new();
    let attach = |end: &str, inner: &str| endpoint("cbbr0", end, jail.jid(), inner, FIRST_A);
    assert_eq!(
        host.code(attach("cbe1", "eth0")),
        Some(ErrorCode::NotFound),
        "no bridge"
    );
    host.done(bridge("cbbr0", GATEWAY_A));
    host.done(attach("cbe1", "eth0"));
    assert_eq!(
        host.code(attach("cbe1", "eth1")),
        Some(ErrorCode::AlreadyExists),
        "the host's end"
    );
    assert_eq!(
        host.code(attach("cbe2", "eth0")),
        Some(ErrorCode::AlreadyExists),
        "the inner name"
    );
    assert_eq!(
        host.code(endpoint("cbe1", "cbe3", jail.jid(), "eth3", FIRST_A)),
        Some(ErrorCode::Refused)
    );
    assert_eq!(
        host.code(endpoint("cbbr0", "cbe3", i32::MAX, "eth3", FIRST_A)),
        Some(ErrorCode::NotFound)
    );
    assert_eq!(
        host.code(bridge("cbe1", GATEWAY_B)),
        Some(ErrorCode::AlreadyExists),
        "no bridge"
    );
    let missing = host.configure(&inside(Some("eth7"), &[(FIRST_A, 24)], None), &jail.socket());
    assert_eq!(missing.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(host.names(), ["cbbr0", "cbe1"]);
}

#[test]
fn the_hosts_own_network_is_out_of_reach() {
    if !is_possible("the_hosts_own_network_is_out_of_reach") {
        return;
    }
    let mut host = Host::new();
    let _outside = outside();
    host.done(bridge("cbbr0", GATEWAY_A));
    // Without what changes by itself: the states of links, and IPv6 addresses that are still being tried.
    let addresses = || ip("-4 -o addr");
    let before = addresses();
    // The helper itself is in the host's network.
    let attach = endpoint("cbbr0", "cbe1", host.helper.pid().cast_signed(), "eth0", FIRST_A);
    assert_eq!(host.code(attach), Some(ErrorCode::Refused));
    let take_over = inside(Some("out0"), &[(FIRST_A, 24)], None);
    let socket = route_socket();
    assert_eq!(
        host.configure(&take_over, &socket).unwrap_err().code,
        ErrorCode::Refused
    );
    let jail = Space::new();
    let stream = jail.inside(|| TcpListener::bind("0.0.0.0:0").unwrap()).into();
    assert_eq!(
        host.configure(&take_over, &stream).unwrap_err().code,
        ErrorCode::BadDescriptors
    );
    let file = std::fs::File::open("/dev/null").unwrap().into();
    assert_eq!(
        host.configure(&take_over, &file).unwrap_err().code,
        ErrorCode::BadDescriptors
    );
    assert_eq!(
        host.code(take_over),
        Some(ErrorCode::BadDescriptors),
        "none at all"
    );
    assert_eq!(addresses(), before);
}

#[test]
fn an_interface_of_another_kind_is_not_ours_whatever_its_name() {
    let name = "an_interface_of_another_kind_is_not_ours_whatever_its_name";
    if !is_possible(name) {
        return;
    }
    let mut host = Host::new();
    if !foreign_interface("cbforeign") {
        println!("SKIPPED {name}: this kernel has neither dummy nor ifb interfaces");
        return;
    }
    let remove = Request::RemoveInterface {
        interface: interface("cbforeign"),
    };
    assert_eq!(host.code(remove), Some(ErrorCode::Refused));
    assert_eq!(host.names(), Vec::<String>::new());
    assert!(ip("-br link").contains("cbforeign"));
}

#[test]
fn pools_learn_what_the_host_routes() {
    if !is_possible("pools_learn_what_the_host_routes") {
        return;
    }
    let mut host = Host::new();
    let _outside = outside();
    ip("route add 10.20.0.0/16 via 203.0.113.2");
    ip("route add default via 203.0.113.2");
    ip("route add 10.77.0.0/16 via 203.0.113.2 table 99");
    let Ok(Response::Prefixes(found)) = host.ask(Request::HostPrefixes) else {
        panic!()
    };
    for expected in [
        prefix([203, 0, 113, 0], 24),
        prefix([10, 20, 0, 0], 16),
        prefix([10, 77, 0, 0], 16),
        prefix([127, 0, 0, 0], 8),
    ] {
        assert!(found.as_slice().contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(
        found.as_slice().iter().all(|one| one.prefix_bits > 0),
        "{found:?}"
    );
}

fn forwarding() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
        .unwrap()
        .trim()
        == "1"
}

#[test]
fn forwarding_is_switched_on_only_where_the_policy_says_so() {
    if !is_possible("forwarding_is_switched_on_only_where_the_policy_says_so") {
        return;
    }
    // A new namespace begins with what the machine has now.
    let before = forwarding();
    for enable in [false, true] {
        let host = Host::with_policy(enable);
        assert_eq!(forwarding(), enable || before);
        assert!(host.helper.facts().backend.as_str().contains("nftables"));
    }
}

#[test]
fn each_process_keeps_its_capabilities_and_the_front_a_filter() {
    if !is_possible("each_process_keeps_its_capabilities_and_the_front_a_filter") {
        return;
    }
    let mut host = Host::new();
    // An answered order shows that the hand has come to its work, and so through its confinement.
    host.done(Request::ClearRules {
        anchor: anchor("cbbr0"),
    });
    let hand = host.helper.pid();
    let [front] = children(hand).unwrap()[..] else {
        panic!("one front")
    };
    // CAP_NET_ADMIN is number 12, CAP_NET_BIND_SERVICE number 10 (linux/capability.h).
    let front_mask = format!("{:016x}", 1u64 << 12);
    let hand_mask = format!("{:016x}", 1u64 << 12 | 1 << 10);
    for (pid, mask) in [(hand, &hand_mask), (front, &front_mask)] {
        let line = |name| status_line(pid, name).unwrap();
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(&line(set), mask, "{set} of {pid}");
        }
        assert_eq!((line("CapInh"), line("CapAmb")), ("0".repeat(16), "0".repeat(16)));
    }
    assert_eq!(status_line(front, "Seccomp").unwrap(), "2");
    assert_eq!(status_line(front, "NoNewPrivs").unwrap(), "1");
}

#[test]
fn in_this_sandbox_the_other_helpers_jobs_fail() {
    if !is_possible("in_this_sandbox_the_other_helpers_jobs_fail") {
        return;
    }
    let space = Space::new();
    space.inside(|| ip("link set lo up"));
    let folder = std::env::temp_dir().join(format!("cb-net-jobs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let places = Places {
        pool: &folder,
        mounts: &folder,
    };
    let free = space.inside(|| jobs(&places));
    // The jobs need their parent's process id, which the helper does not.
    let calls: Vec<i64> = FRONT
        .calls
        .unwrap()
        .iter()
        .copied()
        .chain([syscall::SYS_getppid])
        .collect();
    let confined = space.inside(|| {
        confine(&Confinement {
            calls: Some(&calls),
            ..FRONT
        })
        .unwrap();
        jobs(&places)
    });
    std::fs::remove_dir(&folder).unwrap();
    for (job, result) in free {
        assert!(
            result.is_ok(),
            "{job:?} must work without a sandbox, else this test shows nothing: {result:?}"
        );
    }
    // Its own job it does through sockets that it opened before; new ones it cannot make.
    for (job, result) in confined {
        assert!(result.is_err(), "{job:?} worked in the sandbox");
    }
}

#[test]
fn the_helper_ends_with_its_connection_and_with_its_front() {
    if !is_possible("the_helper_ends_with_its_connection_and_with_its_front") {
        return;
    }
    let host = Host::new();
    let hand = host.helper.pid();
    let [front] = children(hand).unwrap()[..] else {
        panic!("one front")
    };
    drop(host);
    // The hand was waited for; the front sees the end of its own connection, a moment later.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    for pid in [hand, front] {
        let is_left = || status_line(pid, "State").is_ok_and(|state| !state.starts_with('Z'));
        while is_left() {
            assert!(std::time::Instant::now() < deadline, "{pid} is left");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
