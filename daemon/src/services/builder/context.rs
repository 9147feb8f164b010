//! A tree of files that lies in a spooled tar: the build context, or what `COPY --from` takes.
//!
//! The archive is walked once: each file's place and digest are noted, and its content is read in place when it is copied.
//! Links are followed inside the tree, as dockerd does; no path leads out of it.

use super::BuildError;
use super::entries::{Attributes, Entries, Entry, EntryError, Kind, Special};
use super::glob::is_ignored;
use crate::kernel::limits::LAYER_CONTENT_BYTES_MAX;
use crate::services::Failure;
use crate::services::images::{Spool, is_compressed, unpacked};
use crate::services::naming::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Entries of one context or copied tree: they are kept in memory, some 300 bytes each. The largest source trees have
/// some 100,000 files.
const TREE_ENTRIES_MAX: usize = 1_000_000;
/// Bytes of a tree's tar, decompressed: files plus a header and padding for each entry.
const TREE_BYTES_MAX: u64 = LAYER_CONTENT_BYTES_MAX + TREE_ENTRIES_MAX as u64 * 1024;
/// Links that are followed for one path: Linux follows 40, Go 255.
const LINKS_MAX: usize = 255;
/// Bytes of a `.dockerignore`; one over it cannot leave the Dockerfile out.
const IGNORE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The file that says what a context does not hold.
const IGNORE_FILE: &str = ".dockerignore";
/// Permission bits of directories that the archive does not name.
const IMPLIED_MODE: u32 = 0o755;

/// What is at a path.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: NodeKind,
    /// The rest.
    pub(super) attributes: Attributes,
}

/// Kinds of nodes.
#[derive(Debug, Clone)]
pub(super) enum NodeKind {
    /// A regular file: where its content is.
    File(Place),
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(String),
    /// A pipe or device.
    Special(Special),
}

/// Where a file's content is in the tree's archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Where it begins.
    start: u64,
    /// How many bytes it has.
    pub(super) bytes: u64,
    digest: [u8; 32],
}

/// Why a path leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// There is nothing.
    Missing,
    /// It leads out of the tree, or through something that is no directory.
    Forbidden,
}

/// A tree.
#[derive(Debug)]
pub(super) struct Tree {
    file: File,
    /// By path. The top, whose path is empty, is not among them.
    nodes: BTreeMap<String, Node>,
    /// Keeps the file.
    _spool: Spool,
}

impl Tree {
    /// Reads an uploaded context, which may be compressed. Blocks.
    ///
    /// # Errors
    /// In dockerd's words where the archive is at fault.
    pub(super) fn of_upload(upload: Spool, directory: &Path) -> Result<Self, BuildError> {
        let mut stored = BufReader::new(File::open(upload.path()).map_err(broken)?);
        let beginning = stored.fill_buf().map_err(broken)?;
        if !is_compressed(beginning) {
            return Self::of_tar(upload);
        }
        let (spool, mut plain) = Spool::create(directory).map_err(broken)?;
        let mut unpacked = unpacked(stored).map_err(broken)?.take(TREE_BYTES_MAX + 1);
        if io::copy(&mut unpacked, &mut plain).map_err(broken)? > TREE_BYTES_MAX {
            let text = format!("the build context is larger than {TREE_BYTES_MAX} bytes");
            return Err(BuildError::invalid(text));
        }
        Self::of_tar(spool)
    }

    /// Reads a plain tar. Blocks.
    ///
    /// # Errors
    /// As [`Tree::of_upload`].
    pub(super) fn of_tar(spool: Spool) -> Result<Self, BuildError> {
        let file = File::open(spool.path()).map_err(broken)?;
        let mut tree = Tree {
            file,
            nodes: BTreeMap::new(),
            _spool: spool,
        };
        let reader = tree.file.try_clone().map_err(broken)?;
        let mut entries = Entries::new(BufReader::with_capacity(128 * 1024, reader));
        while let Some(entry) = entries.next()? {
            tree.add(entry, &mut entries)?;
            if tree.nodes.len() > TREE_ENTRIES_MAX {
                let text = format!("the build context has more than {TREE_ENTRIES_MAX} entries");
                return Err(BuildError::invalid(text));
            }
        }
        Ok(tree)
    }

