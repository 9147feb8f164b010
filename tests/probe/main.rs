//! A small program for a network: a server that answers with who was seen to ask, and a client that says what it heard.
//!
//! `probe serve PORT`, `probe ask tcp|udp ADDRESS PORT`. It runs in the FreeBSD guest, where the base system has no language.

#![forbid(unsafe_code)]

use std::io::{Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How long the client waits: many times what a packet needs within one machine, emulated or not.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve", port] => port.parse().map(serve).map_err(|_| "no port".to_owned()),
        ["ask", transport, address, port] => match (address.parse(), port.parse()) {
            (Ok(address), Ok(port)) => {
                ask(transport, SocketAddr::new(address, port)).map_err(|error| error.to_string())
            }
            _ => Err("no address or port".to_owned()),
        },
        _ => Err("usage: probe serve PORT | probe ask tcp|udp ADDRESS PORT".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("probe: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Answers for ever, at both families and transports. Where one socket serves both families the second cannot be bound.
fn serve(port: u16) {
    let addresses: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    let mut servers: Vec<JoinHandle<()>> = Vec::new();
    for address in addresses {
        if let Ok(listener) = TcpListener::bind((address, port)) {
            servers.push(spawn(move || {
                for mut client in listener.incoming().flatten() {
                    let _ = client
                        .peer_addr()
                        .and_then(|from| client.write_all(who(from).as_bytes()));
                }
            }));
        }
        if let Ok(socket) = UdpSocket::bind((address, port)) {
            servers.push(spawn(move || {
                while let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
                    let _ = socket.send_to(who(from).as_bytes(), from);
                }
            }));
        }
    }
    for server in servers {
        let _ = server.join();
    }
}

fn who(from: SocketAddr) -> String {
    from.ip().to_canonical().to_string()
}

/// Asks and prints the answer.
fn ask(transport: &str, to: SocketAddr) -> Result<()> {
    let mut answer = String::new();
    if transport == "udp" {
        let from: IpAddr = if to.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.connect(to)?;
        socket.send(b"x")?;
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes)?;
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
    } else {
        let mut stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.read_to_string(&mut answer)?;
    }
    println!("{answer}");
    Ok(())
}
