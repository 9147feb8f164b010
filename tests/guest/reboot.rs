//! A host that was restarted: what shall run runs again, and what it does not count any more is refused.

use crate::story::{OFFER, Story};
use system_tests::docker::eventually;

/// Keeps the host from counting resources: of two such lines the last one counts.
const WITHOUT_LIMITS: &str = "echo kern.racct.enable=0 >> /boot/loader.conf";

/// How the administrator restarts a host, and a restart in which nothing is asked to end first, as a crash is.
const RESTART: &str = "shutdown -r now";
const CRASH: &str = "reboot -q";

/// How a container is, and where.
const STATE: &str =
    "inspect --format '{{.State.Status}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'";

pub(crate) fn finds_everything_as_it_was(story: &mut Story) {
    story.docker("network create --subnet 172.31.0.0/24 lasting");
    let served = "-p 8080:80 -v /srv/tools:/tools:ro base /tools/probe serve 80";
    story.docker(&format!(
        "run -d --name always --restart always --network lasting --ip 172.31.0.9 {served}"
    ));
    story.docker("run -d --name by-chance --restart unless-stopped --network lasting base sleep 1000");
    story.docker("run -d --name halted --restart unless-stopped base sleep 1000");
    story.docker("stop -t 0 halted");
    story.docker("run -d --name once base sleep 1000");
    story.docker("run --rm -v lasting:/v base sh -c 'echo lasting > /v/file'");
    let before = story.docker(&format!("{STATE} always by-chance"));
    assert!(before.starts_with("running 172.31.0.9\n"), "{before}");

    story.guest("sysrc cellblockd_enable=YES");
    story.guest(WITHOUT_LIMITS);
    restart(story, RESTART);
    story.guest("service cellblockd status");
    eventually("what shall run runs where it was", || {
        story.quiet(&format!("{STATE} always by-chance")).out.trim() == before
    });
    assert_eq!(
        story.docker("inspect --format '{{.State.Status}}' halted once"),
        "exited\nexited"
    );
    assert_eq!(story.docker("run --rm -v lasting:/v base cat /v/file"), "lasting");
    let ping = story.docker("run --rm --network lasting base ping -c 1 always");
    assert!(ping.contains("1 packets received"), "{ping}");
    eventually("its published port answers", || crate::ports::is_published(story));
    limits_are_refused(story);
    story.docker("start once");
    story.guest("sed -i '' -e '$d' /boot/loader.conf");
    restart(story, CRASH);
    eventually("what ran and shall run runs after a crash", || {
        story.quiet(&format!("{STATE} always by-chance")).out.trim() == before
    });
    assert_eq!(
        story.docker("inspect --format '{{.State.Status}}' halted once"),
        "exited\nexited"
    );
    assert_eq!(
        story.docker("run --rm --memory 64m -v lasting:/v base cat /v/file"),
        "lasting"
    );
    story.docker("rm -f always by-chance halted once");
    story.docker("network rm lasting");
    story.docker("volume rm lasting");
}

fn restart(story: &mut Story, line: &str) {
    println!("guest# {line}");
    story.machine.console.restart(line);
    for line in OFFER {
        story.guest(line);
    }
}

fn limits_are_refused(story: &mut Story) {
    for limit in ["--memory 64m", "--cpus 1", "--pids-limit 9"] {
        let refused = story.ends(125, &format!("run --rm {limit} base true"));
        assert!(
            refused.err.contains("kern.racct.enable=1 in /boot/loader.conf"),
            "{refused:?}"
        );
    }
    let (code, said) = story.guest_ends("/usr/local/sbin/cellblock doctor");
    let wanted = "MISSING kern.racct.enable: resource limits are not enforced; \
                  mend: by hand: echo kern.racct.enable=1 >> /boot/loader.conf, and reboot";
    assert!(code == 1 && said.contains(wanted), "{said}");
    // It is all that this host lacks.
    assert_eq!(said.matches("MISSING").count(), 1, "{said}");
}
