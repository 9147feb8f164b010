//! `docker build` with the classic builder.

use crate::folder::{Folder, build, built};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use system_tests::docker;
use system_tests::docker::{Docker, eventually};
use system_tests::engine::with_shared;

fn config(docker: &Docker, image: &str) -> Value {
    serde_json::from_str(&docker.ok(&format!("image inspect --format '{{{{json .Config}}}}' {image}")))
        .unwrap()
}

#[test]
fn every_instruction_does_what_it_says() {
    let docker = docker!();
    let folder = Folder::new("b1");
    folder.write("src/file", "copied");
    folder.write("other", "other");
    folder.write(
        "Dockerfile",
        r#"# The first line is a comment.
ARG TAG=latest
FROM base:${TAG}
ARG WORD=default
ARG UNUSED
LABEL one="first label" two=second
ENV GREETING="hello $WORD" PLAIN=x
WORKDIR /work
WORKDIR deeper
COPY src/ ./src
COPY --chown=app:app other renamed
RUN echo "$GREETING" > said && \
    id -u > who
RUN ["sh", "-c", "echo exec-form > form"]
USER app
RUN id -u > /home/app/who
EXPOSE 80 53/udp
VOLUME /data
ENTRYPOINT ["cat"]
CMD ["said", "form"]
"#,
    );
    let out = built(&docker, "-t b-all:1 -t b-all:2 --build-arg WORD=built", &folder);
    assert!(out.contains("Step 1/18 : ARG TAG=latest"), "{out}");
    assert!(
        out.contains("Successfully built ")
            && out.contains("Successfully tagged b-all:1")
            && out.contains("Successfully tagged b-all:2"),
        "{out}"
    );
    let config = config(&docker, "b-all:1");
    assert_eq!(config["Labels"], json!({ "one": "first label", "two": "second" }));
    assert_eq!(config["WorkingDir"], json!("/work/deeper"));
    assert_eq!(config["User"], json!("app"));
    assert_eq!(config["ExposedPorts"], json!({ "80/tcp": {}, "53/udp": {} }));
    assert_eq!(config["Volumes"], json!({ "/data": {} }));
    assert_eq!(
        (&config["Entrypoint"], &config["Cmd"]),
        (&json!(["cat"]), &json!(["said", "form"]))
    );
    let env: BTreeSet<&str> = config["Env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        env.contains("GREETING=hello built") && env.contains("PLAIN=x"),
        "{env:?}"
    );
    assert!(
        !env.iter().any(|variable| variable.starts_with("WORD")),
        "{env:?}"
    );
    assert_eq!(docker.ok("run --rm b-all:2"), "hello built\nexec-form");
    assert_eq!(
        docker.ok("run --rm b-all:2 src/file who /home/app/who"),
        "copied0\n1000"
    );
    let stat = "run --rm --entrypoint stat b-all:2 -c %u:%g renamed src/file";
    assert_eq!(docker.ok(stat), "1000:1000\n0:0");
    docker.ok("rmi b-all:1 b-all:2");
}

#[test]
fn from_scratch_holds_what_was_copied_and_nothing_else() {
    let docker = docker!();
    let folder = Folder::new("b2");
    fs::copy("/bin/busybox", folder.path("busybox")).unwrap();
    folder.write(
        "Dockerfile",
        "FROM scratch\nCOPY busybox /bin/ls\nCMD [\"/bin/ls\", \"/\"]\n",
    );
    built(&docker, "-t b-scratch", &folder);
    assert_eq!(docker.ok("run --rm b-scratch"), "bin\ndev\netc\nproc\nsys");
    let layers = docker.ok("image inspect --format '{{len .RootFS.Layers}}' b-scratch");
    assert_eq!(layers, "1");
    docker.ok("rmi b-scratch");
}

#[test]
fn stages_take_from_each_other_and_a_target_ends_early() {
    let docker = docker!();
    let folder = Folder::new("b3");
    folder.write("in", "input");
    folder.write(
        "Dockerfile",
        "FROM base AS one\nCOPY in /in\nRUN cat /in /in > /made\n\
         FROM base AS two\nCOPY --from=one /made /from-one\nCMD cat /from-one\n\
         FROM two\nCOPY --from=0 /in /from-zero\nCMD cat /from-one /from-zero\n",
    );
    built(&docker, "-t b-stages", &folder);
    assert_eq!(docker.ok("run --rm b-stages"), "inputinputinput");
    built(&docker, "-t b-target --target two", &folder);
    assert_eq!(docker.ok("run --rm b-target"), "inputinput");
    docker.fails(1, "run --rm b-target cat /from-zero");
    docker.ok("rmi b-stages b-target");
}

#[test]
fn what_was_built_before_comes_from_the_cache() {
    let docker = docker!();
    let folder = Folder::new("b4");
    folder.write("f", "one");
    folder.write("Dockerfile", "FROM base\nENV CACHE=b4\nRUN head -c 8 /dev/urandom | xxd -p > /random\nCOPY f /f\nRUN cat /f > /g\n");
    let first = built(&docker, "-t b-cache:1", &folder);
    assert_eq!(first.matches("---> Using cache").count(), 0, "{first}");
    assert!(
        first.contains("---> Running in ") && first.contains("---> Removed intermediate container "),
        "{first}"
    );
    let second = built(&docker, "-t b-cache:2", &folder);
    assert_eq!(second.matches("---> Using cache").count(), 4, "{second}");
    let id = |tag: &str| docker.ok(&format!("image inspect --format {{{{.Id}}}} {tag}"));
    assert_eq!(id("b-cache:1"), id("b-cache:2"));
    folder.write("f", "two");
    let third = built(&docker, "-t b-cache:3", &folder);
    assert_eq!(third.matches("---> Using cache").count(), 2, "{third}");
    assert_eq!(docker.ok("run --rm b-cache:3 cat /g"), "two");
    let random = |tag: &str| docker.ok(&format!("run --rm {tag} cat /random"));
    assert_eq!(random("b-cache:1"), random("b-cache:3"));
    let fourth = built(&docker, "--no-cache -t b-cache:4", &folder);
    assert_eq!(fourth.matches("---> Using cache").count(), 0, "{fourth}");
    assert_ne!(random("b-cache:1"), random("b-cache:4"));
    docker.ok("rmi b-cache:1 b-cache:2 b-cache:3 b-cache:4");
}