    fn add(&mut self, entry: Entry, content: &mut Entries<impl Read>) -> Result<(), BuildError> {
        let Entry {
            path,
            kind,
            attributes,
        } = entry;
        if path.is_empty() {
            return Ok(());
        }
        let node = match kind {
            Kind::File(bytes) => {
                let start = content.position();
                Node {
                    kind: NodeKind::File(Place {
                        start,
                        bytes,
                        digest: digest_of(content)?,
                    }),
                    attributes,
                }
            }
            Kind::HardLink(target) => match self.nodes.get(&target) {
                Some(linked) if !matches!(linked.kind, NodeKind::Directory) => linked.clone(),
                Some(_) | None => return Err(EntryError::Name(target).into()),
            },
            Kind::Symlink(target) => Node {
                kind: NodeKind::Symlink(target),
                attributes,
            },
            Kind::Directory => Node {
                kind: NodeKind::Directory,
                attributes,
            },
            Kind::Special(special) => Node {
                kind: NodeKind::Special(special),
                attributes,
            },
        };
        self.imply_directories(&path)?;
        let is_directory = matches!(node.kind, NodeKind::Directory);
        if let Some(before) = self.nodes.insert(path.clone(), node)
            && matches!(before.kind, NodeKind::Directory)
            && !is_directory
        {
            let below: Vec<String> = self.below(&path).map(|(path, _)| path.to_owned()).collect();
            below.iter().for_each(|path| drop(self.nodes.remove(path)));
        }
        Ok(())
    }

    /// Directories above a path that the archive does not name. One cannot lie below a file or link of the archive.
    fn imply_directories(&mut self, path: &str) -> Result<(), BuildError> {
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            match self.nodes.get(above).map(|node| &node.kind) {
                Some(NodeKind::Directory) => {}
                Some(_) => return Err(EntryError::Name(path.to_owned()).into()),
                None => {
                    let attributes = Attributes {
                        mode: IMPLIED_MODE,
                        ..Attributes::default()
                    };
                    self.nodes.insert(
                        above.to_owned(),
                        Node {
                            kind: NodeKind::Directory,
                            attributes,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    /// The path that a path leads to, links followed; empty for the top.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) fn resolve(&self, path: &str) -> Result<String, Lost> {
        let clean = lexically_clean(path).ok_or(Lost::Forbidden)?;
        let mut ahead: VecDeque<String> = parts(&clean);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                // Only links have these; above the top is the top.
                done.pop();
                continue;
            }
            done.push(part);
            match &self.nodes.get(&done.join("/")).ok_or(Lost::Missing)?.kind {
                NodeKind::Directory => {}
                NodeKind::Symlink(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Lost::Missing);
                    }
                    done.pop();
                    if target.starts_with('/') {
                        done.clear();
                    }
                    let mut next = parts(target);
                    next.append(&mut ahead);
                    ahead = next;
                }
                NodeKind::File(_) | NodeKind::Special(_) if ahead.is_empty() => {}
                NodeKind::File(_) | NodeKind::Special(_) => return Err(Lost::Forbidden),
            }
        }
        Ok(done.join("/"))
    }

