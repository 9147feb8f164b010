//! From a request to the host: judge by the policy, then act.
#![forbid(unsafe_code)]

use crate::policy;
use crate::worker::{Job, Workers};
use helper_runtime::serve::{Reply, Service};
use protocol::handshake::{HelperKind, HostFacts};
use protocol::limits::LIST_ITEMS_MAX;
use protocol::names::{Bounded, DatasetName, SnapshotLabel};
use protocol::zfs::{DatasetStats, PoolSpace, Request, Response, Tuning};
use protocol::{Answer, ErrorCode, HelperError, Principal};
use std::os::fd::OwnedFd;

/// What a host does with datasets whose names the policy allows. See [`Request`] for what each answers.
pub trait Host {
    /// What the daemon is told of this host.
    fn facts(&self) -> HostFacts;

    /// Finishes what an earlier helper left half done, before the first request.
    fn recover(&mut self) {}

    /// Makes an empty dataset and the folders above it.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the host says.
    fn create(&mut self, dataset: &DatasetName) -> Answer<()>;

    /// Makes a dataset with the content of a snapshot.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` without the snapshot, or what the host says.
    fn clone_from(
        &mut self,
        origin: &DatasetName,
        label: &SnapshotLabel,
        dataset: &DatasetName,
    ) -> Answer<()>;

    /// Makes a snapshot.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` without the dataset, or what the host says.
    fn snapshot(&mut self, dataset: &DatasetName, label: &SnapshotLabel) -> Answer<()>;

    /// Destroys a dataset with its snapshots.
    ///
    /// # Errors
    /// `NotFound`, `Busy` while mounted or while a clone depends on it, or what the host says.
    fn destroy(&mut self, dataset: &DatasetName) -> Answer<()>;

    /// Makes a dataset with another's present content.
    ///
    /// # Errors
    /// `Unsupported` on a host that could only copy, `AlreadyExists`, `NotFound`, or what the host says.
    fn fork(&mut self, origin: &DatasetName, label: &SnapshotLabel, dataset: &DatasetName) -> Answer<()>;

    /// Turns a clone and its origin round.
    ///
    /// # Errors
    /// `Unsupported` on a host whose clones cannot, `NotFound`, or what the host says.
    fn promote(&mut self, dataset: &DatasetName) -> Answer<()>;

    /// What a worker does to make a dataset with another's present content that shares nothing with it.
    ///
    /// # Errors
    /// `Unsupported` on a host that has no faster way than reading all files, or what the host says.
    fn copy(&mut self, origin: &DatasetName, label: &SnapshotLabel, dataset: &DatasetName) -> Answer<Job>;

    /// Sets limits and storage.
    ///
    /// # Errors
    /// `Unsupported` on a host whose datasets have none, `NotFound`, or what the host says.
    fn tune(&mut self, dataset: &DatasetName, tuning: &Tuning) -> Answer<()>;

    /// Space and origin.
    ///
    /// # Errors
    /// `NotFound`, or what the host says.
    fn stats(&self, dataset: &DatasetName) -> Answer<DatasetStats>;

    /// Everything right below a folder, in any order; nothing where the folder was never needed so far.
    ///
    /// # Errors
    /// What the host says.
    fn children(&self, folder: &DatasetName) -> Answer<Vec<DatasetName>>;

    /// Space of the configured parent.
    ///
    /// # Errors
    /// What the host says.
    fn space(&self) -> Answer<PoolSpace>;
}

/// The helper's service on a host.
#[derive(Debug)]
pub struct Datasets<H> {
    host: H,
    workers: Workers,
}

impl<H> Datasets<H> {
    /// A service without workers.
    pub fn new(host: H) -> Self {
        let workers = Workers::default();
        Datasets { host, workers }
    }
}

impl<H: Host> Service for Datasets<H> {
    type Request = Request;
    type Response = Response;
    const KIND: HelperKind = HelperKind::Zfs;

    fn facts(&self) -> HostFacts {
        self.host.facts()
    }

