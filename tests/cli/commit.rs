//! diff, commit, export, save.

use crate::folder::Folder;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use system_tests::docker::Docker;
use system_tests::engine::BASE_IMAGE;
use system_tests::{docker, skipped};

/// A container that changed every kind of thing.
const CHANGES: &str = "sh -c 'echo new > /made; mkdir /d; echo x > /d/f; ln /d/f /d/g; ln -s f /d/l; chmod 4711 /d/f; \
                       rm /bin/ls; echo more >> /etc/passwd; mkfifo /d/p'";

fn changed(docker: &Docker, name: &str, image: &str) {
    docker.ok(&format!("run --name {name} -v /mounted {image} {CHANGES}"));
}

#[test]
fn diff_tells_what_was_added_changed_and_removed() {
    let docker = docker!();
    changed(&docker, "cm-diff", BASE_IMAGE);
    let out = docker.ok("diff cm-diff");
    let lines: BTreeSet<&str> = out.lines().collect();
    let expected = [
        "A /made",
        "A /d",
        "A /d/f",
        "A /d/g",
        "A /d/l",
        "A /d/p",
        "C /bin",
        "D /bin/ls",
        "C /etc",
        "C /etc/passwd",
        "A /mounted",
    ];
    assert_eq!(lines, expected.into_iter().collect(), "{out}");
    docker.ok("rm -v cm-diff");
    docker.ok(&format!("create --name cm-none {BASE_IMAGE} true"));
    assert_eq!(docker.ok("diff cm-none"), "");
    docker.ok("rm cm-none");
    assert!(
        docker
            .fails(1, "diff cm-nobody")
            .contains("No such container: cm-nobody")
    );
}

