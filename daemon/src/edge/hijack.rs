//! Streams that take over the connection: attach and exec.
//!
//! With `Upgrade: tcp` the answer is 101 and the connection carries raw bytes both ways; the client may close its sending half and
//! go on reading. Without it the output comes as the body of a 200, and there is no input.

use super::body::{channel, with_type};
use super::detach::{DetachKeys, Scanner};
use super::error::ApiError;
use crate::kernel::limits::OUTPUT_CHUNK_BYTES;
use crate::services::processes::hub::{Attachment, Chunk, Hub, Input, Wanted};
use crate::services::processes::logs::{LogPlan, LogQuery, read};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use docker_api::stream::{self, StreamKind};
use docker_api::version::ApiVersion;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const RAW: &str = "application/vnd.docker.raw-stream";
const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The first version whose clients look at the content type to tell framed from raw streams.
const CONTENT_TYPE_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// Chunks between the hub and an answer that is no hijacked connection.
const BODY_CHUNKS: usize = 16;

/// What a client is connected to.
#[derive(Debug)]
pub(super) struct Streams {
    /// Where output comes from and input goes.
    pub hub: Arc<Hub>,
    /// Which output.
    pub wanted: Wanted,
    /// Whether what the client sends is input.
    pub input: bool,
    /// Whether to go on with what comes; without it only the past is sent.
    pub is_stream: bool,
    /// Whether the output is sent as it is: a terminal's is not framed.
    pub is_raw: bool,
    /// Whether the end of the client's input is the end of the process's.
    pub ends_input: bool,
    /// The keys by which a client on a terminal goes away.
    pub detach: Option<DetachKeys>,
    /// A log to send first.
    pub past: Option<LogPlan>,
}

/// Reads the detach keys of a request; a terminal has dockerd's default ones.
///
/// # Errors
/// 400 in dockerd's words.
pub(super) fn detach_keys(given: &str, tty: bool) -> Result<Option<DetachKeys>, ApiError> {
    let keys = DetachKeys::parse(given)
        .ok_or_else(|| ApiError::bad_request(docker_api::error::invalid_detach_keys(given)))?;
    Ok(tty.then_some(keys))
}

/// The request's API version.
pub(super) fn version_of(request: &Request) -> ApiVersion {
    request.extensions().get().copied().unwrap_or(ApiVersion::MAX)
}

/// A failure before the streams begin: dockerd answers these in plain text.
pub(super) fn refuse(error: ApiError) -> Response {
    with_type(error.status, RAW, Body::from(error.message + "\r\n"))
}

/// Connects the client. The hub is joined before this returns, so nothing that starts afterwards is missed.
pub(super) fn answer(mut request: Request, streams: Streams, version: ApiVersion) -> Response {
    let attachment = streams.hub.attach(streams.wanted);
    let kind = if streams.is_raw || version < CONTENT_TYPE_SINCE {
        RAW
    } else {
        MULTIPLEXED
    };
    let wants_upgrade = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value == "tcp");
    if !wants_upgrade {
        let (sender, body) = mpsc::channel(BODY_CHUNKS);
        tokio::spawn(send_to_body(streams, attachment, sender));
        return with_type(StatusCode::OK, RAW, channel(body));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => converse(TokioIo::new(connection), streams, attachment).await,
            Err(error) => tracing::debug!(%error, "connection not taken over"),
        }
    });
    let mut response = with_type(StatusCode::SWITCHING_PROTOCOLS, kind, Body::empty());
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    response
}

/// Connects a client that has a connection of another kind.
pub(super) fn serve<C>(connection: C, streams: Streams)
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let attachment = streams.hub.attach(streams.wanted);
    tokio::spawn(converse(connection, streams, attachment));
}

fn frame(chunk: &Chunk, is_raw: bool) -> Bytes {
    if is_raw {
        return chunk.bytes.clone();
    }
    let mut framed = Vec::with_capacity(chunk.bytes.len() + stream::HEADER_BYTES);
    stream::encode(chunk.kind, &chunk.bytes, &mut framed);
    framed.into()
}

async fn send_past(streams: &Streams, to: &mpsc::Sender<Bytes>) {
    let Some(plan) = &streams.past else { return };
    let Wanted { stdout, stderr } = streams.wanted;
    let mut entries = read(
        plan,
        LogQuery {
            stdout,
            stderr,
            since: None,
            until: None,
            tail: None,
        },
        None,
    );
    while let Some(entry) = entries.recv().await {
        let kind = if entry.stream == "stderr" {
            StreamKind::Stderr
        } else {
            StreamKind::Stdout
        };
        let chunk = Chunk {
            kind,
            bytes: Bytes::from(entry.bytes()),
        };
        if to.send(frame(&chunk, streams.is_raw)).await.is_err() {
            return;
        }
    }
}

async fn send_to_body(streams: Streams, mut attachment: Attachment, body: mpsc::Sender<Bytes>) {
    send_past(&streams, &body).await;
    if !streams.is_stream {
        return;
    }
    loop {
        tokio::select! {
            chunk = attachment.output.recv() => match chunk {
                Some(chunk) => if body.send(frame(&chunk, streams.is_raw)).await.is_err() { return },
                None => return,
            },
            () = body.closed() => return,
        }
    }
}

async fn converse<C>(connection: C, streams: Streams, attachment: Attachment)
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (mut from_client, mut to_client) = tokio::io::split(connection);
    let (past, mut past_chunks) = mpsc::channel(BODY_CHUNKS);
    let send_past = async {
        send_past(&streams, &past).await;
        drop(past);
    };
    let write_past = async {
        while let Some(bytes) = past_chunks.recv().await {
            if to_client.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(send_past, write_past);
    if streams.is_stream {
        let Attachment { mut output, input } = attachment;
        let write = async {
            while let Some(chunk) = output.recv().await {
                if to_client.write_all(&frame(&chunk, streams.is_raw)).await.is_err() {
                    return;
                }
            }
        };
        // Reading goes on to the end of the client even without input: a client that goes away ends the conversation.
        let read = read_input(&mut from_client, &streams, &input);
        tokio::pin!(write, read);
        tokio::select! {
            () = &mut write => {}
            gone = &mut read => if gone == Reading::HalfClosed { write.await },
        }
    }
    // A client that is gone needs no farewell.
    let _ = to_client.shutdown().await;
}

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The client sends nothing more but may still read.
    HalfClosed,
    /// The client is gone, or typed the detach keys.
    Gone,
}

async fn read_input(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    streams: &Streams,
    input: &mpsc::Sender<Input>,
) -> Reading {
    let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
    let mut scanner = streams.detach.clone().map(Scanner::new);
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) => {
                if streams.input && streams.ends_input {
                    let _ = input.send(Input::End).await;
                }
                return Reading::HalfClosed;
            }
            Ok(count) => count,
            Err(_) => return Reading::Gone,
        };
        if !streams.input {
            continue;
        }
        let (bytes, detached) = match &mut scanner {
            Some(scanner) => scanner.scan(&buffer[..count]),
            None => (buffer[..count].to_vec(), false),
        };
        if !bytes.is_empty() && input.send(Input::Bytes(Bytes::from(bytes))).await.is_err() {
            // The process takes no input any more; what the client sends is read and dropped.
            continue;
        }
        if detached {
            return Reading::Gone;
        }
    }
}
