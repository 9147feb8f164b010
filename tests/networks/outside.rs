//! A second machine beside this one: a network namespace that knows no way to any container.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Tests of one process that have another machine.
const TESTS_MAX: u32 = 2;

/// The other machine.
pub(crate) struct Outside {
    /// Its namespace's name.
    pub(crate) name: String,
    /// This host's addresses as the other machine knows them: IPv4, IPv6.
    pub(crate) host: [String; 2],
    /// The other machine's own addresses.
    pub(crate) own: [String; 2],
}

impl Outside {
    pub(crate) fn new() -> Outside {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Addresses for tests between two networks (RFC 2544) and for documentation (RFC 3849), by process and test so that no
        // two meet.
        let id = std::process::id() * TESTS_MAX + COUNT.fetch_add(1, Ordering::Relaxed);
        let (v4, v6) = (
            format!("198.19.{}", id % 250),
            format!("2001:db8:{:x}", id % 0xffff),
        );
        let outside = Outside {
            name: format!("cbo{}", id % 100_000),
            host: [format!("{v4}.1"), format!("{v6}::1")],
            own: [format!("{v4}.2"), format!("{v6}::2")],
        };
        let name = &outside.name;
        for line in [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name eth0 netns {name}"),
            format!("addr add {v4}.1/30 dev {name}"),
            format!("addr add {v6}::1/64 dev {name} nodad"),
            format!("link set {name} up"),
            format!("-n {name} addr add {v4}.2/30 dev eth0"),
            format!("-n {name} addr add {v6}::2/64 dev eth0 nodad"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ] {
            ip(&line);
        }
        outside
    }

    /// Tells the other machine to send packets for a prefix to this host.
    pub(crate) fn learn(&self, prefix: &str, family: usize) {
        let (name, host) = (&self.name, &self.host[family]);
        ip(&format!("-n {name} route add {prefix} via {host}"));
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(line: &str) {
    let output = Command::new("ip").args(line.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
