//! Memory file systems, listing, unmounting, propagation.

use crate::ground::{code, mount_name};
use protocol::ErrorCode;
use protocol::mount::{Access, Flavour, Request, Response, TmpfsFlags};
use protocol::names::Bounded;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Rounds of the race between a container that swaps a directory with a link, and the hand: a hand that goes
/// by paths loses within the first few.
const SWAP_ROUNDS: usize = 200;

/// A thread that does what a container's program can do to its own tree.
struct Swapping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Swapping {
    fn start(a: PathBuf, b: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !stopped.load(Ordering::Relaxed) {
                swaps += usize::from(renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).is_ok());
            }
            swaps
        });
        Swapping { stop, thread }
    }

    /// Ends it and gives the number of swaps.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

alone! {
    fn a_tmpfs_has_the_size_and_the_mode_that_were_asked(ground) {
        ground.container("c-1");
        ground.tmpfs("run/small", Some(1 << 20), 0o1770).unwrap();
        let point = ground.path("mnt/c-1/run/small");
        let size = rustix::fs::statvfs(&point).unwrap();
        assert_eq!(size.f_blocks * size.f_frsize, 1 << 20);
        assert_eq!(fs::metadata(&point).unwrap().permissions().mode() & 0o7777, 0o1770);
        let line = &ground.mounted("mnt/c-1/run/small")[0];
        assert!(line.contains("nosuid,nodev") && !line.contains("noexec"), "{line}");
        assert!(fs::write(point.join("big"), vec![0u8; 2 << 20]).is_err());
    }

    fn flags_of_a_tmpfs_hold(ground) {
        ground.container("c-1");
        ground.tmpfs_with("a", None, 0o755, TmpfsFlags { noexec: true, read_only: true }).unwrap();
        let line = &ground.mounted("mnt/c-1/a")[0];
        assert!(line.contains("ro,nosuid,nodev,noexec"), "{line}");
        assert!(fs::write(ground.path("mnt/c-1/a/x"), "x").is_err());
    }

    fn a_tmpfs_is_judged_like_a_bind(ground) {
        ground.container("c-1");
        symlink("/proc", ground.path("mnt/c-1/pr")).unwrap();
        for target in ["", "proc/x", "pr/x"] {
            assert_eq!(code(ground.tmpfs(target, None, 0o755)), Some(ErrorCode::Refused), "/{target}");
        }
        assert_eq!(code(ground.tmpfs("run", None, 0o17_777)), Some(ErrorCode::BadContent));
        assert_eq!(code(ground.tmpfs("who", None, 0o755)), Some(ErrorCode::BadContent), "a file is no place for it");
    }

    fn unmounting_leaves_no_mount_and_no_directory(ground) {
        ground.container("c-1");
        fs::create_dir(ground.path("host/www")).unwrap();
        ground.tmpfs("run", None, 0o755).unwrap();
        ground.tmpfs("run/lock", None, 0o755).unwrap();
        ground.bind("host/www", "run/lock/www", Access::ReadOnly).unwrap();
        ground.tmpfs("run", None, 0o755).unwrap();
        assert_eq!(ground.mounted("mnt/c-1").len(), 5);
        assert_eq!(ground.unmount("c-1"), Ok(Response::Done));
        assert_eq!(ground.mounted("mnt"), [""; 0]);
        assert!(!ground.path("mnt/c-1").exists());
        assert_eq!(ground.unmount("c-1"), Ok(Response::Done), "a second time");
        assert_eq!(ground.unmount("c-never"), Ok(Response::Done));
        assert!(ground.path("host/www").exists());
    }

    fn unmounting_spares_names_that_only_begin_alike(ground) {
        ground.container("c-1");
        ground.container("c-11");
        ground.unmount("c-1").unwrap();
        assert_eq!(ground.mounted("mnt").len(), 1);
        assert_eq!(ground.read("mnt/c-11/who"), "containers/c-11");
    }

    fn a_mount_in_use_is_busy_until_it_is_not(ground) {
        ground.container("c-1");
        ground.tmpfs("run", None, 0o755).unwrap();
        let open = fs::File::create(ground.path("mnt/c-1/run/open")).unwrap();
        assert_eq!(code(ground.unmount("c-1")), Some(ErrorCode::Busy));
        drop(open);
        assert_eq!(ground.unmount("c-1"), Ok(Response::Done));
    }

    fn links_swapped_in_meanwhile_lead_nothing_astray(ground) {
        ground.container("c-1");
        fs::create_dir_all(ground.path("mnt/c-1/a")).unwrap();
        symlink(ground.path("host"), ground.path("mnt/c-1/b")).unwrap();
        let victim = ground.path("host/run");
        fs::create_dir(&victim).unwrap();
        rustix::mount::mount("test", &victim, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        let outside = ground.mounted("").len() - 1;

        let swapping = Swapping::start(ground.path("mnt/c-1/a"), ground.path("mnt/c-1/b"));
        for _ in 0..SWAP_ROUNDS {
            // Either may fail: the directory is a link every other moment.
            let _ = ground.tmpfs("a/run", None, 0o755);
            let _ = ground.unmount("c-1");
            if ground.mounted("mnt/c-1").is_empty() {
                ground.mount("containers/c-1", "c-1", Access::ReadWrite).unwrap();
            }
            assert_eq!(ground.mounted("host/run").len(), 1, "a mount of the host was unmounted or covered");
        }
        assert!(swapping.stop() > SWAP_ROUNDS, "there was no race");
        assert_eq!(ground.unmount("c-1"), Ok(Response::Done));
        assert_eq!(ground.mounted("").len(), outside);
    }

    fn the_list_shows_what_is_mounted(ground) {
        ground.dataset("images/a", None);
        ground.dataset("containers/2", Some("images/a"));
        ground.mount("containers/2", "c-2", Access::ReadWrite).unwrap();
        ground.container("c-1");
        ground.tmpfs("run", None, 0o755).unwrap();
        // Not ours, not listed.
        fs::create_dir(ground.path("mnt/Other")).unwrap();
        let other = ground.path("mnt/Other");
        rustix::mount::mount("test", other, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        let row = |at: &str, target: &str, kind: &str| (at.to_owned(), target.to_owned(), kind.to_owned());
        let all = [row("c-1", "", "tmpfs"), row("c-1", "run", "tmpfs"), row("c-2", "", "overlay")];
        assert_eq!(ground.list(None), all);
        assert_eq!(ground.list(Some("c-1")), all[2..]);
        assert_eq!(ground.list(Some("c-2")), []);
    }

    fn pseudo_file_systems_are_the_jail_helpers(ground) {
        ground.container("c-1");
        let answer = ground.ask(Request::PseudoFileSystems { at: mount_name("c-1"), flavour: Flavour::Native });
        assert_eq!(answer, Ok(Response::Mounts(Bounded::default())));
    }

    fn mounts_are_private_on_a_host_that_shares(ground) {
        mount_change(&ground.base, MountPropagationFlags::SHARED).unwrap();
        ground.container("c-1");
        fs::create_dir(ground.path("host/www")).unwrap();
        ground.bind("host/www", "www", Access::ReadWrite).unwrap();
        ground.tmpfs("run", None, 0o755).unwrap();
        for line in ground.mounted("mnt/c-1") {
            assert!(!line.contains("shared:"), "{line}");
        }
        assert_eq!(ground.unmount("c-1"), Ok(Response::Done));
    }
}
