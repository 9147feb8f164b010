//! Both address families, silent neighbours, and ports that are bound for the daemon.

use super::space::{Host, Space, anchor, bridge, endpoint, inside, interface, ip, is_possible, prefix};
use super::{FIRST_A, GATEWAY_A, SECOND_A, outside};
use protocol::ErrorCode;
use protocol::names::{Bounded, InnerInterfaceName};
use protocol::net::{AddressPrefix, Request, Response, RuleSet, Transport};
use std::net::{Ipv4Addr, Ipv6Addr};

#[test]
fn containers_with_both_families_reach_each_other_and_the_outside_by_ipv6() {
    let name = "containers_with_both_families_reach_each_other_and_the_outside_by_ipv6";
    if !is_possible(name) {
        return;
    }
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        println!("SKIPPED {name}: this kernel has no IPv6");
        return;
    }
    let mut host = Host::new();
    let outside = outside();
    ip("addr add 2001:db8:1::1/64 dev out0 nodad");
    outside.inside(|| ip("addr add 2001:db8:1::2/64 dev eth0 nodad"));
    let both = |last: u16| [v6_prefix(last), prefix([172, 18, 0, last as u8], 24)];
    host.done(Request::EnsureBridge {
        bridge: interface("cbbr0"),
        addresses: Bounded::new(both(1).to_vec()).unwrap(),
        mtu: 1500,
    });
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    assert_eq!(
        forwarding.trim(),
        "1",
        "switched on with the first network that needs it"
    );
    let mut jail = |host_end: &str, last: u16| {
        let jail = Space::new();
        host.done(endpoint(
            "cbbr0",
            host_end,
            jail.jid(),
            "eth0",
            [172, 18, 0, last as u8],
        ));
        let configure = Request::ConfigureInside {
            inner: Some(InnerInterfaceName::new("eth0").unwrap()),
            addresses: Bounded::new(both(last).to_vec()).unwrap(),
            gateways: Bounded::new(both(1).iter().map(|one| one.address).collect()).unwrap(),
        };
        // Asked again it stays as it is.
        for _ in 0..2 {
            assert_eq!(host.configure(&configure, &jail.socket()), Ok(Response::Done));
        }
        jail
    };
    let (first, second) = (jail("cbe1", 2), jail("cbe2", 3));
    let reaches = |from: &Space, to: &str| from.inside(|| ping(to));
    assert!(reaches(&second, "fd00:1::2") && reaches(&second, "172.18.0.2"));
    assert!(reaches(&first, "fd00:1::1"), "the host");
    let routes = first.inside(|| ip("route show default") + &ip("-6 route show default"));
    assert_eq!(routes.matches("default via").count(), 2, "{routes}");
    let rules = RuleSet {
        bridge: interface("cbbr0"),
        subnets: Bounded::new(both(1).to_vec()).unwrap(),
        masquerade: true,
        internal: false,
        members_talk: true,
        ports: Bounded::default(),
    };
    host.done(Request::LoadRules {
        anchor: anchor("cbbr0"),
        rules: Box::new(rules),
    });
    assert!(
        reaches(&first, "2001:db8:1::2"),
        "the outside knows no way back but to the host"
    );
}

fn v6_prefix(last: u16) -> AddressPrefix {
    AddressPrefix {
        address: Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, last).into(),
        prefix_bits: 64,
    }
}

fn ping(to: &str) -> bool {
    let ran = std::process::Command::new("busybox")
        .args(["ping", "-c", "1", "-w", "3", to])
        .output();
    ran.is_ok_and(|ran| ran.status.success())
}

#[test]
fn members_of_a_silent_network_do_not_talk() {
    if !is_possible("members_of_a_silent_network_do_not_talk") {
        return;
    }
    let mut host = Host::new();
    host.done(bridge("cbbr0", GATEWAY_A));
    let jails = [("cbe1", FIRST_A), ("cbe2", SECOND_A)].map(|(host_end, address)| {
        let jail = Space::new();
        let mut attach = endpoint("cbbr0", host_end, jail.jid(), "eth0", address);
        if let Request::AttachEndpoint { isolated, .. } = &mut attach {
            *isolated = true;
        }
        host.done(attach);
        let configure = inside(Some("eth0"), &[(address, 24)], Some(GATEWAY_A));
        assert_eq!(host.configure(&configure, &jail.socket()), Ok(Response::Done));
        jail
    });
    let server = jails[0].server("0.0.0.0:80");
    assert!(jails[1].is_kept_from("172.18.0.2:80", &server));
    let gateway = host.space.server("172.18.0.1:80");
    assert!(jails[1].connect("172.18.0.1:80", &gateway).is_some());
}

#[test]
fn a_port_is_bound_for_the_daemon_where_it_is_free() {
    if !is_possible("a_port_is_bound_for_the_daemon_where_it_is_free") {
        return;
    }
    let mut host = Host::new();
    let bind = |protocol, port| Request::BindPort {
        protocol,
        address: Ipv4Addr::UNSPECIFIED.into(),
        port,
    };
    // Below 1024: the daemon could not bind it itself.
    let (answer, sockets) = host.helper.ask(bind(Transport::Tcp, 80), &[]).unwrap();
    assert_eq!((answer, sockets.len()), (Response::Done, 1));
    assert_eq!(host.code(bind(Transport::Tcp, 80)), Some(ErrorCode::AddressInUse));
    assert_eq!(host.code(bind(Transport::Udp, 80)), None);
    assert_eq!(host.code(bind(Transport::Tcp, 0)), Some(ErrorCode::Refused));
    drop(sockets);
    assert_eq!(host.code(bind(Transport::Tcp, 80)), None);
}
