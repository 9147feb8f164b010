//! What `COPY` and `ADD` take: paths and patterns of the context, or of another image's tree.

use super::BuildError;
use super::context::{Lost, NodeKind, Tree, forbidden, lexically_clean};
use super::dockerfile::Verb;
use super::glob::{Glob, is_pattern};
use super::{Deps, blocking};
use crate::services::Failure;
use crate::services::images::Base;
use crate::services::images::Spool;
use crate::services::naming::hex;
use protocol::archive::FileKind;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// One thing to be copied.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Where it is.
    pub(super) tree: Arc<Tree>,
    /// Its path there, links followed; empty for the top.
    pub(super) path: String,
    /// The last part of its name as it was asked for, which a copied link gives to the file that it leads to.
    pub(super) name: String,
    /// What it is, for the history and the cache.
    pub(super) hash: String,
    /// Whether `ADD` unpacks it where it is an archive: not what it fetched itself.
    pub(super) unpacks: bool,
}

/// Where sources are looked for.
pub(super) enum Origin<'a> {
    /// The build context.
    Context(&'a Arc<Tree>),
    /// An image's tree; owners are kept.
    Image(&'a Base),
}

/// Finds everything that an instruction's sources (already expanded) mean, in order.
///
/// # Errors
/// In dockerd's words.
pub(super) async fn find(
    deps: &Deps,
    verb: Verb,
    origin: &Origin<'_>,
    asked: &[String],
    keeps_owner: bool,
) -> Result<Vec<Source>, BuildError> {
    let mut found = Vec::new();
    for path in asked {
        refuse_address(verb, path)?;
        let path = path.trim_start_matches('/');
        let clean =
            lexically_clean(path).ok_or_else(|| BuildError::from(Failure::System(forbidden(path))))?;
        let sources = match origin {
            Origin::Context(tree) if is_pattern(path) => matching(tree, path, keeps_owner)?,
            Origin::Context(tree) => vec![one(tree, path, keeps_owner).map_err(|lost| {
                let missing = "file not found in build context or excluded by .dockerignore";
                told(path, lost, |text| format!("{missing}: {text}"))
            })?],
            Origin::Image(base) if is_pattern(path) => image_matching(deps, base, path, keeps_owner).await?,
            Origin::Image(base) => {
                let source = image_one(deps, base, &clean, path, keeps_owner).await?;
                vec![source.ok_or_else(|| told(&clean, Lost::Missing, |text| text))?]
            }
        };
        found.extend(sources);
    }
    Ok(found)
}

fn refuse_address(verb: Verb, path: &str) -> Result<(), BuildError> {
    match verb {
        Verb::Copy if is_address(path) => Err(BuildError::from(Failure::System(
            "source can't be a URL for COPY".to_owned(),
        ))),
        Verb::Add if is_git(path) => Err(BuildError::unsupported(format!(
            "ADD of a git repository ({path})"
        ))),
        Verb::Copy | Verb::Add => Ok(()),
    }
}

/// Whether something is fetched rather than found.
pub(super) fn is_address(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// Whether something is a repository of git, by BuildKit's rule for `ADD`.
pub(super) fn is_git(path: &str) -> bool {
    let begins = ["git://", "ssh://", "git@"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    let without_part = path.split('#').next().unwrap_or_default();
    begins || is_address(path) && without_part.ends_with(".git")
}

fn told(path: &str, lost: Lost, words: impl Fn(String) -> String) -> BuildError {
    BuildError::from(Failure::System(match lost {
        Lost::Missing => words(format!("stat {path}: file does not exist")),
        Lost::Forbidden => forbidden(path),
    }))
}

/// Everything that a pattern fits; a link that leads nowhere is an error, as in dockerd.
fn matching(tree: &Arc<Tree>, pattern: &str, keeps_owner: bool) -> Result<Vec<Source>, BuildError> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let Some(glob) = Glob::of_copy(pattern) else {
        return Ok(Vec::new());
    };
    let fitting = tree.all().filter(|(path, _)| glob.fits(path));
    let sources = fitting.map(|(path, _)| {
        one(tree, path, keeps_owner).map_err(|lost| {
            let missing = "file not found in build context or excluded by .dockerignore";
            told(path, lost, |text| format!("{missing}: {text}"))
        })
    });
    sources.collect()
}

fn one(tree: &Arc<Tree>, asked: &str, keeps_owner: bool) -> Result<Source, Lost> {
    let path = tree.resolve(asked)?;
    let clean = lexically_clean(asked).unwrap_or_default();
    let name = clean.rsplit('/').next().unwrap_or_default().to_owned();
    let hash = hash(tree, &path, keeps_owner);
    Ok(Source {
        tree: Arc::clone(tree),
        path,
        name,
        hash,
        unpacks: true,
    })
}

pub(super) fn hash(tree: &Tree, path: &str, keeps_owner: bool) -> String {
    match tree
        .node(path)
        .filter(|node| !matches!(node.kind, NodeKind::Directory))
    {
        Some(node) => format!("file:{}", node.digest(keeps_owner)),
        None => {
            let mut all = Sha256::new();
            for (below, node) in tree.below(path) {
                let relative = below[path.len()..].trim_start_matches('/');
                all.update(format!(
                    "{} {} {relative}\n",
                    node.digest(keeps_owner),
                    relative.len()
                ));
            }
            format!("dir:{}", hex(&all.finalize()))
        }
    }
}

/// Several things as one, as in dockerd.
pub(super) fn hash_of(sources: &[Source]) -> String {
    match sources {
        [one] => one.hash.clone(),
        several => {
            let all: Vec<&str> = several.iter().map(|source| source.hash.as_str()).collect();
            format!("multi:{}", hex(&Sha256::digest(all.join(","))))
        }
    }
}

/// One path of an image; none where nothing is there. `asked` is as the Dockerfile has it, for its last part.
async fn image_one(
    deps: &Deps,
    base: &Base,
    clean: &str,
    asked: &str,
    keeps_owner: bool,
) -> Result<Option<Source>, BuildError> {
    let path = match base.stat(clean).await? {
        None if clean.is_empty() => String::new(),
        None => return Ok(None),
        Some(stat) if stat.kind == FileKind::Symlink => stat.resolved.as_str().to_owned(),
        Some(_) => clean.to_owned(),
    };
    let Some(tree) = fetch(deps, base, &path).await? else {
        return Ok(None);
    };
    let name = asked
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    // Directories above may have been links, which the archive's names do not have.
    let hash = hash(&tree, &path, keeps_owner);
    Ok(Some(Source {
        tree,
        path,
        name,
        hash,
        unpacks: true,
    }))
}

/// Everything of an image that a pattern fits. What links lead to is fetched one by one: it may lie elsewhere.
async fn image_matching(
    deps: &Deps,
    base: &Base,
    pattern: &str,
    keeps_owner: bool,
) -> Result<Vec<Source>, BuildError> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let above = pattern
        .split('/')
        .take_while(|part| !is_pattern(part))
        .collect::<Vec<_>>()
        .join("/");
    let Some(tree) = fetch(deps, base, &above).await? else {
        return Ok(Vec::new());
    };
    let Some(glob) = Glob::of_copy(pattern) else {
        return Ok(Vec::new());
    };
    let mut sources = Vec::new();
    for (path, node) in tree.all().filter(|(path, _)| glob.fits(path)) {
        if matches!(node.kind, NodeKind::Symlink(_)) {
            let source = image_one(deps, base, path, path, keeps_owner).await?;
            sources.push(source.ok_or_else(|| told(path, Lost::Missing, |text| text))?);
        } else {
            sources.push(one(&tree, path, keeps_owner).map_err(|lost| told(path, lost, |text| text))?);
        }
    }
    Ok(sources)
}

/// A part of an image's tree; none where nothing is there.
async fn fetch(deps: &Deps, base: &Base, path: &str) -> Result<Option<Arc<Tree>>, BuildError> {
    let io = |error: std::io::Error| BuildError::from(Failure::System(error.to_string()));
    let (spool, file) = Spool::create(&deps.spool_directory()).map_err(io)?;
    if let Some(mut packing) = base.pack(path).await? {
        let mut file = tokio::fs::File::from_std(file);
        let copied = tokio::io::copy(&mut packing.stream, &mut file).await;
        match packing.finish().await {
            Err(error) if error.is_not_found() => return Ok(None),
            packed => packed?,
        };
        copied.map_err(io)?;
        file.flush().await.map_err(io)?;
    }
    blocking(move || Tree::of_tar(spool).map(|tree| Some(Arc::new(tree)))).await
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::{Item, tree};
    use super::*;

    fn sample() -> Arc<Tree> {
        Arc::new(tree(&[
            Item::File("a.txt", "A"),
            Item::File("b.txt", "B"),
            Item::File("sub/x", "X"),
            Item::File("sub/y.txt", "Y"),
            Item::Link("ln", "a.txt"),
            Item::Link("bad", "nowhere"),
        ]))
    }

    #[test]
    fn patterns_find_what_dockerd_finds() {
        for (pattern, found) in [
            ("*.txt", vec!["a.txt", "b.txt"]),
            ("./*.txt", vec!["a.txt", "b.txt"]),
            ("sub/*", vec!["sub/x", "sub/y.txt"]),
            ("s?b/*.txt", vec!["sub/y.txt"]),
            ("[ab].txt", vec!["a.txt", "b.txt"]),
            ("nope*", vec![]),
            ("[z", vec![]),
        ] {
            let sources = matching(&sample(), pattern, false).unwrap();
            assert_eq!(
                sources.iter().map(|s| s.path.as_str()).collect::<Vec<_>>(),
                found,
                "{pattern}"
            );
        }
        let link = matching(&sample(), "l*", false).unwrap();
        assert_eq!((link[0].path.as_str(), link[0].name.as_str()), ("a.txt", "ln"));
        assert_eq!(
            matching(&sample(), "b*", false).unwrap_err().to_string(),
            "file not found in build context or excluded by .dockerignore: stat bad: file does not exist"
        );
    }

    #[test]
    fn hashes_tell_what_is_copied() {
        let tree = sample();
        let hash = |path: &str| one(&tree, path, false).unwrap().hash;
        assert!(hash("a.txt").starts_with("file:") && hash("sub").starts_with("dir:"));
        assert_eq!(hash("ln"), hash("a.txt"));
        assert_ne!(hash("."), hash("sub"));
        let two: Vec<Source> = ["a.txt", "b.txt"]
            .map(|path| one(&tree, path, false).unwrap())
            .into();
        assert!(hash_of(&two).starts_with("multi:"));
        assert_eq!(hash_of(&two[..1]), hash("a.txt"));
        // The same files under other names are another directory.
        let other = Arc::new(super::super::context::tests::tree(&[Item::File("sub/z", "X")]));
        assert_ne!(one(&other, "sub", false).unwrap().hash, hash("sub"));
    }

    #[test]
    fn addresses_are_refused() {
        let told = |verb, path| refuse_address(verb, path).map_err(|error| error.to_string());
        assert_eq!(
            told(Verb::Copy, "http://x/y"),
            Err("source can't be a URL for COPY".to_owned())
        );
        for git in ["git@x:y", "https://x/y.git", "https://x/y.git#main:folder"] {
            assert!(
                told(Verb::Add, git)
                    .unwrap_err()
                    .contains("ADD of a git repository")
            );
        }
        assert!(told(Verb::Add, "https://x/y").is_ok());
        assert!(told(Verb::Copy, "git@x:y").is_ok());
    }
}
