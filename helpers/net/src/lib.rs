//! The net helper: bridges, endpoint pairs, addresses inside jails, and one rule set per network.
//!
//! ```text
//! daemon -- Request --> service -- policy --> host (linux/ or freebsd/): sockets opened before the sandbox
//!                          |
//!                          +-- text of rules --> hand: nft(8) or pfctl(8), fixed arguments
//! ```
//!
//! A pair of processes (see [`helper_runtime::pair`]): the front serves the daemon in a sandbox without files and programs, on
//! sockets that were opened before; the hand runs one program that loads rules.
//!
//! It must never touch an interface that is not of ours (names begin with `cb`), addresses of the host's own interfaces, or
//! rules outside its own anchor. It enters no jail. It remembers nothing: what is there is the kernel's to say.

pub mod freebsd;
pub mod hand;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod lock;
pub mod policy;
pub mod prefix;
pub mod service;
#[cfg(test)]
mod testing;

#[cfg(target_os = "freebsd")]
pub use freebsd as host;
#[cfg(target_os = "linux")]
pub use linux as host;
