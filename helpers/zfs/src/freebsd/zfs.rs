//! What each request is in ZFS, over whatever carries the calls to the kernel.
//!
//! A dataset is made with `canmount=noauto` and `mountpoint=none`: no ioctl mounts anything, the mount helper does, and
//! `zfs mount -a` at boot must not.
#![forbid(unsafe_code)]

use super::command::{Command, FULL_NAME_BYTES};
use super::copy::{self, Copy};
use crate::nvlist::{List, Value};
use crate::service::Host;
use crate::worker::Job;
use helper_runtime::serve::facts;
use protocol::handshake::{HostFacts, HostOs};
use protocol::names::{DatasetName, SnapshotLabel};
use protocol::zfs::{CLONE_LABEL_PREFIX, Compression, DatasetStats, PoolSpace, Tuning};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::io::Errno;
use std::io::{Error, Result};
use std::sync::Arc;

/// `type` of a file system in CREATE (`DMU_OST_ZFS`).
const TYPE_FILE_SYSTEM: i32 = 2;

/// Value of the property `canmount` for `noauto`.
const CANMOUNT_NOAUTO: u64 = 2;

/// The ioctls used: their numbers are those of `include/sys/fs/zfs.h`, counted from zero on FreeBSD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Statistics and properties.
    ObjsetStats = 0x12,
    /// The next child.
    DatasetListNext = 0x14,
    /// The next snapshot.
    SnapshotListNext = 0x15,
    /// Sets properties.
    SetProperties = 0x16,
    /// A new file system.
    Create = 0x17,
    /// Destroys a file system without snapshots.
    Destroy = 0x18,
    /// Gives a file system another name.
    Rename = 0x1a,
    /// Turns a clone and its origin round.
    Promote = 0x22,
    /// New snapshots.
    Snapshot = 0x23,
    /// Destroys snapshots.
    DestroySnaps = 0x3b,
    /// Writes a snapshot as a stream.
    Send = 0x40,
    /// A new clone.
    Clone = 0x42,
    /// A new file system from a stream.
    Receive = 0x46,
}

impl Operation {
    /// Every operation: what the device's descriptor is limited to.
    pub const ALL: [Operation; 13] = [
        Operation::ObjsetStats,
        Operation::DatasetListNext,
        Operation::SnapshotListNext,
        Operation::SetProperties,
        Operation::Create,
        Operation::Destroy,
        Operation::Rename,
        Operation::Promote,
        Operation::Snapshot,
        Operation::DestroySnaps,
        Operation::Send,
        Operation::Clone,
        Operation::Receive,
    ];

    /// The request code: `_IOWR('Z', n, zfs_iocparm_t)` with a parameter of 24 bytes.
    #[must_use]
    pub fn request(self) -> u32 {
        0xC018_5A00 | u32::from(self as u8)
    }

    /// Whether a list comes back. Listings could give each object's properties; only their names are wanted.
    #[must_use]
    pub fn has_output(self) -> bool {
        match self {
            Operation::ObjsetStats
            | Operation::Create
            | Operation::Snapshot
            | Operation::DestroySnaps
            | Operation::Send
            | Operation::Clone
            | Operation::Receive => true,
            Operation::DatasetListNext
            | Operation::SnapshotListNext
            | Operation::SetProperties
            | Operation::Destroy
            | Operation::Rename
            | Operation::Promote => false,
        }
    }
}

/// Carries calls to the kernel, for the service and for copies under way.
pub trait Kernel: Send + Sync + 'static {
    /// Does one operation; the command is changed as the kernel changes it, and the list is what it put out.
    ///
    /// # Errors
    /// The ioctl's error number.
    fn call(&self, operation: Operation, command: &mut Command, input: Option<&List>) -> Result<List>;
}

/// The datasets below one parent.
#[derive(Debug)]
pub struct Zfs<K> {
    kernel: Arc<K>,
    parent: String,
    facts: HostFacts,
}

impl<K: Kernel> Zfs<K> {
    /// Takes the parent if it is there.
    ///
    /// # Errors
    /// What the kernel says of the parent.
    pub fn below(parent: &str, kernel: K) -> Answer<Self> {
        let facts =
            facts(HostOs::FreeBsd, &format!("zfs {parent}")).map_err(|e| HelperError::system("uname", &e))?;
        let zfs = Zfs {
            kernel: Arc::new(kernel),
            parent: parent.to_owned(),
            facts,
        };
        zfs.call(
            "parent dataset",
            Operation::ObjsetStats,
            &mut Command::on(parent),
            None,
        )?;
        Ok(zfs)
    }