#[test]
fn a_running_container_is_held_while_it_is_committed() {
    let docker = docker!();
    // Two files that only differ for a moment.
    let script = "i=0; while :; do i=$((i+1)); echo $i > /one; echo $i > /two; done";
    docker.ok(&format!("run -d --name cm-held {BASE_IMAGE} sh -c '{script}'"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    docker.ok("commit cm-held cm-held:1");
    assert_eq!(docker.ok("inspect --format {{.State.Status}} cm-held"), "running");
    let text = docker.ok("run --rm cm-held:1 cat /one /two");
    let counts: Vec<i64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    // Held between the two, at most one is ahead by one, or one is just being written.
    assert!(
        counts.len() < 2 || counts[0] - counts[1] <= 1 && counts[0] >= counts[1],
        "{counts:?}"
    );
    let now = || docker.ok("exec cm-held cat /two");
    let before = now();
    system_tests::docker::eventually("it goes on", || now() != before);
    docker.ok("pause cm-held");
    docker.ok("commit cm-held cm-held:2");
    assert_eq!(docker.ok("inspect --format {{.State.Status}} cm-held"), "paused");
    docker.ok("unpause cm-held");
    docker.ok("rm -f cm-held");
    docker.ok("rmi cm-held:1 cm-held:2");
}

#[test]
fn commit_makes_an_image_that_looks_like_the_container() {
    let docker = docker!();
    changed(&docker, "cm-commit", BASE_IMAGE);
    let options = "-a 'A. Author' -m 'a message' -c 'ENV COMMITTED=yes' -c 'CMD [\"cat\",\"/made\"]'";
    let id = docker.ok(&format!("commit {options} cm-commit cm-commit:1"));
    assert_eq!(docker.ok("run --rm cm-commit:1"), "new");
    let look = "sh -c 'stat -c %a:%h /d/f; readlink /d/l; echo /d/*; test -e /bin/ls || echo gone; tail -n1 /etc/passwd; echo $COMMITTED'";
    let seen = docker.ok(&format!("run --rm cm-commit:1 {look}"));
    assert_eq!(seen, "4711:2\nf\n/d/f /d/g /d/l /d/p\ngone\nmore\nyes");
    let inspected: Value = serde_json::from_str(&docker.ok("image inspect cm-commit:1")).unwrap();
    let image = &inspected[0];
    assert_eq!(
        (&image["Id"], &image["Author"], &image["Comment"]),
        (&id.into(), &"A. Author".into(), &"a message".into())
    );
    let parent: Value = serde_json::from_str(&docker.ok(&format!("image inspect {}", BASE_IMAGE))).unwrap();
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().unwrap().len();
    assert_eq!(layers(image), layers(&parent[0]) + 1);
    assert!(docker.ok("history --no-trunc cm-commit:1").contains("a message"));
    // Nothing changed, so there is no layer; the same container again is another image all the same.
    docker.ok(&format!("create --name cm-same {} true", BASE_IMAGE));
    docker.ok("commit cm-same cm-same:1");
    let same: Value = serde_json::from_str(&docker.ok("image inspect cm-same:1")).unwrap();
    assert_eq!(layers(&same[0]), layers(&parent[0]));
    assert!(
        docker
            .fails(1, "commit -c 'FROM x' cm-commit")
            .contains("FROM is not a valid change command")
    );
    assert!(
        docker
            .fails(1, "commit cm-nobody")
            .contains("No such container: cm-nobody")
    );
    docker.ok("rm -v cm-commit cm-same");
    docker.ok("rmi cm-commit:1 cm-same:1");
}

#[test]
fn export_gives_the_whole_tree_and_import_takes_it() {
    let docker = docker!();
    let folder = Folder::new("export");
    changed(&docker, "cm-export", BASE_IMAGE);
    let path = folder.path("tree.tar");
    docker.ok(&format!("export -o {} cm-export", path.display()));
    docker.ok(&format!("import {} cm-export:1", path.display()));
    assert_eq!(docker.ok("run --rm cm-export:1 cat /made /d/g"), "new\nx");
    assert_eq!(docker.ok("run --rm cm-export:1 stat -c %a /d/f"), "4711");
    docker.ok("rm -v cm-export");
    docker.ok("rmi cm-export:1");
    assert!(
        docker
            .fails(1, &format!("export -o {} cm-nobody", path.display()))
            .contains("No such container: cm-nobody")
    );
}

#[test]
fn what_is_saved_loads_again_as_the_same_image() {
    let docker = docker!();
    let folder = Folder::new("save");
    changed(&docker, "cm-save", BASE_IMAGE);
    let id = docker.ok("commit cm-save cm-save:1");
    docker.ok("rm -v cm-save");
    docker.ok("tag cm-save:1 cm-save:2");
    let inspected = docker.ok("image inspect --format '{{json .RootFS}} {{.Size}}' cm-save:1");
    let archive = folder.path("both.tar");
    docker.ok(&format!(
        "save -o {} cm-save {BASE_IMAGE}:latest",
        archive.display()
    ));
    docker.ok("rmi cm-save:1 cm-save:2");
    let out = docker.ok(&format!("load -i {}", archive.display()));
    for name in ["cm-save:1", "cm-save:2", "base:latest"] {
        assert!(out.contains(&format!("Loaded image: {name}")), "{out}");
    }
    assert_eq!(docker.ok("image inspect --format '{{.Id}}' cm-save:2"), id);
    assert_eq!(
        docker.ok("image inspect --format '{{json .RootFS}} {{.Size}}' cm-save:1"),
        inspected
    );
    assert_eq!(
        docker.ok("run --rm cm-save:1 sh -c 'cat /made /d/g; stat -c %a:%h /d/f'"),
        "new\nx\n4711:2"
    );
    // By id there is no name in the archive.
    let nameless = folder.path("id.tar");
    docker.ok(&format!("save -o {} {}", nameless.display(), &id[7..19]));
    docker.ok("rmi cm-save:1 cm-save:2");
    let out = docker.ok(&format!("load -i {}", nameless.display()));
    assert_eq!(out, format!("Loaded image ID: {id}"));
    docker.ok(&format!("rmi {id}"));
    assert!(
        docker
            .fails(1, &format!("save -o {} cm-nothing", nameless.display()))
            .contains("cm-nothing")
    );
}

/// skopeo is another implementation of Docker archives and OCI layouts.
#[test]
fn skopeo_reads_what_is_saved_and_what_it_writes_is_loaded() {
    let docker = docker!();
    if Command::new("skopeo").arg("--version").output().is_err() {
        return skipped("commit::skopeo", "needs skopeo");
    }
    let folder = Folder::new("skopeo");
    let saved = folder.path("saved.tar");
    docker.ok(&format!("save -o {} {BASE_IMAGE}:latest", saved.display()));
    let id = docker.ok(&format!("image inspect --format '{{{{.Id}}}}' {BASE_IMAGE}"));
    let skopeo = |from: &str, to: &str| {
        let ran = Command::new("skopeo")
            .args(["--insecure-policy", "copy", from, to])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{from} {to}: {ran:?}");
    };
    let own = format!("docker-archive:{}", saved.display());
    let (oci, other) = (folder.path("oci.tar"), folder.path("docker.tar"));
    skopeo(&own, &format!("oci-archive:{}:cm-skopeo:1", oci.display()));
    skopeo(&own, &format!("docker-archive:{}:cm-skopeo:2", other.display()));
    // As the FreeBSD project publishes its images: the whole layout once more in xz.
    assert!(Command::new("xz").arg(&oci).status().unwrap().success());
    let out = docker.ok(&format!("load -i {}.xz", oci.display()));
    assert!(out.contains("Loaded image: cm-skopeo:1"), "{out}");
    docker.ok(&format!("load -i {}", other.display()));
    // One reads the tag alone from an OCI layout, so the names differ; the images are one.
    assert_eq!(docker.ok("image inspect --format '{{.Id}}' cm-skopeo:2"), id);
    docker.ok("rmi cm-skopeo:1 cm-skopeo:2");
}
