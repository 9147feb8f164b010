//! `docker build`: here-documents, addresses, archives, options, contexts from elsewhere, clients that go away.

use crate::folder::{Folder, build, built};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use system_tests::docker::{Docker, eventually};
use system_tests::tarball::Tarball;
use system_tests::{docker, http};

fn inspect(docker: &Docker, format: &str, image: &str) -> String {
    docker.ok(&format!("image inspect --format '{{{{{format}}}}}' {image}"))
}

/// A web server of one answer, over and over; tells the requests' first lines.
fn serve(head: &'static str, body: Vec<u8>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let line = String::from_utf8_lossy(&request)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let _ = sender.send(line);
            let head = format!(
                "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
        }
    });
    (port, asked)
}

#[test]
fn here_documents_are_commands_and_files() {
    let docker = docker!();
    let folder = Folder::new("o1");
    folder.write(
        "Dockerfile",
        "FROM base\nARG WHO=world\nRUN <<EOF\nset -e\necho one > /one\necho \"hello $WHO\" > /two\nEOF\n\
         RUN cat <<A > /three && cat <<-'B' > /four\nthree $WHO\nA\n\t\tfour $WHO\n\tB\n\
         COPY <<five.txt <<\"six.txt\" /files/\nfive \"$WHO\" \\$WHO\nfive.txt\nsix $WHO\nsix.txt\n\
         COPY --chmod=755 <<EOF /run\n#!/bin/sh\necho ran\nEOF\n",
    );
    let out = built(&docker, "-t o-here", &folder);
    assert!(
        out.contains("Step 5/6 : COPY <<five.txt <<\"six.txt\" /files/"),
        "{out}"
    );
    let told = docker.ok("run --rm o-here cat /one /two /three /four /files/five.txt /files/six.txt");
    assert_eq!(
        told,
        "one\nhello world\nthree world\nfour $WHO\nfive \"world\" $WHO\nsix $WHO"
    );
    assert_eq!(docker.ok("run --rm o-here /run"), "ran");
    assert_eq!(
        docker.ok("run --rm o-here stat -c '%a %u:%g' /files/six.txt"),
        "644 0:0"
    );
    // The second time everything is known; another value is another file.
    assert_eq!(
        built(&docker, "-t o-here", &folder)
            .matches("Using cache")
            .count(),
        5
    );
    let other = built(&docker, "-t o-here --build-arg WHO=you", &folder);
    assert_eq!(
        docker.ok("run --rm o-here cat /files/five.txt"),
        "five \"you\" $WHO",
        "{other}"
    );
    docker.ok("rmi o-here");
    folder.write("Dockerfile", "FROM base\nRUN <<EOF\n#!/bin/cat\nEOF\n");
    let ran = build(&docker, "", &folder);
    assert!(
        ran.err
            .contains("RUN of a here-document that begins with #! is not supported"),
        "{ran:?}"
    );
    folder.write("Dockerfile", "FROM base\nRUN <<EOF\necho\n");
    assert!(build(&docker, "", &folder).err.contains("unterminated heredoc"));
}

