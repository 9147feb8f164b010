//! The kernel's table of mounts (proc_pid_mountinfo(5)).
#![forbid(unsafe_code)]

use protocol::mount::Join;
use protocol::{Answer, ErrorCode, HelperError};
use std::ffi::OsString;
use std::io::Result;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Where.
    pub(super) point: PathBuf,
    /// The file system's type.
    pub(super) kind: String,
    /// Other mounts share what is mounted below.
    pub(super) is_shared: bool,
    /// What is mounted below another mount is mounted here too.
    pub(super) is_slave: bool,
}

/// Whether the mount that a path lies on can be joined so.
///
/// # Errors
/// `BadContent` in dockerd's words.
pub(super) fn judge_join(path: &Path, join: Join) -> Answer<()> {
    let rows = read().map_err(|e| HelperError::system("read the table of mounts", &e))?;
    judge_join_in(&rows, path, join)
}

fn judge_join_in(rows: &[Row], path: &Path, join: Join) -> Answer<()> {
    let holding = rows.iter().filter(|row| path.starts_with(&row.point));
    // Of several on top of each other the last is seen.
    let Some(row) = holding.max_by_key(|row| row.point.components().count()) else {
        return Ok(());
    };
    let (is_fit, kind) = match join {
        Join::Shared | Join::SharedThroughout => (row.is_shared, "shared"),
        Join::Slave => (row.is_shared || row.is_slave, "shared or slave"),
    };
    if is_fit {
        return Ok(());
    }
    let (path, point) = (path.display(), row.point.display());
    Err(HelperError::new(
        ErrorCode::BadContent,
        format!("path {path} is mounted on {point} but it is not a {kind} mount"),
    ))
}

/// All mounts of this mount namespace.
pub(super) fn read() -> Result<Vec<Row>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

fn parse(table: &[u8]) -> Vec<Row> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// A line is `id parent major:minor root point options [tag…] - type source options`.
fn parse_line(line: &[u8]) -> Option<Row> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = words.iter().position(|word| *word == b"-")?;
    let (point, kind) = (words.get(4)?, words.get(dash + 1)?);
    let has_tag = |name: &[u8]| words[..dash].iter().skip(6).any(|tag| tag.starts_with(name));
    Some(Row {
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
        is_shared: has_tag(b"shared:"),
        is_slave: has_tag(b"master:"),
    })
}

/// Space, tab, newline, backslash and `#` stand as a backslash and three octal digits.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        match (first, octal(after)) {
            (b'\\', Some((byte, after))) => {
                plain.push(byte);
                rest = after;
            }
            (byte, _) => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

fn octal(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = digits.split_at_checked(3)?;
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
    Some((byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(point: &str, kind: &str) -> Row {
        Row {
            point: PathBuf::from(point),
            kind: kind.to_owned(),
            is_shared: false,
            is_slave: false,
        }
    }

    #[test]
    fn tags_between_options_and_dash_are_skipped() {
        let table = b"25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw\n\
                      27 1 254:0 / / rw shared:1 master:2 - ext4 /dev/vda rw\n\
                      31 27 0:40 / /b/mnt/c-1 rw - overlay - rw,upperdir=/x\n";
        assert_eq!(
            parse(table),
            [
                row("/dev/shm", "tmpfs"),
                Row {
                    is_shared: true,
                    is_slave: true,
                    ..row("/", "ext4")
                },
                row("/b/mnt/c-1", "overlay")
            ]
        );
    }

    #[test]
    fn only_what_lies_on_a_shared_mount_can_be_joined() {
        let table = b"1 0 8:0 / / rw - ext4 /dev/vda rw\n\
                      2 1 8:1 / /srv rw shared:1 - ext4 /dev/vdb rw\n\
                      3 2 8:2 / /srv/a rw master:1 - ext4 /dev/vdc rw\n";
        let judged =
            |path: &str, join| judge_join_in(&parse(table), Path::new(path), join).map_err(|e| e.detail);
        assert!(judged("/srv/b", Join::SharedThroughout).is_ok());
        assert!(judged("/srv/b", Join::Slave).is_ok());
        assert!(judged("/srv/a/x", Join::Slave).is_ok());
        for (path, join, words) in [
            (
                "/home",
                Join::Shared,
                "path /home is mounted on / but it is not a shared mount",
            ),
            (
                "/srv/a/x",
                Join::Shared,
                "path /srv/a/x is mounted on /srv/a but it is not a shared mount",
            ),
            (
                "/home",
                Join::Slave,
                "path /home is mounted on / but it is not a shared or slave mount",
            ),
        ] {
            assert_eq!(judged(path, join).unwrap_err().as_str(), words);
        }
    }

    #[test]
    fn escaped_bytes_are_themselves_again() {
        let table = br"1 2 0:1 / /a\040b\011c\012d\134e\043f rw - tmpfs t rw";
        assert_eq!(parse(table), [row("/a b\tc\nd\\e#f", "tmpfs")]);
        assert_eq!(unescape(br"a\04"), br"a\04");
        assert_eq!(unescape(br"a\999"), br"a\999");
    }

    #[test]
    fn a_line_cut_short_is_no_mount() {
        assert_eq!(parse(b"1 2 0:1 / /a rw"), []);
        assert_eq!(parse(b"1 2 0:1"), []);
        assert_eq!(parse(b""), []);
    }
}
