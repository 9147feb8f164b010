//! What goes where, as dockerd 28.5 put it.

use super::super::context::Tree;
use super::super::context::tests::{Item, tar_of, tree};
use super::super::entries::{Entries, Kind};
use super::super::layer::Owner;
use super::*;
use std::io::Write;
use std::sync::Arc;

/// Copies into a place of a made-up tree; gives paths with their owners.
fn copied(
    verb: Verb,
    sources: &[Source],
    place: Place,
    to: &str,
    owner: Owner,
) -> Result<Vec<String>, String> {
    let directory = std::env::temp_dir().join("cb-builder-tests");
    let to = Destination {
        path: to.to_owned(),
        owner,
        mode: None,
    };
    let mut copying = Copying {
        layer: Layer::create(&directory).unwrap(),
        place,
        to,
    };
    for source in sources {
        copying.source(verb, source).map_err(|error| error.to_string())?;
    }
    let Some(spool) = copying.layer.finish().unwrap() else {
        return Ok(Vec::new());
    };
    let bytes = std::fs::read(spool.path()).unwrap();
    let mut entries = Entries::new(&bytes[..]);
    let mut all = Vec::new();
    while let Some(entry) = entries.next().unwrap() {
        let slash = if entry.kind == Kind::Directory { "/" } else { "" };
        all.push(format!("{}{slash} {}", entry.path, entry.attributes.uid));
    }
    Ok(all)
}

fn source(tree: &Arc<Tree>, path: &str, name: &str) -> Source {
    Source {
        tree: Arc::clone(tree),
        path: path.to_owned(),
        name: name.to_owned(),
        hash: String::new(),
        unpacks: true,
    }
}

fn place(path: &str, found: Found, missing: &[&str]) -> Place {
    Place {
        path: path.to_owned(),
        found,
        missing: missing.iter().map(|path| (*path).to_owned()).collect(),
    }
}

fn sample() -> Arc<Tree> {
    Arc::new(tree(&[
        Item::File("a.txt", "A"),
        Item::Directory("sub"),
        Item::File("sub/x", "X"),
        Item::File("sub/deep/z", "Z"),
    ]))
}

#[test]
fn files_and_directories_go_where_dockerd_puts_them() {
    let tree = sample();
    let file = || source(&tree, "a.txt", "a.txt");
    let sub = || source(&tree, "sub", "sub");
    let new = || place("d", Found::Nothing, &[]);
    let five = Owner::Fixed { uid: 5, gid: 6 };
    for (sources, at, to, owner, expected) in [
        (vec![file()], new(), "/d", Owner::ROOT, vec!["d 0"]),
        (vec![file()], new(), "/d/", Owner::ROOT, vec!["d/ 0", "d/a.txt 0"]),
        (
            vec![file()],
            place("d", Found::Directory, &[]),
            "/d",
            Owner::ROOT,
            vec!["d/a.txt 0"],
        ),
        (
            vec![file()],
            place("d", Found::File, &[]),
            "/d",
            Owner::ROOT,
            vec!["d 0"],
        ),
        (
            vec![file()],
            place("d/q/r", Found::Nothing, &["d", "d/q"]),
            "/d/q/r",
            five,
            vec!["d/ 5", "d/q/ 5", "d/q/r 5"],
        ),
        (
            vec![source(&tree, "a.txt", "ln")],
            new(),
            "/d/",
            Owner::ROOT,
            vec!["d/ 0", "d/ln 0"],
        ),
        (
            vec![sub()],
            new(),
            "/d",
            Owner::ROOT,
            vec!["d/ 0", "d/deep/ 0", "d/deep/z 0", "d/x 0"],
        ),
        (
            vec![sub()],
            place("d", Found::Directory, &[]),
            "/d",
            five,
            vec!["d/deep/ 5", "d/deep/z 5", "d/x 5"],
        ),
        // Directories above a copied directory are root's, the directory is not.
        (
            vec![sub()],
            place("d/q", Found::Nothing, &["d"]),
            "/d/q",
            five,
            vec!["d/ 0", "d/q/ 5", "d/q/deep/ 5", "d/q/deep/z 5", "d/q/x 5"],
        ),
        (
            vec![sub(), file()],
            new(),
            "/d/",
            Owner::ROOT,
            vec!["d/ 0", "d/deep/ 0", "d/deep/z 0", "d/x 0", "d/a.txt 0"],
        ),
        (
            vec![file()],
            place("", Found::Directory, &[]),
            "/",
            Owner::ROOT,
            vec!["a.txt 0"],
        ),
    ] {
        assert_eq!(
            copied(Verb::Copy, &sources, at, to, owner).unwrap(),
            expected,
            "{to}"
        );
    }
}

