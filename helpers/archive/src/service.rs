//! From a request to a tree: open the mount point, then answer at once or start a worker.

use crate::worker::{Job, Workers};
use crate::{difference, extract, host, inspect, pack};
use helper_runtime::beneath::Root;
use helper_runtime::serve::{Reply, Service};
use protocol::archive::{Owner, Request, Response};
use protocol::handshake::{HelperKind, HostFacts};
use protocol::names::{Label, MountName, Text};
use protocol::policy::{ArchivePolicy, Policy};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{BufReader, BufWriter, Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Address space of the helper and of each worker, in bytes: the names of a directory with a million files and the marks of a
/// layer with as many take a fraction of it. An archive or a tree made to fill memory ends its worker.
pub(crate) const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Descriptors of a worker: a walk, a removal inside it and a resolution beside it may each hold a tree's depth
/// ([`crate::tree::TREE_DEPTH_MAX`]).
const DESCRIPTORS_MAX: u64 = 2048;

/// Buffer of a stream, in bytes: the capacity of a pipe on Linux; headers are read 512 bytes at a time.
const STREAM_BYTES: usize = 64 * 1024;

/// The helper's service.
#[derive(Debug)]
pub struct Archive {
    mounts: Root,
    mount_root: String,
    release: Label,
    workers: Workers,
}

impl Archive {
    /// Takes the policy, opens what it allows and sets the process's limits. To be called before [`crate::confine`].
    ///
    /// # Errors
    /// `InvalidData` for another helper's policy, else what opening the mount root gives.
    pub fn open(policy: Policy) -> Result<Self> {
        let Policy::Archive(ArchivePolicy { mount_root }) = policy else {
            return Err(invalid("the policy is another helper's"));
        };
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let release = Label::new(release).map_err(|rule| invalid(rule.0))?;
        limit(Resource::As, MEMORY_BYTES_MAX)?;
        limit(Resource::Nofile, DESCRIPTORS_MAX)?;
        // Modes are the archive's, whole, from the first moment: see the making of device nodes.
        rustix::process::umask(rustix::fs::Mode::empty());
        let mounts = Root::open(mount_root.as_str())?;
        Ok(Archive {
            mounts,
            mount_root: mount_root.as_str().to_owned(),
            release,
            workers: Workers::default(),
        })
    }

    /// The only directory below which anything is read or written, by path and open.
    #[must_use]
    pub fn mounts(&self) -> (&Path, &Root) {
        (Path::new(&self.mount_root), &self.mounts)
    }

    fn mount(&self, name: &MountName) -> Answer<Root> {
        let step = format!("open mount point {name}");
        let opened = self.mounts.child(name.as_str());
        opened.map_err(|error| HelperError::system(step, &error))
    }

    /// What the worker is to do.
    fn job(&self, request: Request, stream: File) -> Answer<Job> {
        let written = |stream| BufWriter::with_capacity(STREAM_BYTES, stream);
        Ok(match request {
            Request::Extract(request) => {
                check_owner(request.owner)?;
                let root = self.mount(&request.root)?;
                let stream = BufReader::with_capacity(STREAM_BYTES, stream);
                Box::new(move || extract::extract(&root, &request, stream))
            }
            Request::Pack { root, path, name } => {
                let (root, stream) = (self.mount(&root)?, written(stream));
                Box::new(move || pack::pack(&root, &path, &name, stream))
            }
            Request::PackDifference { root, base, skip } => {
                let (root, stream) = (self.mount(&root)?, written(stream));
                let base = base.map(|base| self.mount(&base)).transpose()?;
                Box::new(move || difference::pack_difference(&root, base.as_ref(), skip.as_slice(), stream))
            }
            Request::Read {
                root,
                path,
                bytes_max: limit,
            } => {
                let root = self.mount(&root)?;
                Box::new(move || inspect::read(&root, &path, limit, stream))
            }
            Request::Stat { .. } => return Err(wrong_descriptors()),
        })
    }
}

impl Service for Archive {
    type Request = Request;
    type Response = Response;
    const KIND: HelperKind = HelperKind::Archive;

    fn facts(&self) -> HostFacts {
        HostFacts {
            os: host::OS,
            release: self.release.clone(),
            backend: Text::cut(&format!("tar beneath {}", self.mount_root)),
            // Neither is this helper's to know; the jail helper tells.
            runs_linux: false,
            enforces_limits: false,
        }
    }

    fn descriptors(request: &Request) -> usize {
        match request {
            Request::Stat { .. } => 0,
            // The stream, and the outcome.
            Request::Extract(_)
            | Request::Pack { .. }
            | Request::PackDifference { .. }
            | Request::Read { .. } => 2,
        }
    }

    fn describe(request: &Request) -> (&'static str, String) {
        match request {
            Request::Extract(extract) => ("Extract", format!("{} /{}", extract.root, extract.path)),
            Request::Pack { root, path, .. } => ("Pack", format!("{root} /{path}")),
            Request::PackDifference { root, base, .. } => {
                let base = base.as_ref().map_or("-", MountName::as_str);
                ("PackDifference", format!("{root} {base}"))
            }
            Request::Stat { root, path } => ("Stat", format!("{root} /{path}")),
            Request::Read { root, path, .. } => ("Read", format!("{root} /{path}")),
        }
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Answer<Reply<Response>> {
        if let Request::Stat { root, path } = &request {
            let found = inspect::stat(&self.mount(root)?, path)?;
            return Ok(Reply::from(Response::Stat(found)));
        }
        let [stream, outcome] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| wrong_descriptors())?;
        let job = self.job(request, File::from(stream))?;
        self.workers.start(outcome, job)?;
        Ok(Reply::from(Response::Started))
    }

    fn idle(&mut self) {
        self.workers.reap();
    }
}

/// Refuses the id that chown(2) takes as "leave it".
fn check_owner(owner: Owner) -> Answer<()> {
    match owner {
        Owner::Fixed { uid, gid } if uid == u32::MAX || gid == u32::MAX => {
            let nobody = "nobody has the id 4294967295";
            Err(HelperError::new(ErrorCode::Refused, nobody))
        }
        Owner::Fixed { .. } | Owner::FromArchive => Ok(()),
    }
}

fn wrong_descriptors() -> HelperError {
    let needed = "a worker needs a stream and an outcome";
    HelperError::new(ErrorCode::BadDescriptors, needed)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// Sets a limit, within what the launcher left.
fn limit(resource: Resource, wanted: u64) -> Result<()> {
    let hard = getrlimit(resource).maximum;
    let limit = Some(hard.map_or(wanted, |hard| hard.min(wanted)));
    let (current, maximum) = (limit, limit);
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}
