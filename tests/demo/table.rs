//! What ran where: every process of the installation with its user and what the kernel lets it do.

use std::fmt::Write;
use system_tests::proc::{self, Process};

/// Capabilities beyond which a row gives their number only.
const NAMED_MAX: usize = 7;

/// Names by number, without `CAP_` (linux/capability.h).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What each program does.
const JOBS: [(&str, &str); 7] = [
    ("cellblock", "launcher: starts the others, keeps descriptors"),
    ("cellblockd", "daemon: HTTP, JSON, images, logs, builds"),
    ("cellblock-zfs", "datasets"),
    ("cellblock-jail", "jails and processes in them"),
    ("cellblock-net", "interfaces, addresses, packet filter"),
    ("cellblock-mount", "mounts below one folder"),
    ("cellblock-archive", "tar archives in and out of trees"),
];

/// The table, as text.
pub(crate) fn of(launcher: u32, container: Option<u32>) -> String {
    let mut text = format!(
        "{:<22} {:>7} {:>6}  {:<7}  {:<44} job\n",
        "process", "pid", "uid", "seccomp", "capabilities"
    );
    let mut row = |name: &str, process: Process, job: &str| {
        let user = process.uids().first().map(u32::to_string).unwrap_or_default();
        let filter = if process.status("Seccomp").as_deref() == Some("0") {
            "-"
        } else {
            "list"
        };
        let held = capabilities(process.capabilities("CapPrm").unwrap_or(0));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<22} {:>7} {user:>6}  {filter:<7}  {held:<44} {job}",
            process.pid
        );
    };
    let job = |program: &str| {
        JOBS.iter()
            .find(|(name, _)| *name == program)
            .map_or("", |(_, job)| *job)
    };
    if let Some(process) = Process::find(launcher) {
        row("cellblock", process, job("cellblock"));
    }
    for process in proc::children(launcher) {
        let program = process.program();
        let is_front = |child: &Process| child.program() == program;
        let front = proc::children(process.pid).into_iter().find(is_front);
        match front {
            Some(front) => {
                row(&format!("{program}, front"), front, "decodes and judges for:");
                row(&format!("{program}, hand"), process, job(&program));
            }
            None => row(&program, process, job(&program)),
        }
    }
    if let Some(process) = container.and_then(Process::find) {
        row("/hello", process, "the container's first process");
    }
    text
}

fn capabilities(mask: u64) -> String {
    let names: Vec<&str> = NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| mask & 1 << number != 0)
        .map(|(_, name)| *name)
        .collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count <= NAMED_MAX => names.join(" "),
        count => format!("{count} of {}", NAMES.len()),
    }
}
