//! A layer's bytes on their way from the spooled file to the archive helper: decompressed, hashed and counted.
//!
//! One blocking thread reads and writes a pipe, so that neither hashing nor decompression keeps the runtime busy, and a slow
//! helper slows the reader down.

use super::chain;
use crate::kernel::limits::{LAYER_CONTENT_BYTES_MAX, LAYER_ENTRIES_MAX};
use crate::services::naming::hex;
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// Bytes of one read and one write.
const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes of a decompressed stream: the largest layer with a header and padding for each of its entries. Ends what a small
/// file would unpack to for ever.
const STREAM_BYTES_MAX: u64 = LAYER_CONTENT_BYTES_MAX + LAYER_ENTRIES_MAX * 1024;

/// Memory for unpacking xz, in bytes: `xz -9` asks for 65 MiB.
const XZ_MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How bytes are compressed. The first bytes tell, as in dockerd: names and media types lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Compression {
    fn of(beginning: &[u8]) -> Self {
        let known: [(&[u8], Compression); 4] = [
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"BZh", Compression::Bzip2),
        ];
        let found = known.iter().find(|(magic, _)| beginning.starts_with(magic));
        found.map_or(Compression::None, |(_, compression)| *compression)
    }

    fn unpacked<'a>(self, stored: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(stored),
            Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
            // Its window is limited to 128 MiB by itself.
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES_MAX, flags)?;
                Box::new(XzDecoder::new_stream(stored, stream))
            }
            Compression::Bzip2 => Box::new(MultiBzDecoder::new(stored)),
        })
    }
}

/// Whether a stream that begins like this is compressed.
#[must_use]
pub fn is_compressed(beginning: &[u8]) -> bool {
    Compression::of(beginning) != Compression::None
}

/// A stream without its compression, whatever that is.
///
/// # Errors
/// What reading its first bytes says, or its decompressor to begin with.
pub fn unpacked<'a>(mut stored: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let compression = Compression::of(stored.fill_buf()?);
    compression.unpacked(stored)
}

/// Why a layer's bytes did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The stream ends too early.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// Reading or decompressing failed.
    #[error("{0}")]
    Read(io::Error),
    /// It unpacks to more than a layer may have.
    #[error("the stream is longer than {STREAM_BYTES_MAX} bytes")]
    TooLong,
    /// The compressed bytes are not those that were announced.
    #[error("invalid digest for blob: expected {expected:?}, got {got:?}")]
    WrongBlob {
        /// As announced.
        expected: String,
        /// As read.
        got: String,
    },
    /// Whoever reads the pipe stopped; it knows why.
    #[error("the reader stopped")]
    Closed,
    /// The thread could not run: the daemon is ending.
    #[error("the stream was interrupted")]
    Interrupted,
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => StreamError::UnexpectedEof,
            _ => StreamError::Read(error),
        }
    }
}

/// Where a layer's bytes are.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The file.
    pub(super) path: PathBuf,
    /// Where they begin in it.
    pub(super) start: u64,
    /// How many they are, as they are stored.
    pub(super) bytes: u64,
    /// Their digest as they are stored, with `sha256:`, where it was announced.
    pub(super) digest: Option<String>,
}

/// What a stream was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Streamed {
    /// The digest of the decompressed bytes, without `sha256:`.
    pub(super) diff: String,
    /// How many they were.
    pub(super) bytes: u64,
    /// The digest of the bytes as they are stored, with `sha256:`.
    pub(super) stored_digest: String,
    /// How they are compressed.
    pub(super) compression: Compression,
}

/// A stream under way.
#[derive(Debug)]
pub(super) struct Feed {
    /// Plain tar. Its end does not mean that all is well; `done` tells.
    pub(super) reader: Receiver,
    /// What it was.
    pub(super) done: JoinHandle<Result<Streamed, StreamError>>,
}

