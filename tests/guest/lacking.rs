//! A host that lacks something: it is said, with the line that mends it, and nothing is half-made.

use crate::story::Story;

/// Where the programs are in the guest.
const CELLBLOCK: &str = "/usr/local/sbin/cellblock";

/// On a host on which only the programs were installed.
pub(crate) fn is_told_by_the_doctor(story: &mut Story) {
    let (code, said) = story.guest_ends(&format!("{CELLBLOCK} doctor"));
    assert_eq!(code, 1, "{said}");
    for line in [
        "MISSING kernel module if_bridge: is not loaded; mend: kldload -n if_bridge && sysrc kld_list+=\"if_bridge\"",
        "MISSING pool tank: is not there; mend: by hand: zpool create tank DISK",
        "MISSING zfs_enable: after a restart of this host its pools are not there; mend: sysrc zfs_enable=YES",
        "MISSING user cellblock: is not there; mend: pw useradd cellblock",
        "MISSING net.pf.filter_local: this host does not reach its own published ports; mend: sysctl net.pf.filter_local=1",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let (code, said) = story.guest_ends(&format!("{CELLBLOCK} up"));
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("cellblock: "), "{said}");
}

/// A container's file system that is full: the program inside is told, and other containers go on.
pub(crate) fn room_is_told_to_who_writes(story: &mut Story) {
    let used = story.guest("zfs get -Hp -o value used tank/cellblock");
    let quota = used.parse::<u64>().unwrap() + 64 * 1024 * 1024;
    story.guest(&format!("zfs set quota={quota} tank/cellblock"));
    let fill = "dd if=/dev/random of=/big bs=1m count=128 2>&1 | grep -o \"No space left on device\\|quota exceeded\" | head -1";
    let said = story.docker(&format!("run --rm base sh -c '{fill}'"));
    assert!(!said.is_empty(), "128 MiB fit into 64");
    story.guest("zfs set quota=none tank/cellblock");
    assert_eq!(story.docker("run --rm base echo there"), "there");
}

/// The pool went away while Cellblock was stopped.
pub(crate) fn a_pool_is_told_by_the_start(story: &mut Story) {
    story.guest("service cellblockd onestop");
    story.is_empty("processes", "pgrep -l cellblock || true");
    story.is_empty("mounts", "mount -p | grep cellblock || true");
    story.guest("zpool export tank");
    let (code, said) = story.guest_ends(&format!("timeout 60 {CELLBLOCK} up"));
    assert!(!matches!(code, 0 | 124), "{said}");
    assert!(said.contains("tank/cellblock"), "{said}");
}
