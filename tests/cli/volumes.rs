//! `docker volume`, `-v NAME:`, `--mount`, `--tmpfs` and `--volumes-from`.

use crate::folder::Folder;
use std::fs;
use system_tests::docker;

#[test]
fn a_volume_is_made_seen_and_removed() {
    let docker = docker!();
    assert_eq!(docker.ok("volume create --label k=v vol-seen"), "vol-seen");
    let format = "'{{.Name}} {{.Driver}} {{.Scope}} {{.Labels.k}} {{.Options}}'";
    assert_eq!(
        docker.ok(&format!("volume inspect -f {format} vol-seen")),
        "vol-seen local local v map[]"
    );
    assert_eq!(docker.ok("volume ls -q --filter name=^vol-seen$"), "vol-seen");
    assert_eq!(docker.ok("volume ls -q --filter label=k=v"), "vol-seen");
    docker.ok("volume rm vol-seen");
    let error = docker.fails(1, "volume rm vol-seen");
    assert!(error.contains("get vol-seen: no such volume"), "{error}");
    docker.ok("volume rm -f vol-seen");
}

#[test]
fn content_stays_over_containers_and_is_copied_from_the_image_once() {
    let docker = docker!();
    docker
        .ok("run --rm -v vol-copy:/etc base sh -c 'test -s /etc/passwd && chmod 700 /etc && rm /etc/passwd'");
    assert_eq!(
        docker.ok("run --rm -v vol-copy:/etc base sh -c 'ls /etc/passwd 2>&1; stat -c %a /etc' || true"),
        "ls: /etc/passwd: No such file or directory\n700"
    );
    docker.ok("run --rm --mount type=volume,src=vol-nocopy,dst=/etc,volume-nocopy base sh -c '! test -e /etc/passwd'");
    docker.ok("volume rm vol-copy vol-nocopy");
}

#[test]
fn what_a_container_refers_to_is_not_removed() {
    let docker = docker!();
    let id = docker.ok("create --name vol-user -v vol-used:/x base true");
    let error = docker.fails(1, "volume rm vol-used");
    assert!(
        error.contains(&format!("remove vol-used: volume is in use - [{id}]")),
        "{error}"
    );
    assert_eq!(
        docker.ok("volume ls -q --filter name=vol-used --filter dangling=true"),
        ""
    );
    docker.ok("rm vol-user");
    assert_eq!(
        docker.ok("volume ls -q --filter name=vol-used --filter dangling=true"),
        "vol-used"
    );
    docker.ok("volume rm vol-used");
}

#[test]
fn anonymous_volumes_go_with_their_last_container() {
    let docker = docker!();
    let of = |container: &str| {
        docker.ok(&format!(
            "inspect -f '{{{{(index .Mounts 0).Name}}}}' {container}"
        ))
    };
    let exists = |volume: &str| docker.run(&format!("volume inspect {volume}")).code == 0;
    docker.ok("run --name vol-anon -v /x base true");
    docker.ok("create --name vol-heir --volumes-from vol-anon base true");
    let volume = of("vol-heir");
    assert_eq!(of("vol-anon"), volume);
    docker.ok("rm -v vol-anon");
    assert!(exists(&volume), "another container has it");
    docker.ok("rm -v vol-heir");
    assert!(!exists(&volume));
    docker.ok("run --name vol-kept -v /x base true");
    let volume = of("vol-kept");
    docker.ok("rm vol-kept");
    assert!(exists(&volume));
    docker.ok(&format!("volume rm {volume}"));
}

#[test]
fn volumes_from_takes_mounts_over_with_their_access() {
    let docker = docker!();
    docker.ok("create --name vol-from -v vol-from:/x base true");
    docker.ok("run --rm --volumes-from vol-from base sh -c 'echo seen > /x/f'");
    let ran = docker.run("run --rm --volumes-from vol-from:ro base sh -c 'cat /x/f; touch /x/g'");
    assert_eq!((ran.code, ran.out.as_str()), (1, "seen\n"));
    let error = docker.fails(125, "run --rm --volumes-from vol-nobody base true");
    assert!(error.contains("No such container: vol-nobody"), "{error}");
    docker.ok("rm vol-from");
    docker.ok("volume rm vol-from");
}

#[test]
fn a_path_in_a_volume_is_shown_alone_and_leads_nowhere_else() {
    let docker = docker!();
    docker.ok("run --rm -v vol-sub:/v base sh -c 'mkdir -p /v/a/b; echo in > /v/a/b/f; ln -s /etc /v/out; ln -s a /v/in'");
    let mount = |path: &str| format!("--mount type=volume,src=vol-sub,dst=/s,volume-subpath={path}");
    assert_eq!(
        docker.ok(&format!("run --rm {} base cat /s/f", mount("a/b"))),
        "in"
    );
    assert_eq!(
        docker.ok(&format!("run --rm {} base cat /s", mount("a/b/f"))),
        "in"
    );
    assert_eq!(docker.ok(&format!("run --rm {} base ls /s", mount("in"))), "b");
    // A link is followed inside the volume, where there is no /etc.
    let error = docker.fails(127, &format!("run --rm {} base ls /s", mount("out")));
    assert!(error.contains("no such file or directory"), "{error}");
    let error = docker.fails(125, &format!("run --rm {} base true", mount("../x")));
    assert!(
        error.contains("subpath must be a relative path within the volume"),
        "{error}"
    );
    docker.ok("volume rm vol-sub");
}

