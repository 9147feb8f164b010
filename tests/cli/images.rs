//! load, import, images, image inspect, tag, rmi.

use crate::folder::Folder;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use system_tests::docker::Docker;
use system_tests::saved::{Image, digest};
use system_tests::tarball::Tarball;
use system_tests::{busybox, docker};

fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout
}

/// An image whose layers stand in its archive as they are, or in another form.
fn saved(tags: &[&str], layers: &[Vec<u8>], stored: &[Vec<u8>]) -> Vec<u8> {
    let digests = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({ "Cmd": ["/bin/sh"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "WorkingDir": "/w" });
    Image {
        tags: tags.to_vec(),
        config,
        digests,
        stored: stored.to_vec(),
    }
    .archive()
}

fn base_layer() -> Vec<u8> {
    Tarball::new()
        .directory("bin/")
        .program("bin/busybox", busybox::program().unwrap())
        .link("bin/sh", "busybox")
        .link("bin/cat", "busybox")
        .link("bin/ls", "busybox")
        .directory("w/")
        .file("w/one", "lower")
        .file("w/two", "lower")
        .directory("w/hidden/")
        .file("w/hidden/old", "lower")
        .finish()
}

/// Replaces one file, deletes another, and hides what a folder held.
fn upper_layer() -> Vec<u8> {
    Tarball::new()
        .directory("w/")
        .file("w/one", "upper")
        .file("w/.wh.two", "")
        .directory("w/hidden/")
        .file("w/hidden/.wh..wh..opq", "")
        .file("w/hidden/new", "upper")
        .finish()
}

#[test]
fn load_takes_layers_one_over_the_other() {
    let docker = docker!();
    let layers = [base_layer(), upper_layer()];
    let ran = docker.with_input("load", &saved(&["img-load:1", "img-load:2"], &layers, &layers));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("Loaded image: img-load:1\n") && ran.out.contains("Loaded image: img-load:2\n"),
        "{ran:?}"
    );
    let script = "sh -c 'cat one; ls /w /w/hidden; echo $FROM_IMAGE'";
    assert_eq!(
        docker.ok(&format!("run --rm img-load:1 {script}")),
        "upper/w:\nhidden\none\n\n/w/hidden:\nnew\nyes"
    );
    let inspected: Value = serde_json::from_str(&docker.ok("image inspect img-load:2")).unwrap();
    let image = &inspected[0];
    assert_eq!(image["RepoTags"], json!(["img-load:1", "img-load:2"]));
    assert_eq!(image["RootFS"]["Layers"][1], json!(digest(&layers[1])));
    assert_eq!(
        (&image["Os"], &image["Architecture"]),
        (&json!("linux"), &json!("amd64"))
    );
    assert_eq!(image["Config"]["WorkingDir"], json!("/w"));
    assert_eq!(image["Created"], json!("2025-01-02T03:04:05Z"));
    assert!(image["Size"].as_u64().unwrap() > 1_000_000, "{image}");
    docker.ok("rmi img-load:1 img-load:2");
}

#[test]
fn load_takes_a_compressed_archive_and_compressed_layers() {
    let docker = docker!();
    let folder = Folder::new("load");
    let layers = [base_layer()];
    let compressed = [piped("gzip", &["-c"], &layers[0])];
    let archive = saved(&["img-gz:1"], &layers, &compressed);
    let path = folder.write("image.tar.gz", piped("gzip", &["-c"], &archive));
    let out = docker.ok(&format!("load -i {}", path.display()));
    assert!(out.contains("Loaded image: img-gz:1"), "{out}");
    assert_eq!(docker.ok("run --rm img-gz:1 cat /w/one"), "lower");
    // The same image again is no error, and quiet says as little.
    assert_eq!(
        docker.ok(&format!("load -q -i {}", path.display())),
        "Loaded image: img-gz:1"
    );
    docker.ok("rmi img-gz:1");
}

