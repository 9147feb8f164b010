//! Copies of trees into volumes: what the image has at a volume's place, and another volume's content.

use super::options::Beginning;
use super::{Content, InUse, Volume, Volumes, mount_name, options_of};
use crate::kernel::limits::{LAYER_CONTENT_BYTES_MAX, LAYER_ENTRIES_MAX};
use crate::services::{Failure, clock, naming};
use crate::transport::TransportError;
use crate::transport::archive::{Archive, Packing};
use protocol::archive::{Extract, Owner, Replace, Whiteouts};
use protocol::mount::BindSource;
use protocol::names::{MountName, RelPath, SnapshotLabel};
use protocol::zfs::CLONE_LABEL_PREFIX;
use protocol::{ErrorCode, Principal};
use std::io::Cursor;
use tokio::io::AsyncReadExt;

/// A block of a tar stream, in bytes; a stream without entries begins with one of zeros.
const TAR_BLOCK_BYTES: usize = 512;

/// Bytes at the beginning of a tar stream that surely hold its first header, with what pax puts before it.
const FIRST_HEADER_BYTES: u64 = 16 * 1024;

/// A tree that is mounted: a mount point and a path in it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The mount point.
    pub root: MountName,
    /// The path, empty for all of it.
    pub path: RelPath,
}

impl Volumes {
    /// Copies a tree into a volume that is mounted, unless the volume holds something. The volume's own directory becomes as
    /// the tree's is.
    ///
    /// # Errors
    /// What the archive helper answers.
    pub async fn fill(
        &self,
        by: &Principal,
        from: Tree,
        volume: &InUse,
        subpath: &str,
    ) -> Result<(), Failure> {
        // What a volume shows of the host is the user's own; it is not written unasked.
        let (BindSource::Mounted { at } | BindSource::MountedPath { at, .. }) = &volume.source else {
            return Ok(());
        };
        let inside = match &volume.source {
            BindSource::MountedPath { path, .. } => format!("{path}/{subpath}"),
            _ => subpath.to_owned(),
        };
        let to = Tree {
            root: at.clone(),
            path: RelPath::new(inside.trim_matches('/'))?,
        };
        let archive = &self.helpers.archive;
        match is_empty(archive, by, &to).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        copy(archive, by, &from, &to).await?;
        if !from.path.as_str().is_empty() {
            copy_directory(archive, by, &from, &to).await?;
        }
        Ok(())
    }

    /// Makes a volume's dataset with another one's present content: by the store where it can, else file by file.
    pub(super) async fn begin_as(
        &self,
        by: &Principal,
        volume: &Volume,
        beginning: &Beginning,
    ) -> Result<(), Failure> {
        let (of, label) = match beginning {
            Beginning::Empty => return Ok(()),
            Beginning::Clone { of, label } => (of, label.as_deref()),
            Beginning::Copy { of } => (of, None),
        };
        let origin = naming::volume_dataset(&volume.tenant, of)?;
        let dataset = naming::volume_dataset(&volume.tenant, &volume.name)?;
        let made_up = format!("{CLONE_LABEL_PREFIX}{}", clock::now_ns());
        let label = SnapshotLabel::new(label.unwrap_or(&made_up))?;
        let zfs = &self.helpers.zfs;
        let begun = match beginning {
            Beginning::Copy { .. } => zfs.copy(by, origin, label, dataset.clone()).await,
            Beginning::Clone { .. } | Beginning::Empty => zfs.fork(by, origin, label, dataset.clone()).await,
        };
        match begun {
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => {}
            other => return Ok(other?),
        }
        zfs.create(by, dataset).await?;
        let source = self.enter(by, of, &volume.name).await?;
        let copied = self.copy_volume(by, volume, &source).await;
        self.leave(by, of, &volume.name).await?;
        copied
    }

