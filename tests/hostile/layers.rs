//! Archives that try to leave the tree they are for, to fill the disk, or that are none: as a layer in `docker load`, as the
//! tree of `docker import`, and as what `docker cp` unpacks.

use crate::target::{Target, target};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use system_tests::engine::with_shared;
use system_tests::http::Answer;
use system_tests::saved::Image;
use system_tests::tarball::{Entry, Kind, Tarball};

/// What an archive must not make outside of its tree.
const MARKER: &str = "cb-hostile-marker";

/// Host directories where a marker would lie if one got out.
const OUTSIDE: [&str; 5] = ["/", "/etc", "/tmp", "/root", "/var/tmp"];

/// How much a hole of 10 GiB may take on the disk, in bytes.
const HOLE_BYTES_MAX: u64 = 16 << 20;

/// One way of bringing an archive in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Load,
    Import,
    Copy,
}

pub(crate) const WAYS: [Way; 3] = [Way::Load, Way::Import, Way::Copy];

/// Brings an archive in; gives what the daemon says is wrong, or nothing. An image or container made for it is removed.
pub(crate) fn bring(target: &Target, way: Way, archive: &[u8]) -> Option<String> {
    let answer = match way {
        Way::Load => target.tar(
            "POST /images/load",
            &Image::of("hostile:1", archive.to_vec()).archive(),
        ),
        Way::Import => target.tar("POST /images/create?fromSrc=-&repo=hostile&tag=1", archive),
        Way::Copy => {
            target.create("hostile", r#"["true"]"#);
            let answer = target.tar("PUT /containers/hostile/archive?path=/tmp", archive);
            target.remove("hostile");
            answer
        }
    };
    let error = error_of(way, &answer);
    let removed = target.delete("/images/hostile:1").status;
    let was_made = error.is_none() && way != Way::Copy;
    assert_eq!(removed, if was_made { 200 } else { 404 }, "{way:?}: {answer:?}");
    error
}

/// `load` answers 200 and tells of a failure in its stream; the others answer 500.
pub(crate) fn error_of(way: Way, answer: &Answer) -> Option<String> {
    if way == Way::Load {
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = answer.text();
        let last = text.lines().last().unwrap_or_default();
        let line: serde_json::Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"));
        return line["error"].as_str().map(str::to_owned);
    }
    assert!(matches!(answer.status, 200 | 500), "{way:?}: {answer:?}");
    (answer.status != 200).then(|| answer.message())
}

#[track_caller]
fn nothing_got_out() {
    for directory in OUTSIDE {
        let path = Path::new(directory).join(MARKER);
        assert!(!path.exists(), "{} was written", path.display());
    }
    let found = with_shared(|engine| found_below(engine.dir())).unwrap_or_default();
    assert_eq!(found, Vec::<String>::new());
}

fn found_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name() == MARKER {
            found.push(entry.path().display().to_string());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(found_below(&entry.path()));
        }
    }
    found
}

#[test]
fn entries_named_out_of_the_tree_are_refused() {
    let target = target!();
    for name in [
        format!("../{MARKER}"),
        format!("a/../../{MARKER}"),
        format!("../../../../../../../../tmp/{MARKER}"),
    ] {
        let archive = Tarball::new().directory("a/").file(&name, "x").finish();
        for way in WAYS {
            assert_eq!(
                bring(&target, way, &archive),
                Some(format!("invalid entry name \"{name}\"")),
                "{way:?}"
            );
        }
        nothing_got_out();
    }
    target.shows_no_harm();
}

#[test]
fn absolute_names_stay_beneath() {
    let target = target!();
    let archive = Tarball::new()
        .file(&format!("/{MARKER}"), "x")
        .file(&format!("//tmp//{MARKER}"), "x")
        .finish();
    for way in WAYS {
        assert_eq!(bring(&target, way, &archive), None, "{way:?}");
        nothing_got_out();
    }
    target.shows_no_harm();
}

#[test]
fn links_lead_nowhere_outside() {
    let target = target!();
    for to in [
        "/tmp",
        "/etc",
        "/",
        "../../../../../../../../../../tmp",
        "/proc/1/root/tmp",
    ] {
        let archive = Tarball::new()
            .directory("tmp/")
            .directory("etc/")
            .link("l", to)
            .file(&format!("l/{MARKER}"), "x")
            .directory(&format!("l/d-{MARKER}/"))
            .finish();
        for way in WAYS {
            // Refused or written inside, as long as it is inside.
            let _ = bring(&target, way, &archive);
            nothing_got_out();
        }
    }
    target.shows_no_harm();
}

