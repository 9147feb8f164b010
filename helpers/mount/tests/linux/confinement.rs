//! What is left to the two processes, read from the kernel and tried out.

use crate::ground::{code, mount_name};
use cellblock_mount::host;
use helper_runtime::sandbox::{Confinement, FRONT_UID, confine, syscall};
use helper_runtime::testing::{Job, Places, children, jobs, status_line};
use protocol::ErrorCode;
use protocol::handshake::HostOs;
use protocol::mount::{Access, Request};

/// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, SYS_ADMIN 21, MKNOD 27, SETFCAP 31 (linux/capability.h).
const HAND_CAPABILITIES: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 21 | 1 << 27 | 1 << 31;

/// Confines this process as one of the pair. The list of jobs asks getppid(2) for a process to signal, and
/// takes no refusal; that call is the only difference.
fn confine_as(side: &Confinement<'_>) {
    let mut calls = side.calls.unwrap().to_vec();
    calls.push(syscall::SYS_getppid);
    confine(&Confinement {
        capabilities: side.capabilities,
        user: side.user,
        calls: Some(&calls),
        paths: side.paths,
    })
    .unwrap();
}

alone! {
    fn the_hand_holds_what_mounting_needs_and_the_front_nothing(ground) {
        let hand = ground.helper.pid();
        let fronts = children(hand).unwrap();
        let [front] = fronts.as_slice() else { panic!("children of the hand: {fronts:?}") };
        for (pid, capabilities, uid) in [(hand, HAND_CAPABILITIES, 0), (*front, 0, FRONT_UID)] {
            let line = |name: &str| status_line(pid, name).unwrap();
            let mask = |name: &str| u64::from_str_radix(&line(name), 16).unwrap();
            for set in ["CapEff", "CapPrm", "CapBnd"] {
                assert_eq!(mask(set), capabilities, "{set} of {pid}");
            }
            assert_eq!((mask("CapInh"), mask("CapAmb")), (0, 0));
            assert_eq!(line("NoNewPrivs"), "1");
            assert_eq!(line("Seccomp"), "2", "no filter");
            let uids: Vec<u32> = line("Uid").split_whitespace().map(|uid| uid.parse().unwrap()).collect();
            assert_eq!(uids, [uid; 4]);
        }
        assert_eq!(status_line(*front, "Groups").unwrap(), "");
    }

    fn a_confined_front_can_do_no_helpers_job(ground) {
        let (pool, mounts) = (ground.path("pool"), ground.path("mnt"));
        confine_as(&host::FRONT);
        for (job, result) in jobs(&Places { pool: &pool, mounts: &mounts }) {
            assert!(result.is_err(), "the front can do {job:?}");
        }
    }

    fn a_confined_hand_can_do_no_other_helpers_job(ground) {
        let (pool, mounts) = (ground.path("pool"), ground.path("mnt"));
        confine_as(&host::HAND);
        // Root opens whatever it likes and, since it makes mount points, makes directories wherever it likes: landlock(7),
        // which could forbid that, forbids mounting too. That is why the hand reads nothing but orders.
        let possible = [Job::Dataset, Job::Tree, Job::Shadow];
        for (job, result) in jobs(&Places { pool: &pool, mounts: &mounts }) {
            assert_eq!(result.is_ok(), possible.contains(&job), "{job:?}: {result:?}");
        }
    }

    fn the_end_of_the_connection_ends_both(ground) {
        let hand = ground.helper.pid();
        let front = children(hand).unwrap()[0];
        rustix::net::shutdown(ground.helper.socket(), rustix::net::Shutdown::Both).unwrap();
        let gone = |pid: u32| status_line(pid, "State").map_or(true, |state| state.starts_with('Z'));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !(gone(front) && gone(hand)) {
            assert!(std::time::Instant::now() < deadline, "a process stayed");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn mounts_outlive_the_helper(ground) {
        ground.container("c-1");
        ground.helper.crash().unwrap();
        assert_eq!(ground.read("mnt/c-1/who"), "containers/c-1");
        ground.restart();
        assert_eq!(ground.list(None).len(), 1);
        ground.unmount("c-1").unwrap();
        assert_eq!(ground.mounted("mnt"), [""; 0]);
    }

    fn a_request_with_a_descriptor_is_refused(ground) {
        let file = std::fs::File::open("/dev/null").unwrap();
        let request = Request::Unmount { at: mount_name("c-1") };
        let fds = [std::os::fd::AsFd::as_fd(&file)];
        let answer = ground.helper.ask::<_, protocol::mount::Response>(request, &fds);
        assert_eq!(answer.map(|_| ()).unwrap_err().code, ErrorCode::BadDescriptors);
    }

    fn each_request_has_its_audit_line(ground) {
        ground.container("c-1");
        assert_eq!(code(ground.bind("host", "proc", Access::ReadOnly)), Some(ErrorCode::Refused));
        let log = ground.helper.audit().unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("dataset") && lines[0].contains("containers/c-1") && lines[0].contains("ok"), "{log}");
        assert!(lines[1].contains("bind") && lines[1].contains("refused"), "{log}");
    }

    fn the_daemon_is_told_the_host(ground) {
        let facts = ground.helper.facts();
        assert_eq!((facts.os, facts.backend.as_str()), (HostOs::Linux, "overlayfs"));
        assert_eq!(facts.release.as_str(), rustix::system::uname().release().to_str().unwrap());
    }
}
