//! Driver options of a volume: what `docker volume create -o` takes. Pure.
//!
//! The first four are dockerd's for its `local` driver; the others are ours, for a store that has them (ZFS).

use crate::services::Failure;
use crate::services::units::ram_in_bytes;
use protocol::names::HostPath;
use protocol::zfs::Compression;
use std::collections::BTreeMap;

/// The options that are known.
const KNOWN: [&str; 10] = [
    "type",
    "o",
    "device",
    "size",
    "quota",
    "compression",
    "recordsize",
    "clone",
    "snapshot",
    "copy",
];

/// What each of dockerd's options needs beside it, in the order in which a missing one is told.
const NEEDS: [(&str, &[&str]); 3] = [
    ("o", &["device", "type"]),
    ("device", &["type"]),
    ("type", &["device"]),
];

/// Mode of a memory file system where none is given.
const TMPFS_MODE: u16 = 0o1777;

/// What a volume shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Its own dataset.
    Dataset,
    /// A directory of the host (`type=none,o=bind,device=/path`).
    Bind {
        /// The directory.
        path: HostPath,
        /// Whether it can be written.
        writable: bool,
    },
    /// Memory, empty whenever its first user comes (`type=tmpfs,device=tmpfs`).
    Tmpfs {
        /// Size limit in bytes; none is the host's default.
        size_bytes: Option<u64>,
        /// Permission bits.
        mode: u16,
        /// Programs on it cannot be executed.
        noexec: bool,
    },
}

/// What a volume begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Nothing.
    Empty,
    /// Another volume's present content, sharing blocks with it where the store can.
    Clone {
        /// The other volume.
        of: String,
        /// What the snapshot of that moment is called, which then stays with the other volume.
        label: Option<String>,
    },
    /// Another volume's present content, sharing nothing with it.
    Copy {
        /// The other volume.
        of: String,
    },
}

/// The options, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// What it shows.
    pub(super) content: Content,
    /// What it begins with.
    pub(super) beginning: Beginning,
    /// `size` or `quota`: most bytes that it may hold.
    pub(super) quota_bytes: Option<u64>,
    /// How it is compressed.
    pub(super) compression: Option<Compression>,
    /// Its record size in bytes.
    pub(super) record_bytes: Option<u64>,
}

/// Reads driver options.
///
/// # Errors
/// `Invalid` in dockerd's words; `Unsupported` for kinds of mounts that are not made.
pub(super) fn read(options: &BTreeMap<String, String>) -> Result<Options, Failure> {
    if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Failure::Invalid(format!("invalid option: \"{unknown}\"")));
    }
    let get = |key: &str| options.get(key).map(String::as_str);
    let bytes = |key: &str| match get(key) {
        Some(text) => ram_in_bytes(text).map(Some).map_err(Failure::Invalid),
        None => Ok(None),
    };
    let size = bytes("size")?;
    for (option, needed) in NEEDS {
        let missing = needed
            .iter()
            .find(|needed| get(option).is_some() && get(needed).is_none());
        if let Some(missing) = missing {
            return Err(Failure::Invalid(format!(
                "missing required option: \"{missing}\""
            )));
        }
    }
    let beginning = match (get("clone"), get("snapshot"), get("copy")) {
        (Some(_), _, Some(_)) => {
            let text = "\"clone\" and \"copy\" cannot be combined";
            return Err(Failure::Invalid(text.to_owned()));
        }
        (Some(of), label, None) => Beginning::Clone {
            of: of.to_owned(),
            label: label.map(str::to_owned),
        },
        (None, Some(_), _) => {
            return Err(Failure::Invalid("missing required option: \"clone\"".to_owned()));
        }
        (None, None, Some(of)) => Beginning::Copy { of: of.to_owned() },
        (None, None, None) => Beginning::Empty,
    };
    let read = Options {
        content: content(
            get("type").unwrap_or_default(),
            get("device"),
            get("o").unwrap_or_default(),
        )?,
        beginning,
        quota_bytes: bytes("quota")?.or(size).filter(|bytes| *bytes > 0),
        compression: get("compression").map(compression).transpose()?,
        record_bytes: bytes("recordsize")?,
    };
    let tuned = read.beginning != Beginning::Empty
        || read.quota_bytes.is_some()
        || read.compression.is_some()
        || read.record_bytes.is_some();
    if tuned && read.content != Content::Dataset {
        let text = "options of a dataset cannot be combined with \"type\"";
        return Err(Failure::Invalid(text.to_owned()));
    }
    Ok(read)
}

fn compression(name: &str) -> Result<Compression, Failure> {
    match name {
        "off" => Ok(Compression::Off),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        "gzip" => Ok(Compression::Gzip),
        "zle" => Ok(Compression::Zle),
        other => Err(Failure::Invalid(format!(
            "invalid compression: '{other}'; use one of off, lz4, zstd, gzip, zle"
        ))),
    }
}

