//! Single paths: what one is, and the content of a small file.

use crate::error::{bad, failed};
use crate::tree::{find, open_file};
use crate::worker::Tally;
use helper_runtime::beneath::{Last, Root};
use protocol::archive::{FileKind, PathStat};
use protocol::names::{RelPath, Text};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::readlinkat;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a path is; itself not followed, its parents followed inside the root.
///
/// # Errors
/// `NotFound` where it or a parent is not there, else what the host says.
pub(crate) fn stat(root: &Root, path: &RelPath) -> Answer<PathStat> {
    let asked = Path::new(path.as_str());
    let lost = |error| missing("statat", asked, error);
    let (place, meta) = find(root, asked).map_err(lost)?;
    let link_target = match place {
        Some((parent, name)) if meta.kind == FileKind::Symlink => {
            let target = readlinkat(parent, name, Vec::new()).map_err(|errno| lost(errno.into()))?;
            Text::cut(&OsStr::from_bytes(target.as_bytes()).to_string_lossy())
        }
        Some(_) | None => Text::cut(""),
    };
    let resolved = root.resolve(asked, Last::Follow).map_err(lost)?;
    let resolved = RelPath::new(resolved.to_string_lossy())
        .map_err(|rule| bad(format!("{path} leads to a path that cannot be told: {rule}")))?;
    Ok(PathStat {
        kind: meta.kind,
        mode: meta.mode,
        size_bytes: meta.size,
        modified_s: meta.modified.seconds,
        modified_ns: meta.modified.nanoseconds,
        link_target,
        resolved,
    })
}

/// Writes the first bytes of a regular file, links followed inside the root.
///
/// # Errors
/// `NotFound` where it is not there, `BadContent` where it is no regular file, else what the host says.
pub(crate) fn read(root: &Root, path: &RelPath, bytes_max: u32, mut sink: impl Write) -> Answer<Tally> {
    let asked = Path::new(path.as_str());
    let lost = |error| missing("openat", asked, error);
    let not_regular = || bad(format!("{path} is not a regular file"));
    let resolved = root.resolve(asked, Last::Follow).map_err(lost)?;
    let (place, meta) = find(root, &resolved).map_err(lost)?;
    // Looked at before it is opened: opening a device can have effects.
    let place = place.filter(|_| meta.kind == FileKind::Regular);
    let (parent, name) = place.ok_or_else(not_regular)?;
    let opened = open_file(&parent, &name).map_err(|errno| lost(errno.into()))?;
    let (content, _) = opened.ok_or_else(not_regular)?;
    let copied = std::io::copy(&mut content.take(u64::from(bytes_max)), &mut sink);
    let content_bytes = copied.map_err(failed("read", asked))?;
    Ok(Tally {
        entries: 1,
        content_bytes,
    })
}

/// A path with a file in its middle does not exist either.
fn missing(step: &str, path: &Path, error: std::io::Error) -> HelperError {
    let mut told = failed(step, path)(error);
    if told.errno == Some(Errno::NOTDIR.raw_os_error()) {
        told.code = ErrorCode::NotFound;
    }
    told
}
