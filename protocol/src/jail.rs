//! Requests to the jail helper: jails and the processes in them.
//!
//! A jail is created empty, its network is configured, then its first process is launched; when that one ends the jail
//! is removed. On Linux a jail is a set of namespaces held by a waiting first process.

use crate::codec::{Decode, Encode};
use crate::limits::{
    ARGUMENT_BLOCK_BYTES_MAX, ARGUMENTS_MAX, CAPABILITIES_MAX, COMMAND_LINE_BYTES_MAX, GROUPS_MAX,
    LIST_ITEMS_MAX, PATH_BYTES_MAX, PROCESSES_MAX, RLIMITS_MAX,
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
    /// Size of /dev/shm in bytes.
    pub shm_bytes: u64,
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
