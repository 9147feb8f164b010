//! What the table of images can be asked.

use super::state::{Change, Layer};
use super::tables::Tables;
use actix::Message;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The table as it is now.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Tables>")]
pub(super) struct View;

/// Makes a change that was written to the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Apply(pub Change);

/// The lock under which a layer is made or removed.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Mutex<()>>")]
pub(super) struct LayerLock {
    /// The chain id.
    pub chain: String,
}

/// Keeps a layer, if it exists, until as many [`LetGoLayer`] came.
#[derive(Debug, Message)]
#[rtype(result = "Option<Layer>")]
pub(super) struct HoldLayer {
    /// The chain id.
    pub chain: String,
}

/// Ends what [`HoldLayer`] began.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LetGoLayer {
    /// The chain id.
    pub chain: String,
}

/// A layer exists now (again).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct PutLayer(pub Layer);

/// Takes a layer out of the table, if nothing needs it.
#[derive(Debug, Message)]
#[rtype(result = "Option<Layer>")]
pub(super) struct TakeUnusedLayer {
    /// The chain id.
    pub chain: String,
}
