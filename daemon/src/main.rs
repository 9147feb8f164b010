//! `cellblockd`: started by the launcher with its descriptors; see `cellblockd::config`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    cellblockd::kernel::main()
}
