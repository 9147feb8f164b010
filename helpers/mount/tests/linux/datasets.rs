//! Mounting datasets.

use crate::ground::code;
use protocol::ErrorCode;
use protocol::mount::{Access, Response};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

alone! {
    fn a_clone_shows_its_origins_and_keeps_its_own_writes(ground) {
        ground.dataset("images/a", None);
        ground.dataset("images/b", Some("images/a"));
        ground.dataset("containers/1", Some("images/b"));
        assert_eq!(ground.mount("containers/1", "c-1", Access::ReadWrite), Ok(Response::Done));
        assert_eq!(ground.read("mnt/c-1/who"), "containers/1");
        assert_eq!(ground.read("mnt/c-1/from-a"), "images/a");
        assert_eq!(ground.read("mnt/c-1/from-b"), "images/b");
        assert_eq!(ground.read("mnt/c-1/from-1"), "containers/1");

        ground.write("mnt/c-1/from-a", "changed");
        ground.write("mnt/c-1/new", "made");
        fs::remove_file(ground.path("mnt/c-1/from-b")).unwrap();
        assert_eq!(ground.read("pool/containers/1/data/from-a"), "changed");
        assert_eq!(ground.read("pool/containers/1/data/new"), "made");
        assert_eq!(ground.read("pool/images/a/data/from-a"), "images/a");
        assert_eq!(ground.read("pool/images/b/data/from-b"), "images/b");
    }

    fn a_dataset_without_origin_is_its_data(ground) {
        ground.dataset("volumes/default/v", None);
        ground.mount("volumes/default/v", "v-1", Access::ReadWrite).unwrap();
        ground.write("mnt/v-1/new", "made");
        assert_eq!(ground.read("pool/volumes/default/v/data/new"), "made");
    }

    fn clones_of_one_origin_do_not_see_each_other(ground) {
        ground.dataset("images/a", None);
        for name in ["1", "2"] {
            ground.dataset(&format!("containers/{name}"), Some("images/a"));
            ground.mount(&format!("containers/{name}"), &format!("c-{name}"), Access::ReadWrite).unwrap();
        }
        ground.write("mnt/c-1/from-a", "changed");
        ground.write("mnt/c-1/new", "made");
        assert_eq!(ground.read("mnt/c-2/from-a"), "images/a");
        assert!(!ground.path("mnt/c-2/new").exists());
    }

    fn what_was_written_is_there_when_it_is_mounted_again(ground) {
        ground.dataset("images/a", None);
        ground.dataset("containers/1", Some("images/a"));
        ground.mount("containers/1", "c-1", Access::ReadWrite).unwrap();
        fs::remove_file(ground.path("mnt/c-1/from-a")).unwrap();
        ground.write("mnt/c-1/new", "made");
        ground.unmount("c-1").unwrap();
        ground.mount("containers/1", "c-1", Access::ReadWrite).unwrap();
        assert_eq!(ground.read("mnt/c-1/new"), "made");
        assert!(!ground.path("mnt/c-1/from-a").exists());
    }

    fn read_only_datasets_are_complete_and_refuse_writing(ground) {
        ground.dataset("images/a", None);
        ground.dataset("images/b", Some("images/a"));
        ground.mount("images/a", "i-a", Access::ReadOnly).unwrap();
        ground.mount("images/b", "i-b", Access::ReadOnly).unwrap();
        assert_eq!(ground.read("mnt/i-b/from-a"), "images/a");
        assert_eq!(ground.read("mnt/i-b/from-b"), "images/b");
        for point in ["mnt/i-a", "mnt/i-b"] {
            let refused = fs::write(ground.path(point).join("x"), "x").unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{point}");
        }
    }

    fn a_hundred_and_twenty_layers_mount(ground) {
        ground.dataset("images/0", None);
        for i in 1..120 {
            ground.dataset(&format!("images/{i}"), Some(&format!("images/{}", i - 1)));
        }
        ground.dataset("containers/top", Some("images/119"));
        assert_eq!(ground.mount("containers/top", "c-1", Access::ReadWrite), Ok(Response::Done));
        for i in 0..120 {
            assert_eq!(ground.read(&format!("mnt/c-1/from-{i}")), format!("images/{i}"));
        }
        assert_eq!(ground.mount("containers/top", "c-2", Access::ReadOnly), Ok(Response::Done));
        assert_eq!(ground.read("mnt/c-2/from-0"), "images/0");
    }

    fn a_chain_that_bites_its_tail_ends(ground) {
        ground.dataset("images/a", Some("images/b"));
        ground.dataset("images/b", Some("images/a"));
        assert_eq!(code(ground.mount("images/a", "i-a", Access::ReadOnly)), Some(ErrorCode::LimitReached));
        assert!(!ground.path("mnt/i-a").exists());
    }

    fn a_second_mount_at_one_point_is_refused(ground) {
        ground.container("c-1");
        let again = ground.mount("containers/c-1", "c-1", Access::ReadWrite);
        assert_eq!(code(again), Some(ErrorCode::AlreadyExists));
        assert_eq!(ground.mounted("mnt/c-1").len(), 1);
    }

    fn what_is_not_a_dataset_leaves_no_mount_point(ground) {
        ground.dataset("images/a", None);
        ground.dataset("images/b", Some("images/gone"));
        ground.dataset("images/c", Some("images/a"));
        fs::remove_file(ground.path("pool/images/a/snapshots/layer")).unwrap();
        ground.dataset("images/d", None);
        ground.write("pool/images/d/origin", "../../etc@layer");
        let mut mounted = |name: &str| code(ground.mount(name, "i-1", Access::ReadWrite));
        assert_eq!(mounted("images/none"), Some(ErrorCode::NotFound));
        assert_eq!(mounted("images"), Some(ErrorCode::NotFound), "a family holds no files");
        assert_eq!(mounted("images/b"), Some(ErrorCode::NotFound));
        assert_eq!(mounted("images/c"), Some(ErrorCode::System), "its snapshot is gone");
        assert_eq!(mounted("images/d"), Some(ErrorCode::System));
        assert!(!ground.path("mnt/i-1").exists());
    }

    fn a_link_in_the_pool_is_not_followed(ground) {
        ground.dataset("images/a", None);
        std::os::unix::fs::symlink("a", ground.path("pool/images/b")).unwrap();
        assert!(ground.mount("images/b", "i-b", Access::ReadOnly).is_err());
    }

    fn changing_owner_mode_and_kind_works_through_an_overlay(ground) {
        ground.dataset("images/a", None);
        ground.dataset("containers/1", Some("images/a"));
        ground.mount("containers/1", "c-1", Access::ReadWrite).unwrap();
        // Copying up is done with the hand's capabilities, whoever asks.
        let file = ground.path("mnt/c-1/from-a");
        std::os::unix::fs::chown(&file, Some(1000), Some(1000)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4711)).unwrap();
        let status = fs::metadata(&file).unwrap();
        assert_eq!((status.uid(), status.mode() & 0o7777), (1000, 0o4711));
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            ground.path("mnt/c-1/null"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::from_raw_mode(0o666),
            rustix::fs::makedev(1, 3),
        );
        assert_eq!(made, Ok(()));
        let refused = fs::File::open(ground.path("mnt/c-1/null")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "a device node of a container can be opened");
    }
}