#[test]
fn import_makes_an_image_of_a_tree() {
    let docker = docker!();
    let ran = docker.with_input(
        "import -c 'CMD [\"/bin/cat\",\"/w/one\"]' -c 'ENV A=b' -m 'from a test' - img-imp:1",
        &base_layer(),
    );
    assert!(ran.code == 0 && ran.out.starts_with("sha256:"), "{ran:?}");
    let id = ran.out.trim().to_owned();
    assert_eq!(docker.ok("run --rm img-imp:1"), "lower");
    let format = "'{{.Id}} {{.Comment}} {{json .Config.Cmd}} {{json .Config.Env}}'";
    let said = docker.ok(&format!("image inspect --format {format} img-imp:1"));
    assert_eq!(said, format!(r#"{id} from a test ["/bin/cat","/w/one"] ["A=b"]"#));
    let folder = Folder::new("import");
    let path = folder.write("root.tar", base_layer());
    assert!(
        docker
            .ok(&format!("import {} img-imp:2", path.display()))
            .starts_with("sha256:")
    );
    docker.ok("run --rm img-imp:2 cat /w/one");
    assert!(
        docker
            .fails(125, "run --rm img-imp:2")
            .contains("no command specified")
    );
    let error = docker.with_input("import -c 'FROM x' - img-imp:3", &base_layer());
    assert!(
        error.code == 1 && error.err.contains("FROM is not a valid change command"),
        "{error:?}"
    );
    docker.ok("rmi img-imp:1 img-imp:2");
}

/// A small image of its own, so that tests do not meet over tags.
fn small(docker: &Docker, tag: &str) -> String {
    let archive = Tarball::new().file("only", tag).finish();
    let ran = docker.with_input(&format!("import -c 'CMD [\"/only\"]' - {tag}"), &archive);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out.trim().to_owned()
}

#[test]
fn images_lists_and_filters() {
    let docker = docker!();
    let id = small(&docker, "img-ls/one:1");
    docker.ok("tag img-ls/one:1 img-ls/one:2");
    let two = small(&docker, "img-ls/two");
    let list = |options: &str| docker.ok(&format!("images {options} --filter reference=img-ls/*"));
    let mut lines: Vec<String> = list("--format '{{.Repository}}:{{.Tag}} {{.ID}}'")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    let (one, two) = (&id[7..19], &two[7..19]);
    assert_eq!(
        lines,
        [
            format!("img-ls/one:1 {one}"),
            format!("img-ls/one:2 {one}"),
            format!("img-ls/two:latest {two}")
        ]
    );
    assert_eq!(docker.ok("images -q img-ls/two"), *two);
    assert_eq!(docker.ok("images --no-trunc -q img-ls/one:1"), id);
    assert!(list("").starts_with("REPOSITORY"), "{}", list(""));
    assert_eq!(docker.ok("images -q img-ls/none"), "");
    assert_eq!(docker.ok("images -q --filter reference=img-ls/one:2"), *one);
    assert!(
        !docker
            .ok("images -q --no-trunc --filter dangling=true")
            .contains(&id)
    );
    docker.ok("rmi img-ls/one:1 img-ls/one:2 img-ls/two");
}

#[test]
fn tag_gives_another_name_and_moves_one_that_is_taken() {
    let docker = docker!();
    let first = small(&docker, "img-tag:1");
    let second = small(&docker, "img-tag:2");
    docker.ok("tag img-tag:1 example.org:5000/img/tag:x");
    docker.ok(&format!("tag {} img-tag:by-id", &first[7..20]));
    let id = |name: &str| docker.ok(&format!("image inspect --format {{{{.Id}}}} {name}"));
    assert_eq!(
        (id("example.org:5000/img/tag:x"), id("img-tag:by-id")),
        (first.clone(), first.clone())
    );
    docker.ok("tag img-tag:2 img-tag:by-id");
    assert_eq!(id("img-tag:by-id"), second);
    assert!(
        docker
            .fails(1, "tag img-none img-tag:3")
            .contains("No such image: img-none:latest")
    );
    assert!(docker.fails(1, "tag img-tag:1 Img").contains("must be lowercase"));
    docker.ok("rmi img-tag:1 img-tag:2 img-tag:by-id example.org:5000/img/tag:x");
}

#[test]
fn rmi_takes_names_away_and_the_image_with_the_last_one() {
    let docker = docker!();
    let id = small(&docker, "img-rmi:1");
    docker.ok("tag img-rmi:1 img-rmi:2");
    assert_eq!(docker.ok("rmi img-rmi:1"), "Untagged: img-rmi:1");
    let out = docker.ok("rmi img-rmi:2");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..2],
        ["Untagged: img-rmi:2".to_owned(), format!("Deleted: {id}")]
    );
    assert!(
        lines.len() == 3 && lines[2].starts_with("Deleted: sha256:"),
        "{out}"
    );
    assert!(
        docker
            .fails(1, "rmi img-rmi:2")
            .contains("No such image: img-rmi:2")
    );
    assert!(
        docker
            .fails(1, &format!("image inspect {id}"))
            .contains("No such image")
    );
}

