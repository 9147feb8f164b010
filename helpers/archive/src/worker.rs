//! Long operations in processes of their own, so that the service answers on while a stream moves.
//!
//! A worker is a fork of the confined helper: it has the same sandbox, reads and writes only what the request gave it,
//! writes one [`Outcome`] and ends. When it dies instead, its outcome pipe ends without a message.

use crate::{host, sys};
use protocol::archive::Outcome;
use protocol::codec::encode;
use protocol::{Answer, ErrorCode, HelperError};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// Workers at once: each may hold [`crate::service::MEMORY_BYTES_MAX`], and pulls in parallel (dockerd: 3) plus some copies
/// and builds stay below it.
pub(crate) const WORKERS_MAX: usize = 8;

/// What an operation went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Entries read or written.
    pub(crate) entries: u64,
    /// Bytes of regular files read or written.
    pub(crate) content_bytes: u64,
}

/// What a worker does.
pub(crate) type Job = Box<dyn FnOnce() -> Answer<Tally>>;

/// The workers under way.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<host::Worker>);

impl Workers {
    /// Does `job` in a worker that tells `outcome` how it ended.
    ///
    /// # Errors
    /// `LimitReached` where [`WORKERS_MAX`] are at work, or what fork(2) gives.
    pub(crate) fn start(&mut self, outcome: OwnedFd, job: Job) -> Answer<()> {
        self.reap();
        if self.0.len() >= WORKERS_MAX {
            let busy = format!("{WORKERS_MAX} workers are busy");
            return Err(HelperError::new(ErrorCode::LimitReached, busy));
        }
        match host::fork().map_err(|error| HelperError::system("fork", &error))? {
            Some(worker) => self.0.push(worker),
            None => work(outcome, job),
        }
        Ok(())
    }

    /// Lets go of the workers that ended.
    pub(crate) fn reap(&mut self) {
        self.0.retain_mut(|worker| !worker.has_ended());
    }
}

/// The worker's life.
fn work(outcome: OwnedFd, job: Job) -> ! {
    // The connection and the audit log are the helper's; a worker that held them would keep the daemon waiting for their end.
    sys::close_inherited();
    let told = match job() {
        Ok(Tally {
            entries,
            content_bytes: bytes,
        }) => Outcome::Done {
            entries,
            content_bytes: bytes,
        },
        Err(error) => Outcome::Failed(error),
    };
    // Nobody is left to be told where this fails.
    let written = encode(&told).is_ok_and(|message| File::from(outcome).write_all(&message).is_ok());
    std::process::exit(if written { 0 } else { 1 })
}
