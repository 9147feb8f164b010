//! `docker run` and its options.

use crate::folder::Folder;
use std::fs;
use system_tests::docker;
use system_tests::terminal::Terminal;

#[test]
fn output_errors_and_exit_code_come_back_apart() {
    let docker = docker!();
    let ran = docker.run("run --rm base sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (7, "out\n", "err\n")
    );
    assert_eq!(docker.run("run --rm base true").code, 0);
    assert_eq!(
        docker.run("run --rm base sh -c 'kill -9 $$'").code,
        0,
        "the first process is not killed by its own"
    );
}

#[test]
fn the_codes_125_126_and_127_say_who_failed() {
    let docker = docker!();
    let error = docker.fails(127, "run --rm base /no/such");
    assert!(
        error.contains("exec: \"/no/such\": stat /no/such: no such file or directory"),
        "{error}"
    );
    let error = docker.fails(127, "run --rm base nosuch");
    assert!(
        error.contains("exec: \"nosuch\": executable file not found in $PATH"),
        "{error}"
    );
    let error = docker.fails(126, "run --rm base /etc/passwd");
    assert!(
        error.contains("exec: \"/etc/passwd\": permission denied"),
        "{error}"
    );
    let error = docker.fails(126, "run --rm base /bin");
    assert!(error.contains("exec: \"/bin\": is a directory"), "{error}");
    let error = docker.fails(125, "run --rm -u nosuchuser base true");
    assert!(
        error.contains("unable to find user nosuchuser: no matching entries in passwd file"),
        "{error}"
    );
    let error = docker.fails(125, "run --pull never --rm nosuchimage true");
    assert!(error.contains("No such image: nosuchimage:latest"), "{error}");
}

#[test]
fn a_container_that_could_not_start_can_be_looked_at_and_removed() {
    let docker = docker!();
    docker.fails(127, "run --name run-bad base /no/such");
    let state =
        docker.ok("inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' run-bad");
    assert!(
        state.starts_with("created 127 ") && state.contains("/no/such"),
        "{state}"
    );
    docker.ok("rm run-bad");
}

#[test]
fn a_name_in_use_is_refused() {
    let docker = docker!();
    let id = docker.ok("create --name run-name base true");
    let error = docker.fails(125, "run --name run-name base true");
    let conflict = format!(
        "Conflict. The container name \"/run-name\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    );
    assert!(error.contains(&conflict), "{error}");
    docker.ok("rm run-name");
}

#[test]
fn detached_prints_the_id_and_rm_removes_it_at_its_end() {
    let docker = docker!();
    let id = docker.ok("run -d --rm --name run-detached base sleep 600");
    assert!(
        id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(
        docker.ok("inspect --format {{.State.Running}} run-detached"),
        "true"
    );
    docker.ok("kill run-detached");
    system_tests::docker::eventually("it is removed", || docker.run(&format!("inspect {id}")).code == 1);
}

#[test]
fn standard_input_reaches_the_container_to_its_end() {
    let docker = docker!();
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (code, out, _) = docker.bytes("run --rm -i base cat", &big);
    assert_eq!(code, 0);
    assert!(out == big, "{} bytes of {}", out.len(), big.len());
    // Without -i there is nothing to read.
    assert_eq!(docker.with_input("run --rm base cat", b"unseen").out, "");
}

#[test]
fn a_terminal_is_one_inside() {
    let docker = docker!();
    let mut terminal = Terminal::start(&docker.command("run --rm -it base sh"), 33, 77);
    terminal.expect("# ");
    terminal.write("tty; stty size; echo $((40+2))\n");
    let shown = terminal.expect("42\r\n");
    assert!(
        shown.contains("/dev/pts/0") || shown.contains("/dev/console"),
        "{shown}"
    );
    assert!(shown.contains("33 77"), "{shown}");
    terminal.resize(44, 88);
    terminal.write("sleep 1; stty size\n");
    terminal.expect("44 88");
    // Interrupts what runs in the shell, and the shell stays.
    terminal.write("sleep 600\n");
    terminal.expect("sleep 600");
    std::thread::sleep(std::time::Duration::from_millis(500));
    terminal.write("\x03");
    terminal.write("echo still $((1+1))\n");
    terminal.expect("still 2");
    terminal.write("exit 5\n");
    assert_eq!(terminal.end().0, 5);
}

#[test]
fn a_terminal_without_input_turns_line_ends() {
    let docker = docker!();
    let ran = docker.run("run --rm -t base sh -c 'echo one; echo two >&2; test -t 1 && exit 3'");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (3, "one\r\ntwo\r\n", "")
    );
}

#[test]
fn the_environment_is_dockers() {
    let docker = docker!();
    let folder = Folder::new("env");
    folder.write("env", "FROM_FILE=3\n# comment\nFROM_HOST\n");
    let line =
        format!("run --rm -h box -e A=1 -e 'B=two words' -e FROM_HOST --env-file {folder}/env base env");
    let output = docker.command(&line).env("FROM_HOST", "yes").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "A=1",
            "B=two words",
            "FROM_FILE=3",
            "FROM_HOST=yes",
            "HOME=/root",
            "HOSTNAME=box",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    );
    assert!(docker.ok("run --rm -t base env").contains("TERM=xterm"));
    assert_eq!(docker.ok("run --rm -u app base sh -c 'echo $HOME'"), "/home/app");
}

