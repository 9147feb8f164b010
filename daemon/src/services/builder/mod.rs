//! BUILDER (rank 1): `docker build` as dockerd's classic builder does it.
//!
//! Each step makes an image on top of the one before; a step that was done before on the same image is taken from there.
//!
//! ```text
//! upload ──▶ context.rs (a tree in a tar) ──▶ lines.rs, dockerfile.rs (what is asked for)
//!                 │                                  │
//!                 │                     steps.rs, stage by stage, step by step
//!                 ▼                 ┌────────────────┼──────────────────┐
//!      transfer.rs, source.rs   plan.rs           run.rs            cache.rs
//!      fetch.rs, copy.rs, …     configuration     a container,      an image that has
//!      a layer's tar            and history       then what it      done it already
//!                 │                 │             changed
//!                 └─────────────────┴────────────────┴──▶ images: a layer, an image
//! ```
//!
//! A build is one task and owns everything that it makes: what a failed or abandoned one leaves are whole images of steps
//! that were done, which are the cache, and, where the client did not ask otherwise, the container of the step that failed, as
//! with dockerd. Uploads and layers under way are files of `state_dir/tmp`, removed when they are dropped.
//!
//! Refused: what only BuildKit does (`RUN --mount`, `COPY --link`), but here-documents are taken; repositories of git as context or
//! in `ADD`; and, unless the administrator allows experimental features, `--squash`.
//!
//! BuildKit's own wire is not spoken. What it would take: `POST /session` and `POST /grpc` become HTTP/2 connections after an upgrade.
//! On the first the client is the server (file sync, credentials, secrets), on the second the daemon is (`moby.buildkit.v1.Control`:
//! `Info`, `ListWorkers`, `Solve`, `Status`). `Solve` with the frontend `dockerfile.v0` names the options of a `BuildQuery` and a
//! session; the context comes from that session's file sync into a spooled tar, from there on everything above stays, and
//! `output.rs` tells vertices and logs to `Status` in place of lines. Graphs of other frontends would be refused.

mod arguments;
mod cache;
mod cache_from;
mod context;
mod copy;
mod dockerfile;
mod entries;
mod fetch;
mod glob;
mod layer;
mod lines;
mod output;
mod place;
mod plan;
mod pull;
mod refuse;
mod run;
mod source;
mod steps;
mod transfer;

use crate::config::Settings;
use crate::services::Failure;
use crate::services::containers::Containers;
use crate::services::images::{Images, PROGRESS_QUEUE_LINES_MAX, Spool};
use docker_api::build_image::{BuildQuery, ProgressLine};
use entries::EntryError;
use output::Output;
use protocol::Principal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The handle.
#[derive(Debug, Clone)]
pub struct Builder(Arc<Deps>);

/// What builds work with: everything of a higher rank.
#[derive(Debug)]
struct Deps {
    containers: Containers,
    images: Images,
    settings: Arc<Settings>,
}

/// A build under way.
#[derive(Debug)]
pub struct Building {
    /// What the client is told, line by line. Dropping it cancels the build.
    pub lines: mpsc::Receiver<ProgressLine>,
    /// Its end: an error only where no line was sent, since a later one is a line itself.
    pub ended: JoinHandle<Result<(), Failure>>,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// It cannot be done.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// A command said that it failed.
    #[error("{message}")]
    Exited {
        /// dockerd's words.
        message: String,
        /// Its exit code.
        code: i64,
    },
    /// The client went away.
    #[error("Build cancelled")]
    Cancelled,
}

impl BuildError {
    fn invalid(text: impl Into<String>) -> Self {
        BuildError::Failed(Failure::Invalid(text.into()))
    }

    fn unsupported(what: impl std::fmt::Display) -> Self {
        BuildError::Failed(Failure::Unsupported(format!(
            "{what} is not supported by cellblock yet"
        )))
    }

    /// dockerd's answer to an option that its classic builder does not have.
    fn needs_buildkit(option: &str) -> Self {
        BuildError::invalid(format!("the --{option} option {}", lines::NEEDS_BUILDKIT))
    }

    /// Puts words in front.
    fn within(self, context: &str) -> Self {
        match self {
            BuildError::Failed(failure) => BuildError::Failed(failure.within(context)),
            BuildError::Exited { message, code } => BuildError::Exited {
                message: format!("{context}: {message}"),
                code,
            },
            BuildError::Cancelled => BuildError::Cancelled,
        }
    }
}

impl From<EntryError> for BuildError {
    fn from(error: EntryError) -> Self {
        // dockerd answers 500 for damaged archives; what the client sent wrong is none of the daemon's faults.
        let text = error.to_string();
        BuildError::Failed(match error {
            EntryError::Read(_) => Failure::System(text),
            EntryError::InvalidHeader
            | EntryError::UnexpectedEof
            | EntryError::FieldTooLong
            | EntryError::Name(_)
            | EntryError::Unsupported(..) => Failure::Invalid(text),
        })
    }
}

impl From<crate::transport::TransportError> for BuildError {
    fn from(error: crate::transport::TransportError) -> Self {
        BuildError::Failed(error.into())
    }
}

impl From<protocol::names::BadName> for BuildError {
    fn from(bad: protocol::names::BadName) -> Self {
        BuildError::Failed(bad.into())
    }
}

impl Builder {
    /// Wires it.
    #[must_use]
    pub fn new(containers: Containers, images: Images, settings: Arc<Settings>) -> Self {
        Builder(Arc::new(Deps {
            containers,
            images,
            settings,
        }))
    }

    /// Where uploads are spooled.
    #[must_use]
    pub fn spool_directory(&self) -> PathBuf {
        self.0.spool_directory()
    }

    /// Starts a build of an uploaded context: a tar, plain or gzip. `registries` is the header `X-Registry-Config`.
    #[must_use]
    pub fn start(&self, by: &Principal, query: BuildQuery, registries: String, upload: Spool) -> Building {
        let (sender, lines) = mpsc::channel(PROGRESS_QUEUE_LINES_MAX);
        let output = Output::new(sender, query.quiet);
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        let ended =
            tokio::spawn(async move { steps::build(deps, by, query, registries, upload, output).await });
        Building { lines, ended }
    }
}

impl Deps {
    fn spool_directory(&self) -> PathBuf {
        self.settings.state_dir.join("tmp")
    }
}

/// Runs work that blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    let ending = || BuildError::Failed(Failure::Unavailable("the daemon is ending".to_owned()));
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ending()))
}
