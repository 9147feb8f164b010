//! IPv6: networks with both families and with IPv6 alone.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;
use system_tests::docker::{Docker, eventually};
use system_tests::{docker, skipped};

fn has_ipv6(test: &str) -> bool {
    let has = std::path::Path::new("/proc/sys/net/ipv6").exists();
    if !has {
        skipped(test, "this kernel has no IPv6");
    }
    has
}

fn address(docker: &Docker, container: &str, network: &str) -> String {
    let path = format!("(index .NetworkSettings.Networks \"{network}\").GlobalIPv6Address");
    docker.ok(&format!("inspect --format '{{{{{path}}}}}' {container}"))
}

fn heard(address: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.read_to_string(&mut text);
    }
    text
}

#[test]
fn a_network_with_both_families_gives_both_addresses_and_names_for_both() {
    let docker = docker!();
    if !has_ipv6("network_v6::a_network_with_both_families_gives_both_addresses_and_names_for_both") {
        return;
    }
    docker.ok("network create --ipv6 --subnet fd00:cb:7::/64 nv-both");
    docker.ok("run -d --name nv-1 --network nv-both --ip6 fd00:cb:7::77 -p 80 base nc -ll -p 80 -e echo six");
    docker.ok("run -d --name nv-2 --network nv-both base sleep 600");
    assert_eq!(address(&docker, "nv-1", "nv-both"), "fd00:cb:7::77");
    let inside = docker.ok("exec nv-2 sh -c 'ip -6 addr show dev eth0; ip -6 route; nslookup nv-1'");
    assert!(
        inside.contains(&format!("{}/64", address(&docker, "nv-2", "nv-both"))),
        "{inside}"
    );
    assert!(
        inside.contains("default via fd00:cb:7::1") && inside.contains("fd00:cb:7::77"),
        "{inside}"
    );
    eventually("a neighbour is reached by IPv6", || {
        docker.run("exec nv-2 nc -w 5 fd00:cb:7::77 80").out == "six\n"
    });
    let ports = docker.ok("port nv-1 80");
    let port = ports
        .lines()
        .find_map(|line| line.strip_prefix("[::]:"))
        .unwrap()
        .to_owned();
    for host in ["[::1]", "127.0.0.1", "[fd00:cb:7::1]"] {
        assert_eq!(heard(&format!("{host}:{port}")), "six\n", "{host}");
    }
    docker.ok("rm -f nv-1 nv-2");
    docker.ok("network rm nv-both");
}

#[test]
fn a_network_may_have_ipv6_alone() {
    let docker = docker!();
    if !has_ipv6("network_v6::a_network_may_have_ipv6_alone") {
        return;
    }
    docker.ok("network create --ipv6 --ipv4=false nv-six");
    docker.ok("run -d --name nv-3 --network nv-six base sleep 600");
    let own = address(&docker, "nv-3", "nv-six");
    let inside = docker.ok("exec nv-3 sh -c 'ip -4 addr show dev eth0; ip -6 addr show dev eth0; cat /etc/resolv.conf; nslookup nv-3'");
    assert!(
        own.starts_with("fd") && inside.contains(&format!("{own}/64")),
        "{own}: {inside}"
    );
    assert!(!inside.contains("inet "), "{inside}");
    assert!(inside.contains("nameserver fd"), "{inside}");
    docker.ok("rm -f nv-3");
    docker.ok("network rm nv-six");
}
