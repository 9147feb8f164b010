//! Judging the names that an archive gives.

use crate::error::{bad, quoted};
use protocol::limits::PATH_BYTES_MAX;
use protocol::{Answer, HelperError};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The name as a relative path without `.`, `..` and empty parts; empty for the directory itself. A leading `/` is
/// dropped and `..` may not lead out, both as dockerd has it.
///
/// # Errors
/// `BadContent` for an empty name, one that leads out, or one that is longer than a path can be.
pub(super) fn clean(name: &[u8]) -> Answer<PathBuf> {
    if name.is_empty() {
        return Err(invalid(name));
    }
    inside(name).ok_or_else(|| invalid(name))
}

/// The target of a hard link, as a path relative to where names are.
///
/// # Errors
/// `BadContent` for a target that leads out or names the directory itself.
pub(super) fn clean_hard_link(target: &[u8]) -> Answer<PathBuf> {
    let inside = inside(target).filter(|path| !path.as_os_str().is_empty());
    inside.ok_or_else(|| bad(format!("invalid hardlink target {}", quoted(target))))
}

/// The refusal of an entry's name.
pub(super) fn invalid(name: &[u8]) -> HelperError {
    bad(format!("invalid entry name {}", quoted(name)))
}

fn inside(name: &[u8]) -> Option<PathBuf> {
    // Headers cut names at a NUL and records with one are refused; this is the last place to notice one.
    if name.len() > PATH_BYTES_MAX || name.contains(&0) {
        return None;
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if !path.pop() {
                    return None;
                }
            }
            _ => path.push(OsStr::from_bytes(part)),
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_stay_inside() {
        let cases = [
            ("a/b", "a/b"),
            ("/etc//./x/", "etc/x"),
            ("a/../b", "b"),
            ("./", ""),
            ("a/..", ""),
            ("...", "..."),
        ];
        for (name, wanted) in cases {
            assert_eq!(clean(name.as_bytes()).unwrap(), Path::new(wanted), "{name}");
        }
        let long = vec![b'/'; PATH_BYTES_MAX + 1];
        for name in [&b""[..], b"..", b"../x", b"a/../../x", b"/../x", b"a\0b", &long] {
            let error = clean(name).unwrap_err();
            assert!(
                error.detail.as_str().starts_with("invalid entry name \""),
                "{error}"
            );
        }
    }

    #[test]
    fn hard_link_targets_stay_inside() {
        assert_eq!(clean_hard_link(b"/etc/passwd").unwrap(), Path::new("etc/passwd"));
        for target in [&b"../../etc/hostname"[..], b"", b".", b"a/../.."] {
            assert!(clean_hard_link(target).is_err());
        }
        let error = clean_hard_link(b"../../etc/hostname").unwrap_err();
        assert_eq!(
            error.detail.as_str(),
            "invalid hardlink target \"../../etc/hostname\""
        );
    }
}
