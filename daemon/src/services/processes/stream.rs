//! A descriptor of a container (pipe or terminal) as an asynchronous stream.
//!
//! tokio's pipe types serve terminals too: they only read and write. Our end of a pipe is an open file of its own, so making
//! it non-blocking leaves the container's end alone.

use bytes::Bytes;
use rustix::io::Errno;
use std::io::Result;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};

/// A descriptor to read output from.
pub(super) fn reader(descriptor: OwnedFd) -> Result<Receiver> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Receiver::from_owned_fd_unchecked(descriptor)
}

/// A descriptor to write input to.
pub(super) fn writer(descriptor: OwnedFd) -> Result<Sender> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Sender::from_owned_fd_unchecked(descriptor)
}

/// The next bytes; `None` at the end. A terminal whose other side is gone gives EIO, which is its end of file.
pub(super) async fn next(stream: &mut Receiver, buffer: &mut [u8]) -> Result<Option<Bytes>> {
    match stream.read(buffer).await {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(Bytes::copy_from_slice(&buffer[..count]))),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}
