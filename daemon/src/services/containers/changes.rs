//! What a container changed in its image: as a layer, and as a list (`docker diff`); and its whole tree (`docker export`).
//!
//! Neither holds what a start writes or mounts into every container: with dockerd those are mounts, and no part of the tree.

use super::judge::{Ask, judge};
use super::roots::RootGuard;
use super::state::Container;
use super::verbs::Containers;
use crate::services::Failure;
use crate::services::images::{Base, Spool};
use crate::transport::archive::Packing;
use docker_api::containers::ChangeItem;
use protocol::Principal;
use protocol::archive::FileKind;
use protocol::limits::LIST_ITEMS_MAX;
use protocol::names::{Bounded, RelPath};
use std::io::Read;
use tokio::io::AsyncWriteExt;
use tokio_util::io::SyncIoBridge;

/// What a start writes into every container.
const OWN_FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// What is mounted in every container.
const MOUNT_TARGETS: [&str; 3] = ["dev", "proc", "sys"];

/// What stands before the name of something that is gone (OCI image-spec, "layer").
const WHITEOUT_PREFIX: &str = ".wh.";

/// Changed paths of one `docker diff`: a full installation of an operating system fits, and some 100 MB of memory.
const CHANGES_MAX: usize = 1_000_000;

/// A container's tree on its way out.
#[derive(Debug)]
pub struct Exporting {
    /// The tar; to be read to its end, and then asked whether it was whole.
    pub packing: Packing,
    /// Keeps the tree mounted meanwhile.
    pub root: RootGuard,
}

/// One entry of a layer.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    is_directory: bool,
    is_gone: bool,
}

impl Containers {
    /// What a container changed, as a layer's tar; none where it changed nothing.
    ///
    /// # Errors
    /// What the helpers answer.
    pub async fn changed_layer(
        &self,
        by: &Principal,
        container: &Container,
        base: &Base,
    ) -> Result<Option<Spool>, Failure> {
        let root = self.root(by, container).await?;
        let mut packing = self.packing(by, container, &root, base).await?;
        let io = |error: std::io::Error| Failure::System(error.to_string());
        let (spool, file) = Spool::create(&self.0.settings.state_dir.join("tmp")).map_err(io)?;
        let mut file = tokio::fs::File::from_std(file);
        let copied = tokio::io::copy(&mut packing.stream, &mut file).await;
        let packed = packing.finish().await?;
        copied.map_err(io)?;
        file.flush().await.map_err(io)?;
        root.release().await?;
        Ok(Some(spool).filter(|_| packed.entries > 0))
    }

    /// What a container changed, path by path.
    ///
    /// # Errors
    /// `NotFound`, or what the helpers answer.
    pub async fn changed_paths(&self, by: &Principal, text: &str) -> Result<Vec<ChangeItem>, Failure> {
        let container = self.find(by, text).await?.container;
        let base = self.0.images.tree(by, &container.chain).await?;
        let root = self.root(by, &container).await?;
        let mut packing = self.packing(by, &container, &root, &base).await?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = entries(SyncIoBridge::new(&mut packing.stream));
            (read, packing)
        });
        let ending = |_| Failure::Unavailable("the daemon is ending".to_owned());
        let (read, packing) = reading.await.map_err(ending)?;
        // Where the worker failed, its reason counts.
        packing.finish().await?;
        let mut changes = compared(&base, read?).await?;
        for plan in &container.mounts {
            let target = plan.destination.trim_start_matches('/');
            let is_there = |found: Result<_, crate::transport::TransportError>| found.is_ok();
            let path = RelPath::new(target)?;
            let now = self.0.helpers.archive.stat(by, root.mount_name(), path).await;
            if is_there(now) && base.stat(target).await?.is_none() {
                with_target(&mut changes, target);
            }
        }
        root.release().await?;
        base.close().await?;
        Ok(changes)
    }

    /// A container's whole tree as a tar.
    ///
    /// # Errors
    /// `NotFound`, or what the helpers answer.
    pub async fn export(&self, by: &Principal, text: &str) -> Result<Exporting, Failure> {
        let container = self.find(by, text).await?.container;
        judge(Ask::Export, &container, text)?;
        let root = self.root(by, &container).await?;
        let archive = &self.0.helpers.archive;
        let mut skip = Vec::new();
        for plan in &container.mounts {
            let path = RelPath::new(plan.destination.trim_start_matches('/'))?;
            // Of a mounted directory only the mount point is packed; a mounted file would be another's content.
            match archive.stat(by, root.mount_name(), path.clone()).await {
                Ok(stat) if stat.kind != FileKind::Directory => skip.push(path),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let packing = archive
            .pack_difference(by, root.mount_name(), None, Bounded::new(skip)?)
            .await?;
        self.0.tell(&container, "export", &[]);
        Ok(Exporting { packing, root })
    }

    async fn packing(
        &self,
        by: &Principal,
        container: &Container,
        root: &RootGuard,
        base: &Base,
    ) -> Result<Packing, Failure> {
        let skip = self.skipped(by, container, root, base).await?;
        let archive = &self.0.helpers.archive;
        Ok(archive
            .pack_difference(by, root.mount_name(), base.mount_name(), skip)
            .await?)
    }

    /// Paths that are no part of what a container changed.
    async fn skipped(
        &self,
        by: &Principal,
        container: &Container,
        root: &RootGuard,
        base: &Base,
    ) -> Result<Bounded<RelPath, LIST_ITEMS_MAX>, Failure> {
        let always = OWN_FILES.iter().chain(&MOUNT_TARGETS);
        let mut skip: Vec<String> = always.map(|path| (*path).to_owned()).collect();
        let targets = container.mounts.iter().map(|plan| &plan.destination);
        skip.extend(targets.map(|target| target.trim_start_matches('/').to_owned()));
        if base.stat("etc").await?.is_none() && self.has_only_own_files(by, root).await? {
            skip.push("etc".to_owned());
        }
        let skip = skip
            .into_iter()
            .map(RelPath::new)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Bounded::new(skip)?)
    }

    /// Whether the container's /etc holds nothing but what its start wrote there.
    async fn has_only_own_files(&self, by: &Principal, root: &RootGuard) -> Result<bool, Failure> {
        let etc = RelPath::new("etc")?;
        let archive = &self.0.helpers.archive;
        let packing = archive.pack(by, root.mount_name(), etc.clone(), etc).await?;
        // More than this is more than the three files.
        let most = 64 * 1024;
        let bytes = match packing.into_bytes(most).await {
            Err(error) if error.is_not_found() => return Ok(true),
            // The worker met a closed pipe: there is more.
            Err(_) => return Ok(false),
            Ok(bytes) => bytes,
        };
        let is_own = |entry: &Entry| entry.path == "etc" || OWN_FILES.contains(&entry.path.as_str());
        Ok(entries(bytes.as_slice())?.iter().all(is_own))
    }
}

