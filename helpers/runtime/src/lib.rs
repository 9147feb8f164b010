//! What every privileged helper does the same way: start clean, enter its sandbox, serve one connection, write the audit log.
//!
//! A helper's `main` is a table of contents: [`startup::clean`], [`startup::policy`], its own descriptors, the
//! sandbox, [`serve::forever`]. Helpers have no async code; one request is handled at a time. What takes long is done by
//! workers: forks of the archive helper, threads of the zfs helper.
//!
//! This crate must never learn what any helper's requests mean.

pub mod audit;
pub mod beneath;
pub mod log;
pub mod order;
#[cfg(target_os = "linux")]
pub mod overlay;
pub mod pair;
pub mod sandbox;
pub mod serve;
pub mod startup;
mod sys;
#[cfg(all(feature = "testing", target_os = "linux"))]
pub mod testing;
