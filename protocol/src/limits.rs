//! Every size limit of the wire, each with its reason.

/// Largest payload of one frame, in bytes. The largest message is a process with its arguments and environment
/// ([`ARGUMENT_BLOCK_BYTES_MAX`]); bulk data never crosses as a message, descriptors do.
pub const FRAME_BYTES_MAX: usize = 192 * 1024;

/// Arguments plus environment of one process, in bytes with their NULs. Linux limits one string to 128 KiB, and a
/// hand receives the block in a fixed-size order, so this is the size of that array.
pub const ARGUMENT_BLOCK_BYTES_MAX: usize = 128 * 1024;

/// Number of arguments plus environment variables of one process. Real images stay below a few hundred.
pub const ARGUMENTS_MAX: usize = 4096;

/// Items in one listing reply; listings continue by cursor. 512 names of 200 bytes fit a frame with room to spare.
pub const LIST_ITEMS_MAX: usize = 512;

/// Longest dataset name below the configured parent, in bytes. ZFS allows 255 for the whole name (zfsprops(7)).
pub const DATASET_NAME_BYTES_MAX: usize = 160;

/// Longest snapshot label (after the `@`), in bytes: room for a 64-digit id with a short prefix.
pub const SNAPSHOT_LABEL_BYTES_MAX: usize = 80;

/// Components of a dataset name below the parent: `volumes/<tenant>/<name>` is the deepest.
pub const DATASET_DEPTH_MAX: usize = 4;

/// Longest jail and mount point name, in bytes: a 64-digit container id with a short prefix.
pub const OBJECT_NAME_BYTES_MAX: usize = 80;

/// Longest interface name, in bytes: IFNAMSIZ is 16 with its NUL on both hosts.
pub const INTERFACE_NAME_BYTES_MAX: usize = 15;

/// Longest path inside a container or on the host, in bytes: PATH_MAX is 1024 with its NUL on FreeBSD.
pub const PATH_BYTES_MAX: usize = 1023;

/// Longest host name, in bytes: MAXHOSTNAMELEN is 256 with its NUL on FreeBSD, HOST_NAME_MAX is 64 on Linux (the
/// helper reports the host's own refusal).
pub const HOSTNAME_BYTES_MAX: usize = 255;

/// Longest detail text of an error, in bytes: one line of a log.
pub const ERROR_DETAIL_BYTES_MAX: usize = 256;

/// Longest tenant name and principal subject, in bytes: they stand in each audit line.
pub const PRINCIPAL_BYTES_MAX: usize = 64;

/// Descriptors that one frame may carry: standard input, output and error of a process are the most we pass.
pub const FRAME_DESCRIPTORS_MAX: usize = 4;

/// Supplementary groups of a process: NGROUPS_MAX was 16 before FreeBSD 8 and NFS still stops there.
pub const GROUPS_MAX: usize = 64;

/// Resource limits (`--ulimit`) of one process: both hosts know fewer than 20 kinds.
pub const RLIMITS_MAX: usize = 20;

/// Addresses of one interface: dual stack plus a few aliases.
pub const ADDRESSES_MAX: usize = 16;

/// Published ports in one rule set: Docker users publish ranges of some hundred ports.
pub const PORT_RULES_MAX: usize = 1024;

/// Processes in one `top` reply.
pub const PROCESSES_MAX: usize = 512;

/// Longest command line shown for one process, in bytes: `top` shows a line, not a program's whole environment.
pub const COMMAND_LINE_BYTES_MAX: usize = 200;

/// Linux capabilities or devices named in one request: there are 41 capabilities.
pub const CAPABILITIES_MAX: usize = 64;

/// Bind source roots in the mount helper's policy: an administrator lists a handful.
pub const POLICY_PATHS_MAX: usize = 64;

/// Tenants of one installation: each has a bridge of its own, and dockerd's pools hold 31 networks.
pub const TENANTS_MAX: usize = 24;

/// Kernel settings (`--sysctl`) of one jail: people set a handful.
pub const SYSCTLS_MAX: usize = 32;

/// Longest list of processors, in bytes: the worst list of every second one of 256 fits.
pub const CPU_LIST_BYTES_MAX: usize = 512;

/// Rates of single block devices in one request, and block devices in one answer.
pub const THROTTLES_MAX: usize = 32;

/// Memory counters in one answer: Linux has some 60.
pub const COUNTERS_MAX: usize = 96;

/// Interfaces in one answer: one for each network a container joins.
pub const INTERFACES_SHOWN_MAX: usize = 32;

/// Devices of the host, and rules about them, of one jail; people name one or two.
pub const DEVICES_MAX: usize = 32;