#[test]
fn memory_has_its_size_and_mode() {
    let docker = docker!();
    let show = "sh -c 'df -k /t | tail -n 1; stat -c %a /t'";
    for mount in [
        "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700",
        "--tmpfs /t:size=1m,mode=700",
    ] {
        let shown = docker.ok(&format!("run --rm {mount} base {show}"));
        assert!(shown.contains(" 1024 ") && shown.ends_with("\n700"), "{shown}");
    }
    docker.ok("volume create -o type=tmpfs -o device=tmpfs -o o=size=2m vol-memory");
    docker.ok("run -d --name vol-memory -v vol-memory:/t base sleep 60");
    docker.ok("exec vol-memory sh -c 'echo shared > /t/f'");
    assert_eq!(docker.ok("run --rm -v vol-memory:/t base cat /t/f"), "shared");
    docker.ok("rm -f vol-memory");
    assert_eq!(docker.ok("run --rm -v vol-memory:/t base ls /t"), "");
    docker.ok("volume rm vol-memory");
}

#[test]
fn a_volume_can_be_a_directory_of_the_host_or_begin_as_another() {
    let docker = docker!();
    let folder = Folder::new("volume-bind");
    folder.write("f", "host");
    docker.ok(&format!(
        "volume create -o type=none -o o=bind,ro -o device={folder} vol-host"
    ));
    let ran = docker.run("run --rm -v vol-host:/h base sh -c 'cat /h/f; touch /h/g'");
    assert_eq!((ran.code, ran.out.as_str()), (1, "host"));
    docker.ok("run --rm -v vol-one:/v base sh -c 'echo one > /v/f'");
    docker.ok("volume create -o clone=vol-one vol-two");
    docker.ok("volume create -o copy=vol-one vol-three");
    docker.ok("run --rm -v vol-one:/v base sh -c 'echo later > /v/f'");
    for name in ["vol-two", "vol-three"] {
        assert_eq!(docker.ok(&format!("run --rm -v {name}:/v base cat /v/f")), "one");
    }
    let error = docker.fails(1, "volume create -o copy=vol-none vol-four");
    assert!(error.contains("get vol-none: no such volume"), "{error}");
    let error = docker.fails(1, "volume create -o copy=vol-one -o clone=vol-one vol-four");
    assert!(error.contains("cannot be combined"), "{error}");
    let error = docker.fails(
        1,
        "volume create -o type=nfs -o device=:/x -o o=addr=1.2.3.4 vol-nfs",
    );
    assert!(error.contains("volumes of type nfs are not supported"), "{error}");
    docker.ok("volume rm vol-one vol-two vol-three vol-host");
    assert_eq!(folder.read("f"), "host");
}

#[test]
fn nothing_is_mounted_over_proc_or_dev() {
    let docker = docker!();
    let folder = Folder::new("volume-proc");
    // The docker command makes 127 of everything in which no file is found.
    for (place, code, words) in [
        ("/proc", 125, "cannot be mounted because it is inside /proc"),
        ("/proc/sys", 125, "cannot be mounted because it is inside /proc"),
        ("/dev", 127, "cannot be mounted over"),
    ] {
        let error = docker.fails(code, &format!("run --rm -v {folder}:{place} base true"));
        assert!(error.contains(words), "{place}: {error}");
    }
    let missing = folder.path("missing");
    let error = docker.fails(
        125,
        &format!(
            "run --rm --mount type=bind,src={},dst=/x base true",
            missing.display()
        ),
    );
    assert!(error.contains("bind source path does not exist"), "{error}");
    assert!(!missing.exists());
    fs::create_dir(&missing).unwrap();
    docker.ok(&format!(
        "run --rm --mount type=bind,src={},dst=/x,readonly base sh -c '! touch /x/y'",
        missing.display()
    ));
}

#[test]
fn a_path_that_leads_out_of_its_volume_is_told_as_dockerd_tells_it() {
    let docker = docker!();
    docker.ok("volume create vo-out");
    docker.ok("run --rm -v vo-out:/v base ln -s / /v/root");
    let refused = docker.fails(
        125,
        "run --rm --mount type=volume,src=vo-out,dst=/v,volume-subpath=root base true",
    );
    assert!(
        refused.contains("path concatenation escapes the base directory"),
        "{refused}"
    );
    docker.ok("volume rm vo-out");
}
