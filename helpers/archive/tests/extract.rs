//! Good archives: what they say is there afterwards, and nothing else.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::tar::{archive, archive_of, dir, file, gnu_long, hard_link, node, symlink};
use bench::tree::CAPABILITY;
use bench::{Bench, copy, layer, rel};
use protocol::ErrorCode;
use protocol::archive::{Extract, Outcome, Owner, Replace, Whiteouts};
use std::fs::{read, read_link, read_to_string, symlink_metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

fn bits(path: &Path) -> (u32, u32, u32, i64) {
    let meta = symlink_metadata(path).unwrap();
    (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime())
}

#[test]
fn a_layer_keeps_kinds_modes_owners_and_times() {
    let Some(mut bench) = Bench::start("a_layer_keeps_kinds_modes_owners_and_times") else {
        return;
    };
    let tree = bench.tree("i-1");
    let items = [
        dir("tmp").mode(0o1777).modified(5_000),
        file("tmp/su", b"#!").mode(0o4755).owner(7, 8).modified(1_234),
        symlink("tmp/link", "su").owner(9, 10).modified(77),
        node("dev/null", b'3', (1, 3)),
        node("dev/sda", b'4', (8, 0)),
        node("pipe", b'6', (0, 0)).mode(0o666),
        hard_link("tmp/su2", "tmp/su"),
        file("tmp/later", b"x").record("mtime", b"1500000000.25"),
    ];
    let outcome = bench.extract(layer("i-1"), &archive(&items));
    assert_eq!(
        outcome,
        Outcome::Done {
            entries: 8,
            content_bytes: 3
        }
    );
    assert_eq!(
        bits(&tree.join("tmp")),
        (0o1777, 0, 0, 5_000),
        "the directory's time is set last"
    );
    assert_eq!(bits(&tree.join("tmp/su")), (0o4755, 7, 8, 1_234));
    assert_eq!(bits(&tree.join("tmp/link")), (0o777, 9, 10, 77));
    let ino = |name: &str| symlink_metadata(tree.join(name)).unwrap().ino();
    assert_eq!(ino("tmp/su"), ino("tmp/su2"));
    let device = |name: &str| symlink_metadata(tree.join(name)).unwrap();
    assert!(device("dev/null").file_type().is_char_device());
    assert_eq!(device("dev/null").rdev(), rustix::fs::makedev(1, 3));
    assert!(device("dev/sda").file_type().is_block_device());
    assert_eq!(device("dev/sda").mode() & 0o7777, 0o620);
    assert!(device("pipe").file_type().is_fifo());
    assert_eq!(device("pipe").mode() & 0o7777, 0o666);
    assert_eq!(bits(&tree.join("dev")).0, 0o755, "a directory without an entry");
    let later = symlink_metadata(tree.join("tmp/later")).unwrap();
    assert_eq!((later.mtime(), later.mtime_nsec()), (1_500_000_000, 250_000_000));
}

#[test]
fn names_may_be_long_absolute_and_no_utf8() {
    let Some(mut bench) = Bench::start("names_may_be_long_absolute_and_no_utf8") else {
        return;
    };
    let tree = bench.tree("i-1");
    let long = format!("{}/file", "deep".repeat(50));
    let target = "t".repeat(200);
    let parts = [
        file("/etc//./motd", b"1").bytes(),
        bench::tar::raw_file(b"caf\xe9", b"2").bytes(),
        gnu_long(b'L', long.as_bytes()),
        file("cut", b"3").bytes(),
        gnu_long(b'K', target.as_bytes()),
        symlink("long-link", "cut").bytes(),
        file("cut", b"4").record("path", "größe".as_bytes()).bytes(),
        file("cut", b"5").record("path", b"\xff\xfe").bytes(),
    ];
    bench.apply("i-1", &archive_of(&parts));
    assert_eq!(read(tree.join("etc/motd")).unwrap(), b"1");
    let raw = |name: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        read(tree.join(std::ffi::OsStr::from_bytes(name))).unwrap()
    };
    assert_eq!(raw(b"caf\xe9"), b"2");
    assert_eq!(raw(long.as_bytes()), b"3");
    assert_eq!(read_link(tree.join("long-link")).unwrap(), Path::new(&target));
    assert_eq!(raw("größe".as_bytes()), b"4");
    assert_eq!(raw(b"\xff\xfe"), b"5");
    assert!(!tree.join("cut").exists());
}