#[test]
fn the_working_directory_is_made_where_it_is_missing() {
    let docker = docker!();
    assert_eq!(docker.ok("run --rm base pwd"), "/");
    assert_eq!(docker.ok("run --rm -w /tmp base pwd"), "/tmp");
    assert_eq!(
        docker.ok("run --rm -w /new/dir base sh -c 'pwd; stat -c %u:%a .'"),
        "/new/dir\n0:755"
    );
    assert!(
        docker
            .fails(125, "run --rm -w relative base pwd")
            .contains("it needs to be an absolute path")
    );
}

#[test]
fn the_user_is_a_name_or_a_number_with_its_groups() {
    let docker = docker!();
    let id = |user: &str| {
        docker
            .ok(&format!("run --rm -u {user} base sh -c 'id -u; id -g; id -G'"))
            .replace('\n', " ")
    };
    assert_eq!(id("app"), "1000 1000 1000 10");
    assert_eq!(id("1000"), "1000 1000 1000 10");
    assert_eq!(id("app:wheel"), "1000 10 10");
    assert_eq!(id("4242:4343"), "4242 4343 4343");
    assert_eq!(docker.ok("run --rm base id -u"), "0");
    assert!(
        docker
            .fails(125, "run --rm -u app:nosuch base true")
            .contains("unable to find group nosuch")
    );
    docker.fails(1, "run --rm -u app base sh -c 'echo x > /etc/passwd'");
}

#[test]
fn the_entrypoint_can_be_replaced() {
    let docker = docker!();
    assert_eq!(docker.ok("run --rm --entrypoint /bin/echo base a b"), "a b");
    assert_eq!(docker.ok("run --rm --entrypoint '' base echo c"), "c");
    // With an entrypoint of one's own, the image's command does not count.
    assert_eq!(docker.ok("run --rm --entrypoint /bin/echo base"), "");
}

