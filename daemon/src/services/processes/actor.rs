//! The table of hubs and execs: a thin actor around two maps.

use super::hub::Hub;
use super::messages::{
    AddExec, DropContainer, DropExec, DropExecs, Exec, ExecState, ExecsOf, FindExec, HubOf,
};
use crate::kernel::limits::{ACTOR_DEADLINE, MAILBOX_MESSAGES_MAX};
use actix::{Actor, Addr, Context, Handler, MessageResult};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The actor.
#[derive(Default)]
pub struct ProcessesActor {
    hubs: BTreeMap<String, Arc<Hub>>,
    execs: BTreeMap<String, Arc<Exec>>,
}

impl Actor for ProcessesActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_MESSAGES_MAX);
    }
}

impl Handler<HubOf> for ProcessesActor {
    type Result = MessageResult<HubOf>;

    fn handle(&mut self, message: HubOf, _: &mut Self::Context) -> Self::Result {
        MessageResult(Arc::clone(self.hubs.entry(message.container).or_default()))
    }
}

impl Handler<DropContainer> for ProcessesActor {
    type Result = ();

    fn handle(&mut self, message: DropContainer, _: &mut Self::Context) {
        self.hubs.remove(&message.container);
        self.execs.retain(|_, exec| exec.container != message.container);
    }
}

impl Handler<DropExecs> for ProcessesActor {
    type Result = ();

    fn handle(&mut self, message: DropExecs, _: &mut Self::Context) {
        self.execs.retain(|_, exec| exec.container != message.container);
    }
}

impl Handler<DropExec> for ProcessesActor {
    type Result = ();

    fn handle(&mut self, message: DropExec, _: &mut Self::Context) {
        self.execs.remove(&message.id);
    }
}

impl Handler<AddExec> for ProcessesActor {
    type Result = ();

    fn handle(&mut self, AddExec(exec): AddExec, _: &mut Self::Context) {
        self.execs.insert(exec.id.clone(), exec);
    }
}

impl Handler<FindExec> for ProcessesActor {
    type Result = MessageResult<FindExec>;

    fn handle(&mut self, message: FindExec, _: &mut Self::Context) -> Self::Result {
        let found = self
            .execs
            .get(&message.id)
            .filter(|exec| exec.tenant == message.tenant);
        MessageResult(found.cloned())
    }
}

impl Handler<ExecsOf> for ProcessesActor {
    type Result = MessageResult<ExecsOf>;

    fn handle(&mut self, message: ExecsOf, _: &mut Self::Context) -> Self::Result {
        let running = |exec: &Exec| {
            matches!(
                exec.now(),
                ExecState::Created | ExecState::Starting | ExecState::Running { .. }
            )
        };
        let of = self
            .execs
            .values()
            .filter(|exec| exec.container == message.container && running(exec));
        MessageResult(of.map(|exec| exec.id.clone()).collect())
    }
}

/// The table does not answer: the daemon is overloaded or ending.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the table of processes does not answer")]
pub struct ProcessesBusy;

/// The handle through which everybody else asks the table.
#[derive(Debug, Clone)]
pub struct Processes(pub(crate) Addr<ProcessesActor>);

impl Processes {
    /// Asks one thing, with a deadline.
    ///
    /// # Errors
    /// [`ProcessesBusy`] where no answer came in time.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, ProcessesBusy>
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        ProcessesActor: Handler<M>,
    {
        self.0
            .send(message)
            .timeout(ACTOR_DEADLINE)
            .await
            .map_err(|_| ProcessesBusy)
    }
}
