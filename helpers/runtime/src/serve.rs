//! The request loop: one connection, one request at a time, one audit line each.

use crate::audit::{Entry, Log};
use crate::startup::Inherited;
use protocol::codec::{Decode, Encode, decode, encode};
use protocol::fd::{Received, receive_frame, send_frame};
use protocol::handshake::{Hello, HelperKind, HostFacts, HostOs, MAGIC, Welcome};
use protocol::names::{Label, Text};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Answer, Ask, ErrorCode, HelperError, Principal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the loop waits for a request before it calls [`Service::idle`]: children are reaped within a second.
const IDLE_INTERVAL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A response and the descriptors that go with it.
#[derive(Debug)]
pub struct Reply<R> {
    /// The message.
    pub response: R,
    /// The descriptors, in the order that the message documents.
    pub fds: Vec<OwnedFd>,
}

impl<R> From<R> for Reply<R> {
    fn from(response: R) -> Self {
        Reply {
            response,
            fds: Vec::new(),
        }
    }
}

/// What one helper does with its requests.
pub trait Service {
    /// Its requests.
    type Request: Decode<()>;
    /// Its responses.
    type Response: Encode;
    /// Which helper it is.
    const KIND: HelperKind;

    /// What the daemon is told at the handshake.
    fn facts(&self) -> HostFacts;

    /// How many descriptors must come with a request; any other number is refused.
    fn descriptors(request: &Self::Request) -> usize;

    /// The operation and the object, for the audit line.
    fn describe(request: &Self::Request) -> (&'static str, String);

    /// Judges whether the tenant that asks may: the daemon says who that is, so this bounds its mistakes and not its malice.
    ///
    /// # Errors
    /// `Refused` for what is another tenant's or outside this one's limits.
    fn permit(&mut self, _by: &Principal, _request: &Self::Request) -> Answer<()> {
        Ok(())
    }

    /// Judges the request by the helper's policy and does it.
    ///
    /// # Errors
    /// What the daemon is told; `Refused` for everything outside the policy.
    fn handle(&mut self, request: Self::Request, fds: Vec<OwnedFd>) -> Answer<Reply<Self::Response>>;

    /// Whether the helper cannot go on after this request; it answers and ends.
    fn is_finished(&self) -> bool {
        false
    }

    /// Called between requests, at least once a second while nothing happens.
    fn idle(&mut self) {}
}

/// What a helper says of its host where that is all it knows: what else runs there is not its to know, so it claims nothing.
///
/// # Errors
/// `InvalidData` where uname(3) gives a release that is not plain text.
pub fn facts(os: HostOs, backend: &str) -> Result<HostFacts> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(HostFacts {
        os,
        release: Label::new(release).map_err(|bad| Error::new(ErrorKind::InvalidData, bad))?,
        backend: Text::cut(backend),
        runs_linux: false,
        enforces_limits: false,
    })
}

/// Serves the connection to its end, which is the daemon's end.
pub fn forever<S: Service>(inherited: Inherited, mut service: S) -> ExitCode {
    let Inherited { channel, mut audit } = inherited;
    match greet::<S>(&channel, &service).and_then(|()| answer_all(&channel, &mut audit, &mut service)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            // The peer broke the protocol or is gone within a frame: nothing more is read from it.
            let entry = Entry {
                by: None,
                operation: "connection",
                object: &violation.to_string(),
                result: Err(ErrorCode::BadContent),
                took: Duration::ZERO,
            };
            let _ = audit.append(&entry);
            ExitCode::FAILURE
        }
    }
}

fn greet<S: Service>(channel: &OwnedFd, service: &S) -> Result<()> {
    let Some(frame) = receive_frame(channel)? else {
        return Ok(());
    };
    let hello: Hello = decode(&frame.payload).map_err(invalid)?;
    let welcome = if hello.magic != MAGIC || hello.to != S::KIND {
        Welcome::WrongPeer
    } else if hello.version != PROTOCOL_VERSION {
        Welcome::VersionMismatch(PROTOCOL_VERSION)
    } else {
        Welcome::Ready(service.facts())
    };
    let ready = matches!(welcome, Welcome::Ready(_));
    send_frame(channel, frame.id, &encode(&welcome).map_err(invalid)?, &[])?;
    if ready {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::InvalidData,
            format!("handshake refused: {hello:?}"),
        ))
    }
}

fn answer_all<S: Service>(channel: &OwnedFd, audit: &mut Log, service: &mut S) -> Result<()> {
    loop {
        wait_for_request(channel, service)?;
        let Some(frame) = receive_frame(channel)? else {
            return Ok(());
        };
        let id = frame.id;
        let answer = answer_one(frame, audit, service)?;
        let (answer, fds) = match answer {
            Ok(reply) => (Ok(reply.response), reply.fds),
            Err(error) => (Err(error), Vec::new()),
        };
        let payload = encode::<Answer<S::Response>>(&answer).map_err(invalid)?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        send_frame(channel, id, &payload, &borrowed)?;
        if service.is_finished() {
            return Err(Error::other("the hand is gone"));
        }
    }
}

fn wait_for_request<S: Service>(channel: &OwnedFd, service: &mut S) -> Result<()> {
    loop {
        let mut waiting = [PollFd::new(channel, PollFlags::IN)];
        match poll(&mut waiting, Some(&IDLE_INTERVAL)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => service.idle(),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn answer_one<S: Service>(
    frame: Received,
    audit: &mut Log,
    service: &mut S,
) -> Result<Answer<Reply<S::Response>>> {
    let Ask { by, request } = decode::<Ask<S::Request>>(&frame.payload).map_err(invalid)?;
    let (operation, object) = S::describe(&request);
    let began = Instant::now();
    let answer = if frame.fds.len() == S::descriptors(&request) {
        service
            .permit(&by, &request)
            .and_then(|()| service.handle(request, frame.fds))
    } else {
        let detail = format!("{operation} came with {} descriptors", frame.fds.len());
        Err(HelperError::new(ErrorCode::BadDescriptors, detail))
    };
    let result = answer.as_ref().map(|_| ()).map_err(|error| error.code);
    audit.append(&Entry {
        by: Some(&by),
        operation,
        object: &object,
        result,
        took: began.elapsed(),
    })?;
    Ok(answer)
}

fn invalid(error: protocol::CodecError) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}
