//! What is left to the two halves: as /proc tells it of the real helper, and as the other helpers' jobs find it.

use crate::ground::{Ground, policy};
use helper_runtime::testing::{Job, Places, is_root, jobs, status_line};
use protocol::jail::Request;
use std::process::Command;

/// SYS_ADMIN, SYS_CHROOT, SYS_PTRACE and SYS_RESOURCE beside what Docker gives a container by default.
const HAND: u64 = 0xa92c_25fb;
const NOTHING: &str = "0000000000000000";

/// Which half the child of this test plays.
const HALF: &str = "CELLBLOCK_TEST_HALF";
/// Where it tries the jobs.
const PLACE: &str = "CELLBLOCK_TEST_PLACE";

#[test]
fn the_front_is_nobody_without_capabilities_and_the_hand_holds_its_jobs() {
    let Some(mut ground) = Ground::new("halves") else {
        return;
    };
    // The front welcomes the daemon while the hand is still confining itself, but the hand obeys nobody before it has.
    ground.ask(Request::List { after: None }).unwrap();
    let (front, hand) = (ground.front(), ground.helper.pid());
    // A host that withholds one from everybody withholds it from the helper.
    let all = status_line(std::process::id(), "CapEff").unwrap();
    let wanted = format!("{:016x}", HAND & u64::from_str_radix(&all, 16).unwrap());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_line(front, set).unwrap(), NOTHING, "front {set}");
        let expected = if ["CapInh", "CapAmb"].contains(&set) {
            NOTHING
        } else {
            &wanted
        };
        assert_eq!(status_line(hand, set).unwrap(), expected, "hand {set}");
    }
    assert_eq!(status_line(front, "Uid").unwrap(), "65534\t65534\t65534\t65534");
    assert_eq!(status_line(front, "Gid").unwrap(), "65534\t65534\t65534\t65534");
    assert_eq!(status_line(front, "Groups").unwrap(), "");
    assert_eq!(status_line(front, "Seccomp").unwrap(), "2", "a system call list");
    assert_eq!(status_line(front, "NoNewPrivs").unwrap(), "1");
    assert_eq!(
        status_line(hand, "Seccomp").unwrap(),
        "0",
        "containers would inherit a list"
    );
    assert_eq!(
        status_line(hand, "NoNewPrivs").unwrap(),
        "0",
        "containers would inherit it"
    );
}

#[test]
fn the_halves_fail_at_other_helpers_jobs() {
    if !is_root("the_halves_fail_at_other_helpers_jobs") {
        return;
    }
    assert_eq!(done_by("front"), Vec::<String>::new());
    // What the hand can do: its own jobs, and what comes with mounting inside namespaces and making directories there.
    // Interfaces are none of its business.
    let hand = done_by("hand");
    assert!(!hand.contains(&format!("{:?}", Job::Bridge)), "{hand:?}");
    assert!(hand.contains(&format!("{:?}", Job::Namespaces)), "{hand:?}");
    assert!(hand.contains(&format!("{:?}", Job::Signal)), "{hand:?}");
}

/// The jobs at which one half of the helper succeeds: a child of this test confines itself as that half and tries.
fn done_by(half: &str) -> Vec<String> {
    let dir = std::env::temp_dir().join(format!("cb-jail-{half}-{}", std::process::id()));
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "confinement::a_child_plays_one_half",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(HALF, half)
        .env(PLACE, &dir)
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&dir);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("every job was tried"),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter_map(|line| line.strip_prefix("done: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_child_plays_one_half() {
    let Ok(half) = std::env::var(HALF) else { return };
    let dir = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    let places = [dir.join("pool"), dir.join("mnt")];
    places
        .iter()
        .for_each(|place| std::fs::create_dir_all(place).unwrap());
    let (input, policy) = (std::io::stdin(), policy(&dir));
    match half.as_str() {
        "front" => cellblock_jail::sandbox::front(&input, &input, &input).unwrap(),
        _ => cellblock_jail::sandbox::hand(&policy).unwrap(),
    }
    for (job, result) in jobs(&Places {
        pool: &places[0],
        mounts: &places[1],
    }) {
        if result.is_ok() {
            println!("\ndone: {job:?}");
        }
    }
    println!("\nevery job was tried");
}
