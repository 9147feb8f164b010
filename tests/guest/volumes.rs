//! Volumes as datasets: their options, a volume that begins as another, and what a container sees of one.

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

pub(crate) fn are_shown_in_part_from_others_and_without_a_copy(story: &mut Story) {
    // What the image has there is where a volume begins, unless it shall not.
    let mtree = "sh -c 'ls /etc/mtree | wc -l'";
    let all = story.docker(&format!("run --rm base {mtree}"));
    assert_ne!(all.trim(), "0");
    assert_eq!(
        story.docker(&format!("run --rm -v copied:/etc/mtree base {mtree}")),
        all
    );
    let nocopy = "--mount type=volume,src=bare,dst=/etc/mtree,volume-nocopy";
    assert_eq!(
        story.docker(&format!("run --rm {nocopy} base {mtree}")).trim(),
        "0"
    );
    // A part of a volume, a directory or a file; a link leads nowhere else.
    let make = "mkdir -p /v/a/b; echo in > /v/a/b/f; ln -s /etc /v/out; ln -s a /v/in";
    story.docker(&format!("run --rm -v whole:/v base sh -c '{make}'"));
    let part = |path: &str| format!("--mount type=volume,src=whole,dst=/s,volume-subpath={path}");
    assert_eq!(
        story.docker(&format!("run --rm {} base cat /s/f", part("a/b"))),
        "in"
    );
    assert_eq!(
        story.docker(&format!("run --rm {} base cat /s", part("a/b/f"))),
        "in"
    );
    assert_eq!(story.docker(&format!("run --rm {} base ls /s", part("in"))), "b");
    let refused = story.ends(127, &format!("run --rm {} base ls /s", part("out")));
    assert!(refused.err.contains("no such file or directory"), "{refused:?}");
    let refused = story.ends(125, &format!("run --rm {} base true", part("../x")));
    assert!(
        refused
            .err
            .contains("subpath must be a relative path within the volume"),
        "{refused:?}"
    );
    // Another container's mounts, with its access or with less.
    story.docker("create --name donor -v donated:/x -v /srv/shared:/y:ro base true");
    story.docker("run --rm --volumes-from donor base sh -c 'echo seen > /x/f'");
    let ran = story.ends(
        1,
        "run --rm --volumes-from donor:ro base sh -c 'cat /x/f; touch /x/g'",
    );
    assert_eq!(ran.out, "seen\n");
    story.ends(1, "run --rm --volumes-from donor base touch /y/g");
    story.docker("rm donor");
    story.docker("volume rm copied bare whole donated");
}
