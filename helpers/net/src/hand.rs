//! The process that loads rules and binds published ports: it runs nft(8) or pfctl(8), and nothing else.
//!
//! The front is in a sandbox that cannot execute anything. It passes the text of the rules as an anonymous file and the
//! name of the rule set; the program, its arguments and its empty environment are fixed here.

use crate::{host, policy};
use helper_runtime::order::Order;
use helper_runtime::pair::{ANSWER_BLOCK_BYTES_MAX, Done, Hand, Orders};
use protocol::names::AnchorName;
use protocol::net::Transport;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, listen, socket_with, sockopt};
use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Replace the rules of the set in text 0 by the file that comes along.
const LOAD: u32 = 1;
/// Bind a socket of the kind in number 0 to the address in text 0.
const BIND: u32 = 2;
/// Pass IPv6 packets on.
const FORWARD_IPV6: u32 = 3;
/// Say which rule sets are loaded, in the program's words.
const LIST: u32 = 4;
/// Forget the connections from and to the address in text 0.
const FORGET: u32 = 5;

/// Connections that wait to be accepted: what Linux allows since 5.4 (SOMAXCONN, listen(2)); FreeBSD cuts it to its own.
const BACKLOG: i32 = 4096;

/// How long the program may take: loading a thousand ports takes a fraction of a second, and the daemon gives up later.
const PROGRAM_LIMIT: Duration = Duration::from_secs(10);

/// How long to sleep between two looks at the program: much less than it takes to start.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Longest complaint that is read, in bytes: its first line is kept, and that is cut to an error's length anyway.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// The front's side: has the rules of one set replaced by this text.
///
/// # Errors
/// `Unsupported` where the host cannot load rules at all, `System` with the program's first complaint.
pub fn replace_rules(hand: &Hand, anchor: &AnchorName, text: &str) -> Answer<()> {
    let file = anonymous_file(text).map_err(|e| HelperError::system("keeping rules", &e))?;
    let mut order = Order::new(LOAD);
    order
        .set_text(0, anchor.as_str())
        .map_err(|bad| HelperError::new(ErrorCode::Refused, bad.0))?;
    hand.call(&order, &[file.as_fd()]).map(|_| ())
}

/// The front's side: the rule sets that are loaded, in the program's words.
///
/// # Errors
/// As [`replace_rules`].
pub fn loaded_rules(hand: &Hand) -> Answer<String> {
    let done = hand.call(&Order::new(LIST), &[])?;
    Ok(String::from_utf8_lossy(&done.block).into_owned())
}

/// The hand's side: obeys until the front is gone.
///
/// # Errors
/// What breaks the connection to the front.
pub fn obey(orders: &Orders, outer: &str) -> Result<()> {
    while let Some((order, fds)) = orders.next()? {
        let done = match order.operation {
            BIND => bind(&order, &fds),
            FORWARD_IPV6 => host::forward_ipv6()
                .map(|()| Done::default())
                .map_err(|e| HelperError::system("switching IPv6 forwarding on", &e)),
            LIST => list(&fds, outer),
            FORGET => forget(&order, &fds, outer).map(|()| Done::default()),
            _ => load(&order, fds, outer).map(|()| Done::default()),
        };
        orders.answer(done)?;
    }
    Ok(())
}

/// The front's side: has the packet filter forget the connections from and to an address.
///
/// # Errors
/// `Unsupported` where no program can, `System` with its first complaint.
pub fn forget_connections(hand: &Hand, address: IpAddr) -> Answer<()> {
    let mut order = Order::new(FORGET);
    order
        .set_text(0, &address.to_string())
        .map_err(|bad| HelperError::new(ErrorCode::Refused, bad.0))?;
    hand.call(&order, &[]).map(|_| ())
}

fn forget(order: &Order, fds: &[OwnedFd], outer: &str) -> Answer<()> {
    let refuse = |why: &str| HelperError::new(ErrorCode::Refused, why);
    let text = order.text(0).map_err(|bad| refuse(bad.0))?;
    let address: IpAddr = text.parse().map_err(|_| refuse("not an address"))?;
    nothing_comes_with(fds)?;
    if address.is_unspecified() || address.is_loopback() {
        return Err(refuse("no address of a container"));
    }
    let programs = host::forget_programs(outer, address);
    if programs.is_empty() {
        let why = "connections are forgotten by themselves";
        return Err(HelperError::new(ErrorCode::Unsupported, why));
    }
    let mut programs = programs.into_iter();
    programs.try_for_each(|program| run(Some(program), Stdio::null(), Stdio::null()))
}

