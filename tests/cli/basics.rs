//! Looking at what there is: version, info, ps, inspect, top, events.

use serde_json::Value;
use std::collections::BTreeSet;
use system_tests::docker;

#[test]
fn version_shows_client_and_server() {
    let docker = docker!();
    let text = docker.ok("version");
    assert!(text.contains("Client:") && text.contains("Server:"), "{text}");
    let server =
        "version --format '{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}} {{.Server.Arch}}'";
    let arch = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    assert_eq!(docker.ok(server), format!("1.51 1.24 linux {arch}"));
}

#[test]
fn an_older_client_is_answered_in_its_version() {
    let docker = docker!();
    for version in ["1.24", "1.41", "1.44"] {
        let mut command = docker.command("version --format '{{.Client.APIVersion}}'");
        let output = command.env("DOCKER_API_VERSION", version).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), version);
        let mut command = docker.command("ps -a");
        assert!(
            command
                .env("DOCKER_API_VERSION", version)
                .output()
                .unwrap()
                .status
                .success(),
            "{version}"
        );
    }
}

#[test]
fn info_describes_this_host() {
    let docker = docker!();
    let said = docker.ok("info --format '{{.NCPU}} {{.Name}} {{.KernelVersion}} {{.OSType}}'");
    let uname = rustix::system::uname();
    let (name, release) = (
        uname.nodename().to_string_lossy(),
        uname.release().to_string_lossy(),
    );
    let cpus = std::thread::available_parallelism().unwrap();
    assert_eq!(said, format!("{cpus} {name} {release} linux"));
    let text = docker.ok("info");
    for line in [
        "Containers:",
        "Images:",
        "Server Version:",
        "Storage Driver:",
        "Docker Root Dir:",
    ] {
        assert!(text.contains(line), "no {line}: {text}");
    }
}

#[test]
fn ps_shows_running_containers_and_all_of_them_when_asked() {
    let docker = docker!();
    let running = docker.ok("run -d --name ps-running base sleep 600");
    docker.ok("create --name ps-created base true");
    docker.fails(3, "run --name ps-exited base sh -c 'exit 3'");
    let names = |options: &str| -> BTreeSet<String> {
        let all = docker.ok(&format!(
            "ps {options} --filter name=^/ps- --format {{{{.Names}}}}"
        ));
        all.lines().map(str::to_owned).collect()
    };
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(names(""), set(&["ps-running"]));
    assert_eq!(names("-a"), set(&["ps-created", "ps-exited", "ps-running"]));
    assert_eq!(names("-a --filter status=exited"), set(&["ps-exited"]));
    assert_eq!(
        names("-a --filter status=created --filter status=running"),
        set(&["ps-created", "ps-running"])
    );
    assert_eq!(names("-a --filter exited=3"), set(&["ps-exited"]));
    assert_eq!(names("-a --filter exited=4"), set(&[]));
    assert_eq!(names(&format!("--filter id={running}")), set(&["ps-running"]));
    assert_eq!(docker.ok("ps -q --filter name=^/ps-"), running[..12]);
    assert_eq!(docker.ok("ps -q --no-trunc --filter name=^/ps-"), running);
    let row = docker.ok("ps --filter name=^/ps- --format '{{.Image}}|{{.Command}}|{{.State}}|{{.Status}}'");
    assert!(row.starts_with("base|\"sleep 600\"|running|Up "), "{row}");
    let row = docker.ok("ps -a --filter name=^/ps-exited --format '{{.State}}|{{.Status}}'");
    assert!(
        row.starts_with("exited|Exited (3) ") && row.ends_with(" ago"),
        "{row}"
    );
    assert_eq!(
        docker.ok("ps -a --filter name=^/ps-created --format '{{.State}}|{{.Status}}'"),
        "created|Created"
    );
    docker.ok("rm -f ps-running ps-created ps-exited");
}

#[test]
fn ps_filters_by_label_ancestor_and_order() {
    let docker = docker!();
    docker.ok("create --name psl-1 -l tier=front -l psl base true");
    docker.ok("create --name psl-2 -l tier=back -l psl base true");
    docker.ok("create --name psl-3 -l psl base true");
    let names = |filters: &str| {
        docker.ok(&format!(
            "ps -a --filter label=psl {filters} --format {{{{.Names}}}}"
        ))
    };
    // The newest stands first.
    assert_eq!(names(""), "psl-3\npsl-2\npsl-1");
    assert_eq!(names("--filter label=tier"), "psl-2\npsl-1");
    assert_eq!(names("--filter label=tier=back"), "psl-2");
    assert_eq!(names("--filter before=psl-2"), "psl-1");
    assert_eq!(names("--filter since=psl-2"), "psl-3");
    assert_eq!(names("--filter ancestor=base"), "psl-3\npsl-2\npsl-1");
    assert_eq!(names("--filter ancestor=other"), "");
    docker.ok("rm psl-1 psl-2 psl-3");
}