#[test]
fn parents_that_are_links_lead_inside_the_tree() {
    let Some(mut bench) = Bench::start("parents_that_are_links_lead_inside_the_tree") else {
        return;
    };
    let tree = bench.tree("i-1");
    let first = [
        dir("usr/bin"),
        symlink("bin", "usr/bin"),
        symlink("abs", "/usr"),
        symlink("up", "../../../usr"),
    ];
    bench.apply("i-1", &archive(&first));
    let second = [
        file("bin/a", b"a"),
        file("abs/b", b"b"),
        file("up/c", b"c"),
        hard_link("bin/a2", "abs/bin/a"),
        symlink("gone", "made/later"),
        file("gone/x", b"x"),
    ];
    bench.apply("i-1", &archive(&second));
    for name in ["usr/bin/a", "usr/b", "usr/c", "usr/bin/a2", "made/later/x"] {
        assert!(tree.join(name).is_file(), "{name}");
    }
    assert!(
        symlink_metadata(tree.join("bin")).unwrap().is_symlink(),
        "the link itself stays"
    );
    bench.apply("i-1", &archive(&[file("bin/.wh.a", b"")]));
    assert!(!tree.join("usr/bin/a").exists());
    bench.assert_outside_untouched();
}

#[test]
fn whiteouts_remove_what_they_name() {
    let Some(mut bench) = Bench::start("whiteouts_remove_what_they_name") else {
        return;
    };
    let tree = bench.tree("i-1");
    let names = ["a/keep", "a/drop", "a/sub/deep", "b/old", "b/sub/old", "c/old"];
    bench.apply("i-1", &archive(&names.map(|name| file(name, b""))));
    std::os::unix::fs::symlink(bench.base().join("outside"), tree.join("a/link")).unwrap();
    let second = [
        file("a/.wh.drop", b""),
        file("a/.wh.sub", b""),
        file("a/.wh.link", b""),
        file("a/.wh.never-there", b""),
        file("no/such/.wh.place", b""),
        // Opaque after, before and between what the same layer puts there.
        file("b/sub/new", b""),
        file("b/.wh..wh..opq", b""),
        file("b/new", b""),
        file("c/.wh..wh..opq", b""),
        file(".wh..wh.aufs", b""),
    ];
    bench.apply("i-1", &archive(&second));
    let left: Vec<String> = bench::tree::describe(&tree)
        .iter()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(left, ["a", "a/keep", "b", "b/new", "b/sub", "b/sub/new", "c"]);
    bench.assert_outside_untouched();
}

#[test]
fn whiteouts_in_a_users_archive_are_files() {
    let Some(mut bench) = Bench::start("whiteouts_in_a_users_archive_are_files") else {
        return;
    };
    let tree = bench.tree("c-1");
    std::fs::write(tree.join("a"), "stays").unwrap();
    let outcome = bench.extract(
        copy("c-1", ""),
        &archive(&[file(".wh.a", b"x"), file(".wh..wh..opq", b"")]),
    );
    assert!(matches!(outcome, Outcome::Done { entries: 2, .. }));
    assert_eq!(read_to_string(tree.join("a")).unwrap(), "stays");
    assert_eq!(read_to_string(tree.join(".wh.a")).unwrap(), "x");
    assert!(tree.join(".wh..wh..opq").exists());
}

