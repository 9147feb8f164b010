//! pull, push, login, search, against a real registry.

use crate::folder::Folder;
use serde_json::Value;
use std::process::Command;
use system_tests::docker::Docker;
use system_tests::engine::BASE_IMAGE;
use system_tests::registry::{Access, Registry};
use system_tests::tarball::Tarball;
use system_tests::{docker, http, skipped};

/// A registry, or says why the test is skipped.
fn registry(test: &str, access: Access) -> Option<Registry> {
    match Registry::start(access) {
        Ok(registry) => Some(registry),
        Err(why) => {
            skipped(&format!("registry::{test}"), &why);
            None
        }
    }
}

/// An image of one layer with some content.
fn import(docker: &Docker, tag: &str, content: &[u8]) -> String {
    let layer = Tarball::new().file("content", content).finish();
    let ran = docker.with_input(&format!("import -c 'CMD [\"/content\"]' - {tag}"), &layer);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out.trim().to_owned()
}

/// The digest in what a push or pull said.
fn digest_in(out: &str) -> String {
    let at = out.find("igest: sha256:").unwrap_or_else(|| panic!("{out}")) + "igest: ".len();
    out[at..at + 71].to_owned()
}

fn inspect(docker: &Docker, format: &str, image: &str) -> String {
    docker.ok(&format!("image inspect --format '{{{{{format}}}}}' {image}"))
}

#[test]
fn what_is_pushed_is_pulled_again_with_equal_digests() {
    let docker = docker!();
    let Some(registry) = registry("push", Access::Anonymous) else {
        return;
    };
    let name = format!("{}/deep/er/base", registry.host());
    docker.ok(&format!("tag {BASE_IMAGE} {name}:1"));
    let id = inspect(&docker, ".Id", &format!("{name}:1"));
    let out = docker.ok(&format!("push {name}:1"));
    assert!(
        out.contains(&format!("The push refers to repository [{name}]")) && out.contains(": Pushed"),
        "{out}"
    );
    let digest = digest_in(&out);
    assert!(
        inspect(&docker, "json .RepoDigests", &format!("{name}:1")).contains(&format!("{name}@{digest}"))
    );
    let again = docker.ok(&format!("push {name}:1"));
    assert!(
        again.contains("Layer already exists") && digest_in(&again) == digest,
        "{again}"
    );
    let other = format!("{}/other", registry.host());
    docker.ok(&format!("tag {BASE_IMAGE} {other}:2"));
    let out = docker.ok(&format!("push {other}:2"));
    assert!(
        out.contains("Mounted from deep/er/base") && digest_in(&out) == digest,
        "{out}"
    );
    // A daemon that has nothing of it: the base image's own name goes too.
    docker.ok(&format!("rmi {name}:1 {other}:2"));
    let out = docker.ok(&format!("pull {name}:1"));
    assert!(
        out.contains("Pulling from deep/er/base") && digest_in(&out) == digest,
        "{out}"
    );
    assert!(
        out.contains(&format!("Status: Downloaded newer image for {name}:1")),
        "{out}"
    );
    assert_eq!(inspect(&docker, ".Id", &format!("{name}:1")), id);
    let out = docker.ok(&format!("pull {name}:1"));
    assert!(
        out.contains(&format!("Status: Image is up to date for {name}:1")),
        "{out}"
    );
    let by_digest = format!("{other}@{digest}");
    docker.ok(&format!("pull {by_digest}"));
    assert_eq!(docker.ok(&format!("run --rm {by_digest} echo ran")), "ran");
    let told = http::get(docker.socket(), &format!("/distribution/{name}:1/json")).json();
    assert_eq!(told["Descriptor"]["digest"], Value::from(digest));
    assert_eq!(told["Platforms"][0]["os"], "linux");
    docker.ok(&format!("rmi {name}:1 {by_digest}"));
}

#[test]
fn an_image_goes_through_with_layers_fetched_and_every_tag() {
    let docker = docker!();
    let Some(registry) = registry("all", Access::Anonymous) else {
        return;
    };
    let name = format!("{}/all", registry.host());
    let content = vec![7; 3_000_000];
    let ids = ["1", "2"].map(|tag| {
        import(
            &docker,
            &format!("{name}:{tag}"),
            &[content.as_slice(), tag.as_bytes()].concat(),
        )
    });
    let out = docker.ok(&format!("push -a {name}"));
    assert!(
        out.contains("1: digest: sha256:") && out.contains("2: digest: sha256:"),
        "{out}"
    );
    docker.ok(&format!("rmi {name}:1 {name}:2"));
    let out = docker.ok(&format!("pull -a {name}"));
    assert!(
        out.contains("Pull complete") && out.contains("Download complete"),
        "{out}"
    );
    for (tag, id) in ["1", "2"].iter().zip(&ids) {
        assert_eq!(inspect(&docker, ".Id", &format!("{name}:{tag}")), *id);
    }
    docker.ok(&format!("rmi {name}:1 {name}:2"));
}

