//! SERVICES: one folder per kind of thing that exists.
//!
//! Ranks (requests go only to a higher rank, news comes back only as events):
//!
//! | rank | service | owns |
//! |---|---|---|
//! | 1 | `builder` | builds under way, the build cache |
//! | 2 | `containers` | containers and their states |
//! | 3 | `processes` | running processes, their streams and logs |
//! | 4 | `images`, `networks`, `volumes` | images and layers; networks and addresses; volumes |
//! | 5 | [`crate::store`] | the record of wishes |
//! | 6 | [`crate::transport`] | connections to the helpers |
//!
//! A service is an actor where it owns state that several others use; its folder then reads `mod.rs`, `messages.rs`,
//! `state.rs` (pure), `actor.rs` (thin), and a file for each verb.

pub mod builder;
pub mod clock;
pub mod containers;
pub mod failure;
pub mod images;
pub mod naming;
pub mod networks;
pub mod processes;
pub mod reservations;
pub mod units;
pub mod volumes;
pub use failure::Failure;
