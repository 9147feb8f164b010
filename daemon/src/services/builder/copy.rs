//! `COPY` and `ADD`: sources into a layer's tar, by dockerd's rules for what goes where.

use super::context::{Content, NodeKind, holds_tar};
use super::dockerfile::{Transfer, Verb};
use super::layer::{Layer, Owner, join};
use super::place::{Found, Place};
use super::source::Source;
use super::{BuildError, Deps, blocking};
use crate::kernel::limits::ACCOUNT_FILE_BYTES_MAX;
use crate::services::Failure;
use crate::services::images::Base;
use crate::services::images::{Spool, unpacked};
use std::io::BufReader;

/// Where a transfer goes and how.
#[derive(Debug)]
pub(super) struct Destination {
    /// Absolute, with a slash at its end where the Dockerfile has one.
    pub(super) path: String,
    /// Whom the files will belong to.
    pub(super) owner: Owner,
    /// `--chmod`.
    pub(super) mode: Option<u32>,
}

/// The destination as an absolute path, with its last slash.
pub(super) fn absolute(working_dir: &str, wanted: &str) -> String {
    if wanted.starts_with('/') {
        return wanted.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in working_dir.split('/').chain(wanted.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if wanted.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", parts.join("/"))
}

/// `--chmod`: octal digits.
///
/// # Errors
/// [`Failure::Invalid`] for anything else.
pub(super) fn mode(text: &str) -> Result<Option<u32>, BuildError> {
    if text.is_empty() {
        return Ok(None);
    }
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.map(Some).ok_or_else(|| {
        BuildError::invalid(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        ))
    })
}

/// `--chown`, looked up in the tree below.
///
/// # Errors
/// In dockerd's words where a name is not there.
pub(super) async fn owner(base: &Base, transfer: &Transfer, chown: &str) -> Result<Owner, BuildError> {
    if chown.is_empty() {
        return Ok(if transfer.from.is_empty() {
            Owner::ROOT
        } else {
            Owner::Kept
        });
    }
    let passwd = base.text("etc/passwd", ACCOUNT_FILE_BYTES_MAX).await?;
    let group = base.text("etc/group", ACCOUNT_FILE_BYTES_MAX).await?;
    look_up(&passwd, &group, chown).map_err(|why| {
        let text = format!("unable to convert uid/gid chown string to host mapping: {why}");
        BuildError::from(Failure::System(text))
    })
}

fn look_up(passwd: &str, group: &str, chown: &str) -> Result<Owner, String> {
    let (user, group_wanted) = chown.split_once(':').unwrap_or((chown, chown));
    let find = |file: &str, name: &str, least: usize| {
        let line = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let line = line
            .filter(|fields| fields.len() >= least)
            .find(|fields| fields[0] == name);
        line.and_then(|fields| fields[2].parse::<u32>().ok())
    };
    let uid = user.parse().ok().or_else(|| find(passwd, user, 3));
    let uid = uid.ok_or_else(|| format!("can't find uid for user {user}: no such user: {user}"))?;
    let gid = group_wanted.parse().ok().or_else(|| find(group, group_wanted, 3));
    let gid =
        gid.ok_or_else(|| format!("can't find gid for group {group_wanted}: no such group: {group_wanted}"))?;
    Ok(Owner::Fixed {
        uid: u64::from(uid),
        gid: u64::from(gid),
    })
}

/// Writes the layer of a transfer.
///
/// # Errors
/// In dockerd's words; the layer so far is gone then.
pub(super) async fn layer(
    deps: &Deps,
    base: &Base,
    verb: Verb,
    sources: Vec<Source>,
    to: Destination,
) -> Result<Option<Spool>, BuildError> {
    let beneath = super::context::lexically_clean(&to.path).unwrap_or_default();
    let failed = |error: BuildError| error.within("failed to copy files");
    let place = Place::find(base, &beneath).await.map_err(failed)?;
    let directory = deps.spool_directory();
    blocking(move || {
        let mut copying = Copying {
            layer: Layer::create(&directory)?,
            place,
            to,
        };
        for source in &sources {
            copying
                .source(verb, source)
                .map_err(|error| error.within("failed to copy files"))?;
        }
        copying.layer.finish()
    })
    .await
}

struct Copying {
    layer: Layer,
    place: Place,
    to: Destination,
}

impl Copying {
    fn source(&mut self, verb: Verb, source: &Source) -> Result<(), BuildError> {
        let tree = &source.tree;
        let Some(node) = tree
            .node(&source.path)
            .filter(|node| !matches!(node.kind, NodeKind::Directory))
        else {
            return self.directory(source);
        };
        if let (Verb::Add, NodeKind::File(content), true) = (verb, &node.kind, source.unpacks)
            && holds_tar(tree.content(*content))
        {
            self.become_directory(Owner::ROOT.or_root(), "failed to unpack archive")?;
            return self.unpack(tree.content(*content));
        }
        let is_into = self.to.path.ends_with('/') || self.place.found == Found::Directory;
        if is_into {
            self.become_directory(self.to.owner.or_root(), "failed to create new directory")?;
        } else {
            self.make(&self.place.missing.clone())?;
        }
        let path = if is_into {
            join(&self.place.path, &source.name)
        } else {
            self.place.path.clone()
        };
        self.layer.add(&path, tree, node, self.to.owner, self.to.mode)
    }

    /// A directory's content: the directory itself is the destination.
    fn directory(&mut self, source: &Source) -> Result<(), BuildError> {
        if self.place.found != Found::Directory {
            // What lies above belongs to root; the destination to whom the files belong.
            for path in &self.place.missing {
                self.layer.make_directory(path, Owner::ROOT.or_root())?;
            }
            self.place.missing.clear();
        }
        self.become_directory(self.to.owner.or_root(), "failed to copy directory")?;
        for (path, node) in source.tree.below(&source.path) {
            let relative = path[source.path.len()..].trim_start_matches('/');
            let path = join(&self.place.path, relative);
            self.layer
                .add(&path, &source.tree, node, self.to.owner, self.to.mode)?;
        }
        Ok(())
    }

    /// Makes the destination a directory, with those above it, where it is none.
    fn become_directory(&mut self, owner: (u64, u64), context: &str) -> Result<(), BuildError> {
        if self.place.found == Found::File {
            let text = format!("{context}: mkdir /{}: not a directory", self.place.path);
            return Err(BuildError::from(Failure::System(text)));
        }
        for path in self.place.missing_with_itself() {
            self.layer.make_directory(&path, owner)?;
        }
        self.place.missing.clear();
        self.place.found = Found::Directory;
        Ok(())
    }

    fn make(&mut self, directories: &[String]) -> Result<(), BuildError> {
        directories
            .iter()
            .try_for_each(|path| self.layer.make_directory(path, self.to.owner.or_root()))
    }

    fn unpack(&mut self, content: Content<'_>) -> Result<(), BuildError> {
        let stored = BufReader::with_capacity(128 * 1024, content);
        let plain = unpacked(stored).map_err(|error| BuildError::from(Failure::System(error.to_string())))?;
        self.layer.unpack(&self.place.path, plain)
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
