//! Layers made of what two trees differ in.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::tar::{archive, dir, file, listing};
use bench::tree::{describe, fill};
use bench::{Bench, difference, stream_of};
use protocol::ErrorCode;
use protocol::archive::{Outcome, Request};
use std::fs::{create_dir, create_dir_all, hard_link, remove_file, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg("-aT")
            .arg(from)
            .arg(to)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_difference_makes_the_tree_out_of_its_base() {
    let Some(mut bench) = Bench::start("a_difference_makes_the_tree_out_of_its_base") else {
        return;
    };
    let (base, tree, again) = (bench.tree("i-1"), bench.tree("c-1"), bench.tree("i-2"));
    fill(&base);
    copy(&base, &tree);
    copy(&base, &again);
    assert_eq!(
        listing(&bench.difference("c-1", Some("i-1"), &[])),
        [""; 0],
        "nothing was changed"
    );

    write(tree.join("etc/new"), "new").unwrap();
    write(tree.join("etc/large"), "small now").unwrap();
    remove_file(tree.join("etc/nothing")).unwrap();
    std::fs::remove_dir_all(tree.join("directory-with-a-name")).unwrap();
    set_permissions(tree.join("var/lib/b"), PermissionsExt::from_mode(0o700)).unwrap();
    remove_file(tree.join("su")).unwrap();
    create_dir_all(tree.join("su/sub")).unwrap();
    std::fs::remove_dir(tree.join("empty")).unwrap();
    write(tree.join("empty"), "a file now").unwrap();
    remove_file(tree.join("var/link")).unwrap();
    symlink("elsewhere", tree.join("var/link")).unwrap();
    chown(tree.join("null"), Some(5), Some(5)).unwrap();
    write(tree.join("first"), "linked").unwrap();
    hard_link(tree.join("first"), tree.join("second")).unwrap();
    // Only its capability changes: no time that a layer keeps is another.
    rustix::fs::removexattr(tree.join("ping"), "security.capability").unwrap();
    std::fs::File::open(tree.join("ping"))
        .unwrap()
        .set_modified(base.join("ping").metadata().unwrap().modified().unwrap())
        .unwrap();

    let layer = bench.difference("c-1", Some("i-1"), &[]);
    let wanted = [
        "0 .wh.directory-with-a-name",
        "0 empty",
        "5 etc/",
        "0 etc/large",
        "0 etc/new",
        "0 etc/.wh.nothing",
        "0 first",
        "3 null",
        "0 ping",
        "1 second first",
        "5 su/",
        "5 su/sub/",
        "5 var/",
        "5 var/lib/",
        "5 var/lib/b/",
        "2 var/link elsewhere",
    ];
    // A whiteout stands where the name that it removes would.
    assert_eq!(listing(&layer), wanted);
    bench.apply("i-2", &layer);
    assert_eq!(describe(&again), describe(&tree));
}

#[test]
fn a_difference_leaves_out_what_is_skipped() {
    let Some(mut bench) = Bench::start("a_difference_leaves_out_what_is_skipped") else {
        return;
    };
    let (base, tree) = (bench.tree("i-1"), bench.tree("c-1"));
    create_dir_all(base.join("gone/sub")).unwrap();
    create_dir_all(tree.join("data/volume/content")).unwrap();
    write(tree.join("data/own"), "").unwrap();
    create_dir(tree.join("only")).unwrap();
    write(tree.join("only/target"), "").unwrap();
    let skip = ["data/volume", "gone", "only/target"];
    assert_eq!(
        listing(&bench.difference("c-1", Some("i-1"), &skip)),
        ["5 data/", "0 data/own", "5 only/"]
    );
    assert_eq!(
        listing(&bench.difference("c-1", None, &skip)),
        ["5 data/", "0 data/own", "5 only/"]
    );
}

#[test]
fn a_file_that_became_a_socket_is_gone() {
    let Some(mut bench) = Bench::start("a_file_that_became_a_socket_is_gone") else {
        return;
    };
    let (base, tree) = (bench.tree("i-1"), bench.tree("c-1"));
    create_dir(tree.join("run")).unwrap();
    create_dir(base.join("run")).unwrap();
    write(base.join("run/s"), "").unwrap();
    for name in ["run/s", "new"] {
        drop(std::os::unix::net::UnixListener::bind(tree.join(name)).unwrap());
    }
    assert_eq!(
        listing(&bench.difference("c-1", Some("i-1"), &[])),
        ["5 run/", "0 run/.wh.s"]
    );
}

#[test]
fn a_difference_tells_the_roots_own_mode() {
    let Some(mut bench) = Bench::start("a_difference_tells_the_roots_own_mode") else {
        return;
    };
    let (base, tree) = (bench.tree("i-1"), bench.tree("c-1"));
    set_permissions(&tree, PermissionsExt::from_mode(0o711)).unwrap();
    let layer = bench.difference("c-1", Some("i-1"), &[]);
    assert_eq!(listing(&layer), ["5 ./"]);
    bench.apply("i-1", &layer);
    assert_eq!(base.metadata().unwrap().permissions().mode() & 0o7777, 0o711);
}

#[test]
fn times_from_archives_equal_finer_ones_of_their_second() {
    let Some(mut bench) = Bench::start("times_from_archives_equal_finer_ones_of_their_second") else {
        return;
    };
    let (base, tree) = (bench.tree("i-1"), bench.tree("c-1"));
    let set = |path: &Path, seconds: u64, nanoseconds: u32| {
        let since = std::time::Duration::new(seconds, nanoseconds);
        std::fs::File::open(path)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + since)
            .unwrap();
    };
    for name in ["whole", "fraction"] {
        write(base.join(name), "x").unwrap();
        write(tree.join(name), "x").unwrap();
        set(&base.join(name), 1000, if name == "whole" { 0 } else { 5 });
        set(&tree.join(name), 1000, 7);
    }
    assert_eq!(
        listing(&bench.difference("c-1", Some("i-1"), &[])),
        ["0 fraction"]
    );
}

