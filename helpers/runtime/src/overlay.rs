//! How an overlay says which dataset it is: the mount helper writes it, the zfs helper reads it in the mount table.
#![forbid(unsafe_code)]

use protocol::names::DatasetName;
use rustix::fs::{AtFlags, statat};
use std::io::Result;
use std::os::fd::AsFd;

/// The source of the overlay of a dataset: with the pool directory's identity, so that two pools of one host are told apart.
///
/// # Errors
/// What stat(2) of the pool directory gives.
pub fn source(pool: impl AsFd, dataset: &DatasetName) -> Result<String> {
    let pool = statat(pool, "", AtFlags::EMPTY_PATH)?;
    Ok(format!("{:x}-{:x}/{dataset}", pool.st_dev, pool.st_ino))
}
