//! What is left of a volume when the daemon is killed while it is filled from another: all of it, or nothing.

use crate::images::names;
use crate::{kill, start, successor};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use system_tests::docker::eventually;

/// At how many moments of the copy the daemon is killed, spread over the time that it takes undisturbed.
const MOMENTS: u32 = 5;

/// Fills a volume so that copying takes a while, and ends with what is copied last.
const FILL: &str =
    "for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/v/$i bs=1M count=6 2>/dev/null; done; echo end > /v/z";

#[test]
fn a_volume_that_is_filled_from_another_is_whole_or_gone() {
    let Some((engine, docker)) = start("a_volume_that_is_filled_from_another_is_whole_or_gone") else {
        return;
    };
    docker.ok(&format!("run --rm -v first:/v base sh -c '{FILL}'"));
    let command = "volume create -o copy=first second";
    let begun = Instant::now();
    docker.ok(command);
    let whole = begun.elapsed();
    docker.ok("volume rm second");
    let mut was_gone = false;
    for moment in 0..MOMENTS {
        let process = engine.child("cellblockd");
        let running = docker.start(command);
        std::thread::sleep(whole * moment / MOMENTS + Duration::from_millis(3));
        kill(process);
        let ran = running.end();
        successor(&engine, "cellblockd", process);
        eventually("the API answers", || docker.run("volume ls").code == 0);
        let is_there = docker.run("volume inspect second").code == 0;
        assert!(is_there || ran.code != 0, "{moment}: it says that it was done");
        was_gone |= !is_there;
        if is_there {
            assert_eq!(
                docker.ok("run --rm -v second:/v base cat /v/z"),
                "end",
                "{moment}"
            );
            docker.ok("volume rm second");
        }
        eventually("only the origin is left, and not mounted", || {
            let mounted = names(&engine.dir().join("mnt"));
            names(&engine.dir().join("pool/volumes/default")) == BTreeSet::from(["first".to_owned()])
                && mounted.is_empty()
        });
        assert_eq!(docker.ok("run --rm -v first:/v base cat /v/z"), "end", "{moment}");
    }
    assert!(was_gone, "the daemon was never killed in the middle");
    engine.stop();
}