#[test]
fn add_takes_addresses_and_unpacks_archives_of_every_kind() {
    let docker = docker!();
    let folder = Folder::new("o2");
    let archive = Tarball::new()
        .directory("in/")
        .file("in/file", "unpacked")
        .finish();
    folder.write("plain.tar", &archive);
    for (program, name) in [
        ("gzip", "a.gz"),
        ("xz", "a.xz"),
        ("bzip2", "a.bz2"),
        ("zstd", "a.zst"),
    ] {
        let line = format!("{program} -c < {folder}/plain.tar > {folder}/{name}");
        let ran = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(ran.success(), "{line}");
    }
    let (port, asked) = serve("200 OK\r\nLast-Modified: Thu, 02 Jan 2025 03:04:05 GMT", archive);
    folder.write(
        "Dockerfile",
        format!(
            "FROM base\nADD plain.tar /plain\nADD a.gz /gz/\nADD a.xz /xz/\nADD a.bz2 /bz2/\nADD a.zst /zst/\n\
             COPY a.gz /copied\nADD --chown=app:app http://127.0.0.1:{port}/some/name.tar?x=1 /fetched/\n\
             ADD http://127.0.0.1:{port}/other /renamed\n"
        ),
    );
    built(&docker, "-t o-add", &folder);
    let script = "cat /plain/in/file /gz/in/file /xz/in/file /bz2/in/file /zst/in/file; stat -c '%n %a %u %Y' /fetched/* /renamed; test -f /copied && echo is a file";
    assert_eq!(
        docker.ok(&format!("run --rm o-add sh -c \"{script}\"")),
        "unpackedunpackedunpackedunpackedunpacked/fetched/name.tar 600 1000 1735787045\n/renamed 600 0 1735787045\nis a file"
    );
    assert_eq!(asked.recv().unwrap(), "GET /some/name.tar?x=1 HTTP/1.1");
    docker.ok("rmi o-add");
    let (missing, _asked) = serve("404 Not Found", b"not here".to_vec());
    for (line, words) in [
        (
            format!("ADD http://127.0.0.1:{missing}/x /"),
            format!(
                "ADD failed: failed to GET http://127.0.0.1:{missing}/x with status 404 Not Found: not here"
            ),
        ),
        (
            "ADD http://127.0.0.1:1/x /".to_owned(),
            "Connection refused".to_owned(),
        ),
        (
            format!("ADD http://127.0.0.1:{port}/ /x"),
            "cannot determine filename".to_owned(),
        ),
        (
            format!("COPY http://127.0.0.1:{port}/x /x"),
            "source can't be a URL for COPY".to_owned(),
        ),
        (
            "ADD https://example.org/x.git /x".to_owned(),
            "ADD of a git repository".to_owned(),
        ),
    ] {
        folder.write("Dockerfile", format!("FROM base\n{line}\n"));
        let ran = build(&docker, "", &folder);
        assert!(ran.code == 1 && ran.err.contains(&words), "{words}: {ran:?}");
    }
}

#[test]
fn instructions_of_the_configuration_end_in_the_image() {
    let docker = docker!();
    let folder = Folder::new("o3");
    folder.write("given", "given");
    folder.write(
        "Dockerfile",
        "FROM base\nMAINTAINER somebody\nSHELL [\"/bin/sh\", \"-ec\"]\nSTOPSIGNAL SIGUSR1\nHEALTHCHECK --interval=7s --retries=2 CMD test -f /x\n\
         ONBUILD COPY given /onbuild\nONBUILD RUN echo ran >> /onbuild\nRUN echo $0 > /shell\nCOPY --chmod=640 --chown=7:8 given /given\n",
    );
    built(&docker, "-t o-config --label own=label", &folder);
    let config: Value = serde_json::from_str(&inspect(&docker, "json .Config", "o-config")).unwrap();
    assert_eq!(config["Shell"], json!(["/bin/sh", "-ec"]));
    assert_eq!(config["StopSignal"], "SIGUSR1");
    assert_eq!(
        config["Healthcheck"],
        json!({ "Test": ["CMD-SHELL", "test -f /x"], "Interval": 7_000_000_000_u64, "Retries": 2 })
    );
    assert_eq!(
        config["OnBuild"],
        json!(["COPY given /onbuild", "RUN echo ran >> /onbuild"])
    );
    assert_eq!(config["Labels"], json!({ "own": "label" }));
    assert_eq!(inspect(&docker, ".Author", "o-config"), "somebody");
    assert_eq!(
        docker.ok("run --rm o-config stat -c '%a %u:%g' /given"),
        "640 7:8"
    );
    folder.write("Dockerfile", "FROM o-config\nHEALTHCHECK NONE\n");
    let out = built(&docker, "-t o-onbuild", &folder);
    assert!(out.contains("# Executing 2 build triggers"), "{out}");
    assert_eq!(docker.ok("run --rm o-onbuild cat /onbuild"), "givenran");
    let config: Value = serde_json::from_str(&inspect(&docker, "json .Config", "o-onbuild")).unwrap();
    assert_eq!(
        (&config["OnBuild"], &config["Healthcheck"]["Test"]),
        (&Value::Null, &json!(["NONE"]))
    );
    docker.ok("rmi o-onbuild o-config");
}

