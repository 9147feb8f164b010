//! Requests made from the table of operations: each operation with an object that is not there, one in the wrong state, a body
//! that is no JSON or of the wrong kind, an argument of the wrong type, an unknown filter, and far too much of everything. What the
//! client did wrong is never a 500.

use crate::operations::{Body, OPERATIONS, Object, Operation};
use crate::target::{Target, target};
use system_tests::http::{Answer, request};

/// What no object is called.
const NOBODY: &str = "nosuchthing";

/// What dockerd answers to whatever needs a swarm.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// Made-up requests to each operation.
const VARIATIONS: u64 = 60;

impl Operation {
    fn line(&self, object: &str, arguments: &str) -> String {
        let path = self.path.replace("{}", object);
        let mark = if path.contains('?') { '&' } else { '?' };
        let arguments = if arguments.is_empty() {
            String::new()
        } else {
            format!("{mark}{arguments}")
        };
        format!("{} {path}{arguments}", self.method)
    }

    fn send(&self, target: &Target, line: &str, body: &[u8]) -> Answer {
        let kind = match self.body {
            Body::Empty if body.is_empty() => return request(target.socket(), line, &[], b""),
            Body::Empty | Body::Json => "application/json",
            Body::Tar => "application/x-tar",
        };
        request(target.socket(), line, &[("Content-Type", kind)], body)
    }

    fn good_body(&self) -> &'static [u8] {
        match self.body {
            Body::Json if self.path.ends_with("connect") => br#"{"Container":"nosuchcontainer"}"#,
            Body::Json if self.path.ends_with("exec") => br#"{"Cmd":["true"]}"#,
            Body::Json if self.path.ends_with("set") => b"[]",
            Body::Json => b"{}",
            Body::Empty | Body::Tar => b"",
        }
    }
}