#[test]
fn a_link_that_replaces_a_directory_between_two_layers_is_not_followed_out() {
    let target = target!();
    let lower = Tarball::new().directory("a/").file("a/f", "x").finish();
    let middle = Tarball::new().link("a", "/tmp").finish();
    let upper = Tarball::new().file(&format!("a/{MARKER}"), "x").finish();
    let mut image = Image::of("hostile:1", lower);
    for layer in [middle, upper] {
        image.digests.push(system_tests::saved::digest(&layer));
        image.stored.push(layer);
    }
    let answer = target.tar("POST /images/load", &image.archive());
    let error = error_of(Way::Load, &answer);
    assert_eq!(
        target.delete("/images/hostile:1").status,
        if error.is_none() { 200 } else { 404 },
        "{answer:?}"
    );
    nothing_got_out();
    target.shows_no_harm();
}

#[test]
fn hard_links_reach_no_file_of_the_host() {
    let target = target!();
    let secret = std::env::temp_dir().join(format!("{MARKER}-secret"));
    fs::write(&secret, "secret").unwrap();
    let out = format!("../../../../../../../..{}", secret.display());
    let archive = Tarball::new().hard_link("h", &out).finish();
    for way in WAYS {
        assert_eq!(
            bring(&target, way, &archive),
            Some(format!("invalid hardlink target \"{out}\"")),
            "{way:?}"
        );
    }
    let absolute = secret.display().to_string();
    for archive in [
        Tarball::new().hard_link("h", &absolute).finish(),
        Tarball::new()
            .link("l", "/tmp")
            .hard_link("h", &format!("l/{MARKER}-secret"))
            .finish(),
    ] {
        for way in [Way::Load, Way::Import] {
            assert!(
                bring(&target, way, &archive).is_some(),
                "{way:?}: a link to a file of the host was made"
            );
        }
    }
    assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
    fs::remove_file(&secret).unwrap();
    target.shows_no_harm();
}

