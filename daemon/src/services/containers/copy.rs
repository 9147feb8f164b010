//! `docker cp`: a path's facts, a path as a tar stream, a tar stream into a directory.

use super::mounting;
use super::roots::RootGuard;
use super::start::current;
use super::state::Container;
use super::verbs::{Containers, Deps};
use crate::kernel::limits::{LAYER_CONTENT_BYTES_MAX, LAYER_ENTRIES_MAX};
use crate::services::Failure;
use crate::transport::TransportError;
use crate::transport::archive::Packing;
use docker_api::error;
use protocol::archive::{Extract, FileKind, Owner, PathStat, Replace, Whiteouts};
use protocol::names::{MountName, RelPath};
use protocol::{ErrorCode, Principal};
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::OwnedMutexGuard;

/// A container's tree, mounted for as long as this lives: for a container that does not run, with its binds and volumes.
#[derive(Debug)]
pub struct Tree {
    containers: Containers,
    by: Principal,
    container: Arc<Container>,
    /// As the client named it, for messages.
    named: String,
    at: MountName,
    held: Option<Held>,
}

/// What is given up when a tree is not needed any more.
#[derive(Debug)]
struct Held {
    root: RootGuard,
    /// The container's lock, where binds and volumes were mounted for this tree: a start waits until they are gone.
    lock: Option<OwnedMutexGuard<()>>,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        let (deps, by, container) = (
            Arc::clone(&self.containers.0),
            self.by.clone(),
            Arc::clone(&self.container),
        );
        // Outside the runtime (the daemon is ending) the next start cleans up.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { give_up(&deps, &by, &container, held).await });
        }
    }
}

async fn give_up(deps: &Deps, by: &Principal, container: &Container, held: Held) {
    let Held { root, lock } = held;
    // What lies below the root goes with it.
    let mut done = root.release().await;
    if lock.is_some() {
        done = mounting::leave_all(deps, by, container).await.and(done);
    }
    if let Err(error) = done {
        tracing::warn!(%error, container = container.id, "a container's tree was not unmounted");
    }
    drop(lock);
}

impl Containers {
    /// Opens a container's tree.
    ///
    /// # Errors
    /// `NotFound`, or what the mount helper answers.
    pub async fn tree(&self, by: &Principal, text: &str) -> Result<Tree, Failure> {
        let found = self.find(by, text).await?;
        let mut container = found.container;
        let mut lock = None;
        if !container.is_running() && !container.mounts.is_empty() {
            lock = Some(found.lock.lock_owned().await);
            container = current(&self.0, &container.id).await?;
            if container.is_running() {
                lock = None;
            }
        }
        let root = self.root(by, &container).await?;
        let is_alone = lock.is_some();
        let tree = Tree {
            containers: self.clone(),
            by: by.clone(),
            container,
            named: text.to_owned(),
            at: root.mount_name(),
            held: Some(Held { root, lock }),
        };
        if is_alone {
            mounting::mount_to_copy(&self.0, by, &tree.at, &tree.container).await?;
        }
        Ok(tree)
    }
}

/// A client's path as a path beneath the root: `.`, `..` and slashes are taken away as text, as dockerd does.
fn beneath(path: &str) -> Result<RelPath, Failure> {
    let absolute = format!("/{path}");
    let clean = super::mounts::clean(&absolute).unwrap_or_default();
    Ok(RelPath::new(clean.trim_start_matches('/'))?)
}

/// Whether a path can only mean a directory.
fn names_directory(path: &str) -> bool {
    path.len() > 1 && (path.ends_with('/') || path.ends_with("/."))
}

/// Who owns what `docker cp` brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOwner {
    /// Whom the archive says.
    Archive,
    /// The container's user (`copyUIDGID`).
    Container,
}

impl Tree {
    fn missing(&self, path: &str, error: TransportError) -> Failure {
        if error.is_not_found() {
            Failure::NotFound(error::no_such_file(path, &self.named))
        } else {
            Failure::from(error)
        }
    }

