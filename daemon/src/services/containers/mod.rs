//! CONTAINERS (rank 2): what containers exist and what state each is in.
//!
//! ```text
//!            create             start              its process ends
//! (nothing) ────────▶ Created ────────▶ Running ──────────────────▶ Exited
//!                        │                 ▲                           │
//!                        │                 └──────── start ────────────┤
//!                        ▼ remove                                      ▼ remove
//!                     Removing ───────────────▶ (nothing), or Dead where removal failed
//! ```
//!
//! | message | asked by | answered with |
//! |---|---|---|
//! | `Reserve` | create | the container is in the table under its name, or who has the name |
//! | `Find` | everybody | the container that an id, a name or an id's beginning means |
//! | `All` | list, prune | every container |
//! | `Change` | verbs | the container after an event of the state machine, or why not |
//! | `Forget` | remove | it is gone |
//! | `Watch` | wait | a view that changes when the container does |
//!
//! The table is the actor's; verbs (`create`, `start`, `stop`, `remove`, …) are plain functions that hold the container's own
//! lock, ask the helpers, and tell the table what happened. They run in tasks of their own, so a client that
//! hangs up does not leave half of one.

mod actor;
mod attachment;
pub mod changes;
mod commit;
mod connect;
pub mod copy;
mod create;
mod endpoint;
mod exec;
mod files;
mod finish;
mod health;
pub mod inspect;
mod judge;
mod limits;
mod links;
pub mod list;
mod logging;
pub mod messages;
mod mounting;
mod mounts;
mod names;
mod openings;
mod pause;
mod ports;
mod process;
mod prune;
mod refuse;
mod remove;
mod resolv;
mod restart;
mod roots;
mod security;
mod size;
mod start;
mod state;
mod stop;
mod update;
mod usage;
mod user;
mod verbs;

pub use actor::{ContainersActor, Table, TableBusy};
pub use attachment::Attachment;
pub use commit::Commit;
pub use exec::ExecSpec;
pub use links::names_by_links;
pub use messages::FindError;
pub use refuse::runtimes;
pub use remove::How as RemoveHow;
pub use roots::{RootGuard, Roots};
pub use size::Sizes;
pub use state::{Container, Event, MountPlan, MountSource, Phase, Refusal, VolumeWanted};
pub use stop::{How as StopHow, Why as StopWhy};
pub use verbs::{Containers, Deps};
