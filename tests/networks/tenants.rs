//! The table of who reaches a container, for another tenant's: rows of its default bridge and of a network that it made.

use super::outside::Outside;
use super::probe::Place;
use super::reach::{Wanted, addresses, check, row};
use super::start_as;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use system_tests::docker::eventually;
use system_tests::engine::Engine;

/// Numbers of users that nobody has.
const RED: u32 = 64_811;
const BLUE: u32 = 64_812;

/// The container's port, and the host's for it.
const INSIDE: u16 = 7000;
const PUBLISHED: u16 = 31_998;

#[test]
fn another_tenants_container_is_reached_by_its_published_port_only() {
    let config = format!(
        "[[tenant]]\nname = \"red\"\nusers = [{RED}]\n[[tenant]]\nname = \"blue\"\nusers = [{BLUE}]\n"
    );
    let test = "another_tenants_container_is_reached_by_its_published_port_only";
    let Some((engine, docker)) = start_as(test, || Engine::start_with("nets", &config)) else {
        return;
    };
    set_permissions(engine.socket(), Permissions::from_mode(0o666)).unwrap();
    let (red, blue) = (docker.run_by(RED), docker.run_by(BLUE));
    // The same name, so that one tenant's could be taken for the other's.
    red.ok("network create --ipv6 net");
    blue.ok("network create --ipv6 net");
    let ports = format!("-p {PUBLISHED}:{INSIDE} -p {PUBLISHED}:{INSIDE}/udp");
    red.ok(&format!(
        "run -d --name server --network net {ports} base sleep 600"
    ));
    red.ok("run -d --name bridged base sleep 600");
    red.ok("run -d --name neighbour --network net base sleep 600");
    blue.ok("run -d --name server --network net base sleep 600");
    blue.ok("run -d --name bridged base sleep 600");
    docker.ok("run -d --name bridged base sleep 600");
    let (own, bridge) = (
        addresses(&red, "server", "net"),
        addresses(&red, "bridged", "bridge"),
    );
    let place = Place::container;
    let server = place(&red, "server");
    let (member, bridged, root) = (
        place(&blue, "server"),
        place(&blue, "bridged"),
        place(&docker, "bridged"),
    );
    let neighbour = place(&red, "neighbour");
    let _serving = [server.serve(INSIDE), place(&red, "bridged").serve(INSIDE)];
    for address in [&own[0], &bridge[0]] {
        eventually("the server answers", || {
            Place::Host.ask("tcp", address, INSIDE).is_some()
        });
    }
    let outside = Outside::new();
    let (host, own, bridge) = (
        outside.host.each_ref().map(String::as_str),
        own.each_ref().map(String::as_str),
        // The default bridge has no IPv6 addresses; its members have none to ask either.
        [bridge[0].as_str(), own[1].as_str()],
    );
    let table = [
        row(
            "the tenant's own, same network",
            &neighbour,
            own,
            INSIDE,
            Wanted::Itself,
        ),
        row("other tenant", &member, own, INSIDE, Wanted::Silence),
        row(
            "other tenant, its bridge to ours",
            &bridged,
            bridge,
            INSIDE,
            Wanted::Silence,
        ),
        row(
            "other tenant, network to bridge",
            &member,
            bridge,
            INSIDE,
            Wanted::Silence,
        ),
        row(
            "other tenant, bridge to network",
            &bridged,
            own,
            INSIDE,
            Wanted::Silence,
        ),
        row(
            "tenant default, its bridge to ours",
            &root,
            bridge,
            INSIDE,
            Wanted::Silence,
        ),
        row(
            "other tenant, published",
            &member,
            host,
            PUBLISHED,
            Wanted::Answer,
        ),
    ];
    let neighbours = addresses(&red, "neighbour", "net");
    check(&table, |_| &neighbours);
    names_stay_inside(&red, &blue);
    red.ok("rm -f server neighbour bridged");
    blue.ok("rm -f server bridged");
    docker.ok("rm -f bridged");
    engine.stop();
}

/// The name server of a tenant's network knows the tenant's names, and tells nobody else.
fn names_stay_inside(red: &system_tests::docker::Docker, blue: &system_tests::docker::Docker) {
    let gateway = "network inspect --format '{{(index .IPAM.Config 0).Gateway}}' net";
    let (of_red, of_blue) = (red.ok(gateway), blue.ok(gateway));
    assert_ne!(of_red, of_blue);
    let address = red.ok("inspect --format '{{.NetworkSettings.Networks.net.IPAddress}}' server");
    let said = red.ok("exec neighbour nslookup server");
    assert!(said.contains(&address), "{said}");
    let said = blue.ok("exec server nslookup server");
    assert!(!said.contains(&address), "{said}");
    let said = blue.run("exec server nslookup neighbour");
    assert_ne!(said.code, 0, "{said:?}");
    let said = blue.run(&format!("exec server nslookup neighbour {of_red}"));
    assert_ne!(said.code, 0, "{said:?}");
}