impl Source {
    /// A whole file.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn whole(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::metadata(path)?.len();
        Ok(Source {
            path: path.to_owned(),
            start: 0,
            bytes,
            digest: None,
        })
    }

    /// Starts the thread. `report` is told how many of the stored bytes were read.
    ///
    /// # Errors
    /// Where there is no pipe to be had.
    pub(super) fn feed(self, mut report: impl FnMut(u64) + Send + 'static) -> Result<Feed, StreamError> {
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let reader = Receiver::from_owned_fd(pipe.0)?;
        let mut writer = File::from(pipe.1);
        let done = tokio::task::spawn_blocking(move || self.pump(&mut writer, &mut report));
        Ok(Feed { reader, done })
    }

    /// Reads everything only to know its digest.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub(super) async fn digested(self) -> Result<Streamed, StreamError> {
        let work = move || self.pump(&mut io::sink(), &mut |_| ());
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or(Err(StreamError::Interrupted))
    }

    /// Whether the bytes are compressed.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn is_compressed(&self) -> Result<bool, StreamError> {
        Ok(Compression::of(self.stored(&Rc::default())?.fill_buf()?) != Compression::None)
    }

    /// Writes the decompressed bytes to `to`. Blocks.
    ///
    /// # Errors
    /// See [`StreamError`]; a broken pipe is [`StreamError::Closed`].
    pub(super) fn pump(
        &self,
        to: &mut dyn Write,
        report: &mut dyn FnMut(u64),
    ) -> Result<Streamed, StreamError> {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut stored = self.stored(&seen)?;
        let compression = Compression::of(stored.fill_buf()?);
        let mut plain = compression.unpacked(stored)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match plain.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            bytes += length as u64;
            if bytes > STREAM_BYTES_MAX {
                return Err(StreamError::TooLong);
            }
            hash.update(&chunk[..length]);
            to.write_all(&chunk[..length])
                .map_err(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe => StreamError::Closed,
                    _ => StreamError::Read(error),
                })?;
            report(seen.borrow().bytes);
        }
        drop(plain);
        let seen = seen.take();
        if seen.bytes != self.bytes {
            return Err(StreamError::UnexpectedEof);
        }
        let got = chain::digest(&hex(&seen.hash.finalize()));
        match &self.digest {
            Some(expected) if *expected != got => Err(StreamError::WrongBlob {
                expected: expected.clone(),
                got,
            }),
            Some(_) | None => Ok(Streamed {
                diff: hex(&hash.finalize()),
                bytes,
                stored_digest: got,
                compression,
            }),
        }
    }

    fn stored(&self, seen: &Rc<RefCell<Seen>>) -> Result<BufReader<Stored>, StreamError> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start))?;
        let stored = Stored {
            file: file.take(self.bytes),
            seen: Rc::clone(seen),
        };
        Ok(BufReader::with_capacity(CHUNK_BYTES, stored))
    }
}

/// What was read of the stored bytes.
#[derive(Default)]
struct Seen {
    hash: Sha256,
    bytes: u64,
}

struct Stored {
    file: io::Take<File>,
    seen: Rc<RefCell<Seen>>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        let mut seen = self.seen.borrow_mut();
        seen.bytes += length as u64;
        seen.hash.update(&buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spool::Spool;
    use super::super::tests::fake::gzip;
    use super::*;

    fn source(bytes: &[u8]) -> (Spool, Source) {
        let (spool, mut file) = Spool::create(&std::env::temp_dir()).unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::whole(spool.path()).unwrap();
        (spool, source)
    }

    fn pumped(source: &Source) -> Result<(Vec<u8>, Streamed), String> {
        let mut out = Vec::new();
        let streamed = source
            .pump(&mut out, &mut |_| ())
            .map_err(|error| error.to_string())?;
        Ok((out, streamed))
    }

    #[test]
    fn gzip_and_plain_bytes_have_the_same_diff_id() {
        let (_plain, plain) = source(b"hello");
        let (_packed, mut packed) = source(&gzip(b"hello"));
        packed.digest = Some(chain::digest_of(&gzip(b"hello")));
        assert_eq!(pumped(&plain).unwrap().0, pumped(&packed).unwrap().0);
        assert_eq!(pumped(&plain).unwrap().1.diff, pumped(&packed).unwrap().1.diff);
        assert_eq!(
            pumped(&packed).unwrap().1.stored_digest,
            chain::digest_of(&gzip(b"hello"))
        );
        assert_eq!(
            chain::digest(&pumped(&plain).unwrap().1.diff),
            chain::digest_of(b"hello")
        );
        assert!(packed.is_compressed().unwrap() && !plain.is_compressed().unwrap());
    }

    #[test]
    fn every_compression_is_unpacked_and_a_cut_one_is_told() {
        let text = [b"layer".as_slice(); 10_000].concat();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&text).unwrap();
        let zstd = zstd::encode_all(text.as_slice(), 1).unwrap();
        let kinds = [
            (zstd, Compression::Zstd),
            (xz.finish().unwrap(), Compression::Xz),
            (bzip2.finish().unwrap(), Compression::Bzip2),
            (gzip(&text), Compression::Gzip),
        ];
        for (packed, compression) in kinds {
            let (_spool, whole) = source(&packed);
            let (plain, streamed) = pumped(&whole).unwrap();
            assert_eq!((plain == text, streamed.compression), (true, compression));
            let (_spool, cut) = source(&packed[..packed.len() - 9]);
            assert!(pumped(&cut).is_err(), "{compression:?}");
        }
    }

    #[test]
    fn a_part_of_a_file_is_read_alone() {
        let (_spool, mut part) = source(b"abcdef");
        part.start = 2;
        part.bytes = 3;
        assert_eq!(pumped(&part).unwrap().0, b"cde");
        part.bytes = 9;
        assert_eq!(pumped(&part).unwrap_err(), "unexpected EOF");
    }

    #[test]
    fn damaged_and_foreign_streams_are_refused() {
        let packed = gzip(&[7; 100_000]);
        let (_cut, cut) = source(&packed[..packed.len() - 9]);
        assert_eq!(pumped(&cut).unwrap_err(), "unexpected EOF");
        let (_xz, xz) = source(b"\xfd7zXZ\0rest");
        assert!(pumped(&xz).is_err());
        let (_wrong, mut wrong) = source(b"hello");
        wrong.digest = Some(chain::digest_of(b"other"));
        assert!(
            pumped(&wrong)
                .unwrap_err()
                .starts_with("invalid digest for blob: expected \"sha256:")
        );
    }
}