/// The entries of a tar that the archive helper wrote. Names that are not text are shown as well as they can be.
fn entries(tar: impl Read) -> Result<Vec<Entry>, Failure> {
    let broken = |error: std::io::Error| Failure::System(error.to_string());
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_end_matches('/');
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let gone = name.strip_prefix(WHITEOUT_PREFIX);
        let path = match gone {
            Some(name) if above.is_empty() => name.to_owned(),
            Some(name) => format!("{above}/{name}"),
            None => path.to_owned(),
        };
        found.push(Entry {
            path,
            is_directory: entry.header().entry_type().is_dir(),
            is_gone: gone.is_some(),
        });
        if found.len() > CHANGES_MAX {
            let text = format!("the container changed more than {CHANGES_MAX} paths");
            return Err(Failure::Unsupported(text));
        }
    }
    Ok(found)
}

/// Tells what each entry of a layer does to the tree below it.
async fn compared(base: &Base, entries: Vec<Entry>) -> Result<Vec<ChangeItem>, Failure> {
    let mut changes = Vec::new();
    // Below a directory that the base does not have, everything is new.
    let mut new: Option<String> = None;
    for entry in entries.into_iter().filter(|entry| entry.path != ".") {
        let is_in_new = new.as_ref().is_some_and(|new| entry.path.starts_with(new));
        let kind = if entry.is_gone {
            ChangeItem::DELETED
        } else if is_in_new {
            ChangeItem::ADDED
        } else {
            let before = base.stat(&entry.path).await?.map(|stat| stat.kind);
            if entry.is_directory && before != Some(FileKind::Directory) {
                new = Some(format!("{}/", entry.path));
            }
            before.map_or(ChangeItem::ADDED, |_| ChangeItem::MODIFIED)
        };
        changes.push(ChangeItem {
            kind,
            path: format!("/{}", entry.path),
        });
    }
    Ok(changes)
}

/// Adds a mount point that the base does not have: dockerd's own are made in the container's tree.
fn with_target(changes: &mut Vec<ChangeItem>, target: &str) {
    for (end, _) in target.match_indices('/') {
        let above = format!("/{}", &target[..end]);
        if !changes.iter().any(|change| change.path == above) {
            changes.push(ChangeItem {
                kind: ChangeItem::MODIFIED,
                path: above,
            });
        }
    }
    changes.push(ChangeItem {
        kind: ChangeItem::ADDED,
        path: format!("/{target}"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_read_as_what_is_gone() {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, path) in [
            (tar::EntryType::Directory, "d/"),
            (tar::EntryType::Regular, "d/.wh.old"),
            (tar::EntryType::Regular, ".wh.top"),
            (tar::EntryType::Symlink, "link"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            tar.append_data(&mut header, path, std::io::empty()).unwrap();
        }
        let read = entries(tar.into_inner().unwrap().as_slice()).unwrap();
        let told = |entry: &Entry| (entry.path.clone(), entry.is_directory, entry.is_gone);
        let told: Vec<_> = read.iter().map(told).collect();
        let expected = [
            ("d", true, false),
            ("d/old", false, true),
            ("top", false, true),
            ("link", false, false),
        ];
        assert_eq!(
            told,
            expected.map(|(path, directory, gone)| (path.to_owned(), directory, gone))
        );
    }

    #[test]
    fn a_mount_point_is_told_with_what_is_above_it() {
        let mut changes = vec![ChangeItem {
            kind: ChangeItem::MODIFIED,
            path: "/a".to_owned(),
        }];
        with_target(&mut changes, "a/b/c");
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.kind, change.path.as_str()))
            .collect();
        assert_eq!(told, [(0, "/a"), (0, "/a/b"), (1, "/a/b/c")]);
    }
}