/// Collects what was answered otherwise than it should.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn expect(&mut self, line: &str, answer: &Answer, status: u16, ending: &str) {
        let message = answer.message();
        // A HEAD request's answer has no body.
        let says = line.starts_with("HEAD") || message.ends_with(ending);
        if answer.status != status || !says {
            self.0.push(format!(
                "{line}\n  expected {status} …{ending}\n  answered {} {message}",
                answer.status
            ));
        }
    }

    /// A mistake of the client's is a 4xx. What is refused for good is a 501, and what needs a swarm a 503, as with dockerd.
    fn expect_no_fault(&mut self, line: &str, body: &[u8], answer: &Answer) {
        let message = answer.message();
        let is_refusal = answer.status == 501 || (answer.status == 503 && message == NO_SWARM);
        if !(200..500).contains(&answer.status) && !is_refusal {
            let body = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            self.0.push(format!(
                "{line}\n  {body}\n  answered {} {message}",
                answer.status
            ));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

#[test]
fn an_object_that_is_not_there_is_404_in_dockerds_words() {
    let target = target!();
    let mut wrong = Wrong::default();
    for operation in OPERATIONS {
        let (status, ending) = match operation.object {
            Object::Nothing => continue,
            Object::Container => (404, "No such container: nosuchthing"),
            // A reference or an id, and how it is written out, differ by operation.
            Object::Image => (404, ""),
            Object::Exec => (404, "No such exec instance: nosuchthing"),
            Object::Volume => (404, "get nosuchthing: no such volume"),
            Object::Network => (404, "network nosuchthing not found"),
            Object::Plugin => (404, "plugin \"nosuchthing\" not found"),
            Object::Swarm => (503, NO_SWARM),
        };
        let line = operation.line(NOBODY, "");
        let answer = operation.send(&target, &line, operation.good_body());
        wrong.expect(&line, &answer, status, ending);
    }
    wrong.assert_none();
    target.shows_no_harm();
}

#[test]
fn a_body_that_is_no_json_is_400_in_dockerds_words() {
    let target = target!();
    let id = target.run("schema-body");
    let mut wrong = Wrong::default();
    for operation in OPERATIONS.iter().filter(|operation| operation.body == Body::Json) {
        let object = object(operation, &id);
        // Credentials are read without a word about what is wrong with them.
        let is_secretive = operation.path == "/auth";
        if operation.object == Object::Exec || operation.object == Object::Plugin || is_secretive {
            continue;
        }
        let line = operation.line(object, "");
        for (body, ending) in [
            (&b"{"[..], "unexpected EOF"),
            (b"hello", "looking for beginning of value"),
            (b"{} trailing", "unexpected content after JSON"),
        ] {
            let answer = operation.send(&target, &line, body);
            // Some operations read nothing more after their object; then there is no answer to the rest.
            wrong.expect(
                &format!("{line} {}", String::from_utf8_lossy(body)),
                &answer,
                400,
                ending,
            );
        }
        let array = operation.send(&target, &line, b"[1]");
        if !array
            .message()
            .contains("cannot unmarshal array into Go value of type")
        {
            wrong.expect(
                &format!("{line} [1]"),
                &array,
                400,
                "cannot unmarshal array into Go value of type",
            );
        }
        let text = request(target.socket(), &line, &[("Content-Type", "text/plain")], b"{}");
        wrong.expect(
            &format!("{line} as text"),
            &text,
            400,
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        );
        let long = format!(r#"{{"Long":"{}"}}"#, "a".repeat(5 << 20));
        let answer = operation.send(&target, &line, long.as_bytes());
        if !matches!(answer.status, 400 | 413) {
            wrong.expect(&format!("{line} of 5 MiB"), &answer, 413, "");
        }
    }
    wrong.assert_none();
    target.remove("schema-body");
    target.shows_no_harm();
}

#[test]
fn a_number_that_is_none_is_400_in_gos_words() {
    let target = target!();
    let id = target.run("schema-number");
    let mut wrong = Wrong::default();
    for operation in OPERATIONS {
        for number in operation.numbers {
            if operation.object == Object::Exec || operation.object == Object::Plugin {
                continue;
            }
            let path = operation.path.split('?').next().unwrap_or_default();
            let others: Vec<&str> = operation
                .numbers
                .iter()
                .filter(|other| *other != number)
                .copied()
                .collect();
            let others: String = others.iter().map(|other| format!("&{other}=1")).collect();
            let line = format!(
                "{} {}?stdout=1{others}&{number}=abc",
                operation.method,
                path.replace("{}", object(operation, &id))
            );
            let answer = operation.send(&target, &line, b"");
            wrong.expect(&line, &answer, 400, "");
            if !answer.message().contains("abc") {
                wrong.expect(&line, &answer, 400, "(naming \"abc\")");
            }
        }
    }
    wrong.assert_none();
    target.remove("schema-number");
    target.shows_no_harm();
}

#[test]
fn filters_that_are_unknown_or_no_filters_are_400() {
    let target = target!();
    let mut wrong = Wrong::default();
    for operation in OPERATIONS.iter().filter(|operation| operation.filters) {
        let unknown = operation.line("", "filters=%7B%22nope%22%3A%5B%22x%22%5D%7D");
        let answer = operation.send(&target, &unknown, b"");
        wrong.expect(&unknown, &answer, 400, "invalid filter 'nope'");
        for bad in ["%7B", "nonsense", "5", "%5B1%5D", "%7B%22a%22%3A5%7D"] {
            let line = operation.line("", &format!("filters={bad}"));
            let answer = operation.send(&target, &line, b"");
            wrong.expect(&line, &answer, 400, "");
        }
    }
    wrong.assert_none();
    target.shows_no_harm();
}

/// An object that is there, where the operation takes one.
fn object<'a>(operation: &Operation, container: &'a str) -> &'a str {
    match operation.object {
        Object::Container => container,
        Object::Network => "bridge",
        Object::Image => "base",
        Object::Nothing | Object::Exec | Object::Volume | Object::Plugin | Object::Swarm => NOBODY,
    }
}

/// Operations that ask a registry, of which there is none here.
const REGISTRIES: [&str; 5] = [
    "/auth",
    "/images/search",
    "/images/create",
    "/push",
    "/distribution/",
];

/// A sequence of numbers that is the same in every run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[(self.roll() % choices.len() as u64) as usize]
    }
}

