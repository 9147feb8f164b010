//! One connection to one helper: a thread that sends a request, waits for its answer, and takes the next.
//!
//! Blocking I/O on a thread of its own, because descriptors travel with frames and only one request is in flight anyway. When
//! the connection ends, the request in flight fails, and the thread waits for the socket to the restarted helper.

use super::TransportError;
use crate::kernel::limits::{HELPER_DEADLINE, HELPER_QUEUE_REQUESTS_MAX, HELPER_RETURN_DEADLINE};
use protocol::codec::{Decode, Encode, decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::handshake::{Hello, HelperKind, HostFacts, Welcome};
use protocol::{Answer, Ask, ErrorCode, Principal};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use std::io::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// An answer: the message and the descriptors that came with it.
pub type Asked<R> = std::result::Result<(R, Vec<OwnedFd>), TransportError>;

struct Job<Q, R> {
    ask: Ask<Q>,
    fds: Vec<OwnedFd>,
    reply: oneshot::Sender<Asked<R>>,
}

/// Where the supervisor puts the socket of a helper that came (back) up.
#[derive(Debug, Default)]
pub struct Slot {
    socket: Mutex<Option<OwnedFd>>,
    filled: Condvar,
}

impl Slot {
    /// Hands over a new connection; an unused older one is closed.
    pub fn put(&self, socket: OwnedFd) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        self.filled.notify_one();
    }

    fn take(&self) -> Option<OwnedFd> {
        let guard = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |socket: &mut Option<OwnedFd>| socket.is_none();
        let waited = self
            .filled
            .wait_timeout_while(guard, HELPER_RETURN_DEADLINE, empty);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// A typed client: `Q` is the helper's request type, `R` its response type.
#[derive(Debug)]
pub struct Client<Q, R> {
    kind: HelperKind,
    jobs: mpsc::Sender<Job<Q, R>>,
    facts: Arc<Mutex<Option<HostFacts>>>,
}

impl<Q, R> Clone for Client<Q, R> {
    fn clone(&self) -> Self {
        Client {
            kind: self.kind,
            jobs: self.jobs.clone(),
            facts: Arc::clone(&self.facts),
        }
    }
}

impl<Q: Encode + Send + 'static, R: Decode<()> + Send + 'static> Client<Q, R> {
    /// Starts the client's thread; it connects by taking from `slot` when it first needs to.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(kind: HelperKind, slot: Arc<Slot>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(HELPER_QUEUE_REQUESTS_MAX);
        let facts = Arc::new(Mutex::new(None));
        let client = Client {
            kind,
            jobs,
            facts: Arc::clone(&facts),
        };
        let worker = Worker {
            kind,
            slot,
            facts,
            socket: None,
            next_id: 0,
        };
        std::thread::Builder::new()
            .name(format!("helper-{}", kind.name()))
            .spawn(move || worker.run(queue))?;
        Ok(client)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn ask(&self, by: &Principal, request: Q, fds: Vec<OwnedFd>) -> Asked<R> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            ask: Ask {
                by: by.clone(),
                request,
            },
            fds,
            reply,
        };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TransportError::Full(self.kind.name()),
            mpsc::error::TrySendError::Closed(_) => TransportError::Gone(self.kind.name()),
        })?;
        answer
            .await
            .unwrap_or(Err(TransportError::Gone(self.kind.name())))
    }

    /// What the helper said of the host at its last handshake.
    #[must_use]
    pub fn facts(&self) -> Option<HostFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error for an answer of the wrong kind.
    #[must_use]
    pub fn confused(&self) -> TransportError {
        TransportError::Confused(self.kind.name())
    }
}

struct Worker {
    kind: HelperKind,
    slot: Arc<Slot>,
    facts: Arc<Mutex<Option<HostFacts>>>,
    socket: Option<OwnedFd>,
    next_id: u64,
}

impl Worker {
    fn run<Q: Encode, R: Decode<()>>(mut self, mut queue: mpsc::Receiver<Job<Q, R>>) {
        while let Some(job) = queue.blocking_recv() {
            let mut exchanged = self.exchange(&job.ask, &job.fds);
            if matches!(&exchanged, Ok(Err(error)) if error.code == ErrorCode::NotDone) {
                // The helper says that it did nothing and ends; its successor can be asked.
                self.socket = None;
                exchanged = self.exchange(&job.ask, &job.fds);
            }
            let answer = match exchanged {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(refused)) => Err(TransportError::Helper(refused)),
                Err(broken) => {
                    tracing::warn!(helper = self.kind.name(), error = %broken, "connection lost");
                    self.socket = None;
                    Err(TransportError::Gone(self.kind.name()))
                }
            };
            // The asker may have given up; the work is done all the same.
            let _ = job.reply.send(answer);
        }
    }

    fn exchange<Q: Encode, R: Decode<()>>(
        &mut self,
        ask: &Ask<Q>,
        fds: &[OwnedFd],
    ) -> Result<Answer<(R, Vec<OwnedFd>)>> {
        let payload = encode(ask).map_err(Error::other)?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.next_id += 1;
        let id = self.next_id;
        let stale = self.socket.is_some();
        let socket = self.connected()?;
        if let Err(error) = send_frame(socket, id, &payload, &borrowed) {
            // A socket that died while idle: nothing was done yet, so the restarted helper can be asked.
            if !stale {
                return Err(error);
            }
            self.socket = None;
            send_frame(self.connected()?, id, &payload, &borrowed)?;
        }
        let frame = receive_frame(self.connected()?)?.ok_or_else(|| Error::other("helper ended"))?;
        if frame.id != id {
            return Err(Error::other("answer to another request"));
        }
        let answer: Answer<R> = decode(&frame.payload).map_err(Error::other)?;
        Ok(answer.map(|response| (response, frame.fds)))
    }

    fn connected(&mut self) -> Result<&OwnedFd> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect()?,
        };
        Ok(self.socket.insert(socket))
    }

    fn connect(&self) -> Result<OwnedFd> {
        let socket = self
            .slot
            .take()
            .ok_or_else(|| Error::other("helper did not come back"))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(HELPER_DEADLINE))?;
        set_socket_timeout(&socket, Timeout::Send, Some(HELPER_DEADLINE))?;
        send_frame(
            &socket,
            0,
            &encode(&Hello::new(self.kind)).map_err(Error::other)?,
            &[],
        )?;
        let frame = receive_frame(&socket)?.ok_or_else(|| Error::other("helper ended at the handshake"))?;
        match decode(&frame.payload).map_err(Error::other)? {
            Welcome::Ready(facts) => {
                *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts);
                Ok(socket)
            }
            refused @ (Welcome::VersionMismatch(_) | Welcome::WrongPeer) => {
                Err(Error::other(format!("{refused:?}")))
            }
        }
    }
}
