//! A layer's tar being written: files of a tree, directories above them, what an archive holds.

use super::BuildError;
use super::context::{Node, NodeKind, Tree};
use super::entries::{Attributes, Entries, Entry, EntryError, Kind, Special};
use crate::kernel::limits::{LAYER_CONTENT_BYTES_MAX, LAYER_ENTRIES_MAX};
use crate::services::images::Spool;
use crate::services::{Failure, clock};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Names that begin so mean something else in a layer (OCI image-spec, "layer").
const WHITEOUT_PREFIX: &str = ".wh.";
/// Permission bits of directories made on the way, as in dockerd.
const MADE_MODE: u32 = 0o755;

/// Whom copied files belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Whom they belong to where they come from.
    Kept,
    /// These.
    Fixed {
        /// User id.
        uid: u64,
        /// Group id.
        gid: u64,
    },
}

impl Owner {
    /// Root.
    pub(super) const ROOT: Owner = Owner::Fixed { uid: 0, gid: 0 };

    /// Of directories that are made on the way.
    pub(super) fn or_root(self) -> (u64, u64) {
        match self {
            Owner::Kept => (0, 0),
            Owner::Fixed { uid, gid } => (uid, gid),
        }
    }
}

/// A layer under way.
pub(super) struct Layer {
    tar: Builder<BufWriter<File>>,
    spool: Spool,
    entries: u64,
    bytes: u64,
    /// Directories made on the way.
    made: BTreeSet<String>,
}

impl Layer {
    /// An empty one.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn create(directory: &Path) -> Result<Self, BuildError> {
        let (spool, file) = Spool::create(directory).map_err(broken)?;
        let tar = Builder::new(BufWriter::with_capacity(128 * 1024, file));
        Ok(Layer {
            tar,
            spool,
            entries: 0,
            bytes: 0,
            made: BTreeSet::new(),
        })
    }

    /// The whole tar; none where it has no entry.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn finish(self) -> Result<Option<Spool>, BuildError> {
        self.tar
            .into_inner()
            .and_then(|mut file| file.flush())
            .map_err(broken)?;
        Ok(Some(self.spool).filter(|_| self.entries > 0))
    }

    /// Makes a directory on the way; once.
    ///
    /// # Errors
    /// As all of these: a name that a layer cannot have, a limit, what the file system says.
    pub(super) fn make_directory(&mut self, path: &str, (uid, gid): (u64, u64)) -> Result<(), BuildError> {
        if !self.made.insert(path.to_owned()) {
            return Ok(());
        }
        let modified_s = u64::try_from(clock::now_ns() / 1_000_000_000).unwrap_or_default();
        let attributes = Attributes {
            mode: MADE_MODE,
            uid,
            gid,
            modified_s,
            xattrs: Vec::new(),
        };
        self.write(path, &attributes, EntryType::Directory, 0, &mut io::empty())
    }

    /// Adds a node of a tree, without what is below it.
    pub(super) fn add(
        &mut self,
        path: &str,
        tree: &Tree,
        node: &Node,
        owner: Owner,
        mode: Option<u32>,
    ) -> Result<(), BuildError> {
        let mut attributes = node.attributes.clone();
        if let Owner::Fixed { uid, gid } = owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        if let (Some(mode), false) = (mode, matches!(node.kind, NodeKind::Symlink(_))) {
            attributes.mode = mode;
        }
        match &node.kind {
            NodeKind::File(place) => {
                let mut content = tree.content(*place);
                self.write(path, &attributes, EntryType::Regular, place.bytes, &mut content)
            }
            NodeKind::Directory => {
                // Its own attributes count, not those of one made on the way.
                self.made.insert(path.to_owned());
                self.write(path, &attributes, EntryType::Directory, 0, &mut io::empty())
            }
            NodeKind::Symlink(target) => self.link(path, &attributes, EntryType::Symlink, target),
            NodeKind::Special(special) => self.special(path, &attributes, *special),
        }
    }

    /// Adds what an archive holds, below a directory (`ADD`).
    pub(super) fn unpack(&mut self, directory: &str, archive: impl Read) -> Result<(), BuildError> {
        let inside = |path: &str| join(directory, path);
        let mut entries = Entries::new(archive);
        while let Some(Entry {
            path,
            kind,
            attributes,
        }) = entries.next()?
        {
            // The directory itself stays as it is, as dockerd has it.
            if path.is_empty() {
                continue;
            }
            let path = inside(&path);
            match kind {
                Kind::File(bytes) => {
                    self.write(&path, &attributes, EntryType::Regular, bytes, &mut entries)?
                }
                Kind::Directory => {
                    self.write(&path, &attributes, EntryType::Directory, 0, &mut io::empty())?
                }
                Kind::Symlink(target) => self.link(&path, &attributes, EntryType::Symlink, &target)?,
                Kind::HardLink(target) => self.link(&path, &attributes, EntryType::Link, &inside(&target))?,
                Kind::Special(special) => self.special(&path, &attributes, special)?,
            }
        }
        Ok(())
    }

    fn special(&mut self, path: &str, attributes: &Attributes, special: Special) -> Result<(), BuildError> {
        let mut header = self.header(path, attributes, special.entry_type, 0)?;
        header.set_device_major(special.device.0).map_err(broken)?;
        header.set_device_minor(special.device.1).map_err(broken)?;
        self.tar
            .append_data(&mut header, path, io::empty())
            .map_err(broken)
    }

    fn link(
        &mut self,
        path: &str,
        attributes: &Attributes,
        entry_type: EntryType,
        target: &str,
    ) -> Result<(), BuildError> {
        let mut header = self.header(path, attributes, entry_type, 0)?;
        self.tar.append_link(&mut header, path, target).map_err(broken)
    }

    fn write(
        &mut self,
        path: &str,
        attributes: &Attributes,
        entry_type: EntryType,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), BuildError> {
        let mut header = self.header(path, attributes, entry_type, bytes)?;
        let mut content = content.take(bytes);
        self.tar
            .append_data(&mut header, path, &mut content)
            .map_err(broken)?;
        // Less than was announced would shift every entry after it.
        if content.limit() > 0 {
            Err(EntryError::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }

    fn header(
        &mut self,
        path: &str,
        attributes: &Attributes,
        entry_type: EntryType,
        bytes: u64,
    ) -> Result<Header, BuildError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with(WHITEOUT_PREFIX) {
            let text = format!("{path} cannot be part of a layer: its name is that of a whiteout");
            return Err(BuildError::invalid(text));
        }
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.entries > LAYER_ENTRIES_MAX || self.bytes > LAYER_CONTENT_BYTES_MAX {
            let text = format!(
                "a layer has at most {LAYER_ENTRIES_MAX} entries and {LAYER_CONTENT_BYTES_MAX} bytes"
            );
            return Err(BuildError::invalid(text));
        }
        self.xattrs(attributes)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(entry_type);
        header.set_size(bytes);
        header.set_mode(attributes.mode);
        header.set_uid(attributes.uid);
        header.set_gid(attributes.gid);
        header.set_mtime(attributes.modified_s);
        Ok(header)
    }

    fn xattrs(&mut self, attributes: &Attributes) -> Result<(), BuildError> {
        let name = |name: &[u8]| format!("SCHILY.xattr.{}", String::from_utf8_lossy(name));
        let records: Vec<(String, &[u8])> = attributes
            .xattrs
            .iter()
            .map(|(key, value)| (name(key), value.as_slice()))
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        let records = records.iter().map(|(key, value)| (key.as_str(), *value));
        self.tar.append_pax_extensions(records).map_err(broken)
    }
}

