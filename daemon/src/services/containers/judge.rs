//! What a request may do to a container in its state, and what dockerd says where it may not. Pure.

use super::state::{Container, Phase};
use crate::services::Failure;
use docker_api::error;

/// A request whose answer depends on the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// `POST /start`.
    Start,
    /// `POST /stop`.
    Stop,
    /// `POST /kill`.
    Kill,
    /// `POST /pause`.
    Pause,
    /// `POST /unpause`.
    Unpause,
    /// `POST /exec` and `POST /exec/start`.
    Exec,
    /// `POST /attach`.
    Attach,
    /// `GET /top`.
    Top,
    /// `POST /commit`.
    Commit,
    /// `GET /export`.
    Export,
    /// `POST /update`.
    Update,
    /// `DELETE` without `force`.
    Remove,
}

/// Whether a request may be done now; `named` is what the client called the container.
///
/// # Errors
/// dockerd's answer (28.5), to the letter.
pub(super) fn judge(ask: Ask, container: &Container, named: &str) -> Result<(), Failure> {
    let id = &container.id;
    let conflict = |text: String| Err(Failure::Conflict(text));
    let not_running = || conflict(format!("container {id} is not running"));
    let restarting = || {
        conflict(format!(
            "Container {id} is restarting, wait until the container is running"
        ))
    };
    match (ask, container.phase) {
        (Ask::Start, Phase::Running { .. } | Phase::Restarting) => Err(Failure::NotModified),
        (Ask::Start, Phase::Paused { .. }) => {
            conflict("cannot start a paused container, try unpause instead".to_owned())
        }
        (Ask::Start, Phase::Removing | Phase::Dead) => conflict(error::START_REMOVING.to_owned()),
        (Ask::Start, Phase::Created | Phase::Exited) => Ok(()),
        (Ask::Stop, _) if !container.is_running() => Err(Failure::NotModified),
        (Ask::Kill | Ask::Pause | Ask::Exec | Ask::Top, _) if !container.is_running() => not_running(),
        (Ask::Stop | Ask::Kill, _) => Ok(()),
        (Ask::Pause, Phase::Paused { .. }) => conflict(format!("Container {id} is already paused")),
        (Ask::Unpause, Phase::Paused { .. }) => Ok(()),
        // dockerd says 500, which is for its own faults.
        (Ask::Unpause, _) => conflict(format!("Container {id} is not paused")),
        (Ask::Exec, Phase::Paused { .. }) => conflict(format!(
            "Container {named} is paused, unpause the container before exec"
        )),
        (Ask::Attach, Phase::Paused { .. }) => conflict(format!(
            "container {named} is paused, unpause the container before attach"
        )),
        (Ask::Attach, Phase::Restarting) => conflict(format!(
            "container {named} is restarting, wait until the container is running"
        )),
        (Ask::Exec | Ask::Pause | Ask::Top, Phase::Restarting) => restarting(),
        (Ask::Update, Phase::Removing | Phase::Dead) => conflict(format!(
            "Cannot update container {id}: container is marked for removal and cannot be \"update\""
        )),
        (Ask::Remove, Phase::Paused { .. }) => conflict(format!(
            "cannot remove container \"{named}\": container is paused and must be unpaused first"
        )),
        (Ask::Remove, Phase::Running { .. } | Phase::Restarting) => conflict(format!(
            "cannot remove container \"{named}\": container is {}: stop the container before removing or force remove",
            container.status_word()
        )),
        (Ask::Commit | Ask::Export, Phase::Removing | Phase::Dead) => {
            let verb = if ask == Ask::Commit { "commit" } else { "export" };
            let is = if container.phase == Phase::Dead {
                "Dead"
            } else {
                "being removed"
            };
            conflict(format!("You cannot {verb} container {id} which is {is}"))
        }
        (
            Ask::Pause
            | Ask::Exec
            | Ask::Attach
            | Ask::Top
            | Ask::Commit
            | Ask::Export
            | Ask::Update
            | Ask::Remove,
            _,
        ) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::container;
    use super::*;

    /// One letter for each answer: what dockerd 28.5.2 answers, in the order of the states.
    #[test]
    fn every_request_is_answered_in_every_state_as_dockerd_does() {
        use Phase::{Created, Dead, Exited, Paused, Removing, Restarting, Running};
        let states = [
            Created,
            Running { pid: 1 },
            Paused { pid: 1 },
            Restarting,
            Exited,
            Removing,
            Dead,
        ];
        // y: done, m: 304 not modified, c: 409 conflict.
        let table = [
            (Ask::Start, "ymcmycc"),
            (Ask::Stop, "myyymmm"),
            (Ask::Kill, "cyyyccc"),
            (Ask::Pause, "cyccccc"),
            (Ask::Unpause, "ccycccc"),
            (Ask::Exec, "cyccccc"),
            (Ask::Attach, "yyccyyy"),
            (Ask::Top, "cyycccc"),
            (Ask::Commit, "yyyyycc"),
            (Ask::Export, "yyyyycc"),
            (Ask::Update, "yyyyycc"),
            (Ask::Remove, "ycccyyy"),
        ];
        for (ask, wanted) in table {
            let answers = states.map(|phase| match judge(ask, &container(phase), "x") {
                Ok(()) => 'y',
                Err(Failure::NotModified) => 'm',
                Err(Failure::Conflict(_)) => 'c',
                Err(other) => panic!("{ask:?} {phase:?}: {other}"),
            });
            assert_eq!(answers.iter().collect::<String>(), wanted, "{ask:?}");
        }
    }
}