    /// The same datasets again, for a copy's thread.
    fn shared(&self) -> Self {
        Zfs {
            kernel: Arc::clone(&self.kernel),
            parent: self.parent.clone(),
            facts: self.facts.clone(),
        }
    }

    /// What carries the calls.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    pub(super) fn call(
        &self,
        what: &str,
        how: Operation,
        command: &mut Command,
        input: Option<&List>,
    ) -> Answer<List> {
        self.kernel
            .call(how, command, input)
            .map_err(|error| failed(what, &error))
    }

    /// The whole name of something below the parent.
    pub(super) fn full(&self, name: impl std::fmt::Display) -> Answer<String> {
        let full = format!("{}/{name}", self.parent);
        if full.len() < FULL_NAME_BYTES {
            Ok(full)
        } else {
            Err(HelperError::new(
                ErrorCode::BadContent,
                format!("the name {full} is too long for ZFS"),
            ))
        }
    }

    /// The pool that everything lies in: operations on snapshots are asked of it.
    fn pool(&self) -> &str {
        self.parent.split('/').next().unwrap_or(&self.parent)
    }

    pub(super) fn make_folders(&self, dataset: &DatasetName) -> Answer<()> {
        for (end, _) in dataset.as_str().match_indices('/') {
            let folder = self.full(&dataset.as_str()[..end])?;
            let input = creation().with("props", properties());
            match self
                .kernel
                .call(Operation::Create, &mut Command::on(&folder), Some(&input))
            {
                Ok(_) => {}
                Err(error) if is(&error, Errno::EXIST) => {}
                Err(error) => return Err(failed(&folder, &error)),
            }
        }
        Ok(())
    }

    /// Everything that a listing gives, as whole names.
    fn listed(&self, how: Operation, full: &str) -> Answer<Vec<String>> {
        let mut command = Command::on(full);
        command.set_simple();
        let mut names = Vec::new();
        loop {
            command.set_name(full);
            match self.kernel.call(how, &mut command, None) {
                Ok(_) => names.push(command.name().to_owned()),
                // The end; also where the object itself is not there.
                Err(error) if is(&error, Errno::SRCH) => return Ok(names),
                Err(error) => return Err(failed(full, &error)),
            }
        }
    }

    /// The name below the parent, if it is one of ours: `%` and `$` datasets are the kernel's own.
    fn ours(&self, full: &str) -> Option<DatasetName> {
        let below = full.strip_prefix(&self.parent)?.strip_prefix('/')?;
        DatasetName::new(below).ok()
    }

    pub(super) fn below_folder(&self, folder: &DatasetName) -> Answer<Vec<DatasetName>> {
        let names = self.listed(Operation::DatasetListNext, &self.full(folder)?)?;
        Ok(names.iter().filter_map(|name| self.ours(name)).collect())
    }

    pub(super) fn destroy_snapshots(&self, full: &str) -> Answer<()> {
        let snapshots = self.listed(Operation::SnapshotListNext, full)?;
        self.destroy_named(full, &snapshots)
    }

    /// Destroys snapshots of `full` by their whole names.
    pub(super) fn destroy_named(&self, full: &str, snapshots: &[String]) -> Answer<()> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let named = snapshots
            .iter()
            .fold(List::new(), |list, name| list.with(name, Value::Flag));
        let input = List::new().with("snaps", Value::List(named));
        match self.kernel.call(
            Operation::DestroySnaps,
            &mut Command::on(self.pool()),
            Some(&input),
        ) {
            Ok(_) => Ok(()),
            // "Exists" means that a clone of the snapshot does.
            Err(error) if is(&error, Errno::EXIST) => Err(busy(full, &error)),
            Err(error) => Err(failed(full, &error)),
        }
    }

    pub(super) fn take_snapshot(&self, full: &str) -> Answer<()> {
        let input = List::new().with("snaps", Value::List(List::new().with(full, Value::Flag)));
        let pool = &mut Command::on(self.pool());
        self.call(full, Operation::Snapshot, pool, Some(&input)).map(drop)
    }

    /// The kernel refuses to destroy what is mounted, but only after the snapshots are gone, and from capability mode
    /// nobody can look at the mount table first. Asking again after the unmount completes it.
    pub(super) fn destroy_whole(&self, full: &str) -> Answer<()> {
        self.destroy_snapshots(full)?;
        match self.kernel.call(Operation::Destroy, &mut Command::on(full), None) {
            Ok(_) => Ok(()),
            // "Exists" means that children do.
            Err(error) if is(&error, Errno::EXIST) => Err(busy(full, &error)),
            Err(error) => Err(failed(full, &error)),
        }
    }
}

