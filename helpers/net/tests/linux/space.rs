//! Networks for tests: each test plays the host in a network namespace of its own, so the real host stays as it is.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use helper_runtime::testing::{Helper, is_root};
use protocol::names::{AnchorName, Bounded, InnerInterfaceName, InterfaceName, Label};
use protocol::net::{AddressPrefix, PortRule, Request, Response, RuleSet, Transport};
use protocol::policy::{NetPolicy, Policy};
use protocol::{Answer, ErrorCode};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{File, read_link};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a connection may take: everything happens within this machine, which may have other work.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection that must not come about is awaited.
const SILENCE: Duration = Duration::from_millis(400);

/// A network namespace, kept by a process that sleeps in it.
pub(crate) struct Space {
    keeper: Child,
    file: File,
}

impl Space {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        let keeper = command
            .args(["--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let path = format!("/proc/{}/ns/net", keeper.id());
        let ours = read_link("/proc/thread-self/ns/net").unwrap();
        let deadline = Instant::now() + CONNECT_LIMIT;
        while read_link(&path).unwrap() == ours {
            assert!(Instant::now() < deadline, "unshare made no network namespace");
            std::thread::sleep(Duration::from_millis(1));
        }
        Space {
            keeper,
            file: File::open(path).unwrap(),
        }
    }

    /// Moves this thread, and with it the processes it starts, into the space.
    pub(crate) fn enter(&self) {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Does something in the space.
    pub(crate) fn inside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let run = || {
                self.enter();
                action()
            };
            scope.spawn(run).join().unwrap()
        })
    }

    /// What the jail helper answers as a jail's id on Linux.
    pub(crate) fn jid(&self) -> i32 {
        i32::try_from(self.keeper.id()).unwrap()
    }

    /// What the jail helper passes for the configuration of the inside.
    pub(crate) fn socket(&self) -> OwnedFd {
        self.inside(route_socket)
    }

    /// A server that answers a connection with who was seen to connect.
    pub(crate) fn server(&self, address: &str) -> Server {
        Server(self.inside(|| TcpListener::bind(address).unwrap()))
    }

    /// Who the server sees when something in this space connects to `address`; none where nothing comes about.
    pub(crate) fn connect(&self, address: &str, server: &Server) -> Option<Ipv4Addr> {
        self.connect_within(CONNECT_LIMIT, address, server)
    }

    /// Whether nothing comes about when something in this space connects to `address`.
    pub(crate) fn is_kept_from(&self, address: &str, server: &Server) -> bool {
        self.connect_within(SILENCE, address, server).is_none()
    }

    fn connect_within(&self, limit: Duration, address: &str, server: &Server) -> Option<Ipv4Addr> {
        let address: SocketAddr = address.parse().unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| server.answer_until(&is_over));
            let said = self.inside(|| {
                let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
                stream.set_read_timeout(Some(limit)).unwrap();
                let mut said = String::new();
                stream.read_to_string(&mut said).ok()?;
                said.parse().ok()
            });
            is_over.store(true, Ordering::Relaxed);
            said
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}

pub(crate) struct Server(TcpListener);

