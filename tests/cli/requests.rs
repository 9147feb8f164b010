//! Requests that the docker command does not send, or not so: what libraries and older clients ask for.

use serde_json::{Value, json};
use system_tests::docker::{Docker, eventually};
use system_tests::{docker, http};

fn post(docker: &Docker, path: &str, body: &Value) -> http::Answer {
    let json = [("Content-Type", "application/json")];
    http::request(
        docker.socket(),
        &format!("POST {path}"),
        &json,
        body.to_string().as_bytes(),
    )
}

/// Makes a container by a request; gives what inspect shows of it, and removes it.
#[track_caller]
fn created(docker: &Docker, path: &str, body: &Value) -> Value {
    let answer = post(docker, path, body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["Id"].as_str().unwrap().to_owned();
    let shown = http::get(docker.socket(), &format!("/containers/{id}/json")).json();
    docker.ok(&format!("rm -f {id}"));
    shown
}

#[test]
fn a_container_can_be_asked_for_with_the_platform_of_its_image() {
    let docker = docker!();
    let image = http::get(docker.socket(), "/images/base/json").json();
    let own = format!(
        "{}/{}",
        image["Os"].as_str().unwrap(),
        image["Architecture"].as_str().unwrap()
    );
    let body = json!({"Image": "base", "Cmd": ["true"]});
    created(&docker, &format!("/containers/create?platform={own}"), &body);
    assert_eq!(
        docker.ok(&format!("run --rm --platform {own} base echo ran")),
        "ran"
    );
    for (platform, status, words) in [
        (
            "linux/sparc64",
            404,
            format!(
                "image with reference base was found but its platform ({own}) does not match the specified platform (linux/sparc64)"
            ),
        ),
        (
            "zz",
            400,
            "\"zz\": unknown operating system or architecture: invalid argument".to_owned(),
        ),
    ] {
        let refused = post(&docker, &format!("/containers/create?platform={platform}"), &body);
        assert_eq!((refused.status, refused.message()), (status, words));
    }
}

#[test]
fn what_a_request_means_depends_on_its_version() {
    let docker = docker!();
    let body = json!({"Image": "base", "Cmd": ["true"]});
    let ipc = |path: &str| created(&docker, path, &body)["HostConfig"]["IpcMode"].clone();
    assert_eq!(ipc("/containers/create"), "private");
    assert_eq!(ipc("/v1.39/containers/create"), "shareable");
    let two = json!({"Image": "base", "Cmd": ["true"], "NetworkingConfig": {"EndpointsConfig": {"bridge": {}, "rq-two": {}}}});
    let refused = post(&docker, "/v1.43/containers/create", &two);
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (
            400,
            "Container cannot be created with multiple network endpoints: bridge, rq-two"
        )
    );
    let noted = json!({"Image": "base", "Cmd": ["true"], "Labels": {"rq": "noted"}, "HostConfig": {"Annotations": {"k": "v"}}});
    let id = post(&docker, "/containers/create", &noted).json()["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    let listed = |version: &str| {
        let path =
            format!("{version}/containers/json?all=1&filters=%7B%22label%22%3A%5B%22rq%3Dnoted%22%5D%7D");
        http::get(docker.socket(), &path).json()[0]["HostConfig"]["Annotations"].clone()
    };
    assert_eq!(
        (listed("/v1.46"), listed("/v1.45")),
        (json!({"k": "v"}), Value::Null)
    );
    docker.ok(&format!("rm {id}"));
    let bad = json!({"Image": "base", "HostConfig": {"Annotations": {"": "v"}}});
    let refused = post(&docker, "/containers/create", &bad).message();
    assert_eq!(
        refused,
        "invalid Annotations: the empty string is not permitted as an annotation key"
    );
    let info = |version: &str| http::get(docker.socket(), &format!("{version}/info")).json();
    assert_eq!(info("/v1.49")["BridgeNfIptables"], false);
    assert_eq!(info("/v1.50")["BridgeNfIptables"], Value::Null);
}

