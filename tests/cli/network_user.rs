//! User-defined networks: made, listed, joined, left, removed.

use serde_json::Value;
use system_tests::docker;
use system_tests::docker::{Docker, eventually};

fn inspected(docker: &Docker, network: &str) -> Value {
    let all: Value = serde_json::from_str(&docker.ok(&format!("network inspect {network}"))).unwrap();
    all[0].clone()
}

fn settings(docker: &Docker, container: &str, network: &str) -> Value {
    let all = docker.ok(&format!(
        "inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}"
    ));
    let all: Value = serde_json::from_str(&all).unwrap();
    all[network].clone()
}

fn default_routes(docker: &Docker, container: &str) -> Vec<String> {
    let routes = docker.ok(&format!("exec {container} ip route"));
    routes
        .lines()
        .filter(|line| line.starts_with("default"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_network_is_made_as_asked_and_refused_in_dockerds_words() {
    let docker = docker!();
    let id = docker.ok(
        "network create --subnet 10.201.0.0/16 --ip-range 10.201.4.0/24 --gateway 10.201.0.254 \
         --aux-address router=10.201.4.0 --label tier=test --opt com.docker.network.driver.mtu=1400 un-made",
    );
    assert_eq!(id.len(), 64);
    let made = inspected(&docker, "un-made");
    let config = &made["IPAM"]["Config"][0];
    assert_eq!(config["Subnet"], "10.201.0.0/16");
    assert_eq!(config["IPRange"], "10.201.4.0/24");
    assert_eq!(config["Gateway"], "10.201.0.254");
    assert_eq!(config["AuxiliaryAddresses"]["router"], "10.201.4.0");
    assert_eq!(made["Labels"]["tier"], "test");
    assert_eq!(made["Options"]["com.docker.network.driver.mtu"], "1400");
    docker.ok("run -d --name un-c1 --network un-made base sleep 600");
    let inside = docker.ok("exec un-c1 sh -c 'ip -4 -o addr show dev eth0; ip route; ip link show dev eth0'");
    assert!(inside.contains("inet 10.201.4.1/16"), "{inside}");
    assert!(inside.contains("default via 10.201.0.254"), "{inside}");
    assert!(inside.contains("mtu 1400"), "{inside}");
    for (line, words) in [
        (
            "network create un-made",
            "network with name un-made already exists",
        ),
        (
            "network create host",
            "operation is not permitted on predefined host network",
        ),
        (
            "network create --subnet 10.201.7.0/24 un-other",
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
        (
            "network create --subnet 10.202.0.1/16 un-other",
            "invalid network config:\ninvalid subnet 10.202.0.1/16: it should be 10.202.0.0/16",
        ),
        (
            "network create --subnet 10.203.0.0/24 --subnet 10.204.0.0/24 un-other",
            "bridge driver doesn't support multiple subnets",
        ),
        ("network create -d zz un-other", "plugin \"zz\" not found"),
        (
            "network create -o com.docker.network.bridge.name=br9 un-other",
            "com.docker.network.bridge.name=br9 is not supported",
        ),
        (
            "network rm bridge",
            "bridge is a pre-defined network and cannot be removed",
        ),
        ("network rm un-nosuch", "network un-nosuch not found"),
        (
            "network rm un-made",
            "network un-made has active endpoints (name:\"un-c1\"",
        ),
    ] {
        let said = docker.fails(1, line);
        assert!(said.contains(words), "{line}: {said}");
    }
    docker.ok("rm -f un-c1");
    docker.ok("network rm un-made");
    assert!(!docker.ok("network ls --format '{{.Name}}'").contains("un-made"));
}

#[test]
fn networks_are_filtered_and_pruned() {
    let docker = docker!();
    docker.ok("network create --label un=prune un-p1");
    docker.ok("network create --label un=prune un-p2");
    docker.ok("run -d --name un-p --network un-p2 base sleep 600");
    let names = |filter: &str| {
        docker.ok(&format!(
            "network ls --format '{{{{.Name}}}}' --filter label=un=prune {filter}"
        ))
    };
    assert_eq!(names(""), "un-p1\nun-p2");
    assert_eq!(names("--filter name=p2"), "un-p2");
    assert_eq!(names("--filter dangling=true"), "un-p1");
    assert_eq!(names("--filter dangling=false"), "un-p2");
    assert_eq!(names("--filter type=builtin"), "");
    assert_eq!(
        names("--filter driver=bridge --filter scope=local --filter type=custom"),
        "un-p1\nun-p2"
    );
    docker.fails(1, "network ls --filter zz=1");
    let pruned = docker.ok("network prune -f --filter label=un=prune");
    assert_eq!(pruned.trim(), "Deleted Networks:\nun-p1");
    docker.ok("rm -f un-p");
    docker.ok("network rm un-p2");
}

#[test]
fn addresses_are_wished_kept_and_refused() {
    let docker = docker!();
    docker.ok("network create --subnet 10.203.0.0/24 un-ip");
    docker.ok("network create un-auto");
    docker.ok(
        "run -d --name un-i1 --network un-ip --ip 10.203.0.77 --mac-address 02:00:00:00:00:77 base sleep 600",
    );
    docker.ok("run -d --name un-i2 --network un-ip base sleep 600");
    let first = settings(&docker, "un-i1", "un-ip");
    assert_eq!(first["IPAddress"], "10.203.0.77");
    assert_eq!(first["MacAddress"], "02:00:00:00:00:77");
    assert!(
        docker
            .ok("exec un-i1 ip link show dev eth0")
            .contains("02:00:00:00:00:77")
    );
    let before = settings(&docker, "un-i2", "un-ip")["IPAddress"].clone();
    docker.ok("run --rm --network un-ip base true");
    docker.ok("restart -t 0 un-i2");
    assert_eq!(settings(&docker, "un-i2", "un-ip")["IPAddress"], before);
    for (line, words) in [
        ("--network un-ip --ip 10.203.0.77", "Address already in use"),
        (
            "--network un-ip --ip 10.204.0.1",
            "invalid config for network un-ip: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.204.0.1",
        ),
        (
            "--network un-auto --ip 10.204.0.1",
            "user specified IP address is supported only when connecting to networks with user configured subnets",
        ),
        (
            "--ip 172.17.0.99",
            "user specified IP address is supported on user defined networks only",
        ),
    ] {
        let said = docker.fails(125, &format!("run --rm {line} base true"));
        assert!(said.contains(words), "{line}: {said}");
    }
    docker.ok("rm -f un-i1 un-i2");
    docker.ok("network rm un-ip un-auto");
}

#[test]
fn a_network_that_is_full_takes_nobody_more() {
    let docker = docker!();
    docker.ok("network create --subnet 10.205.0.0/30 un-full");
    docker.ok("run -d --name un-last --network un-full base sleep 600");
    let said = docker.fails(125, "run --name un-late --network un-full base true");
    assert!(
        said.contains("no available IPv4 addresses on this network's address pools: un-full ("),
        "{said}"
    );
    docker.ok("rm -f un-last");
    docker.ok("start -a un-late");
    docker.ok("rm un-late");
    docker.ok("network rm un-full");
}

#[test]
fn a_running_container_joins_and_leaves_networks() {
    let docker = docker!();
    docker.ok("network create un-a");
    docker.ok("network create un-b");
    docker.ok("run -d --name un-j --network un-b base sleep 600");
    docker.ok("run -d --name un-k --network un-a base sleep 600");
    let neighbour = settings(&docker, "un-k", "un-a")["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    let ping = format!("exec un-j ping -c 1 -w 2 {neighbour}");
    assert_ne!(docker.run(&ping).code, 0, "networks are apart");
    docker.ok("network connect un-a un-j");
    assert_eq!(docker.run(&ping).code, 0);
    let said = docker.fails(1, "network connect un-a un-j");
    assert!(
        said.contains("endpoint with name un-j already exists in network un-a"),
        "{said}"
    );
    let gateway = settings(&docker, "un-j", "un-a")["Gateway"]
        .as_str()
        .unwrap()
        .to_owned();
    let routes = default_routes(&docker, "un-j");
    assert!(
        routes.len() == 1 && routes[0].contains(&format!("via {gateway} dev eth1")),
        "the first name leads out: {routes:?}"
    );
    let hosts = docker.ok("exec un-j cat /etc/hosts");
    let own = settings(&docker, "un-j", "un-a")["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(hosts.contains(&format!("{own}\t")), "{hosts}");
    docker.ok("network disconnect un-a un-j");
    assert_ne!(docker.run(&ping).code, 0);
    let routes = default_routes(&docker, "un-j");
    assert!(routes.len() == 1 && routes[0].contains("dev eth0"), "{routes:?}");
    let said = docker.fails(1, "network disconnect un-a un-j");
    assert!(said.contains("is not connected to network un-a"), "{said}");
    // One that does not run remembers.
    docker.ok("stop -t 0 un-j");
    docker.ok("network connect un-a un-j");
    docker.ok("network disconnect un-b un-j");
    docker.ok("start un-j");
    assert_eq!(docker.run(&ping).code, 0);
    for (line, words) in [
        (
            "network connect host un-j",
            "cannot connect container to host network",
        ),
        (
            "network connect none un-j",
            "with one of the networks in private (none) mode",
        ),
        ("network connect un-nosuch un-j", "network un-nosuch not found"),
    ] {
        let said = docker.fails(1, line);
        assert!(said.contains(words), "{line}: {said}");
    }
    docker.ok("rm -f un-j un-k");
    docker.ok("network rm un-a un-b");
}

#[test]
fn an_internal_network_has_no_way_out_and_a_silent_one_no_neighbours() {
    let docker = docker!();
    docker.ok("network create --internal un-int");
    docker.ok("network create -o com.docker.network.bridge.enable_icc=false un-icc");
    docker.ok("run -d --name un-n1 --network un-int base sleep 600");
    docker.ok("run -d --name un-n2 --network un-int base sleep 600");
    assert_eq!(default_routes(&docker, "un-n1"), [""; 0]);
    let address = |name: &str, network: &str| {
        settings(&docker, name, network)["IPAddress"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let ping = |from: &str, to: &str| docker.run(&format!("exec {from} ping -c 1 -w 2 {to}")).code == 0;
    assert!(ping("un-n1", &address("un-n2", "un-int")));
    docker.ok("run -d --name un-s1 --network un-icc base sleep 600");
    docker.ok("run -d --name un-s2 --network un-icc base sleep 600");
    assert!(!ping("un-s1", &address("un-s2", "un-icc")));
    let gateway = settings(&docker, "un-s1", "un-icc")["Gateway"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(ping("un-s1", &gateway));
    docker.ok("rm -f un-n1 un-n2 un-s1 un-s2");
    docker.ok("network rm un-int un-icc");
}

#[test]
fn networks_tell_what_happens_to_them() {
    let docker = docker!();
    let events =
        docker.start("events --filter type=network --format '{{.Action}} {{.Actor.Attributes.name}}'");
    // The first event shows that the stream is open.
    eventually("events come", || {
        docker.ok("network create un-e");
        let heard = !events.is_silent_for(std::time::Duration::from_millis(300));
        docker.ok("network rm un-e");
        heard
    });
    docker.ok("network create un-ev");
    docker.ok("run --rm --network un-ev base true");
    docker.ok("network rm un-ev");
    let mut heard = Vec::new();
    while heard.last().map(String::as_str) != Some("destroy un-ev") {
        let line = events.line();
        if line.ends_with(" un-ev") {
            heard.push(line);
        }
    }
    assert_eq!(
        heard,
        [
            "create un-ev",
            "connect un-ev",
            "disconnect un-ev",
            "destroy un-ev"
        ]
    );
}

#[test]
fn an_endpoint_has_the_link_local_addresses_that_were_asked_for() {
    let docker = docker!();
    docker.ok("network create un-link");
    docker.ok(
        "run -d --name un-l1 --network un-link --link-local-ip 169.254.8.8 --link-local-ip fe80::8:8 base sleep 600",
    );
    let inside = docker.ok("exec un-l1 ip -o addr show dev eth0");
    assert!(inside.contains("inet 169.254.8.8/16"), "{inside}");
    let asked = &settings(&docker, "un-l1", "un-link")["IPAMConfig"]["LinkLocalIPs"];
    assert_eq!(asked[0], "169.254.8.8");
    docker.ok("network create un-link2");
    docker.ok("network connect --link-local-ip 169.254.9.9 un-link2 un-l1");
    let inside = docker.ok("exec un-l1 ip -o addr show dev eth1");
    assert!(inside.contains("inet 169.254.9.9/16"), "{inside}");
    let bad = docker.fails(
        125,
        "run --rm --network un-link --link-local-ip 10.1.2.3 base true",
    );
    assert!(bad.contains("invalid link local IP address: 10.1.2.3"), "{bad}");
    docker.ok("rm -f un-l1");
    docker.ok("network rm un-link un-link2");
}
