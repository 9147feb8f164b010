//! Pulls from a registry that does things wrong: what is told, what is left, who else notices.

use super::registry::{Asked, FakeRegistry, Fault};
use super::{World, layer, run};
use crate::kernel::housekeeping;
use crate::kernel::limits::{IMAGE_JSON_BYTES_MAX, LAYER_CONTENT_BYTES_MAX};
use crate::services::images::{Patience, Pull, RegistrySettings, chain};
use docker_api::images::ProgressLine;
use docker_api::reference::Reference;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// Registries that stall or fail are not waited for as long as people's are.
pub(super) fn hasty() -> RegistrySettings {
    RegistrySettings {
        patience: Patience {
            stall: Duration::from_millis(400),
            pause: Duration::from_millis(10),
            ..Patience::default()
        },
        ..RegistrySettings::default()
    }
}

pub(super) fn wish(name: &str) -> Pull {
    Pull {
        name: Reference::parse(name).unwrap(),
        platform: None,
        auth: String::new(),
    }
}

impl World {
    async fn start(&self, pull: Pull) -> Result<mpsc::Receiver<ProgressLine>, String> {
        let pulling = self.images.pull(&housekeeping().unwrap(), pull).await;
        pulling.map_err(|failure| failure.to_string())
    }

    /// The lines of a pull, or why it failed.
    pub(super) async fn pull_as(&self, pull: Pull) -> Result<Vec<String>, String> {
        let mut lines = self.start(pull).await?;
        let mut told = Vec::new();
        while let Some(line) = lines.recv().await {
            if !line.error.is_empty() {
                return Err(line.error);
            }
            told.push(line.status);
        }
        Ok(told)
    }

    async fn pull(&self, name: &str) -> Result<Vec<String>, String> {
        self.pull_as(wish(name)).await
    }
}

/// Random enough that it does not shrink, so that cuts fall where they are meant to.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(next).collect()
}

pub(super) fn big_layer() -> Vec<u8> {
    super::tar_of(&[super::TarFile::regular("noise", &noise(300_000))])
}

fn ranges(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.range.as_str()).collect()
}

/// The digest of the only layer, as it is stored.
pub(super) fn blob_of(layer: &[u8]) -> String {
    chain::digest_of(&super::gzip(layer))
}

#[test]
fn what_breaks_off_is_taken_up_where_it_broke() {
    run(async {
        let (world, registry, layer) = (World::with(hasty()).await, FakeRegistry::start(), big_layer());
        registry.put("x", "1", &[&layer]);
        let blob = format!("/blobs/{}", blob_of(&layer));
        registry.fault(&blob, 1, Fault::CutAfter(100_000));
        registry.fault(&blob, 1, Fault::StallAfter(50_000));
        let name = format!("{}/x:1", registry.host());
        let told = world.pull(&name).await.unwrap();
        assert!(
            told.iter().any(|line| line.starts_with("Retrying in ")),
            "{told:?}"
        );
        assert_eq!(
            ranges(&registry.asked(&blob)),
            ["", "bytes=100000-", "bytes=150000-"]
        );
        assert!(world.images.find(&housekeeping().unwrap(), &name).await.is_ok());
        assert!(world.spooled().is_empty());
    });
}

