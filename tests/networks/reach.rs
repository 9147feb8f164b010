//! The table of who reaches a container: from outside, from the host, from neighbours and strangers, by both families and both
//! transports.

use super::outside::Outside;
use super::probe::Place;
use super::start;
use serde_json::Value;
use system_tests::docker::{Docker, eventually};

/// The container's port, and the host's for it.
const INSIDE: u16 = 7000;

/// How often one is asked who should answer: a busy machine loses the first packets of a neighbour that is still to be found.
const TRIES_MAX: u32 = 3;

/// What must come of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An answer, with the asker's own address seen by the server.
    Itself,
    /// An answer, whoever was seen.
    Answer,
    /// Nothing.
    Silence,
}

/// One line of the table: a name, where the asker is, whom it asks by IPv4 and IPv6, the port, what must come of it.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) from: &'a Place,
    pub(crate) to: [&'a str; 2],
    pub(crate) port: u16,
    pub(crate) wanted: Wanted,
}

pub(crate) fn row<'a>(
    name: &'a str,
    from: &'a Place,
    to: [&'a str; 2],
    port: u16,
    wanted: Wanted,
) -> Row<'a> {
    Row {
        name,
        from,
        to,
        port,
        wanted,
    }
}

pub(crate) fn addresses(docker: &Docker, container: &str, network: &str) -> [String; 2] {
    let all = docker.ok(&format!(
        "inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}"
    ));
    let all: Value = serde_json::from_str(&all).unwrap();
    ["IPAddress", "GlobalIPv6Address"].map(|field| all[network][field].as_str().unwrap().to_owned())
}

#[test]
fn a_published_port_is_reached_from_everywhere_and_the_rest_from_neighbours_only() {
    let Some((engine, docker)) = start("a_published_port_is_reached_from_everywhere") else {
        return;
    };
    docker.ok("network create --ipv6 one");
    docker.ok("network create --ipv6 two");
    docker.ok(&format!(
        "run -d --name server --network one -p 31999:{INSIDE} -p 31999:{INSIDE}/udp base sleep 600"
    ));
    docker.ok("run -d --name neighbour --network one base sleep 600");
    docker.ok("run -d --name stranger --network two base sleep 600");
    let outside = Outside::new();
    let own = addresses(&docker, "server", "one");
    // A machine that knows the way, which a real one would have to be told.
    outside.learn(&format!("{}/32", own[0]), 0);
    outside.learn(&format!("{}/128", own[1]), 1);
    let place = |name: &str| Place::container(&docker, name);
    let (server, neighbour, stranger) = (place("server"), place("neighbour"), place("stranger"));
    let far = Place::Namespace(outside.name.clone());
    let _serving = server.serve(INSIDE);
    eventually("the server answers", || {
        Place::Host.ask("tcp", &own[0], INSIDE).is_some()
    });
    let port = docker.published("server", "7000/tcp");
    assert_eq!(docker.published("server", "7000/udp"), port);
    let (host, own, loopback) = (
        [outside.host[0].as_str(), outside.host[1].as_str()],
        [own[0].as_str(), own[1].as_str()],
        ["127.0.0.1", "::1"],
    );
    let table = [
        row("outside, published", &far, host, port, Wanted::Itself),
        row(
            "outside, the container's own address",
            &far,
            own,
            INSIDE,
            Wanted::Silence,
        ),
        row("host, published", &Place::Host, host, port, Wanted::Answer),
        row("host, loopback", &Place::Host, loopback, port, Wanted::Answer),
        row(
            "host, the container's own address",
            &Place::Host,
            own,
            INSIDE,
            Wanted::Answer,
        ),
        row("same network", &neighbour, own, INSIDE, Wanted::Itself),
        row("same network, published", &neighbour, host, port, Wanted::Answer),
        row("itself, published", &server, host, port, Wanted::Answer),
        row("other network", &stranger, own, INSIDE, Wanted::Silence),
        row("other network, published", &stranger, host, port, Wanted::Answer),
    ];
    let neighbours = addresses(&docker, "neighbour", "one");
    check(&table, |row| match row.name {
        "same network" => &neighbours,
        _ => &outside.own,
    });
    docker.ok("rm -f server neighbour stranger");
    engine.stop();
}

/// Asks everything that the table says. `itself` are the addresses that a server sees which sees the asker's own.
pub(crate) fn check<'a>(table: &[Row<'_>], itself: impl Fn(&Row<'_>) -> &'a [String; 2]) {
    let mut wrong = Vec::new();
    for row in table {
        for (family, to) in row.to.iter().enumerate() {
            for protocol in ["tcp", "udp"] {
                let tries = if row.wanted == Wanted::Silence {
                    1
                } else {
                    TRIES_MAX
                };
                let seen = (0..tries).find_map(|_| row.from.ask(protocol, to, row.port));
                let fits = match row.wanted {
                    Wanted::Itself => seen.as_ref() == Some(&itself(row)[family]),
                    Wanted::Answer => seen.is_some(),
                    Wanted::Silence => seen.is_none(),
                };
                println!(
                    "{:<40} {protocol} {to:<40} {}",
                    row.name,
                    seen.as_deref().unwrap_or("-")
                );
                if !fits {
                    wrong.push(format!(
                        "{}: {protocol} {to}: {seen:?}, wanted {:?}",
                        row.name, row.wanted
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