    async fn copy_volume(&self, by: &Principal, volume: &Volume, source: &InUse) -> Result<(), Failure> {
        let BindSource::Mounted { at } = &source.source else {
            let text = "only a volume without a type can be cloned or copied";
            return Err(Failure::Unsupported(text.to_owned()));
        };
        let whole = |root: &MountName| {
            let path = RelPath::new("")?;
            Ok::<_, Failure>(Tree {
                root: root.clone(),
                path,
            })
        };
        let own = mount_name(&volume.key())?;
        debug_assert_eq!(options_of(volume)?.content, Content::Dataset);
        self.mount(by, volume, &own, &Content::Dataset).await?;
        let copied = copy(&self.helpers.archive, by, &whole(at)?, &whole(&own)?).await;
        self.helpers.mount.unmount(by, own).await?;
        copied
    }
}

async fn pack(archive: &Archive, by: &Principal, tree: &Tree, name: &str) -> Result<Packing, TransportError> {
    let name = RelPath::new(name).map_err(|bad| TransportError::Stream(bad.to_string()))?;
    archive.pack(by, tree.root.clone(), tree.path.clone(), name).await
}

async fn is_empty(archive: &Archive, by: &Principal, tree: &Tree) -> Result<bool, TransportError> {
    let mut packing = pack(archive, by, tree, "").await?;
    let mut first = [0; TAR_BLOCK_BYTES];
    let read = packing.stream.read_exact(&mut first).await;
    let is_empty = first.iter().all(|byte| *byte == 0);
    match packing.finish().await {
        // The worker of a full one is cut off after the first block.
        Err(_) if read.is_ok() => Ok(is_empty),
        other => other.map(|_| is_empty),
    }
}

async fn copy(archive: &Archive, by: &Principal, from: &Tree, to: &Tree) -> Result<(), Failure> {
    let mut packing = pack(archive, by, from, "").await?;
    let extract = extract(to, Whiteouts::Plain);
    let extracted = archive.extract(by, extract, &mut packing.stream).await;
    packing.finish().await?;
    extracted?;
    Ok(())
}

/// Gives a directory the mode, owner and time of another.
async fn copy_directory(archive: &Archive, by: &Principal, from: &Tree, to: &Tree) -> Result<(), Failure> {
    let mut packing = pack(archive, by, from, "x").await?;
    let mut beginning = Vec::new();
    let stream = (&mut packing.stream).take(FIRST_HEADER_BYTES);
    tokio::pin!(stream);
    stream
        .read_to_end(&mut beginning)
        .await
        .map_err(|e| Failure::System(e.to_string()))?;
    // Cut off on purpose: only the first entry counts.
    let _ = packing.finish().await;
    let only = directory_alone(&beginning).map_err(|e| Failure::System(e.to_string()))?;
    // In a layer, and only there, the archive's own `./` sets what the directory is.
    archive
        .extract(by, extract(to, Whiteouts::Apply), Cursor::new(only))
        .await?;
    Ok(())
}

/// A tar stream of one entry, `./`, that has the attributes of the first entry of `beginning`.
fn directory_alone(beginning: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(beginning);
    let first = archive.entries()?.next();
    let first = first.ok_or(std::io::ErrorKind::UnexpectedEof)??;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(first.header().mode()?);
    header.set_uid(first.header().uid()?);
    header.set_gid(first.header().gid()?);
    header.set_mtime(first.header().mtime()?);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "./", std::io::empty())?;
    builder.into_inner()
}

fn extract(to: &Tree, whiteouts: Whiteouts) -> Extract {
    Extract {
        root: to.root.clone(),
        path: to.path.clone(),
        whiteouts,
        replace: Replace::Allowed,
        owner: Owner::FromArchive,
        content_bytes_max: LAYER_CONTENT_BYTES_MAX,
        entries_max: LAYER_ENTRIES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directorys_attributes_are_taken_from_its_first_entry() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o1770);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_size(0);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "x/", std::io::empty()).unwrap();
        let whole = builder.into_inner().unwrap();
        let alone = directory_alone(&whole[..TAR_BLOCK_BYTES]).unwrap();
        let mut archive = tar::Archive::new(&alone[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes().as_ref(), b"./");
        let header = entry.header();
        assert_eq!(
            (
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap()
            ),
            (0o1770, 7, 8, 9)
        );
        assert!(directory_alone(&[]).is_err());
    }
}