#[test]
fn later_entries_win_and_directories_merge() {
    let Some(mut bench) = Bench::start("later_entries_win_and_directories_merge") else {
        return;
    };
    let tree = bench.tree("i-1");
    let items = [
        file("twice", b"first"),
        file("twice", b"second"),
        dir("d").mode(0o700),
        file("d/child", b""),
        dir("d").mode(0o750).owner(3, 4).modified(99),
        dir("was-dir"),
        file("was-dir/child", b""),
        file("was-dir", b"file now"),
        file("was-file", b""),
        dir("was-file"),
        symlink("was-link", "d"),
        dir("was-link"),
        hard_link("twice", "twice"),
        file("self", b"s"),
        hard_link("other", "self"),
        hard_link("other", "self"),
    ];
    bench.apply("i-1", &archive(&items));
    assert_eq!(read(tree.join("twice")).unwrap(), b"second");
    assert_eq!(bits(&tree.join("d")), (0o750, 3, 4, 99));
    assert!(tree.join("d/child").exists());
    assert_eq!(read(tree.join("was-dir")).unwrap(), b"file now");
    assert!(symlink_metadata(tree.join("was-file")).unwrap().is_dir());
    assert!(symlink_metadata(tree.join("was-link")).unwrap().is_dir());
}

#[test]
fn a_users_archive_does_not_change_kinds_when_told_so() {
    let Some(mut bench) = Bench::start("a_users_archive_does_not_change_kinds_when_told_so") else {
        return;
    };
    let tree = bench.tree("c-1");
    std::fs::create_dir_all(tree.join("etc/dir")).unwrap();
    std::fs::write(tree.join("etc/file"), "f").unwrap();
    let text = bench.blame(copy("c-1", ""), &archive(&[file("etc", b"")]));
    assert_eq!(
        text,
        "cannot overwrite directory \"etc\" with non-directory \"/\""
    );
    let text = bench.blame(copy("c-1", "etc"), &archive(&[dir("file")]));
    assert_eq!(
        text,
        "cannot overwrite non-directory \"file\" with directory \"/etc\""
    );
    assert!(tree.join("etc/dir").is_dir() && tree.join("etc/file").is_file());
    let allowed = Extract {
        replace: Replace::Allowed,
        ..copy("c-1", "etc")
    };
    assert!(matches!(
        bench.extract(allowed, &archive(&[dir("file"), file("dir", b"")])),
        Outcome::Done { .. }
    ));
    assert!(tree.join("etc/dir").is_file() && tree.join("etc/file").is_dir());
}

#[test]
fn a_users_archive_leaves_its_directory_alone_and_makes_no_devices() {
    let Some(mut bench) = Bench::start("a_users_archive_leaves_its_directory_alone_and_makes_no_devices")
    else {
        return;
    };
    let tree = bench.tree("c-1");
    let before = bits(&tree).0;
    let items = [
        dir(".").mode(0o700).owner(5, 5),
        node("null", b'3', (1, 3)),
        file("f", b"").owner(5, 6),
    ];
    let fixed = Extract {
        owner: Owner::Fixed { uid: 1001, gid: 1002 },
        ..copy("c-1", "")
    };
    assert!(matches!(
        bench.extract(fixed, &archive(&items)),
        Outcome::Done { entries: 3, .. }
    ));
    assert_eq!((bits(&tree).0, bits(&tree).1), (before, 0));
    assert!(!tree.join("null").exists());
    let (_, uid, gid, _) = bits(&tree.join("f"));
    assert_eq!(
        (uid, gid),
        (1001, 1002),
        "the owner is the one that was asked for"
    );
    // In a layer the same name is the container's root.
    bench.apply("c-1", &archive(&items[..1]));
    assert_eq!(bits(&tree), (0o700, 5, 5, 1_600_000_000));
}

