//! A container in the network of another.

use crate::ports;
use crate::story::Story;
use system_tests::docker::eventually;

const ADDRESSES: &str = "ifconfig | grep -w inet";

pub(crate) fn a_network_is_shared_and_nothing_else(story: &mut Story) {
    story.docker("run -d --name owner -h first -p 8080:80 -v /srv/tools:/tools:ro base sleep 1000");
    // Its own limit, on a jail that is another's sibling, is counted.
    story.docker("run -d --name guest --network container:owner --memory 200m -v /srv/tools:/tools:ro base /tools/probe serve 80");
    let limits = story.guest("rctl | grep -c memoryuse");
    assert_eq!(limits, "1");
    for seen in [
        &format!("sh -c '{ADDRESSES}'"),
        "hostname",
        "cat /etc/hosts /etc/resolv.conf",
    ] {
        assert_eq!(
            story.docker(&format!("exec guest {seen}")),
            story.docker(&format!("exec owner {seen}")),
            "{seen}"
        );
    }
    assert_eq!(
        story.docker("exec owner /tools/probe ask tcp 127.0.0.1 80"),
        "127.0.0.1"
    );
    eventually("the owner's published port leads to the guest", || {
        ports::is_published(story)
    });
    let ping = story.docker("exec guest ping -c 1 10.0.2.2");
    assert!(ping.contains("1 packets received"), "{ping}");
    // Neither sees or stops the other's processes, nor is root over the network.
    let seen = story.docker("exec owner sh -c 'ps -ax | grep -c [p]robe || true'");
    assert_eq!(seen, "0");
    story.docker("pause owner");
    assert_eq!(
        story.docker("exec guest /tools/probe ask tcp 127.0.0.1 80"),
        "127.0.0.1"
    );
    story.docker("unpause owner");
    story.ends(1, "exec guest ifconfig eth0 down");

    // As with dockerd: the owner's end takes the link away and not the guest, and another run is another network.
    story.docker("stop -t 0 owner");
    assert_eq!(story.docker("exec guest ifconfig -l"), "lo0");
    let refused = story.ends(125, "run --rm --network container:owner base true");
    assert!(refused.err.contains("of a non running container"), "{refused:?}");
    story.docker("start owner");
    assert_eq!(story.docker("exec owner ifconfig -l"), "lo0 eth0");
    assert_eq!(story.docker("exec guest ifconfig -l"), "lo0");
    story.docker("restart -t 0 guest");
    assert_eq!(story.docker("exec guest ifconfig -l"), "lo0 eth0");
    // A daemon that comes back goes on with both.
    story.guest("kill -9 $(pgrep -x cellblockd)");
    eventually("both are known to the next daemon", || {
        story.quiet("exec guest true").code == 0 && story.quiet("exec owner true").code == 0
    });
    story.docker("rm -f owner guest");
    story.is_empty("limits", "rctl");
}
