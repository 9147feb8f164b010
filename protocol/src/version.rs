//! The one version that daemon and helpers must share.

/// Version of every message in this crate. Daemon and helpers ship together, so equality is required.
///
/// - 1: first release.
pub const PROTOCOL_VERSION: u16 = 1;
