//! Asks of the archive helper, with the streams that its workers read and write.

use super::outcome::{broken, outcome_pipe, pipe, read_outcome};
use super::{Client, TransportError};
use protocol::Principal;
use protocol::archive::{Extract, Outcome, PathStat, Request, Response};
use protocol::limits::LIST_ITEMS_MAX;
use protocol::names::{Bounded, MountName, RelPath};
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

/// The archive helper's client.
#[derive(Debug, Clone)]
pub struct Archive(pub(crate) Client<Request, Response>);

type Result<T> = std::result::Result<T, TransportError>;

/// What an operation moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Entries.
    pub entries: u64,
    /// Bytes of regular files.
    pub content_bytes: u64,
}

/// A stream that a worker writes. It must be read to its end, then [`Packing::finish`] tells whether it was whole.
#[derive(Debug)]
pub struct Packing {
    /// The bytes.
    pub stream: Receiver,
    outcome: Receiver,
}

impl Packing {
    /// Whether the worker wrote everything.
    ///
    /// # Errors
    /// What the worker met, or [`TransportError::Stream`] where it died.
    pub async fn finish(self) -> Result<Moved> {
        // A reader that stopped early must not keep the worker waiting for it.
        drop(self.stream);
        moved(self.outcome).await
    }

    /// The whole stream in memory, at most `bytes_max`, and whether it was whole.
    ///
    /// # Errors
    /// As [`Packing::finish`].
    pub async fn into_bytes(mut self, bytes_max: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.stream)
            .take(bytes_max)
            .read_to_end(&mut bytes)
            .await
            .map_err(broken)?;
        self.finish().await?;
        Ok(bytes)
    }
}

impl Archive {
    /// Extracts the tar stream `from`, to its end.
    ///
    /// # Errors
    /// `BadContent` for what the stream holds, `NoSpace`, or see [`TransportError`]; an error of `from` itself is
    /// [`TransportError::Stream`].
    pub async fn extract(
        &self,
        by: &Principal,
        extract: Extract,
        mut from: impl AsyncRead + Unpin,
    ) -> Result<Moved> {
        let (read_end, write_end) = pipe()?;
        let outcome = self.start(by, Request::Extract(extract), read_end).await?;
        let mut to = Sender::from_owned_fd(write_end).map_err(broken)?;
        let copied = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
        drop(to);
        let outcome = moved(outcome).await;
        match (copied, outcome) {
            // The worker stops reading when it refuses something: its reason counts, not the broken pipe.
            (_, Err(refused @ TransportError::Helper(_))) => Err(refused),
            (Err(error), _) => Err(broken(error)),
            (Ok(_), outcome) => outcome,
        }
    }

    /// A tar stream of a path; see [`Request::Pack`].
    ///
    /// # Errors
    /// See [`TransportError`]; a path that does not exist is told by [`Packing::finish`].
    pub async fn pack(
        &self,
        by: &Principal,
        root: MountName,
        path: RelPath,
        name: RelPath,
    ) -> Result<Packing> {
        self.packing(by, Request::Pack { root, path, name }).await
    }

    /// A layer of what changed; see [`Request::PackDifference`].
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn pack_difference(
        &self,
        by: &Principal,
        root: MountName,
        base: Option<MountName>,
        skip: Bounded<RelPath, LIST_ITEMS_MAX>,
    ) -> Result<Packing> {
        self.packing(by, Request::PackDifference { root, base, skip })
            .await
    }

    /// The content of a small file, links followed inside the root; `None` where there is no such file.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn read(
        &self,
        by: &Principal,
        root: MountName,
        path: RelPath,
        bytes_max: u32,
    ) -> Result<Option<Vec<u8>>> {
        let packing = match self
            .packing(
                by,
                Request::Read {
                    root,
                    path,
                    bytes_max,
                },
            )
            .await
        {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        match packing.into_bytes(u64::from(bytes_max)).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// What a path is.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn stat(&self, by: &Principal, root: MountName, path: RelPath) -> Result<PathStat> {
        match self.0.ask(by, Request::Stat { root, path }, Vec::new()).await? {
            (Response::Stat(stat), _) => Ok(stat),
            (Response::Started, _) => Err(self.0.confused()),
        }
    }

    async fn packing(&self, by: &Principal, request: Request) -> Result<Packing> {
        let (read_end, write_end) = pipe()?;
        let outcome = self.start(by, request, write_end).await?;
        Ok(Packing {
            stream: Receiver::from_owned_fd(read_end).map_err(broken)?,
            outcome,
        })
    }

    async fn start(&self, by: &Principal, request: Request, stream: OwnedFd) -> Result<Receiver> {
        let (outcome, write_end) = outcome_pipe()?;
        match self.0.ask(by, request, vec![stream, write_end]).await? {
            (Response::Started, _) => Ok(outcome),
            (Response::Stat(_), _) => Err(self.0.confused()),
        }
    }
}

async fn moved(outcome: Receiver) -> Result<Moved> {
    match read_outcome(outcome).await? {
        Outcome::Done {
            entries,
            content_bytes,
        } => Ok(Moved {
            entries,
            content_bytes,
        }),
        Outcome::Failed(error) => Err(TransportError::Helper(error)),
    }
}