#[test]
fn what_cannot_be_taken_up_comes_again_from_its_start() {
    run(async {
        let layer = big_layer();
        let blob = format!("/blobs/{}", blob_of(&layer));
        for answer in [Fault::Whole, Fault::Status(416, "")] {
            let (world, registry) = (World::with(hasty()).await, FakeRegistry::start());
            registry.put("x", "1", &[&layer]);
            registry.fault(&blob, 1, Fault::CutAfter(100_000));
            registry.fault(&blob, 1, answer.clone());
            let told = world.pull(&format!("{}/x:1", registry.host())).await;
            assert!(told.is_ok(), "{answer:?}: {told:?}");
        }
        // Another part than the one that was asked for is not put behind what is there.
        let (world, registry) = (World::with(hasty()).await, FakeRegistry::start());
        registry.put("x", "1", &[&layer]);
        registry.fault(&blob, 1, Fault::CutAfter(100_000));
        registry.fault(&blob, 1, Fault::WrongRange);
        let told = world.pull(&format!("{}/x:1", registry.host())).await.unwrap_err();
        assert!(told.contains("another part of a layer"), "{told}");
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn a_registry_that_never_delivers_is_given_up_with_nothing_left() {
    run(async {
        let (world, registry, layer) = (World::with(hasty()).await, FakeRegistry::start(), big_layer());
        registry.put("x", "1", &[&layer]);
        let blob = format!("/blobs/{}", blob_of(&layer));
        registry.fault(&blob, 99, Fault::Status(503, "later"));
        let name = format!("{}/x:1", registry.host());
        let told = world.pull(&name).await.unwrap_err();
        assert_eq!(told, "received unexpected HTTP status: 503 Service Unavailable");
        assert_eq!(registry.asked(&blob).len(), 5, "as often as dockerd tries");
        world.assert_nothing_is_left().await;
        registry.mend();
        registry.fault(&blob, 99, Fault::StallAfter(0));
        let told = world.pull(&name).await.unwrap_err();
        assert!(
            told.starts_with("Get \"http://") && told.contains("timed out"),
            "{told}"
        );
        world.assert_nothing_is_left().await;
        // Too many requests is no reason to give up at once.
        registry.mend();
        registry.fault(&blob, 2, Fault::Status(429, ""));
        world.pull(&name).await.unwrap();
    });
}

#[test]
fn blobs_that_are_not_what_the_manifest_says_leave_nothing() {
    run(async {
        let (world, registry, layer) = (World::with(hasty()).await, FakeRegistry::start(), big_layer());
        registry.put("x", "1", &[&super::layer("below"), &layer]);
        let (blob, name) = (blob_of(&layer), format!("{}/x:1", registry.host()));
        let good = super::gzip(&layer);
        let mut flipped = good.clone();
        flipped[1000] ^= 1;
        for (body, words) in [
            (
                flipped,
                format!("filesystem layer verification failed for digest {blob}"),
            ),
            (
                good[..good.len() - 7].to_vec(),
                format!("layer {blob} has fewer bytes than the {}", good.len()),
            ),
            (
                [good.as_slice(), b"more"].concat(),
                format!("layer {blob} has more bytes than the {}", good.len()),
            ),
        ] {
            registry.fault(&blob, 1, Fault::Body(body));
            let told = world.pull(&name).await.unwrap_err();
            assert!(told.contains(&words), "{words}: {told}");
            world.assert_nothing_is_left().await;
        }
        // The digest is right, but what it unpacks to is not what the configuration says.
        let config = json!({
            "os": "linux", "architecture": "amd64",
            "rootfs": { "type": "layers", "diff_ids": [chain::digest_of(b"other")] },
        });
        registry.put_stored("x", "2", &[good], config.to_string().as_bytes());
        let told = world.pull(&format!("{}/x:2", registry.host())).await.unwrap_err();
        assert!(
            told.starts_with("failed to register layer: invalid diffID: expected"),
            "{told}"
        );
        world.assert_nothing_is_left().await;
        world.pull(&name).await.unwrap();
    });
}

#[test]
fn manifests_and_configurations_that_are_none_are_refused() {
    run(async {
        let (world, registry) = (World::with(hasty()).await, FakeRegistry::start());
        registry.put("x", "1", &[&layer("a")]);
        let name = format!("{}/x:1", registry.host());
        let denied = r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
        let limited = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        let longest = format!("the answer is longer than {IMAGE_JSON_BYTES_MAX} bytes");
        for (fault, words) in [
            (Fault::Endless(100 << 20), longest.as_str()),
            (Fault::Body(b"{".to_vec()), "the manifest is no JSON"),
            (
                Fault::Body(br#"{"schemaVersion":1}"#.to_vec()),
                "schema 1 is not supported",
            ),
            (Fault::Status(401, ""), "pull access denied for "),
            (Fault::Status(403, denied), "denied: requested access is denied"),
            (
                Fault::Status(404, ""),
                "received unexpected HTTP status: 404 Not Found",
            ),
            (Fault::Status(429, limited), "toomanyrequests: slow down"),
            (
                Fault::Status(500, denied),
                "received unexpected HTTP status: 500 Internal Server Error",
            ),
            (Fault::StallAfter(3), "timed out"),
            (Fault::CutAfter(3), "Get \"http://"),
        ] {
            registry.fault("/manifests/", 1, fault.clone());
            let told = world.pull(&name).await.unwrap_err();
            assert!(told.contains(words), "{fault:?}: {told}");
            world.assert_nothing_is_left().await;
        }
        let digest = registry.put("x", "2", &[&layer("b")]);
        registry.fault("/manifests/", 1, Fault::Body(b"{}".to_vec()));
        let told = world
            .pull(&format!("{}/x@{digest}", registry.host()))
            .await
            .unwrap_err();
        assert_eq!(told, format!("manifest verification failed for digest {digest}"));
        // The configuration's turn comes after the manifest's.
        registry.fault("/blobs/", 1, Fault::Body(b"{}".to_vec()));
        let told = world.pull(&name).await.unwrap_err();
        assert!(
            told.starts_with("image config verification failed for digest sha256:"),
            "{told}"
        );
        registry.put_stored(
            "x",
            "3",
            &[vec![1]],
            br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        let told = world.pull(&format!("{}/x:3", registry.host())).await.unwrap_err();
        assert_eq!(told, "layers from manifest don't match image configuration");
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn what_a_manifest_may_not_ask_for_is_refused_before_anything_is_fetched() {
    run(async {
        let (world, registry) = (World::with(hasty()).await, FakeRegistry::start());
        let one = format!("sha256:{}", "1".repeat(64));
        let of = |config: serde_json::Value, layer: serde_json::Value| json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let config = json!({ "digest": one, "size": 2 });
        let kind = "application/vnd.oci.image.layer.v1.tar";
        for (manifest, words) in [
            (
                of(
                    config.clone(),
                    json!({ "mediaType": kind, "digest": "sha256:../../x", "size": 1 }),
                ),
                "invalid checksum digest format: sha256:../../x".to_owned(),
            ),
            (
                of(
                    config.clone(),
                    json!({ "mediaType": kind, "digest": one, "size": 1_u64 << 50 }),
                ),
                format!("at most {LAYER_CONTENT_BYTES_MAX} are taken"),
            ),
            (
                of(
                    config.clone(),
                    json!({ "mediaType": kind, "digest": one, "size": -1 }),
                ),
                format!("at most {LAYER_CONTENT_BYTES_MAX} are taken"),
            ),
            (
                of(
                    config.clone(),
                    json!({ "mediaType": "text/x-helm", "digest": one, "size": 1 }),
                ),
                "unsupported media type text/x-helm".to_owned(),
            ),
            (
                of(
                    json!({ "mediaType": "text/x-helm", "digest": one }),
                    json!({ "mediaType": kind, "digest": one }),
                ),
                "unsupported media type text/x-helm".to_owned(),
            ),
        ] {
            registry.put_manifest(
                "x",
                "1",
                "application/vnd.oci.image.manifest.v1+json",
                manifest.to_string().as_bytes(),
            );
            let told = world.pull(&format!("{}/x:1", registry.host())).await.unwrap_err();
            assert!(told.contains(&words), "{words}: {told}");
        }
        assert!(registry.asked("/blobs/").is_empty());
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn a_blob_comes_once_for_all_who_want_it_and_stays_when_one_goes() {
    run(async {
        let (world, registry, layer) = (
            World::with(RegistrySettings::default()).await,
            FakeRegistry::start(),
            big_layer(),
        );
        registry.put("x", "1", &[&layer]);
        registry.put("y", "1", &[&layer, &super::layer("own")]);
        let blob = format!("/blobs/{}", blob_of(&layer));
        registry.fault(&blob, 1, Fault::CutAfter(100_000));
        let name = |repository: &str| format!("{}/{repository}:1", registry.host());
        let leaving = world.start(wish(&name("x"))).await.unwrap();
        let (staying, same) = (name("y"), name("y"));
        let leave = async {
            // In the pause after the cut.
            tokio::time::sleep(Duration::from_millis(400)).await;
            drop(leaving);
        };
        let (first, second, ()) = tokio::join!(world.pull(&staying), world.pull(&same), leave);
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        assert_eq!(ranges(&registry.asked(&blob)), ["", "bytes=100000-"]);
        assert_eq!(world.host.lock().extractions, 2);
        assert!(
            world
                .images
                .find(&housekeeping().unwrap(), &name("x"))
                .await
                .is_err()
        );
    });
}

#[test]
fn a_client_that_goes_away_ends_its_pull() {
    run(async {
        let (world, registry, layer) = (
            World::with(RegistrySettings::default()).await,
            FakeRegistry::start(),
            big_layer(),
        );
        registry.put("x", "1", &[&super::layer("below"), &layer]);
        registry.fault(&blob_of(&layer), 99, Fault::StallAfter(10));
        let mut lines = world
            .start(wish(&format!("{}/x:1", registry.host())))
            .await
            .unwrap();
        while let Some(line) = lines.recv().await {
            if line.status == "Pull complete" {
                break;
            }
        }
        assert_eq!(world.host.lock().datasets.len(), 1);
        assert!(!world.spooled().is_empty());
        drop(lines);
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn a_registry_that_stalls_holds_up_nobody_else() {
    run(async {
        let (world, slow, quick) = (
            World::with(RegistrySettings::default()).await,
            FakeRegistry::start(),
            FakeRegistry::start(),
        );
        let layers: Vec<Vec<u8>> = ["1", "2", "3", "4", "5"].map(super::layer).into();
        let all: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        slow.put("x", "1", &all);
        slow.fault(
            "/blobs/",
            1,
            Fault::Header("X-The-First", "is the configuration".to_owned()),
        );
        slow.fault("/blobs/", 99, Fault::StallAfter(1));
        quick.put("x", "1", &[&super::layer("quick")]);
        let stalled = world.start(wish(&format!("{}/x:1", slow.host()))).await.unwrap();
        while slow.asked("/blobs/").len() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let other = format!("{}/x:1", quick.host());
        let pulled = tokio::time::timeout(Duration::from_secs(10), world.pull(&other)).await;
        pulled
            .expect("the other registry's image comes meanwhile")
            .unwrap();
        drop(stalled);
    });
}
