//! Bind mounts: what may be shown, and where it may be put.

use crate::ground::{code, mount_name};
use protocol::ErrorCode;
use protocol::mount::{Access, BindSource, MissingSource};
use protocol::names::{HostPath, Label, RelPath};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

alone! {
    fn a_directory_is_shown_and_written_through(ground) {
        ground.container("c-1");
        ground.write("host/www/index", "hello");
        ground.bind("host/www", "srv/www", Access::ReadWrite).unwrap();
        assert_eq!(ground.read("mnt/c-1/srv/www/index"), "hello");
        ground.write("mnt/c-1/srv/www/new", "made");
        assert_eq!(ground.read("host/www/new"), "made");
    }

    fn a_file_is_shown_on_an_existing_and_on_a_made_file(ground) {
        ground.container("c-1");
        ground.write("host/conf", "theirs");
        ground.bind("host/conf", "who", Access::ReadOnly).unwrap();
        ground.bind("host/conf", "etc/app/conf", Access::ReadOnly).unwrap();
        assert_eq!(ground.read("mnt/c-1/who"), "theirs");
        assert_eq!(ground.read("mnt/c-1/etc/app/conf"), "theirs");
        assert!(fs::write(ground.path("mnt/c-1/etc/app/conf"), "x").is_err());
        assert_eq!(ground.read("pool/containers/c-1/data/etc/app/conf"), "", "the made file is empty");
    }

    fn read_only_holds_for_what_is_mounted_below_too(ground) {
        ground.container("c-1");
        fs::create_dir_all(ground.path("host/www/below")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("test", ground.path("host/www/below"), "tmpfs", flags, None).unwrap();
        ground.bind("host/www", "ro", Access::ReadOnly).unwrap();
        ground.bind("host/www", "rw", Access::ReadWrite).unwrap();
        assert!(fs::write(ground.path("mnt/c-1/ro/x"), "x").is_err());
        assert!(fs::write(ground.path("mnt/c-1/ro/below/x"), "x").is_err());
        ground.write("mnt/c-1/rw/below/x", "seen");
        assert_eq!(ground.read("mnt/c-1/ro/below/x"), "seen");
    }

    fn alone_means_without_what_is_mounted_below(ground) {
        ground.container("c-1");
        fs::create_dir_all(ground.path("host/www/below")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("test", ground.path("host/www/below"), "tmpfs", flags, None).unwrap();
        ground.write("host/www/below/x", "hidden");
        let path = HostPath::new(ground.path("host/www").to_str().unwrap()).unwrap();
        let alone = BindSource::HostAlone { path, missing: MissingSource::Refuse };
        ground.bind_source(alone, "data", Access::ReadWrite).unwrap();
        assert!(ground.path("mnt/c-1/data/below").exists());
        assert!(!ground.path("mnt/c-1/data/below/x").exists());
    }

    fn a_path_in_a_volume_is_found_inside_the_volume_only(ground) {
        ground.container("c-1");
        ground.dataset("volumes/default/v", None);
        ground.mount("volumes/default/v", "v-1", Access::ReadWrite).unwrap();
        ground.write("mnt/v-1/a/f", "in the volume");
        ground.write("outside/secret", "secret");
        symlink(ground.path("outside"), ground.path("mnt/v-1/absolute")).unwrap();
        symlink("../../outside", ground.path("mnt/v-1/relative")).unwrap();
        symlink("a", ground.path("mnt/v-1/link")).unwrap();
        let inside = |path: &str| BindSource::MountedPath {
            at: mount_name("v-1"),
            path: RelPath::new(path).unwrap(),
        };
        ground.bind_source(inside("link"), "data", Access::ReadOnly).unwrap();
        ground.bind_source(inside("a/f"), "file", Access::ReadOnly).unwrap();
        assert_eq!(ground.read("mnt/c-1/data/f"), "in the volume");
        assert_eq!(ground.read("mnt/c-1/file"), "in the volume");
        for path in ["absolute", "relative", "absolute/secret", "missing"] {
            assert_eq!(code(ground.bind_source(inside(path), "no", Access::ReadOnly)), Some(ErrorCode::NotFound), "{path}");
        }
        let other = BindSource::MountedPath { at: mount_name("c-1"), path: RelPath::new("etc").unwrap() };
        assert_eq!(code(ground.bind_source(other, "no", Access::ReadOnly)), Some(ErrorCode::Refused));
        assert!(!ground.path("mnt/c-1/no").exists());
    }

    fn a_missing_directory_is_made_only_where_that_is_wished(ground) {
        ground.container("c-1");
        assert_eq!(code(ground.bind("host/new/deep", "data", Access::ReadWrite)), Some(ErrorCode::NotFound));
        assert!(!ground.path("host/new").exists());
        ground.bind_or("host/new/deep", MissingSource::CreateDirectory, "data", Access::ReadWrite).unwrap();
        assert_eq!(fs::metadata(ground.path("host/new/deep")).unwrap().permissions().mode() & 0o7777, 0o755);
        ground.write("mnt/c-1/data/x", "seen");
        assert_eq!(ground.read("host/new/deep/x"), "seen");
    }

    fn nothing_is_made_outside_the_bind_roots(ground) {
        ground.container("c-1");
        symlink(&ground.base, ground.path("host/up")).unwrap();
        for source in ["outside/new", "host/ours/new", "host/up/outside/new", "host/up/pool/new"] {
            let answer = ground.bind_or(source, MissingSource::CreateDirectory, "data", Access::ReadWrite);
            assert_eq!(code(answer), Some(ErrorCode::Refused), "{source}");
        }
        assert!(!ground.path("outside").exists());
        assert!(!ground.path("host/ours/new").exists());
        assert!(!ground.path("pool/new").exists());
    }

    fn each_tenant_binds_from_its_own_roots(ground) {
        ground.container("c-1");
        ground.dataset("volumes/blue/v", None);
        ground.write("host/red/x", "red");
        ground.write("host/blue/x", "blue");
        symlink(ground.path("host/blue"), ground.path("host/red/link")).unwrap();
        for (tenant, source, refused) in [
            ("red", "host/red", false),
            ("red", "host/blue", true),
            ("red", "host/red/link", true),
            ("red", "host", true),
            ("green", "host/red", true),
            ("default", "host/blue", false),
        ] {
            ground.helper.tenant = Label::new(tenant).unwrap();
            let bound = code(ground.bind(source, "data", Access::ReadOnly));
            assert_eq!(bound, refused.then_some(ErrorCode::Refused), "{tenant} {source}");
        }
        ground.helper.tenant = Label::new("red").unwrap();
        let mounted = code(ground.mount("volumes/blue/v", "v-1", Access::ReadWrite));
        assert_eq!(mounted, Some(ErrorCode::Refused));
        ground.helper.tenant = Label::new("blue").unwrap();
        ground.mount("volumes/blue/v", "v-1", Access::ReadWrite).unwrap();
    }

    fn a_dangling_link_is_not_made_good(ground) {
        ground.container("c-1");
        symlink(ground.path("outside"), ground.path("host/dangling")).unwrap();
        let answer = ground.bind_or("host/dangling/x", MissingSource::CreateDirectory, "data", Access::ReadWrite);
        assert!(answer.is_err());
        assert!(!ground.path("outside").exists());
    }

    fn sources_outside_the_roots_are_refused_however_they_are_named(ground) {
        ground.container("c-1");
        ground.write("outside/secret", "secret");
        symlink("../outside", ground.path("host/relative")).unwrap();
        symlink(ground.path("outside/secret"), ground.path("host/absolute")).unwrap();
        symlink(ground.path("host/ours"), ground.path("host/innocent")).unwrap();
        for source in ["outside", "outside/secret", "host/relative", "host/relative/secret", "host/absolute",
            "host/ours", "host/innocent", "host", "pool", "mnt/c-1", "host/relative/../pool"] {
            if HostPath::new(ground.path(source).to_str().unwrap()).is_err() {
                continue;
            }
            let answer = ground.bind(source, "data", Access::ReadOnly);
            assert_eq!(code(answer), Some(ErrorCode::Refused), "{source}");
        }
        let etc = BindSource::Host { path: HostPath::new("/etc").unwrap(), missing: MissingSource::Refuse };
        assert_eq!(code(ground.bind_source(etc, "data", Access::ReadOnly)), Some(ErrorCode::Refused));
        assert_eq!(ground.mounted("mnt/c-1").len(), 1, "something was mounted");
        assert!(!ground.path("mnt/c-1/data").exists(), "a target was made for a refused source");
    }

    fn a_link_that_stays_inside_the_roots_is_followed(ground) {
        ground.container("c-1");
        ground.write("host/www/index", "hello");
        symlink("www", ground.path("host/link")).unwrap();
        ground.bind("host/link", "data", Access::ReadOnly).unwrap();
        assert_eq!(ground.read("mnt/c-1/data/index"), "hello");
    }

    fn links_of_the_container_lead_inside_the_container(ground) {
        ground.container("c-1");
        ground.write("host/www/index", "hello");
        symlink("../../../etc", ground.path("mnt/c-1/relative")).unwrap();
        symlink("/opt/data", ground.path("mnt/c-1/absolute")).unwrap();
        symlink(ground.path("host"), ground.path("mnt/c-1/escape")).unwrap();
        ground.bind("host/www", "relative/cb-mount-test", Access::ReadOnly).unwrap();
        ground.bind("host/www", "absolute", Access::ReadOnly).unwrap();
        ground.bind("host/www", "escape/www/deep", Access::ReadOnly).unwrap();
        assert_eq!(ground.read("mnt/c-1/etc/cb-mount-test/index"), "hello");
        assert_eq!(ground.read("mnt/c-1/opt/data/index"), "hello");
        assert!(!std::path::Path::new("/etc/cb-mount-test").exists());
        assert!(!std::path::Path::new("/opt/data").exists());
        assert!(!ground.path("host/www/deep").exists(), "a target was made on the host");
        let inside = format!("mnt/c-1{}/www/deep/index", ground.path("host").display());
        assert_eq!(ground.read(&inside), "hello");
        assert_eq!(ground.mounted("").len(), 1 + 1 + 3, "a mount is outside the container");
    }

    fn the_root_and_proc_are_not_mounted_over_through_links_either(ground) {
        ground.container("c-1");
        fs::create_dir(ground.path("host/www")).unwrap();
        symlink("/", ground.path("mnt/c-1/all")).unwrap();
        symlink("/proc", ground.path("mnt/c-1/pr")).unwrap();
        for target in ["", "proc", "proc/sys", "all", "all/proc", "pr", "pr/self"] {
            let answer = ground.bind("host/www", target, Access::ReadWrite);
            assert_eq!(code(answer), Some(ErrorCode::Refused), "/{target}");
        }
    }

    fn a_directory_does_not_go_on_a_file_nor_a_file_on_a_directory(ground) {
        ground.container("c-1");
        ground.write("host/file", "x");
        fs::create_dir(ground.path("host/dir")).unwrap();
        fs::create_dir(ground.path("mnt/c-1/dir")).unwrap();
        for (source, target) in [("host/dir", "who"), ("host/file", "dir")] {
            let error = ground.bind(source, target, Access::ReadOnly).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadContent);
            assert!(error.detail.as_str().starts_with("Are you trying to mount a directory onto a file"));
        }
    }

    fn devices_are_neither_bound_nor_opened_through_a_bind_but_for_the_one_that_holds_nothing(ground) {
        ground.container("c-1");
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let character = rustix::fs::FileType::CharacterDevice;
        fs::create_dir(ground.path("host/dev")).unwrap();
        for (name, minor) in [("null", 3), ("zero", 5)] {
            let device = rustix::fs::makedev(1, minor);
            let path = ground.path(&format!("host/dev/{name}"));
            rustix::fs::mknodat(rustix::fs::CWD, path, character, mode, device).unwrap();
        }
        let answer = ground.bind("host/dev/zero", "zero", Access::ReadWrite);
        assert_eq!(code(answer), Some(ErrorCode::Refused));
        ground.bind("host/dev/null", "hidden", Access::ReadOnly).unwrap();
        assert_eq!(fs::read(ground.path("mnt/c-1/hidden")).unwrap(), b"");
        ground.bind("host/dev", "devices", Access::ReadWrite).unwrap();
        assert!(fs::File::open(ground.path("mnt/c-1/devices/zero")).is_err());
        assert!(fs::File::open(ground.path("mnt/c-1/devices/null")).is_err());
    }

    fn a_volume_is_shown_in_a_container(ground) {
        ground.container("c-1");
        ground.dataset("volumes/default/v", None);
        let volume = || BindSource::Mounted { at: mount_name("v-1") };
        assert_eq!(code(ground.bind_source(volume(), "data", Access::ReadWrite)), Some(ErrorCode::NotFound));
        ground.mount("volumes/default/v", "v-1", Access::ReadWrite).unwrap();
        ground.bind_source(volume(), "data", Access::ReadWrite).unwrap();
        ground.write("mnt/c-1/data/x", "seen");
        assert_eq!(ground.read("pool/volumes/default/v/data/x"), "seen");
    }

    fn another_containers_tree_is_not_shown(ground) {
        ground.container("c-1");
        ground.container("c-2");
        let other = BindSource::Mounted { at: mount_name("c-2") };
        assert_eq!(code(ground.bind_source(other, "data", Access::ReadOnly)), Some(ErrorCode::Refused));
    }

    fn a_container_that_is_not_mounted_gets_no_binds(ground) {
        fs::create_dir(ground.path("host/www")).unwrap();
        assert_eq!(code(ground.bind("host/www", "data", Access::ReadOnly)), Some(ErrorCode::NotFound));
        fs::create_dir(ground.path("mnt/c-1")).unwrap();
        assert_eq!(code(ground.bind("host/www", "data", Access::ReadOnly)), Some(ErrorCode::NotFound));
    }
}
