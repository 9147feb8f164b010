//! The mount helper: datasets, bind mounts, memory file systems and pseudo file systems below one mount root.
//!
//! ```text
//! daemon -- Request --> front -- policy --> order --> hand -- the same checks again --> target, source --> host
//! ```
//!
//! - [`front`] decodes what the daemon sends, judges it by [`policy`] and turns it into an [`order`]. It is
//!   sandboxed and nobody.
//! - [`hand`] reads orders, judges again and calls the host. It is root, because nothing else may mount.
//! - [`target`] and [`source`] turn hostile paths into descriptors; they are the same on both hosts.
//! - `host` is `linux/` or `freebsd/`: the system calls.
//!
//! It must never mount outside the mount root, show a host path outside the allowed roots, or follow a
//! symbolic link of a container out of that container. It remembers nothing: what is mounted is the kernel's
//! to say.

pub mod front;
pub mod hand;
mod listing;
mod order;
pub mod policy;
mod source;
mod target;

#[cfg(target_os = "freebsd")]
#[path = "freebsd/mod.rs"]
pub mod host;
#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
pub mod host;
