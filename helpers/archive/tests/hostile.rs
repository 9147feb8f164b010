//! Archives and trees made to do harm.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::tar::{Item, archive, archive_of, dir, file, gnu_long, hard_link, node, symlink};
use bench::{Bench, copy, layer, mount, pack, rel};
use protocol::ErrorCode;
use protocol::archive::{Extract, Outcome, Owner, Request};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};
use std::fs::{create_dir, read, read_dir, read_to_string, symlink_metadata, write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn names_that_lead_out_are_refused_in_dockerds_words() {
    let Some(mut bench) = Bench::start("names_that_lead_out_are_refused_in_dockerds_words") else {
        return;
    };
    let cases = [
        (file("../x", b""), "invalid entry name \"../x\""),
        (file("a/../../x", b""), "invalid entry name \"a/../../x\""),
        (file("/../x", b""), "invalid entry name \"/../x\""),
        (dir(".."), "invalid entry name \"../\""),
        (file("", b""), "invalid entry name \"\""),
        (file(".", b""), "invalid entry name \".\""),
        (
            hard_link("h", "../../etc/hostname"),
            "invalid hardlink target \"../../etc/hostname\"",
        ),
        (
            hard_link("h", "nothing"),
            "linkat nothing h: no such file or directory",
        ),
        (
            hard_link("h", "/etc/passwd"),
            "linkat etc/passwd h: no such file or directory",
        ),
        (hard_link("h", "."), "invalid hardlink target \".\""),
        (file("a/.wh..", b""), "invalid whiteout entry \"a/.wh..\""),
        (file("a/.wh...", b""), "invalid whiteout entry \"a/.wh...\""),
        (file(".wh.", b""), "invalid whiteout entry \".wh.\""),
        (
            Item {
                flag: b'7',
                ..file("a", b"")
            },
            "unhandled tar header type 55",
        ),
        (
            Item {
                flag: b'V',
                ..file("a", b"")
            },
            "unhandled tar header type 86",
        ),
        (symlink("l", ""), "symlinkat l: no such file or directory"),
    ];
    for (item, text) in cases {
        assert_eq!(bench.blame(layer("i-1"), &archive(&[item])), text);
    }
    let text = bench.blame(layer("i-1"), &archive(&[file("a", b""), file("a/b", b"")]));
    assert_eq!(text, "openat a/b: not a directory");
    let text = bench.blame(layer("i-1"), &archive(&[dir("d"), hard_link("h", "d")]));
    assert_eq!(text, "linkat d h: operation not permitted");
    bench.assert_outside_untouched();
}

#[test]
fn names_longer_than_a_file_system_takes_are_refused() {
    let Some(mut bench) = Bench::start("names_longer_than_a_file_system_takes_are_refused") else {
        return;
    };
    let long = |name: &[u8]| archive_of(&[gnu_long(b'L', name), file("x", b"").bytes()]);
    let text = bench.blame(layer("i-1"), &long(&[b'n'; 300]));
    assert_eq!(text, format!("openat {}: file name too long", "n".repeat(180)));
    let text = bench.blame(layer("i-1"), &long("d/".repeat(512).as_bytes()));
    assert!(text.starts_with("invalid entry name \"d/d/"), "{text}");
    let deepest = "d/".repeat(511) + "f";
    assert!(matches!(
        bench.extract(layer("i-1"), &long(deepest.as_bytes())),
        Outcome::Done { .. }
    ));
    assert!(matches!(
        bench.extract(layer("i-1"), &archive(&[file(".wh.d", b"")])),
        Outcome::Done { .. }
    ));
    assert_eq!(
        read_dir(bench.tree("i-1")).unwrap().count(),
        0,
        "as deep as it can be made it is removed"
    );
    bench.assert_outside_untouched();
}

#[test]
fn writing_through_links_ends_inside() {
    let Some(mut bench) = Bench::start("writing_through_links_ends_inside") else {
        return;
    };
    let tree = bench.tree("i-1");
    let outside = bench.base().join("outside");
    let outside = outside.to_str().unwrap();
    let items = [
        symlink("absolute", bench.base().to_str().unwrap()),
        file("absolute/outside", b"inside"),
        symlink("up", "../../../../../../../.."),
        file("up/etc/motd", b"inside"),
        symlink("outside-link", outside),
        hard_link("second", "outside-link"),
        file("outside-link", b"replaced"),
        dir("d"),
        symlink("d/self", "."),
        file("d/self/self/f", b"x"),
    ];
    bench.apply("i-1", &archive(&items));
    assert_eq!(read(tree.join("etc/motd")).unwrap(), b"inside");
    let mirrored = tree.join(outside.trim_start_matches('/'));
    assert_eq!(
        read(mirrored).unwrap(),
        b"inside",
        "the absolute path exists inside now"
    );
    assert!(
        symlink_metadata(tree.join("second")).unwrap().is_symlink(),
        "the link was linked, not its target"
    );
    assert_eq!(read(tree.join("outside-link")).unwrap(), b"replaced");
    assert!(tree.join("d/f").exists());
    let text = bench.blame(
        layer("i-1"),
        &archive(&[symlink("loop", "loop"), file("loop/x", b"")]),
    );
    assert_eq!(text, "openat loop/x: too many levels of symbolic links");
    bench.assert_outside_untouched();
}

#[test]
fn what_is_there_is_replaced_and_never_written_to() {
    let Some(mut bench) = Bench::start("what_is_there_is_replaced_and_never_written_to") else {
        return;
    };
    let tree = bench.tree("i-1");
    let items = [
        node("device", b'3', (1, 3)),
        file("device", b"a file"),
        // Opening a pipe for writing would wait for its reader.
        node("pipe", b'6', (0, 0)),
        file("pipe", b"a file"),
        file("one", b"first"),
        hard_link("two", "one"),
        file("two", b"second"),
    ];
    bench.apply("i-1", &archive(&items));
    for name in ["device", "pipe"] {
        assert_eq!(read(tree.join(name)).unwrap(), b"a file");
    }
    assert_eq!(
        read(tree.join("one")).unwrap(),
        b"first",
        "the other name of a file is another file now"
    );
}

#[test]
fn limits_stop_bombs_before_they_land() {
    let Some(mut bench) = Bench::start("limits_stop_bombs_before_they_land") else {
        return;
    };
    let tree = bench.tree("i-1");
    let tight = Extract {
        content_bytes_max: 10,
        entries_max: 3,
        ..layer("i-1")
    };
    let text = bench.blame(tight.clone(), &archive(&[file("a", &[0; 6]), file("b", &[0; 5])]));
    assert_eq!(text, "archive exceeds the limit of 10 bytes of files");
    assert!(tree.join("a").exists() && !tree.join("b").exists());
    let many: Vec<Item> = (0..4).map(|at| dir(&format!("d{at}"))).collect();
    assert_eq!(
        bench.blame(tight.clone(), &archive(&many)),
        "archive exceeds the limit of 3 entries"
    );
    assert!(!tree.join("d3").exists());
    // The announced size counts, whether or not the content comes.
    let huge = Item {
        size: 0o77777777777,
        ..file("huge", b"x")
    };
    assert_eq!(
        bench.blame(tight, &huge.bytes()),
        "archive exceeds the limit of 10 bytes of files"
    );
    let extension = Item {
        flag: b'x',
        size: 2 << 20,
        ..file("x", b"")
    };
    assert_eq!(
        bench.blame(layer("i-1"), &extension.bytes()),
        "archive/tar: header field too long"
    );
}

#[test]
fn streams_cut_short_are_unexpected_ends() {
    let Some(mut bench) = Bench::start("streams_cut_short_are_unexpected_ends") else {
        return;
    };
    let whole = archive_of(&[
        file("a", &[b'a'; 700]).record("path", &[b'p'; 120]).bytes(),
        gnu_long(b'L', &[b'l'; 150]),
        file("b", b"b").bytes(),
    ]);
    for length in (0..whole.len()).step_by(97) {
        bench.tree("i-1");
        match bench.extract(layer("i-1"), &whole[..length]) {
            Outcome::Done { .. } => {}
            Outcome::Failed(error) => {
                assert_eq!(
                    (error.code, error.detail.as_str()),
                    (ErrorCode::BadContent, "unexpected EOF"),
                    "{length}"
                );
            }
        }
    }
    assert_eq!(bench.blame(layer("i-1"), &whole[..300]), "unexpected EOF");
    assert_eq!(bench.blame(layer("i-1"), &whole[..2000]), "unexpected EOF");
    bench.assert_outside_untouched();
}

#[test]
fn broken_headers_are_invalid() {
    let Some(mut bench) = Bench::start("broken_headers_are_invalid") else {
        return;
    };
    let record = |key: &str, value: &[u8]| archive(&[file("a", b"x").record(key, value)]);
    let mut random = 88_172_645_463_325_252u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[0]
    };
    let garbage: Vec<u8> = (0..4096).map(|_| next()).collect();
    let mut unsealed = archive(&[file("a", b"")]);
    unsealed[0] = b'b';
    let archives = [
        garbage,
        b"not a tar, and longer than a block".repeat(40),
        unsealed,
        [vec![0; 512], vec![1; 512]].concat(),
        record("path", b"a\0b"),
        record("size", b"-1"),
        record("size", b"99999999999999999999"),
        record("size", b"18446744073709551615"),
        record("uid", b"4294967295"),
        record("gid", b"-1"),
        record("mtime", b"yesterday"),
        archive(&[
            Item {
                records: Vec::new(),
                flag: b'x',
                ..file("x", b"12 path=a")
            },
            file("a", b""),
        ]),
    ];
    for (at, bytes) in archives.iter().enumerate() {
        assert_eq!(
            bench.blame(layer("i-1"), bytes),
            "archive/tar: invalid tar header",
            "archive {at}"
        );
    }
    assert_eq!(read_dir(bench.tree("i-1")).unwrap().count(), 0);
}

