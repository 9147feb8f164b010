//! Asks other name servers, in turn, what no member of a network is called.

use super::PORT;
use crate::kernel::limits::{DNS_MESSAGE_BYTES_MAX, DNS_UPSTREAM_DEADLINE};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Servers that are tried: resolv.conf(5) knows three.
const SERVERS_MAX: usize = 3;

/// The first server's answer; none where none answers in time.
pub(super) async fn ask(servers: &[IpAddr], question: &[u8], is_udp: bool) -> Option<Vec<u8>> {
    for server in servers.iter().take(SERVERS_MAX) {
        let server = SocketAddr::new(*server, PORT);
        let answer = async {
            if is_udp {
                over_udp(server, question).await
            } else {
                over_tcp(server, question).await
            }
        };
        if let Ok(Ok(answer)) = timeout(DNS_UPSTREAM_DEADLINE, answer).await {
            return Some(answer);
        }
    }
    None
}

async fn over_udp(server: SocketAddr, question: &[u8]) -> Result<Vec<u8>> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    // A socket of its own, connected: only the server's answers come to a port that nobody else knows.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DNS_MESSAGE_BYTES_MAX];
    loop {
        let count = socket.recv(&mut buffer).await?;
        // The first two bytes are the question's number.
        if count >= 2 && buffer.get(..2) == question.get(..2) {
            buffer.truncate(count);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, question).await?;
    read_message(&mut stream).await
}

/// A message behind its length (RFC 1035, 4.2.2).
pub(super) async fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The reverse of [`read_message`].
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> Result<()> {
    let too_long = |_| Error::from(ErrorKind::InvalidData);
    let length = u16::try_from(message.len()).map_err(too_long)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await
}
