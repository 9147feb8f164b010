//! Frames with descriptors over a blocking unix stream socket (`SCM_RIGHTS`, unix(4)).

use crate::frame::{HEADER_BYTES, Header, build, parse_header};
use crate::limits::FRAME_DESCRIPTORS_MAX;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send, sendmsg,
};
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One frame as received.
#[derive(Debug)]
pub struct Received {
    /// The request id of the frame.
    pub id: u64,
    /// Its payload, not yet decoded.
    pub payload: Vec<u8>,
    /// Descriptors that came with it, close-on-exec set.
    pub fds: Vec<OwnedFd>,
}

/// Sends one frame; the descriptors go with its first byte.
///
/// # Errors
/// `InvalidInput` for an oversized payload or too many descriptors, else what sendmsg(2) gives.
pub fn send_frame(socket: impl AsFd, id: u64, payload: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let frame = build(id, payload).map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
    if fds.len() > FRAME_DESCRIPTORS_MAX {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "too many descriptors for one frame",
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::new(ErrorKind::InvalidInput, "descriptors do not fit"));
    }
    let mut sent = retry(|| {
        sendmsg(
            &socket,
            &[IoSlice::new(&frame)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    while sent < frame.len() {
        sent += retry(|| send(&socket, &frame[sent..], SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Receives one frame. `None` at a clean end of the connection (between frames).
///
/// # Errors
/// `InvalidData` for an oversized frame, too many descriptors or descriptors behind the header, `UnexpectedEof` inside
/// a frame. Whatever descriptors came are closed then.
pub fn receive_frame(socket: impl AsFd) -> Result<Option<Received>> {
    let mut header = [0u8; HEADER_BYTES];
    let mut fds = Vec::new();
    let first = receive_with_fds(&socket, &mut header, &mut fds)?;
    if first == 0 {
        return Ok(None);
    }
    fill(&socket, &mut header[first..])?;
    let Header { length, id } = parse_header(header).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
    let mut payload = vec![0u8; length];
    fill(&socket, &mut payload)?;
    Ok(Some(Received { id, payload, fds }))
}

fn receive_with_fds(socket: impl AsFd, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = retry(|| {
        recvmsg(
            &socket,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    // The control buffer has room for alignment, in which one or two more descriptors can arrive; beyond that the
    // kernel closes them and says that it cut the message.
    if fds.len() > FRAME_DESCRIPTORS_MAX || message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "more descriptors than a frame may carry",
        ));
    }
    Ok(message.bytes)
}

fn fill(socket: impl AsFd, mut buffer: &mut [u8]) -> Result<()> {
    let mut strays = Vec::new();
    while !buffer.is_empty() {
        let count = receive_with_fds(&socket, buffer, &mut strays)?;
        if !strays.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "descriptors behind the first byte of a frame",
            ));
        }
        if count == 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "connection ended inside a frame",
            ));
        }
        buffer = &mut buffer[count..];
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(Error::from),
        }
    }
}