#[test]
fn inspect_gives_what_was_asked_for_at_create() {
    let docker = docker!();
    let id = docker
        .ok("create --name in-1 -e A=1 -w /tmp -u app -h box -l l=v --entrypoint /bin/echo base x 'y z'");
    let format = |what: &str| docker.ok(&format!("inspect --format '{{{{{what}}}}}' in-1"));
    assert_eq!(format(".Id"), id);
    assert_eq!(format(".Name"), "/in-1");
    assert_eq!(format(".Path"), "/bin/echo");
    assert_eq!(format("json .Args"), r#"["x","y z"]"#);
    assert_eq!(format("json .Config.Entrypoint"), r#"["/bin/echo"]"#);
    assert_eq!(format("json .Config.Cmd"), r#"["x","y z"]"#);
    assert_eq!(format("index .Config.Env 0"), "A=1");
    assert_eq!(format(".Config.WorkingDir"), "/tmp");
    assert_eq!(format(".Config.User"), "app");
    assert_eq!(format(".Config.Hostname"), "box");
    assert_eq!(format("index .Config.Labels \"l\""), "v");
    assert_eq!(format(".Config.Image"), "base");
    assert_eq!(format(".Image"), docker.ok("image inspect --format {{.Id}} base"));
    assert_eq!(format(".State.Status"), "created");
    assert_eq!(format(".State.Pid"), "0");
    assert_eq!(format(".State.StartedAt"), "0001-01-01T00:00:00Z");
    assert_eq!(format(".HostConfig.NetworkMode"), "bridge");
    docker.ok("rm in-1");
}

#[test]
fn inspect_takes_names_ids_and_the_beginnings_of_ids() {
    let docker = docker!();
    let one = docker.ok("create --name in-2 base true");
    let two = docker.ok("create --name in-3 base true");
    let all: Value = serde_json::from_str(&docker.ok(&format!("inspect in-2 {}", &two[..20]))).unwrap();
    assert_eq!(
        (all[0]["Id"].as_str(), all[1]["Id"].as_str()),
        (Some(one.as_str()), Some(two.as_str()))
    );
    assert!(
        docker
            .fails(1, "inspect in-2 in-none")
            .contains("Error: No such object: in-none")
    );
    assert!(
        docker
            .fails(1, "container inspect in-none")
            .contains("No such container: in-none")
    );
    docker.ok("rm in-2 in-3");
}

#[test]
fn top_shows_the_processes_of_the_container_as_the_host_knows_them() {
    let docker = docker!();
    docker.ok("run -d --name top-1 base sh -c 'sleep 601 & sleep 602; true'");
    system_tests::docker::eventually("both run", || docker.ok("top top-1").contains("sleep 602"));
    let text = docker.ok("top top-1");
    let titles: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert_eq!(text.lines().count(), 4, "{text}");
    let row = text.lines().find(|line| line.ends_with("sleep 601")).unwrap();
    let pid: u32 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
    let process = system_tests::proc::Process::find(pid).unwrap();
    assert_eq!(process.command_line(), "sleep\x00601\x00");
    docker.ok("rm -f top-1");
    assert!(docker.fails(1, "top top-1").contains("No such container: top-1"));
}

#[test]
fn events_tell_the_life_of_a_container() {
    let docker = docker!();
    // What happens before the stream is open is told then.
    let mut events = docker
        .start("events --since 1m --filter type=container --filter container=ev-1 --format '{{.Action}}'");
    docker.ok("create --name ev-1 base true");
    assert_eq!(events.line(), "create");
    docker.ok("start -a ev-1");
    assert_eq!(
        [events.line(), events.line(), events.line()],
        ["attach", "start", "die"]
    );
    docker.ok("rename ev-1 ev-2");
    docker.ok("rename ev-2 ev-1");
    docker.ok("rm ev-1");
    let mut rest = vec![events.line()];
    while rest.last().unwrap() != "destroy" {
        rest.push(events.line());
    }
    assert!(rest.contains(&"rename".to_owned()), "{rest:?}");
    events.close_input();
    events.kill();
}

#[test]
fn events_of_the_past_are_told_between_since_and_until() {
    let docker = docker!();
    let id = docker.ok("create --name ev-3 -l k=v base sh -c 'exit 5'");
    docker.fails(5, "start -a ev-3");
    docker.ok("rm ev-3");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let past = format!("events --since 10m --until {until} --filter type=container --filter container={id}");
    let actions = docker.ok(&format!("{past} --format {{{{.Action}}}}"));
    assert_eq!(actions, "create\nattach\nstart\ndie\ndestroy");
    let died = docker.ok(&format!("{past} --filter event=die --format '{{{{json .}}}}'"));
    let event: Value = serde_json::from_str(&died).unwrap();
    let attributes = &event["Actor"]["Attributes"];
    assert_eq!(
        (&event["Type"], &event["Actor"]["ID"]),
        (&"container".into(), &id.as_str().into())
    );
    assert_eq!(
        (&attributes["exitCode"], &attributes["k"]),
        (&"5".into(), &"v".into())
    );
    assert_eq!(
        (&attributes["name"], &attributes["image"]),
        (&"ev-3".into(), &"base".into())
    );
    assert!(
        event["timeNano"]
            .as_i64()
            .is_some_and(|time| time > 1_700_000_000_000_000_000),
        "{event}"
    );
    assert_eq!(
        docker.ok(&format!(
            "events --since 10m --until {until} --filter container=ev-none"
        )),
        ""
    );
}