#[test]
fn an_oci_image_with_zstd_keeps_its_digest_through_pull_and_push() {
    let docker = docker!();
    let Some(registry) = registry("zstd", Access::Anonymous) else {
        return;
    };
    if Command::new("skopeo").arg("--version").output().is_err() {
        return skipped("registry::zstd", "needs skopeo");
    }
    let folder = Folder::new("zstd");
    let saved = folder.path("saved.tar");
    let name = format!("{}/zstd", registry.host());
    import(&docker, "reg-zstd:1", &[9; 50_000]);
    docker.ok(&format!("save -o {} reg-zstd:1", saved.display()));
    docker.ok("rmi reg-zstd:1");
    let skopeo = |arguments: &[&str]| {
        let ran = Command::new("skopeo")
            .arg("--insecure-policy")
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let (from, to) = (
        format!("docker-archive:{}", saved.display()),
        format!("docker://{name}:1"),
    );
    skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        "--format=oci",
        "--dest-compress-format=zstd",
        &from,
        &to,
    ]);
    let digest = digest_in(&docker.ok(&format!("pull {name}:1")));
    // Another repository has none of the layers.
    let other = format!("{}/elsewhere", registry.host());
    docker.ok(&format!("tag {name}:1 {other}:1"));
    assert_eq!(digest_in(&docker.ok(&format!("push {other}:1"))), digest);
    let raw = skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{other}:1"),
    ]);
    assert!(raw.contains("tar+zstd"), "{raw}");
    docker.ok(&format!("rmi {name}:1 {other}:1"));
    // The same layer is here in another form: what the registry has is named as it is there.
    docker.ok(&format!("load -i {}", saved.display()));
    docker.ok(&format!("pull {name}:1"));
    docker.ok(&format!("tag {name}:1 {name}:2"));
    let out = docker.ok(&format!("push {name}:2"));
    assert!(
        out.contains("Layer already exists") && digest_in(&out) == digest,
        "{out}"
    );
    docker.ok(&format!("rmi reg-zstd:1 {name}:1 {name}:2"));
}

#[test]
fn a_build_pulls_what_is_missing_and_what_is_newer_when_told_so() {
    let docker = docker!();
    let Some(registry) = registry("build", Access::Anonymous) else {
        return;
    };
    let (folder, name) = (Folder::new("reg-build"), format!("{}/base:1", registry.host()));
    folder.write("Dockerfile", format!("FROM {name}\nLABEL built=here\n"));
    let layer = |image: &str| inspect(&docker, "index .RootFS.Layers 0", image);
    import(&docker, &name, b"newer");
    let newer = layer(&name);
    docker.ok(&format!("push {name}"));
    docker.ok(&format!("rmi {name}"));
    let build = |options: &str| docker.ok(&format!("build {options} -t reg-built {folder}"));
    let out = build("");
    assert!(
        out.contains("Pulling from base") && layer("reg-built") == newer,
        "{out}"
    );
    // Here the name means something else meanwhile.
    import(&docker, &name, b"own");
    let own = layer(&name);
    let out = build("");
    assert!(!out.contains("Pulling") && layer("reg-built") == own, "{out}");
    let out = build("--pull");
    assert!(
        out.contains("Digest: sha256:") && layer("reg-built") == newer,
        "{out}"
    );
    docker.ok(&format!("rmi reg-built {name}"));
    docker.ok("image prune -f --filter label=built=here");
    let missing = format!("FROM {}/nothing\n", registry.host());
    folder.write("Dockerfile", missing);
    let told = docker.fails(1, &format!("build {folder}"));
    assert!(told.contains("not found"), "{told}");
}

#[test]
fn a_protected_registry_wants_a_login() {
    let docker = docker!();
    let Some(registry) = registry("login", Access::WithPassword) else {
        return;
    };
    let (folder, host) = (Folder::new("login"), registry.host());
    let config = format!("--config {folder}");
    let name = format!("{host}/private:1");
    import(&docker, &name, b"secret content");
    for line in [format!("pull {host}/private:1"), format!("push {name}")] {
        let told = docker.fails(1, &format!("{config} {line}"));
        assert!(told.contains("access denied"), "{told}");
    }
    let told = docker.fails(1, &format!("{config} login -u test -p wrong {host}"));
    assert!(told.contains("unauthorized"), "{told}");
    let said = docker.ok(&format!("{config} login -u test -p secret {host}"));
    assert!(said.contains("Login Succeeded"), "{said}");
    docker.ok(&format!("{config} push {name}"));
    docker.ok(&format!("rmi {name}"));
    docker.ok(&format!("{config} pull {name}"));
    docker.ok(&format!("{config} logout {host}"));
    assert!(
        docker
            .fails(1, &format!("{config} pull {name}"))
            .contains("pull access denied")
    );
    docker.ok(&format!("rmi {name}"));
}

