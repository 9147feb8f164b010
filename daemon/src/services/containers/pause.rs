//! `docker pause` and `docker unpause`.

use super::judge::{Ask, judge};
use super::messages::Found;
use super::start::current;
use super::state::{Container, Event};
use super::verbs::{Containers, Deps, to_the_end};
use crate::services::{Failure, naming};
use protocol::Principal;
use std::sync::Arc;

impl Containers {
    /// Holds every process of a container.
    ///
    /// # Errors
    /// `Conflict` where it does not run or is held already; `Unsupported` where the host cannot do it.
    pub async fn pause(&self, by: &Principal, text: &str) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move { pause(&deps, &by, &found).await }).await
    }

    /// Lets the processes of a container go on.
    ///
    /// # Errors
    /// `Conflict` where they are not held.
    pub async fn unpause(&self, by: &Principal, text: &str) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move {
            let _changing = found.lock.lock().await;
            let container = current(&deps, &found.container.id).await?;
            judge(Ask::Unpause, &container, &container.name)?;
            match resume(&deps, &by, &container).await {
                // It has ended a moment ago, which is told by itself.
                Err(Failure::NotFound(text)) => Err(Failure::Conflict(text)),
                other => other,
            }
        })
        .await
    }
}

/// Holds every process of a container.
///
/// # Errors
/// `Conflict` where it does not run or is held already; what the jail helper answers.
pub(super) async fn pause(deps: &Deps, by: &Principal, found: &Found) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let container = current(deps, &found.container.id).await?;
    judge(Ask::Pause, &container, &container.name)?;
    let context = format!("cannot pause container {}", container.id);
    let paused = deps.helpers.jail.pause(by, naming::jail(&container.id)?).await;
    if paused.as_ref().is_err_and(|error| error.is_not_found()) {
        // It has ended a moment ago, which is told by itself.
        return Err(Failure::Conflict(format!(
            "container {} is not running",
            container.id
        )));
    }
    paused.map_err(|error| Failure::from(error).within(&context))?;
    let paused = deps.change(&container.id, Event::Paused).await?;
    deps.tell(&paused, "pause", &[]);
    Ok(())
}

/// Lets processes that are held go on.
///
/// # Errors
/// What the jail helper answers: `NotFound` where the processes are no more.
pub(super) async fn resume(deps: &Deps, by: &Principal, container: &Container) -> Result<(), Failure> {
    match deps.helpers.jail.resume(by, naming::jail(&container.id)?).await {
        Err(error) if error.is_not_found() => {
            let text = format!("container {} is not running", container.id);
            return Err(Failure::NotFound(text));
        }
        other => other?,
    }
    match deps.change(&container.id, Event::Resumed).await {
        Ok(resumed) => deps.tell(&resumed, "unpause", &[]),
        // It has ended since, by the signal that it was resumed for.
        Err(Failure::Conflict(_) | Failure::NotFound(_)) => {}
        Err(other) => return Err(other),
    }
    Ok(())
}
