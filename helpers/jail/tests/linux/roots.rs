//! What a container sees around it: root, pseudo file systems, host name, network.

use crate::ground::{Ground, first, further, jail, spec};
use protocol::ErrorCode;
use protocol::jail::{JailSpec, Network, Request, Response};
use protocol::mount::{Access, Flavour};
use protocol::names::MountName;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

#[test]
fn the_host_name_is_the_containers_own() {
    let Some(mut ground) = Ground::new("hostname") else {
        return;
    };
    ground.create("a");
    assert_eq!(
        ground.launch("a", first(&["hostname"])).unwrap().end().stdout,
        "webserver\n"
    );
    assert_ne!(rustix::system::uname().nodename(), c"webserver");
}

#[test]
fn its_own_network_holds_only_a_loopback_and_the_hosts_network_is_the_hosts() {
    let Some(mut ground) = Ground::new("networks") else {
        return;
    };
    ground.create("a");
    let seen = ground.launch(
        "a",
        first(&[
            "sh",
            "-c",
            "ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        ]),
    );
    assert_eq!(seen.unwrap().end().stdout, "lo\n0\n");
    ground.tree("b");
    ground
        .create_with(JailSpec {
            network: Network::Host,
            ..spec("b")
        })
        .unwrap();
    let seen = ground.launch("b", first(&["readlink", "/proc/self/ns/net"]));
    assert_eq!(
        seen.err().map(|e| e.code),
        Some(ErrorCode::CommandNotFound),
        "the tree has no readlink"
    );
    ground.remove("b").unwrap();
    ground
        .create_with(JailSpec {
            network: Network::Host,
            ..spec("b")
        })
        .unwrap();
    let seen = ground
        .launch("b", first(&["sh", "-c", "busybox readlink /proc/self/ns/net"]))
        .unwrap()
        .end();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(Some(seen.stdout.trim()), own.to_str());
}

#[test]
fn a_socket_of_the_containers_network_is_given_out_before_and_after_the_start() {
    let Some(mut ground) = Ground::new("sockets") else {
        return;
    };
    let pid = ground.create("a");
    let inside = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let socket_namespace = |ground: &mut Ground| {
        let request = Request::OpenNetwork { jail: jail("a") };
        let (response, fds) = ground.helper.ask::<_, Response>(request, &[]).unwrap();
        assert_eq!((response, fds.len()), (Response::Done, 1));
        // A container of the policy has no NET_ADMIN, but this test is root outside: the socket's own network answers.
        crate::ground::network_of(fds[0].as_fd())
    };
    assert_eq!(socket_namespace(&mut ground), inside);
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    assert_eq!(socket_namespace(&mut ground), inside);
    ground.tree("b");
    ground
        .create_with(JailSpec {
            network: Network::Host,
            ..spec("b")
        })
        .unwrap();
    let refused = ground.ask(Request::OpenNetwork { jail: jail("b") }).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Refused);
}

#[test]
fn a_read_only_root_is_read_only_and_its_memory_file_systems_are_not() {
    let Some(mut ground) = Ground::new("readonly") else {
        return;
    };
    ground.tree("a");
    ground
        .create_with(JailSpec {
            root_access: Access::ReadOnly,
            ..spec("a")
        })
        .unwrap();
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    let seen = ground.exec("a", "echo x > /tmp/x");
    assert!(seen.stderr.contains("Read-only file system"), "{seen:?}");
    assert_eq!(
        ground.exec("a", "echo x > /dev/shm/x && cat /dev/shm/x").stdout,
        "x\n"
    );
}

#[test]
fn devices_and_pseudo_file_systems_are_dockers() {
    let Some(mut ground) = Ground::new("pseudo") else {
        return;
    };
    ground.create("a");
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    let names = ground.exec("a", "ls /dev").stdout;
    let expected =
        "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert_eq!(names.replace("core\n", ""), expected.replace("core\n", ""));
    assert_eq!(
        ground
            .exec(
                "a",
                "echo x > /dev/null && busybox head -c 3 /dev/zero | busybox wc -c"
            )
            .stdout,
        "3\n"
    );
    let mounts = ground
        .exec("a", "busybox awk '{print $2, $3, $4}' /proc/mounts")
        .stdout;
    for line in [
        "/proc proc rw,nosuid,nodev,noexec,relatime",
        "/dev tmpfs rw,nosuid,size=65536k,mode=755",
        "/dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
        "/sys sysfs ro,nosuid,nodev,noexec,relatime",
        "/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k",
        "/proc/sys proc ro,nosuid,nodev,noexec,relatime",
    ] {
        assert!(
            mounts.lines().any(|mounted| mounted == line),
            "{line} is not in\n{mounts}"
        );
    }
    assert!(
        !mounts.contains("cb-jail-"),
        "no mount of the host is seen:\n{mounts}"
    );
    let masked = ground.exec(
        "a",
        "cat /proc/timer_list /proc/keys | busybox wc -c; ls /sys/firmware | busybox wc -l",
    );
    assert_eq!(masked.stdout, "0\n0\n");
    let written = ground.exec("a", "echo 1 > /proc/sys/kernel/core_pattern");
    assert!(written.stderr.contains("Read-only file system"), "{written:?}");
}

#[test]
fn what_the_mount_helper_mounted_below_dev_and_sys_stays_on_top() {
    let Some(mut ground) = Ground::new("outer") else {
        return;
    };
    let root = ground.tree("a");
    let places = [
        root.join("dev/shm"),
        root.join("dev/with blank"),
        root.join("sys/fs/cgroup"),
    ];
    for place in &places {
        std::fs::create_dir_all(place).unwrap();
        mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(c"size=8k")).unwrap();
        std::fs::write(place.join("mark"), "").unwrap();
    }
    let created = ground.create_with(spec("a"));
    let seen = ground.launch(
        "a",
        first(&[
            "sh",
            "-c",
            "ls '/dev/shm' '/dev/with blank' /sys/fs/cgroup; ls /dev/null",
        ]),
    );
    let seen = seen.unwrap().end();
    ground.remove("a").unwrap();
    for place in &places {
        unmount(place, UnmountFlags::empty()).expect("nothing of the jail keeps the mount busy");
    }
    created.unwrap();
    assert_eq!(seen.stdout.matches("mark").count(), 3, "{seen:?}");
    assert!(seen.stdout.ends_with("/dev/null\n"), "{seen:?}");
}