#[test]
fn archives_with_any_byte_changed_do_no_harm() {
    let Some(mut bench) = Bench::start("archives_with_any_byte_changed_do_no_harm") else {
        return;
    };
    let good = archive_of(&[
        file("etc/x", b"x").record("path", b"../../../outside").bytes(),
        symlink("l", "../../outside").bytes(),
        hard_link("h", "l").bytes(),
        file("l", b"y").bytes(),
    ]);
    bench.tree("i-1");
    for at in (0..good.len()).step_by(13) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        // Every worker says how it ended: none crashed.
        let _ = bench.extract(layer("i-1"), &bytes);
    }
    bench.assert_outside_untouched();
}

/// Exchanges a directory and a link that leads out, as fast as it can, while `work` runs.
fn while_swapping(tree: &Path, target: &Path, work: impl FnOnce()) {
    let (name, link) = (tree.join("d"), tree.join("l"));
    create_dir(&name).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // An archive that holds the directory replaces the link by one.
                let is_link = |path| symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
                if !is_link(&name) && !is_link(&link) {
                    let _ = std::fs::remove_dir_all(&link);
                    let _ = std::os::unix::fs::symlink(target, &link);
                }
                for _ in 0..20 {
                    let _ = renameat_with(CWD, &name, CWD, &link, RenameFlags::EXCHANGE);
                }
            }
        });
        // Also when `work` fails, or the other thread would go on for ever.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        worked.unwrap();
    });
}

