//! Pulls and who is asked: mirrors, other hosts, token services, platforms; and what nobody is to learn.

use super::pulls::{big_layer, blob_of, hasty, wish};
use super::registry::{FakeRegistry, Fault};
use super::{World, layer, run};
use crate::kernel::housekeeping;
use crate::services::images::{Children, Force, Pull, RegistrySettings, chain};
use base64::Engine as _;
use docker_api::image_config::Platform;
use docker_api::reference::Reference;
use serde_json::json;
use std::sync::{Arc, Mutex};

#[test]
fn credentials_go_to_the_registry_alone() {
    run(async {
        let (world, registry, other) = (
            World::with(hasty()).await,
            FakeRegistry::start(),
            FakeRegistry::start(),
        );
        let layer = big_layer();
        for each in [&registry, &other] {
            each.put("x", "1", &[&layer]);
        }
        let host = registry.host();
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:x:pull\"");
        let mut pull = wish(&format!("{host}/x:1"));
        let own = base64::engine::general_purpose::URL_SAFE.encode(r#"{"username":"u","password":"p"}"#);
        pull.auth = own;
        // Basic first: each request carries the password.
        let basic = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode("u:p")
        );
        registry.guard(&basic, "Basic realm=x");
        registry.fault(
            "/blobs/",
            99,
            Fault::RedirectTo(format!("http://{}", other.host())),
        );
        // The other host asks who comes, and offers a token service of its own.
        let bait = format!("Bearer realm=\"http://{}/token\",service=\"s\"", other.host());
        other.guard("Bearer given", &bait);
        let told = world.pull_as(pull.clone()).await.unwrap_err();
        assert!(told.contains("unauthorized"), "{told}");
        let seen = other.asked("");
        assert!(
            !seen.is_empty() && seen.iter().all(|asked| asked.authorization.is_empty()),
            "{seen:?}"
        );
        assert!(other.asked("/token").is_empty(), "{seen:?}");
        assert_eq!(registry.asked("/manifests/").last().unwrap().authorization, basic);
        // Without questions the other host's blobs are taken.
        other.guard("", "");
        world.pull_as(pull.clone()).await.unwrap();
        assert!(other.asked("").iter().all(|asked| asked.authorization.is_empty()));
        assert_eq!(registry.asked("/token").len(), 0);
        // With a token, the password goes to the token service alone.
        let guarded = FakeRegistry::start();
        guarded.put("x", "1", &[&super::layer("other")]);
        guarded.guard("Bearer given", &challenge.replace(&host, &registry.host()));
        registry.guard(&basic, "Basic realm=x");
        pull.name = Reference::parse(&format!("{}/x:1", guarded.host())).unwrap();
        world.pull_as(pull).await.unwrap();
        let asked = registry.asked("/token");
        assert_eq!(asked.len(), 1, "one token is enough: {asked:?}");
        assert!(
            asked[0].line.contains("scope=repository%3Ax%3Apull") && asked[0].authorization == basic,
            "{asked:?}"
        );
        let seen = guarded.asked("");
        assert!(
            seen.iter().all(|asked| !asked.authorization.starts_with("Basic")),
            "{seen:?}"
        );
    });
}