#[test]
fn values_are_shown_as_they_are_taken() {
    let docker = docker!();
    let body = json!({"Image": "base", "Entrypoint": [""], "Cmd": ["true"], "WorkingDir": "/tmp/./x/", "HostConfig": {"PidsLimit": -1}});
    let shown = created(&docker, "/containers/create", &body);
    assert_eq!(shown["Config"]["WorkingDir"], "/tmp/x");
    assert_eq!(shown["HostConfig"]["PidsLimit"], Value::Null);
    assert_eq!(
        (&shown["Path"], &shown["Config"]["Entrypoint"]),
        (&json!("true"), &Value::Null)
    );
    // An empty command is one, which cannot be started.
    let id = post(
        &docker,
        "/containers/create",
        &json!({"Image": "base", "Cmd": [""]}),
    )
    .json()["Id"]
        .clone();
    let id = id.as_str().unwrap();
    let refused = post(&docker, &format!("/containers/{id}/start"), &json!({}));
    assert!(
        refused.status == 400 && refused.message().contains("executable file not found"),
        "{refused:?}"
    );
    docker.ok(&format!("rm {id}"));
    docker.ok("run -d --name rq-target base sleep 600");
    docker.ok("create --name rq-linked --link rq-target:db base true");
    assert_eq!(
        docker.ok("inspect -f '{{.HostConfig.Links}}' rq-linked"),
        "[/rq-target:/rq-linked/db]"
    );
    docker.ok("start rq-linked");
    let running = "run -d --name rq-linked2 --link rq-target:db base sleep 600";
    docker.ok(running);
    assert!(
        docker
            .ok("exec rq-linked2 env")
            .contains("DB_NAME=/rq-linked2/db")
    );
    docker.ok("rm -f rq-target rq-linked rq-linked2");
    // A file is hidden by mounting nothing over it; no other device is shown.
    assert_eq!(
        docker.ok("run --rm -v /dev/null:/etc/group base sh -c 'wc -c < /etc/group; echo x > /etc/group'"),
        "0"
    );
    let refused = docker.fails(125, "run --rm -v /dev/zero:/x base true");
    assert!(refused.contains("bind mounts show no devices"), "{refused}");
    assert_eq!(docker.ok("run --rm -e HOME= base sh -c 'echo $HOME'"), "/root");
    let domain = docker.ok("run --rm --domainname example.test base cat /proc/sys/kernel/domainname");
    assert_eq!(domain, "example.test");
    let open = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt no-new-privileges";
    let told = docker.ok(&format!(
        "run --rm {open} base grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status"
    ));
    assert_eq!(
        told.split_whitespace().collect::<Vec<_>>(),
        ["NoNewPrivs:", "1", "Seccomp:", "0"]
    );
}

#[test]
fn the_hosts_own_names_are_known_on_its_network() {
    let docker = docker!();
    let own = std::fs::read_to_string("/etc/hosts").unwrap();
    let shown = docker.ok("run --rm --network host base cat /etc/hosts");
    assert_eq!(shown.trim_end(), own.trim_end());
}

#[test]
fn a_terminal_is_resized_only_where_something_runs() {
    let docker = docker!();
    docker.ok("create --name rq-resize base true");
    let resize = |query: &str| {
        let told = post(
            &docker,
            &format!("/containers/rq-resize/resize?{query}"),
            &json!({}),
        );
        (told.status, told.message())
    };
    let (status, words) = resize("h=40&w=40");
    assert!(
        status == 409 && words.ends_with("is not running"),
        "{status} {words}"
    );
    let (status, words) = resize("h=-100&w=40");
    assert_eq!(
        (status, words.as_str()),
        (400, "invalid resize height \"-100\": value out of range")
    );
    docker.ok("rm rq-resize");
    // What is wrong with the request is told before what is wrong with its name.
    let told = http::request(
        docker.socket(),
        "POST /exec/none/start",
        &[("Content-Type", "text/plain")],
        b"{}",
    );
    assert_eq!(told.status, 400, "{}", told.text());
    let told = post(&docker, "/images/base/tag?repo=sha256&tag=x", &json!({}));
    assert_eq!(
        told.message(),
        "refusing to create an ambiguous tag using digest algorithm as name"
    );
    let told = http::get(
        docker.socket(),
        "/images/base/get?platform=%7B%7D&platform=%7B%7D",
    );
    assert_eq!(told.message(), "multiple platform parameters not supported");
}

