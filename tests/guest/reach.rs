//! The table of who reaches a container, as on Linux (tests/networks): from outside, from the host, from neighbours and strangers, by
//! both families and both transports. The machine outside is a jail with a network of its own that no container is on.

use crate::story::Story;

/// The container's port, and the host's for it.
const INSIDE: u16 = 7000;
const PUBLISHED: u16 = 31999;

/// The host's addresses as the machine outside knows them, and that machine's own: for tests between networks (RFC 2544) and for
/// documentation (RFC 3849).
const HOST: [&str; 2] = ["198.19.7.1", "2001:db8:7::1"];
const OUTSIDE: [&str; 2] = ["198.19.7.2", "2001:db8:7::2"];

/// Makes the machine outside, which sends everything to this host.
const MACHINE: [&str; 6] = [
    "jail -c name=outside vnet persist",
    "e=$(ifconfig epair create) && echo ${e%a} > /tmp/outside",
    "e=$(cat /tmp/outside) && ifconfig ${e}a inet 198.19.7.1/30 up && ifconfig ${e}a inet6 2001:db8:7::1/64 no_dad && ifconfig ${e}b vnet outside",
    "e=$(cat /tmp/outside) && jexec outside ifconfig ${e}b inet 198.19.7.2/30 up && jexec outside ifconfig ${e}b inet6 2001:db8:7::2/64 no_dad",
    "jexec outside route -q add default 198.19.7.1",
    "jexec outside route -q -6 add default 2001:db8:7::1",
];

const MACHINE_GONE: [&str; 2] = ["jail -r outside", "ifconfig $(cat /tmp/outside)a destroy"];

/// Where one asks.
#[derive(Debug, Clone, Copy)]
enum Place {
    Host,
    Outside,
    Container(&'static str),
    /// The container of another tenant, which no command of ours enters.
    Foreigner,
}

/// Who may use the socket, and is the tenant `other` (see `story.rs`).
const FOREIGNER: &str = "www";

/// What must come of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// An answer, with the asker's own address seen by the server.
    Itself,
    /// An answer, whoever was seen.
    Answer,
    /// Nothing.
    Silence,
}

/// How often one is asked who should answer: the first packets to a neighbour that is still to be found may be lost.
const TRIES_MAX: u32 = 3;

