//! A copy of a dataset that shares nothing with it: `zfs send | zfs receive`, within this process.
//!
//! ```text
//! origin@label ─Send─▶ pipe ─Receive─▶ receiving/<label>@label ─Rename─▶ the new dataset
//! ```
//!
//! The stream never leaves the process: the kernel's receiver trusts what it reads, so there is no request that hands it a
//! stream of the daemon's. What is half received has a name that no request can say, and goes with the next start.
#![forbid(unsafe_code)]

use super::command::Command;
use super::zfs::{Kernel, Operation, Zfs, properties};
use crate::nvlist::{List, Value};
use helper_runtime::log::say;
use protocol::names::{DatasetName, SnapshotLabel};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

/// Bytes of `dmu_replay_record_t`, with which a stream begins (OpenZFS `include/sys/zfs_ioctl.h`); RECV_NEW takes it as an
/// argument and the rest from the descriptor.
pub(super) const BEGIN_RECORD_BYTES: usize = 312;

/// Where datasets are received: beside the families, so that no request names what is in it.
const RECEIVING: &str = "receiving";

/// A copy that is about to be made.
#[derive(Debug)]
pub(super) struct Copy<K> {
    zfs: Zfs<K>,
    origin: String,
    snapshot: String,
    label: SnapshotLabel,
    staged: DatasetName,
    /// The new dataset's whole name, and below the parent.
    full: String,
    dataset: DatasetName,
}

impl<K: Kernel> Copy<K> {
    /// # Errors
    /// `BadContent` for a name that ZFS would cut.
    pub(super) fn new(
        zfs: Zfs<K>,
        origin: &DatasetName,
        label: &SnapshotLabel,
        dataset: &DatasetName,
    ) -> Answer<Self> {
        let staged = DatasetName::new(format!("{RECEIVING}/{label}"));
        let staged = staged.map_err(|bad| HelperError::new(ErrorCode::BadContent, bad.0))?;
        zfs.full(format_args!("{staged}@{label}"))?;
        Ok(Copy {
            origin: zfs.full(origin)?,
            snapshot: zfs.full(format_args!("{origin}@{label}"))?,
            label: label.clone(),
            staged,
            full: zfs.full(dataset)?,
            dataset: dataset.clone(),
            zfs,
        })
    }

    /// Makes it, in as long as the data take.
    ///
    /// # Errors
    /// `AlreadyExists` for the dataset or the snapshot, `NotFound` without the origin, `NoSpace`, or what the kernel says.
    pub(super) fn run(&self) -> Answer<()> {
        self.zfs.take_snapshot(&self.snapshot)?;
        let staged = self.zfs.full(&self.staged)?;
        let copied = self
            .zfs
            .make_folders(&self.staged)
            .and_then(|()| self.transfer(&staged))
            .and_then(|()| self.zfs.destroy_snapshots(&staged))
            .and_then(|()| self.zfs.make_folders(&self.dataset))
            .and_then(|()| self.rename(&staged));
        if copied.is_err() {
            tell_failure(self.zfs.destroy_whole(&staged));
        }
        let snapshot = [self.snapshot.clone()];
        tell_failure(self.zfs.destroy_named(&self.origin, &snapshot));
        copied
    }

    /// Where both ends fail, the sender's reason is a broken pipe, or the receiver's an early end: whoever failed first is
    /// not known, and the receiver's is the one that speaks of room.
    fn transfer(&self, staged: &str) -> Answer<()> {
        let pipe = pipe_with(PipeFlags::CLOEXEC);
        let (from, to) = pipe.map_err(|errno| HelperError::system("pipe2", &errno.into()))?;
        std::thread::scope(|threads| {
            let sender = threads.spawn(move || self.send(to));
            let received = self.receive(staged, from);
            let sent = sender.join();
            received?;
            sent.unwrap_or_else(|_| Err(HelperError::new(ErrorCode::System, "the sending thread ended")))
        })
    }

    fn send(&self, to: OwnedFd) -> Answer<()> {
        let input = List::new()
            .with("fd", Value::I32(to.as_raw_fd()))
            .with("largeblockok", Value::Flag)
            .with("embedok", Value::Flag)
            .with("compressok", Value::Flag);
        let command = &mut Command::on(&self.snapshot);
        let sent = self
            .zfs
            .call(&self.snapshot, Operation::Send, command, Some(&input));
        sent.map(drop)
    }

    fn receive(&self, staged: &str, from: OwnedFd) -> Answer<()> {
        let mut from = File::from(from);
        let mut begin = vec![0; BEGIN_RECORD_BYTES];
        let read = from.read_exact(&mut begin);
        read.map_err(|error| HelperError::system(format!("stream of {}", self.snapshot), &error))?;
        let input = List::new()
            .with("snapname", Value::Text(format!("{staged}@{}", self.label)))
            .with("localprops", properties())
            .with("begin_record", Value::Bytes(begin))
            .with("input_fd", Value::I32(from.as_raw_fd()));
        let command = &mut Command::on(staged);
        let received = self.zfs.call(staged, Operation::Receive, command, Some(&input));
        received.map(drop)
    }

    fn rename(&self, staged: &str) -> Answer<()> {
        let mut command = Command::on(staged);
        command.set_value(&self.full);
        let renamed = self.zfs.call(&self.full, Operation::Rename, &mut command, None);
        renamed.map(drop)
    }
}

/// Destroys what earlier copies left half received.
pub(super) fn clean_up<K: Kernel>(zfs: &Zfs<K>) {
    let left = DatasetName::new(RECEIVING).map_err(|bad| HelperError::new(ErrorCode::System, bad.0));
    let left = left.and_then(|folder| zfs.below_folder(&folder));
    for staged in left.unwrap_or_default() {
        tell_failure(zfs.full(&staged).and_then(|full| zfs.destroy_whole(&full)));
    }
}

/// What cannot be taken back stays until the next start or the origin's end, and is told in the log.
fn tell_failure(answer: Answer<()>) {
    match answer {
        Ok(()) => {}
        Err(error) if error.code == ErrorCode::NotFound => {}
        Err(error) => say(&format!("cellblock-zfs: after a copy: {error}")),
    }
}