#[test]
fn a_path_is_found_through_links_and_must_be_a_directory() {
    let Some(mut bench) = Bench::start("a_path_is_found_through_links_and_must_be_a_directory") else {
        return;
    };
    let tree = bench.tree("c-1");
    std::fs::create_dir_all(tree.join("var/data")).unwrap();
    std::os::unix::fs::symlink("/var", tree.join("link")).unwrap();
    std::fs::write(tree.join("file"), "").unwrap();
    bench.extract(copy("c-1", "link/data"), &archive(&[file("f", b"here")]));
    assert_eq!(read(tree.join("var/data/f")).unwrap(), b"here");
    let missing = bench.refuse(copy("c-1", "nowhere"), &archive(&[]));
    assert_eq!(missing.code, ErrorCode::NotFound);
    let text = bench.blame(copy("c-1", "file"), &archive(&[]));
    assert_eq!(text, "extraction point is not a directory");
    let elsewhere = bench.ask(
        protocol::archive::Request::Extract(layer("not-mounted")),
        &[
            bench::stream_of(Path::new("/dev/null")),
            bench::stream_of(Path::new("/dev/null")),
        ],
    );
    assert_eq!(elsewhere.unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn file_capabilities_and_user_attributes_are_set() {
    let Some(mut bench) = Bench::start("file_capabilities_and_user_attributes_are_set") else {
        return;
    };
    let tree = bench.tree("i-1");
    let item = file("ping", b"elf")
        .mode(0o4755)
        .owner(1, 1)
        .record("SCHILY.xattr.security.capability", &CAPABILITY)
        .record("SCHILY.xattr.user.note", b"hi")
        .record("SCHILY.xattr.trusted.overlay.opaque", b"y");
    bench.apply("i-1", &archive(&[item]));
    let get = |name: &str| {
        let mut value = [0; 64];
        rustix::fs::getxattr(tree.join("ping"), name, &mut value[..]).map(|length| value[..length].to_vec())
    };
    assert_eq!(get("security.capability").unwrap(), CAPABILITY);
    assert_eq!(get("user.note").unwrap(), b"hi");
    assert!(
        get("trusted.overlay.opaque").is_err(),
        "a layer must not speak to overlayfs"
    );
    assert_eq!(bits(&tree.join("ping")).0, 0o4755);
}

#[test]
fn an_archive_ends_where_its_stream_ends() {
    let Some(mut bench) = Bench::start("an_archive_ends_where_its_stream_ends") else {
        return;
    };
    let tree = bench.tree("i-1");
    assert_eq!(
        bench.extract(layer("i-1"), b""),
        Outcome::Done {
            entries: 0,
            content_bytes: 0
        }
    );
    bench.apply("i-1", &file("no-end", b"x").bytes());
    assert!(tree.join("no-end").exists());
    // What stands after the end is read, so that its writer does not fail.
    let trailing = [archive(&[file("a", b"x")]), vec![7; 1 << 20]].concat();
    let (running, feeding) = bench.begin_extract(layer("i-1"), trailing);
    assert!(matches!(running.wait(), Outcome::Done { entries: 1, .. }));
    feeding.join().unwrap().unwrap();
}

#[test]
fn at_most_eight_workers_run_and_ended_ones_make_room() {
    let Some(mut bench) = Bench::start("at_most_eight_workers_run_and_ended_ones_make_room") else {
        return;
    };
    bench.tree("i-1");
    let begin = |bench: &mut Bench| {
        let (stream, feed) = std::io::pipe().unwrap();
        let request = protocol::archive::Request::Extract(Extract {
            whiteouts: Whiteouts::Apply,
            path: rel(""),
            ..layer("i-1")
        });
        bench.begin(request, stream.into()).map(|running| (running, feed))
    };
    let mut busy: Vec<_> = (0..8).map(|_| begin(&mut bench).unwrap()).collect();
    let Err(refused) = begin(&mut bench) else {
        panic!("a ninth worker")
    };
    assert_eq!(refused.code, ErrorCode::LimitReached);
    // The service answers meanwhile.
    assert!(bench.stat("i-1", "").is_ok());
    let (running, feed) = busy.pop().unwrap();
    drop(feed);
    assert!(matches!(running.wait(), Outcome::Done { .. }));
    // The worker tells its outcome just before it ends.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let again = loop {
        match begin(&mut bench) {
            Err(error) if error.code == ErrorCode::LimitReached && std::time::Instant::now() < deadline => {}
            answer => break answer.unwrap(),
        }
    };
    busy.push(again);
    for (running, feed) in busy {
        drop(feed);
        assert!(matches!(running.wait(), Outcome::Done { .. }));
    }
}