pub(crate) fn is_as_on_linux(story: &mut Story) {
    for line in MACHINE {
        story.guest(line);
    }
    story.docker("network create --ipv6 one");
    story.docker("network create --ipv6 two");
    story.docker(&format!(
        "run -d --name server --network one -v /srv/tools:/tools:ro -p {PUBLISHED}:{INSIDE} -p {PUBLISHED}:{INSIDE}/udp base /tools/probe serve {INSIDE}"
    ));
    for (name, network) in [("neighbour", "one"), ("stranger", "two")] {
        story.docker(&format!(
            "run -d --name {name} --network {network} -v /srv/tools:/tools:ro base sleep 3000"
        ));
    }
    let foreigner = begin_foreigner(story);
    let server = addresses(story, "server");
    let server = server.each_ref().map(String::as_str);
    let neighbour = addresses(story, "neighbour");
    let neighbour = neighbour.each_ref().map(String::as_str);
    let loopback = ["127.0.0.1", "::1"];
    let (near, far) = (Place::Container("neighbour"), Place::Container("stranger"));
    let own = Place::Container("server");
    let table = [
        (
            "outside, published",
            Place::Outside,
            HOST,
            PUBLISHED,
            Wanted::Itself,
            OUTSIDE,
        ),
        (
            "outside, the container's own",
            Place::Outside,
            server,
            INSIDE,
            Wanted::Silence,
            OUTSIDE,
        ),
        (
            "host, published",
            Place::Host,
            HOST,
            PUBLISHED,
            Wanted::Answer,
            HOST,
        ),
        (
            "host, loopback",
            Place::Host,
            loopback,
            PUBLISHED,
            Wanted::Answer,
            HOST,
        ),
        (
            "host, the container's own",
            Place::Host,
            server,
            INSIDE,
            Wanted::Answer,
            HOST,
        ),
        ("same network", near, server, INSIDE, Wanted::Itself, neighbour),
        (
            "same network, published",
            near,
            HOST,
            PUBLISHED,
            Wanted::Answer,
            neighbour,
        ),
        ("itself, published", own, HOST, PUBLISHED, Wanted::Answer, server),
        ("other network", far, server, INSIDE, Wanted::Silence, server),
        (
            "other network, published",
            far,
            HOST,
            PUBLISHED,
            Wanted::Answer,
            server,
        ),
        (
            "other tenant",
            Place::Foreigner,
            server,
            INSIDE,
            Wanted::Silence,
            server,
        ),
        (
            "other tenant, published",
            Place::Foreigner,
            HOST,
            PUBLISHED,
            Wanted::Answer,
            server,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, from, to, port, wanted, asker) in table {
        for (family, address) in to.into_iter().enumerate() {
            for transport in ["tcp", "udp"] {
                let tries = if wanted == Wanted::Silence { 1 } else { TRIES_MAX };
                let line = format!("ask {transport} {address} {port}");
                let seen = (0..tries).find_map(|_| ask(story, from, &foreigner, &line));
                println!("{name:<30} {line:<50} {}", seen.as_deref().unwrap_or("-"));
                let fits = match wanted {
                    Wanted::Itself => seen.as_deref() == Some(asker[family]),
                    Wanted::Answer => seen.is_some(),
                    Wanted::Silence => seen.is_none(),
                };
                if !fits {
                    wrong.push(format!("{name}: {line}: {seen:?}, wanted {wanted:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It is no container of ours, and its names are not taken.
    story.ends(1, &format!("inspect {foreigner}"));
    asked_by_foreigner(story, "DELETE /containers/server?force=1", "");
    asked_by_foreigner(story, "DELETE /networks/one", "");
    story.docker("rm -f server neighbour stranger");
    story.docker("network rm one two");
    for line in MACHINE_GONE {
        story.guest(line);
    }
}

/// Another user's network and container, with the names of ours; gives the container's id. That user has no docker command here, so
/// the requests are sent by hand.
fn begin_foreigner(story: &mut Story) -> String {
    story.guest(&format!("pw groupmod cellblock -m {FOREIGNER}"));
    asked_by_foreigner(
        story,
        "POST /networks/create",
        r#"{"Name":"one","EnableIPv6":true}"#,
    );
    let container = r#"{"Image":"base","Cmd":["sleep","3000"],"HostConfig":{"NetworkMode":"one","Binds":["/srv/tools:/tools:ro"]}}"#;
    let made = asked_by_foreigner(story, "POST /containers/create?name=server", container);
    let id = made.split("\"Id\":\"").nth(1).and_then(|rest| rest.get(..64));
    let id = id.expect("the answer names the container").to_owned();
    asked_by_foreigner(story, "POST /containers/server/start", "");
    id
}

/// The answer, which must be a good one.
fn asked_by_foreigner(story: &mut Story, line: &str, body: &str) -> String {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\nContent-Length: {length}\\r\\n\\r\\n"
    );
    let answer = story.guest(&format!(
        "printf '{head}{body}' | su -m {FOREIGNER} -c 'nc -N -U /var/run/docker.sock'"
    ));
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    answer
}

/// Who the server saw when somebody asked; none where nothing came back.
fn ask(story: &mut Story, from: Place, foreigner: &str, line: &str) -> Option<String> {
    let heard = match from {
        Place::Host => story.said(&format!("/srv/tools/probe {line} 2>/dev/null || true")),
        Place::Outside => story.said(&format!(
            "jexec outside /srv/tools/probe {line} 2>/dev/null || true"
        )),
        Place::Foreigner => story.said(&format!(
            "jexec $(jls name | grep {foreigner}) /tools/probe {line} 2>/dev/null || true"
        )),
        Place::Container(name) => story.quiet(&format!("exec {name} /tools/probe {line}")).out,
    };
    Some(heard.trim().to_owned()).filter(|heard| !heard.is_empty())
}

fn addresses(story: &Story, container: &str) -> [String; 2] {
    ["IPAddress", "GlobalIPv6Address"].map(|field| {
        let format = format!("{{{{.NetworkSettings.Networks.one.{field}}}}}");
        story.docker(&format!("inspect --format '{format}' {container}"))
    })
}