/// The front's side: has this host pass IPv6 packets on.
///
/// # Errors
/// What the kernel gives.
pub fn forward_ipv6(hand: &Hand) -> Answer<()> {
    hand.call(&Order::new(FORWARD_IPV6), &[]).map(|_| ())
}

/// The front's side: a socket at a published port.
///
/// # Errors
/// `AddressInUse` where another program has the port, `Unsupported` where this host has no such address.
pub fn bind_port(hand: &Hand, protocol: Transport, address: SocketAddr) -> Answer<OwnedFd> {
    let mut order = Order::new(BIND);
    order.numbers[0] = u64::from(protocol == Transport::Udp);
    order
        .set_text(0, &address.to_string())
        .map_err(|bad| HelperError::new(ErrorCode::Refused, bad.0))?;
    let done = hand.call(&order, &[])?;
    let none = || HelperError::new(ErrorCode::System, "no socket came back");
    done.fds.into_iter().next().ok_or_else(none)
}

fn bind(order: &Order, fds: &[OwnedFd]) -> Answer<Done> {
    let refuse = |why: &str| HelperError::new(ErrorCode::Refused, why);
    let text = order.text(0).map_err(|bad| refuse(bad.0))?;
    let address: SocketAddr = text.parse().map_err(|_| refuse("not an address"))?;
    nothing_comes_with(fds)?;
    policy::bind_fits(address.ip(), address.port())?;
    let socket = bound(order.numbers[0] == 1, address).map_err(|errno| {
        let code = match errno {
            Errno::ADDRINUSE => ErrorCode::AddressInUse,
            Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL => ErrorCode::Unsupported,
            _ => ErrorCode::System,
        };
        HelperError {
            code,
            ..HelperError::system("binding a port", &errno.into())
        }
    })?;
    Ok(Done {
        fds: vec![socket],
        ..Done::default()
    })
}

fn nothing_comes_with(fds: &[OwnedFd]) -> Answer<()> {
    if fds.is_empty() {
        return Ok(());
    }
    let why = "nothing comes with this order";
    Err(HelperError::new(ErrorCode::BadDescriptors, why))
}

