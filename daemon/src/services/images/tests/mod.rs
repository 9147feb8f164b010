//! Whole requests against made-up helpers: what is left on the host, in the record and in the answers.

pub(super) mod fake;
mod pulls;
mod registries;
pub(super) mod registry;
mod tenants;

use self::fake::{
    FakeHost, OciArchive, SavedImage, TarFile, gzip, oci_layout, oci_layout_with, save, tar_of,
};
use super::{Children, Force, Images, Import, RegistrySettings, Spool, chain, target};
use crate::kernel::bus::Bus;
use crate::kernel::housekeeping;
use crate::services::Failure;
use crate::store::{Kind, Store};
use docker_api::image_config::ImageConfig;
use docker_api::images::DeleteItem;
use protocol::Principal;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

struct World {
    host: FakeHost,
    images: Images,
    store: Store,
    bus: Bus,
    state_dir: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

impl World {
    async fn new() -> Self {
        World::with(RegistrySettings::default()).await
    }

    async fn with(registries: RegistrySettings) -> Self {
        // Once for the whole process is enough, and a second time is no error here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let state_dir = std::env::temp_dir().join(format!("cb-images-{}", crate::services::naming::new_id()));
        std::fs::create_dir_all(&state_dir).unwrap();
        let (host, bus, store) = (
            FakeHost::default(),
            Bus::default(),
            Store::open(&state_dir.join("db")).unwrap(),
        );
        let images = Images::start(&state_dir, registries, store.clone(), host.helpers(), bus.clone())
            .await
            .unwrap();
        World {
            host,
            images,
            store,
            bus,
            state_dir,
        }
    }

    async fn restarted(&self) -> Images {
        Images::start(
            &self.state_dir,
            Default::default(),
            self.store.clone(),
            self.host.helpers(),
            self.bus.clone(),
        )
        .await
        .unwrap()
    }

    /// The lines of a load: their texts, or the error.
    async fn load(&self, archive: &[u8]) -> Vec<String> {
        self.load_by(&housekeeping().unwrap(), archive).await
    }

    async fn load_by(&self, by: &Principal, archive: &[u8]) -> Vec<String> {
        let mut lines = self.images.load(by, spool(archive), true, None);
        let mut texts = Vec::new();
        while let Some(line) = lines.recv().await {
            texts.push(if line.error.is_empty() {
                line.stream
            } else {
                format!("error: {}", line.error)
            });
        }
        texts
    }

    async fn remove(&self, name: &str) -> Result<Vec<DeleteItem>, Failure> {
        self.images
            .remove(
                &housekeeping().unwrap(),
                name,
                Force::No,
                Children::Prune,
                Vec::new(),
            )
            .await
    }

    async fn import(&self, root: &[u8], name: &str) -> Result<String, Failure> {
        let import = Import {
            name: target(name, "").unwrap(),
            message: "Imported from -".to_owned(),
            config: ImageConfig::default(),
            platform: None,
        };
        self.images
            .import(&housekeeping().unwrap(), spool(root), import)
            .await
    }

    /// Nothing of images is left on the host or in the record.
    async fn assert_nothing_is_left(&self) {
        // What a client let go is removed in the background; bytes of a layer go last.
        for _ in 0..100 {
            let mut kept = std::fs::read_dir(self.state_dir.join("layers")).unwrap();
            let has_datasets = !self.host.lock().datasets.is_empty();
            if !has_datasets && kept.next().is_none() && self.spooled().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.spooled(), Vec::<PathBuf>::new());
        {
            let host = self.host.lock();
            assert!(host.datasets.is_empty() && host.mounts.is_empty(), "{host:?}");
        }
        let files: Vec<_> = std::fs::read_dir(self.state_dir.join("layers"))
            .unwrap()
            .collect();
        assert!(files.is_empty(), "{files:?}");
        for kind in [Kind::Layer, Kind::Image, Kind::Blob] {
            let rows = self.store.all::<serde_json::Value>(kind).await.unwrap();
            assert!(rows.is_empty(), "{rows:?}");
        }
        assert!(
            self.images
                .all(&housekeeping().unwrap())
                .await
                .unwrap()
                .is_empty()
        );
    }

