//! What is fetched for a build: `ADD` of an address, and a context at one (`remote`).

use super::context::{Tree, holds_tar};
use super::{BuildError, blocking};
use crate::kernel::limits::DOCKERFILE_BYTES_MAX;
use crate::services::Failure;
use crate::services::images::{Spool, fetch};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The name of the file that an address gives.
///
/// # Errors
/// Where its path ends in none.
pub(super) fn name_of(address: &str) -> Result<String, BuildError> {
    let bad = |why: String| BuildError::from(Failure::System(why));
    let url = reqwest::Url::parse(address).map_err(|error| bad(format!("{address}: {error}")))?;
    let last = url
        .path_segments()
        .and_then(|mut parts| parts.next_back().map(str::to_owned));
    match last.as_deref() {
        None | Some("" | "." | "..") => Err(bad(format!("cannot determine filename for source {address}"))),
        Some(name) => Ok(name.to_owned()),
    }
}

/// A tree of one file. Blocks.
///
/// # Errors
/// What the file system says.
pub(super) fn tree_of(
    name: &str,
    content: &Path,
    mode: u32,
    modified_s: u64,
    directory: &Path,
) -> Result<Tree, BuildError> {
    Tree::of_tar(tar_of(name, content, mode, modified_s, directory).map_err(broken)?)
}

fn tar_of(name: &str, content: &Path, mode: u32, modified_s: u64, directory: &Path) -> io::Result<Spool> {
    let file = File::open(content)?;
    let (spool, to) = Spool::create(directory)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(file.metadata()?.len());
    header.set_mode(mode);
    header.set_mtime(modified_s);
    let mut tar = tar::Builder::new(BufWriter::new(to));
    tar.append_data(&mut header, name, file)?;
    tar.into_inner()?.flush()?;
    Ok(spool)
}

/// The context at an address: an archive, or a Dockerfile alone.
///
/// # Errors
/// As [`fetch`], and for repositories of git.
pub(super) async fn context(address: &str, directory: &Path) -> Result<Spool, BuildError> {
    if super::source::is_git(address) || !super::source::is_address(address) {
        return Err(BuildError::unsupported(format!(
            "building from a git repository ({address})"
        )));
    }
    let fetched = fetch(address, directory).await?.spool;
    let directory = directory.to_owned();
    blocking(move || {
        if holds_tar(File::open(fetched.path()).map_err(broken)?) {
            return Ok(fetched);
        }
        if std::fs::metadata(fetched.path()).map_err(broken)?.len() > DOCKERFILE_BYTES_MAX {
            let text = format!("a Dockerfile is larger than {DOCKERFILE_BYTES_MAX} bytes");
            return Err(BuildError::invalid(text));
        }
        tar_of("Dockerfile", fetched.path(), 0o644, 0, &directory).map_err(broken)
    })
    .await
}

fn broken(error: io::Error) -> BuildError {
    BuildError::from(Failure::System(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_file() {
        assert_eq!(name_of("http://x/a/b.txt?q=1#f").unwrap(), "b.txt");
        for address in ["http://x", "http://x/", "http://x/a/"] {
            let told = name_of(address).unwrap_err().to_string();
            assert_eq!(told, format!("cannot determine filename for source {address}"));
        }
    }

    #[tokio::test]
    async fn repositories_of_git_are_no_contexts() {
        for address in ["git://x/y", "https://x/y.git#main", "git@x:y", "github.com/x/y"] {
            let told = context(address, Path::new("/nonexistent"))
                .await
                .unwrap_err()
                .to_string();
            assert!(told.starts_with("building from a git repository"), "{told}");
        }
    }
}