#[test]
fn a_link_swapped_in_meanwhile_never_leads_out() {
    let Some(mut bench) = Bench::start("a_link_swapped_in_meanwhile_never_leads_out") else {
        return;
    };
    let tree = bench.tree("c-1");
    // A tree of the mount root that is not this request's: the sandbox alone would let it be written.
    let other = bench.tree("c-2");
    write(other.join("secret"), "secret").unwrap();
    let before = bench::tree::describe(&bench.mount_root());
    let entry = |at| [dir("d").mode(0o777).owner(9, 9), file(&format!("d/f{at}"), b"x")];
    let bytes = archive(&(0..200).flat_map(entry).collect::<Vec<Item>>());
    while_swapping(&tree, &other, || {
        for _ in 0..20 {
            let _ = bench.extract(layer("c-1"), &bytes);
            let (packed, _) = bench.collect(pack("c-1", "d", "d"));
            assert!(
                !packed.windows(6).any(|part| part == b"secret"),
                "a file outside was packed"
            );
            let request = Request::Read {
                root: mount("c-1"),
                path: rel("d/secret"),
                bytes_max: 100,
            };
            assert_eq!(bench.collect(request).0, b"", "a file outside was read");
            let linked = bench.extract(layer("c-1"), &archive(&[hard_link("h", "d/secret")]));
            assert!(matches!(linked, Outcome::Failed(_)), "a file outside was linked");
        }
    });
    let after = bench::tree::describe(&bench.mount_root());
    let others = |lines: Vec<String>| {
        lines
            .into_iter()
            .filter(|line| line.starts_with("c-2"))
            .collect::<Vec<_>>()
    };
    assert_eq!(others(after), others(before));
    bench.assert_outside_untouched();
}

