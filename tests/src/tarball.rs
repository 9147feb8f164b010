//! Tar archives, also such as no honest program makes (POSIX.1-2017 pax, "ustar Interchange Format").

/// Bytes of a record.
const RECORD_BYTES: usize = 512;

/// An entry's type flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A second name of an entry before it.
    HardLink,
    /// A symbolic link.
    Link,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Pipe,
}

impl Kind {
    fn flag(self) -> u8 {
        match self {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Link => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Pipe => b'6',
        }
    }
}

/// One entry, to be changed before it is added.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Its path, as it shall stand in the archive.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Where a link leads.
    pub target: &'a str,
    /// Device numbers.
    pub device: (u32, u32),
    /// Content of a file.
    pub content: &'a [u8],
}

impl<'a> Entry<'a> {
    /// An entry of root's without content.
    pub fn new(kind: Kind, name: &'a str) -> Entry<'a> {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        Entry {
            name,
            kind,
            mode,
            owner: (0, 0),
            target: "",
            device: (0, 0),
            content: b"",
        }
    }
}

/// An archive that is being written.
#[derive(Debug, Default, Clone)]
pub struct Tarball(Vec<u8>);

impl Tarball {
    /// An empty one.
    pub fn new() -> Tarball {
        Tarball::default()
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Tarball {
        self.entry(&Entry {
            content: content.as_ref(),
            ..Entry::new(Kind::File, name)
        })
    }

    /// Adds a file that may be executed.
    #[must_use]
    pub fn program(self, name: &str, content: impl AsRef<[u8]>) -> Tarball {
        self.entry(&Entry {
            content: content.as_ref(),
            mode: 0o755,
            ..Entry::new(Kind::File, name)
        })
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Tarball {
        self.entry(&Entry::new(Kind::Directory, name))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, name: &str, target: &str) -> Tarball {
        self.entry(&Entry {
            target,
            mode: 0o777,
            ..Entry::new(Kind::Link, name)
        })
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hard_link(self, name: &str, target: &str) -> Tarball {
        self.entry(&Entry {
            target,
            ..Entry::new(Kind::HardLink, name)
        })
    }

    /// Adds an entry as it is.
    ///
    /// # Panics
    /// Where a name does not fit the format.
    #[must_use]
    pub fn entry(mut self, entry: &Entry<'_>) -> Tarball {
        let header = header(entry, entry.content.len() as u64);
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(entry.content);
        self.pad()
    }

    /// Adds a file whose name may be longer than a header takes, and no text: GNU's entry `L` says it first.
    #[must_use]
    pub fn file_with_any_name(mut self, name: &[u8], content: &str) -> Tarball {
        let mut long = header(&Entry::new(Kind::File, "././@LongLink"), name.len() as u64 + 1);
        long[156] = b'L';
        long[257..265].copy_from_slice(b"ustar  \0");
        set_checksum(&mut long);
        self.0.extend_from_slice(&long);
        self.0.extend_from_slice(name);
        self.0.push(0);
        self.pad().file("as-said-before", content)
    }

    /// The header of a file of `size` bytes, of which none comes.
    #[must_use]
    pub fn file_without_content(mut self, name: &str, size: u64) -> Tarball {
        self.0
            .extend_from_slice(&header(&Entry::new(Kind::File, name), size));
        self
    }

    /// Adds a file of GNU's old sparse format: `size` bytes, all of them a hole.
    #[must_use]
    pub fn sparse_file(mut self, name: &str, size: u64) -> Tarball {
        let mut header = header(&Entry::new(Kind::File, name), 0);
        header[156] = b'S';
        header[257..265].copy_from_slice(b"ustar  \0");
        // One data block of no bytes at the end, then the real size.
        number(&mut header[386..398], size);
        number(&mut header[398..410], 0);
        number(&mut header[483..495], size);
        set_checksum(&mut header);
        self.0.extend_from_slice(&header);
        self
    }

    /// The archive with its end.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * RECORD_BYTES]);
        self.0
    }

    /// The archive as far as it got.
    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }

    fn pad(mut self) -> Tarball {
        self.0.resize(self.0.len().next_multiple_of(RECORD_BYTES), 0);
        self
    }
}

fn header(entry: &Entry<'_>, size: u64) -> [u8; RECORD_BYTES] {
    let mut header = [0; RECORD_BYTES];
    let mut text = |at: usize, max: usize, text: &str| {
        assert!(text.len() <= max, "{text} does not fit");
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    text(0, 100, entry.name);
    text(157, 100, entry.target);
    text(257, 8, "ustar\x0000");
    header[156] = entry.kind.flag();
    number(&mut header[100..108], entry.mode.into());
    number(&mut header[108..116], entry.owner.0.into());
    number(&mut header[116..124], entry.owner.1.into());
    number(&mut header[124..136], size);
    // 2025-01-02 03:04:05 UTC: a fixed time makes equal archives equal.
    number(&mut header[136..148], 1_735_787_045);
    number(&mut header[329..337], entry.device.0.into());
    number(&mut header[337..345], entry.device.1.into());
    set_checksum(&mut header);
    header
}

/// Writes octal digits and the NUL after them, or GNU's binary form where they do not fit.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    if text.len() == digits {
        field[..digits].copy_from_slice(text.as_bytes());
        field[digits] = 0;
    } else {
        field.fill(0);
        field[0] = 0x80;
        let end = field.len();
        field[end - 8..].copy_from_slice(&value.to_be_bytes());
    }
}

fn set_checksum(header: &mut [u8; RECORD_BYTES]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// What tar(1) lists, so that the archives are not only thought right by the one who wrote them.
    fn listed(archive: &[u8]) -> String {
        let mut tar = Command::new("tar")
            .args(["-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(archive).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn tar_reads_what_was_written() {
        let device = Entry {
            device: (1, 3),
            ..Entry::new(Kind::CharDevice, "d/null")
        };
        let archive = Tarball::new()
            .directory("d/")
            .program("d/f", "hello")
            .link("d/l", "f")
            .entry(&device)
            .finish();
        let listing = listed(&archive);
        for expected in [
            "drwxr-xr-x",
            "-rwxr-xr-x",
            " d/f",
            "d/l -> f",
            "1,3",
            "2025-01-02",
        ] {
            assert!(listing.contains(expected), "{expected}: {listing}");
        }
    }

    #[test]
    fn tar_reads_a_long_name() {
        let name = format!("{}/\u{e9}", "n".repeat(150));
        let archive = Tarball::new().file_with_any_name(name.as_bytes(), "x").finish();
        assert!(
            listed(&archive).contains(&"n".repeat(150)),
            "{}",
            listed(&archive)
        );
    }

    #[test]
    fn a_sparse_file_has_its_size_and_no_content() {
        let archive = Tarball::new().sparse_file("hole", 10 << 30).finish();
        assert_eq!(archive.len(), 3 * RECORD_BYTES);
        assert!(listed(&archive).contains(" 10737418240 "), "{}", listed(&archive));
    }
}