/// A path below a directory; either may be the top, which is empty.
pub(super) fn join(directory: &str, path: &str) -> String {
    match (directory, path) {
        ("", path) => path.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, path) => format!("{directory}/{path}"),
    }
}

fn broken(error: io::Error) -> BuildError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => EntryError::UnexpectedEof.into(),
        _ => BuildError::from(Failure::System(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::{Item, tar_of, tree};
    use super::*;

    fn layer() -> Layer {
        Layer::create(&std::env::temp_dir().join("cb-builder-tests")).unwrap()
    }

    fn read(layer: Layer) -> Vec<(String, u32, u64, Kind)> {
        let spool = layer.finish().unwrap().unwrap();
        let bytes = std::fs::read(spool.path()).unwrap();
        let mut entries = Entries::new(&bytes[..]);
        let mut all = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            all.push((
                entry.path,
                entry.attributes.mode,
                entry.attributes.uid,
                entry.kind,
            ));
        }
        all
    }

    #[test]
    fn nodes_keep_or_change_their_owner_and_mode() {
        let tree = tree(&[Item::File("f", "abc"), Item::Link("l", "f"), Item::Directory("d")]);
        let mut layer = layer();
        let owner = Owner::Fixed { uid: 5, gid: 6 };
        layer.make_directory("x", (7, 7)).unwrap();
        layer.make_directory("x", (8, 8)).unwrap();
        layer
            .add("x/f", &tree, tree.node("f").unwrap(), Owner::Kept, None)
            .unwrap();
        layer
            .add("x/g", &tree, tree.node("f").unwrap(), owner, Some(0o600))
            .unwrap();
        layer
            .add("x/l", &tree, tree.node("l").unwrap(), owner, Some(0o600))
            .unwrap();
        layer
            .add("x/d", &tree, tree.node("d").unwrap(), owner, None)
            .unwrap();
        let own = |path: &str, mode, uid, kind| (path.to_owned(), mode, uid, kind);
        assert_eq!(
            read(layer),
            [
                own("x", 0o755, 7, Kind::Directory),
                own("x/f", 0o644, 0, Kind::File(3)),
                own("x/g", 0o600, 5, Kind::File(3)),
                own("x/l", 0o644, 5, Kind::Symlink("f".to_owned())),
                own("x/d", 0o700, 5, Kind::Directory),
            ]
        );
    }

    #[test]
    fn an_archive_is_unpacked_below_a_directory() {
        let mut layer = layer();
        layer
            .unpack(
                "a/b",
                &tar_of(&[Item::File("./x", "1"), Item::Link("s", "/etc")])[..],
            )
            .unwrap();
        let told: Vec<_> = read(layer)
            .into_iter()
            .map(|(path, .., kind)| (path, kind))
            .collect();
        assert_eq!(
            told,
            [
                ("a/b/x".to_owned(), Kind::File(1)),
                ("a/b/s".to_owned(), Kind::Symlink("/etc".to_owned()))
            ]
        );
        let cut = &tar_of(&[Item::File("x", "12345")])[..514];
        assert_eq!(
            super::tests::layer().unpack("", cut).unwrap_err().to_string(),
            "unexpected EOF"
        );
    }

    #[test]
    fn a_name_that_would_remove_something_is_refused() {
        let tree = tree(&[Item::File(".wh.etc", "")]);
        let told = layer().add(
            "d/.wh.etc",
            &tree,
            tree.node(".wh.etc").unwrap(),
            Owner::ROOT,
            None,
        );
        let words = "d/.wh.etc cannot be part of a layer: its name is that of a whiteout";
        assert_eq!(told.unwrap_err().to_string(), words);
    }

    #[test]
    fn a_layer_of_nothing_is_none() {
        assert!(layer().finish().unwrap().is_none());
    }
}
