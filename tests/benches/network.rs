//! Bulk throughput between the host and a container, beside what this host does without us, measured in the same run:
//! `cargo bench -p system-tests --bench network`. Not a test: numbers of a busy machine say little.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot be taken ends the run"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::docker::Docker;
use system_tests::engine::Engine;

/// The port that sends for ever.
const PORT: u16 = 7100;

/// How long one way is measured.
const MEASURED_FOR: Duration = Duration::from_secs(3);

/// How often each way is measured; the best counts, since others use the machine too.
const ROUNDS: u32 = 3;

/// Bytes written and read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// How long a server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// A network of its own behind a bridge of its own: what we make for a container, made by hand. Addresses for tests between
/// networks (RFC 2544).
const FLOOR: [&str; 9] = [
    "netns add cbbench",
    "link add cbbenchbr type bridge",
    "addr add 198.18.77.1/24 dev cbbenchbr",
    "link set cbbenchbr up",
    "link add cbbenchv type veth peer name eth0 netns cbbench",
    "link set cbbenchv master cbbenchbr up",
    "-n cbbench addr add 198.18.77.2/24 dev eth0",
    "-n cbbench link set eth0 up",
    "-n cbbench link set lo up",
];

fn main() {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let engine = match Engine::start("bench").and_then(|engine| engine.import_base().map(|()| engine)) {
        Ok(engine) => engine,
        Err(why) => return println!("not measured: {why}"),
    };
    let docker = Docker::new(&engine.socket());
    for line in FLOOR {
        ip(line);
    }
    docker.ok(&format!("run -d --name server -p {PORT} base sleep 6000"));
    let pid = docker.ok("inspect --format '{{.State.Pid}}' server");
    let address = docker.ok("inspect --format '{{.NetworkSettings.IPAddress}}' server");
    let published = docker.published("server", &format!("{PORT}/tcp"));

    let in_host = Server::start(None);
    let loopback = best("host, loopback (floor)", "127.0.0.1", PORT, None);
    drop(in_host);
    let _bare = Server::start(Some("/run/netns/cbbench"));
    let bridge = best("host, bridge and veth by hand (floor)", "198.18.77.2", PORT, None);
    let _inside = Server::start(Some(&format!("/proc/{pid}/ns/net")));
    best("container, by its address", &address, PORT, Some(bridge));
    best(
        "container, published, by loopback",
        "127.0.0.1",
        published,
        Some(loopback),
    );

    docker.ok("rm -f server");
    for line in ["netns del cbbench", "link del cbbenchbr"] {
        ip(line);
    }
    engine.stop();
}

/// Sends to whoever connects until they have enough.
fn serve() {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
    for mut client in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let chunk = vec![0; CHUNK_BYTES];
            while client.write_all(&chunk).is_ok() {}
        });
    }
}

/// Measures one way several times and prints the best, with its ratio to a floor.
fn best(name: &str, address: &str, port: u16, floor: Option<f64>) -> f64 {
    let best = (0..ROUNDS).map(|_| measure(address, port)).fold(0.0, f64::max);
    let ratio = floor.map_or_else(String::new, |floor| format!("{:.2} of the floor", best / floor));
    println!("{name:<40} {best:>8.0} MB/s   {ratio}");
    best
}

/// Megabytes (10^6) a second.
fn measure(address: &str, port: u16) -> f64 {
    let mut stream = connect(address, port);
    let (mut chunk, mut received) = (vec![0; CHUNK_BYTES], 0u64);
    let began = Instant::now();
    while began.elapsed() < MEASURED_FOR {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "{address}: the server ended");
        received += count as u64;
    }
    received as f64 / 1e6 / began.elapsed().as_secs_f64()
}

fn connect(address: &str, port: u16) -> TcpStream {
    let deadline = Instant::now() + LISTENS_WITHIN;
    loop {
        match TcpStream::connect((address, port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{address}:{port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// This program as the server, in a network.
struct Server(Child);

impl Server {
    fn start(network: Option<&str>) -> Server {
        let this = std::env::current_exe().unwrap();
        let mut command = match network {
            None => Command::new(this),
            Some(path) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={path}")).arg(this);
                command
            }
        };
        Server(command.arg("serve").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(status.success(), "ip {line}");
}
