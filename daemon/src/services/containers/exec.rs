//! `docker exec`: a further process in a running container.

use super::judge::{Ask, judge};
use super::roots::RootGuard;
use super::state::Container;
use super::verbs::{Containers, Deps, to_the_end};
use super::{links, process, start, user};
use crate::services::processes::messages::{AddExec, FindExec};
use crate::services::processes::{Exec, ExecState, Run, Stdio};
use crate::services::{Failure, naming};
use docker_api::exec::{ExecCreateRequest, ExecStartRequest};
use protocol::Principal;
use protocol::jail::Role;
use std::sync::{Arc, Mutex};

/// What an exec is made of.
pub type ExecSpec = ExecCreateRequest;

/// What dockerd puts before an exec that its runtime refused.
const EXEC_REFUSED: &str = "OCI runtime exec failed: exec failed: unable to start container process";

impl Containers {
    /// Makes an exec instance; gives its id.
    ///
    /// # Errors
    /// `Conflict` where the container does not run, `Invalid` without a command.
    pub async fn exec_create(&self, by: &Principal, text: &str, spec: ExecSpec) -> Result<String, Failure> {
        let found = self.find(by, text).await?;
        if spec.cmd.as_ref().is_none_or(Vec::is_empty) {
            return Err(Failure::Invalid("No exec command specified".to_owned()));
        }
        judge(Ask::Exec, &found.container, text)?;
        if spec.privileged {
            return Err(Failure::Unsupported(
                "exec --privileged is not supported by cellblock yet".to_owned(),
            ));
        }
        // Judged now, in dockerd's place; looked up again at the start, since the files may have changed.
        let root = self.0.roots.acquire(by, &found.container).await?;
        account_of(&self.0, by, &root, &found.container, &spec)
            .await
            .map_err(|failure| Failure::Invalid(failure.to_string()))?;
        Ok(make(&self.0, &found.container, spec).await?.id.clone())
    }

    /// Finds an exec.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words.
    pub async fn exec(&self, by: &Principal, id: &str) -> Result<Arc<Exec>, Failure> {
        let find = FindExec {
            id: id.to_owned(),
            tenant: by.tenant.as_str().to_owned(),
        };
        let found = self.0.processes.ask(find).await?;
        found.ok_or_else(|| Failure::NotFound(format!("No such exec instance: {id}")))
    }

    /// Whether an exec can be started now: one that cannot may be tried again.
    ///
    /// # Errors
    /// `Conflict` where its container does not run or is paused.
    pub async fn exec_may_start(&self, by: &Principal, exec: &Exec) -> Result<(), Failure> {
        let container = self.find(by, &exec.container).await?.container;
        judge(Ask::Exec, &container, &container.name)
    }

    /// Starts an exec. Whoever wants its output has attached to its hub before.
    ///
    /// # Errors
    /// `Conflict` where it ran already or its container does not run; `Invalid` where its command cannot be executed.
    pub async fn exec_start(
        &self,
        by: &Principal,
        exec: Arc<Exec>,
        how: ExecStartRequest,
    ) -> Result<(), Failure> {
        let found = self.find(by, &exec.container).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move {
            let started = run_exec(&deps, &by, &found.container, &exec, &how).await;
            if let Err(failure) = &started {
                exec.ended(start::exit_code_of(failure), 0);
            }
            started
        })
        .await
    }
}

/// Puts an exec into the table.
pub(super) async fn make(deps: &Deps, container: &Container, spec: ExecSpec) -> Result<Arc<Exec>, Failure> {
    let exec = Arc::new(Exec {
        id: naming::new_id(),
        container: container.id.clone(),
        tenant: container.tenant.clone(),
        hub: Arc::default(),
        state: Mutex::new(ExecState::Created),
        request: spec,
    });
    let command = exec.request.cmd.clone().unwrap_or_default().join(" ");
    deps.processes.ask(AddExec(Arc::clone(&exec))).await?;
    deps.tell(
        container,
        &format!("exec_create: {command}"),
        &[("execID", exec.id.clone())],
    );
    Ok(exec)
}

/// Runs an exec that was made.
pub(super) async fn run_exec(
    deps: &Arc<Deps>,
    by: &Principal,
    container: &Arc<Container>,
    exec: &Arc<Exec>,
    how: &ExecStartRequest,
) -> Result<(), Failure> {
    judge(Ask::Exec, container, &container.name)?;
    let request = &exec.request;
    let linked = links::resolve(deps, container).await.unwrap_or_default();
    let linked = linked
        .iter()
        .flat_map(|linked| links::environment(container, linked));
    let env: Vec<String> = linked.chain(request.env.iter().flatten().cloned()).collect();
    let root = deps.roots.acquire(by, container).await?;
    let account = account_of(deps, by, &root, container, request).await?;
    let asked = how
        .console_size
        .or(request.console_size)
        .map(|[rows, columns]| (cut(rows), cut(columns)));
    let wanted = process::Wanted {
        role: Role::Further,
        argv: request.cmd.clone().unwrap_or_default(),
        extra_env: &env,
        cwd: &request.working_dir,
        terminal: request.tty.then(|| exec.hub.size().or(asked).unwrap_or((0, 0))),
    };
    let spec = process::spec(&container.config, &container.host_config, &account, wanted)?;
    let stdio = if request.tty {
        Stdio::Terminal
    } else {
        Stdio::Pipes {
            input: request.attach_stdin,
        }
    };
    let run = Run {
        hub: Arc::clone(&exec.hub),
        log: None,
        keep_as: None,
        exec: Some(Arc::clone(exec)),
    };
    let jail = naming::jail(&container.id)?;
    let launched =
        crate::services::processes::launch(&deps.helpers.jail, &deps.launcher, by, jail, spec, stdio, run)
            .await;
    let running = launched.map_err(|error| start::explain(EXEC_REFUSED, error))?;
    exec.running(running.pid);
    let command = request.cmd.clone().unwrap_or_default().join(" ");
    deps.tell(
        container,
        &format!("exec_start: {command}"),
        &[("execID", exec.id.clone())],
    );
    let (deps, container, exec) = (Arc::clone(deps), Arc::clone(container), Arc::clone(exec));
    tokio::spawn(async move {
        let exit_code = running.exit_code.await.unwrap_or(255);
        let extra = [("execID", exec.id.clone()), ("exitCode", exit_code.to_string())];
        deps.tell(&container, "exec_die", &extra);
        drop(root);
    });
    Ok(())
}

/// Who an exec runs as: whom it names, else the container's user.
async fn account_of(
    deps: &Deps,
    by: &Principal,
    root: &RootGuard,
    container: &Container,
    spec: &ExecSpec,
) -> Result<user::Account, Failure> {
    let who = if spec.user.is_empty() {
        &container.config.user
    } else {
        &spec.user
    };
    let groups = container.host_config.group_add.clone().unwrap_or_default();
    user::find(deps, by, &root.mount_name(), who, &groups).await
}

fn cut(side: u32) -> u16 {
    u16::try_from(side).unwrap_or(u16::MAX)
}
