//! A temporary mount root with a running helper, short ways to ask it, and archives made byte by byte.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod tar;
pub(crate) mod tree;

use helper_runtime::testing::{Helper, is_root};
use protocol::archive::{Extract, Outcome, Owner, PathStat, Replace, Request, Response, Whiteouts};
use protocol::codec::decode;
use protocol::names::{Bounded, HostPath, MountName, RelPath};
use protocol::policy::{ArchivePolicy, Policy};
use protocol::{Answer, ErrorCode, HelperError};
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

/// A mount root of this test's own, and the helper that serves it.
pub(crate) struct Bench {
    pub(crate) helper: Helper,
    base: PathBuf,
}

/// An operation under way.
pub(crate) struct Running {
    outcome: PipeReader,
}

impl Bench {
    /// `None`, and one visible line, where the test does not run as root.
    pub(crate) fn start(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !is_root(test) {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("cb-archive-{}-{number}", std::process::id()));
        std::fs::create_dir_all(base.join("mnt")).unwrap();
        std::fs::write(base.join("outside"), "untouched").unwrap();
        let mount_root = HostPath::new(base.join("mnt").to_str().unwrap()).unwrap();
        let policy = Policy::Archive(ArchivePolicy { mount_root });
        let helper = Helper::start(env!("CARGO_BIN_EXE_cellblock-archive"), &policy).unwrap();
        Some(Bench { helper, base })
    }

    /// The directory that holds the mount root, to which nothing may be added.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn mount_root(&self) -> PathBuf {
        self.base.join("mnt")
    }

    /// A tree under the mount root, made where it is not there yet.
    pub(crate) fn tree(&self, name: &str) -> PathBuf {
        let path = self.mount_root().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A directory beside the mount root, made where it is not there yet; the helper cannot reach it.
    pub(crate) fn side(&self, name: &str) -> PathBuf {
        let path = self.base.join("side").join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn ask(&mut self, request: Request, fds: &[OwnedFd]) -> Answer<Response> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.helper
            .ask::<Request, Response>(request, &fds)
            .map(|(response, _)| response)
    }

    /// Applies an archive to the tree of that name and waits for the outcome.
    pub(crate) fn extract(&mut self, request: Extract, archive: &[u8]) -> Outcome {
        let (running, feeding) = self.begin_extract(request, archive.to_vec());
        let outcome = running.wait();
        let _ = feeding.join().unwrap();
        outcome
    }

    /// As [`Bench::extract`], and the archive is a good one.
    pub(crate) fn apply(&mut self, root: &str, archive: &[u8]) {
        self.tree(root);
        let outcome = self.extract(layer(root), archive);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }

    /// As [`Bench::extract`], and the archive is refused; why.
    pub(crate) fn refuse(&mut self, request: Extract, archive: &[u8]) -> HelperError {
        self.tree(request.root.as_str());
        match self.extract(request, archive) {
            Outcome::Failed(error) => error,
            done @ Outcome::Done { .. } => panic!("{done:?}"),
        }
    }

    /// The refusal's text, which must put the blame on the content.
    pub(crate) fn blame(&mut self, request: Extract, archive: &[u8]) -> String {
        let error = self.refuse(request, archive);
        assert_eq!(
            (error.code, error.errno.is_some()),
            (ErrorCode::BadContent, error.errno.is_some()),
            "{error}"
        );
        error.detail.as_str().to_owned()
    }

    pub(crate) fn begin_extract(
        &mut self,
        request: Extract,
        archive: Vec<u8>,
    ) -> (Running, JoinHandle<std::io::Result<()>>) {
        let (stream, mut feed) = std::io::pipe().unwrap();
        let feeding = std::thread::spawn(move || feed.write_all(&archive));
        (
            self.begin(Request::Extract(request), stream.into()).unwrap(),
            feeding,
        )
    }

    /// Starts an operation with its stream.
    pub(crate) fn begin(&mut self, request: Request, stream: OwnedFd) -> Answer<Running> {
        let (outcome, told) = std::io::pipe().unwrap();
        let response = self.ask(request, &[stream, told.into()])?;
        assert_eq!(response, Response::Started);
        Ok(Running { outcome })
    }

    /// Asks for a stream and reads it to its end.
    pub(crate) fn collect(&mut self, request: Request) -> (Vec<u8>, Outcome) {
        let (mut stream, sink) = std::io::pipe().unwrap();
        let running = self.begin(request, sink.into()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        (bytes, running.wait())
    }

    /// The archive of a path.
    pub(crate) fn pack(&mut self, root: &str, path: &str, name: &str) -> Vec<u8> {
        let (bytes, outcome) = self.collect(pack(root, path, name));
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        bytes
    }

    /// The layer that makes `root` out of `base`.
    pub(crate) fn difference(&mut self, root: &str, base: Option<&str>, skip: &[&str]) -> Vec<u8> {
        let (bytes, outcome) = self.collect(difference(root, base, skip));
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        bytes
    }

    pub(crate) fn stat(&mut self, root: &str, path: &str) -> Answer<PathStat> {
        match self.ask(
            Request::Stat {
                root: mount(root),
                path: rel(path),
            },
            &[],
        )? {
            Response::Stat(stat) => Ok(stat),
            Response::Started => panic!("a worker for Stat"),
        }
    }

    /// Asserts that nothing around the mount root was touched.
    pub(crate) fn assert_outside_untouched(&self) {
        assert_eq!(
            std::fs::read_to_string(self.base.join("outside")).unwrap(),
            "untouched"
        );
        let mut names: Vec<_> = std::fs::read_dir(&self.base)
            .unwrap()
            .map(|found| found.unwrap().file_name())
            .collect();
        names.sort();
        names.retain(|name| name != "side");
        assert_eq!(names, ["mnt", "outside"]);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

impl Running {
    /// How it ended. A worker that dies without a word fails the test.
    pub(crate) fn wait(mut self) -> Outcome {
        let mut message = Vec::new();
        self.outcome.read_to_end(&mut message).unwrap();
        decode(&message).unwrap()
    }
}

/// A file as the descriptor of a stream.
pub(crate) fn stream_of(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

pub(crate) fn mount(name: &str) -> MountName {
    MountName::new(name).unwrap()
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// A layer for a whole tree.
pub(crate) fn layer(root: &str) -> Extract {
    Extract {
        root: mount(root),
        path: rel(""),
        whiteouts: Whiteouts::Apply,
        replace: Replace::Allowed,
        owner: Owner::FromArchive,
        content_bytes_max: 1 << 30,
        entries_max: 10_000,
    }
}

/// What a user copies to a path, as `docker cp` sends it.
pub(crate) fn copy(root: &str, path: &str) -> Extract {
    Extract {
        path: rel(path),
        whiteouts: Whiteouts::Plain,
        replace: Replace::KeepKinds,
        ..layer(root)
    }
}

pub(crate) fn pack(root: &str, path: &str, name: &str) -> Request {
    Request::Pack {
        root: mount(root),
        path: rel(path),
        name: rel(name),
    }
}

pub(crate) fn difference(root: &str, base: Option<&str>, skip: &[&str]) -> Request {
    let skip = Bounded::new(skip.iter().map(|path| rel(path)).collect()).unwrap();
    Request::PackDifference {
        root: mount(root),
        base: base.map(mount),
        skip,
    }
}
