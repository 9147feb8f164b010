//! What the table of processes can be asked.

use super::hub::Hub;
use actix::Message;
use docker_api::exec::ExecCreateRequest;
use std::sync::{Arc, Mutex, PoisonError};

/// The hub of a container, made where it is missing.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Hub>")]
pub struct HubOf {
    /// The container's id.
    pub container: String,
}

/// A container is gone: its hub and execs go too.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DropContainer {
    /// The container's id.
    pub container: String,
}

/// A container's run is over: its execs are over and forgotten, as in dockerd.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DropExecs {
    /// The container's id.
    pub container: String,
}

/// Forgets one exec.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DropExec {
    /// Its id.
    pub id: String,
}

/// An exec instance.
#[derive(Debug)]
pub struct Exec {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// The container's id.
    pub container: String,
    /// Whose it is.
    pub tenant: String,
    /// What was asked for.
    pub request: ExecCreateRequest,
    /// Its streams.
    pub hub: Arc<Hub>,
    /// What became of it.
    pub state: Mutex<ExecState>,
}

impl Exec {
    /// What became of it so far.
    #[must_use]
    pub fn now(&self) -> ExecState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that it runs, unless it has ended already.
    pub fn running(&self, pid: i32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, ExecState::Ended { .. }) {
            *state = ExecState::Running { pid };
        }
    }

    /// Records its end.
    pub fn ended(&self, exit_code: i64, pid: i32) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = ExecState::Ended { exit_code, pid };
    }
}

/// Where an exec is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecState {
    /// Not started.
    Created,
    /// Being started: a second start is refused.
    Starting,
    /// Runs.
    Running {
        /// Its process id on the host.
        pid: i32,
    },
    /// Ended, or could not be started.
    Ended {
        /// Its exit code.
        exit_code: i64,
        /// Its process id on the host; 0 if it never ran.
        pid: i32,
    },
}

/// Adds an exec.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AddExec(pub Arc<Exec>);

/// Finds an exec by its id.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Exec>>")]
pub struct FindExec {
    /// The id.
    pub id: String,
    /// Whose execs are looked at.
    pub tenant: String,
}

/// The ids of a container's execs.
#[derive(Debug, Message)]
#[rtype(result = "Vec<String>")]
pub struct ExecsOf {
    /// The container's id.
    pub container: String,
}
