//! What the daemon and the helpers inherit, and what they are told.

use crate::instance::{Ground, can_run};
use cellblock_launcher::launch::instance_name;
use protocol::names::HostPath;
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn the_daemon_has_no_privilege_no_group_and_knows_only_where_authorities_are() {
    if !can_run("the_daemon_has_no_privilege_no_group_and_knows_only_where_authorities_are") {
        return;
    }
    let ground = Ground::new("daemon-bare");
    let instance = ground.start();
    let said = instance.order("inherited").unwrap();
    let (pid, rest) = said.split_once(' ').unwrap();
    assert_eq!(pid, format!("pid={}", instance.process("cellblockd")));
    // Where the host has a user `cellblock` the daemon runs as that.
    let account = cellblock_launcher::accounts::daemon(None).unwrap();
    let ids = |id: u32| [id; 4].map(|id| id.to_string()).join(",");
    let expected = format!(
        "uid={} gid={} groups=[] eff=0000000000000000 prm=0000000000000000 nnp=1 env=1 cwd=/ fds=[0, 1, 2]",
        ids(account.uid),
        ids(account.gid)
    );
    assert_eq!(rest, expected);
}

#[test]
fn a_helper_is_root_with_five_descriptors_and_no_environment() {
    if !can_run("a_helper_is_root_with_five_descriptors_and_no_environment") {
        return;
    }
    let ground = Ground::new("helper-bare");
    let _instance = ground.start();
    for helper in ["zfs", "jail", "net", "mount", "archive"] {
        let said = ground.audit(helper).remove(0);
        assert!(said.contains(" uid=0,0,0,0 gid=0,0,0,0 "), "{said}");
        assert!(said.contains(" env=0 cwd=/ fds=[0, 1, 2, 3, 4] "), "{said}");
    }
}

#[test]
fn each_helper_is_told_its_own_policy() {
    if !can_run("each_helper_is_told_its_own_policy") {
        return;
    }
    let ground = Ground::new("policy");
    let _instance = ground.start();
    let base = ground.base().canonicalize().unwrap();
    let base = base.to_str().unwrap();
    let name = instance_name(&HostPath::new(base).unwrap());
    for (helper, parts) in [
        (
            "zfs",
            vec![format!(
                "Zfs(ZfsPolicy {{ parent: Text(\"zroot/cellblock\"), pool_dir: HostPath(\"{base}/pool\")"
            )],
        ),
        (
            "jail",
            vec![
                format!("prefix: Label(\"{name}-\"), mount_root: HostPath(\"{base}/mnt\")"),
                format!("record_dir: HostPath(\"{base}/jails\"), allow_host_network: true"),
            ],
        ),
        (
            "net",
            vec![format!(
                "Net(NetPolicy {{ anchor: Label(\"{name}\"), enable_forwarding: true, tenants: Bounded([]) }}"
            )],
        ),
        (
            "mount",
            vec![
                "bind_roots: Bounded([HostPath(\"/\")])".to_owned(),
                format!("bind_refused: Bounded([HostPath(\"{base}\")])"),
                "devfs_ruleset: 4200".to_owned(),
            ],
        ),
        (
            "archive",
            vec![format!(
                "Archive(ArchivePolicy {{ mount_root: HostPath(\"{base}/mnt\") }})"
            )],
        ),
    ] {
        let said = ground.audit(helper).remove(0);
        for part in parts {
            assert!(said.contains(&part), "{part}\n{said}");
        }
    }
}

#[test]
fn the_daemon_is_told_its_settings() {
    if !can_run("the_daemon_is_told_its_settings") {
        return;
    }
    let ground = Ground::new("settings");
    let config =
        ground.config("bridge_subnet = \"10.9.0.0/16\"\nreport_os_type = \"linux\"\nlog = \"debug\"\n");
    let instance = ground.start_with(&["--config", &config]);
    instance.lines.recv_timeout(crate::instance::PATIENCE).unwrap();
    let base = ground.base().canonicalize().unwrap();
    let base = base.display();
    let memory = cellblock_launcher::host::memory_bytes();
    assert!(memory > 64 * 1024 * 1024, "{memory}");
    let expected = format!(
        "start --state-dir={base}/daemon --root-dir={base} --bridge-subnet=10.9.0.0/16 --memory-bytes={memory} \
         --log=debug --report-os-type=linux --experimental"
    );
    assert_eq!(ground.journal()[0], expected);
}

#[test]
fn directories_are_open_to_those_who_need_them_only() {
    if !can_run("directories_are_open_to_those_who_need_them_only") {
        return;
    }
    let ground = Ground::new("modes");
    let instance = ground.start();
    let daemon = cellblock_launcher::accounts::daemon(None).unwrap().uid;
    for (name, mode, uid) in [
        ("", 0o755, 0),
        ("daemon", 0o700, daemon),
        ("pool", 0o700, 0),
        ("mnt", 0o711, 0),
        ("jails", 0o700, 0),
        ("audit", 0o700, 0),
        ("audit/zfs.log", 0o600, 0),
        ("lock", 0o600, 0),
        ("docker.sock", 0o660, 0),
    ] {
        let status = fs::symlink_metadata(instance.socket().with_file_name(name)).unwrap();
        assert_eq!((status.mode() & 0o7777, status.uid()), (mode, uid), "{name}");
    }
}

#[test]
fn a_program_that_the_daemons_user_cannot_reach_is_copied_for_it() {
    if !can_run("a_program_that_the_daemons_user_cannot_reach_is_copied_for_it") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let ground = Ground::new("reach");
    fs::set_permissions(ground.path.join("libexec"), fs::Permissions::from_mode(0o700)).unwrap();
    let instance = ground.start();
    let program = fs::read_link(format!("/proc/{}/exe", instance.process("cellblockd"))).unwrap();
    assert_eq!(
        program,
        ground.base().canonicalize().unwrap().join("program/cellblockd")
    );
}