    /// Files of uploads and downloads under way.
    fn spooled(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.state_dir.join("tmp"));
        entries
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn events(&self) -> Vec<String> {
        let name = |event: &docker_api::events::EventMessage| event.actor.attributes["name"].clone();
        self.bus
            .listen()
            .0
            .iter()
            .map(|news| format!("{} {}", news.event.action, name(&news.event)))
            .collect()
    }
}

fn spool(bytes: &[u8]) -> Spool {
    let (spool, mut file) = Spool::create(&std::env::temp_dir()).unwrap();
    file.write_all(bytes).unwrap();
    spool
}

fn run(flow: impl Future<Output = ()>) {
    actix::System::new().block_on(flow);
}

fn layer(content: &str) -> Vec<u8> {
    tar_of(&[TarFile::regular(content, content.as_bytes())])
}

#[test]
fn a_loaded_image_stands_on_snapshots_and_survives_a_restart() {
    run(async {
        let world = World::new().await;
        let (low, top) = (layer("low"), layer("top"));
        let archive = save(&[SavedImage::new(&[&low, &top], &["x:1", "y:1"])]);
        assert_eq!(
            world.load(&archive).await,
            ["Loaded image: x:1\n", "Loaded image: y:1\n"]
        );
        let image = world.images.find(&housekeeping().unwrap(), "y:1").await.unwrap();
        assert_eq!((image.size_bytes, image.tagged_at_ns), (6, 0));
        {
            let host = world.host.lock();
            let datasets: Vec<String> = image
                .chain
                .iter()
                .map(|chain| format!("images/{chain}"))
                .collect();
            assert_eq!(host.datasets[&datasets[1]], Some(datasets[0].clone()));
            assert!(
                datasets.iter().all(|dataset| host.snapshots.contains(dataset)) && host.mounts.is_empty()
            );
        }
        assert_eq!(world.events(), [format!("load {}", image.id)]);
        assert_eq!(
            *world
                .restarted()
                .await
                .find(&housekeeping().unwrap(), "x:1")
                .await
                .unwrap(),
            *image
        );
    });
}

#[test]
fn layers_that_exist_are_not_extracted_again() {
    run(async {
        let world = World::new().await;
        let archive = save(&[SavedImage::new(&[&layer("a"), &layer("b")], &["x:1"])]);
        world.load(&archive).await;
        world.load(&archive).await;
        let compressed = SavedImage::new(&[&layer("a"), &layer("b")], &["z:1"]).compressed();
        assert_eq!(
            world.load(&gzip(&save(&[compressed]))).await,
            ["Loaded image: z:1\n"]
        );
        assert_eq!(world.host.lock().extractions, 2);
        // Two at once share the work.
        let (plain, packed) = (layer("c"), gzip(&layer("c")));
        let (first, second) = tokio::join!(world.import(&plain, "c1"), world.import(&packed, "c2"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(world.host.lock().extractions, 3);
    });
}

#[test]
fn a_bad_layer_leaves_nothing_half_made() {
    run(async {
        let world = World::new().await;
        let good = layer("good");
        let escape = tar_of(&[TarFile::regular("../../escape", b"x")]);
        let one = format!("sha256:{}", "1".repeat(64));
        let good_digest = chain::digest_of(&good);
        let mut cut = gzip(&layer("cut"));
        cut.truncate(cut.len() - 8);
        let mut truncated = SavedImage::new(&[&good, &layer("cut")], &["x:1"]);
        truncated.layers[1] = cut;
        for (image, words) in [
            (
                SavedImage::new(&[&good, &escape], &["x:1"]),
                "invalid entry name \"../../escape\"".to_owned(),
            ),
            (
                SavedImage::new(&[&good, &[b'x'; 2000]], &["x:1"]),
                "archive/tar: invalid tar header".to_owned(),
            ),
            (truncated, "unexpected EOF".to_owned()),
            (
                SavedImage::new(&[&good], &["x:1"]).with_diff_ids(&[&one]),
                format!("invalid diffID for layer 0: expected \"{one}\", got \"{good_digest}\""),
            ),
        ] {
            assert_eq!(world.load(&save(&[image])).await, [format!("error: {words}")]);
            world.assert_nothing_is_left().await;
        }
        assert!(world.events().is_empty());
        // The good layer is no worse for it.
        assert_eq!(
            world.load(&save(&[SavedImage::new(&[&good], &["x:1"])])).await,
            ["Loaded image: x:1\n"]
        );
    });
}

#[test]
fn a_damaged_oci_layer_is_refused_and_a_good_one_is_loaded() {
    run(async {
        let world = World::new().await;
        let archive = OciArchive {
            name: None,
            platforms: &[("linux", "amd64")],
            is_damaged: false,
        };
        let lines = world.load(&oci_layout(&archive)).await;
        assert!(lines[0].starts_with("Loaded image ID: sha256:"), "{lines:?}");
        let world = World::new().await;
        let mut bytes = oci_layout(&archive);
        // The compressed layer's own checksum stays right: only its digest differs.
        let at = bytes
            .windows(4)
            .position(|window| window == b"\x1f\x8b\x08\0")
            .unwrap();
        bytes[at + 4] ^= 1;
        let lines = world.load(&bytes).await;
        assert!(
            lines[0].starts_with("error: invalid digest for blob"),
            "{lines:?}"
        );
        world.assert_nothing_is_left().await;
    });
}

/// The images of the FreeBSD project (download.freebsd.org, OCI-IMAGES): an OCI layout in xz with an image of one layer, whose
/// configuration has `cmd` in lower case, or no `config` at all.
#[test]
fn what_the_freebsd_project_publishes_loads() {
    run(async {
        let archive = OciArchive {
            name: Some("freebsd-static:14.3"),
            platforms: &[("freebsd", "amd64")],
            is_damaged: false,
        };
        let shell = Some(vec!["/bin/sh".to_owned()]);
        for (more, command) in [
            (json!({ "config": { "cmd": ["/bin/sh"] } }), shell.clone()),
            (
                json!({ "config": { "Cmd": ["/bin/sh"], "env": ["A=1"] }, "variant": null }),
                shell,
            ),
            (json!({ "config": null, "history": null }), None),
            (json!({}), None),
        ] {
            let world = World::new().await;
            let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
            xz.write_all(&oci_layout_with(&archive, &more)).unwrap();
            let lines = world.load(&xz.finish().unwrap()).await;
            assert_eq!(lines, ["Loaded image: freebsd-static:14.3\n"], "{more}");
            let image = world
                .images
                .find(&housekeeping().unwrap(), "freebsd-static:14.3")
                .await
                .unwrap();
            assert_eq!(
                (&image.config.config.cmd, image.chain.len()),
                (&command, 1),
                "{more}"
            );
            assert_eq!(image.config.os, "freebsd");
            // What is read is not what is kept: the id is the digest of the text as it came.
            assert_eq!(chain::digest_of(image.config_json.as_bytes()), image.id);
            assert_eq!(
                *world
                    .restarted()
                    .await
                    .find(&housekeeping().unwrap(), &image.id)
                    .await
                    .unwrap(),
                *image
            );
        }
    });
}

#[test]
fn a_name_moves_with_the_words_of_dockerd() {
    run(async {
        let world = World::new().await;
        world
            .load(&save(&[SavedImage::new(&[&layer("a")], &["x:1"])]))
            .await;
        let old = world
            .images
            .find(&housekeeping().unwrap(), "x:1")
            .await
            .unwrap()
            .id
            .clone();
        let lines = world
            .load(&save(&[SavedImage::new(&[&layer("b")], &["x:1"])]))
            .await;
        let renamed =
            format!("The image x:1 already exists, renaming the old one with ID {old} to empty string\n");
        assert_eq!(lines, [renamed, "Loaded image: x:1\n".to_owned()]);
        assert!(
            world
                .images
                .find(&housekeeping().unwrap(), &old)
                .await
                .unwrap()
                .tags
                .is_empty()
        );
        let name = target("z", "2").unwrap().unwrap();
        world
            .images
            .tag(&housekeeping().unwrap(), "x:1", &name)
            .await
            .unwrap();
        assert_eq!(world.events().last().unwrap(), "tag z:2");
        assert!(
            world
                .images
                .find(&housekeeping().unwrap(), "z:2")
                .await
                .unwrap()
                .tagged_at_ns
                > 0
        );
    });
}

#[test]
fn shared_layers_go_with_the_last_image() {
    run(async {
        let world = World::new().await;
        let (shared, own) = (layer("shared"), layer("own"));
        world
            .load(&save(&[
                SavedImage::new(&[&shared], &["x:1"]),
                SavedImage::new(&[&shared, &own], &["y:1"]),
            ]))
            .await;
        let (one, two) = (
            world.images.find(&housekeeping().unwrap(), "x:1").await.unwrap(),
            world.images.find(&housekeeping().unwrap(), "y:1").await.unwrap(),
        );
        let deleted = world.remove("x:1").await.unwrap();
        assert_eq!(
            deleted,
            [DeleteItem::untagged("x:1"), DeleteItem::deleted(&one.id)]
        );
        let deleted = world.remove("y").await.unwrap_err();
        assert_eq!(deleted.to_string(), "No such image: y:latest");
        let deleted = world.remove(&two.id[7..19]).await.unwrap();
        let layers = two
            .chain
            .iter()
            .rev()
            .map(|chain| DeleteItem::deleted(chain::digest(chain)));
        let expected: Vec<DeleteItem> = [DeleteItem::untagged("y:1"), DeleteItem::deleted(&two.id)]
            .into_iter()
            .chain(layers)
            .collect();
        assert_eq!(deleted, expected);
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn a_layer_that_a_container_was_cloned_from_goes_after_the_container() {
    run(async {
        let world = World::new().await;
        world
            .load(&save(&[SavedImage::new(&[&layer("a"), &layer("b")], &["x:1"])]))
            .await;
        let image = world.images.find(&housekeeping().unwrap(), "x:1").await.unwrap();
        let top = format!("images/{}", image.chain[1]);
        world
            .host
            .lock()
            .datasets
            .insert("containers/c".to_owned(), Some(top));
        let deleted = world.remove("x:1").await.unwrap();
        assert_eq!(
            deleted,
            [DeleteItem::untagged("x:1"), DeleteItem::deleted(&image.id)]
        );
        let by = housekeeping().unwrap();
        world.images.sweep(&by).await;
        assert_eq!(world.host.lock().datasets.len(), 3);
        world.host.lock().datasets.remove("containers/c");
        world
            .bus
            .publish("default", "container", "destroy", "c", Default::default());
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // The row is the last thing that goes.
            let rows: Vec<(String, serde_json::Value)> = world.store.all(Kind::Layer).await.unwrap();
            if rows.is_empty() {
                break;
            }
        }
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn an_import_is_an_image_of_one_layer() {
    run(async {
        let world = World::new().await;
        let id = world.import(&gzip(&layer("root")), "imp:2").await.unwrap();
        let image = world
            .images
            .find(&housekeeping().unwrap(), "imp:2")
            .await
            .unwrap();
        assert_eq!(
            (&image.id, &image.config.comment),
            (&id, &"Imported from -".to_owned())
        );
        assert_eq!(image.config.rootfs.diff_ids, [chain::digest_of(&layer("root"))]);
        assert_eq!(image.config.os, "linux");
        assert_eq!(
            world
                .images
                .history(&housekeeping().unwrap(), "imp:2")
                .await
                .unwrap()[0]
                .size,
            4
        );
        assert_eq!(world.events(), ["tag imp:2".to_owned(), format!("import {id}")]);
        let bad = world.import(&[b'x'; 1400], "bad").await.unwrap_err();
        assert!(matches!(bad, Failure::System(text) if text == "archive/tar: invalid tar header"));
        assert_eq!(world.host.lock().datasets.len(), 1);
    });
}

#[test]
fn a_layer_that_no_image_came_to_use_goes_with_its_hold() {
    run(async {
        let world = World::new().await;
        let by = housekeeping().unwrap();
        let low = world
            .images
            .add_layer(&by, &[], spool(&layer("a")).path())
            .await
            .unwrap();
        let chain = [low.chain_id.clone()];
        let top = world
            .images
            .add_layer(&by, &chain, spool(&layer("b")).path())
            .await
            .unwrap();
        drop(low);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            world.host.lock().datasets.len(),
            2,
            "the upper layer stands on it"
        );
        top.hold.end().await;
        world.assert_nothing_is_left().await;
    });
}

#[test]
fn rows_and_datasets_agree_after_a_restart() {
    run(async {
        let world = World::new().await;
        let archive = [
            SavedImage::new(&[&layer("kept")], &["kept:1"]),
            SavedImage::new(&[&layer("lost")], &["lost:1"]),
        ];
        world.load(&save(&archive)).await;
        let lost = world
            .images
            .find(&housekeeping().unwrap(), "lost:1")
            .await
            .unwrap();
        {
            let mut host = world.host.lock();
            let lost = format!("images/{}", lost.chain[0]);
            host.snapshots.remove(&lost);
            host.datasets.remove(&lost);
            // A half-made pair, one of them mounted still.
            host.datasets.insert("images/aaa".to_owned(), None);
            host.datasets
                .insert("images/bbb".to_owned(), Some("images/aaa".to_owned()));
            host.mounts.insert("i-bbb".to_owned(), "images/bbb".to_owned());
        }
        let images = world.restarted().await;
        assert!(images.find(&housekeeping().unwrap(), "kept:1").await.is_ok());
        assert!(images.find(&housekeeping().unwrap(), "lost:1").await.is_err());
        {
            let host = world.host.lock();
            assert_eq!((host.datasets.len(), host.mounts.len()), (1, 0));
        }
        assert_eq!(
            world
                .store
                .all::<serde_json::Value>(Kind::Layer)
                .await
                .unwrap()
                .len(),
            1
        );
    });
}
