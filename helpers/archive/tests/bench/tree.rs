//! Trees described line by line, so that two can be compared and a difference reads well.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{create_dir_all, hard_link, set_permissions, write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

/// Everything below a directory, a line a name: what an archive can keep of it.
pub(crate) fn describe(top: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    collect(top, top, &mut HashMap::new(), &mut lines);
    lines
}

fn collect(top: &Path, directory: &Path, linked: &mut HashMap<u64, String>, lines: &mut Vec<String>) {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|found| found.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let meta = path.symlink_metadata().unwrap();
        let name = path
            .strip_prefix(top)
            .unwrap()
            .as_os_str()
            .as_bytes()
            .escape_ascii()
            .to_string();
        let first = linked.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_file() {
            let mut hasher = DefaultHasher::new();
            std::fs::read(&path).unwrap().hash(&mut hasher);
            format!("file {} {:016x}", meta.len(), hasher.finish())
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {:?} {}", kind.is_block_device(), meta.rdev())
        } else {
            continue;
        };
        let (mode, owner) = (meta.mode() & 0o7777, (meta.uid(), meta.gid()));
        lines.push(format!(
            "{name} {what} {mode:04o} {owner:?} {} same as {first}{}",
            meta.mtime(),
            capability(&path)
        ));
        if kind.is_dir() {
            collect(top, &path, linked, lines);
        }
    }
}

fn capability(path: &Path) -> String {
    let mut value = [0u8; 64];
    match rustix::fs::lgetxattr(path, "security.capability", &mut value[..]) {
        Ok(length) => format!(" capability {}", value[..length].escape_ascii()),
        Err(_) => String::new(),
    }
}

/// A file capability as setcap(8) writes it: `cap_net_raw=ep`, version 2.
pub(crate) const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(crate) fn set_capability(path: &Path) {
    rustix::fs::setxattr(
        path,
        "security.capability",
        &CAPABILITY,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
}

/// A tree with everything that an archive can hold.
pub(crate) fn fill(tree: &Path) {
    for name in ["etc", "var/lib/a", "var/lib/b", "empty"] {
        create_dir_all(tree.join(name)).unwrap();
    }
    write(tree.join("etc/passwd"), "root:x:0:0\n").unwrap();
    write(tree.join("etc/large"), vec![b'l'; 300_000]).unwrap();
    write(tree.join("etc/nothing"), "").unwrap();
    write(tree.join("etc/block"), [1; 512]).unwrap();
    hard_link(tree.join("etc/passwd"), tree.join("etc/passwd-")).unwrap();
    hard_link(tree.join("etc/passwd"), tree.join("var/lib/z")).unwrap();
    symlink("../etc/passwd", tree.join("var/link")).unwrap();
    symlink("/nowhere/at/all".repeat(20), tree.join("var/long-link")).unwrap();
    let deep = "directory-with-a-name".to_owned() + &"/directory-with-a-name".repeat(9);
    create_dir_all(tree.join(&deep)).unwrap();
    write(tree.join(&deep).join("file"), "deep").unwrap();
    write(tree.join("größe"), "utf8").unwrap();
    write(tree.join(OsStr::from_bytes(b"latin\xe9")), "latin").unwrap();
    write(tree.join("n".repeat(255)), "").unwrap();
    chown(tree.join("etc/block"), Some(3_000_000), Some(4_294_967_294)).unwrap();
    lchown(tree.join("var/link"), Some(7), Some(8)).unwrap();
    write(tree.join("su"), "#!").unwrap();
    set_permissions(tree.join("su"), PermissionsExt::from_mode(0o6755)).unwrap();
    set_permissions(tree.join("empty"), PermissionsExt::from_mode(0o1777)).unwrap();
    write(tree.join("ping"), "elf").unwrap();
    set_capability(&tree.join("ping"));
    let node = |name: &str, kind: &[&str]| {
        assert!(
            Command::new("mknod")
                .arg(tree.join(name))
                .args(kind)
                .status()
                .unwrap()
                .success()
        );
    };
    node("pipe", &["p"]);
    node("null", &["c", "1", "3"]);
    node("disk", &["b", "8", "17"]);
    drop(std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap());
    let hole = std::fs::File::create(tree.join("hole")).unwrap();
    hole.set_len(2_000_000).unwrap();
    for (at, name) in ["etc/passwd", "etc", "empty", "pipe", "var/lib/a"]
        .iter()
        .enumerate()
    {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 + at as u64);
        let file = if *name == "pipe" {
            continue;
        } else {
            std::fs::File::open(tree.join(name)).unwrap()
        };
        file.set_modified(time).unwrap();
    }
}