#[test]
fn a_name_that_reads_as_a_whiteout_cannot_be_in_a_layer() {
    let Some(mut bench) = Bench::start("a_name_that_reads_as_a_whiteout_cannot_be_in_a_layer") else {
        return;
    };
    let tree = bench.tree("c-1");
    bench.tree("i-1");
    bench.extract(
        bench::copy("c-1", ""),
        &archive(&[dir("a"), file("a/.wh.b", b"")]),
    );
    assert!(tree.join("a/.wh.b").exists());
    for base in [None, Some("i-1")] {
        match bench.collect(difference("c-1", base, &[])).1 {
            Outcome::Failed(error) => assert_eq!(error.code, ErrorCode::BadContent),
            done @ Outcome::Done { .. } => panic!("{done:?}"),
        }
    }
    assert_eq!(
        listing(&bench.pack("c-1", "a", "a")),
        ["5 a/", "0 a/.wh.b"],
        "docker export has it"
    );
    let unknown = Request::PackDifference {
        base: Some(bench::mount("i-9")),
        root: bench::mount("c-1"),
        skip: Default::default(),
    };
    let fds = [
        stream_of(Path::new("/dev/null")),
        stream_of(Path::new("/dev/null")),
    ];
    assert_eq!(bench.ask(unknown, &fds).unwrap_err().code, ErrorCode::NotFound);
}

/// An overlay mount, as the containers of this host have.
struct Overlay(std::path::PathBuf);

impl Overlay {
    /// The names are directories beside the mount root; the last is the one written to.
    fn mount(bench: &Bench, lower: &str, upper: Option<&str>, name: &str) -> Self {
        let at = |name: &str| bench.side(name).display().to_string();
        let mut options = format!("lowerdir={}", at(lower));
        match upper {
            Some(upper) => {
                options += &format!(",upperdir={},workdir={}", at(upper), at(&format!("{upper}-work")))
            }
            None => options += &format!(":{}", at("empty")),
        }
        let target = bench.tree(name);
        let mut command = Command::new("mount");
        command
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(&target);
        assert!(command.status().unwrap().success(), "{command:?}");
        Overlay(target)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn layers_are_applied_to_and_made_of_overlay_mounts() {
    let Some(mut bench) = Bench::start("layers_are_applied_to_and_made_of_overlay_mounts") else {
        return;
    };
    fill(&bench.side("lower"));
    let mounts = [
        Overlay::mount(&bench, "lower", None, "i-1"),
        Overlay::mount(&bench, "lower", Some("first"), "c-1"),
        Overlay::mount(&bench, "lower", Some("second"), "c-2"),
    ];
    assert_eq!(
        listing(&bench.difference("c-1", Some("i-1"), &[])),
        [""; 0],
        "nothing was changed"
    );
    let items = [
        file("etc/.wh.nothing", b""),
        file("etc/large", b"replaced"),
        file("etc/new", b"new").mode(0o4755).owner(5, 6),
        dir("var/lib").mode(0o700),
        file("var/lib/.wh..wh..opq", b""),
        file("var/lib/only", b"only"),
        file(".wh.empty", b""),
        dir("ping"),
        bench::tar::hard_link("linked", "etc/new"),
    ];
    bench.apply("c-1", &archive(&items));
    let tree = bench.tree("c-1");
    assert!(
        !tree.join("etc/nothing").exists()
            && !tree.join("empty").exists()
            && !tree.join("var/lib/z").exists()
    );
    let layer = bench.difference("c-1", Some("i-1"), &[]);
    let wanted = [
        "0 .wh.empty",
        "5 etc/",
        "0 etc/large",
        "0 etc/new",
        "0 etc/.wh.nothing",
        "1 linked etc/new",
        "5 ping/",
        "5 var/",
        "5 var/lib/",
        "0 var/lib/.wh.a",
        "0 var/lib/.wh.b",
        "0 var/lib/only",
        "0 var/lib/.wh.z",
    ];
    assert_eq!(listing(&layer), wanted);
    bench.apply("c-2", &layer);
    let (made, again) = (describe(&tree), describe(&bench.tree("c-2")));
    drop(mounts);
    assert_eq!(again, made);
}
