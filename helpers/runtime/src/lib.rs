//! What every privileged helper does the same way: start clean, enter its sandbox, serve one connection, write the audit log.
//!
//! A helper's `main` is a table of contents: [`startup::clean`], [`startup::policy`], its own descriptors, the
//! sandbox, [`serve::forever`]. Helpers have no threads and no async code; one request is handled at a time.
//!
//! This crate must never learn what any helper's requests mean.

pub mod audit;
pub mod beneath;
pub mod log;
pub mod order;
pub mod pair;
pub mod sandbox;
pub mod serve;
pub mod startup;
mod sys;
#[cfg(all(feature = "testing", target_os = "linux"))]
pub mod testing;