/// Names that were not meant as names, ready for a path.
const NAMES: &[&str] = &[
    "nosuchthing",
    "%00",
    "..",
    "%2e%2e%2f%2e%2e",
    "-",
    "%20",
    "a%0Ab",
    "%F0%9F%92%A9",
    "0nothing",
    "sha256:0g",
    "sha256:zz",
    "UPPER",
    "a%3Ab%40c",
    "%25s%25n",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

const ARGUMENTS: &[&str] = &[
    "all",
    "limit",
    "size",
    "filters",
    "t",
    "signal",
    "since",
    "until",
    "tail",
    "h",
    "w",
    "name",
    "force",
    "v",
    "link",
    "path",
    "condition",
    "repo",
    "tag",
    "fromImage",
    "platform",
    "detachKeys",
    "stream",
    "stdout",
    "stderr",
    "follow",
    "ps_args",
    "noprune",
    "quiet",
    "term",
    "container",
    "changes",
    "pause",
    "dockerfile",
    "buildargs",
    "labels",
    "cachefrom",
    "networkmode",
    "shmsize",
    "memory",
    "cpusetcpus",
    "target",
    "verbose",
    "scope",
    "type",
    "manifests",
    "one-shot",
    "timeout",
    "copyUIDGID",
    "noOverwriteDirNonDir",
    "version",
    "remote",
    "extrahosts",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "true",
    "abc",
    "99999999999999999999",
    "-9223372036854775808",
    "1e9",
    "0x10",
    "%00",
    "%FF%FE",
    "..%2f..%2fetc%2fpasswd",
    "%7B%7D",
    "%7B%22a%22%3A%7B%22b%22%3Atrue%7D%7D",
    "%7B%22a%22%3Anull%7D",
    "%5B%5D",
    "null",
    "%22",
    "linux%2Fnope%2Fx%2Fy",
    "SIGNOPE",
    "ctrl-%5D,x",
];

const FIELDS: &[&str] = &[
    "Image",
    "Cmd",
    "Env",
    "Entrypoint",
    "Hostname",
    "Domainname",
    "User",
    "WorkingDir",
    "Labels",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "StopTimeout",
    "Healthcheck",
    "HostConfig",
    "NetworkingConfig",
    "Tty",
    "OpenStdin",
    "Binds",
    "Mounts",
    "PortBindings",
    "RestartPolicy",
    "Memory",
    "NanoCpus",
    "CpuShares",
    "CpusetCpus",
    "PidsLimit",
    "Ulimits",
    "LogConfig",
    "NetworkMode",
    "IpcMode",
    "PidMode",
    "Devices",
    "CapAdd",
    "SecurityOpt",
    "Tmpfs",
    "Sysctls",
    "ShmSize",
    "ExtraHosts",
    "Dns",
    "Links",
    "Name",
    "Driver",
    "DriverOpts",
    "IPAM",
    "Options",
    "Container",
    "EndpointConfig",
    "Force",
    "Detach",
    "DetachKeys",
    "AttachStdout",
    "ConsoleSize",
    "username",
    "password",
    "serveraddress",
    "BlkioWeight",
    "OomScoreAdj",
    "MacAddress",
];

const THINGS: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "99999999999999999999",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"../../etc\"",
    "\"\\ud800\"",
    "[]",
    "[null]",
    "[1]",
    "[\"\"]",
    "[\"a:b:c:d\"]",
    "[{}]",
    "{}",
    "{\"\":{}}",
    "{\"a\":null}",
    "{\"Type\":\"nope\"}",
    "{\"Name\":\"always\",\"MaximumRetryCount\":-5}",
    "{\"80/tcp\":[{\"HostPort\":\"x\"}]}",
    "{\"Test\":[\"CMD\"],\"Interval\":-1}",
    "[{\"Type\":\"bind\"}]",
    "[{\"Type\":\"nope\",\"Target\":\"rel\"}]",
    "{\"EndpointsConfig\":{\"x\":null}}",
    "{\"Memory\":1}",
    "{\"Binds\":[\"/:/\"]}",
    "{\"NetworkMode\":\"container:x\"}",
];

