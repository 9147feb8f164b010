//! What people read when something is wrong, and that the daemon is none the worse for it.

use std::process::Command;
use system_tests::docker;
use system_tests::docker::eventually;

#[test]
fn unknown_things_are_named() {
    let docker = docker!();
    for (line, code, words) in [
        ("start er-none", 1, "No such container: er-none"),
        ("stop er-none", 1, "No such container: er-none"),
        ("restart er-none", 1, "No such container: er-none"),
        ("kill er-none", 1, "No such container: er-none"),
        ("logs er-none", 1, "No such container: er-none"),
        ("attach er-none", 1, "No such container: er-none"),
        ("rename er-none x", 1, "No such container: er-none"),
        ("cp er-none:/x -", 1, "No such container: er-none"),
        ("create --pull never er-none", 1, "No such image: er-none:latest"),
        (
            "create --pull never base:er-none",
            1,
            "No such image: base:er-none",
        ),
        ("rmi er-none", 1, "No such image: er-none:latest"),
        ("tag er-none x", 1, "No such image: er-none:latest"),
        ("image inspect er-none", 1, "No such image: er-none:latest"),
    ] {
        let error = docker.fails(code, line);
        assert!(error.contains(words), "docker {line}: {error}");
    }
}

#[test]
fn an_image_that_is_nowhere_is_said_to_be_so() {
    let docker = docker!();
    let error = docker.fails(125, "run --rm er-none:1 true");
    assert!(
        error.contains("Unable to find image 'er-none:1' locally"),
        "{error}"
    );
    assert!(
        error.lines().count() >= 2,
        "the daemon's own words are missing: {error}"
    );
}

#[test]
fn bad_values_are_refused_with_dockers_words() {
    let docker = docker!();
    for (line, words) in [
        (
            "create --name 'a b' base true",
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        ("create --name _x base true", "Invalid container name (_x)"),
        (
            "create --runtime er-none base true",
            "unknown or invalid runtime name: er-none",
        ),
        ("create -v /a:/b:zz base true", "invalid mode: zz"),
        (
            "create -v /tmp:/ base true",
            "invalid specification: destination can't be '/'",
        ),
        ("create -v /a:/x -v /b:/x base true", "Duplicate mount point: /x"),
        ("create --restart zz base true", "invalid restart policy"),
        ("create --stop-signal SIGZZ base true", "invalid signal: SIGZZ"),
        ("create --pull never BaseImage true", "must be lowercase"),
    ] {
        let ran = docker.run(line);
        assert!(ran.code != 0 && ran.err.contains(words), "docker {line}: {ran:?}");
    }
}

#[test]
fn a_version_that_is_not_spoken_is_refused() {
    let docker = docker!();
    let ask = |version: &str| {
        let output = docker
            .command("ps")
            .env("DOCKER_API_VERSION", version)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, error) = ask("1.52");
    assert_eq!(code, Some(1));
    assert!(
        error.contains("client version 1.52 is too new. Maximum supported API version is 1.51"),
        "{error}"
    );
    let (code, error) = ask("1.23");
    assert_eq!(code, Some(1));
    assert!(
        error.contains("client version 1.23 is too old. Minimum supported API version is 1.24"),
        "{error}"
    );
}

#[test]
fn a_client_that_is_killed_at_any_moment_leaves_a_working_daemon() {
    let docker = docker!();
    for wait_ms in [0, 20, 60, 150, 300] {
        let run = docker.start(&format!("run --rm --name er-killed-{wait_ms} -i base cat"));
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        run.kill();
    }
    assert_eq!(docker.ok("run --rm base echo fine"), "fine");
    // A client that is gone took its attachment along and not the container, as with dockerd.
    eventually("they can be removed", || {
        let left = docker.ok("ps -aq --filter name=er-killed-");
        left.is_empty()
            || docker.run(&format!("rm -f {}", left.replace('\n', " "))).code == 0
                && docker.ok("ps -aq --filter name=er-killed-").is_empty()
    });
}

#[test]
fn the_daemon_needs_no_docker_configuration() {
    let docker = docker!();
    let output = Command::new("docker")
        .args(["-H", &format!("unix://{}", docker.socket().display()), "ps", "-q"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