    /// What is at a path, links not followed; nothing for the top, which is a directory.
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Everything, in an order in which directories come before what is in them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Everything below a directory.
    pub(super) fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let range = self.nodes.range(prefix.clone()..);
        range
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, node)| (path.as_str(), node))
    }

    /// A file's content.
    pub(super) fn content(&self, place: Place) -> Content<'_> {
        Content {
            file: &self.file,
            at: place.start,
            left: place.bytes,
        }
    }

    /// A small file's content, links followed; none where there is no such file.
    ///
    /// # Errors
    /// [`Lost::Forbidden`], or what reading says. A file over the limit is an error.
    pub(super) fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, BuildError> {
        let resolved = match self.resolve(path) {
            Ok(resolved) => resolved,
            Err(Lost::Missing) => return Ok(None),
            Err(Lost::Forbidden) => return Err(BuildError::from(Failure::System(forbidden(path)))),
        };
        let Some(NodeKind::File(place)) = self.node(&resolved).map(|node| &node.kind) else {
            return Ok(None);
        };
        if place.bytes > bytes_max {
            return Err(BuildError::invalid(format!(
                "{path} is larger than {bytes_max} bytes"
            )));
        }
        let mut bytes = Vec::new();
        self.content(*place).read_to_end(&mut bytes).map_err(broken)?;
        Ok(Some(bytes))
    }

    /// What dockerd does with `.dockerignore` of an uploaded context: clients send the Dockerfile and this file even where
    /// it leaves them out, so these two are taken out here; everything else is the client's to leave out.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn apply_ignore_file(&mut self, dockerfile: &str) -> Result<(), BuildError> {
        let Some(rules) = self.read(IGNORE_FILE, IGNORE_FILE_BYTES_MAX)? else {
            return Ok(());
        };
        let rules = String::from_utf8_lossy(&rules).into_owned();
        for path in [IGNORE_FILE, dockerfile] {
            let path = lexically_clean(path).unwrap_or_default();
            if is_ignored(&rules, &path) {
                self.nodes.remove(&path);
            }
        }
        Ok(())
    }
}

impl Node {
    /// What tells two nodes apart for the cache: everything but the time, and the owner only where it is kept.
    pub(super) fn digest(&self, keeps_owner: bool) -> String {
        let mut hash = Sha256::new();
        let attributes = &self.attributes;
        let mut part = |name: &str, bytes: &[u8]| {
            hash.update(format!("{name} {} ", bytes.len()));
            hash.update(bytes);
        };
        part("mode", &attributes.mode.to_le_bytes());
        if keeps_owner {
            part(
                "owner",
                &[attributes.uid.to_le_bytes(), attributes.gid.to_le_bytes()].concat(),
            );
        }
        for (name, value) in &attributes.xattrs {
            part("xattr", name);
            part("value", value);
        }
        match &self.kind {
            NodeKind::File(place) => part("file", &place.digest),
            NodeKind::Directory => part("directory", &[]),
            NodeKind::Symlink(target) => part("link", target.as_bytes()),
            NodeKind::Special(Special { entry_type, device }) => {
                part("special", &[entry_type.as_byte()]);
                part(
                    "device",
                    &[device.0.to_le_bytes(), device.1.to_le_bytes()].concat(),
                );
            }
        }
        hex(&hash.finalize())
    }
}

/// A file's content being read.
#[derive(Debug)]
pub(super) struct Content<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Whether a stream is a tar, plain or compressed: dockerd looks at its first header.
pub(super) fn holds_tar(stored: impl Read) -> bool {
    let Ok(plain) = unpacked(BufReader::with_capacity(1024, stored)) else {
        return false;
    };
    let first = Entries::new(plain).next();
    matches!(first, Ok(Some(entry)) if !matches!(entry.kind, Kind::HardLink(_)))
}

/// dockerd's words for a path that leads out of a context.
pub(super) fn forbidden(path: &str) -> String {
    format!("forbidden path outside the build context: {path} ()")
}

/// A path of a Dockerfile without `.`, `..` and empty parts; none where it leads out.
pub(super) fn lexically_clean(path: &str) -> Option<String> {
    let mut clean: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                clean.pop()?;
            }
            part => clean.push(part),
        }
    }
    Some(clean.join("/"))
}

fn parts(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .map(str::to_owned)
        .collect()
}

fn digest_of(content: &mut Entries<impl Read>) -> Result<[u8; 32], BuildError> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 128 * 1024];
    loop {
        match content.read(&mut chunk).map_err(EntryError::from)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&chunk[..count]),
        }
    }
}

fn broken(error: io::Error) -> BuildError {
    BuildError::from(Failure::System(error.to_string()))
}

#[cfg(test)]
#[path = "context_tests.rs"]
pub(super) mod tests;
