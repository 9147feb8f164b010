//! User networks and published ports.

use crate::story::Story;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;
use system_tests::docker::eventually;

/// Longer than any answer needs on a machine that is emulated.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Who asks through QEMU's forwarding, as the guest sees it.
const OUTSIDE_ADDRESS: &str = "10.0.2.2";

/// The guest's own address towards the outside (QEMU's user network).
const HOST_ADDRESS: &str = "10.0.2.15";

pub(crate) fn names_are_found_on_a_user_network(story: &mut Story) {
    story.docker("network create --subnet 172.30.0.0/24 inner");
    story.docker("run -d --name one --network inner --network-alias first base sleep 1000");
    for name in ["one", "first"] {
        let ping = story.docker(&format!("run --rm --network inner base ping -c 1 {name}"));
        assert!(ping.contains("1 packets received"), "{ping}");
    }
    let outside = story.docker("run --rm --network inner base ping -c 1 10.0.2.2");
    assert!(outside.contains("1 packets received"), "{outside}");
    // Other networks do not reach it.
    story.ends(2, "run --rm base ping -c 1 -t 3 172.30.0.2");
    story.docker("rm -f one");
    story.docker("network rm inner");
}

pub(crate) fn published_ports_are_reached_from_everywhere(story: &mut Story) {
    let (tcp, udp) = story.machine.published();
    story.guest("mkdir -p /srv/tools && cp /usr/local/sbin/probe /srv/tools/");
    story.docker(
        "run -d --name published -v /srv/tools:/tools:ro -p 8080:80 -p 5353:80/udp base /tools/probe serve 80",
    );
    assert_eq!(
        story.docker("port published 80/tcp").lines().next(),
        Some("0.0.0.0:8080")
    );
    // From another machine, whose address the server sees once it listens: QEMU forwards from this one.
    eventually("the published TCP port answers", || {
        ask_tcp(tcp) == OUTSIDE_ADDRESS
    });
    eventually("the published UDP port answers", || {
        ask_udp(udp) == OUTSIDE_ADDRESS
    });
    for address in [HOST_ADDRESS, "127.0.0.1"] {
        for (transport, port) in [("tcp", 8080), ("udp", 5353)] {
            story.guest(&format!("/srv/tools/probe ask {transport} {address} {port}"));
        }
    }
    story.docker(&format!(
        "run --rm -v /srv/tools:/tools:ro base /tools/probe ask tcp {HOST_ADDRESS} 8080"
    ));
    let taken = story.ends(125, "run --rm -p 8080:80 base true");
    assert!(taken.err.contains("port is already allocated"), "{taken:?}");
    rules_are_kept(story);
    connections_are_forgotten(story);
}

/// What pf keeps of a container's connections goes with the container: its address may be another's in a moment.
fn connections_are_forgotten(story: &mut Story) {
    let address = "inspect --format '{{.NetworkSettings.IPAddress}}' published";
    let address = story.docker(address);
    story.guest(&format!("/srv/tools/probe ask tcp {HOST_ADDRESS} 8080"));
    ask_tcp(story.machine.published().0);
    let kept = format!("pfctl -q -s state | grep -cw {address} || true");
    assert_ne!(story.guest(&kept), "0");
    story.docker("rm -f published");
    assert_eq!(story.guest(&kept), "0");
}

/// Whether the port that the guest publishes answers from another machine.
pub(crate) fn is_published(story: &Story) -> bool {
    ask_tcp(story.machine.published().0) == OUTSIDE_ADDRESS
}

/// The administrator loads his own rules anew, and somebody flushes ours.
fn rules_are_kept(story: &mut Story) {
    let ask = format!("/srv/tools/probe ask tcp {HOST_ADDRESS} 8080");
    let own = story.guest("pfctl -q -s rules && pfctl -q -s nat");
    story.guest("pfctl -q -f /etc/pf.conf");
    let outside = story.docker(&format!(
        "run --rm -v /srv/tools:/tools:ro base /tools/probe ask tcp {HOST_ADDRESS} 8080"
    ));
    assert!(!outside.is_empty());
    story.guest(&ask);
    let id = story.docker("network inspect --format '{{.Id}}' bridge");
    let anchor = format!("pfctl -q -a cellblock/{}", &id[..12]);
    let before = story.guest(&format!("{anchor} -s rules && {anchor} -s nat"));
    assert!(before.contains("rdr on ! lo0"), "{before}");
    story.guest(&format!("{anchor} -F all"));
    let after = story.guest(&format!(
        "for i in $(jot 40); do {anchor} -s nat 2>/dev/null | grep -q rdr && break; sleep 1; done; {anchor} -s rules && {anchor} -s nat"
    ));
    assert_eq!(after, before, "the flushed rules are not there again");
    assert_eq!(story.guest("pfctl -q -s rules && pfctl -q -s nat"), own);
}

/// What a TCP port of this machine says first; nothing where nobody answers.
pub(crate) fn ask_tcp(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let mut answer = [0; 64];
    // QEMU takes every connection, and ends it where the guest does not.
    let count = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

fn ask_udp(port: u16) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    socket.send_to(b"\n", ("127.0.0.1", port)).unwrap();
    let mut answer = [0; 64];
    let count = socket.recv(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..count]).into_owned()
}
