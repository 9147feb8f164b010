//! `GET /containers/{id}/attach/ws`: the streams of a container over a WebSocket (RFC 6455), both outputs in one, not framed.

use super::error::ApiError;
use crate::kernel::limits::OUTPUT_CHUNK_BYTES;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use docker_api::version::ApiVersion;
use sha1::{Digest, Sha1};
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// What a server puts behind the client's key to show that it speaks the protocol (RFC 6455, section 1.3).
const KEY_ENDING: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The first version that gets output in binary messages; before, it was text whatever it was.
const BINARY_SINCE: ApiVersion = ApiVersion::new(1, 28);

/// Bytes of the longest message that is answered or sent about the connection itself (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Answers to such messages that wait for the connection.
const ANSWERS_AHEAD: usize = 4;

/// Kinds of frames (RFC 6455, section 5.2).
mod opcode {
    pub(super) const TEXT: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// The head of the answer to a request for a WebSocket.
///
/// # Errors
/// 400 for what is none.
pub(super) fn accept(headers: &HeaderMap) -> core::result::Result<Response, ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_wanted = text(header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let key = text(header::SEC_WEBSOCKET_KEY).filter(|_| is_wanted);
    let key = key.ok_or_else(|| ApiError::bad_request("the request is no WebSocket handshake"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accepted = HeaderValue::from_str(&answer_to(key)).map_err(|e| ApiError::internal(e.to_string()))?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(response)
}

fn answer_to(key: &str) -> String {
    let digest = Sha1::digest(format!("{key}{KEY_ENDING}"));
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Takes over a request's connection, once the answer's head has gone out; gives the plain end of it.
pub(super) fn take_over(request: &mut Request, version: ApiVersion) -> DuplexStream {
    let kind = if version < BINARY_SINCE {
        opcode::TEXT
    } else {
        opcode::BINARY
    };
    let (plain, inner) = tokio::io::duplex(OUTPUT_CHUNK_BYTES);
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => {
                let (from_client, to_client) = tokio::io::split(hyper_util::rt::TokioIo::new(connection));
                carry(from_client, to_client, inner, kind).await;
            }
            Err(error) => tracing::debug!(%error, "connection not taken over"),
        }
    });
    plain
}

/// Carries bytes both ways until either end is done.
async fn carry(
    mut from_client: impl AsyncRead + Unpin,
    mut to_client: impl AsyncWrite + Unpin,
    inner: DuplexStream,
    kind: u8,
) {
    let (mut output, mut input) = tokio::io::split(inner);
    let (answers, mut waiting) = mpsc::channel::<(u8, Vec<u8>)>(ANSWERS_AHEAD);
    let reading = async {
        // A client that breaks the protocol is gone, as is one that says so.
        let _ = read_frames(&mut from_client, &mut input, &answers).await;
        let _ = input.shutdown().await;
    };
    let writing = async {
        let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
        loop {
            let written = tokio::select! {
                Some((kind, payload)) = waiting.recv() => {
                    let written = write_frame(&mut to_client, kind, &payload).await;
                    if kind == opcode::CLOSE { break }
                    written
                }
                count = output.read(&mut buffer) => match count {
                    Ok(0) | Err(_) => {
                        let _ = write_frame(&mut to_client, opcode::CLOSE, &[]).await;
                        break;
                    }
                    Ok(count) => write_frame(&mut to_client, kind, &buffer[..count]).await,
                },
            };
            if written.is_err() {
                break;
            }
        }
        // The client may be gone already.
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(reading, writing);
    tokio::select! {
        () = &mut writing => {}
        () = &mut reading => writing.await,
    }
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), kind: u8, payload: &[u8]) -> Result<()> {
    let mut head = vec![0x80 | kind];
    match payload.len() {
        length @ 0..=125 => head.push(length as u8),
        length @ 126..=0xffff => {
            head.push(126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            head.push(127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    to.write_all(&head).await?;
    to.write_all(payload).await?;
    to.flush().await
}

/// Reads frames to the client's end or its close; what is in them goes on as it comes, so that no frame is too long.
async fn read_frames(
    from: &mut (impl AsyncRead + Unpin),
    input: &mut (impl AsyncWrite + Unpin),
    answers: &mpsc::Sender<(u8, Vec<u8>)>,
) -> Result<()> {
    loop {
        let [first, second] = read_array(from).await?;
        let kind = first & 0x0f;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(read_array(from).await?)),
            127 => u64::from_be_bytes(read_array(from).await?),
            length => u64::from(length),
        };
        // A client must mask what it sends, and a server must not accept what is not masked (section 5.1).
        if second & 0x80 == 0 {
            return Err(ErrorKind::InvalidData.into());
        }
        let mask: [u8; 4] = read_array(from).await?;
        if kind < opcode::CLOSE {
            pass_on(from, input, length, mask).await?;
            continue;
        }
        if length > CONTROL_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut payload = Vec::new();
        pass_on(from, &mut payload, length, mask).await?;
        match kind {
            opcode::PING => send(answers, (opcode::PONG, payload)).await?,
            opcode::CLOSE => return send(answers, (opcode::CLOSE, payload)).await,
            _ => {}
        }
    }
}

async fn send(answers: &mpsc::Sender<(u8, Vec<u8>)>, answer: (u8, Vec<u8>)) -> Result<()> {
    answers
        .send(answer)
        .await
        .map_err(|_| Error::from(ErrorKind::BrokenPipe))
}

async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    length: u64,
    mask: [u8; 4],
) -> Result<()> {
    let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
    let (mut left, mut at) = (length, 0);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = from.read(&mut buffer[..most]).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for byte in &mut buffer[..count] {
            *byte ^= mask[at % mask.len()];
            at += 1;
        }
        to.write_all(&buffer[..count]).await?;
        left -= count as u64;
    }
    Ok(())
}

async fn read_array<const COUNT: usize>(from: &mut (impl AsyncRead + Unpin)) -> Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_says() {
        // The example of RFC 6455, section 1.3.
        assert_eq!(
            answer_to("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[tokio::test]
    async fn bytes_are_carried_both_ways_and_pings_are_answered() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut plain, inner) = tokio::io::duplex(1 << 10);
        let (from_client, to_client) = tokio::io::split(server);
        let carrying = tokio::spawn(carry(from_client, to_client, inner, opcode::BINARY));
        let (mut read, mut write) = tokio::io::split(client);
        // "Hello" masked, as in section 5.7; then a ping with "hi", masked with nothing.
        write
            .write_all(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
            .await
            .unwrap();
        write
            .write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i'])
            .await
            .unwrap();
        let mut hello = [0; 5];
        plain.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"Hello");
        let mut pong = [0; 4];
        read.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8a, 2, b'h', b'i']);
        plain.write_all(&[7; 300]).await.unwrap();
        let mut head = [0; 4];
        read.read_exact(&mut head).await.unwrap();
        assert_eq!(head, [0x82, 126, 1, 44]);
        let mut output = [0; 300];
        read.read_exact(&mut output).await.unwrap();
        assert_eq!(output, [7; 300]);
        drop(plain);
        let mut end = Vec::new();
        read.read_to_end(&mut end).await.unwrap();
        assert_eq!(end, [0x88, 0]);
        carrying.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_masked_ends_the_connection() {
        let (answers, _waiting) = mpsc::channel(1);
        let mut input = Vec::new();
        let refused = read_frames(&mut &[0x81, 1, b'x'][..], &mut input, &answers).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(input.is_empty());
    }
}
