//! The kernel's table of mounts (proc_pid_mountinfo(5)).
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Result;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Where.
    pub(super) point: PathBuf,
    /// The file system's type.
    pub(super) kind: String,
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
    let mut words = line.split(|byte| *byte == b' ');
    let point = words.nth(4)?;
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    Some(Row {
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
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
                row("/", "ext4"),
                row("/b/mnt/c-1", "overlay")
            ]
        );
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
