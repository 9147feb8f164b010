//! Encoding of messages. The only file that may name bincode, so that it can be replaced.
//!
//! Decision 2026-11: bincode 2.0.1 is the last release (RUSTSEC-2025-0141, unmaintained). It is used with a decode
//! limit equal to the frame limit and with a check that all bytes were consumed; postcard is the way out.

use crate::limits::FRAME_BYTES_MAX;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};

pub(crate) use bincode::de::{BorrowDecoder, Decoder};
pub(crate) use bincode::enc::Encoder;
pub(crate) use bincode::error::{DecodeError, EncodeError};
pub(crate) use bincode::impl_borrow_decode;
pub use bincode::{BorrowDecode, Decode, Encode};

/// Fixed-width little-endian integers: a reader of a hex dump can follow them, and golden bytes stay simple.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<FRAME_BYTES_MAX>();

/// Why bytes could not become a message, or a message bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The message is longer than [`FRAME_BYTES_MAX`].
    TooLong,
    /// The bytes are not a message: a bad tag, a bad name, bad UTF-8, too few bytes.
    Malformed(String),
    /// Bytes were left after the message; their number.
    Trailing(usize),
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CodecError::TooLong => write!(f, "message longer than {FRAME_BYTES_MAX} bytes"),
            CodecError::Malformed(why) => write!(f, "malformed message: {why}"),
            CodecError::Trailing(count) => write!(f, "{count} bytes after the end of the message"),
        }
    }
}

impl std::error::Error for CodecError {}

/// Encodes one message.
///
/// # Errors
/// [`CodecError::TooLong`] where it would not fit a frame.
pub fn encode<T: Encode>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::encode_to_vec(message, CONFIG).map_err(|e| CodecError::Malformed(e.to_string()))?;
    if bytes.len() > FRAME_BYTES_MAX {
        Err(CodecError::TooLong)
    } else {
        Ok(bytes)
    }
}

/// Decodes exactly one message from `bytes`.
///
/// # Errors
/// [`CodecError::Malformed`] for anything that is not the message, [`CodecError::Trailing`] for bytes after it.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(CodecError::TooLong);
    }
    let (message, consumed) =
        bincode::decode_from_slice(bytes, CONFIG).map_err(|e| CodecError::Malformed(e.to_string()))?;
    if consumed == bytes.len() {
        Ok(message)
    } else {
        Err(CodecError::Trailing(bytes.len() - consumed))
    }
}
