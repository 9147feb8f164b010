//! What a container shares with the host or with another one, and the devices that it may use.

use system_tests::docker;
use system_tests::docker::eventually;

#[test]
fn the_hosts_processes_are_seen_and_only_the_containers_end_with_it() {
    let docker = docker!();
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own = own.split(' ').next().unwrap();
    docker.ok("run -d --pid host --name sh-1 base sh -c 'sleep 4321 & sleep 600'");
    assert_eq!(
        docker.ok(&format!("exec sh-1 sh -c 'test -d /proc/{own} && echo seen'")),
        "seen"
    );
    assert_eq!(docker.ok("inspect --format {{.HostConfig.PidMode}} sh-1"), "host");
    // Its own two, and not every process of the host.
    eventually("it runs", || {
        (3..=4).contains(&docker.ok("top sh-1").lines().count())
    });
    docker.ok("rm -f sh-1");
    let is_left = |pid: &std::path::Path| {
        std::fs::read(pid.join("cmdline")).is_ok_and(|line| line == b"sleep\x004321\0")
    };
    let left = std::fs::read_dir("/proc")
        .unwrap()
        .filter(|entry| is_left(&entry.as_ref().unwrap().path()));
    assert_eq!(left.count(), 0);
}

#[test]
fn processes_and_network_of_another_container_are_shared() {
    let docker = docker!();
    docker.ok("run -d --name sh-2 -h first base sleep 600");
    let address = docker.ok("exec sh-2 ip -o addr show eth0");
    let with = "run --rm --network container:sh-2 --pid container:sh-2 base";
    assert_eq!(docker.ok(&format!("{with} ip -o addr show eth0")), address);
    assert_eq!(
        docker.ok(&format!("{with} cat /proc/1/cmdline")),
        "sleep\x00600\0"
    );
    assert_eq!(docker.ok(&format!("{with} hostname")), "first");
    let hosts = docker.ok("exec sh-2 cat /etc/hosts");
    assert_eq!(docker.ok(&format!("{with} cat /etc/hosts")), hosts);
    docker.ok("stop -t 0 sh-2");
    let error = docker.fails(125, &format!("{with} true"));
    let words = "cannot join network namespace of a non running container: container sh-2 is exited";
    assert!(error.contains(words), "{error}");
    docker.ok("rm sh-2");
    let error = docker.fails(125, "run --rm --network container:sh-2 base true");
    let words = "joining network namespace of container: No such container: sh-2";
    assert!(error.contains(words), "{error}");
    let error = docker.fails(125, "run --rm --pid container:sh-2 base true");
    assert!(error.contains("No such container: sh-2"), "{error}");
}

#[test]
fn the_hosts_name_can_be_shared() {
    let docker = docker!();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(docker.ok("run --rm --uts host base hostname"), name.trim());
    assert_ne!(docker.ok("run --rm base hostname"), name.trim());
    let error = docker.fails(125, "run --rm --uts host -h other base true");
    assert!(error.contains("conflicting options"), "{error}");
}

#[test]
fn devices_are_those_of_docker_and_those_that_were_asked_for() {
    let docker = docker!();
    // A node of the host's first disk or loop device can be made, and leads nowhere.
    let reach = "sh -c 'mknod /dev/reach b 7 0 && cat /dev/reach'";
    let ran = docker.run(&format!("run --rm base {reach}"));
    assert!(ran.code != 0 && ran.err.contains("not permitted"), "{ran:?}");
    let seen = docker
        .ok("run --rm --device /dev/zero:/dev/other/zero:r base sh -c 'head -c 3 /dev/other/zero | wc -c'");
    assert_eq!(seen, "3");
    docker.ok("run --rm --device-cgroup-rule 'c 10:200 rwm' base true");
    let ran = docker.run("run --rm --device /dev/nosuch base true");
    assert!(
        ran.code != 0 && ran.err.contains("error gathering device information"),
        "{ran:?}"
    );
}

#[test]
fn memory_is_swapped_as_gladly_as_asked_for() {
    let docker = docker!();
    docker.ok("run -d --name sh-5 --memory-swappiness 40 base sleep 600");
    assert_eq!(
        docker.ok("inspect --format {{.HostConfig.MemorySwappiness}} sh-5"),
        "40"
    );
    docker.ok("rm -f sh-5");
    let error = docker.fails(125, "run --rm --memory-swappiness 101 base true");
    assert!(error.contains("memory swappiness range is 0-100"), "{error}");
}

#[test]
fn objects_in_memory_are_shared_with_whom_they_are_offered_to() {
    let docker = docker!();
    docker.ok("run -d --ipc shareable --name sh-ipc base sh -c 'echo seen > /dev/shm/file; sleep 600'");
    docker.ok("run -d --name sh-own base sleep 600");
    let with = "run --rm --ipc container:sh-ipc base";
    eventually("the file is there", || {
        docker.run(&format!("{with} cat /dev/shm/file")).out == "seen\n"
    });
    let space = docker.ok("exec sh-ipc readlink /proc/self/ns/ipc");
    assert_eq!(docker.ok(&format!("{with} readlink /proc/self/ns/ipc")), space);
    assert_ne!(docker.ok("run --rm base readlink /proc/self/ns/ipc"), space);
    let refused = docker.fails(125, "run --rm --ipc container:sh-own base true");
    assert!(
        refused.contains("non-shareable IPC (hint: use IpcMode:shareable"),
        "{refused}"
    );
    docker.ok("stop -t 0 sh-ipc");
    let refused = docker.fails(125, &format!("{with} true"));
    assert!(
        refused.contains("failed to join IPC namespace: container "),
        "{refused}"
    );
    assert!(refused.contains(" is not running"), "{refused}");
    docker.ok("rm -f sh-ipc sh-own");
}

#[test]
fn the_hosts_objects_in_memory_are_shared_or_there_are_none() {
    let docker = docker!();
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    let told = docker.ok("run --rm --ipc host base readlink /proc/self/ns/ipc");
    assert_eq!(told, own.to_str().unwrap());
    let name = format!("cb-ipc-{}", std::process::id());
    docker.ok(&format!("run --rm --ipc host base touch /dev/shm/{name}"));
    std::fs::remove_file(format!("/dev/shm/{name}")).unwrap();
    let refused = docker.fails(125, "run --rm --ipc host --sysctl kernel.msgmax=1 base true");
    assert!(refused.contains("kernel.msgmax"), "{refused}");
    assert_eq!(
        docker.ok("run --rm --ipc none base sh -c 'ls -d /dev/shm || ls -d /dev/mqueue'"),
        "/dev/mqueue"
    );
    let refused = docker.fails(125, "run --rm --ipc zz base true");
    assert!(refused.contains("invalid IPC mode: zz"), "{refused}");
}
