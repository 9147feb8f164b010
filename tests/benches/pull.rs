//! How long a pull of a 500 MB image takes, beside what fetches and unpacks the same blobs without us (`curl | zstd -d | tar x`),
//! measured in the same run against the same registry: `cargo bench -p system-tests --bench pull`. Not a test: numbers of a busy
//! machine say little.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot be taken ends the run"
)]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::docker::Docker;
use system_tests::engine::Engine;
use system_tests::registry::{Access, Registry};
use system_tests::saved::{Image, digest};
use system_tests::tarball::Tarball;

/// Layers of the image: as many as an image of a distribution with a program has.
const LAYERS: usize = 4;

/// Files of a layer, and bytes of a file: 128 MB a layer.
const FILES: usize = 1000;
const FILE_BYTES: usize = 128_000;

/// How often each way is measured; the best counts, since others use the machine too.
const ROUNDS: u32 = 3;

fn main() {
    match measured() {
        Ok(()) => {}
        Err(why) => println!("not measured: {why}"),
    }
}

fn measured() -> Result<(), String> {
    for program in ["curl", "zstd", "tar", "skopeo"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        found.map_err(|_| format!("needs {program}"))?;
    }
    let engine = Engine::start("bench-pull")?;
    let registry = Registry::start(Access::Anonymous)?;
    let docker = Docker::new(&engine.socket());
    let folder = engine.dir().with_extension("bench");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("{}/bench:1", registry.host());
    let blobs = publish(&folder, &name, &registry);
    let bytes = (LAYERS * FILES * FILE_BYTES) as f64;
    let stored: u64 = blobs
        .iter()
        .map(|blob| fs::metadata(registry.blob(blob)).unwrap().len())
        .sum();
    println!(
        "{LAYERS} layers, {:.0} MB of files, {:.0} MB of zstd",
        bytes / 1e6,
        stored as f64 / 1e6
    );
    let (mut floors, mut pulls) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(floor(&folder, &registry, &blobs));
        let begun = Instant::now();
        docker.ok(&format!("pull -q {name}"));
        pulls.push(begun.elapsed());
        docker.ok(&format!("rmi {name}"));
    }
    let show = |what: &str, times: &[Duration]| {
        let best = times.iter().min().unwrap().as_secs_f64();
        println!(
            "{what:<32} {best:>6.2} s {:>8.0} MB/s   of {times:.2?}",
            bytes / 1e6 / best
        );
        best
    };
    let floor = show("curl | zstd -d | tar x (floor)", &floors);
    let pull = show("docker pull", &pulls);
    println!("{:.2} of the floor", floor / pull);
    engine.stop();
    fs::remove_dir_all(folder).unwrap();
    Ok(())
}

/// Puts the image into the registry, its layers in zstd; gives their digests.
fn publish(folder: &Path, name: &str, registry: &Registry) -> Vec<String> {
    let mut image = Image::of("bench:1", layer(0));
    for seed in 1..LAYERS {
        let layer = layer(seed);
        image.digests.push(digest(&layer));
        image.stored.push(layer);
    }
    let saved = folder.join("saved.tar");
    fs::write(&saved, image.archive()).unwrap();
    let skopeo = |arguments: &[&str]| {
        let ran = Command::new("skopeo")
            .arg("--insecure-policy")
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        ran.stdout
    };
    let (from, to) = (
        format!("docker-archive:{}", saved.display()),
        format!("docker://{name}"),
    );
    let into = [
        "copy",
        "--dest-tls-verify=false",
        "--format=oci",
        "--dest-compress-format=zstd",
        &from,
        &to,
    ];
    skopeo(&into);
    fs::remove_file(saved).unwrap();
    let manifest: Value =
        serde_json::from_slice(&skopeo(&["inspect", "--raw", "--tls-verify=false", &to])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), LAYERS, "{}: {manifest}", registry.host());
    layers
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// Files that shrink to about a half, as programs do.
fn layer(seed: usize) -> Vec<u8> {
    let mut state = u32::try_from(seed).unwrap() + 1;
    let mut tarball = Tarball::new().directory(&format!("layer-{seed}/"));
    for file in 0..FILES {
        let content: Vec<u8> = (0..FILE_BYTES)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Every other run of 64 bytes repeats.
                if at / 64 % 2 == 0 {
                    (state >> 24) as u8
                } else {
                    (at % 64) as u8
                }
            })
            .collect();
        tarball = tarball.file(&format!("layer-{seed}/{file}"), content);
    }
    tarball.finish()
}

/// The same blobs, one after the other, fetched and unpacked by the shell.
fn floor(folder: &Path, registry: &Registry, blobs: &[String]) -> Duration {
    let tree = folder.join("tree");
    fs::create_dir_all(&tree).unwrap();
    let begun = Instant::now();
    for blob in blobs {
        let url = format!("http://{}/v2/bench/blobs/{blob}", registry.host());
        let line = format!("curl -sf {url} | zstd -dc | tar -x -C {}", tree.display());
        let status = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(status.success(), "{line}");
    }
    let took = begun.elapsed();
    fs::remove_dir_all(&tree).unwrap();
    took
}