fn thing(dice: &mut Dice) -> String {
    let fields = dice.roll() % 4;
    let parts: Vec<String> = (0..fields)
        .map(|_| format!("\"{}\":{}", dice.of(FIELDS), dice.of(THINGS)))
        .collect();
    match dice.roll() % 4 {
        0 => dice.of(THINGS).to_owned(),
        1 => format!("{{\"Image\":\"base\",\"HostConfig\":{{{}}}}}", parts.join(",")),
        2 => format!(
            "{{\"Image\":\"base\",\"Cmd\":[\"true\"],{}\"z\":1}}",
            parts.iter().map(|part| format!("{part},")).collect::<String>()
        ),
        _ => format!("{{{}}}", parts.join(",")),
    }
}

#[test]
fn no_made_up_request_is_a_fault_of_the_daemons() {
    let target = target!();
    let mut wrong = Wrong::default();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let ids = |target: &Target, path: &str, key: &str| -> Vec<String> {
        let listed = target.get(path).json();
        let listed = if listed.is_array() {
            listed
        } else {
            listed["Volumes"].clone()
        };
        let names = listed.as_array().into_iter().flatten();
        names
            .filter_map(|one| one[key].as_str().map(str::to_owned))
            .collect()
    };
    let lists = [
        ("/containers/json?all=1", "Id", "/containers/", "?force=1&v=1"),
        ("/networks", "Id", "/networks/", ""),
        ("/volumes", "Name", "/volumes/", "?force=1"),
        ("/images/json?all=1", "Id", "/images/", "?force=1"),
    ];
    let before: Vec<Vec<String>> = lists
        .iter()
        .map(|(path, key, ..)| ids(&target, path, key))
        .collect();
    for operation in OPERATIONS {
        // What goes wrong at a registry is not the client's mistake.
        if REGISTRIES.iter().any(|path| operation.path.contains(path)) {
            continue;
        }
        // What would end or empty what other tests use, or wait for ever.
        let is_left = operation.path.ends_with("prune") || operation.path.starts_with("/events");
        for _ in 0..VARIATIONS {
            let count = if is_left { 0 } else { dice.roll() % 4 };
            let arguments: Vec<String> = (0..count)
                .map(|_| format!("{}={}", dice.of(ARGUMENTS), dice.of(VALUES)))
                .collect();
            let mut line = operation.line(dice.of(NAMES), &arguments.join("&"));
            if is_left {
                line = operation.line("", "filters=nonsense&since=x");
            }
            let body = match operation.body {
                Body::Json => thing(&mut dice).into_bytes(),
                Body::Tar => vec![dice.roll() as u8; (dice.roll() % 2000) as usize],
                Body::Empty => Vec::new(),
            };
            let answer = operation.send(&target, &line, &body);
            wrong.expect_no_fault(&line, &body, &answer);
        }
    }
    // What was well-formed by chance was made; it goes again.
    for ((path, key, one, how), before) in lists.iter().zip(before) {
        for id in ids(&target, path, key).iter().filter(|id| !before.contains(id)) {
            target.delete(&format!("{one}{id}{how}"));
        }
    }
    wrong.assert_none();
    target.shows_no_harm();
}
