//! Layers' bytes as they came, one file each, kept for as long as a layer made of them exists: what was pulled is pushed with the
//! same digests, and what was loaded is saved byte for byte. A tree alone does not give its tar back.
//!
//! Order of making: file, row, layer's row. What a killed daemon left without a layer is removed at the next start.

use super::chain;
use super::stream::{Compression, Source, Streamed};
use crate::services::{Failure, naming};
use crate::store::{Kind, Store};
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// The bytes of a layer, as stored (kind `Blob`, key = `diff`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    /// The digest of its uncompressed tar, without `sha256:`.
    pub(super) diff: String,
    /// The digest of the bytes in the file, with `sha256:`.
    pub(super) digest: String,
    /// How many these are.
    pub(super) bytes: u64,
    /// How many they are uncompressed.
    pub(super) plain_bytes: u64,
    /// How they are compressed.
    pub(super) compression: Compression,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    directory: PathBuf,
    store: Store,
    changing: Arc<Mutex<()>>,
}

impl Blobs {
    /// Those in a directory, which is made where it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn open(directory: PathBuf, store: Store) -> Result<Self, Failure> {
        fs::create_dir_all(&directory).map_err(|error| broken(&directory, &error))?;
        Ok(Blobs {
            directory,
            store,
            changing: Arc::default(),
        })
    }

    /// Held from looking whether a layer's bytes are needed until that cannot change any more.
    pub(super) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The bytes of a layer; none where they were not kept.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn get(&self, diff: &str) -> Result<Option<Blob>, Failure> {
        Ok(self.store.get(Kind::Blob, diff).await?)
    }

    /// Where bytes are, to be read.
    pub(super) fn source(&self, blob: &Blob) -> Source {
        Source {
            path: self.path(&blob.digest),
            start: 0,
            bytes: blob.bytes,
            digest: Some(blob.digest.clone()),
        }
    }

    /// Keeps a layer's bytes, unless they are kept in some form already. To be called with [`Blobs::changing`] held.
    ///
    /// # Errors
    /// What the file system or the store says.
    pub(super) async fn keep(&self, source: &Source, streamed: &Streamed) -> Result<(), Failure> {
        if self.get(&streamed.diff).await?.is_some() {
            return Ok(());
        }
        let blob = Blob {
            diff: streamed.diff.clone(),
            digest: streamed.stored_digest.clone(),
            bytes: source.bytes,
            plain_bytes: streamed.bytes,
            compression: streamed.compression,
        };
        let (source, to) = (source.clone(), self.path(&blob.digest));
        let beside = self.directory.join(naming::new_id());
        let copied = tokio::task::spawn_blocking(move || {
            copy(&source, &beside)
                .and_then(|()| fs::rename(&beside, &to))
                .inspect_err(|_| drop(fs::remove_file(&beside)))
                .map_err(|error| broken(&to, &error))
        });
        let ending = |_| Failure::Unavailable("the daemon is ending".to_owned());
        copied.await.map_err(ending)??;
        Ok(self.store.put(Kind::Blob, &blob.diff, &blob).await?)
    }

    /// Compresses a layer's bytes with gzip (always to the same bytes), and keeps those from now on.
    ///
    /// # Errors
    /// What the file system or the store says.
    pub(super) async fn compress(&self, blob: &Blob) -> Result<Blob, Failure> {
        let (source, beside) = (self.source(blob), self.directory.join(naming::new_id()));
        let to = beside.clone();
        let packing = tokio::task::spawn_blocking(move || {
            let mut file = GzEncoder::new(
                BufWriter::new(File::create_new(&to)?),
                flate2::Compression::default(),
            );
            let pumped = source.pump(&mut file, &mut |_| ());
            pumped.map_err(|error| io::Error::other(error.to_string()))?;
            file.finish()?.into_inner()?;
            let mut hash = Sha256::new();
            let bytes = io::copy(&mut File::open(&to)?, &mut HashWriter(&mut hash))?;
            Ok::<_, io::Error>((bytes, chain::digest(&naming::hex(&hash.finalize()))))
        });
        let ending = |_| Failure::Unavailable("the daemon is ending".to_owned());
        let packed = packing.await.map_err(ending)?;
        let (bytes, digest) = packed.map_err(|error| {
            let _ = fs::remove_file(&beside);
            broken(&beside, &error)
        })?;
        let made = Blob {
            digest,
            bytes,
            compression: Compression::Gzip,
            ..blob.clone()
        };
        let _changing = self.changing().await;
        fs::rename(&beside, self.path(&made.digest)).map_err(|error| broken(&beside, &error))?;
        self.store.put(Kind::Blob, &made.diff, &made).await?;
        // Somebody may be reading the old file; it goes with the last of them.
        if made.digest != blob.digest {
            let _ = fs::remove_file(self.path(&blob.digest));
        }
        Ok(made)
    }

    /// Lets a layer's bytes go. To be called with [`Blobs::changing`] held.
    ///
    /// # Errors
    /// What the store says; a file that stays is the next start's.
    pub(super) async fn remove(&self, diff: &str) -> Result<(), Failure> {
        if let Some(blob) = self.get(diff).await? {
            self.store.delete(Kind::Blob, diff).await?;
            let path = self.path(&blob.digest);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "a layer's bytes were not removed");
            }
        }
        Ok(())
    }

    /// Makes rows, files and layers agree; `needed` are the diffs of all layers.
    ///
    /// # Errors
    /// What the file system or the store says.
    pub(super) async fn reconcile(&self, needed: &BTreeSet<String>) -> Result<(), Failure> {
        let rows: Vec<(String, Blob)> = self.store.all(Kind::Blob).await?;
        let mut known = BTreeSet::new();
        for (diff, blob) in rows {
            let path = self.path(&blob.digest);
            let is_whole = fs::metadata(&path).is_ok_and(|meta| meta.len() == blob.bytes);
            if needed.contains(&diff) && is_whole {
                known.insert(path);
            } else {
                if needed.contains(&diff) {
                    tracing::error!(
                        layer = diff,
                        "the bytes of a layer are gone; it cannot be saved or pushed"
                    );
                }
                self.store.delete(Kind::Blob, &diff).await?;
            }
        }
        let error = |error: io::Error| broken(&self.directory, &error);
        for entry in fs::read_dir(&self.directory).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if !known.contains(&path) {
                tracing::info!(path = %path.display(), "bytes of no layer were removed");
                fs::remove_file(&path).map_err(error)?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(chain::digits(digest).unwrap_or_default())
    }
}

/// A whole file gets another name, which costs nothing; a part of an archive is copied.
fn copy(source: &Source, to: &Path) -> io::Result<()> {
    let mut from = File::open(&source.path)?;
    let is_whole = source.start == 0 && from.metadata()?.len() == source.bytes;
    if is_whole && fs::hard_link(&source.path, to).is_ok() {
        return Ok(());
    }
    from.seek(SeekFrom::Start(source.start))?;
    let copied = io::copy(&mut from.take(source.bytes), &mut File::create_new(to)?)?;
    if copied == source.bytes {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Hashes what is written to it.
struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(path: &Path, error: &io::Error) -> Failure {
    Failure::System(format!("{}: {error}", path.display()))
}
