//! Contexts and what paths lead to in them.

use super::*;
use std::io::Write;
use tar::{EntryType, Header};

/// An item of a made-up context.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Item {
    File(&'static str, &'static str),
    Directory(&'static str),
    Link(&'static str, &'static str),
}

pub(in super::super) fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(7);
        match item {
            Item::File(path, content) => {
                header.set_size(content.len() as u64);
                builder
                    .append_data(&mut header, path, content.as_bytes())
                    .unwrap();
            }
            Item::Directory(path) => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o700);
                builder.append_data(&mut header, path, &[][..]).unwrap();
            }
            Item::Link(path, target) => {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

pub(in super::super) fn spool_of(bytes: &[u8]) -> Spool {
    let (spool, mut file) = Spool::create(&std::env::temp_dir().join("cb-builder-tests")).unwrap();
    file.write_all(bytes).unwrap();
    spool
}

pub(in super::super) fn tree(items: &[Item]) -> Tree {
    Tree::of_tar(spool_of(&tar_of(items))).unwrap()
}

fn sample() -> Tree {
    tree(&[
        Item::File("a.txt", "A"),
        Item::Directory("sub"),
        Item::File("sub/x", "X"),
        Item::File("implied/deep/z", "Z"),
        Item::Link("ln", "a.txt"),
        Item::Link("lnd", "sub"),
        Item::Link("bad", "nowhere"),
        Item::Link("esc", "../../../../a.txt"),
        Item::Link("absl", "/sub/x"),
        Item::Link("loop", "loop"),
        Item::File("sub-", "after sub in bytes, before what is in it"),
    ])
}

#[test]
fn paths_lead_where_dockerd_finds_them() {
    let tree = sample();
    let forbidden = Err(Lost::Forbidden);
    for (path, found) in [
        ("a.txt", Ok("a.txt")),
        ("/a.txt/", Ok("a.txt")),
        ("./sub//x", Ok("sub/x")),
        ("sub/../a.txt", Ok("a.txt")),
        (".", Ok("")),
        ("ln", Ok("a.txt")),
        ("lnd/x", Ok("sub/x")),
        ("esc", Ok("a.txt")),
        ("absl", Ok("sub/x")),
        ("implied/deep", Ok("implied/deep")),
        ("bad", Err(Lost::Missing)),
        ("loop", Err(Lost::Missing)),
        ("none", Err(Lost::Missing)),
        ("../a.txt", forbidden.clone()),
        ("sub/../../a.txt", forbidden.clone()),
        ("a.txt/x", forbidden),
    ] {
        assert_eq!(tree.resolve(path), found.map(str::to_owned), "{path}");
    }
}

#[test]
fn what_is_below_a_directory_is_found_and_nothing_beside_it() {
    let tree = sample();
    let below = |path: &str| {
        tree.below(path)
            .map(|(path, _)| path.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(below("sub"), ["sub/x"]);
    assert_eq!(below("").len(), 13);
    assert_eq!(tree.node("implied").unwrap().attributes.mode, IMPLIED_MODE);
    assert_eq!(tree.node("sub").unwrap().attributes.mode, 0o700);
}

#[test]
fn content_is_read_in_place() {
    let tree = sample();
    assert_eq!(tree.read("lnd/x", 10).unwrap().unwrap(), b"X");
    assert_eq!(tree.read("sub", 10).unwrap(), None);
    assert!(
        tree.read("sub-", 3)
            .unwrap_err()
            .to_string()
            .ends_with("is larger than 3 bytes")
    );
    let told = tree.read("../x", 1).unwrap_err().to_string();
    assert_eq!(told, "forbidden path outside the build context: ../x ()");
}

#[test]
fn digests_tell_content_and_mode_but_not_time() {
    let one = tree(&[
        Item::File("a", "1"),
        Item::File("b", "2"),
        Item::File("c", "1"),
        Item::Link("l", "a"),
    ]);
    let digest = |path: &str| one.node(path).unwrap().digest(false);
    assert_eq!(digest("a"), digest("c"));
    assert_ne!(digest("a"), digest("b"));
    let mut other = one.node("a").unwrap().clone();
    other.attributes.modified_s = 99;
    assert_eq!(other.digest(false), digest("a"));
    other.attributes.uid = 5;
    assert_eq!(other.digest(false), digest("a"));
    assert_ne!(other.digest(true), one.node("a").unwrap().digest(true));
    other.attributes.mode = 0o755;
    assert_ne!(other.digest(false), digest("a"));
}

#[test]
fn an_ignore_file_takes_out_the_dockerfile_and_itself_only() {
    let mut tree = tree(&[
        Item::File(".dockerignore", "*\n"),
        Item::File("Dockerfile", "x"),
        Item::File("a", "1"),
    ]);
    tree.apply_ignore_file("Dockerfile").unwrap();
    assert_eq!(tree.all().map(|(path, _)| path).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn compressed_uploads_are_unpacked_and_others_told() {
    let directory = std::env::temp_dir().join("cb-builder-tests");
    let plain = tar_of(&[Item::File("a", "1")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    for bytes in [&plain[..], &gzip] {
        let tree = Tree::of_upload(spool_of(bytes), &directory).unwrap();
        assert_eq!(tree.read("a", 1).unwrap().unwrap(), b"1");
    }
    let told = |bytes: &[u8]| {
        Tree::of_upload(spool_of(bytes), &directory)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(told(&b"garbage".repeat(100)), "archive/tar: invalid tar header");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for packed in [xz.finish().unwrap(), zstd] {
        let tree = Tree::of_upload(spool_of(&packed), &directory).unwrap();
        assert_eq!(tree.read("a", 1).unwrap().unwrap(), b"1");
    }
    assert!(!told(b"BZh9").is_empty());
    // A cut upload is told as one, in the words of the decompressor.
    assert!(Tree::of_upload(spool_of(&gzip[..gzip.len() - 9]), &directory).is_err());
    assert!(
        Tree::of_upload(spool_of(b""), &directory)
            .unwrap()
            .all()
            .next()
            .is_none()
    );
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    let tree = tree(&[Item::File("d/x", "1"), Item::File("d", "2")]);
    assert_eq!(tree.all().count(), 1);
    let below_a_link = tar_of(&[Item::Link("l", "/etc"), Item::File("l/x", "1")]);
    let told = Tree::of_tar(spool_of(&below_a_link)).unwrap_err().to_string();
    assert_eq!(told, "invalid entry name \"l/x\"");
}
