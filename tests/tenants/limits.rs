//! Who is let in, and what a tenant may not exceed.

use crate::{BLUE, BLUE_GROUP, NOBODYS, RED, start};
use system_tests::http;
use system_tests::users::as_user;

#[test]
fn each_user_is_of_its_tenant_and_a_user_of_none_is_refused() {
    let Some(ground) = start("each_user_is_of_its_tenant_and_a_user_of_none_is_refused", "") else {
        return;
    };
    let socket = ground.engine.socket();
    let said = "permission denied: you are in no tenant of this host; its administrator names who is in cellblock.toml";
    for path in ["/_ping", "/version", "/containers/json", "/nothing"] {
        let answer = as_user(NOBODYS, || http::get(&socket, path));
        assert_eq!(
            (answer.status, answer.message()),
            (403, said.to_owned()),
            "{path}"
        );
    }
    let command = ground.root.run_by(NOBODYS).fails(1, "ps");
    assert!(command.contains(said), "{command}");
    ground.red.ok("volume create ours");
    ground.root.run_by(BLUE_GROUP).ok("volume create by-group");
    for (user, seen) in [
        (RED, "ours"),
        (BLUE, "by-group"),
        (BLUE_GROUP, "by-group"),
        (0, ""),
    ] {
        assert_eq!(ground.root.run_by(user).ok("volume ls -q"), seen, "{user}");
    }
    ground.engine.stop();
}

#[test]
fn a_tenants_limits_hold() {
    let limits = "containers_max = 2\nports = [31980, 31989]";
    let Some(ground) = start("a_tenants_limits_hold", limits) else {
        return;
    };
    let (red, blue) = (&ground.red, &ground.blue);
    red.ok("run -d --name first -p 7000 base sleep 600");
    let port = red.published("first", "7000/tcp");
    assert!((31980..=31989).contains(&port), "{port}");
    let said = red.fails(125, "run -d --name second -p 8080:7000 base sleep 600");
    let refusal = "the tenant red may publish the host's ports 31980 to 31989 only";
    assert!(said.contains(refusal), "{said}");
    let said = red.fails(1, "create --name third base sleep 600");
    assert!(
        said.contains("the tenant red has 2 containers, as many as it may have"),
        "{said}"
    );
    red.ok("rm second");
    red.ok("run -d --name third -p 31985:7000 base sleep 600");
    // Others have limits of their own, or none.
    for name in ["one", "two", "three"] {
        blue.ok(&format!("create --name {name} base"));
    }
    for (options, option) in [
        ("--network host", "--network host"),
        ("--pid host", "--pid host"),
        ("--uts host", "--uts host"),
        ("--device /dev/null", "--device"),
    ] {
        let said = blue.fails(1, &format!("create {options} base"));
        let refusal = format!("the tenant blue may not share what is the host's: {option}");
        assert!(said.contains(&refusal), "{options}: {said}");
        ground.root.ok(&format!("create --name hosts {options} base"));
        ground.root.ok("rm hosts");
    }
    red.ok("rm -f first third");
    blue.ok("rm one two three");
    ground.engine.stop();
}

#[test]
fn binds_come_from_the_tenants_own_roots_and_every_helper_writes_down_who_asked() {
    let test = "binds_come_from_the_tenants_own_roots_and_every_helper_writes_down_who_asked";
    let ours = std::env::temp_dir().join(format!("cb-red-{}", std::process::id()));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::write(ours.join("x"), "ours").unwrap();
    std::os::unix::fs::symlink("/etc", ours.join("link")).unwrap();
    let ours = ours.to_str().unwrap();
    if let Some(ground) = start(test, &format!("bind_roots = [\"{ours}\"]")) {
        let (red, blue) = (&ground.red, &ground.blue);
        assert_eq!(red.ok(&format!("run --rm -v {ours}:/x base cat /x/x")), "ours");
        for (docker, source, why) in [
            (red, "/etc".to_owned(), "is not below an allowed bind root"),
            (red, format!("{ours}/link"), "is not below an allowed bind root"),
            (blue, ours.to_owned(), "no host path may be bind-mounted"),
        ] {
            let said = docker.fails(125, &format!("run --rm -v {source}:/x base true"));
            assert!(said.contains(why), "{source}: {said}");
        }
        let option = format!("--opt type=none --opt o=bind --opt device={ours}");
        blue.ok(&format!("volume create {option} disguised"));
        let said = blue.fails(125, "run --rm -v disguised:/x base true");
        assert!(said.contains("no host path may be bind-mounted"), "{said}");
        blue.ok("volume rm disguised");
        red.ok("volume create kept");
        red.ok("run --rm -v kept:/v base true");
        red.ok("volume rm kept");
        for helper in ["zfs", "jail", "net", "mount", "archive"] {
            let path = ground.engine.dir().join("audit").join(format!("{helper}.log"));
            let log = std::fs::read_to_string(path).unwrap();
            let who = format!(" tenant=red subject=uid:{RED} ");
            assert!(log.contains(&who), "{helper}: {log}");
        }
        ground.engine.stop();
    }
    std::fs::remove_dir_all(ours).unwrap();
}