#[test]
fn a_mount_inside_proc_and_a_link_in_a_pseudo_file_systems_place_are_refused() {
    let Some(mut ground) = Ground::new("refused") else {
        return;
    };
    let place = ground.tree("a").join("proc/x");
    std::fs::create_dir_all(&place).unwrap();
    mount("tmpfs", &place, "tmpfs", MountFlags::empty(), None).unwrap();
    let refused = ground.create_with(spec("a"));
    unmount(&place, UnmountFlags::empty()).unwrap();
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadContent);
    assert_eq!(
        refused.detail.as_str(),
        "\"/proc/x\" cannot be mounted because it is inside /proc"
    );
    symlink("/tmp", ground.tree("b").join("sys")).unwrap();
    let refused = ground.create_with(spec("b")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadContent);
    assert_eq!(
        ground.records(),
        Vec::<String>::new(),
        "a jail that failed leaves nothing"
    );
}

#[test]
fn a_root_that_is_not_there_or_of_another_kind_is_refused() {
    let Some(mut ground) = Ground::new("no-root") else {
        return;
    };
    assert_eq!(
        ground.create_with(spec("a")).unwrap_err().code,
        ErrorCode::NotFound
    );
    symlink("/", ground.dir.join("mnt/c-b")).unwrap();
    let link = JailSpec {
        root: MountName::new("c-b").unwrap(),
        ..spec("a")
    };
    assert_eq!(ground.create_with(link).unwrap_err().code, ErrorCode::BadContent);
    ground.tree("a");
    let foreign = JailSpec {
        flavour: Flavour::Linux,
        ..spec("a")
    };
    assert_eq!(
        ground.create_with(foreign).unwrap_err().code,
        ErrorCode::Unsupported
    );
    assert_eq!(ground.records(), Vec::<String>::new());
}

#[test]
fn the_program_that_entered_is_no_file_that_a_container_can_write() {
    let Some(mut ground) = Ground::new("own-file") else {
        return;
    };
    let root = ground.tree("a");
    std::fs::write(root.join("bin/self"), "#!/proc/self/exe\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("bin/self"), mode).unwrap();
    ground.create_with(spec("a")).unwrap();
    let _running = ground.launch("a", first(&["cat"])).unwrap();
    let hand = std::fs::read_link(format!("/proc/{}/exe", ground.helper.pid())).unwrap();
    assert_eq!(hand.to_str(), Some("/memfd:cellblock-jail (deleted)"));
    let before = std::fs::read(env!("CARGO_BIN_EXE_cellblock-jail")).unwrap();
    // The script makes the helper's own program run in the container; whatever comes of it, the file stays as it is.
    let _ = ground
        .launch("a", further(&["self"]))
        .map(crate::ground::Running::end);
    assert_eq!(
        std::fs::read(env!("CARGO_BIN_EXE_cellblock-jail")).unwrap(),
        before
    );
}
