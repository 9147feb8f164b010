//! The default bridge: containers among each other, and out through the host.

use serde_json::Value;
use std::process::{Child, Command};
use system_tests::docker::{Docker, eventually};
use system_tests::{docker, skipped};

fn field(docker: &Docker, name: &str, path: &str) -> String {
    docker.ok(&format!("inspect --format '{{{{{path}}}}}' {name}"))
}

#[test]
fn containers_on_the_bridge_reach_each_other_by_address() {
    let docker = docker!();
    docker.ok("run -d --name net-server base nc -ll -p 8080 -e echo served");
    let address = field(&docker, "net-server", ".NetworkSettings.IPAddress");
    let get = format!("run --rm base nc -w 5 {address} 8080");
    eventually("the server answers", || docker.run(&get).out == "served\n");
    assert_eq!(
        docker
            .run(&format!("run --rm base ping -c 1 -w 5 {address}"))
            .code,
        0
    );
    assert_ne!(
        docker
            .run(&format!("run --rm --network none base ping -c 1 -w 2 {address}"))
            .code,
        0
    );
    docker.ok("rm -f net-server");
}

#[test]
fn an_endpoint_is_described_and_true() {
    let docker = docker!();
    docker.ok("run -d --name net-1 base sleep 600");
    let (address, bits) = (
        field(&docker, "net-1", ".NetworkSettings.IPAddress"),
        field(&docker, "net-1", ".NetworkSettings.IPPrefixLen"),
    );
    let gateway = field(&docker, "net-1", ".NetworkSettings.Gateway");
    let mac = field(&docker, "net-1", ".NetworkSettings.MacAddress");
    let inside = docker.ok("exec net-1 sh -c 'ip -4 -o addr show dev eth0; ip route; cat /sys/class/net/eth0/address; cat /etc/hosts; cat /etc/resolv.conf'");
    assert!(inside.contains(&format!("inet {address}/{bits} ")), "{inside}");
    assert!(
        inside.contains(&format!("default via {gateway} dev eth0")),
        "{inside}"
    );
    assert!(inside.contains(&mac), "{mac}: {inside}");
    let name = field(&docker, "net-1", ".Config.Hostname");
    assert!(
        inside.contains(&format!("{address}\t{name}")) && inside.contains("127.0.0.1\tlocalhost"),
        "{inside}"
    );
    assert_eq!(
        docker.run(&format!("exec net-1 ping -c 1 -w 5 {gateway}")).code,
        0
    );
    let network: Value = serde_json::from_str(&docker.ok("network inspect bridge")).unwrap();
    let id = field(&docker, "net-1", ".Id");
    assert_eq!(
        network[0]["Containers"][&id]["IPv4Address"],
        format!("{address}/{bits}")
    );
    let endpoint = field(&docker, "net-1", "json .NetworkSettings.Networks.bridge");
    assert!(
        endpoint.contains(&format!("\"IPAddress\":\"{address}\"")),
        "{endpoint}"
    );
    docker.ok("rm -f net-1");
    let network = docker.ok("network inspect bridge");
    assert!(!network.contains(&id), "{network}");
}

#[test]
fn addresses_differ_and_are_given_again() {
    let docker = docker!();
    let mut addresses = Vec::new();
    for n in 0..4 {
        docker.ok(&format!("run -d --name net-a{n} base sleep 600"));
        addresses.push(field(&docker, &format!("net-a{n}"), ".NetworkSettings.IPAddress"));
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 4);
    docker.ok("rm -f net-a0 net-a1 net-a2 net-a3");
}

#[test]
fn the_three_networks_are_listed() {
    let docker = docker!();
    let list = docker.ok("network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'");
    for line in ["bridge bridge local", "host host local", "none null local"] {
        assert!(list.lines().any(|said| said == line), "{line}: {list}");
    }
    let error = docker.fails(125, "run --rm --network nosuch base true");
    assert!(error.contains("network nosuch not found"), "{error}");
}

/// A second host beside this one: a network namespace that knows no route to any container.
struct Outside {
    name: String,
    address: String,
}

impl Outside {
    fn new() -> Outside {
        let id = std::process::id();
        // Addresses for tests between two networks (RFC 2544), by process so that two runs do not meet.
        let net = format!("198.18.{}", id % 250);
        let outside = Outside {
            name: format!("cbt{}", id % 100_000),
            address: format!("{net}.2"),
        };
        let name = &outside.name;
        for line in [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name eth0 netns {name}"),
            format!("addr add {net}.1/30 dev {name}"),
            format!("link set {name} up"),
            format!("-n {name} addr add {net}.2/30 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ] {
            ip(&line).unwrap_or_else(|why| panic!("ip {line}: {why}"));
        }
        outside
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(line.split(' '))
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_container_reaches_the_outside_with_the_hosts_address() {
    let docker = docker!();
    let name = "network::a_container_reaches_the_outside_with_the_hosts_address";
    if Command::new("nft").arg("--version").output().is_err() {
        return skipped(name, "needs nft");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return skipped(name, "needs ip");
    }
    let outside = Outside::new();
    let (namespace, address) = (&outside.name, &outside.address);
    let script = ["-ll", "-p", "8099", "-e", "/bin/busybox", "echo", "outside"];
    let server = Command::new("ip")
        .args(["netns", "exec", namespace, "/bin/busybox", "nc"])
        .args(script)
        .spawn();
    let _server = Killed(server.unwrap());
    let heard = format!("run --rm base nc -w 5 {address} 8099");
    eventually("the answer comes", || docker.run(&heard).out == "outside\n");
    // Nothing outside knows the way to a container's own address, so only translation can have brought the answer.
    let none = Command::new("ip")
        .args(["-n", namespace, "route", "show", "default"])
        .output()
        .unwrap();
    assert!(none.stdout.is_empty());
}

/// A program that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
