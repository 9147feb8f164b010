//! Length-prefixed frames, without I/O.
//!
//! A frame is `u32` payload length, `u64` request id (both little endian), payload. Descriptors travel with the first
//! byte of a frame.

use crate::limits::FRAME_BYTES_MAX;

/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 12;

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Payload length in bytes, at most [`FRAME_BYTES_MAX`].
    pub length: usize,
    /// Chosen by the asker, repeated in the answer.
    pub id: u64,
}

/// The header announces a payload over [`FRAME_BYTES_MAX`]; its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversized(pub u32);

impl std::fmt::Display for Oversized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "frame of {} bytes, {FRAME_BYTES_MAX} allowed", self.0)
    }
}

impl std::error::Error for Oversized {}

/// Reads a header. The length is checked here, before anybody allocates for it.
///
/// # Errors
/// [`Oversized`] where the announced payload is over the limit.
pub fn parse_header(bytes: [u8; HEADER_BYTES]) -> Result<Header, Oversized> {
    let [l0, l1, l2, l3, i0, i1, i2, i3, i4, i5, i6, i7] = bytes;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    match usize::try_from(length) {
        Ok(fits) if fits <= FRAME_BYTES_MAX => Ok(Header {
            length: fits,
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
        }),
        Ok(_) | Err(_) => Err(Oversized(length)),
    }
}

/// A whole frame around `payload`.
///
/// # Errors
/// [`Oversized`] where the payload is over the limit.
pub fn build(id: u64, payload: &[u8]) -> Result<Vec<u8>, Oversized> {
    let length = u32::try_from(payload.len()).map_err(|_| Oversized(u32::MAX))?;
    if payload.len() > FRAME_BYTES_MAX {
        return Err(Oversized(length));
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&id.to_le_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}