#[test]
fn files_come_from_images_and_stages_with_their_owners_or_others() {
    let docker = docker!();
    let folder = Folder::new("o7");
    folder.write("given", "given");
    folder.write(
        "Dockerfile",
        "ARG FROM=base\nFROM $FROM AS made\nCOPY --chown=app:app --chmod=600 given /d/own\nRUN echo $FROM > /d/unset\n\
         FROM scratch\nARG FROM\nENV WAS=$FROM\nCOPY --from=base /bin/busybox /bin/cat\nCOPY --from=base /bin/busybox /bin/stat\n\
         COPY --from=made /d/ /kept/\nCOPY --from=made --chown=9:10 --chmod=0644 /d/o* /changed/\n",
    );
    built(&docker, "-t o-from", &folder);
    let stat = "run --rm --network none o-from stat -c '%n %a %u:%g' /kept/own /kept/unset /changed/own";
    assert_eq!(
        docker.ok(stat),
        "/kept/own 600 1000:1000\n/kept/unset 644 0:0\n/changed/own 644 9:10"
    );
    assert_eq!(docker.ok("run --rm --network none o-from cat /kept/unset"), "");
    assert!(inspect(&docker, "json .Config.Env", "o-from").contains("WAS=base"));
    docker.ok("rmi o-from");
    for (line, words) in [
        (
            "COPY --from=nosuch:image /x /x",
            "invalid from flag value nosuch:image",
        ),
        (
            "COPY --from=7 /x /x",
            "invalid from flag value 7: index out of bounds",
        ),
        (
            "COPY --from=base /nowhere /x",
            "COPY failed: stat nowhere: file does not exist",
        ),
        ("COPY --chmod=a+x given /x", "invalid chmod parameter: 'a+x'"),
        (
            "COPY --chown=nobody-here given /x",
            "unable to convert uid/gid chown string to host mapping",
        ),
        (
            "RUN --mount=type=cache,target=/x true",
            "the --mount option requires BuildKit",
        ),
        ("COPY --link given /x", "the --link option requires BuildKit"),
    ] {
        folder.write("Dockerfile", format!("FROM base\n{line}\n"));
        let ran = build(&docker, "", &folder);
        assert!(ran.code == 1 && ran.err.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn options_reach_the_steps_or_are_refused() {
    let docker = docker!();
    let folder = Folder::new("o4");
    folder.write(
        "Dockerfile",
        "FROM base\nRUN ip addr > /net\nRUN ulimit -n > /files\n",
    );
    built(
        &docker,
        "-t o-none --network none --ulimit nofile=123:456",
        &folder,
    );
    assert!(!docker.ok("run --rm o-none cat /net").contains("eth0"));
    assert_eq!(docker.ok("run --rm o-none cat /files"), "123");
    docker.ok("rmi o-none");
    folder.write(
        "Dockerfile",
        "FROM base\nRUN cat /proc/self/cgroup > /groups; sleep 0.1\n",
    );
    let limited = build(
        &docker,
        "--no-cache -t o-memory --memory 64m --cpu-shares 512",
        &folder,
    );
    if limited.code == 0 {
        docker.ok("rmi o-memory");
    } else {
        // A host without these controllers says so.
        assert!(limited.err.to_lowercase().contains("support"), "{limited:?}");
    }
    let refused = build(&docker, "--memory 1m", &folder);
    assert!(
        refused.code == 1 && refused.err.contains("Minimum memory limit allowed is 6MB"),
        "{refused:?}"
    );
    let context = Tarball::new().file("Dockerfile", "FROM base\n").finish();
    for (option, words) in [
        ("version=2", "DOCKER_BUILDKIT=0"),
        (
            "remote=https://example.org/x.git",
            "building from a git repository",
        ),
        ("remote=github.com/x/y", "building from a git repository"),
    ] {
        let line = format!("POST /build?{option}");
        let told = http::request(
            docker.socket(),
            &line,
            &[("Content-Type", "application/x-tar")],
            &context,
        );
        assert!(
            told.status >= 400 && told.message().contains(words),
            "{option}: {told:?}"
        );
    }
}

#[test]
fn a_context_may_lie_at_an_address() {
    let docker = docker!();
    let text = b"FROM base\nRUN echo alone > /out\nCMD cat /out\n".to_vec();
    let (alone, _asked) = serve("200 OK\r\nContent-Type: text/plain", text);
    let context = Tarball::new()
        .file("file", "from afar")
        .file("Dockerfile", "FROM base\nCOPY file /out\nCMD cat /out\n")
        .finish();
    let (packed, _asked_too) = serve("200 OK", context);
    for (port, said) in [(alone, "alone"), (packed, "from afar")] {
        let line = format!("POST /build?t=o-remote&remote=http://127.0.0.1:{port}/x");
        let told = http::request(docker.socket(), &line, &[], b"");
        assert!(
            told.text().contains("Successfully tagged o-remote:latest"),
            "{told:?}"
        );
        assert_eq!(docker.ok("run --rm o-remote"), said);
        docker.ok("rmi o-remote");
    }
    let (missing, _asked_last) = serve("404 Not Found", Vec::new());
    let line = format!("POST /build?remote=http://127.0.0.1:{missing}/x");
    let told = http::request(docker.socket(), &line, &[], b"");
    assert!(told.text().contains("with status 404 Not Found"), "{told:?}");
}

#[test]
fn a_client_that_goes_away_ends_its_build() {
    let docker = docker!();
    let folder = Folder::new("o5");
    folder.write(
        "Dockerfile",
        "FROM base\nENV GOES=away\nRUN echo begun; sleep 271\nRUN echo never\n",
    );
    let running = docker.start(&format!("build --no-cache {folder}"));
    while running.line() != "begun" {}
    assert!(docker.ok("ps --no-trunc").contains("sleep 271"));
    running.kill();
    eventually("its container is gone", || {
        !docker.ok("ps -a --no-trunc").contains("sleep 271")
    });
    // An address that never answers is let go, too.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    folder.write(
        "Dockerfile",
        format!("FROM base\nADD http://127.0.0.1:{port}/x /x\n"),
    );
    let running = docker.start(&format!("build {folder}"));
    let (mut stream, _) = listener.accept().unwrap();
    running.kill();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the daemon hangs up");
}

#[test]
fn pruning_takes_what_nobody_names() {
    let docker = docker!();
    let folder = Folder::new("o6");
    folder.write(
        "Dockerfile",
        "FROM base\nENV PRUNE=o6\nRUN echo pruned > /pruned\n",
    );
    let id = built(&docker, "-q --label prune=o6", &folder).trim().to_owned();
    assert!(
        docker
            .ok("images -q --no-trunc --filter label=prune=o6 --filter dangling=true")
            .contains(&id)
    );
    let out = docker.ok("builder prune -f");
    assert!(
        out.contains("Total reclaimed space: 0B") || out.contains("Total:\t0B"),
        "{out}"
    );
    assert_eq!(
        docker.run(&format!("image inspect {id}")).code,
        0,
        "that is not the images' pruning"
    );
    docker.ok("image prune -f --filter label=prune=other");
    docker.ok("image prune -f --filter until=1h --filter label=prune=o6");
    assert_eq!(docker.run(&format!("image inspect {id}")).code, 0);
    let out = docker.ok("image prune -f --filter label=prune=o6");
    assert!(
        out.contains(&format!("deleted: {id}")) && out.contains("Total reclaimed space: "),
        "{out}"
    );
    assert_eq!(docker.run(&format!("image inspect {id}")).code, 1);
    let told = docker.fails(1, "image prune -f --filter zz=1");
    assert!(told.contains("invalid filter 'zz'"), "{told}");
}
