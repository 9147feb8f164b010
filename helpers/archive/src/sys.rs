//! The helper's only unsafe code that both hosts share.

use helper_runtime::startup::{AUDIT_FD, CHANNEL_FD};

/// Closes the helper's connection and audit log in a worker. Only for a process that ends without returning to the loop
/// that owns them.
pub(crate) fn close_inherited() {
    for number in [CHANNEL_FD, AUDIT_FD] {
        // SAFETY: close(2) on an integer is memory safe. The owners of these descriptors are in stack frames of the service
        // loop, to which a worker never returns (it ends by exit), so nobody uses or closes the numbers again.
        unsafe { libc::close(number) };
    }
}
