//! Every capacity and timeout of the daemon, each with its reason.

use std::time::Duration;

/// Requests waiting for one helper. A helper does one at a time; more than this means that it hangs, and callers should
/// be told rather than queue.
pub const HELPER_QUEUE_REQUESTS_MAX: usize = 256;

/// How long one helper request may take. The longest are unmounting under load and destroying a large dataset.
pub const HELPER_DEADLINE: Duration = Duration::from_secs(120);

/// How long a request waits for a helper that is being restarted before it fails.
pub const HELPER_RETURN_DEADLINE: Duration = Duration::from_secs(10);

/// Messages waiting for one actor. Bursts of parallel API requests fit; senders wait beyond it.
pub const MAILBOX_MESSAGES_MAX: usize = 1024;

/// How long a send to an actor may take in all. Actors never wait for the outside, so this means a bug or overload.
pub const ACTOR_DEADLINE: Duration = Duration::from_secs(30);

/// Writes waiting for the database thread.
pub const STORE_QUEUE_CALLS_MAX: usize = 1024;

/// Events kept for `since` replay: dockerd keeps 256.
pub const EVENTS_KEPT_MAX: usize = 256;

/// Events waiting for one slow listener before it is dropped. A busy minute of a busy host fits.
pub const EVENTS_QUEUE_MAX: usize = 4096;

/// JSON request bodies, in bytes. The largest real ones carry an environment of some 100 KiB.
pub const JSON_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one read from a container's output.
pub const OUTPUT_CHUNK_BYTES: usize = 16 * 1024;

/// Chunks of output waiting for one attached client; the container waits beyond it, as with dockerd.
pub const OUTPUT_QUEUE_CHUNKS_MAX: usize = 64;

/// How long a container's output waits for an attached client that reads nothing. Then the client is cut off, so that a
/// forgotten terminal cannot stop a service for ever.
pub const OUTPUT_STALL_DEADLINE: Duration = Duration::from_secs(60);

/// Chunks of input waiting for one process.
pub const INPUT_QUEUE_CHUNKS_MAX: usize = 64;

/// Longest log entry, in bytes: dockerd splits longer lines at 16 KiB too.
pub const LOG_ENTRY_BYTES_MAX: usize = 16 * 1024;

/// How long output may keep coming after the process's end before the pipe is closed: whatever still holds it is outside
/// the jail, which has been removed by then.
pub const OUTPUT_DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long a program may run before its start is answered. dockerd takes longer after it has begun, so that its clients find
/// ports open and signals taken; this is a quarter of what dockerd takes.
pub const HEAD_START: Duration = Duration::from_millis(25);

/// How long after its start a container's log is not shown yet, unless it has ended: a short program has written everything by
/// then. dockerd answers a start so much later that its clients can rely on that.
pub const FIRST_OUTPUT_WITHIN: Duration = Duration::from_millis(100);

/// Default time between SIGTERM and SIGKILL on stop (Docker API, `t`).
pub const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How long a container may take to end after SIGKILL before stop answers with an error.
pub const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of regular files in one uploaded archive or layer. A named limit against bombs; large images are some 20 GiB.
pub const LAYER_CONTENT_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// Entries in one uploaded archive or layer. The largest known images have under two million.
pub const LAYER_ENTRIES_MAX: u64 = 4_000_000;

/// Bytes of an image's JSON (manifest, config): real ones stay below 100 KiB.
pub const IMAGE_JSON_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes of a container's /etc/passwd or /etc/group that are looked at to find a user.
pub const ACCOUNT_FILE_BYTES_MAX: u32 = 1024 * 1024;

/// Bytes of a Dockerfile.
pub const DOCKERFILE_BYTES_MAX: u64 = 1024 * 1024;

/// Open API connections at once. Each attached client holds one.
pub const CONNECTIONS_MAX: usize = 1024;

/// Bytes of an HTTP request's head, as in dockerd (Go's default header limit).
pub const HTTP_HEAD_BYTES_MAX: usize = 1024 * 1024;

/// How long a mount point may stay in use after its users have ended: descriptors that keep it busy are closed by other
/// processes, within milliseconds on an idle machine.
pub const UNMOUNT_DEADLINE: Duration = Duration::from_secs(5);

/// How long to wait before a busy mount point is tried again.
pub const UNMOUNT_INTERVAL: Duration = Duration::from_millis(20);

/// Connections, or UDP clients, through one published port's proxy at once. Each connection takes two descriptors; what comes from
/// outside does not take this way.
pub const PROXY_CONNECTIONS_MAX: usize = 512;

/// Bytes that a proxied connection moves at once, each way: with tokio's own 8 KiB most of the time goes into system calls.
pub const PROXY_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of one datagram: the most that UDP's length field can say.
pub const PROXY_DATAGRAM_BYTES_MAX: usize = 65_535;

/// How long a UDP client's path is kept after its last datagram: dockerd's proxy keeps it 90 seconds.
pub const PROXY_FLOW_IDLE: Duration = Duration::from_secs(90);

/// Bytes of one DNS message: the most that its length over TCP can say.
pub const DNS_MESSAGE_BYTES_MAX: usize = 65_535;

/// Questions, or connections, that one network's name server answers at once; askers repeat what is lost.
pub const DNS_QUESTIONS_MAX: usize = 256;

/// How long another name server may take: resolvers in containers wait five seconds in all.
pub const DNS_UPSTREAM_DEADLINE: Duration = Duration::from_secs(2);

/// How long a connection to a name server may be silent.
pub const DNS_CONNECTION_IDLE: Duration = Duration::from_secs(10);
