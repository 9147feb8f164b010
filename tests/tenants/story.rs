//! Two people with the docker command on one socket.

use crate::start;
use system_tests::docker::Docker;

/// Everything that a list or count of the docker command shows.
fn sight(docker: &Docker) -> String {
    let lines = [
        "ps -a --no-trunc",
        "images -a --no-trunc",
        "network ls --no-trunc",
        "network inspect host none bridge",
        "volume ls",
        "system df -v",
        "info",
        "events --since 0 --until 1s",
    ];
    // `--until 1s` is a second ago, which the docker command cuts to a whole one: by then everything has happened.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    lines.map(|line| docker.ok(line)).join("\n")
}

#[test]
fn two_users_on_one_socket_see_nothing_of_each_other() {
    let Some(ground) = start("two_users_on_one_socket_see_nothing_of_each_other", "") else {
        return;
    };
    let (red, blue) = (&ground.red, &ground.blue);
    let build = "build -q -t secret-image -";
    let dockerfile = b"FROM base\nLABEL of=secret-label\nRUN echo secret-content > /secret-file\n";
    let image = red.with_input(build, dockerfile).out.trim().to_owned();
    assert!(image.starts_with("sha256:"), "{image}");
    red.ok("network create secret-net");
    red.ok("volume create secret-volume");
    let id =
        red.ok("run -d --name secret-name --network secret-net -v secret-volume:/v secret-image sleep 600");
    red.ok("run -d --name secret-loner --network none secret-image sleep 600");
    let own = sight(red);
    for known in [
        "secret-name",
        "secret-image",
        "secret-net",
        "secret-volume",
        "secret-label",
        "secret-loner",
        &id,
        &image,
    ] {
        assert!(own.contains(known), "{known}: {own}");
    }
    for other in [blue, &ground.root] {
        let seen = sight(other);
        for hidden in ["secret", &id, &image] {
            assert!(!seen.contains(hidden), "{hidden}: {seen}");
        }
        assert!(seen.contains("base"), "what is shared is seen: {seen}");
    }
    // The same names are free, and mean each user's own.
    blue.ok("network create secret-net");
    blue.ok("volume create secret-volume");
    let mine = blue.ok("run -d --name secret-name --network secret-net -v secret-volume:/v base sleep 600");
    assert_eq!(blue.ok("exec secret-name ls /v"), "");
    assert_ne!(mine, id);
    assert_eq!(red.ok("ps -q --no-trunc -f name=secret-name"), id);
    assert_eq!(blue.ok("ps -q --no-trunc"), mine);
    // A step that another tenant built is not taken from there.
    let said = blue.with_input("build -t secret-image -", dockerfile).out;
    assert!(!said.contains("Using cache"), "{said}");
    let said = red.with_input("build -t secret-image -", dockerfile).out;
    assert!(said.contains("Using cache"), "{said}");
    // Nobody clears up after others.
    blue.ok("rm -f secret-name");
    blue.ok("system prune -a -f --volumes");
    assert_eq!(
        blue.ok("images -q"),
        ground.root.ok("images -q"),
        "only what is shared is left"
    );
    assert_eq!(
        red.ok("inspect --format '{{.State.Status}}' secret-name"),
        "running"
    );
    assert_eq!(red.ok("exec secret-name cat /secret-file"), "secret-content");
    red.ok("volume inspect secret-volume");
    red.ok("network inspect secret-net");
    red.ok("rm -f secret-name secret-loner");
    red.ok("network rm secret-net");
    red.ok("volume rm secret-volume");
    red.ok("rmi secret-image");
    ground.engine.stop();
}

#[test]
fn what_the_default_tenant_shares_is_used_and_not_changed() {
    let Some(ground) = start("what_the_default_tenant_shares_is_used_and_not_changed", "") else {
        return;
    };
    let (root, red, blue) = (&ground.root, &ground.red, &ground.blue);
    let base = root.ok("images -q --no-trunc base");
    assert_eq!(red.ok("run --rm base echo works"), "works");
    for line in ["rmi base", "rmi -f base", &format!("rmi {base}")] {
        let said = red.fails(1, line);
        assert!(
            said.contains("is shared by the tenant default, which alone can remove it"),
            "{said}"
        );
    }
    // A name of one's own comes before a shared one, for oneself.
    red.ok("tag base mine");
    let dockerfile = b"FROM base\nENV COLOUR=red\n";
    let own = red
        .with_input("build -q -t base -", dockerfile)
        .out
        .trim()
        .to_owned();
    assert_eq!(red.ok("images -q --no-trunc base"), own);
    assert_eq!(red.ok("run --rm base sh -c 'echo $COLOUR'"), "red");
    for other in [root, blue] {
        assert_eq!(other.ok("images -q --no-trunc base"), base);
        assert_eq!(other.ok("images -q mine"), "");
    }
    red.ok("rmi base");
    assert_eq!(red.ok("images -q --no-trunc base"), base);
    // An image that another tenant gave a name of its own stays with it.
    root.ok("rmi base");
    assert_eq!(blue.ok("images -q"), "");
    assert_eq!(red.ok("run --rm mine echo still"), "still");
    red.ok("rmi mine");
    ground.engine.stop();
}

#[test]
fn what_each_tenant_has_is_there_after_the_daemon_died() {
    let Some(mut ground) = start("what_each_tenant_has_is_there_after_the_daemon_died", "") else {
        return;
    };
    ground.red.ok("tag base mine");
    ground.red.ok("volume create kept");
    ground.red.ok("volume create --opt clone=kept copied");
    let running =
        "run -d --restart always --name server -v kept:/v base sh -c 'echo x >> /v/starts; sleep 600'";
    ground.red.ok(running);
    ground.blue.ok("run -d --name server base sleep 600");
    let daemon = ground.engine.child("cellblockd");
    let pid = rustix::process::Pid::from_raw(daemon.pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    system_tests::docker::eventually("another daemon answers", || ground.red.run("version").code == 0);
    for docker in [&ground.red, &ground.blue] {
        assert_eq!(docker.ok("ps --format '{{.Names}}'"), "server");
        docker.ok("exec server true");
    }
    assert_eq!(ground.red.ok("exec server cat /v/starts"), "x");
    ground.red.ok("run --rm -v copied:/v base true");
    ground.engine = ground.engine.stop_and_start();
    let socket = ground.engine.socket();
    std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(
        ground.red.ok("ps --format '{{.Names}}'"),
        "server",
        "its policy starts it again"
    );
    system_tests::docker::eventually("it ran twice", || {
        ground.red.run("exec server cat /v/starts").out == "x\nx\n"
    });
    assert_eq!(
        ground.blue.ok("ps -a --format '{{.Names}} {{.State}}'"),
        "server exited"
    );
    assert_eq!(ground.red.ok("images -q mine"), ground.root.ok("images -q base"));
    ground.red.ok("rm -f server");
    ground.blue.ok("rm server");
    ground.engine.stop();
}
