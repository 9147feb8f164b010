//! Layers that unpack to more than there is, and layers that are merely odd.

use crate::layers::{WAYS, Way, allocated, bring, error_of};
use crate::target::target;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::saved::{Image, digest};
use system_tests::tarball::Tarball;

/// What a layer may hold, in bytes (`LAYER_CONTENT_BYTES_MAX` of the daemon).
const LIMIT_BYTES: u64 = 64 << 30;

/// How long a bomb may keep the daemon busy: it is known by its header.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// What `gzip` makes of a layer that is a header, so many zeros, and an end.
fn packed(header: &[u8], zeros: u64) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-9c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let header = header.to_vec();
    let writing = std::thread::spawn(move || {
        stdin.write_all(&header).unwrap();
        let chunk = vec![0; 1 << 20];
        for _ in 0..zeros >> 20 {
            stdin.write_all(&chunk).unwrap();
        }
        stdin.write_all(&[0; 1024]).unwrap();
    });
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout
}

#[test]
fn a_gibibyte_of_zeros_is_a_layer_and_a_tebibyte_is_none() {
    let target = target!();
    let size = 1_u64 << 30;
    let header = Tarball::new().file_without_content("zeros", size).unfinished();
    let layer = packed(&header, size);
    assert!(layer.len() < 2 << 20, "{} bytes", layer.len());
    let imported = target.tar("POST /images/create?fromSrc=-&repo=hostile&tag=1", &layer);
    assert_eq!(error_of(Way::Import, &imported), None);
    let image = target.get("/images/hostile:1/json").json();
    assert_eq!(image["Size"], size);
    assert_eq!(target.delete("/images/hostile:1").status, 200);
    // The zeros of a tebibyte need not come: its header tells.
    let before = allocated();
    let bomb = Tarball::new().file_without_content("zeros", 1 << 40).unfinished();
    let mut image = Image::of("hostile:1", bomb.clone());
    image.stored = vec![packed(&bomb, 64 << 20)];
    image.digests = vec![digest(b"what a tebibyte of zeros would be")];
    let begun = Instant::now();
    let told = error_of(Way::Load, &target.tar("POST /images/load", &image.archive()));
    assert_eq!(
        told,
        Some(format!(
            "archive exceeds the limit of {LIMIT_BYTES} bytes of files"
        ))
    );
    assert!(begun.elapsed() < REFUSED_WITHIN, "{:?}", begun.elapsed());
    assert!(allocated().saturating_sub(before) < 1 << 20);
    target.shows_no_harm();
}

#[test]
fn many_files_that_are_too_much_together_are_refused_too() {
    let target = target!();
    if !target.is_ours() {
        // A real dockerd writes the holes.
        return;
    }
    let mut archive = Tarball::new();
    for at in 0..7 {
        archive = archive.sparse_file(&format!("hole-{at}"), 10 << 30);
    }
    let archive = archive.finish();
    for way in [Way::Load, Way::Import] {
        let told = bring(&target, way, &archive);
        let expected = format!("archive exceeds the limit of {LIMIT_BYTES} bytes of files");
        assert_eq!(told, Some(expected), "{way:?}");
    }
    target.shows_no_harm();
}

#[test]
fn the_last_of_entries_with_one_name_counts() {
    let target = target!();
    let archive = Tarball::new()
        .file("twice", "first")
        .file("twice", "second")
        .directory("changes/")
        .file("changes/inside", "x")
        .link("link", "twice")
        .directory("link/")
        .file("link/inside", "y")
        .finish();
    for way in [Way::Load, Way::Import] {
        assert_eq!(bring(&target, way, &archive), None, "{way:?}");
    }
    let sent = target.tar("POST /images/create?fromSrc=-&repo=hostile&tag=1", &archive);
    assert_eq!(sent.status, 200, "{sent:?}");
    let image = target.get("/images/hostile:1/json").json();
    assert!(
        image["RootFS"]["Layers"][0].as_str() == Some(digest(&archive).as_str()),
        "{image}"
    );
    let made = target.post(
        "/containers/create?name=hostile",
        r#"{"Image":"hostile:1","Cmd":["x"],"HostConfig":{"NetworkMode":"none"}}"#,
    );
    assert_eq!(made.status, 201, "{made:?}");
    for (path, content) in [
        ("/twice", "second"),
        ("/link/inside", "y"),
        ("/changes/inside", "x"),
    ] {
        let got = target.get(&format!("/containers/hostile/archive?path={path}"));
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert!(
            got.body
                .windows(content.len())
                .any(|part| part == content.as_bytes()),
            "{path}"
        );
    }
    target.remove("hostile");
    assert_eq!(target.delete("/images/hostile:1").status, 200);
    target.shows_no_harm();
}

#[test]
fn whiteouts_of_nothing_do_nothing() {
    let target = target!();
    let archive = Tarball::new()
        .file(".wh.nothing", "")
        .file("no/such/folder/.wh.nothing", "")
        .file("no/such/.wh..wh..opq", "")
        .file("f", "x")
        .finish();
    for way in [Way::Load, Way::Import] {
        assert_eq!(bring(&target, way, &archive), None, "{way:?}");
    }
    target.shows_no_harm();
}

#[test]
fn a_hard_link_before_its_target_is_refused() {
    let target = target!();
    let archive = Tarball::new().hard_link("h", "later").file("later", "x").finish();
    for way in WAYS {
        let told = bring(&target, way, &archive).unwrap_or_else(|| panic!("{way:?} took it"));
        assert!(told.contains("no such file or directory"), "{way:?}: {told}");
    }
    target.shows_no_harm();
}

#[test]
fn long_names_and_names_that_are_no_text_are_kept_and_too_long_ones_refused() {
    let target = target!();
    let path = [&b"d"[..]; 150].join(&b"/"[..]);
    let raw = b"no\xff\xfetext".to_vec();
    for name in [path, vec![b'n'; 255], raw] {
        let archive = Tarball::new().file_with_any_name(&name, "x").finish();
        for way in WAYS {
            assert_eq!(bring(&target, way, &archive), None, "{way:?}: {name:?}");
        }
    }
    let archive = Tarball::new().file_with_any_name(&[b'n'; 300], "x").finish();
    for way in WAYS {
        let told = bring(&target, way, &archive).unwrap_or_else(|| panic!("{way:?} took it"));
        assert!(told.contains("file name too long"), "{way:?}: {told}");
    }
    // What stands in no header at all is no name either.
    let archive = Tarball::new().file_with_any_name(b"a\0b", "x").finish();
    for way in WAYS {
        let _ = bring(&target, way, &archive);
    }
    target.shows_no_harm();
}