#[test]
fn a_file_in_the_way_of_a_directory_is_told() {
    let tree = sample();
    let at = || place("d", Found::File, &[]);
    let told = copied(
        Verb::Copy,
        &[source(&tree, "sub", "sub")],
        at(),
        "/d",
        Owner::ROOT,
    )
    .unwrap_err();
    assert_eq!(told, "failed to copy directory: mkdir /d: not a directory");
    let told = copied(
        Verb::Copy,
        &[source(&tree, "a.txt", "a.txt")],
        at(),
        "/d/",
        Owner::ROOT,
    )
    .unwrap_err();
    assert_eq!(told, "failed to create new directory: mkdir /d: not a directory");
}

#[test]
fn add_unpacks_archives_and_copy_does_not() {
    let inner = tar_of(&[Item::File("x", "1"), Item::Directory("y")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&inner).unwrap();
    let gzip = gzip.finish().unwrap();
    for archive in [&inner, &gzip] {
        let mut outer = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(archive.len() as u64);
        header.set_mode(0o644);
        outer.append_data(&mut header, "t", &archive[..]).unwrap();
        let spool = super::super::context::tests::spool_of(&outer.into_inner().unwrap());
        let tree = Arc::new(Tree::of_tar(spool).unwrap());
        let sources = [source(&tree, "t", "t")];
        let at = || place("n/d", Found::Nothing, &["n"]);
        let told = copied(Verb::Add, &sources, at(), "/n/d", Owner::ROOT).unwrap();
        assert_eq!(told, ["n/ 0", "n/d/ 0", "n/d/x 0", "n/d/y/ 0"]);
        assert_eq!(
            copied(Verb::Copy, &sources, at(), "/n/d", Owner::ROOT).unwrap(),
            ["n/ 0", "n/d 0"]
        );
    }
    let tree = Arc::new(tree(&[
        Item::File("plain", "text"),
        Item::File("packed", "BZh91AY"),
    ]));
    let at = || place("d", Found::Nothing, &[]);
    assert_eq!(
        copied(
            Verb::Add,
            &[source(&tree, "plain", "plain")],
            at(),
            "/d",
            Owner::ROOT
        )
        .unwrap(),
        ["d 0"]
    );
    // What only begins like an archive is a file.
    let packed = [source(&tree, "packed", "packed")];
    assert_eq!(
        copied(Verb::Add, &packed, at(), "/d", Owner::ROOT).unwrap(),
        ["d 0"]
    );
}

#[test]
fn destinations_are_relative_to_the_working_directory() {
    for (working_dir, wanted, path) in [
        ("", ".", "/"),
        ("/w", ".", "/w"),
        ("/w", "x/", "/w/x/"),
        ("/w", "../x", "/x"),
        ("/w", "/x", "/x"),
        ("/w", "/x/", "/x/"),
        ("", "x", "/x"),
        ("/w", "./", "/w/"),
    ] {
        assert_eq!(absolute(working_dir, wanted), path, "{working_dir} {wanted}");
    }
}

#[test]
fn owners_are_found_by_name_or_number() {
    let passwd = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/sh\n";
    let group = "root:x:0:\nnobody:x:65534:\n";
    let look = |chown: &str| look_up(passwd, group, chown);
    assert_eq!(look("5"), Ok(Owner::Fixed { uid: 5, gid: 5 }));
    assert_eq!(look("5:6"), Ok(Owner::Fixed { uid: 5, gid: 6 }));
    assert_eq!(
        look("nobody"),
        Ok(Owner::Fixed {
            uid: 65534,
            gid: 65534
        })
    );
    assert_eq!(look("nobody:root"), Ok(Owner::Fixed { uid: 65534, gid: 0 }));
    assert_eq!(
        look("zz").unwrap_err(),
        "can't find uid for user zz: no such user: zz"
    );
    assert_eq!(
        look("5:zz").unwrap_err(),
        "can't find gid for group zz: no such group: zz"
    );
    assert_eq!(
        look(":5").unwrap_err(),
        "can't find uid for user : no such user: "
    );
}

#[test]
fn modes_are_octal() {
    assert_eq!((mode("").unwrap(), mode("0644").unwrap()), (None, Some(0o644)));
    assert!(mode("u+x").is_err() && mode("10000").is_err());
}
