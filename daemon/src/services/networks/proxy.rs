//! The proxy behind a published port: bytes from the host's side to the container and back.

use crate::kernel::limits::{
    PROXY_BUFFER_BYTES, PROXY_CONNECTIONS_MAX, PROXY_DATAGRAM_BYTES_MAX, PROXY_FLOW_IDLE,
};
use protocol::net::Transport;
use std::collections::HashMap;
use std::io::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// How long to wait after accept failed: descriptors are used up, and some will be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Datagrams waiting for the container's answerer of one flow.
const FLOW_QUEUE_DATAGRAMS_MAX: usize = 64;

/// A running proxy; it ends when this is dropped, with every connection through it.
#[derive(Debug)]
pub(super) struct Proxy(AbortHandle);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts serving a bound socket.
///
/// # Errors
/// Where the socket cannot be used.
pub(super) fn start(protocol: Transport, socket: OwnedFd, target: SocketAddr) -> Result<Proxy> {
    let task = match protocol {
        Transport::Tcp => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            tokio::spawn(connections(TcpListener::from_std(listener)?, target)).abort_handle()
        }
        Transport::Udp => {
            let socket = std::net::UdpSocket::from(socket);
            socket.set_nonblocking(true)?;
            tokio::spawn(flows(Arc::new(UdpSocket::from_std(socket)?), target)).abort_handle()
        }
    };
    Ok(Proxy(task))
}

async fn connections(listener: TcpListener, target: SocketAddr) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if open.len() < PROXY_CONNECTIONS_MAX => {
                    open.spawn(connection(client, target));
                }
                // Closed at once, as a full backlog would.
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut container) = TcpStream::connect(target).await {
        // Either side may end it at any time.
        let size = PROXY_BUFFER_BYTES;
        let _ = copy_bidirectional_with_sizes(&mut client, &mut container, size, size).await;
    }
}

type Flow = mpsc::Sender<Vec<u8>>;

async fn flows(socket: Arc<UdpSocket>, target: SocketAddr) {
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut open = JoinSet::new();
    let mut buffer = vec![0; PROXY_DATAGRAM_BYTES_MAX];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error is an answer to an earlier datagram (ICMP): nothing to do with the next.
                let Ok((count, client)) = received else { continue };
                let datagram = buffer[..count].to_vec();
                if let Some(flow) = flows.get(&client).filter(|flow| !flow.is_closed()) {
                    // A full queue loses datagrams, as any network does.
                    let _ = flow.try_send(datagram);
                } else if open.len() < PROXY_CONNECTIONS_MAX {
                    let (flow, datagrams) = mpsc::channel(FLOW_QUEUE_DATAGRAMS_MAX);
                    let _ = flow.try_send(datagram);
                    flows.insert(client, flow);
                    open.spawn(one_flow(Arc::clone(&socket), client, target, datagrams));
                }
            }
            Some(ended) = open.join_next() => {
                if let Ok(client) = ended {
                    flows.remove(&client);
                }
            }
        }
    }
}

/// Passes one client's datagrams on and the answers back until nothing came for a while.
async fn one_flow(
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    target: SocketAddr,
    mut datagrams: mpsc::Receiver<Vec<u8>>,
) -> SocketAddr {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let Ok(container) = UdpSocket::bind(SocketAddr::new(any, 0)).await else {
        return client;
    };
    if container.connect(target).await.is_err() {
        return client;
    }
    let mut buffer = vec![0; PROXY_DATAGRAM_BYTES_MAX];
    loop {
        tokio::select! {
            datagram = datagrams.recv() => match datagram {
                Some(datagram) => { let _ = container.send(&datagram).await; }
                None => return client,
            },
            received = container.recv(&mut buffer) => match received {
                Ok(count) => { let _ = socket.send_to(&buffer[..count], client).await; }
                // Nobody listens in the container.
                Err(_) => return client,
            },
            () = tokio::time::sleep(PROXY_FLOW_IDLE) => return client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_tcp_connection_goes_both_ways_and_ends_with_the_proxy() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word).await.unwrap();
            std::future::pending::<()>().await;
        });
        let front = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = front.local_addr().unwrap();
        let proxy = start(Transport::Tcp, front.into(), target).unwrap();
        let mut client = TcpStream::connect(at).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        drop(proxy);
        assert_eq!(client.read(&mut word).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(at).await.is_err(), "the port is free");
    }

    #[tokio::test]
    async fn datagrams_of_two_clients_are_not_mixed() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 16];
            loop {
                let (count, from) = server.recv_from(&mut buffer).await.unwrap();
                server.send_to(&buffer[..count], from).await.unwrap();
            }
        });
        let front = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = front.local_addr().unwrap();
        let _proxy = start(Transport::Udp, front.into(), target).unwrap();
        let mut clients = Vec::new();
        for word in [b"one", b"two"] {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            client.send_to(word, at).await.unwrap();
            clients.push((client, word));
        }
        for (client, word) in clients {
            let mut buffer = [0; 16];
            let count = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], word);
        }
    }
}