#[test]
fn mirrors_are_asked_in_order_and_one_that_fails_is_passed_over() {
    run(async {
        let (empty, cut, good) = (
            FakeRegistry::start(),
            FakeRegistry::start(),
            FakeRegistry::start(),
        );
        let layer = big_layer();
        for mirror in [&cut, &good] {
            mirror.put("library/x", "1", &[&layer]);
        }
        cut.fault(&format!("/blobs/{}", blob_of(&layer)), 99, Fault::Status(404, ""));
        let settings = RegistrySettings {
            mirrors: [&empty, &cut, &good]
                .map(|mirror| format!("http://{}/", mirror.host()))
                .into(),
            ..hasty()
        };
        let world = World::with(settings).await;
        let own = base64::engine::general_purpose::URL_SAFE.encode(r#"{"username":"u","password":"p"}"#);
        let told = world
            .images
            .distribution(&Reference::parse("x:1").unwrap(), &own)
            .await
            .unwrap();
        assert_eq!(told.platforms[0].os, "linux");
        assert_eq!(empty.asked("/manifests/").len(), 1);
        world
            .pull_as(Pull {
                auth: own,
                ..wish("x:1")
            })
            .await
            .unwrap();
        assert!(world.images.find(&housekeeping().unwrap(), "x:1").await.is_ok());
        // The distribution's question was answered by the second already.
        for (mirror, asked) in [(&empty, 2), (&cut, 2), (&good, 1)] {
            assert_eq!(mirror.asked("/v2/library/x/manifests/1").len(), asked);
            let seen = mirror.asked("");
            assert!(
                seen.iter().all(|asked| asked.authorization.is_empty()),
                "{seen:?}"
            );
        }
    });
}

#[test]
fn of_several_platforms_the_wanted_one_is_taken() {
    run(async {
        let (world, registry) = (World::with(hasty()).await, FakeRegistry::start());
        let mut listed = Vec::new();
        for (tag, os, architecture) in [
            ("a", "linux", "arm64"),
            ("b", "linux", "amd64"),
            ("c", "freebsd", "amd64"),
        ] {
            let config = json!({
                "os": os, "architecture": architecture,
                "rootfs": { "type": "layers", "diff_ids": [chain::digest_of(&layer(tag))] },
            });
            let digest = registry.put_stored("x", tag, &[layer(tag)], config.to_string().as_bytes());
            listed.push(json!({ "digest": digest, "platform": { "os": os, "architecture": architecture } }));
        }
        let index = json!({ "schemaVersion": 2, "manifests": listed }).to_string();
        registry.put_manifest(
            "x",
            "1",
            "application/vnd.oci.image.index.v1+json",
            index.as_bytes(),
        );
        let name = format!("{}/x:1", registry.host());
        for (os, architecture) in [("linux", "arm64"), ("freebsd", "amd64"), ("linux", "amd64")] {
            let platform = Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                ..Platform::default()
            };
            world
                .pull_as(Pull {
                    platform: Some(platform),
                    ..wish(&name)
                })
                .await
                .unwrap();
            let image = world.images.find(&housekeeping().unwrap(), &name).await.unwrap();
            assert_eq!(
                (image.config.os.as_str(), image.config.architecture.as_str()),
                (os, architecture)
            );
            assert!(
                image.digests[0].ends_with(&chain::digest_of(index.as_bytes())),
                "the index is what the name means"
            );
        }
        let none = Platform {
            os: "linux".to_owned(),
            architecture: "s390x".to_owned(),
            ..Platform::default()
        };
        let told = world
            .pull_as(Pull {
                platform: Some(none),
                ..wish(&name)
            })
            .await
            .unwrap_err();
        assert_eq!(
            told,
            "no matching manifest for linux/s390x in the manifest list entries"
        );
    });
}

