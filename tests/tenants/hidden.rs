//! Whatever is asked about another tenant's object is answered as if it were not there: as about a name that nobody has.

use crate::{BLUE, start};
use std::path::Path;
use system_tests::docker::Docker;
use system_tests::http::{self, Answer};
use system_tests::users::as_user;

/// What is asked; `@` stands for the object. Then the status of the answer.
type Operation = (&'static str, &'static str, u16);

const CONTAINERS: &[Operation] = &[
    ("GET /containers/@/json", "", 404),
    ("GET /containers/@/logs?stdout=1", "", 404),
    ("GET /containers/@/stats?stream=0", "", 404),
    ("GET /containers/@/top", "", 404),
    ("GET /containers/@/changes", "", 404),
    ("GET /containers/@/export", "", 404),
    ("GET /containers/@/archive?path=/etc", "", 404),
    ("HEAD /containers/@/archive?path=/etc", "", 404),
    ("PUT /containers/@/archive?path=/etc", "", 404),
    ("POST /containers/@/start", "", 404),
    ("POST /containers/@/stop", "", 404),
    ("POST /containers/@/restart", "", 404),
    ("POST /containers/@/kill", "", 404),
    ("POST /containers/@/pause", "", 404),
    ("POST /containers/@/unpause", "", 404),
    ("POST /containers/@/rename?name=theirs", "", 404),
    ("POST /containers/@/update", "{}", 404),
    ("POST /containers/@/wait", "", 404),
    ("POST /containers/@/attach?stdout=1", "", 404),
    ("POST /containers/@/resize?h=1&w=1", "", 404),
    ("POST /containers/@/exec", r#"{"Cmd":["true"]}"#, 404),
    ("POST /commit?container=@", "", 404),
    ("POST /networks/mine/connect", r#"{"Container":"@"}"#, 404),
    ("POST /networks/mine/disconnect", r#"{"Container":"@"}"#, 404),
    (
        "POST /containers/create",
        r#"{"Image":"base","HostConfig":{"VolumesFrom":["@"]}}"#,
        400,
    ),
    (
        "POST /containers/create",
        r#"{"Image":"base","HostConfig":{"Links":["@:x"]}}"#,
        400,
    ),
    ("DELETE /containers/@?force=1", "", 404),
    ("DELETE /containers/@/alias?link=1", "", 404),
];

const EXECS: &[Operation] = &[
    ("GET /exec/@/json", "", 404),
    ("POST /exec/@/start", "{}", 404),
    ("POST /exec/@/resize?h=1&w=1", "", 404),
];

const IMAGES: &[Operation] = &[
    ("GET /images/@/json", "", 404),
    ("GET /images/@/history", "", 404),
    ("GET /images/@/get", "", 404),
    ("GET /images/get?names=@", "", 404),
    ("POST /images/@/tag?repo=theirs", "", 404),
    ("POST /containers/create", r#"{"Image":"@"}"#, 404),
    ("DELETE /images/@?force=1", "", 404),
];

const NETWORKS: &[Operation] = &[
    ("GET /networks/@", "", 404),
    ("DELETE /networks/@", "", 404),
    ("POST /networks/@/connect", r#"{"Container":"own"}"#, 404),
    ("POST /networks/@/disconnect", r#"{"Container":"own"}"#, 404),
];

const VOLUMES: &[Operation] = &[
    ("GET /volumes/@", "", 404),
    ("DELETE /volumes/@?force=0", "", 404),
];

/// Modes that name another container are looked up at the start.
const STARTS: [&str; 2] = ["--network container:@", "--pid container:@"];

fn ask(socket: &Path, (line, body, _): Operation, object: &str) -> Answer {
    let json = [("Content-Type", "application/json")];
    let (line, body) = (line.replace('@', object), body.replace('@', object));
    as_user(BLUE, || http::request(socket, &line, &json, body.as_bytes()))
}

/// Each operation on each name of an object, beside the same on a name that nobody has.
fn compare(socket: &Path, operations: &[Operation], objects: &[&str], wrong: &mut Vec<String>) {
    for object in objects {
        // As long, and of the same digits where it has any: the answer may depend on that.
        let (prefix, rest) = match object.strip_prefix("sha256:") {
            Some(digits) => ("sha256:", digits),
            None => ("", *object),
        };
        let rest: String = rest
            .chars()
            .map(|c| match c {
                'a'..='e' => 'f',
                '1'..='8' => '9',
                's' => 'z',
                other => other,
            })
            .collect();
        let nobodys = format!("{prefix}{rest}");
        for operation in operations {
            let (about, about_nothing) = (ask(socket, *operation, object), ask(socket, *operation, &nobodys));
            let text = about.text().replace(object, &nobodys);
            if (about.status, text.as_str()) != (about_nothing.status, about_nothing.text().as_str())
                || about.status != operation.2
            {
                wrong.push(format!(
                    "{operation:?} {object}: {} {text}, and of nothing {} {}",
                    about.status,
                    about_nothing.status,
                    about_nothing.text()
                ));
            }
        }
    }
}

fn starts(blue: &Docker, objects: &[&str], wrong: &mut Vec<String>) {
    for (start, object) in STARTS
        .iter()
        .flat_map(|start| objects.iter().map(move |object| (start, object)))
    {
        let options = start.replace('@', object);
        let ran = blue.run(&format!("run --rm {options} base true"));
        if ran.code == 0 || !ran.err.contains("No such container") {
            wrong.push(format!("{options}: {ran:?}"));
        }
    }
}

#[test]
fn another_tenants_objects_are_not_there() {
    let Some(ground) = start("another_tenants_objects_are_not_there", "") else {
        return;
    };
    let (red, socket) = (&ground.red, ground.engine.socket());
    ground.blue.ok("network create mine");
    ground.blue.ok("create --name own base");
    let image = red
        .with_input("build -q -t secret:1 -", b"FROM base\nLABEL a=b\n")
        .out
        .trim()
        .to_owned();
    let network = red.ok("network create secret-net");
    red.ok("volume create secret-volume");
    let container = red.ok("run -d --name secret-name -v secret-volume:/v secret:1 sleep 600");
    let begun = http::post(
        &socket,
        &format!("/containers/{container}/exec"),
        r#"{"Cmd":["true"]}"#,
    );
    assert_eq!(begun.status, 404, "root is another tenant too");
    let exec = as_user(crate::RED, || {
        http::post(
            &socket,
            &format!("/containers/{container}/exec"),
            r#"{"Cmd":["true"]}"#,
        )
    });
    let exec = exec.json()["Id"].as_str().unwrap().to_owned();
    let mut wrong = Vec::new();
    let containers = [container.as_str(), &container[..12], "secret-name"];
    compare(&socket, CONTAINERS, &containers, &mut wrong);
    compare(&socket, EXECS, &[&exec], &mut wrong);
    let short = &image["sha256:".len()..][..12];
    compare(&socket, IMAGES, &["secret:1", &image, short], &mut wrong);
    compare(
        &socket,
        NETWORKS,
        &[&network, &network[..12], "secret-net"],
        &mut wrong,
    );
    compare(&socket, VOLUMES, &["secret-volume"], &mut wrong);
    starts(&ground.blue, &containers, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nothing of it was touched.
    assert_eq!(
        red.ok("inspect --format '{{.State.Status}}' secret-name"),
        "running"
    );
    red.ok("exec secret-name true");
    red.ok("rm -f secret-name");
    red.ok("network rm secret-net");
    red.ok("volume rm secret-volume");
    red.ok("rmi secret:1");
    ground.blue.ok("rm own");
    ground.blue.ok("network rm mine");
    ground.engine.stop();
}