#[test]
fn rmi_refuses_what_is_used() {
    let docker = docker!();
    let id = small(&docker, "img-used:1");
    let container = docker.ok("create --name img-used img-used:1");
    let error = docker.fails(1, "rmi img-used:1");
    let short = &container[..12];
    assert!(error.contains(&format!("conflict: unable to remove repository reference \"img-used:1\" (must force) - container {short} is using its referenced image {}", &id[7..19])), "{error}");
    let error = docker.fails(1, &format!("rmi {id}"));
    assert!(error.contains(&format!("conflict: unable to delete {} (must be forced) - image is being used by stopped container {short}", &id[7..19])), "{error}");
    docker.ok("rm img-used");
    docker.ok("rmi img-used:1");
}

#[test]
fn rmi_by_id_wants_force_for_several_names() {
    let docker = docker!();
    let id = small(&docker, "img-two:1");
    docker.ok("tag img-two:1 img-three:1");
    let error = docker.fails(1, &format!("rmi {id}"));
    assert!(
        error.contains("(must be forced) - image is referenced in multiple repositories"),
        "{error}"
    );
    let out = docker.ok(&format!("rmi -f {id}"));
    for line in [
        "Untagged: img-two:1",
        "Untagged: img-three:1",
        &format!("Deleted: {id}"),
    ] {
        assert!(out.lines().any(|said| said == line), "{line}: {out}");
    }
}

#[test]
fn a_container_outlives_the_name_of_its_image() {
    let docker = docker!();
    let ran = docker.with_input(
        "import -c 'CMD [\"/bin/cat\",\"/w/one\"]' - img-gone:1",
        &base_layer(),
    );
    let id = ran.out.trim();
    docker.ok("create --name img-gone img-gone:1");
    docker.ok("rmi -f img-gone:1");
    assert_eq!(docker.ok("start -a img-gone"), "lower");
    assert_eq!(docker.ok("inspect --format {{.Image}} img-gone"), id);
    docker.ok("rm img-gone");
}

#[test]
fn import_takes_an_archive_from_an_address() {
    let docker = docker!();
    let archive = base_layer();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let layer = digest(&archive);
    std::thread::spawn(move || {
        for (mut stream, status) in listener
            .incoming()
            .map_while(Result::ok)
            .zip(["200 OK", "404 Not Found"])
        {
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", archive.len());
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&archive));
        }
    });
    let address = format!("127.0.0.1:{port}/root.tar");
    let out = docker.ok(&format!("import http://{address} img-url:1"));
    assert!(
        out.contains(&format!("Downloading from http://{address}")),
        "{out}"
    );
    let told = docker.ok("image inspect --format '{{.Comment}} {{json .RootFS.Layers}}' img-url:1");
    assert_eq!(told, format!("Imported from http://{address} [\"{layer}\"]"));
    let told = docker.fails(1, &format!("import http://{address} img-url:2"));
    assert!(told.contains("with status 404 Not Found"), "{told}");
    docker.ok("rmi img-url:1");
}
