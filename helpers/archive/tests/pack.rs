//! Trees as archives, and back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::tar::{archive, file, listing};
use bench::tree::{CAPABILITY, describe, fill};
use bench::{Bench, pack, stream_of};
use protocol::ErrorCode;
use protocol::archive::Outcome;
use std::fs::{create_dir, create_dir_all, hard_link, write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

#[test]
fn a_packed_tree_extracts_to_the_same_tree() {
    let Some(mut bench) = Bench::start("a_packed_tree_extracts_to_the_same_tree") else {
        return;
    };
    let (tree, copy) = (bench.tree("c-1"), bench.tree("c-2"));
    fill(&tree);
    let packed = bench.pack("c-1", "", "");
    bench.apply("c-2", &packed);
    assert_eq!(describe(&copy), describe(&tree));
    assert!(
        describe(&tree)
            .iter()
            .any(|line| line.contains(&CAPABILITY.escape_ascii().to_string()))
    );
    assert!(!copy.join("socket").exists(), "sockets have no form in tar");
    assert_eq!(
        bench.pack("c-2", "", ""),
        packed,
        "the same tree is the same bytes"
    );
}

#[test]
fn tar_programs_read_what_is_packed() {
    let Some(mut bench) = Bench::start("tar_programs_read_what_is_packed") else {
        return;
    };
    let (tree, copy) = (bench.tree("c-1"), bench.tree("c-2"));
    fill(&tree);
    let packed = bench.base().join("mnt/packed.tar");
    write(&packed, bench.pack("c-1", "", "")).unwrap();
    let mut command = Command::new("tar");
    command
        .args([
            "--xattrs",
            "--xattrs-include=security.*",
            "--numeric-owner",
            "-xpf",
        ])
        .arg(&packed);
    match command.arg("-C").arg(&copy).output() {
        Err(error) => println!("SKIPPED tar_programs_read_what_is_packed: no tar: {error}"),
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(describe(&copy), describe(&tree));
        }
    }
}

#[test]
fn entries_come_in_name_order_under_the_name_asked_for() {
    let Some(mut bench) = Bench::start("entries_come_in_name_order_under_the_name_asked_for") else {
        return;
    };
    let tree = bench.tree("c-1");
    create_dir_all(tree.join("etc/b")).unwrap();
    for name in ["etc/c", "etc/b/x", "etc/a"] {
        write(tree.join(name), "").unwrap();
    }
    hard_link(tree.join("etc/a"), tree.join("etc/d")).unwrap();
    symlink("etc", tree.join("link")).unwrap();
    let whole = [
        "5 etc/",
        "0 etc/a",
        "5 etc/b/",
        "0 etc/b/x",
        "0 etc/c",
        "1 etc/d etc/a",
    ];
    assert_eq!(
        listing(&bench.pack("c-1", "", "")),
        [&whole[..], &["2 link etc"]].concat()
    );
    assert_eq!(
        listing(&bench.pack("c-1", "etc", "conf")),
        whole.map(|line| line.replace("etc", "conf"))
    );
    assert_eq!(listing(&bench.pack("c-1", "link/b", "b")), ["5 b/", "0 b/x"]);
    assert_eq!(listing(&bench.pack("c-1", "link/b", "")), ["0 x"]);
    assert_eq!(
        listing(&bench.pack("c-1", "link", "link")),
        ["2 link etc"],
        "the link itself is not followed"
    );
    assert_eq!(listing(&bench.pack("c-1", "etc/c", "named")), ["0 named"]);
}

#[test]
fn what_cannot_be_packed_is_told() {
    let Some(mut bench) = Bench::start("what_cannot_be_packed_is_told") else {
        return;
    };
    let tree = bench.tree("c-1");
    write(tree.join("file"), "").unwrap();
    let mut fail = |path: &str, name: &str| match bench.collect(pack("c-1", path, name)).1 {
        Outcome::Failed(error) => (error.code, error.detail.as_str().to_owned()),
        done @ Outcome::Done { .. } => panic!("{done:?}"),
    };
    assert_eq!(
        fail("no", "no"),
        (
            ErrorCode::NotFound,
            "statat no: no such file or directory".to_owned()
        )
    );
    assert_eq!(fail("file", "").0, ErrorCode::BadContent);
    // A reader that goes away ends its worker with an error and nothing else.
    let (stream, sink) = std::io::pipe().unwrap();
    write(tree.join("large"), vec![0; 1 << 20]).unwrap();
    let running = bench.begin(pack("c-1", "", ""), sink.into()).unwrap();
    drop(stream);
    assert!(matches!(running.wait(), Outcome::Failed(error) if error.code == ErrorCode::System));
    let answer = bench.ask(pack("c-1", "", ""), &[stream_of(Path::new("/dev/null"))]);
    assert_eq!(answer.unwrap_err().code, ErrorCode::BadDescriptors);
}

#[test]
fn other_file_systems_are_not_descended_into() {
    let Some(mut bench) = Bench::start("other_file_systems_are_not_descended_into") else {
        return;
    };
    let tree = bench.tree("c-1");
    for name in ["proc", "volume"] {
        create_dir(tree.join(name)).unwrap();
    }
    let mount = |kind: &str, name: &str| {
        let status = Command::new("mount")
            .args(["-t", kind, "none"])
            .arg(tree.join(name))
            .status();
        assert!(status.unwrap().success());
    };
    mount("proc", "proc");
    mount("tmpfs", "volume");
    // Mounted after the helper gave up every right: it reads and writes there as anywhere below its root.
    bench.extract(
        bench::copy("c-1", "volume"),
        &archive(&[file("f", b"in the volume")]),
    );
    let whole = listing(&bench.pack("c-1", "", ""));
    let layer = listing(&bench.difference("c-1", None, &[]));
    let volume = listing(&bench.pack("c-1", "volume", "volume"));
    for name in ["proc", "volume"] {
        assert!(
            Command::new("umount")
                .arg(tree.join(name))
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(whole, ["5 proc/", "5 volume/"]);
    assert_eq!(layer, ["5 proc/", "5 volume/"]);
    assert_eq!(volume, ["5 volume/", "0 volume/f"]);
}
