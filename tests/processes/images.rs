//! What is left of an image when the daemon or a helper is killed in the middle of load, pull, build or rmi: all of it, or nothing.

use crate::{kill, leftovers, start, successor};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use system_tests::docker::{Docker, eventually};
use system_tests::engine::Engine;
use system_tests::registry::{Access, Registry};
use system_tests::saved::{Image, digest};
use system_tests::tarball::Tarball;
use system_tests::{busybox, http, skipped};

/// At how many moments of a request something is killed, spread over the time that it takes undisturbed.
const MOMENTS: u32 = 5;

/// The image that comes and goes.
const NAME: &str = "crash:1";

/// Bytes of each layer's file: enough that unpacking takes a while.
const CONTENT_BYTES: usize = 6 << 20;

fn content(seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..CONTENT_BYTES).map(next).collect()
}

/// A saved image of three layers, which can run.
fn archive(folder: &Path) -> PathBuf {
    let base = Tarball::new()
        .directory("bin/")
        .program("bin/busybox", busybox::program().unwrap())
        .link("bin/cat", "busybox")
        .file("one", content(1));
    let mut image = Image::of(NAME, base.finish());
    for seed in [2, 3] {
        let layer = Tarball::new()
            .file(&format!("layer-{seed}"), content(seed))
            .file("top", format!("{seed}"))
            .finish();
        image.digests.push(digest(&layer));
        image.stored.push(layer);
    }
    let path = folder.join("crash.tar");
    fs::write(&path, image.archive()).unwrap();
    path
}

/// What stands in a folder; nothing where there is none.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The layers of all images: their chains, which have datasets, and their own digests, whose bytes are kept.
fn layers(docker: &Docker) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut chains, mut diffs) = (BTreeSet::new(), BTreeSet::new());
    for id in docker.ok("images -aq --no-trunc").lines() {
        let told = docker.ok(&format!(
            "image inspect --format '{{{{json .RootFS.Layers}}}}' {id}"
        ));
        let mut above = String::new();
        for diff in serde_json::from_str::<Vec<String>>(&told).unwrap() {
            above = match above.as_str() {
                "" => diff.clone(),
                below => digest(format!("{below} {diff}").as_bytes()),
            };
            chains.insert(above["sha256:".len()..].to_owned());
            diffs.insert(diff);
        }
    }
    (chains, diffs)
}

/// Everything agrees: datasets and kept bytes are those of the images' layers, nothing is mounted or under way.
#[track_caller]
fn agrees(engine: &Engine, docker: &Docker, after: &str) {
    let (chains, diffs) = layers(docker);
    let datasets = engine.dir().join("pool/images");
    let deadline = Instant::now() + Duration::from_secs(20);
    while names(&datasets) != chains && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(names(&datasets), chains, "{after}: left, the datasets");
    eventually(&format!("{after}: nothing is under way"), || {
        let left = ["daemon/tmp", "mnt", "pool/.trash"];
        left.iter()
            .all(|folder| names(&engine.dir().join(folder)).is_empty())
    });
    assert_eq!(
        names(&engine.dir().join("daemon/layers")).len(),
        diffs.len(),
        "{after}"
    );
    let usage = http::get(docker.socket(), "/system/df").json();
    let listed = http::get(docker.socket(), "/images/json").json();
    let ids = |images: &Value| -> BTreeSet<String> {
        let images = images.as_array().into_iter().flatten();
        images.map(|image| image["Id"].to_string()).collect()
    };
    assert_eq!(ids(&usage["Images"]), ids(&listed), "{after}: {usage}");
}

/// What is there of the image works.
#[track_caller]
fn is_whole_or_gone(docker: &Docker, after: &str) -> bool {
    if docker.run(&format!("image inspect {NAME}")).code != 0 {
        return false;
    }
    let (code, saved, told) = docker.bytes(&format!("save {NAME}"), b"");
    assert!(
        code == 0 && saved.len() > CONTENT_BYTES,
        "{after}: {}",
        String::from_utf8_lossy(&told)
    );
    assert_eq!(
        docker.ok(&format!("run --rm --network none {NAME} cat /top")),
        "3",
        "{after}"
    );
    true
}

fn clean(docker: &Docker) {
    for container in docker.ok("ps -aq").lines() {
        docker.ok(&format!("rm -f {container}"));
    }
    docker.run(&format!("rmi -f {NAME}"));
    docker.ok("image prune -f");
}

