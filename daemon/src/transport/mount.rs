//! Asks of the mount helper.

use super::{Client, TransportError};
use crate::kernel::limits::{UNMOUNT_DEADLINE, UNMOUNT_INTERVAL};
use protocol::mount::{Access, Mounted, Request, Response};
use protocol::names::{DatasetName, MountName};
use protocol::{ErrorCode, Principal};
use std::time::Instant;

/// The mount helper's client.
#[derive(Debug, Clone)]
pub struct Mount(pub(crate) Client<Request, Response>);

type Result<T> = std::result::Result<T, TransportError>;

impl Mount {
    /// Any request whose answer carries nothing that the caller needs: binds, memory file systems, pseudo file systems.
    ///
    /// # Errors
    /// What the helper refuses, or see [`TransportError`].
    pub async fn make(&self, by: &Principal, request: Request) -> Result<()> {
        match self.0.ask(by, request, Vec::new()).await? {
            (Response::Done | Response::Mounts(_), _) => Ok(()),
        }
    }

    /// Mounts a dataset at a mount point of its own.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, or see [`TransportError`].
    pub async fn dataset(
        &self,
        by: &Principal,
        dataset: DatasetName,
        at: MountName,
        access: Access,
    ) -> Result<()> {
        self.make(by, Request::Dataset { dataset, at, access }).await
    }

    /// Unmounts everything at and below a mount point. On FreeBSD a jail keeps its root in use until the last of its
    /// processes is reaped and the last of its sockets closed, which takes a moment, so the helper is asked again.
    ///
    /// # Errors
    /// `Busy` where it stays in use, or see [`TransportError`].
    pub async fn unmount(&self, by: &Principal, at: MountName) -> Result<()> {
        let deadline = Instant::now() + UNMOUNT_DEADLINE;
        loop {
            match self.make(by, Request::Unmount { at: at.clone() }).await {
                Err(error) if error.code() == Some(ErrorCode::Busy) && Instant::now() < deadline => {
                    tokio::time::sleep(UNMOUNT_INTERVAL).await;
                }
                done => return done,
            }
        }
    }

    /// Everything of ours that is mounted.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn list(&self, by: &Principal) -> Result<Vec<Mounted>> {
        let mut all: Vec<Mounted> = Vec::new();
        loop {
            let request = Request::List {
                after: all.last().map(|mounted| mounted.at.clone()),
            };
            match self.0.ask(by, request, Vec::new()).await? {
                (Response::Mounts(page), _) if page.as_slice().is_empty() => return Ok(all),
                (Response::Mounts(page), _) => all.extend(page.into_vec()),
                (Response::Done, _) => return Err(self.0.confused()),
            }
        }
    }
}