fn bound(udp: bool, address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let kind = if udp {
        SocketType::DGRAM
    } else {
        SocketType::STREAM
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if !udp {
        // Connections of a proxy that ended linger on the port; they are nobody's.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if !udp {
        listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

fn load(order: &Order, fds: Vec<OwnedFd>, outer: &str) -> Answer<()> {
    let refuse = |why: &str| HelperError::new(ErrorCode::Refused, why);
    if order.operation != LOAD {
        return Err(refuse("no such order"));
    }
    let name = order.text(0).map_err(|bad| refuse(bad.0))?;
    let anchor = AnchorName::new(name).map_err(|bad| refuse(bad.0))?;
    let Ok([text]) = <[OwnedFd; 1]>::try_from(fds) else {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "one file of rules is needed",
        ));
    };
    run(host::rule_program(outer, &anchor), text.into(), Stdio::null())
}

fn list(fds: &[OwnedFd], outer: &str) -> Answer<Done> {
    nothing_comes_with(fds)?;
    let failed = |e: Error| HelperError::system("reading the list of rules", &e);
    let mut text = anonymous_file("").map_err(failed)?;
    let their_end = text.try_clone().map_err(failed)?;
    run(host::list_program(outer), Stdio::null(), their_end.into())?;
    seek(&text, SeekFrom::Start(0)).map_err(|e| failed(e.into()))?;
    let mut block = Vec::new();
    (&mut text)
        .take(ANSWER_BLOCK_BYTES_MAX as u64)
        .read_to_end(&mut block)
        .map_err(failed)?;
    Ok(Done {
        block,
        ..Done::default()
    })
}

fn run(program: Option<Command>, input: Stdio, output: Stdio) -> Answer<()> {
    let failed = |e: Error| HelperError::system("running the rule program", &e);
    let Some(mut program) = program else {
        return Err(HelperError::new(
            ErrorCode::Unsupported,
            host::RULE_PROGRAM_MISSING,
        ));
    };
    let complaints = anonymous_file("").map_err(failed)?;
    let their_end = complaints.try_clone().map_err(failed)?;
    let mut child = program
        .env_clear()
        .stdin(input)
        .stdout(output)
        .stderr(their_end)
        .spawn()
        .map_err(failed)?;
    let status = wait(&mut child).map_err(failed)?;
    let complaint = first_line(complaints).map_err(failed)?;
    if status.success() || host::says_nothing_loaded(&complaint) {
        return Ok(());
    }
    let code = if host::is_unsupported(&complaint) {
        ErrorCode::Unsupported
    } else {
        ErrorCode::System
    };
    Err(HelperError::new(
        code,
        format!("rules were not loaded ({status}): {complaint}"),
    ))
}

/// Waits for the program; kills it when its time is over.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + PROGRAM_LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// A file without a name that holds the text, to be read from its beginning.
fn anonymous_file(text: &str) -> Result<File> {
    let mut file = File::from(memfd_create("rules", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

fn first_line(file: File) -> Result<String> {
    seek(&file, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(COMPLAINT_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("no reason given")
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(name: &str) -> Order {
        let mut order = Order::new(LOAD);
        order.set_text(0, name).unwrap();
        order
    }

    #[test]
    fn an_order_that_a_good_front_would_not_give_is_refused() {
        let files = |count| {
            (0..count)
                .map(|_| anonymous_file("").unwrap().into())
                .collect::<Vec<OwnedFd>>()
        };
        let code = |order: &Order, fds| load(order, fds, "cellblock").unwrap_err().code;
        assert_eq!(code(&Order::new(9), files(1)), ErrorCode::Refused);
        assert_eq!(code(&anchor("../all"), files(1)), ErrorCode::Refused);
        assert_eq!(code(&anchor(""), files(1)), ErrorCode::Refused);
        assert_eq!(code(&anchor("net1"), files(0)), ErrorCode::BadDescriptors);
        assert_eq!(code(&anchor("net1"), files(2)), ErrorCode::BadDescriptors);
    }

    #[test]
    fn connections_of_the_host_itself_are_not_forgotten() {
        for text in ["", "em0", "0.0.0.0", "::", "127.0.0.1", "::1", "172.17.0.0/16"] {
            let mut order = Order::new(FORGET);
            order.set_text(0, text).unwrap();
            let code = forget(&order, &[], "cellblock").unwrap_err().code;
            assert_eq!(code, ErrorCode::Refused, "{text}");
        }
    }

    #[test]
    fn a_port_is_bound_once_and_never_for_a_bad_order() {
        let order = |text: &str| {
            let mut order = Order::new(BIND);
            order.set_text(0, text).unwrap();
            order
        };
        let code = |text: &str| bind(&order(text), &[]).map(|_| ()).map_err(|error| error.code);
        let refused = Err(ErrorCode::Refused);
        for bad in [
            "",
            "zz",
            "127.0.0.1",
            "127.0.0.1:0",
            "224.0.0.1:80",
            "255.255.255.255:80",
        ] {
            assert_eq!(code(bad), refused, "{bad}");
        }
        // An address of documentation (RFC 5737) that no host has.
        assert_eq!(code("192.0.2.1:8080"), Err(ErrorCode::Unsupported));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        assert_eq!(code(&address), Err(ErrorCode::AddressInUse));
        drop(free);
        let done = bind(&order(&address), &[]).unwrap();
        assert_eq!(done.fds.len(), 1);
        assert_eq!(code(&address), Err(ErrorCode::AddressInUse));
    }

    #[test]
    fn the_first_line_of_a_complaint_is_kept() {
        let file = anonymous_file("\n  Error: no\nmore\n").unwrap();
        assert_eq!(first_line(file).unwrap(), "Error: no");
        assert_eq!(
            first_line(anonymous_file("").unwrap()).unwrap(),
            "no reason given"
        );
    }
}
