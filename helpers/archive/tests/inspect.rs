//! What a path is, and the content of small files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::{Bench, mount, rel};
use protocol::ErrorCode;
use protocol::archive::{FileKind, Outcome, Request};
use std::fs::{create_dir_all, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, symlink};

fn read(path: &str, bytes_max: u32) -> Request {
    Request::Read {
        root: mount("c-1"),
        path: rel(path),
        bytes_max,
    }
}

#[test]
fn a_path_is_told_with_its_links_resolved_inside() {
    let Some(mut bench) = Bench::start("a_path_is_told_with_its_links_resolved_inside") else {
        return;
    };
    let tree = bench.tree("c-1");
    create_dir_all(tree.join("usr/bin")).unwrap();
    write(tree.join("usr/bin/su"), "four").unwrap();
    set_permissions(tree.join("usr/bin/su"), PermissionsExt::from_mode(0o4711)).unwrap();
    symlink("usr/bin", tree.join("bin")).unwrap();
    symlink("/usr/bin/su", tree.join("absolute")).unwrap();
    symlink("../../../../outside", tree.join("out")).unwrap();
    let file = bench.stat("c-1", "bin/su").unwrap();
    assert_eq!(
        (file.kind, file.mode, file.size_bytes),
        (FileKind::Regular, 0o4711, 4)
    );
    assert_eq!(
        (file.resolved.as_str(), file.link_target.as_str()),
        ("usr/bin/su", "")
    );
    let link = bench.stat("c-1", "absolute").unwrap();
    assert_eq!(
        (link.kind, link.link_target.as_str()),
        (FileKind::Symlink, "/usr/bin/su")
    );
    assert_eq!(link.resolved.as_str(), "usr/bin/su");
    let out = bench.stat("c-1", "out").unwrap();
    assert_eq!(
        out.resolved.as_str(),
        "outside",
        "a link that leads out leads to the same name inside"
    );
    let root = bench.stat("c-1", "").unwrap();
    assert_eq!((root.kind, root.resolved.as_str()), (FileKind::Directory, ""));
    for missing in ["no", "no/such", "bin/su/x"] {
        assert_eq!(
            bench.stat("c-1", missing).unwrap_err().code,
            ErrorCode::NotFound,
            "{missing}"
        );
    }
    assert_eq!(bench.stat("c-9", "").unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn a_small_file_is_read_through_links_and_cut() {
    let Some(mut bench) = Bench::start("a_small_file_is_read_through_links_and_cut") else {
        return;
    };
    let tree = bench.tree("c-1");
    write(tree.join("passwd"), "root:x:0:0").unwrap();
    set_permissions(tree.join("passwd"), PermissionsExt::from_mode(0o000)).unwrap();
    symlink("/passwd", tree.join("link")).unwrap();
    let done = |content_bytes| Outcome::Done {
        entries: 1,
        content_bytes,
    };
    assert_eq!(
        bench.collect(read("link", 1 << 20)),
        (b"root:x:0:0".to_vec(), done(10))
    );
    assert_eq!(bench.collect(read("passwd", 4)), (b"root".to_vec(), done(4)));
    assert_eq!(bench.collect(read("passwd", 0)), (Vec::new(), done(0)));
}

#[test]
fn only_regular_files_inside_are_read() {
    let Some(mut bench) = Bench::start("only_regular_files_inside_are_read") else {
        return;
    };
    let tree = bench.tree("c-1");
    create_dir_all(tree.join("dir")).unwrap();
    symlink(bench.base().join("outside"), tree.join("out")).unwrap();
    symlink("../outside", tree.join("up")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(tree.join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let mut code = |path: &str| match bench.collect(read(path, 100)) {
        (bytes, Outcome::Failed(error)) if bytes.is_empty() => error.code,
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(["dir", "pipe", ""].map(&mut code), [ErrorCode::BadContent; 3]);
    assert_eq!(
        ["out", "up", "no", "dir/no"].map(&mut code),
        [ErrorCode::NotFound; 4]
    );
}
