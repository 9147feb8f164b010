//! Status and words for requests that are wrong, one line each, as dockerd 28.5.2 gives them (API 1.51); but where it says 500
//! for what the client did wrong, 400 stands here.

use crate::target::target;

/// Method and path, body, status, message.
type Case = (&'static str, &'static str, u16, &'static str);

macro_rules! check {
    ($target:expr, $cases:expr) => {
        let mut wrong = Vec::new();
        for (line, body, status, message) in $cases {
            let headers: &[(&str, &str)] = if body.is_empty() {
                &[]
            } else {
                &[("Content-Type", "application/json")]
            };
            let answer = system_tests::http::request($target.socket(), line, headers, body.as_bytes());
            if (answer.status, answer.message().as_str()) != (*status, *message) {
                wrong.push(format!(
                    "{line} {body}\n  expected {status} {message}\n  answered {} {}",
                    answer.status,
                    answer.message()
                ));
            }
        }
        assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    };
}

const PATHS: &[Case] = &[
    (
        "GET /v9.99/version",
        "",
        400,
        "client version 9.99 is too new. Maximum supported API version is 1.51",
    ),
    (
        "GET /v1.52/_ping",
        "",
        400,
        "client version 1.52 is too new. Maximum supported API version is 1.51",
    ),
    (
        "GET /v1.10/version",
        "",
        400,
        "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ),
    (
        "GET /v1.5.1/version",
        "",
        400,
        "client version 1.5.1 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ),
    ("GET /v1.24/_ping", "", 200, "OK"),
    ("GET /v1.51/nosuch", "", 404, "page not found"),
    ("GET /nosuch", "", 404, "page not found"),
    ("GET /", "", 404, "page not found"),
    ("GET /v1.51/containers/", "", 404, "page not found"),
    ("POST /v1.51/version", "", 404, "page not found"),
    ("GET /v1.51/containers/create", "", 404, "page not found"),
    ("DELETE /v1.51/_ping", "", 404, "page not found"),
];

const BODIES: &[Case] = &[
    (
        "POST /v1.51/containers/create",
        "{\"Image\":",
        400,
        "invalid JSON: unexpected EOF",
    ),
    (
        "POST /v1.51/containers/create",
        "hello",
        400,
        "invalid JSON: invalid character 'h' looking for beginning of value",
    ),
    (
        "POST /v1.51/containers/create",
        "null",
        400,
        "config cannot be empty in order to create a container",
    ),
    (
        "POST /v1.51/containers/create",
        "{}",
        400,
        "config cannot be empty in order to create a container",
    ),
    (
        "POST /v1.51/containers/create",
        "[]",
        400,
        "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
    ),
    (
        "POST /v1.51/containers/create",
        "{\"Image\":5}",
        400,
        "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string",
    ),
    (
        "POST /v1.51/containers/create",
        "{\"Image\":\"base\"} {\"a\":1}",
        400,
        "unexpected content after JSON",
    ),
    (
        "POST /v1.51/containers/create",
        "{\"Image\":\"nosuchxx\",\"Cmd\":\"true\"}",
        404,
        "No such image: nosuchxx:latest",
    ),
];

const UNKNOWN: &[Case] = &[
    (
        "GET /v1.51/containers/nope/json",
        "",
        404,
        "No such container: nope",
    ),
    (
        "GET /v1.51/containers/nope/top",
        "",
        404,
        "No such container: nope",
    ),
    (
        "GET /v1.51/containers/nope/logs?stdout=1",
        "",
        404,
        "No such container: nope",
    ),
    (
        "GET /v1.51/containers/nope/archive?path=/",
        "",
        404,
        "No such container: nope",
    ),
    (
        "PUT /v1.51/containers/nope/archive?path=/",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/start",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/stop",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/restart",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/kill",
        "",
        404,
        "cannot kill container: nope: No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/rename?name=x",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/wait",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/attach?stream=1&stdout=1",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/resize?h=1&w=1",
        "",
        404,
        "No such container: nope",
    ),
    (
        "POST /v1.51/containers/nope/exec",
        "{\"Cmd\":[\"true\"]}",
        404,
        "No such container: nope",
    ),
    (
        "DELETE /v1.51/containers/nope",
        "",
        404,
        "No such container: nope",
    ),
    (
        "DELETE /v1.51/containers/nope?force=1",
        "",
        404,
        "No such container: nope",
    ),
    (
        "GET /v1.51/images/nosuchxx/json",
        "",
        404,
        "No such image: nosuchxx:latest",
    ),
    (
        "GET /v1.51/images/a%20b/json",
        "",
        400,
        "invalid reference format",
    ),
    (
        "DELETE /v1.51/images/nosuchxx",
        "",
        404,
        "No such image: nosuchxx:latest",
    ),
    (
        "POST /v1.51/images/nosuchxx/tag?repo=x",
        "",
        404,
        "No such image: nosuchxx:latest",
    ),
    (
        "POST /v1.51/images/base/tag?repo=Foo",
        "",
        400,
        "invalid reference format: repository name (library/Foo) must be lowercase",
    ),
    (
        "POST /v1.51/images/base/tag?repo=x&tag=a%20b",
        "",
        400,
        "invalid tag format",
    ),
];

const CREATE: &[Case] = &[
    (
        "POST /containers/create?name=a%20b",
        "{\"Image\":\"base\"}",
        400,
        "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ),
    (
        "POST /containers/create?name=..%2Fx",
        "{\"Image\":\"base\"}",
        400,
        "Invalid container name (../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"nosuchxx\"}",
        404,
        "No such image: nosuchxx:latest",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"BusyBox\"}",
        400,
        "invalid reference format: repository name (library/BusyBox) must be lowercase",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"WorkingDir\":\"rel\"}",
        400,
        "the working directory 'rel' is invalid, it needs to be an absolute path",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"Env\":[\"=x\"]}",
        400,
        "invalid environment variable: =x",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"HostConfig\":{\"Binds\":[\"/a:rel\"]}}",
        400,
        "invalid volume specification: '/a:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"HostConfig\":{\"Binds\":[\"/a:/b:zz\"]}}",
        400,
        "invalid mode: zz",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"HostConfig\":{\"Tmpfs\":{\"rel\":\"\"}}}",
        400,
        "invalid mount path: 'rel' mount path must be absolute",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"HostConfig\":{\"PidMode\":\"zz\"}}",
        400,
        "invalid PID mode: zz",
    ),
    (
        "POST /containers/create",
        "{\"Image\":\"base\",\"StopSignal\":\"SIGZZ\"}",
        400,
        "invalid signal: SIGZZ",
    ),
];

const OF_A_CREATED_ONE: &[Case] = &[
    ("POST /containers/made/stop", "", 304, ""),
    (
        "POST /containers/made/kill",
        "",
        409,
        "cannot kill container: made: container <id> is not running",
    ),
    (
        "GET /containers/made/top",
        "",
        409,
        "container <id> is not running",
    ),
    (
        "POST /containers/made/exec",
        "{\"Cmd\":[\"true\"]}",
        409,
        "container <id> is not running",
    ),
    (
        "POST /containers/made/rename?name=",
        "",
        400,
        "Neither old nor new names may be empty",
    ),
    (
        "POST /containers/made/rename?name=made",
        "",
        400,
        "Renaming a container with the same name as its current name",
    ),
    (
        "POST /containers/made/wait?condition=zz",
        "",
        400,
        "invalid condition: \"zz\"",
    ),
    (
        "GET /containers/made/logs",
        "",
        400,
        "Bad parameters: you must choose at least one stream",
    ),
    (
        "GET /containers/made/archive",
        "",
        400,
        "bad parameter: pathcannot be empty",
    ),
    (
        "GET /containers/made/archive?path=/no/such",
        "",
        404,
        "Could not find the file /no/such in container made",
    ),
    (
        "PUT /containers/made/archive?path=/no/such",
        "x",
        404,
        "Could not find the file /no/such in container made",
    ),
    (
        "PUT /containers/made/archive?path=/etc/passwd",
        "x",
        400,
        "extraction point is not a directory",
    ),
    (
        "POST /containers/create?name=made",
        "{\"Image\":\"base\"}",
        409,
        "Conflict. The container name \"/made\" is already in use by container \"<id>\". You have to remove (or rename) that container to be able to reuse that name.",
    ),
];

const OF_A_RUNNING_ONE: &[Case] = &[
    ("POST /containers/runs/start", "", 304, ""),
    (
        "POST /containers/runs/stop?t=abc",
        "",
        400,
        "strconv.Atoi: parsing \"abc\": invalid syntax",
    ),
    (
        "POST /containers/runs/kill?signal=SIGZZ",
        "",
        400,
        "cannot kill container: runs: invalid signal: SIGZZ",
    ),
    (
        "POST /containers/runs/exec",
        "{\"Cmd\":[]}",
        400,
        "No exec command specified",
    ),
    (
        "POST /containers/runs/exec",
        "{",
        400,
        "invalid JSON: unexpected EOF",
    ),
    ("GET /exec/nope/json", "", 404, "No such exec instance: nope"),
    (
        "GET /containers/runs/logs?stdout=1&since=abc",
        "",
        400,
        "strconv.ParseInt: parsing \"abc\": invalid syntax",
    ),
    (
        "DELETE /containers/runs",
        "",
        409,
        "cannot remove container \"runs\": container is running: stop the container before removing or force remove",
    ),
];

#[test]
fn paths_and_versions() {
    let target = target!();
    check!(target, PATHS);
    target.shows_no_harm();
}

#[test]
fn bodies_that_are_not_what_they_should_be() {
    let target = target!();
    check!(target, BODIES);
    let create = "POST /containers/create";
    for (headers, message) in [
        (&[][..], "malformed Content-Type header (): mime: no media type"),
        (
            &[("Content-Type", "text/plain")][..],
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
    ] {
        let answer = system_tests::http::request(target.socket(), create, headers, b"{\"Image\":\"base\"}");
        assert_eq!((answer.status, answer.message().as_str()), (400, message));
    }
    target.shows_no_harm();
}

#[test]
fn things_that_are_not_there() {
    let target = target!();
    check!(target, UNKNOWN);
    target.shows_no_harm();
}

#[test]
fn values_that_make_no_container() {
    let target = target!();
    check!(target, CREATE);
    target.shows_no_harm();
}

#[test]
fn wrong_moments_for_a_created_container() {
    let target = target!();
    let id = target.create("made", r#"["true"]"#);
    let cases: Vec<_> = OF_A_CREATED_ONE
        .iter()
        .map(|(line, body, status, message)| (*line, *body, *status, message.replace("<id>", &id)))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .map(|(line, body, status, message)| (*line, *body, *status, message.as_str()))
        .collect();
    check!(target, &cases);
    target.remove("made");
    target.shows_no_harm();
}

#[test]
fn wrong_moments_for_a_running_container() {
    let target = target!();
    target.run("runs");
    check!(target, OF_A_RUNNING_ONE);
    target.remove("runs");
    target.shows_no_harm();
}
