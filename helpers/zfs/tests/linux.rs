//! The real helper on Linux: started as the launcher starts it, asked as the daemon asks it.
#![cfg(target_os = "linux")]

mod place;

use cellblock_zfs::linux::CAPABILITIES;
use helper_runtime::overlay;
use helper_runtime::testing::{is_root, status_line};
use place::{Mounted, Place, code, dataset, label};
use protocol::ErrorCode;
use protocol::limits::LIST_ITEMS_MAX;
use protocol::zfs::{Request, Response};
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

#[test]
fn a_dataset_is_made_with_its_folders_and_only_once() {
    if !is_root("a_dataset_is_made_with_its_folders_and_only_once") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let create = Request::Create {
        dataset: dataset("volumes/default/data"),
    };
    assert_eq!(place::ask(&mut helper, create.clone()), Ok(Response::Done));
    for part in ["data", "work", "snapshots"] {
        assert!(place.pool("volumes/default/data").join(part).is_dir(), "{part}");
    }
    assert!(!place.pool("volumes/default/data/origin").exists());
    assert_eq!(code(&mut helper, create), Some(ErrorCode::AlreadyExists));
}

#[test]
fn a_clone_needs_its_snapshot_and_takes_the_mode_of_the_root() {
    if !is_root("a_clone_needs_its_snapshot_and_takes_the_mode_of_the_root") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let clone = Request::Clone {
        origin: dataset("images/a"),
        label: label("layer"),
        dataset: dataset("containers/c"),
    };
    assert_eq!(code(&mut helper, clone.clone()), Some(ErrorCode::NotFound));
    place::done(
        &mut helper,
        Request::Create {
            dataset: dataset("images/a"),
        },
    );
    assert_eq!(code(&mut helper, clone.clone()), Some(ErrorCode::NotFound));
    fs::set_permissions(place.pool("images/a/data"), fs::Permissions::from_mode(0o1711)).unwrap();
    let snapshot = Request::Snapshot {
        dataset: dataset("images/a"),
        label: label("layer"),
    };
    place::done(&mut helper, snapshot.clone());
    assert_eq!(code(&mut helper, snapshot), Some(ErrorCode::AlreadyExists));
    place::done(&mut helper, clone.clone());
    assert_eq!(code(&mut helper, clone), Some(ErrorCode::AlreadyExists));
    assert_eq!(
        fs::read_to_string(place.pool("containers/c/origin")).unwrap(),
        "images/a@layer"
    );
    let mode = fs::metadata(place.pool("containers/c/data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o1711);
}

#[test]
fn an_origin_is_busy_until_its_last_clone_is_destroyed() {
    if !is_root("an_origin_is_busy_until_its_last_clone_is_destroyed") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let image = place.image(&mut helper, "images/a");
    place::clone(&mut helper, &image, "volumes/default/v");
    place::clone(&mut helper, &image, "containers/c");
    let destroy = |name: &str| Request::Destroy {
        dataset: dataset(name),
    };
    assert_eq!(code(&mut helper, destroy("images/a")), Some(ErrorCode::Busy));
    place::done(&mut helper, destroy("containers/c"));
    assert_eq!(code(&mut helper, destroy("images/a")), Some(ErrorCode::Busy));
    place::done(&mut helper, destroy("volumes/default/v"));
    place::done(&mut helper, destroy("images/a"));
    assert_eq!(code(&mut helper, destroy("images/a")), Some(ErrorCode::NotFound));
    assert_eq!(
        code(&mut helper, destroy("volumes/default/none")),
        Some(ErrorCode::NotFound)
    );
    assert!(!place.pool("volumes/t2").exists(), "a destroy made a folder");
}

// The kernel names an overlay by its dataset alone, and tests run beside one another: so this name is not used by others.
#[test]
fn a_dataset_is_busy_while_it_is_bound_or_in_an_overlay() {
    if !is_root("a_dataset_is_busy_while_it_is_bound_or_in_an_overlay") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let image = place.image(&mut helper, "images/a");
    place::clone(&mut helper, &image, "containers/mounted");
    place::done(
        &mut helper,
        Request::Create {
            dataset: dataset("volumes/default/v"),
        },
    );
    let destroy = |name: &str| Request::Destroy {
        dataset: dataset(name),
    };
    let snapshot = |name: &str| Request::Snapshot {
        dataset: dataset(name),
        label: label("later"),
    };

    let bound = Mounted::bind(&place.pool("volumes/default/v/data"), &place.mount_point("v-1"));
    // By another path than the pool's, so that only the source tells what is mounted, as with the mount helper.
    symlink(place.pool(""), place.mount_point("").join("alias")).unwrap();
    let layers = [
        "lowerdir=images/a/data",
        "upperdir=containers/mounted/data",
        "workdir=containers/mounted/work",
    ]
    .map(|layer| {
        layer.replace(
            '=',
            &format!("={}/", place.mount_point("").join("alias").display()),
        )
    });
    let pool = std::fs::File::open(place.pool("")).unwrap();
    let source = overlay::source(&pool, &dataset("containers/mounted")).unwrap();
    let overlay = Mounted::overlay(&source, &layers.join(","), &place.mount_point("c-1"));
    for name in ["volumes/default/v", "containers/mounted"] {
        assert_eq!(code(&mut helper, destroy(name)), Some(ErrorCode::Busy), "{name}");
        assert_eq!(code(&mut helper, snapshot(name)), Some(ErrorCode::Busy), "{name}");
        assert!(place.pool(name).join("data").is_dir());
    }
    drop(bound);
    drop(overlay);
    for name in ["volumes/default/v", "containers/mounted"] {
        place::done(&mut helper, snapshot(name));
        place::done(&mut helper, destroy(name));
    }
}

#[test]
fn destroying_removes_whatever_a_container_wrote_and_nothing_else() {
    if !is_root("destroying_removes_whatever_a_container_wrote_and_nothing_else") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    place::done(
        &mut helper,
        Request::Create {
            dataset: dataset("containers/c"),
        },
    );
    let data = place.pool("containers/c/data");
    let outside = place.mount_point("outside");
    fs::write(outside.join("kept"), "kept").unwrap();
    symlink(&outside, data.join("link")).unwrap();
    symlink("/etc/shadow", data.join("secret")).unwrap();
    for (name, kind) in [("whiteout", FileType::CharacterDevice), ("fifo", FileType::Fifo)] {
        mknodat(CWD, data.join(name), kind, Mode::from_raw_mode(0o600), 0).unwrap();
    }
    fs::create_dir(data.join("sticky")).unwrap();
    fs::write(data.join("sticky/file"), "").unwrap();
    chown(data.join("sticky/file"), Some(1001), Some(1001)).unwrap();
    fs::create_dir(data.join("sticky/directory")).unwrap();
    fs::write(data.join("sticky/directory/file"), "").unwrap();
    chown(data.join("sticky/directory"), Some(1002), Some(1002)).unwrap();
    chown(data.join("sticky"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(data.join("sticky"), fs::Permissions::from_mode(0o1000)).unwrap();
    place::nest(&data, 3000);

    let stats = Request::Stats {
        dataset: dataset("containers/c"),
    };
    assert_eq!(code(&mut helper, stats), Some(ErrorCode::LimitReached));
    place::done(
        &mut helper,
        Request::Destroy {
            dataset: dataset("containers/c"),
        },
    );
    assert!(!place.pool("containers/c").exists());
    assert_eq!(fs::read_dir(place.pool(".trash")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
}

#[test]
fn a_dataset_with_a_broken_origin_holds_the_others_until_it_is_destroyed() {
    if !is_root("a_dataset_with_a_broken_origin_holds_the_others_until_it_is_destroyed") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let image = place.image(&mut helper, "images/a");
    place::clone(&mut helper, &image, "containers/c");
    fs::write(place.pool("containers/c/origin"), "").unwrap();
    let destroy = |name: &str| Request::Destroy {
        dataset: dataset(name),
    };
    assert_eq!(code(&mut helper, destroy("images/a")), Some(ErrorCode::System));
    place::done(&mut helper, destroy("containers/c"));
    place::done(&mut helper, destroy("images/a"));
}

#[test]
fn listings_go_on_page_by_page_and_name_folders_too() {
    if !is_root("listings_go_on_page_by_page_and_name_folders_too") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let mut wanted: Vec<_> = (0..LIST_ITEMS_MAX + 5)
        .map(|n| dataset(&format!("images/i{n}")))
        .collect();
    for name in &wanted {
        place::done(
            &mut helper,
            Request::Create {
                dataset: name.clone(),
            },
        );
    }
    wanted.sort();
    let first = place::list(&mut helper, "images", None);
    assert_eq!(first.len(), LIST_ITEMS_MAX);
    let rest = place::list(&mut helper, "images", first.last().cloned());
    assert_eq!([first, rest].concat(), wanted);
    place::done(
        &mut helper,
        Request::Create {
            dataset: dataset("volumes/default/v"),
        },
    );
    assert_eq!(
        place::list(&mut helper, "volumes", None),
        [dataset("volumes/default")]
    );
    assert_eq!(
        place::list(&mut helper, "volumes/default", None),
        [dataset("volumes/default/v")]
    );
    assert_eq!(place::list(&mut helper, "containers", None), []);
}

#[test]
fn stats_count_own_files_once_and_origins_as_referenced() {
    if !is_root("stats_count_own_files_once_and_origins_as_referenced") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let image = place.image(&mut helper, "images/a");
    fs::write(place.pool("images/a/data/file"), vec![1; 1 << 20]).unwrap();
    fs::hard_link(
        place.pool("images/a/data/file"),
        place.pool("images/a/data/again"),
    )
    .unwrap();
    place::clone(&mut helper, &image, "containers/c");
    fs::create_dir(place.pool("containers/c/data/directory")).unwrap();
    fs::write(place.pool("containers/c/data/directory/small"), vec![1; 1 << 16]).unwrap();

    let base = place::stats(&mut helper, "images/a");
    assert_eq!(base.origin, None);
    assert!((1 << 20..2 << 20).contains(&base.used_bytes), "{base:?}");
    assert_eq!(base.used_bytes, base.referenced_bytes);
    let clone = place::stats(&mut helper, "containers/c");
    assert_eq!(clone.origin, Some(image));
    assert!((1 << 16..1 << 18).contains(&clone.used_bytes), "{clone:?}");
    assert_eq!(clone.referenced_bytes, clone.used_bytes + base.used_bytes);
    match place::ask(&mut helper, Request::PoolSpace) {
        Ok(Response::Space(space)) => assert!(
            space.used_bytes > 1 << 20 && space.available_bytes > 0,
            "{space:?}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_killed_helper_left_is_gone_or_whole_at_the_next_start() {
    if !is_root("what_a_killed_helper_left_is_gone_or_whole_at_the_next_start") {
        return;
    }
    let place = Place::new();
    for round in 0..10 {
        let mut helper = place.helper();
        assert_eq!(
            fs::read_dir(place.pool(".trash")).unwrap().count(),
            0,
            "trash was left at start"
        );
        let names: Vec<_> = (0..200)
            .map(|n| dataset(&format!("images/r{round}-{n}")))
            .collect();
        for name in &names {
            place::send(
                &helper,
                Request::Create {
                    dataset: name.clone(),
                },
            );
            place::send(
                &helper,
                Request::Destroy {
                    dataset: name.clone(),
                },
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(round));
        helper.crash().unwrap();
        // As if it had been killed while it removed a tree.
        fs::create_dir_all(place.pool(".trash/7/data/left")).unwrap();
        for entry in fs::read_dir(place.pool("images")).into_iter().flatten() {
            let made = entry.unwrap().path();
            for part in ["data", "work", "snapshots"] {
                assert!(made.join(part).is_dir(), "{} is half made", made.display());
            }
        }
    }
}

#[test]
fn names_outside_the_families_are_refused_and_audited() {
    if !is_root("names_outside_the_families_are_refused_and_audited") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    place::done(
        &mut helper,
        Request::Create {
            dataset: dataset("images/a"),
        },
    );
    for name in ["images", "images/a/data", "other/x", "volumes/default"] {
        let create = Request::Create {
            dataset: dataset(name),
        };
        assert_eq!(code(&mut helper, create), Some(ErrorCode::Refused), "{name}");
        let destroy = Request::Destroy {
            dataset: dataset(name),
        };
        assert_eq!(code(&mut helper, destroy), Some(ErrorCode::Refused), "{name}");
    }
    let audit = helper.audit().unwrap();
    assert_eq!(helper_runtime::audit::verify(&audit), Ok(9));
    assert_eq!(audit.matches("verdict=refused").count(), 8);
    assert!(
        audit.contains("op=Create object=\"images/a\" verdict=ok"),
        "{audit}"
    );
}

#[test]
fn descriptors_are_refused_since_no_request_carries_any() {
    if !is_root("descriptors_are_refused_since_no_request_carries_any") {
        return;
    }
    let place = Place::new();
    let mut helper = place.helper();
    let file = fs::File::open("/dev/null").unwrap();
    let fds = [std::os::fd::AsFd::as_fd(&file)];
    let answer = helper.ask::<Request, Response>(Request::PoolSpace, &fds);
    assert_eq!(
        answer.err().map(|error| error.code),
        Some(ErrorCode::BadDescriptors)
    );
}

#[test]
fn the_helper_keeps_two_capabilities_and_cannot_gain_any() {
    if !is_root("the_helper_keeps_two_capabilities_and_cannot_gain_any") {
        return;
    }
    let place = Place::new();
    let helper = place.helper();
    let mask = CAPABILITIES
        .iter()
        .fold(0_u64, |mask, capability| mask | capability.bitmask());
    // CAP_DAC_OVERRIDE is 1 and CAP_FOWNER is 3 (linux/capability.h).
    assert_eq!(mask, 0b1010);
    for (line, wanted) in [
        ("CapEff", mask),
        ("CapPrm", mask),
        ("CapBnd", mask),
        ("CapInh", 0),
        ("CapAmb", 0),
    ] {
        assert_eq!(
            status_line(helper.pid(), line).unwrap(),
            format!("{wanted:016x}"),
            "{line}"
        );
    }
    assert_eq!(status_line(helper.pid(), "NoNewPrivs").unwrap(), "1");
    assert_eq!(status_line(helper.pid(), "Seccomp").unwrap(), "2");
    assert_eq!(status_line(helper.pid(), "Threads").unwrap(), "1");
}

#[test]
fn a_helper_without_its_pool_does_not_start() {
    if !is_root("a_helper_without_its_pool_does_not_start") {
        return;
    }
    let place = Place::new();
    fs::remove_dir_all(place.pool("")).unwrap();
    assert!(place.try_helper().is_err());
    // A link in its place is no pool either.
    symlink(
        "/tmp",
        place.pool("").as_os_str().to_str().unwrap().trim_end_matches('/'),
    )
    .unwrap();
    assert!(place.try_helper().is_err());
    let root = openat(CWD, "/", OFlags::DIRECTORY, Mode::empty()).unwrap();
    assert!(
        mkdirat(&root, "tmp/.trash", Mode::empty()).is_ok(),
        "the trash was made behind the link"
    );
    fs::remove_dir("/tmp/.trash").unwrap();
}