#[test]
fn what_a_registry_does_not_have_is_told_in_dockerds_words() {
    let docker = docker!();
    let Some(registry) = registry("errors", Access::Anonymous) else {
        return;
    };
    let host = registry.host();
    let name = format!("{host}/errors:1");
    import(&docker, &name, b"x");
    docker.ok(&format!("push {name}"));
    let told = docker.fails(1, &format!("pull {host}/errors:none"));
    let expected = format!("manifest for {host}/errors:none not found: manifest unknown: manifest unknown");
    assert!(told.contains(&expected), "{told}");
    let told = docker.fails(1, &format!("pull {host}/nothing"));
    assert!(
        told.contains(&format!("manifest for {host}/nothing:latest not found")),
        "{told}"
    );
    let told = docker.fails(1, "pull 127.0.0.1:1/x");
    assert!(
        told.contains("Get \"http://127.0.0.1:1/v2/\":")
            && told.to_lowercase().contains("connection refused"),
        "{told}"
    );
    let told = docker.fails(1, &format!("pull --platform linux/s390x {host}/errors:2"));
    assert!(told.contains("not found"), "{told}");
    let told = docker.fails(1, &format!("push {host}/never"));
    assert!(
        told.contains(&format!(
            "An image does not exist locally with the tag: {host}/never"
        )),
        "{told}"
    );
    let told = docker.fails(1, &format!("push {host}/errors:other"));
    assert!(
        told.contains(&format!("tag does not exist: {host}/errors:other")),
        "{told}"
    );
    docker.ok(&format!("rmi {name}"));
}

#[test]
fn damaged_content_is_refused_and_nothing_is_left() {
    let docker = docker!();
    let Some(registry) = registry("damage", Access::Anonymous) else {
        return;
    };
    let name = format!("{}/damage:1", registry.host());
    import(&docker, &name, &[5; 100_000]);
    let digest = digest_in(&docker.ok(&format!("push {name}")));
    docker.ok(&format!("rmi {name}"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(registry.blob(&digest)).unwrap()).unwrap();
    let layer = registry.blob(manifest["layers"][0]["digest"].as_str().unwrap());
    let good = std::fs::read(&layer).unwrap();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for (bad, words) in [
        (
            flipped.as_slice(),
            "filesystem layer verification failed for digest sha256:",
        ),
        (&good[..good.len() - 10], "has fewer bytes than the"),
        (&[good.as_slice(), b"more"].concat(), "has more bytes than the"),
    ] {
        std::fs::write(&layer, bad).unwrap();
        let told = docker.fails(1, &format!("pull {name}"));
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(docker.ok(&format!("images -q {name}")), "");
    }
    std::fs::write(&layer, &good).unwrap();
    docker.ok(&format!("pull {name}"));
    docker.ok(&format!("rmi {name}"));
}

#[test]
fn pulls_at_the_same_time_fetch_a_shared_layer_once() {
    let docker = docker!();
    let Some(registry) = registry("shared", Access::Anonymous) else {
        return;
    };
    let host = registry.host();
    let below = import(&docker, &format!("{host}/below:1"), &[1; 20_000_000]);
    for (name, line) in [("one", "ENV A=1"), ("two", "ENV A=2")] {
        docker.ok(&format!("create --name reg-{name} {host}/below:1"));
        docker.ok(&format!("commit -c '{line}' reg-{name} {host}/{name}:1"));
        docker.ok(&format!("rm reg-{name}"));
        docker.ok(&format!("push {host}/{name}:1"));
    }
    let layer = inspect(&docker, "index .RootFS.Layers 0", &below);
    docker.ok(&format!("rmi {host}/below:1 {host}/one:1 {host}/two:1"));
    let pulls = ["one", "two"].map(|name| {
        let (docker, line) = (docker.clone(), format!("pull {host}/{name}:1"));
        std::thread::spawn(move || docker.ok(&line))
    });
    for pull in pulls {
        let out = pull.join().unwrap();
        assert!(out.contains("Status: Downloaded newer image"), "{out}");
    }
    let fetched = registry.count("GET", "/v2/one/blobs/") + registry.count("GET", "/v2/two/blobs/");
    assert_eq!(fetched, 3, "two configurations and one layer: {layer}");
    docker.ok(&format!("rmi {host}/one:1 {host}/two:1"));
}

#[test]
fn a_pull_that_is_broken_off_hangs_up_on_a_registry_that_stalls() {
    use std::io::{Read, Write};
    let docker = docker!();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = docker.start(&format!("pull 127.0.0.1:{port}/stalls:1"));
    // The first connection wants TLS, which is not spoken here; of the others the one for the manifest gets no answer.
    let mut asked = Vec::new();
    let mut stalled = loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        let line = String::from_utf8_lossy(&request[..count])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        if line.contains("/manifests/1") {
            break stream;
        }
        if line.starts_with("GET /v2/ ") {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
        }
        asked.push(line);
        assert!(asked.len() < 10, "no manifest was asked for: {asked:?}");
    };
    // Others get what they want meanwhile.
    docker.ok("images -q");
    running.kill();
    let patience = std::time::Duration::from_secs(20);
    stalled.set_read_timeout(Some(patience)).unwrap();
    let mut rest = Vec::new();
    stalled.read_to_end(&mut rest).expect("the daemon hangs up");
    assert_eq!(rest, b"");
}
