//! Requests to the jail helper: jails and the processes in them.
//!
//! A jail is created empty, its network is configured, then its first process is launched; when that one ends the jail
//! is removed. On Linux a jail is a set of namespaces held by a waiting first process.

use crate::codec::{Decode, Encode};
use crate::limits::{
    ARGUMENT_BLOCK_BYTES_MAX, ARGUMENTS_MAX, CAPABILITIES_MAX, COMMAND_LINE_BYTES_MAX, COUNTERS_MAX,
    CPU_LIST_BYTES_MAX, DEVICES_MAX, GROUPS_MAX, INTERFACES_SHOWN_MAX, LIST_ITEMS_MAX, PATH_BYTES_MAX,
    PROCESSES_MAX, RLIMITS_MAX, SYSCTLS_MAX, THROTTLES_MAX,
};
use crate::names::{Bounded, HostName, JailName, Label, MountName, Text};

/// What the jail helper can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Makes a jail without processes. Answer: `Created`.
    Create(Box<JailSpec>),
    /// Sockets made inside the jail's network by root, for the net helper to configure it through. Answer: `Done` with one
    /// descriptor on Linux (route netlink) and two on FreeBSD (AF_INET datagram, then PF_ROUTE raw). `Refused` for a
    /// jail that shares the host's network.
    OpenNetwork {
        /// The jail.
        jail: JailName,
    },
    /// Starts a process in the jail. With [`Stdio::Pipes`] three descriptors come along: standard input, output and
    /// error; with [`Stdio::Terminal`] none. Answer: `Launched` with the exit descriptor and, for a terminal, its master.
    ///
    /// The exit descriptor is a pipe that delivers the process's wait status (four bytes, little endian, as in wait(2))
    /// and then end of file, on Linux; a process descriptor (pdfork(2)) on FreeBSD. Whoever holds it can wait.
    Launch {
        /// The jail.
        jail: JailName,
        /// What to run.
        process: Box<ProcessSpec>,
    },
    /// Sends a signal. Done also when the process has ended already.
    Signal {
        /// The jail.
        jail: JailName,
        /// To whom.
        target: SignalTarget,
        /// The signal's number on this host.
        signal: u8,
    },
    /// Kills every process in the jail and removes it. Done if there is no such jail.
    Remove {
        /// The jail.
        jail: JailName,
    },
    /// The processes in the jail.
    Processes {
        /// The jail.
        jail: JailName,
    },
    /// The jails of ours, one page in name order, after `after`.
    List {
        /// The last name of the previous page; none for the first page.
        after: Option<JailName>,
    },
    /// Holds every process of the jail where it is. Done also when they are held already.
    Pause {
        /// The jail.
        jail: JailName,
    },
    /// Lets the processes of the jail go on. Done also when they were not held.
    Resume {
        /// The jail.
        jail: JailName,
    },
    /// Sets what the jail may use, all of it anew: what is not limited here is not limited any more. `Unsupported` for a limit
    /// that this host cannot enforce.
    Limit {
        /// The jail.
        jail: JailName,
        /// Its limits.
        limits: Box<Limits>,
    },
    /// What the jail has used. Answer: `Usage`.
    Usage {
        /// The jail.
        jail: JailName,
    },
}

/// A jail to be made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JailSpec {
    /// Its name, without the configured prefix.
    pub jail: JailName,
    /// The mount point that becomes its root.
    pub root: MountName,
    /// Its host name.
    pub hostname: HostName,
    /// Its network.
    pub network: Network,
    /// Whether the root file system is read-only inside.
    pub root_access: crate::mount::Access,
    /// Which kind of programs it runs.
    pub flavour: crate::mount::Flavour,
    /// Size of /dev/shm in bytes, where it is the jail's own; 0 mounts none.
    pub shm_bytes: u64,
    /// Kernel settings of the jail's own namespaces (Linux; FreeBSD refuses any).
    pub sysctls: Bounded<Sysctl, SYSCTLS_MAX>,
    /// What its walls leave open.
    pub openings: Openings,
}

/// What a jail's walls leave open (Linux; FreeBSD refuses any).
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Openings {
    /// Whose processes it sees.
    pub processes: Space,
    /// Whether its host name is the host's own.
    pub shares_host_name: bool,
    /// The jail whose network it shares; its own `network` is [`Network::Host`] then, which it does not get.
    pub network_of: Option<JailName>,
    /// Devices of the host that are shown in it.
    pub devices: Bounded<Device, DEVICES_MAX>,
    /// Further devices that its programs may make and use.
    pub device_rules: Bounded<DeviceRule, DEVICES_MAX>,
    /// Whose System V objects, message queues and /dev/shm it has.
    pub ipc: Space,
}

