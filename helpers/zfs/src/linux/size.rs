//! How many bytes a tree takes on its file system.

use super::open_beneath;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use std::io::Result;
use std::os::fd::OwnedFd;

/// Bytes of a block as `stx_blocks` counts it, whatever the file system's own block size (statx(2)).
const STAT_BLOCK_BYTES: u64 = 512;

/// The bytes that all files below `root` take, each counted once however many links it has.
///
/// Directories wait by their path from `root`, so that a deep tree needs no more descriptors than a flat one. A container
/// may change the tree meanwhile; what vanishes is not counted.
///
/// # Errors
/// `ENAMETOOLONG` where the tree is nested deeper than a path can name; else what the system says.
pub(super) fn bytes_of(root: &OwnedFd) -> Result<u64> {
    let wanted = StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::BLOCKS;
    let mut total = 0_u64;
    let mut waiting = vec![b".".to_vec()];
    while let Some(path) = waiting.pop() {
        let directory = match open_beneath(root, path.as_slice(), OFlags::DIRECTORY) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statx(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW, wanted) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let bytes = stat.stx_blocks.saturating_mul(STAT_BLOCK_BYTES);
            if FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory {
                total = total.saturating_add(bytes);
                waiting.push([path.as_slice(), entry.file_name().to_bytes()].join(&b'/'));
            } else {
                // All links of a file lie in the same tree, so their shares add up to the file.
                total = total.saturating_add(bytes / u64::from(stat.stx_nlink).max(1));
            }
        }
    }
    Ok(total)
}