#[test]
fn what_breaks_off_is_pushed_again_and_uploads_elsewhere_carry_no_credentials() {
    run(async {
        let (world, registry, other) = (
            World::with(hasty()).await,
            FakeRegistry::start(),
            FakeRegistry::start(),
        );
        world
            .import(&big_layer(), &format!("{}/x:1", registry.host()))
            .await
            .unwrap();
        let name = Reference::parse(&format!("{}/x:1", registry.host())).unwrap();
        let basic = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode("u:p")
        );
        registry.guard(&basic, "Basic realm=x");
        let auth = base64::engine::general_purpose::URL_SAFE.encode(r#"{"username":"u","password":"p"}"#);
        let push = async || {
            let mut lines = world.images.push(&housekeeping().unwrap(), name.clone(), &auth);
            let mut told = Vec::new();
            while let Some(line) = lines.recv().await {
                told.push(format!("{}{}", line.status, line.error));
            }
            told
        };
        registry.fault("PATCH ", 9, Fault::Status(503, "later"));
        let told = push().await;
        let last = "received unexpected HTTP status: 503 Service Unavailable";
        assert_eq!(told.last().unwrap(), last, "{told:?}");
        assert_eq!(registry.asked("PATCH ").len(), 5, "as often as dockerd tries");
        registry.mend();
        registry.fault("PATCH ", 2, Fault::Status(500, ""));
        let told = push().await;
        assert_eq!(
            told.iter()
                .filter(|line| line.starts_with("Retrying in "))
                .count(),
            2,
            "{told:?}"
        );
        assert!(
            told.iter().any(|line| line.contains("digest: sha256:")),
            "{told:?}"
        );
        for fault in [Fault::Status(401, ""), Fault::Status(403, "")] {
            registry.fault("PUT /v2/x/manifests/", 1, fault);
            let told = push().await;
            assert!(
                told.last().unwrap().starts_with("push access denied for "),
                "{told:?}"
            );
        }
        // Another repository, whose uploads the registry sends elsewhere.
        let elsewhere = format!("{}/y:1", registry.host());
        world
            .images
            .tag(
                &housekeeping().unwrap(),
                &name.familiar(),
                &Reference::parse(&elsewhere).unwrap(),
            )
            .await
            .unwrap();
        registry.fault(
            "POST /v2/y/",
            9,
            Fault::UploadTo(format!("http://{}", other.host())),
        );
        registry.fault("HEAD /v2/y/", 9, Fault::Status(404, ""));
        let mut lines = world.images.push(
            &housekeeping().unwrap(),
            Reference::parse(&elsewhere).unwrap(),
            &auth,
        );
        while lines.recv().await.is_some() {}
        let seen = other.asked("");
        assert!(seen.iter().any(|asked| asked.line.starts_with("P")), "{seen:?}");
        assert!(
            seen.iter().all(|asked| asked.authorization.is_empty()),
            "{seen:?}"
        );
    });
}

/// Everything that is logged while it lives, at the finest level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn credentials_are_in_no_record_and_no_log() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    run(async {
        let (world, registry, tokens) = (
            World::with(hasty()).await,
            FakeRegistry::start(),
            FakeRegistry::start(),
        );
        registry.put("x", "1", &[&layer("a")]);
        let standard = base64::engine::general_purpose::STANDARD;
        let own = format!("Basic {}", standard.encode("name-of-user:word-of-passing"));
        tokens.guard(&own, "Basic realm=x");
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", tokens.host());
        registry.guard("Bearer given", &challenge);
        let name = format!("{}/x:1", registry.host());
        let json = r#"{"username":"name-of-user","password":"word-of-passing"}"#;
        let pull = Pull {
            auth: base64::engine::general_purpose::URL_SAFE.encode(json),
            ..wish(&name)
        };
        tracing::info!(?pull, "a line of this test");
        world.pull_as(pull.clone()).await.unwrap();
        tokens.guard("Basic other", "Basic realm=x");
        world
            .images
            .remove(
                &housekeeping().unwrap(),
                &name,
                Force::No,
                Children::Prune,
                Vec::new(),
            )
            .await
            .unwrap();
        world.pull_as(pull.clone()).await.unwrap_err();
        let seen = String::from_utf8_lossy(&logged.0.lock().unwrap()).into_owned();
        assert!(
            seen.contains("a line of this test") && seen.contains("TRACE"),
            "nothing was logged"
        );
        let files = std::fs::read_dir(&world.state_dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let stored: Vec<u8> = files
            .filter_map(|path| std::fs::read(path).ok())
            .flatten()
            .collect();
        assert!(
            stored.windows(6).any(|bytes| bytes == b"SQLite"),
            "no record was read"
        );
        let stored = String::from_utf8_lossy(&stored);
        for secret in [
            "word-of-passing",
            own.trim_start_matches("Basic "),
            pull.auth.as_str(),
            "Bearer given",
        ] {
            for (place, text) in [("the log", seen.as_str()), ("the record", &stored)] {
                let at = text.find(secret);
                let around = at.map(|at| text[..at].lines().last().unwrap_or_default());
                assert_eq!(around, None, "{place} has {secret}");
            }
        }
    });
}