#[test]
fn device_nodes_open_nothing() {
    let target = target!();
    // The memory of the machine, and its first disk.
    let memory = Entry {
        mode: 0o666,
        device: (1, 1),
        ..Entry::new(Kind::CharDevice, "dev/memory")
    };
    let disk = Entry {
        mode: 0o666,
        device: (254, 0),
        ..Entry::new(Kind::BlockDevice, "disk")
    };
    let program = system_tests::busybox::program().unwrap();
    let archive = Tarball::new()
        .directory("dev/")
        .entry(&memory)
        .entry(&disk)
        .program("busybox", program)
        .finish();
    let imported = target.tar("POST /images/create?fromSrc=-&repo=hostile&tag=1", &archive);
    if imported.status == 200 {
        for path in ["/disk", "/dev/memory"] {
            let command = format!(r#"["/busybox","dd","if={path}","of=/dev/null","bs=1","count=1"]"#);
            let body =
                format!(r#"{{"Image":"hostile:1","Cmd":{command},"HostConfig":{{"NetworkMode":"none"}}}}"#);
            let made = target.post("/containers/create?name=hostile", &body);
            assert_eq!(made.status, 201, "{made:?}");
            assert_eq!(target.post("/containers/hostile/start", "").status, 204);
            let ended = target.post("/containers/hostile/wait", "");
            assert_eq!(ended.json()["StatusCode"], 1, "{path} could be read");
            target.remove("hostile");
        }
        assert_eq!(target.delete("/images/hostile:1").status, 200);
    }
    target.shows_no_harm();
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let target = target!();
    let whole = Tarball::new()
        .directory("d/")
        .file("d/f", vec![1; 5000])
        .file("d/g", vec![2; 5000])
        .finish();
    let mut broken = whole.clone();
    // The header of the second file.
    let header = whole.windows(3).rposition(|name| name == b"d/g").unwrap();
    broken[header + 10] ^= 1;
    for way in WAYS {
        let garbage = bring(&target, way, &[b'x'; 1400]);
        assert_eq!(
            garbage.as_deref(),
            Some("archive/tar: invalid tar header"),
            "{way:?}"
        );
        let broken = bring(&target, way, &broken);
        assert_eq!(
            broken.as_deref(),
            Some("archive/tar: invalid tar header"),
            "{way:?}"
        );
        let cut = bring(&target, way, &whole[..3000]);
        assert_eq!(cut.as_deref(), Some("unexpected EOF"), "{way:?}");
    }
    target.shows_no_harm();
}

#[test]
fn whiteouts_remove_nothing_above() {
    let target = target!();
    for name in [".wh..", ".wh.", "a/.wh...", "a/.wh.."] {
        let archive = Tarball::new().directory("a/").file(name, "").finish();
        for way in [Way::Load, Way::Import] {
            assert_eq!(
                bring(&target, way, &archive),
                Some(format!("invalid whiteout entry \"{name}\"")),
                "{way:?}"
            );
        }
    }
    target.shows_no_harm();
}

#[test]
fn a_layer_that_is_not_the_one_named_is_refused() {
    let target = target!();
    let layer = Tarball::new().file("f", "x").finish();
    let mut image = Image::of("hostile:1", layer.clone());
    image.digests = vec![format!("sha256:{}", "1".repeat(64))];
    let error = error_of(Way::Load, &target.tar("POST /images/load", &image.archive()));
    let expected = format!(
        "invalid diffID for layer 0: expected \"{}\", got \"{}\"",
        image.digests[0],
        system_tests::saved::digest(&layer)
    );
    assert_eq!(error, Some(expected));
    target.shows_no_harm();
}

#[test]
fn image_archives_that_are_none_leave_nothing() {
    let target = target!();
    let good = Image::of("hostile:1", Tarball::new().file("f", "x").finish()).archive();
    let manifest = |text: &str| Tarball::new().file("manifest.json", text).finish();
    for archive in [
        vec![b'x'; 1400],
        Vec::new(),
        good[..good.len() / 2].to_vec(),
        Tarball::new().file("unrelated", "x").finish(),
        manifest("zz"),
        manifest("[]"),
        manifest(r#"[{"Config":"c.json","RepoTags":["hostile:1"],"Layers":["l"]}]"#),
        manifest(r#"[{"Config":"../../../etc/passwd","RepoTags":["hostile:1"],"Layers":[]}]"#),
        Tarball::new()
            .link("c.json", "/etc/passwd")
            .file(
                "manifest.json",
                r#"[{"Config":"c.json","RepoTags":["hostile:1"],"Layers":[]}]"#,
            )
            .finish(),
    ] {
        let answer = target.tar("POST /images/load", &archive);
        let text = answer.text();
        assert!(!text.contains("Loaded image"), "{text}");
        assert!(!text.contains("root:x:0"), "a file of the host is shown: {text}");
        assert_eq!(target.get("/images/hostile:1/json").status, 404);
    }
    target.shows_no_harm();
}

#[test]
fn a_hole_of_ten_gibibytes_takes_no_room() {
    let target = target!();
    if !target.is_ours() {
        // A real dockerd writes ten gibibytes of zeros.
        return;
    }
    let archive = Tarball::new().sparse_file("hole", 10 << 30).finish();
    let before = allocated();
    for way in [Way::Load, Way::Import] {
        let made = match way {
            Way::Load => target.tar(
                "POST /images/load",
                &Image::of("hostile:1", archive.clone()).archive(),
            ),
            Way::Import | Way::Copy => {
                target.tar("POST /images/create?fromSrc=-&repo=hostile&tag=1", &archive)
            }
        };
        let error = error_of(way, &made);
        let grown = allocated().saturating_sub(before);
        assert!(grown < HOLE_BYTES_MAX, "{way:?}: {grown} bytes more on the disk");
        assert_eq!(
            target.delete("/images/hostile:1").status,
            if error.is_none() { 200 } else { 404 },
            "{made:?}"
        );
    }
    // A size that nothing comes after.
    let mut lie = Tarball::new().sparse_file("lie", 10 << 30).unfinished();
    lie.truncate(300);
    for way in WAYS {
        assert!(bring(&target, way, &lie).is_some(), "{way:?}");
    }
    target.shows_no_harm();
}

/// Bytes that the datasets take on the disk.
pub(crate) fn allocated() -> u64 {
    fn below(directory: &Path) -> u64 {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let size = |entry: fs::DirEntry| match entry.metadata() {
            Ok(status) if status.is_dir() => below(&entry.path()),
            Ok(status) => status.blocks() * 512,
            Err(_) => 0,
        };
        entries.map(size).sum()
    }
    with_shared(|engine| below(&engine.dir().join("pool")) + below(&engine.dir().join("daemon"))).unwrap_or(0)
}
