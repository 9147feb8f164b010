//! The framing of attach, exec and log streams without a terminal.
//!
//! Each piece of output is led by eight bytes: the stream (0 input, 1 output, 2 errors, 3 the daemon's own errors), three zeros and the length as a big-endian
//! 32-bit number. With a terminal the stream is raw. Sources: Engine API, "Attach to a container", stream format.

/// Bytes in front of every frame.
pub const HEADER_BYTES: usize = 8;
/// Longest payload the decoder accepts, in bytes. dockerd writes at most 32 KiB at once and log lines of at most 16 KiB;
/// a length beyond this means that the peer does not speak this framing.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard input; never sent by the daemon.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// An error of the daemon itself, which ends the stream.
    SystemError,
}

impl StreamKind {
    /// The first byte of a frame.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::SystemError => 3,
        }
    }

    /// The stream a first byte names.
    ///
    /// # Errors
    /// [`FrameError::UnknownStream`].
    pub const fn from_byte(byte: u8) -> Result<Self, FrameError> {
        match byte {
            0 => Ok(Self::Stdin),
            1 => Ok(Self::Stdout),
            2 => Ok(Self::Stderr),
            3 => Ok(Self::SystemError),
            other => Err(FrameError::UnknownStream(other)),
        }
    }
}

/// The peer does not speak this framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte names no stream.
    #[error("unrecognized stream: {0}")]
    UnknownStream(u8),
    /// The length is beyond [`PAYLOAD_BYTES_MAX`].
    #[error("frame of {0} bytes is too long")]
    TooLong(usize),
}

/// The eight bytes that lead a payload.
///
/// # Errors
/// [`FrameError::TooLong`] if the payload is beyond [`PAYLOAD_BYTES_MAX`].
pub fn header(kind: StreamKind, payload_bytes: usize) -> Result<[u8; HEADER_BYTES], FrameError> {
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(FrameError::TooLong(payload_bytes));
    }
    let length = u32::try_from(payload_bytes).map_err(|_| FrameError::TooLong(payload_bytes))?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([kind.to_byte(), 0, 0, 0, a, b, c, d])
}

/// Appends payload as frames, several if it is longer than one may be.
pub fn encode(kind: StreamKind, payload: &[u8], out: &mut Vec<u8>) {
    for piece in payload.chunks(PAYLOAD_BYTES_MAX) {
        // A chunk is never longer than the limit, so the header always exists.
        if let Ok(header) = header(kind, piece.len()) {
            out.extend_from_slice(&header);
            out.extend_from_slice(piece);
        }
    }
}

/// One decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which stream.
    pub kind: StreamKind,
    /// What was written to it.
    pub payload: Vec<u8>,
}

/// Puts frames together from pieces of any size. Does no I/O: feed it, then take frames until there is none.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next whole frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] if the header is malformed; the stream cannot be read further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(&[kind, _, _, _, a, b, c, d]) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let kind = StreamKind::from_byte(kind)?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        let end = HEADER_BYTES + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let payload = self.buffer[HEADER_BYTES..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(Frame { kind, payload }))
    }

    /// True if the stream may end here: no part of a frame is waiting.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_stream_zeros_and_big_endian_length() {
        let mut out = Vec::new();
        encode(StreamKind::Stderr, &[b'x'; 258], &mut out);
        assert_eq!(out[..HEADER_BYTES], [2, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(out.len(), HEADER_BYTES + 258);
        encode(StreamKind::Stdout, b"", &mut out);
        assert_eq!(out.len(), HEADER_BYTES + 258, "nothing to say makes no frame");
        assert_eq!(
            header(StreamKind::Stdout, PAYLOAD_BYTES_MAX + 1),
            Err(FrameError::TooLong(PAYLOAD_BYTES_MAX + 1))
        );
    }

    #[test]
    fn frames_survive_any_cutting() {
        let mut bytes = Vec::new();
        encode(StreamKind::Stdout, b"hello", &mut bytes);
        encode(StreamKind::Stderr, b"w", &mut bytes);
        for step in 1..=bytes.len() {
            let mut decoder = Decoder::new();
            let mut frames = Vec::new();
            for piece in bytes.chunks(step) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().expect("well formed") {
                    frames.push(frame);
                }
            }
            assert!(decoder.is_at_boundary());
            let seen: Vec<_> = frames.iter().map(|f| (f.kind, f.payload.as_slice())).collect();
            assert_eq!(
                seen,
                [
                    (StreamKind::Stdout, &b"hello"[..]),
                    (StreamKind::Stderr, &b"w"[..])
                ],
                "step {step}"
            );
        }
    }

    #[test]
    fn bad_headers_are_errors_and_not_allocations() {
        let mut decoder = Decoder::new();
        decoder.feed(b"HTTP/1.1 200");
        assert_eq!(decoder.next_frame(), Err(FrameError::UnknownStream(b'H')));
        let mut decoder = Decoder::new();
        decoder.feed(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong(0xffff_ffff)));
        let mut decoder = Decoder::new();
        decoder.feed(&[1, 0, 0]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(!decoder.is_at_boundary());
    }
}
