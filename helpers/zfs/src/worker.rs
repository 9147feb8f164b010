//! Long operations in threads of their own, so that the service answers on while data move.
//!
//! A worker writes one [`Outcome`] to the descriptor that came with the request. When it ends otherwise, the descriptor is closed
//! without a message. Workers end with the helper, which ends with the daemon's connection.
#![forbid(unsafe_code)]

use protocol::codec::encode;
use protocol::zfs::Outcome;
use protocol::{Answer, ErrorCode, HelperError};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread::{Builder, JoinHandle};

/// Workers at once: each keeps the pool's disks busy, and a third would only make all of them slower.
const WORKERS_MAX: usize = 2;

/// What a worker does.
pub type Job = Box<dyn FnOnce() -> Answer<()> + Send>;

/// The workers under way.
#[derive(Debug, Default)]
pub struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// Does `job` in a worker that tells `outcome` how it ended.
    ///
    /// # Errors
    /// `LimitReached` where [`WORKERS_MAX`] are at work, or what making a thread gives.
    pub fn start(&mut self, outcome: OwnedFd, job: Job) -> Answer<()> {
        self.0.retain(|worker| !worker.is_finished());
        if self.0.len() >= WORKERS_MAX {
            let busy = format!("{WORKERS_MAX} copies are being made");
            return Err(HelperError::new(ErrorCode::LimitReached, busy));
        }
        let work = move || {
            let told: Outcome = job();
            if let Ok(message) = encode(&told) {
                // Nobody is left to be told where this fails.
                let _ = File::from(outcome).write_all(&message);
            }
        };
        let worker = Builder::new().spawn(work);
        self.0
            .push(worker.map_err(|error| HelperError::system("thread", &error))?);
        Ok(())
    }
}