    /// What a path is. A trailing `/` or `/.` follows a link in the last place, as lstat(2) does.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words; `System` for a file named as a directory.
    pub async fn stat(&self, path: &str) -> Result<PathStat, Failure> {
        let stat = self.stat_beneath(beneath(path)?, path).await?;
        if !names_directory(path) {
            return Ok(stat);
        }
        let stat = match stat.kind {
            FileKind::Symlink => self.stat_beneath(stat.resolved, path).await?,
            _ => stat,
        };
        if stat.kind == FileKind::Directory {
            Ok(stat)
        } else {
            Err(Failure::System(format!("lstat {path}: not a directory")))
        }
    }

    async fn stat_beneath(&self, at: RelPath, path: &str) -> Result<PathStat, Failure> {
        let archive = &self.containers.0.helpers.archive;
        let stat = archive.stat(&self.by, self.at.clone(), at).await;
        stat.map_err(|error| self.missing(path, error))
    }

    /// A path as a tar stream, named by its last part.
    ///
    /// # Errors
    /// See [`TransportError`]; that the path does not exist is told by the stream's end.
    pub async fn pack(&self, path: &str, stat: &PathStat) -> Result<Packing, Failure> {
        let asked = beneath(path)?;
        let last = asked.as_str().rsplit('/').next().unwrap_or_default();
        // `DIR/.` and the root itself are packed as what is in them.
        let name = RelPath::new(if path.ends_with("/.") { "" } else { last })?;
        let from = if names_directory(path) {
            stat.resolved.clone()
        } else {
            asked
        };
        let deps = &self.containers.0;
        let packing = deps
            .helpers
            .archive
            .pack(&self.by, self.at.clone(), from, name)
            .await?;
        deps.tell(&self.container, "archive-path", &[]);
        Ok(packing)
    }

    /// Extracts a tar stream into a directory.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for the directory, `System` in dockerd's words for what the stream holds.
    pub async fn unpack(
        &self,
        path: &str,
        replace: Replace,
        owner: CopyOwner,
        from: impl AsyncRead + Unpin,
    ) -> Result<(), Failure> {
        let stat = self.stat(path).await?;
        let stat = match stat.kind {
            FileKind::Symlink => self.stat_beneath(stat.resolved, path).await?,
            _ => stat,
        };
        if stat.kind != FileKind::Directory {
            return Err(Failure::Invalid(error::ARCHIVE_NOT_A_DIRECTORY.to_owned()));
        }
        let path = stat.resolved;
        if self.container.host_config.readonly_rootfs && !self.is_on_a_mount(&path) {
            return Err(Failure::Invalid(error::ARCHIVE_READ_ONLY.to_owned()));
        }
        let extract = Extract {
            root: self.at.clone(),
            path,
            whiteouts: Whiteouts::Plain,
            replace,
            owner: self.owner(owner).await?,
            content_bytes_max: LAYER_CONTENT_BYTES_MAX,
            entries_max: LAYER_ENTRIES_MAX,
        };
        match self
            .containers
            .0
            .helpers
            .archive
            .extract(&self.by, extract, from)
            .await
        {
            Ok(_) => {
                self.containers.0.tell(&self.container, "extract-to-dir", &[]);
                Ok(())
            }
            Err(TransportError::Helper(error)) if error.code == ErrorCode::BadContent => {
                Err(Failure::System(error.detail.as_str().to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// With `cp -a` files go to the user that the container runs as, if it names one.
    async fn owner(&self, wanted: CopyOwner) -> Result<Owner, Failure> {
        let user = &self.container.config.user;
        if wanted == CopyOwner::Archive || user.is_empty() {
            return Ok(Owner::FromArchive);
        }
        let account = super::user::find(&self.containers.0, &self.by, &self.at, user, &[]).await?;
        Ok(Owner::Fixed {
            uid: account.uid,
            gid: account.gid,
        })
    }

    fn is_on_a_mount(&self, path: &RelPath) -> bool {
        let path = format!("/{}", path.as_str());
        self.container
            .mounts
            .iter()
            .filter(|plan| plan.writable)
            .any(|plan| {
                path.strip_prefix(&plan.destination)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}