/// Whose something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub enum Space {
    /// The jail's own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another jail's, which must run.
    Of(JailName),
}

/// A device node in a jail.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Device {
    /// Its path inside, absolute.
    pub path: Text<PATH_BYTES_MAX>,
    /// Which device, with both numbers given.
    pub rule: DeviceRule,
    /// Permission bits, owner and group, as on the host.
    pub mode: u16,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What may be done with devices.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeviceRule {
    /// A block device, or a character device.
    pub is_block: bool,
    /// Major number; none is any.
    pub major: Option<u32>,
    /// Minor number; none is any.
    pub minor: Option<u32>,
    /// Whether it may be read.
    pub read: bool,
    /// Whether it may be written.
    pub write: bool,
    /// Whether nodes of it may be made.
    pub make: bool,
}

/// A kernel setting.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Sysctl {
    /// Its name with dots: `net.core.somaxconn`.
    pub name: Label,
    /// Its value.
    pub value: Text<COMMAND_LINE_BYTES_MAX>,
}

/// No limit, in every field of [`Limits`].
pub const UNLIMITED: u64 = u64::MAX;

/// What a jail may use.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Memory and swap together, in bytes; not less than `memory_bytes`.
    pub memory_swap_bytes: u64,
    /// Memory in bytes below which the jail is pressed when the host runs short.
    pub memory_reservation_bytes: u64,
    /// Processor time in microseconds in each period.
    pub cpu_quota_us: u64,
    /// That period in microseconds.
    pub cpu_period_us: u64,
    /// Relative weight of processor time, 2 to 262144, 1024 being Docker's default; [`UNLIMITED`] leaves it.
    pub cpu_shares: u64,
    /// How gladly memory is swapped out, 0 to 100; [`UNLIMITED`] leaves it (Linux's version 1 control groups only).
    pub swappiness: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Relative weight of block devices, 10 to 1000; [`UNLIMITED`] leaves it.
    pub block_weight: u64,
    /// Processors to run on, `0-2,4`; empty for all.
    pub cpus: Text<CPU_LIST_BYTES_MAX>,
    /// Memory nodes to use; empty for all.
    pub memory_nodes: Text<CPU_LIST_BYTES_MAX>,
    /// Rates of single block devices.
    pub throttles: Bounded<Throttle, THROTTLES_MAX>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: UNLIMITED,
            memory_swap_bytes: UNLIMITED,
            memory_reservation_bytes: UNLIMITED,
            cpu_quota_us: UNLIMITED,
            cpu_period_us: Self::CPU_PERIOD_US,
            cpu_shares: UNLIMITED,
            swappiness: UNLIMITED,
            processes: UNLIMITED,
            block_weight: UNLIMITED,
            cpus: Text::cut(""),
            memory_nodes: Text::cut(""),
            throttles: Bounded::default(),
        }
    }
}

impl Limits {
    /// The kernel's own period of processor quotas, in microseconds (Linux, cgroup-v1/cpu and v2 `cpu.max`).
    pub const CPU_PERIOD_US: u64 = 100_000;
}

/// The highest rate of one kind of a block device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Throttle {
    /// Of what.
    pub what: Throttled,
    /// The device's numbers.
    pub major: u32,
    /// The device's numbers.
    pub minor: u32,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Throttled {
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Reads.
    Reads,
    /// Writes.
    Writes,
}

/// What a jail has used since it was made. What this host does not count is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Usage {
    /// Processor time in nanoseconds, all of it.
    pub cpu_ns: u64,
    /// Of that in programs.
    pub cpu_user_ns: u64,
    /// Of that in the kernel.
    pub cpu_kernel_ns: u64,
    /// Processor time of the whole host in nanoseconds, idle time included.
    pub host_cpu_ns: u64,
    /// Processors that run.
    pub host_cpus: u32,
    /// Periods with a processor quota in force.
    pub cpu_periods: u64,
    /// Of those, in which it was used up.
    pub cpu_periods_throttled: u64,
    /// Nanoseconds held back by it.
    pub cpu_throttled_ns: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The most it was, in bytes.
    pub memory_peak_bytes: u64,
    /// How much there may be, in bytes: the limit, or the host's memory where that is less.
    pub memory_limit_bytes: u64,
    /// How often the limit was reached.
    pub memory_failures: u64,
    /// The host's own counters of memory.
    pub memory_counters: Bounded<Counter, COUNTERS_MAX>,
    /// Processes killed because memory ran out.
    pub oom_kills: u64,
    /// Processes and threads.
    pub processes: u64,
    /// How many there may be; [`UNLIMITED`] for no limit.
    pub processes_limit: u64,
    /// Block devices: `<major>:<minor>` and what was done with them.
    pub block: Bounded<BlockUse, THROTTLES_MAX>,
    /// Interfaces of the jail's own network, the loopback one excepted.
    pub interfaces: Bounded<InterfaceUse, INTERFACES_SHOWN_MAX>,
}