#[test]
fn a_failing_run_leaves_nothing() {
    let docker = docker!();
    let folder = Folder::new("b5");
    folder.write(
        "Dockerfile",
        "FROM base\nENV FAILS=b5\nRUN echo visible; echo half > /half; exit 3\n",
    );
    let ran = build(&docker, "--force-rm -t b-fails", &folder);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("visible"), "{ran:?}");
    assert!(
        ran.err.contains(
            "The command '/bin/sh -c echo visible; echo half > /half; exit 3' returned a non-zero code: 3"
        ),
        "{ran:?}"
    );
    assert!(docker.fails(1, "image inspect b-fails").contains("No such image"));
    let leftover = docker.ok("ps -a --format {{.Command}} --no-trunc");
    assert!(!leftover.contains("half"), "{leftover}");
    with_shared(|engine| datasets_without_a_container_go(&docker, &engine.dir().join("pool/containers")));
}

/// Tests beside this one make containers too, so a dataset without one may only be of the moment.
fn datasets_without_a_container_go(docker: &Docker, folder: &Path) {
    let known = || -> BTreeSet<String> {
        docker
            .ok("ps -aq --no-trunc")
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let datasets = || -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    let suspects = &datasets() - &known();
    eventually("datasets without a container go", || {
        (&(&suspects & &datasets()) - &known()).is_empty()
    });
}

#[test]
fn the_context_is_what_the_ignore_file_leaves() {
    let docker = docker!();
    let folder = Folder::new("b6");
    for name in ["keep", "secret", "logs/a.log", "logs/keep.log"] {
        folder.write(name, name);
    }
    folder.write(".dockerignore", "secret\n**/*.log\n!logs/keep.log\n");
    folder.write(
        "Dockerfile",
        "FROM base\nCOPY . /all\nCMD find /all -type f | sort\n",
    );
    built(&docker, "-t b-ignore", &folder);
    assert_eq!(
        docker.ok("run --rm b-ignore"),
        "/all/.dockerignore\n/all/Dockerfile\n/all/keep\n/all/logs/keep.log"
    );
    docker.ok("rmi b-ignore");
    folder.write("Dockerfile", "FROM base\nCOPY secret /\n");
    let ran = build(&docker, "", &folder);
    assert!(ran.code == 1 && ran.err.contains("COPY failed: file not found in build context or excluded by .dockerignore: stat secret: file does not exist"), "{ran:?}");
}

#[test]
fn mistakes_in_the_file_are_told_with_their_line() {
    let docker = docker!();
    let folder = Folder::new("b7");
    let no_file = "no such file or directory";
    assert!(build(&docker, "", &folder).err.contains(no_file));
    for (text, words) in [
        (
            "FROM base\nZZZ x\n",
            "dockerfile parse error on line 2: unknown instruction: ZZZ",
        ),
        ("FROM\n", "FROM requires either one or three arguments"),
        ("RUN x\n", "no build stage in current context"),
        (
            "# only a comment\n",
            "failed to parse Dockerfile: file with no instructions",
        ),
        (
            "FROM base\nCOPY ../x /\n",
            "COPY failed: forbidden path outside the build context: ../x ()",
        ),
        ("FROM base\nEXPOSE abc\n", "Invalid containerPort: abc"),
        (
            "FROM base\nRUN --zz x\n",
            "dockerfile parse error on line 2: unknown flag: --zz",
        ),
    ] {
        folder.write("Dockerfile", text);
        let ran = build(&docker, "", &folder);
        assert!(ran.code == 1 && ran.err.contains(words), "{text}: {ran:?}");
    }
    folder.write("Dockerfile", "FROM base\n");
    assert!(
        build(&docker, "--target zz", &folder)
            .err
            .contains("target stage \"zz\" could not be found")
    );
}

#[test]
fn the_file_may_have_another_name_or_come_alone() {
    let docker = docker!();
    let folder = Folder::new("b8");
    folder.write("files/Other", "FROM base\nCMD echo other\n");
    let id = built(&docker, &format!("-q -f {folder}/files/Other"), &folder);
    assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
    assert_eq!(docker.ok(&format!("run --rm {}", id.trim())), "other");
    let ran = docker.with_input(
        "build -t b-alone -",
        b"FROM base\nRUN echo alone > /f\nCMD cat /f\n",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(docker.ok("run --rm b-alone"), "alone");
    docker.ok(&format!("rmi b-alone {}", id.trim()));
}

#[test]
fn shell_and_build_arguments_reach_the_commands() {
    let docker = docker!();
    let folder = Folder::new("b9");
    folder.write(
        "Dockerfile",
        "FROM base\nARG A\nARG B=two\nENV C=$A-$B\nRUN echo $A $B $C > /out\nCMD cat /out\n",
    );
    built(&docker, "-t b-args --build-arg A=one", &folder);
    assert_eq!(docker.ok("run --rm b-args"), "one two one-two");
    let out = built(&docker, "--build-arg NEVER=1 -t b-args", &folder);
    assert!(
        out.contains("One or more build-args [NEVER] were not consumed"),
        "{out}"
    );
    docker.ok("rmi b-args");
}
