//! On whose behalf a request is made.

use crate::codec::{Decode, Encode};
use crate::names::Label;

/// Who asked, as the daemon says. Helpers write it on the audit line; it grants nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Principal {
    /// The tenant whose objects are touched; `default` where no tenants are configured.
    pub tenant: Label,
    /// The subject: `uid:1001` for a unix socket's peer, `daemon` for the daemon's own housekeeping.
    pub subject: Label,
}

/// One request with the principal behind it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ask<R> {
    /// On whose behalf.
    pub by: Principal,
    /// What to do.
    pub request: R,
}