impl<K: Kernel> Host for Zfs<K> {
    fn facts(&self) -> HostFacts {
        self.facts.clone()
    }

    fn recover(&mut self) {
        copy::clean_up(self);
    }

    fn create(&mut self, dataset: &DatasetName) -> Answer<()> {
        let full = self.full(dataset)?;
        self.make_folders(dataset)?;
        let input = creation().with("props", properties());
        self.call(&full, Operation::Create, &mut Command::on(&full), Some(&input))
            .map(drop)
    }

    fn clone_from(
        &mut self,
        origin: &DatasetName,
        label: &SnapshotLabel,
        dataset: &DatasetName,
    ) -> Answer<()> {
        let origin = self.full(format_args!("{origin}@{label}"))?;
        let full = self.full(dataset)?;
        self.make_folders(dataset)?;
        let input = List::new()
            .with("origin", Value::Text(origin))
            .with("props", properties());
        self.call(&full, Operation::Clone, &mut Command::on(&full), Some(&input))
            .map(drop)
    }

    fn snapshot(&mut self, dataset: &DatasetName, label: &SnapshotLabel) -> Answer<()> {
        self.take_snapshot(&self.full(format_args!("{dataset}@{label}"))?)
    }

    fn fork(&mut self, origin: &DatasetName, label: &SnapshotLabel, dataset: &DatasetName) -> Answer<()> {
        match self.snapshot(origin, label) {
            Err(error) if error.code == ErrorCode::AlreadyExists => {}
            other => other?,
        }
        self.clone_from(origin, label, dataset)
    }

    fn tune(&mut self, dataset: &DatasetName, tuning: &Tuning) -> Answer<()> {
        let full = self.full(dataset)?;
        let set = [
            ("quota", tuning.quota_bytes),
            ("recordsize", tuning.record_bytes),
            ("compression", tuning.compression.map(compression_value)),
        ];
        let input = set
            .into_iter()
            .fold(List::new(), |list, (name, value)| match value {
                Some(value) => list.with(name, Value::U64(value)),
                None => list,
            });
        self.call(
            &full,
            Operation::SetProperties,
            &mut Command::on(&full),
            Some(&input),
        )
        .map(drop)
    }

    fn destroy(&mut self, dataset: &DatasetName) -> Answer<()> {
        let full = self.full(dataset)?;
        let mut command = Command::on(&full);
        self.call(&full, Operation::ObjsetStats, &mut command, None)?;
        self.destroy_whole(&full)?;
        let origin = command.origin().to_owned();
        let label = origin.split_once('@').map_or("", |(_, label)| label);
        if label.starts_with(CLONE_LABEL_PREFIX) {
            // Kept where another clone of it is there, and gone with the last.
            let _ = self.destroy_named(&origin, std::slice::from_ref(&origin));
        }
        Ok(())
    }

    fn promote(&mut self, dataset: &DatasetName) -> Answer<()> {
        let full = self.full(dataset)?;
        let command = &mut Command::on(&full);
        self.call(&full, Operation::Promote, command, None).map(drop)
    }

    fn copy(&mut self, origin: &DatasetName, label: &SnapshotLabel, dataset: &DatasetName) -> Answer<Job> {
        let copy = Copy::new(self.shared(), origin, label, dataset)?;
        Ok(Box::new(move || copy.run()))
    }

    fn stats(&self, dataset: &DatasetName) -> Answer<DatasetStats> {
        let mut command = Command::on(&self.full(dataset)?);
        let properties = self.call(dataset.as_str(), Operation::ObjsetStats, &mut command, None)?;
        let origin = command
            .origin()
            .split_once('@')
            .and_then(|(origin, _label)| self.ours(origin));
        Ok(DatasetStats {
            used_bytes: number(&properties, "used")?,
            referenced_bytes: number(&properties, "referenced")?,
            origin,
        })
    }

