//! A temporary pool, and short ways to ask about it.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use helper_runtime::testing::Helper;
use protocol::codec::encode;
use protocol::fd::send_frame;
use protocol::names::{DatasetName, HostPath, Label, SnapshotLabel, Text};
use protocol::policy::{Policy, ZfsPolicy};
use protocol::zfs::{DatasetStats, Request, Response};
use protocol::{Answer, Ask, ErrorCode, Principal};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of this test's own, with a pool and mount points in it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("cb-zfs-{}-{number}", std::process::id()));
        for folder in ["pool", "mnt"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        Place(base)
    }

    pub(crate) fn pool(&self, path: &str) -> PathBuf {
        self.0.join("pool").join(path)
    }

    pub(crate) fn mount_point(&self, name: &str) -> PathBuf {
        let path = self.0.join("mnt").join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn policy(&self) -> ZfsPolicy {
        ZfsPolicy {
            parent: Text::new("zroot/cellblock").unwrap(),
            pool_dir: HostPath::new(self.0.join("pool").to_str().unwrap()).unwrap(),
        }
    }

    pub(crate) fn try_helper(&self) -> std::io::Result<Helper> {
        Helper::start(env!("CARGO_BIN_EXE_cellblock-zfs"), &Policy::Zfs(self.policy()))
    }

    pub(crate) fn helper(&self) -> Helper {
        self.try_helper().unwrap()
    }

    /// A dataset with the snapshot `layer`.
    pub(crate) fn image(&self, helper: &mut Helper, name: &str) -> DatasetName {
        done(
            helper,
            Request::Create {
                dataset: dataset(name),
            },
        );
        done(
            helper,
            Request::Snapshot {
                dataset: dataset(name),
                label: label("layer"),
            },
        );
        dataset(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A mount that goes away with the value.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn bind(from: &Path, to: &Path) -> Self {
        Self::mount(Command::new("mount").arg("--bind").arg(from), to)
    }

    pub(crate) fn overlay(source: &str, options: &str, to: &Path) -> Self {
        Self::mount(
            Command::new("mount").args(["-t", "overlay", source, "-o", options]),
            to,
        )
    }

    fn mount(command: &mut Command, to: &Path) -> Self {
        assert!(command.arg(to).status().unwrap().success(), "{command:?}");
        Mounted(to.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

pub(crate) fn dataset(name: &str) -> DatasetName {
    DatasetName::new(name).unwrap()
}

pub(crate) fn label(name: &str) -> SnapshotLabel {
    SnapshotLabel::new(name).unwrap()
}

pub(crate) fn ask(helper: &mut Helper, request: Request) -> Answer<Response> {
    helper
        .ask::<Request, Response>(request, &[])
        .map(|(response, _fds)| response)
}

pub(crate) fn done(helper: &mut Helper, request: Request) {
    assert_eq!(ask(helper, request.clone()), Ok(Response::Done), "{request:?}");
}

pub(crate) fn code(helper: &mut Helper, request: Request) -> Option<ErrorCode> {
    ask(helper, request).err().map(|error| error.code)
}

pub(crate) fn clone(helper: &mut Helper, origin: &DatasetName, name: &str) {
    let request = Request::Clone {
        origin: origin.clone(),
        label: label("layer"),
        dataset: dataset(name),
    };
    done(helper, request);
}

pub(crate) fn list(helper: &mut Helper, parent: &str, after: Option<DatasetName>) -> Vec<DatasetName> {
    match ask(
        helper,
        Request::List {
            parent: dataset(parent),
            after,
        },
    ) {
        Ok(Response::Names(names)) => names.into_vec(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn stats(helper: &mut Helper, name: &str) -> DatasetStats {
    match ask(
        helper,
        Request::Stats {
            dataset: dataset(name),
        },
    ) {
        Ok(Response::Stats(stats)) => stats,
        other => panic!("{other:?}"),
    }
}

/// Sends a request without waiting for its answer.
pub(crate) fn send(helper: &Helper, request: Request) {
    let by = Principal {
        tenant: Label::new("default").unwrap(),
        subject: Label::new("test").unwrap(),
    };
    send_frame(helper.socket(), 1, &encode(&Ask { by, request }).unwrap(), &[]).unwrap();
}

/// Directories in directories, deeper than any path can name.
pub(crate) fn nest(top: &Path, levels: usize) {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, top, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&directory, "deep", Mode::from_raw_mode(0o700)).unwrap();
        directory = openat(&directory, "deep", flags, Mode::empty()).unwrap();
    }
}
