//! Samples of the jail helper's messages.

use super::{label, list, message, mount_name, text};
use protocol::jail::{
    BlockUse, Counter, Device, DeviceRule, InterfaceUse, JailInfo, JailSpec, Limits, Network, Openings,
    ProcessInfo, ProcessSpec, Request, Response, Rlimit, Role, SignalTarget, Space, Stdio, Sysctl, Throttle,
    Throttled, Usage,
};
use protocol::mount::{Access, Flavour};
use protocol::names::{HostName, JailName};

message!(Request, "jail::Request" {
    Create => Self::Create(Box::new(JailSpec {
        jail: jail(),
        root: mount_name("c-c1"),
        hostname: HostName::new("web.example").expect("sample host name"),
        network: Network::Own,
        root_access: Access::ReadOnly,
        flavour: Flavour::Linux,
        shm_bytes: 64 << 20,
        sysctls: list([Sysctl { name: label("net.core.somaxconn"), value: text("128") }]),
        openings: openings(),
    })),
    OpenNetwork => Self::OpenNetwork { jail: jail() },
    Launch => Self::Launch { jail: jail(), process: Box::new(process()) },
    Signal => Self::Signal { jail: jail(), target: SignalTarget::Everyone, signal: 15 },
    Remove => Self::Remove { jail: jail() },
    Processes => Self::Processes { jail: jail() },
    List => Self::List { after: None },
    Pause => Self::Pause { jail: jail() },
    Resume => Self::Resume { jail: jail() },
    Limit => Self::Limit { jail: jail(), limits: Box::new(limits()) },
    Usage => Self::Usage { jail: jail() },
});

message!(Throttled, "jail::Throttled" {
    ReadBytes => Self::ReadBytes,
    WriteBytes => Self::WriteBytes,
    Reads => Self::Reads,
    Writes => Self::Writes,
});

message!(Network, "jail::Network" {
    Own => Self::Own,
    Host => Self::Host,
});

message!(Space, "jail::Space" {
    Own => Self::Own,
    Host => Self::Host,
    Of => Self::Of(jail()),
});

message!(Role, "jail::Role" {
    First => Self::First,
    Further => Self::Further,
});

message!(Stdio, "jail::Stdio" {
    Pipes => Self::Pipes,
    Terminal => Self::Terminal { rows: 24, columns: 80 },
});

message!(SignalTarget, "jail::SignalTarget" {
    First => Self::First,
    Everyone => Self::Everyone,
    Process => Self::Process(4242),
});

message!(Response, "jail::Response" {
    Done => Self::Done,
    Created => Self::Created { jid: 7 },
    Launched => Self::Launched { pid: 4242 },
    Processes => Self::Processes(list([ProcessInfo {
        pid: 4242,
        ppid: 1,
        uid: 1000,
        started_s: 1_700_000_000,
        cpu_s: 3,
        terminal: label("pts/0"),
        command: text("sh -c 'echo grüße'"),
    }])),
    Jails => Self::Jails(list([JailInfo { jail: jail(), jid: -1 }])),
    Usage => Self::Usage(Box::new(usage())),
});

fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        cpus: text("0-2,4"),
        throttles: list([Throttle {
            what: Throttled::WriteBytes,
            major: 8,
            minor: 16,
            rate: 1 << 20,
        }]),
        ..Limits::default()
    }
}

fn usage() -> Usage {
    Usage {
        cpu_ns: 7_000_000,
        memory_bytes: 4096,
        memory_counters: list([Counter {
            name: label("inactive_file"),
            value: 12,
        }]),
        block: list([BlockUse {
            major: 8,
            read_bytes: 512,
            reads: 1,
            ..BlockUse::default()
        }]),
        interfaces: list([InterfaceUse {
            name: label("eth0"),
            counts: [1, 2, 3, 4, 5, 6, 7, 8],
        }]),
        ..Usage::default()
    }
}

fn openings() -> Openings {
    let rule = DeviceRule {
        is_block: false,
        major: Some(10),
        minor: Some(229),
        read: true,
        write: true,
        make: false,
    };
    Openings {
        processes: Space::Of(jail()),
        shares_host_name: true,
        network_of: Some(jail()),
        devices: list([Device {
            path: text("/dev/fuse"),
            rule: rule.clone(),
            mode: 0o666,
            uid: 0,
            gid: 0,
        }]),
        device_rules: list([DeviceRule { minor: None, ..rule }]),
        ipc: Space::Host,
    }
}

fn jail() -> JailName {
    JailName::new("c1").expect("sample jail name")
}

fn process() -> ProcessSpec {
    ProcessSpec {
        role: Role::First,
        argv: list([text("/bin/echo"), text("grüße")]),
        env: list([text("PATH=/bin:/usr/bin")]),
        cwd: text("/srv"),
        uid: 1000,
        gid: 1001,
        groups: list([4, 5]),
        stdio: Stdio::Terminal {
            rows: 24,
            columns: 80,
        },
        rlimits: list([Rlimit {
            name: label("nofile"),
            soft: 1024,
            hard: u64::MAX,
        }]),
        capabilities: list(ProcessSpec::DEFAULT_CAPABILITIES),
        no_new_privileges: true,
        init: true,
        oom_score: -7,
    }
}
