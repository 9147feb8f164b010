//! The archive helper: trees in and out of tar streams, beneath one mount root.
//!
//! It owns the reading of the most hostile input of the system, an image layer, with the rights that applying one takes
//! (owners, set-id bits, device nodes), and nothing else: no path outside the mount root, no network, no program, no mount.
//! The daemon asks it; it asks nobody.
//!
//! ```text
//! service ─ judges, opens the mount point ─▶ worker (fork, same sandbox) ─▶ outcome pipe
//!                                              ├─ extract     tar ─▶ tree   (extract/, tar/read)
//!                                              ├─ pack        tree ─▶ tar   (tar/write)
//!                                              ├─ difference  two trees ─▶ layer tar
//!                                              └─ inspect     one small file
//! ```
//!
//! Every step on a tree is relative to an open directory, resolved by [`helper_runtime::beneath`], with the last name
//! never followed, so that a container which swaps links meanwhile gains nothing.

mod difference;
mod error;
mod extract;
mod inspect;
mod pack;
mod remove;
mod service;
mod sys;
mod tar;
mod tree;
mod worker;

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "freebsd")]
use freebsd as host;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "linux")]
use linux as host;

pub use host::confine;
pub use service::Archive;
