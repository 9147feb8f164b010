//! `docker build --cache-from` and `--squash`.

use crate::folder::{Folder, built};
use system_tests::docker;
use system_tests::docker::Docker;

fn id(docker: &Docker, image: &str) -> String {
    docker.ok(&format!("image inspect --format '{{{{.Id}}}}' {image}"))
}

fn times(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

#[test]
fn steps_come_from_the_named_images_alone_even_from_fetched_ones() {
    let docker = docker!();
    let folder = Folder::new("reuse");
    let begin = "FROM base\nRUN echo one > /one\nENV two=2\nRUN echo three > /three\n";
    folder.write("Dockerfile", begin);
    built(&docker, "-t cf-first", &folder);
    let first = id(&docker, "cf-first");
    // Away and back, as through a registry: the images of the steps before the last are gone.
    let (code, tar, error) = docker.bytes("save cf-first", b"");
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&error));
    docker.ok("rmi cf-first");
    assert_eq!(docker.bytes("load", &tar).0, 0);
    let out = built(&docker, "--cache-from cf-first,cf-none -t cf-again", &folder);
    assert_eq!(times(&out, "Using cache"), 3, "{out}");
    assert_eq!(id(&docker, "cf-again"), first);
    // Only the beginning is the same.
    let longer = format!("{begin}RUN echo four > /four\n").replace("echo three", "echo other");
    folder.write("Dockerfile", longer);
    let out = built(&docker, "--cache-from cf-first -t cf-longer", &folder);
    assert_eq!(times(&out, "Using cache"), 2, "{out}");
    assert_eq!(
        docker.ok("run --rm cf-longer cat /one /three /four"),
        "one\nother\nfour"
    );
    // What is here and was not named is no cache.
    for source in ["base", "cf-none"] {
        let out = built(&docker, &format!("--cache-from {source}"), &folder);
        assert_eq!(times(&out, "Using cache"), 0, "{source}: {out}");
    }
    let out = built(&docker, "--cache-from cf-longer", &folder);
    assert_eq!(times(&out, "Using cache"), 4, "{out}");
    docker.ok("rmi cf-longer cf-first cf-again");
}

#[test]
fn a_squashed_image_has_one_layer_on_its_base() {
    let docker = docker!();
    let folder = Folder::new("squash");
    folder.write(
        "Dockerfile",
        "FROM base\nRUN echo one > /one; echo gone > /gone\nRUN rm /gone; rm /bin/busybox.none || true; echo two > /two\nLABEL k=v\n",
    );
    built(&docker, "-t sq-whole", &folder);
    let out = built(&docker, "--squash -t sq-one", &folder);
    assert!(out.contains("Successfully tagged sq-one:latest"), "{out}");
    let layers = |image: &str| {
        docker.ok(&format!(
            "image inspect --format '{{{{len .RootFS.Layers}}}}' {image}"
        ))
    };
    let base: u32 = layers("base").parse().unwrap();
    assert_eq!(layers("sq-whole"), (base + 2).to_string());
    assert_eq!(layers("sq-one"), (base + 1).to_string());
    assert_eq!(
        docker.ok("run --rm sq-one sh -c 'cat /one /two; ls /gone || echo none'"),
        "one\ntwo\nnone"
    );
    let label = docker.ok("image inspect --format '{{.Config.Labels.k}}' sq-one");
    assert_eq!(label, "v");
    let merged = format!("merge {} to {}", id(&docker, "sq-whole"), id(&docker, "base"));
    assert!(docker.ok("history --no-trunc sq-one").contains(&merged));
    // From nothing, everything is one layer.
    folder.write(
        "Dockerfile",
        "FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\n",
    );
    built(&docker, "--squash -t sq-scratch", &folder);
    assert_eq!(layers("sq-scratch"), "1");
    folder.write("Dockerfile", "FROM base\nLABEL a=b\n");
    let refused = docker.fails(1, &format!("build --squash {folder}"));
    assert!(refused.contains("error squashing image"), "{refused}");
    docker.ok("rmi sq-one sq-whole sq-scratch");
}
