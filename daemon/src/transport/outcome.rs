//! The one message in which a helper's worker tells how its operation ended.

use super::TransportError;
use protocol::codec::{Decode, decode};
use protocol::limits::FRAME_BYTES_MAX;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A pipe for an outcome: what is read here, and the end that goes to the helper.
///
/// # Errors
/// What pipe2(2) gives.
pub(super) fn outcome_pipe() -> Result<(Receiver, OwnedFd), TransportError> {
    let (read_end, write_end) = pipe()?;
    let receiver = Receiver::from_owned_fd(read_end).map_err(broken)?;
    Ok((receiver, write_end))
}

/// Waits for the worker's end.
///
/// # Errors
/// [`TransportError::Stream`] where it died without a word.
pub(super) async fn read_outcome<O: Decode<()>>(outcome: Receiver) -> Result<O, TransportError> {
    let mut bytes = Vec::new();
    outcome
        .take(FRAME_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .await
        .map_err(broken)?;
    if bytes.is_empty() {
        return Err(TransportError::Stream("the helper's worker died".to_owned()));
    }
    decode(&bytes).map_err(|e| TransportError::Stream(e.to_string()))
}

pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), TransportError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| broken(e.into()))
}

pub(super) fn broken(error: std::io::Error) -> TransportError {
    TransportError::Stream(error.to_string())
}