    fn children(&self, folder: &DatasetName) -> Answer<Vec<DatasetName>> {
        self.below_folder(folder)
    }

    fn space(&self) -> Answer<PoolSpace> {
        let mut command = Command::on(&self.parent);
        let properties = self.call(&self.parent, Operation::ObjsetStats, &mut command, None)?;
        Ok(PoolSpace {
            used_bytes: number(&properties, "used")?,
            available_bytes: number(&properties, "available")?,
        })
    }
}

/// A way of compressing as a property's value (`enum zio_compress`, include/sys/zio_compress.h).
fn compression_value(how: Compression) -> u64 {
    match how {
        Compression::Off => 2,
        // `gzip` alone is level 6; levels 1 to 9 are 5 to 13.
        Compression::Gzip => 10,
        Compression::Zle => 14,
        Compression::Lz4 => 15,
        Compression::Zstd => 16,
    }
}

fn creation() -> List {
    List::new().with("type", Value::I32(TYPE_FILE_SYSTEM))
}

pub(super) fn properties() -> Value {
    let mountpoint = Value::Text("none".to_owned());
    Value::List(
        List::new()
            .with("canmount", Value::U64(CANMOUNT_NOAUTO))
            .with("mountpoint", mountpoint),
    )
}

/// A numeric property from `{name: {"value": …, "source": …}}`.
fn number(properties: &List, name: &str) -> Answer<u64> {
    match properties.get(name) {
        Some(Value::List(property)) => match property.get("value") {
            Some(Value::U64(number)) => Ok(*number),
            Some(_) | None => Err(no_number(name)),
        },
        Some(_) | None => Err(no_number(name)),
    }
}

fn no_number(name: &str) -> HelperError {
    HelperError::new(
        ErrorCode::System,
        format!("the kernel gave no number for the property {name}"),
    )
}

