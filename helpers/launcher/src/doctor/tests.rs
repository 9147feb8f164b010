//! Both hosts' checks, against made-up hosts.

use super::{Check, Finding, Mend, Probe, freebsd, linux, quoted};
use crate::config::{Mode, defaults};

/// A host by its answers: programs that fail are not listed.
struct Made {
    answers: Vec<(&'static str, &'static str)>,
    files: Vec<&'static str>,
    is_root: bool,
}

impl Made {
    /// The same host where a program does not succeed.
    fn without(mut self, question: &str) -> Self {
        self.answers.retain(|(asked, _)| !asked.starts_with(question));
        self
    }

    fn without_file(mut self, path: &str) -> Self {
        self.files.retain(|file| *file != path);
        self
    }
}

impl Probe for Made {
    fn is_root(&self) -> bool {
        self.is_root
    }

    fn ask(&self, program: &[&str]) -> Result<String, String> {
        let asked = program.join(" ");
        let answer = self
            .answers
            .iter()
            .find(|(question, _)| asked.starts_with(question));
        answer
            .map(|(_, answer)| (*answer).to_owned())
            .ok_or_else(|| format!("{asked}: fails"))
    }

    fn read(&self, path: &str) -> Option<String> {
        self.answers
            .iter()
            .find(|(question, _)| *question == path)
            .map(|(_, text)| (*text).to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains(&path)
    }
}

fn missing(checks: Vec<Check>) -> Vec<Check> {
    checks.into_iter().filter(Check::is_missing).collect()
}

fn names(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.what.as_str()).collect()
}

mod on_freebsd {
    use super::*;

    fn complete() -> Made {
        let anchors = "nat-anchor \"cellblock/*\" all\nrdr-anchor \"cellblock/*\" all\n";
        let answers = vec![
            ("/sbin/kldstat -q -m", ""),
            ("/sbin/zpool list", "zroot\n"),
            ("/sbin/zfs list", "zroot/cellblock\n"),
            ("/usr/sbin/sysrc -n zfs_enable", "YES\n"),
            ("/usr/sbin/pw", "cellblock:*:850:\n"),
            ("/sbin/sysctl -n", "1\n"),
            ("/sbin/pfctl -s info", "Status: Enabled for 0 days 00:01:02\n"),
            ("/sbin/pfctl -s nat", anchors),
            (
                "/sbin/pfctl -s rules",
                "anchor \"cellblock/*\" all\npass all flags S/SA keep state\n",
            ),
            ("/sbin/devfs rule", "100 hide\n200 path null unhide\n"),
        ];
        Made {
            answers,
            files: vec!["/etc/pf.conf"],
            is_root: true,
        }
    }

    fn lacks(host: &Made) -> Vec<Check> {
        missing(freebsd::checks(&defaults(&Mode::Service).unwrap(), host))
    }

