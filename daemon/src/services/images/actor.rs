//! The table of images and layers: a thin actor around [`Tables`].

use super::messages::{Apply, HoldLayer, LayerLock, LetGoLayer, PutLayer, TakeUnusedLayer, View};
use super::state::Layer;
use super::tables::Tables;
use crate::kernel::limits::{ACTOR_DEADLINE, MAILBOX_MESSAGES_MAX};
use actix::{Actor, Addr, Context, Handler, MailboxError, MessageResult};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The actor.
pub(super) struct ImagesActor {
    /// Shared with readers; a change while somebody reads copies it.
    state: Arc<Tables>,
    locks: BTreeMap<String, Arc<Mutex<()>>>,
}

impl ImagesActor {
    /// The table as it was stored.
    #[must_use]
    pub(super) fn new(state: Tables) -> Self {
        ImagesActor {
            state: Arc::new(state),
            locks: BTreeMap::new(),
        }
    }

    fn state(&mut self) -> &mut Tables {
        Arc::make_mut(&mut self.state)
    }
}

impl Actor for ImagesActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_MESSAGES_MAX);
    }
}

impl Handler<View> for ImagesActor {
    type Result = MessageResult<View>;

    fn handle(&mut self, View: View, _: &mut Self::Context) -> Self::Result {
        MessageResult(Arc::clone(&self.state))
    }
}

impl Handler<Apply> for ImagesActor {
    type Result = ();

    fn handle(&mut self, Apply(change): Apply, _: &mut Self::Context) {
        self.state().apply(change);
    }
}

impl Handler<LayerLock> for ImagesActor {
    type Result = MessageResult<LayerLock>;

    fn handle(&mut self, message: LayerLock, _: &mut Self::Context) -> Self::Result {
        // Locks that nobody has are forgotten here: there would be one for each layer that ever was.
        self.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        MessageResult(Arc::clone(self.locks.entry(message.chain).or_default()))
    }
}

impl Handler<HoldLayer> for ImagesActor {
    type Result = Option<Layer>;

    fn handle(&mut self, message: HoldLayer, _: &mut Self::Context) -> Self::Result {
        self.state().hold(&message.chain)
    }
}

impl Handler<LetGoLayer> for ImagesActor {
    type Result = ();

    fn handle(&mut self, message: LetGoLayer, _: &mut Self::Context) {
        self.state().let_go(&message.chain);
    }
}

impl Handler<PutLayer> for ImagesActor {
    type Result = ();

    fn handle(&mut self, PutLayer(layer): PutLayer, _: &mut Self::Context) {
        self.state().put_layer(layer);
    }
}

impl Handler<TakeUnusedLayer> for ImagesActor {
    type Result = Option<Layer>;

    fn handle(&mut self, message: TakeUnusedLayer, _: &mut Self::Context) -> Self::Result {
        self.state().take_unused(&message.chain)
    }
}

/// The table does not answer: the daemon is overloaded or ending.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the table of images does not answer")]
pub(super) struct TableBusy;

impl From<TableBusy> for crate::services::Failure {
    fn from(busy: TableBusy) -> Self {
        crate::services::Failure::Unavailable(busy.to_string())
    }
}

/// The handle through which the verbs ask the table.
#[derive(Debug, Clone)]
pub(super) struct Table(Addr<ImagesActor>);

impl Table {
    /// Starts the actor.
    #[must_use]
    pub(super) fn start(state: Tables) -> Self {
        Table(ImagesActor::new(state).start())
    }

    /// Asks one thing, with a deadline.
    ///
    /// # Errors
    /// [`TableBusy`] where no answer came in time.
    pub(super) async fn ask<M>(&self, message: M) -> Result<M::Result, TableBusy>
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        ImagesActor: Handler<M>,
    {
        self.0
            .send(message)
            .timeout(ACTOR_DEADLINE)
            .await
            .map_err(|error| match error {
                MailboxError::Closed | MailboxError::Timeout => TableBusy,
            })
    }
}
