//! Asks of the zfs helper.

use super::outcome::{outcome_pipe, read_outcome};
use super::{Client, TransportError};
use protocol::Principal;
use protocol::names::{DatasetName, SnapshotLabel};
use protocol::zfs::{DatasetStats, Outcome, PoolSpace, Request, Response, Tuning};

/// The zfs helper's client.
#[derive(Debug, Clone)]
pub struct Zfs(pub(crate) Client<Request, Response>);

type Result<T> = std::result::Result<T, TransportError>;

impl Zfs {
    async fn done(&self, by: &Principal, request: Request) -> Result<()> {
        match self.0.ask(by, request, Vec::new()).await? {
            (Response::Done, _) => Ok(()),
            (_, _) => Err(self.0.confused()),
        }
    }

    /// A new empty dataset.
    ///
    /// # Errors
    /// `AlreadyExists`, or see [`TransportError`].
    pub async fn create(&self, by: &Principal, dataset: DatasetName) -> Result<()> {
        self.done(by, Request::Create { dataset }).await
    }

    /// A new dataset with a snapshot's content.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, or see [`TransportError`].
    pub async fn clone_snapshot(
        &self,
        by: &Principal,
        origin: DatasetName,
        label: SnapshotLabel,
        dataset: DatasetName,
    ) -> Result<()> {
        self.done(
            by,
            Request::Clone {
                origin,
                label,
                dataset,
            },
        )
        .await
    }

    /// A new dataset with another's present content.
    ///
    /// # Errors
    /// `Unsupported` where it would have to be copied, `AlreadyExists`, `NotFound`, or see [`TransportError`].
    pub async fn fork(
        &self,
        by: &Principal,
        origin: DatasetName,
        label: SnapshotLabel,
        dataset: DatasetName,
    ) -> Result<()> {
        let request = Request::Fork {
            origin,
            label,
            dataset,
        };
        self.done(by, request).await
    }

    /// A new dataset with another's present content that shares nothing with it, in as long as the data take.
    ///
    /// # Errors
    /// `Unsupported` where only files can be copied, `AlreadyExists`, `NotFound`, `NoSpace`, or see [`TransportError`].
    pub async fn copy(
        &self,
        by: &Principal,
        origin: DatasetName,
        label: SnapshotLabel,
        dataset: DatasetName,
    ) -> Result<()> {
        let request = Request::Copy {
            origin,
            label,
            dataset,
        };
        let (outcome, write_end) = outcome_pipe()?;
        match self.0.ask(by, request, vec![write_end]).await? {
            (Response::Started, _) => {}
            (_, _) => return Err(self.0.confused()),
        }
        let copied: Outcome = read_outcome(outcome).await?;
        copied.map_err(TransportError::Helper)
    }

    /// Turns a clone and its origin round.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, or see [`TransportError`].
    pub async fn promote(&self, by: &Principal, dataset: DatasetName) -> Result<()> {
        self.done(by, Request::Promote { dataset }).await
    }

    /// Sets limits and storage of a dataset.
    ///
    /// # Errors
    /// `Unsupported` where datasets have none, `BadContent` for a value the store refuses, or see [`TransportError`].
    pub async fn tune(&self, by: &Principal, dataset: DatasetName, tuning: Tuning) -> Result<()> {
        self.done(by, Request::Tune { dataset, tuning }).await
    }

    /// A snapshot of an unmounted dataset.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, or see [`TransportError`].
    pub async fn snapshot(&self, by: &Principal, dataset: DatasetName, label: SnapshotLabel) -> Result<()> {
        self.done(by, Request::Snapshot { dataset, label }).await
    }

    /// Destroys a dataset; one that is gone already counts as destroyed.
    ///
    /// # Errors
    /// `Busy`, or see [`TransportError`].
    pub async fn destroy(&self, by: &Principal, dataset: DatasetName) -> Result<()> {
        match self.done(by, Request::Destroy { dataset }).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Space and origin of a dataset.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn stats(&self, by: &Principal, dataset: DatasetName) -> Result<DatasetStats> {
        match self.0.ask(by, Request::Stats { dataset }, Vec::new()).await? {
            (Response::Stats(stats), _) => Ok(stats),
            (_, _) => Err(self.0.confused()),
        }
    }

    /// All datasets right below `parent`, in name order.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn list(&self, by: &Principal, parent: &DatasetName) -> Result<Vec<DatasetName>> {
        let mut all: Vec<DatasetName> = Vec::new();
        loop {
            let request = Request::List {
                parent: parent.clone(),
                after: all.last().cloned(),
            };
            match self.0.ask(by, request, Vec::new()).await? {
                (Response::Names(page), _) if page.as_slice().is_empty() => return Ok(all),
                (Response::Names(page), _) => all.extend(page.into_vec()),
                (_, _) => return Err(self.0.confused()),
            }
        }
    }

    /// Space of the whole store.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn pool_space(&self, by: &Principal) -> Result<PoolSpace> {
        match self.0.ask(by, Request::PoolSpace, Vec::new()).await? {
            (Response::Space(space), _) => Ok(space),
            (_, _) => Err(self.0.confused()),
        }
    }
}
