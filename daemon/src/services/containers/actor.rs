//! The table of containers: a thin actor around a map.

use super::messages::{All, Change, ChangeError, Find, FindError, Forget, Found, NameTaken, Reserve, Watch};
use super::state::{Container, Event};
use crate::kernel::limits::{ACTOR_DEADLINE, MAILBOX_MESSAGES_MAX};
use crate::services::clock;
use actix::{Actor, Addr, Context, Handler, MailboxError, MessageResult};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

struct Entry {
    view: watch::Sender<Arc<Container>>,
    lock: Arc<Mutex<()>>,
}

/// The actor.
#[derive(Default)]
pub struct ContainersActor {
    entries: BTreeMap<String, Entry>,
}

impl ContainersActor {
    /// The table as it was stored.
    #[must_use]
    pub fn new(stored: Vec<Container>) -> Self {
        let mut table = ContainersActor::default();
        for container in stored {
            table.insert(container);
        }
        table
    }

    fn insert(&mut self, container: Container) -> Found {
        let (id, container) = (container.id.clone(), Arc::new(container));
        let entry = Entry {
            view: watch::channel(Arc::clone(&container)).0,
            lock: Arc::default(),
        };
        let lock = Arc::clone(&entry.lock);
        self.entries.insert(id, entry);
        Found { container, lock }
    }

    fn containers(&self) -> impl Iterator<Item = (Arc<Container>, &Entry)> {
        self.entries
            .values()
            .map(|entry| (Arc::clone(&entry.view.borrow()), entry))
    }

    fn name_taken(&self, name: &str, tenant: &str, except: &str) -> Result<(), NameTaken> {
        let holder = self.containers().find(|(container, _)| {
            container.name == name && container.tenant == tenant && container.id != except
        });
        match holder {
            Some((holder, _)) => Err(NameTaken {
                name: name.to_owned(),
                by: holder.id.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Docker's order: a whole id, a name, then the beginning of an id.
    fn find(&self, find: &Find) -> Result<Found, FindError> {
        let found = |container: Arc<Container>, entry: &Entry| Found {
            container,
            lock: Arc::clone(&entry.lock),
        };
        let mine = || {
            self.containers()
                .filter(|(container, _)| container.tenant == find.tenant)
        };
        let name = find.text.strip_prefix('/').unwrap_or(&find.text);
        if let Some((container, entry)) =
            mine().find(|(container, _)| container.id == find.text || container.name == name)
        {
            return Ok(found(container, entry));
        }
        let mut beginning = mine().filter(|(container, _)| container.id.starts_with(&find.text));
        match (beginning.next(), beginning.next()) {
            (Some((container, entry)), None) if !find.text.is_empty() => Ok(found(container, entry)),
            (Some(_), Some(_)) if !find.text.is_empty() => Err(FindError::Ambiguous(find.text.clone())),
            (Some(_) | None, _) => Err(FindError::NotFound(find.text.clone())),
        }
    }

    fn change(&mut self, change: Change) -> Result<Arc<Container>, ChangeError> {
        let Change { id, event } = change;
        let entry = self
            .entries
            .get(&id)
            .ok_or_else(|| ChangeError::Gone(id.clone()))?;
        let mut container = Container::clone(&entry.view.borrow());
        if let Event::Renamed { name } = &event {
            self.name_taken(name, &container.tenant, &id)?;
        }
        container.apply(event, clock::now_ns())?;
        let container = Arc::new(container);
        entry.view.send_replace(Arc::clone(&container));
        Ok(container)
    }
}

impl Actor for ContainersActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_MESSAGES_MAX);
    }
}

impl Handler<Reserve> for ContainersActor {
    type Result = Result<Found, NameTaken>;

    fn handle(&mut self, Reserve(container): Reserve, _: &mut Self::Context) -> Self::Result {
        self.name_taken(&container.name, &container.tenant, &container.id)?;
        Ok(self.insert(*container))
    }
}

impl Handler<Find> for ContainersActor {
    type Result = Result<Found, FindError>;

    fn handle(&mut self, find: Find, _: &mut Self::Context) -> Self::Result {
        self.find(&find)
    }
}

impl Handler<All> for ContainersActor {
    type Result = MessageResult<All>;

    fn handle(&mut self, all: All, _: &mut Self::Context) -> Self::Result {
        let wanted = |container: &Container| all.tenant.as_ref().is_none_or(|t| *t == container.tenant);
        MessageResult(
            self.containers()
                .map(|(container, _)| container)
                .filter(|c| wanted(c))
                .collect(),
        )
    }
}

impl Handler<Change> for ContainersActor {
    type Result = Result<Arc<Container>, ChangeError>;

    fn handle(&mut self, change: Change, _: &mut Self::Context) -> Self::Result {
        self.change(change)
    }
}

impl Handler<Forget> for ContainersActor {
    type Result = ();

    fn handle(&mut self, forget: Forget, _: &mut Self::Context) {
        self.entries.remove(&forget.id);
    }
}

impl Handler<Watch> for ContainersActor {
    type Result = MessageResult<Watch>;

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.entries.get(&watch.id).map(|entry| entry.view.subscribe()))
    }
}

/// The table does not answer: the daemon is overloaded or ending.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the table of containers does not answer")]
pub struct TableBusy;

/// The handle through which everybody else asks the table.
#[derive(Debug, Clone)]
pub struct Table(pub(crate) Addr<ContainersActor>);

impl Table {
    /// Asks one thing, with a deadline.
    ///
    /// # Errors
    /// [`TableBusy`] where no answer came in time.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, TableBusy>
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        ContainersActor: Handler<M>,
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

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    fn table() -> ContainersActor {
        let mut one = container(Phase::Created);
        one.id = format!("aa11{}", "0".repeat(60));
        one.name = "one".to_owned();
        let mut two = container(Phase::Created);
        two.id = format!("aa22{}", "0".repeat(60));
        two.name = "aa1".to_owned();
        ContainersActor::new(vec![one, two])
    }

    fn find(text: &str) -> Result<String, FindError> {
        let find = Find {
            text: text.to_owned(),
            tenant: "default".to_owned(),
        };
        table().find(&find).map(|found| found.container.name.clone())
    }

    #[test]
    fn a_name_comes_before_the_beginning_of_an_id() {
        assert_eq!(find("aa1").unwrap(), "aa1");
        assert_eq!(find("aa11").unwrap(), "one");
        assert_eq!(find("/one").unwrap(), "one");
        assert_eq!(find("aa"), Err(FindError::Ambiguous("aa".to_owned())));
        assert_eq!(find("zz"), Err(FindError::NotFound("zz".to_owned())));
        assert_eq!(find(""), Err(FindError::NotFound(String::new())));
    }

    #[test]
    fn another_tenants_container_is_not_found() {
        let find = Find {
            text: "one".to_owned(),
            tenant: "other".to_owned(),
        };
        assert!(table().find(&find).is_err());
    }

    #[test]
    fn a_rename_to_a_name_in_use_changes_nothing() {
        let mut table = table();
        let id = format!("aa11{}", "0".repeat(60));
        let rename = |name: &str| Change {
            id: id.clone(),
            event: Event::Renamed {
                name: name.to_owned(),
            },
        };
        assert!(matches!(
            table.change(rename("aa1")),
            Err(ChangeError::NameTaken(_))
        ));
        assert_eq!(table.change(rename("one")).unwrap().name, "one");
        assert_eq!(table.change(rename("new")).unwrap().name, "new");
    }
}