/// A named number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Counter {
    /// The host's name for it.
    pub name: Label,
    /// Its value.
    pub value: u64,
}

/// What was done with one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct BlockUse {
    /// The device's numbers.
    pub major: u32,
    /// The device's numbers.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// What went through one interface, as the jail sees it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InterfaceUse {
    /// Its name inside.
    pub name: Label,
    /// Received: bytes, packets, errors, dropped; sent: the same four.
    pub counts: [u64; 8],
}

/// Which network a jail sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Network {
    /// A stack of its own (VNET, network namespace), empty but for a loopback interface.
    Own,
    /// The host's.
    Host,
}

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProcessSpec {
    /// The jail's first process or a further one.
    pub role: Role,
    /// Program and arguments; the program is searched in the process's own PATH inside the jail when it has no `/`.
    pub argv: Bounded<Text<ARGUMENT_BLOCK_BYTES_MAX>, ARGUMENTS_MAX>,
    /// Environment, `NAME=value`.
    pub env: Bounded<Text<ARGUMENT_BLOCK_BYTES_MAX>, ARGUMENTS_MAX>,
    /// Working directory inside the jail, absolute. It is created (root, 0755) where it is missing for the first process.
    pub cwd: Text<PATH_BYTES_MAX>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Bounded<u32, GROUPS_MAX>,
    /// Where its standard streams go.
    pub stdio: Stdio,
    /// Resource limits.
    pub rlimits: Bounded<Rlimit, RLIMITS_MAX>,
    /// Linux capabilities that it may hold, by number (capabilities(7)); the helper's policy has the last word. FreeBSD
    /// refuses a list that is not [`ProcessSpec::DEFAULT_CAPABILITIES`].
    pub capabilities: Bounded<u8, CAPABILITIES_MAX>,
    /// Whether set-user-id programs gain nothing (`no-new-privileges`).
    pub no_new_privileges: bool,
    /// Whether a first process is a small init that reaps orphans and passes signals on, with the program as its child.
    /// FreeBSD's own init does that for every jail, so it means nothing there.
    pub init: bool,
    /// How gladly the kernel kills it when memory runs out, -1000 to 1000 (proc_pid_oom_score_adj(5)). FreeBSD refuses any but 0.
    pub oom_score: i16,
}

impl ProcessSpec {
    /// Docker's default capabilities by number: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
    /// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
    pub const DEFAULT_CAPABILITIES: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
}

/// Which process of a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// The one whose end ends the jail.
    First,
    /// A further one (`docker exec`).
    Further,
}

/// Where standard streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Stdio {
    /// To the three descriptors of the request.
    Pipes,
    /// To a new terminal inside the jail.
    Terminal {
        /// Lines.
        rows: u16,
        /// Characters a line.
        columns: u16,
    },
}

/// One resource limit, as setrlimit(2) takes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rlimit {
    /// Docker's name: `nofile`, `nproc`, `core`, …
    pub name: Label,
    /// Soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is none.
    pub hard: u64,
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum SignalTarget {
    /// The first process.
    First,
    /// Every process of the jail.
    Everyone,
    /// One process of the jail, by its id as the host sees it; one that is not in the jail gets nothing.
    Process(i32),
}

/// What the jail helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// It is done.
    Done,
    /// To `Create`.
    Created {
        /// The jail's id on this host, by which the net helper moves interfaces into it: the jid on FreeBSD, the first
        /// process's pid on Linux.
        jid: i32,
    },
    /// To `Launch`; descriptors: exit descriptor, then the terminal's master if there is one.
    Launched {
        /// The process's id as the host sees it.
        pid: i32,
    },
    /// To `Processes`.
    Processes(Bounded<ProcessInfo, PROCESSES_MAX>),
    /// To `List`.
    Jails(Bounded<JailInfo, LIST_ITEMS_MAX>),
    /// To `Usage`.
    Usage(Box<Usage>),
}

/// One process, for `docker top`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProcessInfo {
    /// Process id as the host sees it.
    pub pid: i32,
    /// Parent's.
    pub ppid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Start, in seconds since 1970.
    pub started_s: u64,
    /// Processor time used, in seconds.
    pub cpu_s: u64,
    /// Controlling terminal, or `?`.
    pub terminal: Label,
    /// Command line, cut to the limit.
    pub command: Text<COMMAND_LINE_BYTES_MAX>,
}

/// One jail of ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JailInfo {
    /// Its name, without the prefix.
    pub jail: JailName,
    /// Its id on this host.
    pub jid: i32,
}