#[test]
fn a_container_that_is_killed_while_its_policy_decides_is_not_started_again() {
    let docker = docker!();
    // Each time the kill meets another moment of the end.
    for pause_ms in [0, 5, 10, 20, 30, 40, 60] {
        docker.ok("run -d --name rq-again --restart always --stop-signal CONT base sh -c 'trap exit TERM; while :; do sleep 0.01; done'");
        docker.ok("kill -s TERM rq-again");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        let removed = http::request(docker.socket(), "DELETE /containers/rq-again?force=1", &[], b"");
        assert_eq!(removed.status, 204, "{}", removed.text());
    }
    eventually("they are gone", || {
        docker.ok("ps -aq --filter name=rq-again").is_empty()
    });
}

#[test]
fn lists_and_options_that_do_not_go_together_are_dockerds() {
    let docker = docker!();
    docker.ok("run -d --name rl-first base sleep 600");
    docker.ok("run --name rl-second base true");
    let listed = |options: &str| {
        docker.ok(&format!(
            "ps {options} --format '{{{{.Names}}}}' --filter name=rl-"
        ))
    };
    assert_eq!(listed("--filter since=rl-first"), "");
    assert_eq!(listed("-a --filter since=rl-first"), "rl-second");
    docker.ok("commit rl-second rq-child");
    docker.ok("run -d --name rl-third rq-child sleep 600");
    assert_eq!(listed("--filter ancestor=base"), "rl-third\nrl-first");
    assert_eq!(listed("--filter ancestor=rq-child"), "rl-third");
    docker.ok("rm -f rl-first rl-second rl-third");
    docker.ok("rmi rq-child");
    for (line, words) in [
        (
            "--network host --link x:y",
            "host type networking can't be used with links",
        ),
        (
            "--network container",
            "invalid container format container:<name|id>",
        ),
    ] {
        let refused = docker.fails(125, &format!("run --rm {line} base true"));
        assert!(refused.contains(words), "{line}: {refused}");
    }
    let body = json!({"Image": "base", "Cmd": ["true"], "MacAddress": "92:d0:c6:0a:29:33", "HostConfig": {"NetworkMode": "host"}});
    let refused = post(&docker, "/containers/create", &body);
    assert_eq!(
        refused.message(),
        "conflicting options: mac-address and the network mode"
    );
    let blank = http::request(docker.socket(), "DELETE /images/%20", &[], b"");
    assert_eq!(blank.message(), "image name cannot be blank");
    // An exec that could not begin may be tried again.
    docker.ok("run -d --name rq-paused base sleep 600");
    let now = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    };
    let since = now();
    let exec = post(&docker, "/containers/rq-paused/exec", &json!({"Cmd": ["true"]})).json()["Id"].clone();
    let start = || {
        post(
            &docker,
            &format!("/exec/{}/start", exec.as_str().unwrap()),
            &json!({"Detach": true}),
        )
        .status
    };
    docker.ok("pause rq-paused");
    assert_eq!(start(), 409);
    docker.ok("unpause rq-paused");
    assert_eq!(start(), 200);
    let resized = post(&docker, "/containers/rq-paused/resize?h=40&w=50", &json!({}));
    assert_eq!(resized.status, 200);
    let (code, tar, _) = docker.bytes("cp rq-paused:/etc/group -", b"");
    assert_eq!(code, 0);
    assert_eq!(docker.bytes("cp - rq-paused:/tmp", &tar).0, 0);
    let told = docker.ok(&format!(
        "events --since {since} --until {} --filter container=rq-paused --format '{{{{.Action}}}} {{{{.Actor.Attributes.height}}}}'",
        now()
    ));
    for words in ["resize 40", "archive-path", "extract-to-dir"] {
        assert!(told.contains(words), "no {words}: {told}");
    }
    docker.ok("rm -f rq-paused");
}