/// Kills a program at moments of a command, each time looking at what is left.
fn kill_during(engine: &Engine, docker: &Docker, program: &str, prepare: &dyn Fn(), command: &str) {
    prepare();
    let begun = Instant::now();
    docker.ok(command);
    let whole = begun.elapsed();
    clean(docker);
    agrees(engine, docker, command);
    let used = layers_bytes(docker);
    let mut outcomes = BTreeSet::new();
    for moment in 0..MOMENTS {
        prepare();
        let process = engine.child(program);
        let running = docker.start(command);
        std::thread::sleep(whole * moment / MOMENTS + Duration::from_millis(3));
        kill(process);
        let ran = running.end();
        successor(engine, program, process);
        eventually("the API answers", || docker.run("images -q").code == 0);
        let after = format!("{program} killed at {moment}/{MOMENTS} of `{command}`, which told {ran:?}");
        agrees(engine, docker, &after);
        let is_there = is_whole_or_gone(docker, &after);
        let was_removed = command.starts_with("rmi");
        assert!(
            ran.code != 0 || is_there != was_removed,
            "{after}: it says that it was done"
        );
        outcomes.insert(ran.code == 0);
        clean(docker);
        agrees(engine, docker, &after);
        assert_eq!(layers_bytes(docker), used, "{after}");
    }
    // The last moment may find it done; the first never does.
    assert!(
        outcomes.contains(&false) || program != "cellblockd",
        "nothing was ever in the middle"
    );
}

/// What `docker system df` says the layers take.
fn layers_bytes(docker: &Docker) -> u64 {
    let usage = http::get(docker.socket(), "/system/df").json();
    usage["LayersSize"].as_u64().unwrap()
}

/// A folder beside the engine's, which goes with the test.
fn folder(engine: &Engine) -> PathBuf {
    let folder = engine.dir().with_extension("in");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_load_leaves_the_image_or_nothing() {
    let Some((engine, docker)) = start("a_load_leaves_the_image_or_nothing") else {
        return;
    };
    let folder = folder(&engine);
    let command = format!("load -i {}", archive(&folder).display());
    for program in ["cellblockd", "cellblock-archive", "cellblock-zfs"] {
        kill_during(&engine, &docker, program, &|| (), &command);
    }
    docker.ok(&command);
    assert!(is_whole_or_gone(&docker, "at the end"));
    eventually("nothing stays", || leftovers(&engine).is_empty());
    engine.stop();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_removal_leaves_the_image_or_nothing() {
    let Some((engine, docker)) = start("a_removal_leaves_the_image_or_nothing") else {
        return;
    };
    let folder = folder(&engine);
    let load = format!("load -i {}", archive(&folder).display());
    let prepare = || drop(docker.ok(&load));
    for program in ["cellblockd", "cellblock-zfs"] {
        kill_during(&engine, &docker, program, &prepare, &format!("rmi {NAME}"));
    }
    engine.stop();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_pull_leaves_the_image_or_nothing() {
    let Some((engine, docker)) = start("a_pull_leaves_the_image_or_nothing") else {
        return;
    };
    let registry = match Registry::start(Access::Anonymous) {
        Ok(registry) => registry,
        Err(why) => return skipped("a_pull_leaves_the_image_or_nothing", &why),
    };
    let folder = folder(&engine);
    let name = format!("{}/crash:1", registry.host());
    docker.ok(&format!("load -i {}", archive(&folder).display()));
    docker.ok(&format!("tag {NAME} {name}"));
    docker.ok(&format!("push {name}"));
    docker.ok(&format!("rmi {NAME} {name}"));
    // Nothing is kept from the moment before.
    let forget = || drop(docker.run(&format!("rmi -f {name}")));
    for program in ["cellblockd", "cellblock-archive"] {
        let begun = Instant::now();
        docker.ok(&format!("pull {name}"));
        let whole = begun.elapsed();
        for moment in 0..MOMENTS {
            forget();
            let process = engine.child(program);
            let running = docker.start(&format!("pull {name}"));
            std::thread::sleep(whole * moment / MOMENTS + Duration::from_millis(3));
            kill(process);
            let ran = running.end();
            successor(&engine, program, process);
            eventually("the API answers", || docker.run("images -q").code == 0);
            let after = format!("{program} killed at {moment}/{MOMENTS} of a pull, which told {ran:?}");
            agrees(&engine, &docker, &after);
            let is_there = docker.run(&format!("image inspect {name}")).code == 0;
            assert!(is_there || ran.code != 0, "{after}");
            if is_there {
                assert_eq!(
                    docker.ok(&format!("run --rm --network none {name} cat /top")),
                    "3",
                    "{after}"
                );
            }
        }
        docker.ok(&format!("pull {name}"));
    }
    engine.stop();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_build_leaves_whole_steps() {
    let Some((engine, docker)) = start("a_build_leaves_whole_steps") else {
        return;
    };
    let folder = folder(&engine);
    fs::write(folder.join("big"), content(4)).unwrap();
    let text = "FROM base\nCOPY big /big\nRUN cat /big > /copy\nRUN echo 3 > /top\n";
    fs::write(folder.join("Dockerfile"), text).unwrap();
    let command = format!("build --no-cache -t {NAME} {}", folder.display());
    for program in ["cellblockd", "cellblock-archive"] {
        kill_during(&engine, &docker, program, &|| (), &command);
    }
    docker.ok(&command);
    assert!(is_whole_or_gone(&docker, "at the end"));
    engine.stop();
    fs::remove_dir_all(folder).unwrap();
}
