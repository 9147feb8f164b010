//! The sockets of one network's name server.

use super::answer::{Verdict, judge};
use super::forward::{self, read_message, write_message};
use crate::kernel::limits::{DNS_CONNECTION_IDLE, DNS_MESSAGE_BYTES_MAX, DNS_QUESTIONS_MAX};
use crate::services::networks::Networks;
use std::io::Result;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// A running name server; it ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Resolver(Vec<AbortHandle>);

impl Drop for Resolver {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

#[derive(Debug)]
struct Server {
    networks: Networks,
    network: String,
    /// Counts questions, so that each address of a name comes first in turn.
    round: AtomicUsize,
}

impl Resolver {
    /// Serves a network on pairs of a UDP and a listening TCP socket.
    ///
    /// # Errors
    /// Where a socket cannot be used.
    pub(in super::super) fn start(
        networks: &Networks,
        network: &str,
        sockets: Vec<(OwnedFd, OwnedFd)>,
    ) -> Result<Self> {
        let server = Arc::new(Server {
            networks: networks.clone(),
            network: network.to_owned(),
            round: AtomicUsize::default(),
        });
        let mut resolver = Resolver(Vec::new());
        for (udp, tcp) in sockets {
            let udp = std::net::UdpSocket::from(udp);
            udp.set_nonblocking(true)?;
            let tcp = std::net::TcpListener::from(tcp);
            tcp.set_nonblocking(true)?;
            let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
            let datagrams = datagrams(Arc::clone(&server), Arc::new(udp));
            resolver.0.push(tokio::spawn(datagrams).abort_handle());
            let connections = connections(Arc::clone(&server), tcp);
            resolver.0.push(tokio::spawn(connections).abort_handle());
        }
        Ok(resolver)
    }
}

impl Server {
    async fn answer(&self, asker: IpAddr, question: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        let view = self.networks.view(&self.network, asker)?;
        let round = self.round.fetch_add(1, Ordering::Relaxed);
        match judge(question, &view, is_udp, round) {
            Verdict::Answer(bytes) => Some(bytes),
            Verdict::Forward(servers, failure) => {
                let answer = forward::ask(&servers, question, is_udp).await;
                Some(answer.unwrap_or(failure))
            }
            Verdict::Drop => None,
        }
    }
}

async fn datagrams(server: Arc<Server>, socket: Arc<UdpSocket>) {
    let mut open = JoinSet::new();
    let mut buffer = vec![0; DNS_MESSAGE_BYTES_MAX];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error is an answer to an earlier datagram (ICMP). Too many questions at once: the asker repeats its own.
                let Ok((count, asker)) = received else { continue };
                if open.len() < DNS_QUESTIONS_MAX {
                    let (server, socket) = (Arc::clone(&server), Arc::clone(&socket));
                    let question = buffer[..count].to_vec();
                    open.spawn(async move {
                        if let Some(answer) = server.answer(asker.ip(), &question, true).await {
                            let _ = socket.send_to(&answer, asker).await;
                        }
                    });
                }
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connections(server: Arc<Server>, listener: TcpListener) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, asker)) if open.len() < DNS_QUESTIONS_MAX => {
                    open.spawn(connection(Arc::clone(&server), stream, asker.ip()));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(DNS_CONNECTION_IDLE).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(server: Arc<Server>, mut stream: TcpStream, asker: IpAddr) {
    while let Ok(Ok(question)) = timeout(DNS_CONNECTION_IDLE, read_message(&mut stream)).await {
        let Some(answer) = server.answer(asker, &question, false).await else {
            return;
        };
        if write_message(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}