fn is(error: &Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn busy(what: &str, error: &Error) -> HelperError {
    HelperError {
        code: ErrorCode::Busy,
        ..failed(what, error)
    }
}

/// ZFS counts its own error numbers from 1024 (`zfs_errno_t`). Those seen here mean that this kernel's ZFS does not know
/// the operation or one of its arguments.
fn failed(what: &str, error: &Error) -> HelperError {
    let answer = HelperError::system(what, error);
    match error.raw_os_error() {
        Some(1029..=1032) => HelperError {
            code: ErrorCode::Unsupported,
            ..answer
        },
        Some(_) | None => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freebsd::fake_tests::Fake;

    const PARENT: &str = "zroot/cellblock";

    fn zfs() -> Zfs<Fake> {
        let fake = Fake::default();
        fake.held.lock().unwrap().insert(PARENT.to_owned(), String::new());
        Zfs::below(PARENT, fake).unwrap()
    }

    fn dataset(name: &str) -> DatasetName {
        DatasetName::new(name).unwrap()
    }

    fn label() -> SnapshotLabel {
        SnapshotLabel::new("layer").unwrap()
    }

    fn code<T: std::fmt::Debug>(answer: Answer<T>) -> ErrorCode {
        answer.unwrap_err().code
    }

    /// An image with a clone of it.
    fn with_clone() -> Zfs<Fake> {
        let mut zfs = zfs();
        zfs.create(&dataset("images/a")).unwrap();
        zfs.snapshot(&dataset("images/a"), &label()).unwrap();
        zfs.clone_from(&dataset("images/a"), &label(), &dataset("containers/c"))
            .unwrap();
        zfs
    }

    #[test]
    fn request_codes_are_those_of_the_header() {
        assert_eq!(Operation::Create.request(), 0xC018_5A17);
        assert_eq!(Operation::Clone.request(), 0xC018_5A42);
    }

    #[test]
    fn a_helper_without_its_parent_dataset_does_not_start() {
        assert_eq!(
            code(Zfs::below(PARENT, Fake::default()).map(drop)),
            ErrorCode::NotFound
        );
    }

    #[test]
    fn missing_folders_are_made_from_the_top_and_held_ones_are_no_error() {
        let mut zfs = zfs();
        zfs.create(&dataset("volumes/t/v")).unwrap();
        zfs.create(&dataset("volumes/t/w")).unwrap();
        let held: Vec<String> = zfs.kernel.held.lock().unwrap().keys().cloned().collect();
        let names = ["", "/volumes", "/volumes/t", "/volumes/t/v", "/volumes/t/w"];
        assert_eq!(held, names.map(|name| format!("{PARENT}{name}")));
        assert_eq!(
            code(zfs.create(&dataset("volumes/t/v"))),
            ErrorCode::AlreadyExists
        );
    }

    #[test]
    fn snapshots_are_asked_of_the_pool() {
        let zfs = with_clone();
        assert!(
            zfs.kernel
                .asked
                .lock()
                .unwrap()
                .contains(&(Operation::Snapshot, "zroot".to_owned()))
        );
        assert!(
            zfs.kernel
                .held
                .lock()
                .unwrap()
                .contains_key("zroot/cellblock/images/a@layer")
        );
    }

    #[test]
    fn a_clone_without_its_snapshot_is_not_found() {
        let mut zfs = zfs();
        let answer = zfs.clone_from(&dataset("images/a"), &label(), &dataset("containers/c"));
        assert_eq!(code(answer), ErrorCode::NotFound);
    }

    #[test]
    fn a_fork_makes_its_snapshot_once_and_the_origin_lives_on() {
        let mut zfs = zfs();
        zfs.create(&dataset("volumes/t/a")).unwrap();
        for fork in ["volumes/t/b", "volumes/t/c"] {
            zfs.fork(&dataset("volumes/t/a"), &label(), &dataset(fork))
                .unwrap();
        }
        let again = zfs.fork(&dataset("volumes/t/a"), &label(), &dataset("volumes/t/b"));
        assert_eq!(code(again), ErrorCode::AlreadyExists);
        assert_eq!(code(zfs.destroy(&dataset("volumes/t/a"))), ErrorCode::Busy);
    }

    #[test]
    fn tuning_sets_what_is_given_and_nothing_else() {
        let mut zfs = zfs();
        zfs.create(&dataset("volumes/t/a")).unwrap();
        let tuning = Tuning {
            quota_bytes: Some(1 << 30),
            compression: Some(Compression::Lz4),
            ..Tuning::default()
        };
        zfs.tune(&dataset("volumes/t/a"), &tuning).unwrap();
        let set = zfs.kernel.set.lock().unwrap();
        assert_eq!(
            *set,
            [("quota".to_owned(), 1 << 30), ("compression".to_owned(), 15)]
        );
    }

    #[test]
    fn stats_name_the_origin_below_the_parent() {
        let zfs = with_clone();
        let wanted = DatasetStats {
            used_bytes: 1,
            referenced_bytes: 2,
            origin: Some(dataset("images/a")),
        };
        assert_eq!(zfs.stats(&dataset("containers/c")), Ok(wanted));
        assert_eq!(zfs.stats(&dataset("images/a")).unwrap().origin, None);
        assert_eq!(code(zfs.stats(&dataset("images/b"))), ErrorCode::NotFound);
        assert_eq!(
            zfs.space(),
            Ok(PoolSpace {
                used_bytes: 1,
                available_bytes: 3
            })
        );
    }

    #[test]
    fn what_has_a_clone_or_is_mounted_is_busy_and_goes_with_its_snapshots_afterwards() {
        let mut zfs = with_clone();
        assert_eq!(code(zfs.destroy(&dataset("images/a"))), ErrorCode::Busy);
        zfs.kernel
            .mounted
            .lock()
            .unwrap()
            .push("zroot/cellblock/containers/c".to_owned());
        assert_eq!(code(zfs.destroy(&dataset("containers/c"))), ErrorCode::Busy);
        zfs.kernel.mounted.lock().unwrap().clear();
        assert_eq!(zfs.destroy(&dataset("containers/c")), Ok(()));
        assert_eq!(zfs.destroy(&dataset("images/a")), Ok(()));
        assert_eq!(code(zfs.destroy(&dataset("images/a"))), ErrorCode::NotFound);
    }

    /// A volume, and what was asked of the kernel since.
    fn with_volume(fake: Fake) -> Zfs<Fake> {
        fake.held.lock().unwrap().insert(PARENT.to_owned(), String::new());
        let mut zfs = Zfs::below(PARENT, fake).unwrap();
        zfs.create(&dataset("volumes/t/a")).unwrap();
        zfs
    }

    fn held(zfs: &Zfs<Fake>) -> Vec<String> {
        zfs.kernel.held.lock().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_copy_has_no_origin_and_leaves_no_snapshot() {
        let mut zfs = with_volume(Fake::default());
        let copy = zfs
            .copy(&dataset("volumes/t/a"), &label(), &dataset("volumes/u/b"))
            .unwrap();
        assert_eq!(copy(), Ok(()));
        let names = [
            "",
            "/receiving",
            "/volumes",
            "/volumes/t",
            "/volumes/t/a",
            "/volumes/u",
            "/volumes/u/b",
        ];
        assert_eq!(held(&zfs), names.map(|name| format!("{PARENT}{name}")));
        assert_eq!(zfs.stats(&dataset("volumes/u/b")).unwrap().origin, None);
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing_and_what_a_killed_helper_left_goes_at_the_start() {
        let fake = Fake {
            is_full: true,
            ..Fake::default()
        };
        let mut zfs = with_volume(fake);
        let to = dataset("volumes/t/b");
        let copy = zfs.copy(&dataset("volumes/t/a"), &label(), &to).unwrap();
        assert_eq!(copy().unwrap_err().code, ErrorCode::NoSpace);
        let before = held(&zfs);
        assert!(
            !before
                .iter()
                .any(|name| name.contains('@') || name.ends_with("/b")),
            "{before:?}"
        );
        zfs.create(&dataset("receiving/clone-1")).unwrap();
        zfs.snapshot(&dataset("receiving/clone-1"), &label()).unwrap();
        zfs.recover();
        assert_eq!(held(&zfs), before);
        let missing = zfs.copy(&dataset("volumes/t/x"), &label(), &to).unwrap();
        assert_eq!(missing().unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn a_snapshot_that_nobody_asked_for_goes_with_its_last_clone() {
        let mut zfs = with_volume(Fake::default());
        for (label, kept) in [("clone-1", false), ("monday", true)] {
            let snapshot = SnapshotLabel::new(label).unwrap();
            let clones = ["volumes/t/b", "volumes/t/c"].map(dataset);
            for clone in &clones {
                zfs.fork(&dataset("volumes/t/a"), &snapshot, clone).unwrap();
            }
            let is_held = |zfs: &Zfs<Fake>| held(zfs).contains(&format!("{PARENT}/volumes/t/a@{label}"));
            zfs.destroy(&clones[0]).unwrap();
            assert!(is_held(&zfs), "{label}");
            zfs.destroy(&clones[1]).unwrap();
            assert_eq!(is_held(&zfs), kept, "{label}");
        }
    }

    #[test]
    fn an_origin_goes_before_its_clone_once_they_are_turned_round() {
        let mut zfs = with_volume(Fake::default());
        let (origin, clone) = (dataset("volumes/t/a"), dataset("volumes/t/b"));
        zfs.fork(&origin, &label(), &clone).unwrap();
        assert_eq!(code(zfs.destroy(&origin)), ErrorCode::Busy);
        zfs.promote(&clone).unwrap();
        assert_eq!(zfs.stats(&origin).unwrap().origin, Some(clone.clone()));
        assert_eq!(zfs.destroy(&origin), Ok(()));
        assert_eq!(zfs.destroy(&clone), Ok(()));
    }

    #[test]
    fn children_are_listed_whole_without_the_kernels_own() {
        let mut zfs = with_clone();
        for name in ["b", "c"] {
            zfs.create(&dataset(&format!("images/{name}"))).unwrap();
        }
        zfs.kernel.add("zroot/cellblock/images/%recv", "").unwrap();
        let mut names = zfs.children(&dataset("images")).unwrap();
        names.sort();
        assert_eq!(names, ["images/a", "images/b", "images/c"].map(dataset));
        assert_eq!(zfs.children(&dataset("volumes")), Ok(Vec::new()));
    }

    #[test]
    fn a_name_that_zfs_would_cut_is_refused() {
        let mut zfs = zfs();
        zfs.parent = "p".repeat(200);
        let long = dataset(&format!("images/{}", "i".repeat(100)));
        assert_eq!(code(zfs.create(&long)), ErrorCode::BadContent);
    }

    #[test]
    fn an_operation_that_this_zfs_does_not_know_is_unsupported() {
        assert_eq!(
            failed("x", &Error::from_raw_os_error(1029)).code,
            ErrorCode::Unsupported
        );
        assert_eq!(failed("x", &Errno::DQUOT.into()).code, ErrorCode::NoSpace);
    }
}