    fn descriptors(request: &Request) -> usize {
        usize::from(matches!(request, Request::Copy { .. }))
    }

    fn describe(request: &Request) -> (&'static str, String) {
        match request {
            Request::Create { dataset } => ("Create", dataset.to_string()),
            Request::Clone {
                origin,
                label,
                dataset,
            } => ("Clone", format!("{origin}@{label} {dataset}")),
            Request::Snapshot { dataset, label } => ("Snapshot", format!("{dataset}@{label}")),
            Request::Destroy { dataset } => ("Destroy", dataset.to_string()),
            Request::Stats { dataset } => ("Stats", dataset.to_string()),
            Request::List { parent, after: _ } => ("List", parent.to_string()),
            Request::PoolSpace => ("PoolSpace", String::new()),
            Request::Fork {
                origin,
                label,
                dataset,
            } => ("Fork", format!("{origin}@{label} {dataset}")),
            Request::Tune { dataset, tuning } => ("Tune", format!("{dataset} {tuning:?}")),
            Request::Promote { dataset } => ("Promote", dataset.to_string()),
            Request::Copy {
                origin,
                label,
                dataset,
            } => ("Copy", format!("{origin}@{label} {dataset}")),
        }
    }

    fn permit(&mut self, by: &Principal, request: &Request) -> Answer<()> {
        policy::judge(request, by.tenant.as_str())
    }

    fn handle(&mut self, request: Request, mut fds: Vec<OwnedFd>) -> Answer<Reply<Response>> {
        let host = &mut self.host;
        let response = match request {
            Request::Create { dataset } => done(host.create(&dataset)),
            Request::Clone {
                origin,
                label,
                dataset,
            } => done(host.clone_from(&origin, &label, &dataset)),
            Request::Snapshot { dataset, label } => done(host.snapshot(&dataset, &label)),
            Request::Destroy { dataset } => done(host.destroy(&dataset)),
            Request::Stats { dataset } => host.stats(&dataset).map(Response::Stats),
            Request::List { parent, after } => host
                .children(&parent)
                .map(|all| Response::Names(page(all, after.as_ref()))),
            Request::PoolSpace => host.space().map(Response::Space),
            Request::Fork {
                origin,
                label,
                dataset,
            } => done(host.fork(&origin, &label, &dataset)),
            Request::Tune { dataset, tuning } => done(host.tune(&dataset, &tuning)),
            Request::Promote { dataset } => done(host.promote(&dataset)),
            Request::Copy {
                origin,
                label,
                dataset,
            } => {
                let outcome = fds.pop().ok_or_else(no_outcome)?;
                let job = host.copy(&origin, &label, &dataset)?;
                self.workers.start(outcome, job).map(|()| Response::Started)
            }
        }?;
        Ok(Reply::from(response))
    }
}

fn no_outcome() -> HelperError {
    HelperError::new(ErrorCode::BadDescriptors, "a worker needs an outcome")
}

fn done(answer: Result<(), HelperError>) -> Answer<Response> {
    answer.map(|()| Response::Done)
}

/// The first names after `after`, as many as one reply may hold.
fn page(mut names: Vec<DatasetName>, after: Option<&DatasetName>) -> Bounded<DatasetName, LIST_ITEMS_MAX> {
    names.retain(|name| after.is_none_or(|after| name > after));
    names.sort_unstable();
    Bounded::cut(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_in_name_order_and_the_last_is_short() {
        let all: Vec<DatasetName> = (0..LIST_ITEMS_MAX + 3)
            .rev()
            .map(|number| DatasetName::new(format!("images/i{number:04}")).unwrap())
            .collect();
        let first = page(all.clone(), None).into_vec();
        assert_eq!(first.len(), LIST_ITEMS_MAX);
        let rest = page(all.clone(), first.last()).into_vec();
        assert_eq!(rest.len(), 3);
        let mut sorted = all;
        sorted.sort();
        assert_eq!([first, rest].concat(), sorted);
    }
}
