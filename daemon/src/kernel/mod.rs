//! KERNEL: starts everything in order, supervises, stops everything in the reverse order.

pub mod bus;
pub mod limits;
mod reconcile;
mod supervisor;
mod wiring;

use crate::config::Settings;
use crate::{edge, tenants};
use clap::Parser;
use protocol::Principal;
use protocol::names::{BadName, Label};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Worker threads of the runtime. Requests mostly wait for helpers; hashing and decompression run on blocking threads.
const WORKER_THREADS: usize = 4;

/// Runs the daemon until the launcher tells it to stop.
pub fn main() -> ExitCode {
    let settings = Settings::parse();
    // The only one that is built in, so that it cannot be there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = || {
        #[expect(clippy::expect_used)]
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .enable_all()
            .build()
            // PANIC: without threads there is no daemon; the launcher says what it saw and tries again.
            .expect("the runtime cannot be started");
        runtime
    };
    match actix::System::with_tokio_rt(runtime).block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the daemon ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), StartError> {
    let control = inherited(std::io::stdin().as_fd(), "standard input")?;
    let listener = UnixListener::from(inherited(std::io::stdout().as_fd(), "standard output")?);
    let (supervisor, mut stop) = supervisor::Supervisor::start(control).await?;
    empty_temporary(&settings.state_dir.join("tmp"))?;
    let kernel = wiring::wire(settings, &supervisor).await?;
    reconcile::reconcile(&kernel, supervisor.kept).await;
    kernel.containers.start_by_policy().await;
    let state = kernel.edge_state();
    let serving = tokio::spawn(edge::serve(listener, state));
    // Who cannot make a dataset is not ready; the launcher tries again, and gives up where this is its first daemon.
    let space = kernel.helpers.zfs.pool_space(&kernel.by).await;
    space.map_err(crate::services::Failure::from)?;
    supervisor.launcher.ready().map_err(StartError::Io)?;
    tracing::info!("ready");
    let (networks, by) = (kernel.networks.clone(), kernel.by.clone());
    let keeping = tokio::spawn(async move { networks.keep_rules(&by).await });
    // The sender is gone only with the launcher, which is as good a reason to stop.
    let _ = stop.recv().await;
    serving.abort();
    keeping.abort();
    reconcile::stop_everything(&kernel).await;
    Ok(())
}

/// What a killed daemon was receiving is of no use to this one.
fn empty_temporary(directory: &Path) -> Result<(), StartError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    Ok(std::fs::create_dir_all(directory)?)
}

fn inherited(descriptor: impl AsFd, name: &'static str) -> Result<OwnedFd, StartError> {
    descriptor
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| StartError::NotInherited(name))
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It was not started by the launcher.
    #[error("{0} is not a socket of the launcher's: cellblockd is started by cellblock")]
    NotInherited(&'static str),
    /// The launcher or the socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A service failed.
    #[error("{0}")]
    Service(#[from] crate::services::Failure),
    /// The database cannot be used.
    #[error("{0}")]
    Store(#[from] crate::store::StoreError),
}

/// The principal of the daemon's own housekeeping.
///
/// # Errors
/// Never: both words are good labels; the type asks.
pub(crate) fn housekeeping() -> Result<Principal, BadName> {
    housekeeping_of(tenants::DEFAULT)
}

/// The principal of the daemon's own work on what a tenant has: helpers judge it by that tenant's limits.
///
/// # Errors
/// Never for a tenant that something was stored of; the type asks.
pub(crate) fn housekeeping_of(tenant: &str) -> Result<Principal, BadName> {
    Ok(Principal {
        tenant: Label::new(tenant)?,
        subject: Label::new("daemon")?,
    })
}
