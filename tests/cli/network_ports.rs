//! Published ports: reached from the host, from 127.0.0.1 and from other containers; refused where somebody has them.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::time::Duration;
use system_tests::docker::{Docker, eventually};
use system_tests::{docker, skipped};

/// A free port of this host, which stays free for a moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn heard(address: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.read_to_string(&mut text);
    }
    text
}

fn mapped(docker: &Docker, container: &str, port: &str) -> String {
    docker
        .ok(&format!("port {container} {port}"))
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_published_tcp_port_is_reached_from_everywhere() {
    let docker = docker!();
    let port = free_port();
    docker.ok(&format!(
        "run -d --name np-1 -p {port}:80 --expose 99 base nc -ll -p 80 -e echo served"
    ));
    eventually("127.0.0.1 answers", || {
        heard(&format!("127.0.0.1:{port}")) == "served\n"
    });
    let gateway = docker.ok("inspect --format '{{.NetworkSettings.Gateway}}' np-1");
    assert_eq!(
        heard(&format!("{gateway}:{port}")),
        "served\n",
        "an address of the host's own"
    );
    assert_eq!(
        docker.ok(&format!("run --rm base nc -w 5 {gateway} {port}")),
        "served",
        "a neighbour"
    );
    docker.ok("network create np-other");
    assert_eq!(
        docker.ok(&format!(
            "run --rm --network np-other base nc -w 5 {gateway} {port}"
        )),
        "served",
        "another network"
    );
    assert!(
        docker
            .ok("port np-1")
            .contains(&format!("80/tcp -> 0.0.0.0:{port}"))
    );
    let listed = docker.ok("ps --filter name=np-1 --format '{{.Ports}}'");
    assert!(
        listed.contains(&format!("0.0.0.0:{port}->80/tcp")) && listed.contains("99/tcp"),
        "{listed}"
    );
    assert_eq!(
        docker.ok(&format!("ps --filter publish={port} --format '{{{{.Names}}}}'")),
        "np-1"
    );
    let said = docker.fails(125, &format!("run -d --name np-2 -p {port}:80 base sleep 9"));
    let words = format!("Bind for 0.0.0.0:{port} failed: port is already allocated");
    assert!(
        said.contains("driver failed programming external connectivity on endpoint np-2 (")
            && said.contains(&words),
        "{said}"
    );
    docker.ok("stop -t 0 np-1");
    assert_eq!(docker.ok("port np-1"), "");
    assert_eq!(heard(&format!("127.0.0.1:{port}")), "");
    docker.ok("start np-2");
    docker.ok("rm -f np-1 np-2");
    docker.ok("network rm np-other");
}

#[test]
fn a_port_of_another_program_is_refused_before_the_start() {
    let docker = docker!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = docker.fails(125, &format!("run --name np-3 -p 127.0.0.1:{port}:80 base true"));
    assert!(said.contains("address already in use"), "{said}");
    let state = docker.ok("inspect --format '{{.State.Status}} {{.NetworkSettings.Ports}}' np-3");
    assert_eq!(state, "created map[]");
    docker.ok("rm np-3");
}

#[test]
fn free_ports_ranges_and_addresses() {
    let docker = docker!();
    docker.ok("run -d --name np-4 -P --expose 80 --expose 53/udp -p 127.0.0.1::81 base sleep 600");
    let number = |text: String| text.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert!(number(mapped(&docker, "np-4", "80/tcp")) >= 32768);
    assert!(number(mapped(&docker, "np-4", "53/udp")) >= 32768);
    assert!(mapped(&docker, "np-4", "81").starts_with("127.0.0.1:"));
    let first = free_port();
    let range = format!("{first}-{}", first.saturating_add(20));
    docker.ok(&format!("run -d --name np-5 -p {range}:80 base sleep 600"));
    docker.ok(&format!("run -d --name np-6 -p {range}:80 base sleep 600"));
    let (one, other) = (
        number(mapped(&docker, "np-5", "80")),
        number(mapped(&docker, "np-6", "80")),
    );
    assert!(one != other && one >= first && other >= first, "{one} {other}");
    docker.ok("rm -f np-4 np-5 np-6");
    let said = docker.fails(125, "run --rm -p 80:80/sctp base true");
    assert!(said.contains("SCTP"), "{said}");
}

/// A program in a container's network that sends each datagram back: busybox has none. Perl is on every Debian machine.
struct Echo(Child);

impl Echo {
    fn start(docker: &Docker, container: &str, port: u16) -> Echo {
        let pid = docker.ok(&format!("inspect --format '{{{{.State.Pid}}}}' {container}"));
        let program = format!(
            "$s = IO::Socket::INET->new(Proto => 'udp', LocalPort => {port}) or die; while (defined $s->recv($b, 999)) {{ $s->send($b) }}"
        );
        let child = Command::new("nsenter")
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .args(["perl", "-MIO::Socket::INET", "-e", &program])
            .spawn();
        Echo(child.unwrap())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn echoes(from: &str, to: &str) -> bool {
    let socket = UdpSocket::bind(from).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 16];
    socket.send_to(b"ping", to).is_ok()
        && socket
            .recv(&mut buffer)
            .is_ok_and(|count| &buffer[..count] == b"ping")
}

#[test]
fn datagrams_come_back_from_a_published_udp_port() {
    let docker = docker!();
    let name = "network_ports::datagrams_come_back_from_a_published_udp_port";
    if Command::new("nsenter").arg("--version").output().is_err()
        || Command::new("perl").arg("-v").output().is_err()
    {
        return skipped(name, "needs nsenter and perl");
    }
    docker.ok("run -d --name np-7 -p 53/udp base sleep 600");
    let _echo = Echo::start(&docker, "np-7", 53);
    let at = mapped(&docker, "np-7", "53/udp");
    let port = at.rsplit(':').next().unwrap().to_owned();
    eventually("a datagram comes back to 127.0.0.1", || {
        echoes("127.0.0.1:0", &format!("127.0.0.1:{port}"))
    });
    let gateway = docker.ok("inspect --format '{{.NetworkSettings.Gateway}}' np-7");
    assert!(
        echoes("0.0.0.0:0", &format!("{gateway}:{port}")),
        "at an address of the host's own"
    );
    docker.ok("rm -f np-7");
}