impl Server {
    fn answer_until(&self, is_over: &AtomicBool) {
        self.0.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + 2 * CONNECT_LIMIT;
        while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
            if let Ok((mut stream, peer)) = self.0.accept() {
                stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A route netlink socket of the calling thread's network.
pub(crate) fn route_socket() -> OwnedFd {
    socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap()
}

/// A host of the test's own with a helper on it. The calling thread is in the host's network from then on.
pub(crate) struct Host {
    pub(crate) helper: Helper,
    pub(crate) space: Space,
}

impl Host {
    pub(crate) fn new() -> Self {
        Host::with_policy(true)
    }

    pub(crate) fn with_policy(enable_forwarding: bool) -> Self {
        Host::with_program(env!("CARGO_BIN_EXE_cellblock-net"), enable_forwarding)
    }

    /// On a host where the folders that nft(8) may be in are empty: a script hides them from the helper that it becomes.
    pub(crate) fn without_nft() -> Self {
        let script = std::env::temp_dir().join(format!("cb-net-without-nft-{}", std::process::id()));
        let hide = "for folder in /usr/sbin /sbin; do mount -t tmpfs none $folder; done";
        let program = env!("CARGO_BIN_EXE_cellblock-net");
        let text = format!("#!/bin/sh\nexec unshare --mount sh -c '{hide}; exec {program}'\n");
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let host = Host::with_program(script.to_str().unwrap(), true);
        std::fs::remove_file(&script).unwrap();
        host
    }

    fn with_program(program: &str, enable_forwarding: bool) -> Self {
        let space = Space::new();
        space.enter();
        ip("link set lo up");
        let policy = NetPolicy {
            anchor: Label::new("cbtest").unwrap(),
            enable_forwarding,
            tenants: Bounded::default(),
        };
        let helper = Helper::start(program, &Policy::Net(policy)).unwrap();
        Host { helper, space }
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer<Response> {
        self.helper.ask(request, &[]).map(|(response, _)| response)
    }

    pub(crate) fn done(&mut self, request: Request) {
        assert_eq!(self.ask(request.clone()), Ok(Response::Done), "{request:?}");
    }

    pub(crate) fn code(&mut self, request: Request) -> Option<ErrorCode> {
        self.ask(request).err().map(|error| error.code)
    }

    pub(crate) fn configure(&mut self, request: &Request, socket: &OwnedFd) -> Answer<Response> {
        self.helper
            .ask(request.clone(), &[socket.as_fd()])
            .map(|(response, _)| response)
    }

    /// A jail on the bridge with an address in a /24 whose `.1` is the gateway.
    pub(crate) fn jail(&mut self, bridge: &str, host_end: &str, address: [u8; 4]) -> Space {
        let jail = Space::new();
        self.done(endpoint(bridge, host_end, jail.jid(), "eth0", address));
        let [a, b, c, _] = address;
        let request = inside(Some("eth0"), &[(address, 24)], Some([a, b, c, 1]));
        assert_eq!(self.configure(&request, &jail.socket()), Ok(Response::Done));
        jail
    }

    pub(crate) fn names(&mut self) -> Vec<String> {
        match self.ask(Request::List { after: None }) {
            Ok(Response::Interfaces(names)) => names.as_slice().iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn bridge(name: &str, address: [u8; 4]) -> Request {
    let addresses = Bounded::new(vec![prefix(address, 24)]).unwrap();
    Request::EnsureBridge {
        bridge: interface(name),
        addresses,
        mtu: 1500,
    }
}

pub(crate) fn endpoint(
    bridge: &str,
    host_end: &str,
    jid: i32,
    inner: &str,
    [a, b, c, d]: [u8; 4],
) -> Request {
    Request::AttachEndpoint {
        bridge: interface(bridge),
        host_end: interface(host_end),
        jid,
        inner: InnerInterfaceName::new(inner).unwrap(),
        mac: [2, 0x42, a, b, c, d],
        mtu: 1400,
        isolated: false,
    }
}

pub(crate) fn inside(inner: Option<&str>, addresses: &[([u8; 4], u8)], gateway: Option<[u8; 4]>) -> Request {
    Request::ConfigureInside {
        inner: inner.map(|name| InnerInterfaceName::new(name).unwrap()),
        addresses: Bounded::new(
            addresses
                .iter()
                .map(|(address, bits)| prefix(*address, *bits))
                .collect(),
        )
        .unwrap(),
        gateways: Bounded::new(gateway.into_iter().map(Into::into).collect()).unwrap(),
    }
}

pub(crate) fn rules(bridge: &str, subnet: [u8; 4], ports: &[(u16, [u8; 4], u16)]) -> Request {
    let port = |&(host_port, container, container_port): &(u16, [u8; 4], u16)| PortRule {
        protocol: Transport::Tcp,
        host: Ipv4Addr::UNSPECIFIED.into(),
        host_port,
        container: container.into(),
        container_port,
    };
    let rules = RuleSet {
        bridge: interface(bridge),
        subnets: Bounded::new(vec![prefix(subnet, 24)]).unwrap(),
        masquerade: true,
        internal: false,
        members_talk: true,
        ports: Bounded::new(ports.iter().map(port).collect()).unwrap(),
    };
    Request::LoadRules {
        anchor: anchor(bridge),
        rules: Box::new(rules),
    }
}

pub(crate) fn anchor(name: &str) -> AnchorName {
    AnchorName::new(name).unwrap()
}

pub(crate) fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

pub(crate) fn prefix(address: [u8; 4], prefix_bits: u8) -> AddressPrefix {
    AddressPrefix {
        address: address.into(),
        prefix_bits,
    }
}

/// Runs ip(8) in this thread's network; gives what it printed.
pub(crate) fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

/// Runs a program in this thread's network; gives what it printed.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// An interface with this name that is not of ours, where this kernel has a kind that we never make.
pub(crate) fn foreign_interface(name: &str) -> bool {
    ["dummy", "ifb"].iter().any(|kind| {
        let made = Command::new("ip")
            .args(["link", "add", name, "type", kind])
            .stderr(Stdio::null())
            .status();
        made.unwrap().success()
    })
}

/// Whether this test can run here; prints the one line where it cannot.
pub(crate) fn is_possible(test: &str) -> bool {
    if !is_root(test) {
        return false;
    }
    let missing = ["unshare", "ip", "nft"].into_iter().find(|tool| {
        !["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(tool).exists())
    });
    if let Some(tool) = missing {
        println!("SKIPPED {test}: needs {tool}");
    }
    missing.is_none()
}