#[test]
fn a_mount_point_that_is_a_link_is_refused() {
    let Some(mut bench) = Bench::start("a_mount_point_that_is_a_link_is_refused") else {
        return;
    };
    bench.tree("c-1");
    std::os::unix::fs::symlink(bench.base(), bench.mount_root().join("c-2")).unwrap();
    std::os::unix::fs::symlink("c-1", bench.mount_root().join("c-3")).unwrap();
    for name in ["c-2", "c-3"] {
        assert!(bench.stat(name, "").is_err(), "{name}");
    }
}

#[test]
fn an_owner_that_nobody_can_be_is_refused() {
    let Some(mut bench) = Bench::start("an_owner_that_nobody_can_be_is_refused") else {
        return;
    };
    bench.tree("c-1");
    let request = Extract {
        owner: Owner::Fixed {
            uid: 0,
            gid: u32::MAX,
        },
        ..copy("c-1", "")
    };
    let fds = [
        bench::stream_of(Path::new("/dev/null")),
        bench::stream_of(Path::new("/dev/null")),
    ];
    assert_eq!(
        bench.ask(Request::Extract(request), &fds).unwrap_err().code,
        ErrorCode::Refused
    );
}

#[test]
fn magic_links_of_proc_lead_inside() {
    let Some(mut bench) = Bench::start("magic_links_of_proc_lead_inside") else {
        return;
    };
    let tree = bench.tree("c-1");
    create_dir(tree.join("proc")).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "proc", "none"])
        .arg(tree.join("proc"))
        .status();
    assert!(mounted.unwrap().success());
    let path = format!("proc/self/root{}/outside", bench.base().display());
    let read_out = bench.collect(Request::Read {
        root: mount("c-1"),
        path: rel(&path),
        bytes_max: 100,
    });
    let own = bench.collect(Request::Read {
        root: mount("c-1"),
        path: rel("proc/self/fd/0"),
        bytes_max: 100,
    });
    let wrote = bench.extract(layer("c-1"), &archive(&[file(&path, b"escaped")]));
    assert!(
        std::process::Command::new("umount")
            .arg(tree.join("proc"))
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(read_out, (bytes, Outcome::Failed(_)) if bytes.is_empty()));
    assert!(matches!(own, (bytes, Outcome::Failed(_)) if bytes.is_empty()));
    // `/proc/self/root` reads as `/`, which is the container's.
    assert!(matches!(wrote, Outcome::Done { .. }), "{wrote:?}");
    assert_eq!(
        read_to_string(tree.join(format!("{}/outside", bench.base().display()).trim_start_matches('/')))
            .unwrap(),
        "escaped"
    );
    bench.assert_outside_untouched();
}

#[test]
fn trees_deeper_than_a_path_end_in_an_error() {
    let Some(mut bench) = Bench::start("trees_deeper_than_a_path_end_in_an_error") else {
        return;
    };
    let tree = bench.tree("c-1");
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, &tree, flags, Mode::empty()).unwrap();
    for _ in 0..3000 {
        mkdirat(&directory, "d", Mode::RWXU).unwrap();
        directory = openat(&directory, "d", flags, Mode::empty()).unwrap();
    }
    let packed = bench.collect(pack("c-1", "", "")).1;
    let compared = bench.collect(bench::difference("c-1", None, &[])).1;
    let removed = bench.extract(layer("c-1"), &archive(&[file(".wh.d", b"")]));
    let cleaned = std::process::Command::new("rm")
        .arg("-rf")
        .arg(tree.join("d"))
        .status();
    assert!(cleaned.unwrap().success());
    for outcome in [packed, compared, removed] {
        assert!(
            matches!(&outcome, Outcome::Failed(error) if error.detail.as_str().ends_with("name too long")),
            "{outcome:?}"
        );
    }
}
