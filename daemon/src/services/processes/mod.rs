//! PROCESSES (rank 3): what runs, its streams and its logs.
//!
//! Each process has a *hub*: where its output fans out to attached clients and to the log, and where input comes from.
//! A container's hub exists before its process (clients attach first, then start) and serves one run after another. An exec's
//! hub lives as long as its process.
//!
//! | message | asked by | answered with |
//! |---|---|---|
//! | `HubOf` | attach, start, resize | the hub of a container, made where it is missing |
//! | `DropContainer` | remove | hub and execs are gone |
//! | `AddExec`, `FindExec`, `ExecsOf` | exec verbs | the exec instances |
//! | `DropExecs` | the end of a run | the execs are gone |

mod actor;
pub mod hub;
pub mod logs;
pub mod messages;
mod run;
mod stream;

pub use actor::{Processes, ProcessesActor, ProcessesBusy};
pub use hub::{Attachment, Chunk, Hub};
pub use messages::{Exec, ExecState};
pub use run::{Ended, Kept, Run, Stdio, adopt, launch};
