//! Where a step's files go: a path of the image below, links followed inside it, and what of it is there already.

use super::BuildError;
use super::layer::join;
use crate::services::Failure;
use crate::services::images::Base;
use protocol::archive::{FileKind, PathStat};
use std::collections::VecDeque;

/// Links that are followed for one path: Linux follows 40, Go 255.
const LINKS_MAX: usize = 255;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// Something else.
    File,
}

/// A place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its path, without links; empty for the top.
    pub(super) path: String,
    /// What is there.
    pub(super) found: Found,
    /// Directories on the way that are not there, highest first.
    pub(super) missing: Vec<String>,
}

/// What a tree says about one path.
pub(super) trait Look {
    /// What is there, the last part not followed.
    async fn look(&self, path: &str) -> Result<Option<PathStat>, BuildError>;
}

impl Look for Base {
    async fn look(&self, path: &str) -> Result<Option<PathStat>, BuildError> {
        Ok(self.stat(path).await?)
    }
}

impl Place {
    /// Finds the place of a path, as dockerd follows links: also one that leads to nothing.
    ///
    /// # Errors
    /// [`Failure::System`] where something on the way is no directory.
    pub(super) async fn find(tree: &impl Look, path: &str) -> Result<Self, BuildError> {
        let mut ahead: VecDeque<String> = parts(path);
        let mut place = Place {
            path: String::new(),
            found: Found::Directory,
            missing: Vec::new(),
        };
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            match place.found {
                Found::Directory => {}
                Found::Nothing => place.missing.push(place.path.clone()),
                Found::File => {
                    let text = format!("lstat /{path}: not a directory");
                    return Err(BuildError::from(Failure::System(text)));
                }
            }
            place.path = join(&place.path, &part);
            // Below nothing there is nothing.
            let stat = if place.missing.is_empty() {
                tree.look(&place.path).await?
            } else {
                None
            };
            place.found = match stat {
                None => Found::Nothing,
                Some(stat) => match stat.kind {
                    FileKind::Directory => Found::Directory,
                    FileKind::Symlink => {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(BuildError::from(Failure::System(format!(
                                "too many links in /{path}"
                            ))));
                        }
                        // From the top again, with what the link stands for in its place.
                        let mut next = parts(stat.resolved.as_str());
                        next.append(&mut ahead);
                        ahead = next;
                        place.path = String::new();
                        Found::Directory
                    }
                    FileKind::Regular
                    | FileKind::Fifo
                    | FileKind::Socket
                    | FileKind::CharacterDevice
                    | FileKind::BlockDevice => Found::File,
                },
            };
        }
        Ok(place)
    }

    /// The directories to be made so that this is one.
    pub(super) fn missing_with_itself(&self) -> Vec<String> {
        let itself = (self.found == Found::Nothing).then(|| self.path.clone());
        self.missing.iter().cloned().chain(itself).collect()
    }
}

fn parts(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::names::{RelPath, Text};
    use std::collections::BTreeMap;

    /// Paths with what is there: a directory, a file, or where a link leads.
    struct Fake(BTreeMap<&'static str, Result<FileKind, &'static str>>);

    impl Look for Fake {
        async fn look(&self, path: &str) -> Result<Option<PathStat>, BuildError> {
            Ok(self.0.get(path).map(|what| PathStat {
                kind: what.as_ref().copied().unwrap_or(FileKind::Symlink),
                mode: 0,
                size_bytes: 0,
                modified_s: 0,
                modified_ns: 0,
                link_target: Text::new("").unwrap(),
                resolved: RelPath::new(what.err().unwrap_or(path)).unwrap(),
            }))
        }
    }

    #[tokio::test]
    async fn places_are_found_as_dockerd_finds_them() {
        let tree = Fake(BTreeMap::from([
            ("d", Ok(FileKind::Directory)),
            ("d/f", Ok(FileKind::Regular)),
            ("to-d", Err("d")),
            ("to-new", Err("d/new/er")),
            ("to-top", Err("")),
        ]));
        for (path, at, found, missing) in [
            ("", "", Found::Directory, vec![]),
            ("d", "d", Found::Directory, vec![]),
            ("d/f", "d/f", Found::File, vec![]),
            ("n/o/t", "n/o/t", Found::Nothing, vec!["n", "n/o"]),
            ("d/x", "d/x", Found::Nothing, vec![]),
            ("to-d", "d", Found::Directory, vec![]),
            ("to-d/f", "d/f", Found::File, vec![]),
            ("to-new", "d/new/er", Found::Nothing, vec!["d/new"]),
            (
                "to-new/x",
                "d/new/er/x",
                Found::Nothing,
                vec!["d/new", "d/new/er"],
            ),
            ("to-top/d", "d", Found::Directory, vec![]),
        ] {
            let place = Place::find(&tree, path).await.unwrap();
            let missing = missing.into_iter().map(str::to_owned).collect();
            assert_eq!(
                place,
                Place {
                    path: at.to_owned(),
                    found,
                    missing
                },
                "{path}"
            );
        }
        let told = Place::find(&tree, "d/f/x").await.unwrap_err().to_string();
        assert_eq!(told, "lstat /d/f/x: not a directory");
    }
}
