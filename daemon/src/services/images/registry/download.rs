//! Blobs into files: each once, however many want it, taken up again where it broke off, checked while it comes.

use super::super::chain;
use super::super::spool::Spool;
use super::error::RegistryError;
use super::session::Session;
use crate::services::naming::hex;
use docker_api::image_config::Descriptor;
use reqwest::header::{CONTENT_RANGE, HeaderValue};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

/// Blobs that come from one address at the same time, as many as dockerd takes of all (`max-concurrent-downloads`): a registry
/// that stalls holds up only what comes from it.
const DOWNLOADS_MAX: usize = 3;
/// Tries for one blob without any progress, as in dockerd (`max-download-attempts`).
const ATTEMPTS_MAX: u32 = 5;
/// Bytes between two tellings of how far it is.
const STEP_BYTES: u64 = 256 * 1024;

/// How far a download is.
#[derive(Debug, Clone)]
pub(in super::super) enum Stage {
    /// For others to end.
    Waiting,
    /// So many bytes came.
    Bytes(u64),
    /// It broke off and is tried again after this.
    Retrying(Duration),
    /// It is there.
    Done(Arc<Spool>),
    /// It failed.
    Failed(RegistryError),
}

/// One download, held by all who want it; with the last of them it ends.
#[derive(Debug)]
pub(in super::super) struct Download {
    stage: watch::Receiver<Stage>,
    task: AbortHandle,
}

impl Download {
    /// Follows it.
    pub(in super::super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All downloads under way.
#[derive(Debug, Clone)]
pub(in super::super) struct Downloads {
    directory: PathBuf,
    /// The places for downloads from each address that is in use.
    places: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    under_way: Arc<Mutex<HashMap<String, Weak<Download>>>>,
}

impl Downloads {
    /// None under way; files go into `directory`.
    pub(in super::super) fn new(directory: PathBuf) -> Self {
        Downloads {
            directory,
            places: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Joins a tenant's download of a blob, or begins it. What the registry gives one tenant it need not give another.
    pub(in super::super) fn join(&self, tenant: &str, session: &Session, blob: &Descriptor) -> Arc<Download> {
        let key = format!("{tenant} {}", blob.digest);
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, download| download.strong_count() > 0);
        if let Some(download) = under_way.get(&key).and_then(Weak::upgrade)
            && !matches!(*download.stage.borrow(), Stage::Failed(_))
        {
            return download;
        }
        let (sender, stage) = watch::channel(Stage::Waiting);
        let work = Work {
            session: session.clone(),
            blob: blob.clone(),
            directory: self.directory.clone(),
            stage: sender,
        };
        let places = self.places_of(&session.place().base);
        let task = tokio::spawn(async move {
            let _place = places.acquire().await;
            let ended = match work.run().await {
                Ok(spool) => Stage::Done(Arc::new(spool)),
                Err(error) => Stage::Failed(error),
            };
            work.stage.send_replace(ended);
        });
        let download = Arc::new(Download {
            stage,
            task: task.abort_handle(),
        });
        under_way.insert(key, Arc::downgrade(&download));
        download
    }

    fn places_of(&self, address: &str) -> Arc<Semaphore> {
        let mut all = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, places| Arc::strong_count(places) > 1);
        let places = all.entry(address.to_owned());
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(DOWNLOADS_MAX))))
    }
}

struct Work {
    session: Session,
    blob: Descriptor,
    directory: PathBuf,
    stage: watch::Sender<Stage>,
}

/// What came so far.
struct Partial {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Partial {
    fn start_over(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.hash, self.bytes) = (Sha256::new(), 0);
        Ok(())
    }
}

/// Whether an answer is what comes after so many bytes (RFC 9110, "Content-Range").
fn goes_on_at(answer: &Response, bytes: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE);
    let starts_right = |range: &HeaderValue| {
        let range = range.to_str().ok().and_then(|range| range.strip_prefix("bytes "));
        range
            .and_then(|range| range.split_once('-'))
            .map(|(from, _)| from)
            == Some(&bytes.to_string())
    };
    answer.status() == StatusCode::PARTIAL_CONTENT && range.is_none_or(starts_right)
}

impl Work {
    async fn run(&self) -> Result<Spool, RegistryError> {
        let (spool, file) = Spool::create(&self.directory)?;
        let mut partial = Partial {
            file,
            hash: Sha256::new(),
            bytes: 0,
        };
        let mut attempts = 0;
        loop {
            let before = partial.bytes;
            match self.attempt(&mut partial).await {
                Ok(()) => break,
                Err(error) => {
                    attempts = if partial.bytes > before { 1 } else { attempts + 1 };
                    if !error.is_passing() || attempts >= ATTEMPTS_MAX {
                        return Err(error);
                    }
                    let pause = self.session.pause_after(attempts);
                    tracing::info!(%error, digest = self.blob.digest, "a download is tried again");
                    self.stage.send_replace(Stage::Retrying(pause));
                    tokio::time::sleep(pause).await;
                }
            }
        }
        let got = chain::digest(&hex(&partial.hash.finalize()));
        if got != self.blob.digest {
            return Err(RegistryError::Content(format!(
                "filesystem layer verification failed for digest {}",
                self.blob.digest
            )));
        }
        Ok(spool)
    }

    /// Takes what is missing.
    async fn attempt(&self, partial: &mut Partial) -> Result<(), RegistryError> {
        let expected = u64::try_from(self.blob.size).unwrap_or_default();
        let asked = self.session.blob(&self.blob.digest, partial.bytes).await;
        let mut answer = match asked {
            // Not from there on; perhaps from the start.
            Err(RegistryError::Status { status: 416, .. }) if partial.bytes > 0 => {
                partial.start_over()?;
                self.session.blob(&self.blob.digest, 0).await?
            }
            other => other?,
        };
        if partial.bytes > 0 && !goes_on_at(&answer, partial.bytes) {
            if answer.status() == StatusCode::PARTIAL_CONTENT {
                let text = "the registry sends another part of a layer than was asked for";
                return Err(RegistryError::Content(text.to_owned()));
            }
            partial.start_over()?;
        }
        let url = answer.url().to_string();
        let mut told = partial.bytes;
        self.stage.send_replace(Stage::Bytes(partial.bytes));
        let broken = |error: reqwest::Error| RegistryError::connection("Get", &url, &error);
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            partial.bytes += chunk.len() as u64;
            if partial.bytes > expected {
                return Err(wrong_size(&self.blob, "more"));
            }
            // Into the page cache and through the processor's own SHA-256: too short to be worth another thread.
            partial.file.write_all(&chunk)?;
            partial.hash.update(&chunk);
            if partial.bytes >= told + STEP_BYTES || partial.bytes == expected {
                told = partial.bytes;
                self.stage.send_replace(Stage::Bytes(told));
            }
        }
        if partial.bytes < expected {
            return Err(wrong_size(&self.blob, "fewer"));
        }
        Ok(())
    }
}

fn wrong_size(blob: &Descriptor, how: &str) -> RegistryError {
    let text = format!(
        "layer {} has {how} bytes than the {} that its manifest says",
        blob.digest, blob.size
    );
    RegistryError::Content(text)
}