    fn mend(check: &Check) -> &Mend {
        match &check.finding {
            Finding::Missing(_, mend) => mend,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_complete_host_lacks_nothing() {
        assert_eq!(lacks(&complete()), []);
    }

    #[test]
    fn a_fresh_host_lacks_all_but_an_empty_ruleset_in_the_order_of_mending() {
        let fresh = Made {
            answers: vec![("/sbin/devfs rule", "")],
            files: Vec::new(),
            is_root: true,
        };
        let expected = [
            "kernel module zfs",
            "kernel module if_bridge",
            "kernel module if_epair",
            "kernel module pf",
            "kernel module nullfs",
            "kernel module tmpfs",
            "kernel module fdescfs",
            "kernel module procfs",
            "VNET in the kernel",
            "pool zroot",
            "zfs_enable",
            "group cellblock",
            "user cellblock",
            "kern.racct.enable",
            "net.inet.ip.forwarding",
            "pf line nat-anchor \"cellblock/*\"",
            "pf line rdr-anchor \"cellblock/*\"",
            "pf line anchor \"cellblock/*\"",
            "pf enabled",
            "net.pf.filter_local",
        ];
        assert_eq!(names(&lacks(&fresh)), expected);
    }

    #[test]
    fn a_missing_anchor_line_is_told_from_the_two_others() {
        let host = complete().without("/sbin/pfctl -s rules");
        assert_eq!(names(&lacks(&host)), ["pf line anchor \"cellblock/*\""]);
    }

    #[test]
    fn an_existing_pf_conf_is_the_administrators_to_edit() {
        let host = complete().without("/sbin/pfctl -s rules");
        assert!(matches!(mend(&lacks(&host)[0]), Mend::ByHand(_)));
        let lines = r#"nat-anchor "cellblock/*"\nrdr-anchor "cellblock/*"\nanchor "cellblock/*"\npass\n"#;
        let expected = format!("printf '{lines}' > /etc/pf.conf && pfctl -q -f /etc/pf.conf");
        let host = host.without_file("/etc/pf.conf");
        assert_eq!(mend(&lacks(&host)[0]), &Mend::Line(expected));
    }

    #[test]
    fn somebody_elses_devfs_ruleset_is_found() {
        let mut host = complete().without("/sbin/devfs");
        host.answers.push(("/sbin/devfs rule", "100 path pf unhide\n"));
        assert_eq!(names(&lacks(&host)), ["devfs ruleset 4200"]);
    }

    #[test]
    fn a_check_is_one_line_with_what_mends_it() {
        let host = complete().without("/sbin/zfs");
        let expected = "MISSING dataset zroot/cellblock: is not there; \
                        mend: zfs create -p -o canmount=off -o mountpoint=none zroot/cellblock";
        assert_eq!(lacks(&host)[0].to_string(), expected);
    }
}

mod on_linux {
    use super::*;

    fn complete() -> Made {
        let namespaces = ["ipc", "mnt", "net", "pid", "uts"];
        let spaces = namespaces.map(|name| &*format!("/proc/self/ns/{name}").leak());
        let tools = [
            "/usr/bin/unshare",
            "/usr/sbin/ip",
            "/usr/sbin/nft",
            "/usr/bin/docker",
        ];
        let answers = vec![
            ("/proc/filesystems", "nodev\tproc\n\text4\nnodev\toverlay\n"),
            (
                "/usr/bin/unshare --net /usr/sbin/ip link add cbdoctor1 type bridge",
                "",
            ),
            (
                "/usr/bin/unshare --net /usr/sbin/ip link add cbdoctor1 type veth",
                "",
            ),
            ("/usr/bin/unshare --net /usr/sbin/nft", ""),
        ];
        Made {
            answers,
            files: [&spaces[..], &tools[..]].concat(),
            is_root: true,
        }
    }

    #[test]
    fn a_complete_host_lacks_nothing() {
        assert!(
            linux::checks(&complete())
                .iter()
                .all(|check| check.finding == Finding::Good)
        );
    }

    #[test]
    fn each_lack_is_told_from_the_others() {
        for (host, what, mend) in [
            (
                complete().without("/proc/filesystems"),
                "overlayfs",
                "modprobe overlay",
            ),
            (
                complete().without_file("/proc/self/ns/pid"),
                "namespaces",
                "by hand: boot a kernel",
            ),
            (
                complete().without("/usr/bin/unshare --net /usr/sbin/ip link add cbdoctor1 type bridge"),
                "bridges",
                "modprobe bridge",
            ),
            (
                complete().without("/usr/bin/unshare --net /usr/sbin/ip link add cbdoctor1 type veth"),
                "pairs of interfaces",
                "modprobe veth",
            ),
            (
                complete().without("/usr/bin/unshare --net /usr/sbin/nft"),
                "nftables with address translation",
                "modprobe -a nf_tables",
            ),
            (
                complete().without_file("/usr/sbin/nft"),
                "nftables with address translation",
                "apt-get install nftables",
            ),
        ] {
            let lacks = missing(linux::checks(&host));
            assert_eq!(names(&lacks), [what]);
            let said = lacks[0].to_string();
            assert!(said.contains(&format!("; mend: {mend}")), "{said}");
        }
    }

    #[test]
    fn what_only_root_can_look_at_is_unknown_to_others_and_not_missing() {
        let host = Made {
            is_root: false,
            ..complete()
        };
        let checks = linux::checks(&host);
        assert_eq!(missing(checks.clone()), []);
        let is_unknown = |check: &&Check| matches!(check.finding, Finding::Unknown(_));
        assert_eq!(checks.iter().filter(is_unknown).count(), 3);
    }

    #[test]
    fn docker_s_command_is_useful_and_not_needed() {
        let checks = linux::checks(&complete().without_file("/usr/bin/docker"));
        assert_eq!(missing(checks.clone()), []);
        assert!(
            checks
                .iter()
                .any(|check| check.to_string().starts_with("note    docker command: "))
        );
    }
}

#[test]
fn a_path_is_one_word_for_the_shell_whatever_it_holds() {
    assert_eq!(quoted("/etc/cellblock.toml"), "/etc/cellblock.toml");
    assert_eq!(quoted("/tmp/a b;'c"), "'/tmp/a b;'\\''c'");
}
