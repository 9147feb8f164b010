//! Volumes as datasets: their options, and a volume that begins as another.

use crate::story::Story;

pub(crate) fn are_datasets_with_what_was_asked_for(story: &mut Story) {
    story.docker("volume create -o quota=16m -o compression=zstd -o recordsize=16k tuned");
    let dataset = story.guest("zfs list -H -o name -r tank/cellblock/volumes | grep /tuned$");
    let properties = format!("zfs get -Hp -o value compression,recordsize,refquota,quota {dataset}");
    let properties = story.guest(&properties);
    assert!(properties.starts_with("zstd\n16384\n"), "{properties}");
    assert!(properties.contains("16777216"), "{properties}");
    let fill = "dd if=/dev/random of=/v/big bs=1m count=32 2>&1 | grep -c \"quota exceeded\\|No space left\"";
    let full = story.docker(&format!("run --rm -v tuned:/v base sh -c '{fill}'"));
    assert_eq!(full, "1");
    // A clone costs nothing until it is written to, and its origin's later life is its own.
    story.docker("run --rm -v first:/v base sh -c 'echo first > /v/f'");
    story.docker("volume create -o clone=first second");
    story.docker("run --rm -v first:/v base sh -c 'echo later > /v/f'");
    assert_eq!(story.docker("run --rm -v second:/v base cat /v/f"), "first");
    let origin = story.guest("zfs list -H -o origin -r tank/cellblock/volumes | grep -c /first@");
    assert_eq!(origin, "1");
    // A copy shares nothing, and nothing of its making stays.
    story.docker("volume create -o copy=first -o compression=zstd third");
    assert_eq!(story.docker("run --rm -v third:/v base cat /v/f"), "later");
    let third = "zfs list -H -o origin,compression,name -r tank/cellblock/volumes | grep /third$";
    let third = story.guest(third);
    let third: Vec<&str> = third.split_whitespace().collect();
    assert_eq!(third[..2], ["-", "zstd"]);
    let snapshots = "zfs list -H -t snapshot -o name -r tank/cellblock/volumes | grep -c @clone- || true";
    assert_eq!(story.guest(snapshots), "1", "the clone's");
    assert_eq!(
        story.guest("zfs list -H -o name -r tank/cellblock/receiving | grep -c /receiving/ || true"),
        "0"
    );
    story.ends(1, "volume create -o copy=third -o quota=wrong fourth");
    // An origin goes before its clones, which are turned round with it.
    story.docker("volume create -o clone=first -o snapshot=monday sunday");
    story.docker("volume rm first");
    assert_eq!(story.docker("run --rm -v second:/v base cat /v/f"), "first");
    assert_eq!(story.docker("run --rm -v sunday:/v base cat /v/f"), "later");
    story.docker("volume rm second sunday third tuned");
    let left = story.guest(
        "zfs list -H -t all -o name -r tank/cellblock/volumes | grep -E '/(tuned|first|second|third|sunday)' || true",
    );
    assert_eq!(left, "");
}