#[test]
fn the_host_name_is_set_inside_alone() {
    let docker = docker!();
    let before = rustix::system::uname().nodename().to_owned();
    let script = "sh -c 'hostname; cat /etc/hostname; grep -c box.example /etc/hosts'";
    assert_eq!(
        docker.ok(&format!("run --rm -h box.example base {script}")),
        "box.example\nbox.example\n1"
    );
    let id = docker.ok("create --name run-host base hostname");
    assert_eq!(docker.ok("start -a run-host"), id[..12]);
    docker.ok("rm run-host");
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

#[test]
fn folders_and_files_of_the_host_are_mounted() {
    let docker = docker!();
    let folder = Folder::new("bind");
    folder.write("dir/from-host", "h");
    folder.write("file", "before");
    let binds = format!("-v {folder}/dir:/in/dir -v {folder}/file:/in/file");
    let script = "cat /in/dir/from-host /in/file; echo c > /in/dir/from-inside; echo after > /in/file";
    assert_eq!(
        docker.ok(&format!("run --rm {binds} base sh -c '{script}'")),
        "hbefore"
    );
    assert_eq!(
        (
            folder.read("dir/from-inside").as_str(),
            folder.read("file").as_str()
        ),
        ("c\n", "after\n")
    );
}

#[test]
fn a_read_only_mount_cannot_be_written() {
    let docker = docker!();
    let folder = Folder::new("bindro");
    folder.write("f", "kept");
    for option in [
        format!("-v {folder}:/in:ro"),
        format!("--mount type=bind,src={folder},dst=/in,readonly"),
    ] {
        let ran = docker.run(&format!(
            "run --rm {option} base sh -c 'cat /in/f; echo x > /in/f'"
        ));
        assert_eq!((ran.code, ran.out.as_str()), (1, "kept"), "{ran:?}");
        assert!(ran.err.contains("Read-only file system"), "{ran:?}");
    }
    assert_eq!(folder.read("f"), "kept");
}

#[test]
fn a_missing_folder_is_made_for_v_and_refused_for_mount() {
    let docker = docker!();
    let folder = Folder::new("bindmiss");
    docker.ok(&format!("run --rm -v {folder}/new:/in base touch /in/x"));
    assert!(folder.path("new/x").exists());
    let error = docker.fails(
        125,
        &format!("run --rm --mount type=bind,src={folder}/none,dst=/in base true"),
    );
    assert!(
        error.contains(&format!("bind source path does not exist: {folder}/none")),
        "{error}"
    );
}

#[test]
fn mounts_vanish_with_their_container() {
    let docker = docker!();
    let folder = Folder::new("bindgone");
    folder.write("f", "kept");
    docker.ok(&format!("run --name run-bind -v {folder}:/in base true"));
    let mounts = docker.ok("inspect --format '{{json .Mounts}}' run-bind");
    assert!(
        mounts.contains(&format!("\"Source\":\"{folder}\"")) && mounts.contains("\"Type\":\"bind\""),
        "{mounts}"
    );
    docker.ok("rm run-bind");
    assert_eq!(folder.read("f"), "kept");
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(&folder.to_string()), "{table}");
}

#[test]
fn a_memory_file_system_is_empty_limited_and_forgotten() {
    let docker = docker!();
    let ran = docker.run("run --rm --tmpfs /t:size=1m,mode=1770 base sh -c 'stat -c %a /t; grep \" /t \" /proc/mounts; dd if=/dev/zero of=/t/f bs=64k count=32'");
    assert!(
        ran.code != 0 && ran.err.contains("No space left on device"),
        "{ran:?}"
    );
    assert!(
        ran.out.starts_with("1770\ntmpfs /t tmpfs rw,nosuid,nodev,noexec"),
        "{ran:?}"
    );
    docker.ok("create --name run-tmpfs --tmpfs /t base sh -c 'ls /t; touch /t/f'");
    assert_eq!(
        docker.ok("start -a run-tmpfs") + &docker.ok("start -a run-tmpfs"),
        ""
    );
    docker.ok("rm run-tmpfs");
}

#[test]
fn a_read_only_root_takes_no_writes_but_its_mounts_do() {
    let docker = docker!();
    let ran = docker.run("run --rm --read-only --tmpfs /t base sh -c 'touch /t/x && touch /x'");
    assert!(
        ran.code == 1 && ran.err.contains("Read-only file system"),
        "{ran:?}"
    );
}

#[test]
fn the_first_process_sees_only_its_own_kind() {
    let docker = docker!();
    let script = "echo $$; ls -d /proc/[0-9]* | wc -l; ls -d /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx /dev/pts /dev/shm | wc -l";
    // Itself, ls and wc at most.
    let out = docker.ok(&format!("run --rm base sh -c '{script}'"));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1", "9"), "{out}");
    assert!(lines[1].parse::<u32>().unwrap() <= 3, "{out}");
}

