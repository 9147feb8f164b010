//! What the table of containers can be asked.

use super::state::{Container, Event, Refusal};
use actix::Message;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// A container and the lock that its verbs hold.
#[derive(Debug, Clone)]
pub struct Found {
    /// The container as it was when it was found.
    pub container: Arc<Container>,
    /// Held by whoever changes the container.
    pub lock: Arc<Mutex<()>>,
}

/// Puts a new container in the table, under its name.
#[derive(Debug, Message)]
#[rtype(result = "Result<Found, NameTaken>")]
pub struct Reserve(pub Box<Container>);

/// Another container has the name.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) that container to be able to reuse that name."
)]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// The id of the container that has it.
    pub by: String,
}

/// Finds a container by id, name or beginning of an id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Found, FindError>")]
pub struct Find {
    /// What the client wrote.
    pub text: String,
    /// Whose containers are looked at.
    pub tenant: String,
}

/// Why a container could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// There is none.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("Multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

/// Every container of a tenant, or of all.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Arc<Container>>")]
pub struct All {
    /// Whose; none means everybody's.
    pub tenant: Option<String>,
}

/// Tells the table what happened to a container.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Container>, ChangeError>")]
pub struct Change {
    /// The container's id.
    pub id: String,
    /// What happened.
    pub event: Event,
}

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChangeError {
    /// The container is gone.
    #[error("No such container: {0}")]
    Gone(String),
    /// It does not fit the state.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A rename to a name in use.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
}

/// Takes a container out of the table.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The container's id.
    pub id: String,
}

/// A view of a container that follows its changes and ends with it.
#[derive(Debug, Message)]
#[rtype(result = "Option<watch::Receiver<Arc<Container>>>")]
pub struct Watch {
    /// The container's id.
    pub id: String,
}