fn content(kind: &str, device: Option<&str>, options: &str) -> Result<Content, Failure> {
    let Some(device) = device else {
        return Ok(Content::Dataset);
    };
    let words = options.split(',').filter(|word| !word.is_empty());
    match kind {
        "none" | "bind" => bind(device, words),
        "tmpfs" => tmpfs(words),
        other => Err(Failure::Unsupported(format!(
            "volumes of type {other} are not supported by cellblock: use none with o=bind, or tmpfs"
        ))),
    }
}

fn bind<'a>(device: &str, words: impl Iterator<Item = &'a str>) -> Result<Content, Failure> {
    let (mut writable, mut is_bind) = (true, false);
    for word in words {
        match word {
            "bind" | "rbind" => is_bind = true,
            "rw" => writable = true,
            "ro" => writable = false,
            other => return Err(no_option(other)),
        }
    }
    if !is_bind {
        let text = "a volume of type none needs the option o=bind";
        return Err(Failure::Unsupported(text.to_owned()));
    }
    let path = HostPath::new(device).map_err(|bad| Failure::Invalid(format!("device {device}: {bad}")))?;
    Ok(Content::Bind { path, writable })
}

fn tmpfs<'a>(words: impl Iterator<Item = &'a str>) -> Result<Content, Failure> {
    let (mut size_bytes, mut mode, mut noexec) = (None, TMPFS_MODE, false);
    for word in words {
        let bad = || Failure::Invalid(format!("invalid tmpfs option [\"{word}\"]"));
        match word.split_once('=') {
            None => match word {
                "noexec" => noexec = true,
                "exec" => noexec = false,
                // These hold for every memory file system that is made here.
                "rw" | "nosuid" | "nodev" => {}
                other => return Err(no_option(other)),
            },
            Some(("size", value)) => size_bytes = Some(ram_in_bytes(value).map_err(|_| bad())?),
            Some(("mode", value)) => mode = u16::from_str_radix(value, 8).map_err(|_| bad())?,
            Some((other, _)) => return Err(no_option(other)),
        }
    }
    Ok(Content::Tmpfs {
        size_bytes,
        mode,
        noexec,
    })
}

fn no_option(word: &str) -> Failure {
    Failure::Unsupported(format!(
        "the mount option {word} of a volume is not supported by cellblock"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let options = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        read(&options).map_err(|failure| failure.to_string())
    }

    #[test]
    fn wrong_options_are_refused_in_dockerds_words() {
        assert_eq!(asked(&[("foo", "x")]).unwrap_err(), "invalid option: \"foo\"");
        assert_eq!(
            asked(&[("o", "x")]).unwrap_err(),
            "missing required option: \"device\""
        );
        assert_eq!(
            asked(&[("device", "x")]).unwrap_err(),
            "missing required option: \"type\""
        );
        assert_eq!(asked(&[("size", "x")]).unwrap_err(), "invalid size: 'x'");
    }

    #[test]
    fn binds_and_memory_are_done_and_others_refused() {
        let bind = asked(&[("type", "none"), ("device", "/srv"), ("o", "bind,ro")]).unwrap();
        let path = HostPath::new("/srv").unwrap();
        assert_eq!(
            bind.content,
            Content::Bind {
                path,
                writable: false
            }
        );
        let memory = asked(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,mode=700")]).unwrap();
        assert_eq!(
            memory.content,
            Content::Tmpfs {
                size_bytes: Some(1 << 20),
                mode: 0o700,
                noexec: false
            }
        );
        assert!(asked(&[("type", "nfs"), ("device", ":/x"), ("o", "addr=1.2.3.4")]).is_err());
        assert!(asked(&[("type", "none"), ("device", "/srv")]).is_err());
        assert!(asked(&[("type", "none"), ("device", "srv"), ("o", "bind")]).is_err());
    }

    #[test]
    fn our_own_options_are_for_datasets_only() {
        let tuned = asked(&[("quota", "10g"), ("recordsize", "16k"), ("clone", "other")]).unwrap();
        assert_eq!(tuned.quota_bytes, Some(10 << 30));
        let (of, label) = ("other".to_owned(), None);
        assert_eq!(tuned.beginning, Beginning::Clone { of, label });
        let copied = asked(&[("copy", "other")]).unwrap().beginning;
        assert_eq!(
            copied,
            Beginning::Copy {
                of: "other".to_owned()
            }
        );
        assert!(asked(&[("snapshot", "a")]).is_err());
        assert!(asked(&[("copy", "a"), ("clone", "a")]).is_err());
        assert!(asked(&[("copy", "a"), ("snapshot", "b")]).is_err());
        assert!(asked(&[("compression", "rar")]).is_err());
        assert!(
            asked(&[
                ("quota", "1g"),
                ("type", "none"),
                ("device", "/srv"),
                ("o", "bind")
            ])
            .is_err()
        );
    }
}