#[test]
fn root_inside_has_dockers_capabilities_and_not_the_hosts() {
    let docker = docker!();
    let status = docker.ok("run --rm base grep -E '^Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status");
    let sets: Vec<&str> = status.split_whitespace().collect();
    let (dockers, none) = ("00000000a80425fb", "0000000000000000");
    assert_eq!(
        sets,
        [
            "CapInh:", none, "CapPrm:", dockers, "CapEff:", dockers, "CapBnd:", dockers, "CapAmb:", none
        ]
    );
    let status = docker.ok("run --rm -u app base grep -E '^Cap(Eff|Prm)' /proc/self/status");
    assert_eq!(
        status.split_whitespace().collect::<Vec<_>>(),
        ["CapPrm:", none, "CapEff:", none]
    );
    for forbidden in [
        "mount -t tmpfs t /tmp",
        "mknod /tmp/d b 8 0 && dd if=/tmp/d of=/dev/null count=1",
        ": >> /proc/sys/kernel/panic",
        "mkdir /sys/kernel/x",
    ] {
        assert_ne!(
            docker.run(&format!("run --rm base sh -c '{forbidden}'")).code,
            0,
            "{forbidden}"
        );
    }
}

#[test]
fn the_network_none_has_only_the_loopback() {
    let docker = docker!();
    assert_eq!(docker.ok("run --rm --network none base sh -c 'ls /sys/class/net; ip -4 addr show dev lo | grep -c 127.0.0.1'"), "lo\n1");
}

#[test]
fn the_network_host_is_the_hosts_own() {
    let docker = docker!();
    let inside = docker.ok("run --rm --network host base readlink /proc/self/ns/net");
    let pid = docker.ok("run -d --name run-nethost --network host base sleep 600");
    let process = docker.ok(&format!("inspect --format {{{{.State.Pid}}}} {pid}"));
    let seen = fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    docker.ok("rm -f run-nethost");
    assert_eq!(inside, seen.to_string_lossy());
    let other = docker.ok("run --rm --network none base readlink /proc/self/ns/net");
    assert_ne!(inside, other);
}

#[test]
fn labels_and_id_files_work() {
    let docker = docker!();
    let folder = Folder::new("cid");
    docker.ok(&format!(
        "run --name run-cid -l a=b -l c --cidfile {folder}/id base true"
    ));
    assert_eq!(docker.ok("inspect --format {{.Id}} run-cid"), folder.read("id"));
    assert_eq!(
        docker.ok("inspect --format '{{json .Config.Labels}}' run-cid"),
        r#"{"a":"b","c":""}"#
    );
    docker.ok("rm run-cid");
}

#[test]
fn an_option_that_is_not_done_is_refused_and_not_ignored() {
    let docker = docker!();
    let probe = "run --rm --device /dev/fuse base ls /dev/fuse";
    let ran = docker.run(probe);
    assert!(
        ran.code == 125 && !ran.err.is_empty() || ran.out == "/dev/fuse\n",
        "{ran:?}"
    );
    let ran =
        docker.run("run --rm --sysctl net.ipv4.ip_default_ttl=33 base cat /proc/sys/net/ipv4/ip_default_ttl");
    assert!(
        ran.code == 125 && !ran.err.is_empty() || ran.out == "33\n",
        "{ran:?}"
    );
    let ran = docker.run("run --rm --ulimit nofile=77 base sh -c 'ulimit -n'");
    assert!(
        ran.code == 125 && !ran.err.is_empty() || ran.out == "77\n",
        "{ran:?}"
    );
    let ran = docker.run("run --rm --cap-drop ALL base grep CapEff /proc/self/status");
    assert!(
        ran.code == 125 && !ran.err.is_empty() || ran.out.ends_with("0000000000000000\n"),
        "{ran:?}"
    );
    let ran = docker.run("run --rm --init base sh -c 'cat /proc/1/comm'");
    assert!(
        ran.code == 125 && !ran.err.is_empty() || ran.out != "sh\n",
        "{ran:?}"
    );
}
