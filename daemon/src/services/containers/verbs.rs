//! The handle through which the edge and the builder use containers.
//!
//! Each verb runs in a task of its own: a client that hangs up does not stop it half-way.

use super::actor::Table;
use super::judge::{Ask, judge};
use super::messages::{All, Change, ChangeError, Find, Found, Watch};
use super::roots::{RootGuard, Roots};
use super::state::{Container, Event, MountPlan, Starter};
use super::{connect, create, endpoint, finish, logging, remove, restart, start, stop};
use crate::config::Settings;
use crate::kernel::bus::Bus;
use crate::kernel::housekeeping_of;
use crate::kernel::limits::{FIRST_OUTPUT_WITHIN, HEAD_START};
use crate::services::images::Images;
use crate::services::networks::Networks;
use crate::services::processes::logs::{LogPlan, LogWriter};
use crate::services::processes::messages::{ExecsOf, HubOf};
use crate::services::processes::{Hub, Kept, Processes, Run};
use crate::services::reservations::Reservations;
use crate::services::volumes::Volumes;
use crate::services::{Failure, clock, naming};
use crate::store::{Kind, Store};
use crate::transport::Helpers;
use crate::transport::launcher::Launcher;
use docker_api::containers::{CreateRequest, WaitCondition};
use docker_api::networks::NetworkConnectRequest;
use protocol::Principal;
use protocol::handshake::HostOs;
use protocol::jail::{ProcessInfo, SignalTarget};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Exit code of a run whose end nobody saw, as dockerd has it.
const EXIT_CODE_UNKNOWN: i64 = 255;

/// What verbs work with: everything of a higher rank, and nothing of a lower one.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub table: Table,
    /// The record of wishes.
    pub store: Store,
    /// The helpers.
    pub helpers: Helpers,
    /// News.
    pub bus: Bus,
    /// Who keeps descriptors.
    pub launcher: Launcher,
    /// Hubs and execs.
    pub processes: Processes,
    /// Images.
    pub images: Images,
    /// Networks.
    pub networks: Networks,
    /// Volumes.
    pub volumes: Volumes,
    /// Mounted roots.
    pub roots: Roots,
    /// The daemon's settings.
    pub settings: Arc<Settings>,
    /// Held while a change is made and written, so that writes keep the order of changes.
    pub recording: tokio::sync::Mutex<()>,
    /// Whether what an earlier daemon left has been dealt with: until then nothing is started by a policy.
    pub reconciled: tokio::sync::watch::Sender<bool>,
    /// The tenants whose ended containers are being removed: one such request of each at a time.
    pub pruning: Reservations,
}

impl Deps {
    /// Tells the table what happened and writes the container down.
    ///
    /// # Errors
    /// `Conflict` where it does not fit the state.
    pub(super) async fn change(&self, id: &str, event: Event) -> Result<Arc<Container>, Failure> {
        let _recording = self.recording.lock().await;
        let container = self.note(id, event).await?;
        self.store.put(Kind::Container, id, &*container).await?;
        Ok(container)
    }

    /// Tells the table what happened, without writing it down: the next daemon need not know.
    ///
    /// # Errors
    /// `Conflict` where it does not fit the state.
    pub(super) async fn note(&self, id: &str, event: Event) -> Result<Arc<Container>, Failure> {
        let change = Change {
            id: id.to_owned(),
            event,
        };
        self.table.ask(change).await?.map_err(|error| match error {
            ChangeError::Gone(text) => Failure::NotFound(format!("No such container: {text}")),
            ChangeError::Refused(why) => Failure::Conflict(why.to_string()),
            ChangeError::NameTaken(taken) => Failure::Conflict(taken.to_string()),
        })
    }

    /// Publishes an event about a container with dockerd's attributes.
    pub(super) fn tell(&self, container: &Container, action: &str, extra: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = container.config.labels.clone().unwrap_or_default();
        attributes.insert("image".to_owned(), container.config.image.clone());
        attributes.insert("name".to_owned(), container.name.clone());
        attributes.extend(
            extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        self.bus
            .publish(&container.tenant, "container", action, &container.id, attributes);
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// `Conflict` where it has ended and its jail is gone already; what the jail helper answers.
    pub(super) async fn helpers_signal(&self, by: &Principal, id: &str, signal: u8) -> Result<(), Failure> {
        let jail = naming::jail(id)?;
        let sent = self
            .helpers
            .jail
            .signal(by, jail, SignalTarget::First, signal)
            .await;
        sent.map_err(|error| {
            if error.is_not_found() {
                Failure::Conflict(format!("container {id} is not running"))
            } else {
                error.into()
            }
        })
    }

    /// Completes when what an earlier daemon left has been dealt with.
    pub(super) async fn wait_until_reconciled(&self) {
        // A sender that is gone means that the daemon is ending.
        let _ = self.reconciled.subscribe().wait_for(|done| *done).await;
    }

    /// Which family of host this is.
    pub(super) fn host_os(&self) -> HostOs {
        self.helpers
            .jail
            .0
            .facts()
            .map_or(HostOs::Linux, |facts| facts.os)
    }

    /// A container's directory: its log.
    pub(super) fn directory(&self, id: &str) -> PathBuf {
        self.settings.state_dir.join("containers").join(id)
    }

    /// Opens a container's log, if its driver keeps one.
    pub(super) fn open_log(&self, container: &Container) -> Result<Option<LogWriter>, Failure> {
        logging::plan(&self.directory(&container.id), container)?
            .map(LogWriter::open)
            .transpose()
            .map_err(|e| Failure::System(e.to_string()))
    }
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Containers(pub(crate) Arc<Deps>);

impl Containers {
    /// Finds a container.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for the beginning of several ids.
    pub async fn find(&self, by: &Principal, text: &str) -> Result<Found, Failure> {
        let find = Find {
            text: text.to_owned(),
            tenant: by.tenant.as_str().to_owned(),
        };
        self.0.table.ask(find).await?.map_err(|error| match error {
            super::FindError::NotFound(_) => Failure::NotFound(error.to_string()),
            super::FindError::Ambiguous(_) => Failure::Invalid(error.to_string()),
        })
    }

    /// Finds a container to attach to.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it is held or between two runs.
    pub async fn find_to_attach(&self, by: &Principal, text: &str) -> Result<Arc<Container>, Failure> {
        let container = self.find(by, text).await?.container;
        judge(Ask::Attach, &container, text)?;
        Ok(container)
    }

    /// Every container of the caller's tenant.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn all(&self, by: &Principal) -> Result<Vec<Arc<Container>>, Failure> {
        Ok(self
            .0
            .table
            .ask(All {
                tenant: Some(by.tenant.as_str().to_owned()),
            })
            .await?)
    }

    /// Every container of every tenant: the daemon's own housekeeping, never an answer to a client.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn everyones(&self) -> Result<Vec<Arc<Container>>, Failure> {
        Ok(self.0.table.ask(All { tenant: None }).await?)
    }

    /// Makes a container; gives its id and warnings.
    ///
    /// # Errors
    /// See `create.rs`.
    pub async fn create(
        &self,
        by: &Principal,
        name: Option<String>,
        request: CreateRequest,
    ) -> Result<(String, Vec<String>), Failure> {
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move { create::create(&deps, &by, name, request).await }).await
    }

    /// Starts a container.
    ///
    /// # Errors
    /// `NotModified` where it runs; see `start.rs`.
    pub async fn start(&self, by: &Principal, text: &str) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        let id = found.container.id.clone();
        to_the_end(async move { start::start(&deps, &by, &found, Starter::Hand).await }).await?;
        self.head_start(&id).await;
        Ok(())
    }

    /// Gives a program that was started a moment to begin, before whoever started it connects to it or signals it; ends with it.
    async fn head_start(&self, id: &str) {
        if let Ok(Some(mut view)) = self.0.table.ask(Watch { id: id.to_owned() }).await {
            let ended = view.wait_for(|now| now.over.is_some() || !now.is_running());
            // Where it goes on, that is what was wished.
            let _ = tokio::time::timeout(HEAD_START, ended).await;
        }
    }

    /// Stops a container: its stop signal, then SIGKILL.
    ///
    /// # Errors
    /// `NotModified` where it does not run; see `stop.rs`.
    pub async fn stop(&self, by: &Principal, text: &str, how: stop::How) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move { stop::stop(&deps, &by, &found, &how).await }).await
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// As [`Containers::stop`] and [`Containers::start`].
    pub async fn restart(&self, by: &Principal, text: &str, how: stop::How) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move {
            match stop::stop(&deps, &by, &found, &how).await {
                Ok(()) | Err(Failure::NotModified) => {}
                Err(other) => return Err(other),
            }
            start::start(&deps, &by, &found, Starter::Hand).await?;
            deps.tell(&found.container, "restart", &[]);
            Ok(())
        })
        .await
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    /// `Conflict` where it does not run, `Invalid` for a bad signal.
    pub async fn kill(&self, by: &Principal, text: &str, signal: &str) -> Result<(), Failure> {
        let found = self
            .find(by, text)
            .await
            .map_err(|e| e.within(&format!("cannot kill container: {text}")))?;
        let sent = stop::kill(&self.0, by, &found, signal).await;
        sent.map_err(|failure| failure.within(&format!("cannot kill container: {text}")))
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// `Invalid` for a bad name, `Conflict` for one in use.
    pub async fn rename(&self, by: &Principal, text: &str, name: &str) -> Result<(), Failure> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(Failure::Invalid(
                "Neither old nor new names may be empty".to_owned(),
            ));
        }
        let found = self.find(by, text).await?;
        if found.container.name == name {
            let text = "Renaming a container with the same name as its current name";
            return Err(Failure::Invalid(text.to_owned()));
        }
        let context = "Error when allocating new name";
        if !docker_api::error::is_container_name(name) {
            let text = docker_api::error::invalid_container_name(&format!("/{name}"));
            return Err(Failure::Invalid(text).within(context));
        }
        let _changing = found.lock.lock().await;
        let event = Event::Renamed {
            name: name.to_owned(),
        };
        let renamed = self
            .0
            .change(&found.container.id, event)
            .await
            .map_err(|e| e.within(context))?;
        self.0.networks.renamed(&renamed.id, name);
        self.0.tell(
            &renamed,
            "rename",
            &[("oldName", format!("/{}", found.container.name))],
        );
        Ok(())
    }

    /// Removes a container.
    ///
    /// # Errors
    /// `Conflict` where it runs and `force` was not asked for; see `remove.rs`.
    pub async fn remove(&self, by: &Principal, text: &str, how: remove::How) -> Result<(), Failure> {
        let found = self.find(by, text).await?;
        let (deps, by, text) = (Arc::clone(&self.0), by.clone(), text.to_owned());
        to_the_end(async move { remove::remove(&deps, &by, &found, &text, how).await }).await
    }

    /// Puts a container on a network.
    ///
    /// # Errors
    /// See `connect.rs`.
    pub async fn connect(
        &self,
        by: &Principal,
        network: &str,
        request: NetworkConnectRequest,
    ) -> Result<(), Failure> {
        let network = self.0.networks.find(by, network)?;
        let found = self.find(by, &request.container).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        let wish = request.endpoint_config.unwrap_or_default();
        to_the_end(async move { connect::connect(&deps, &by, &found, &network, wish).await }).await
    }

    /// Takes a container off a network.
    ///
    /// # Errors
    /// See `connect.rs`.
    pub async fn disconnect(&self, by: &Principal, network: &str, container: &str) -> Result<(), Failure> {
        let network = self.0.networks.find(by, network)?;
        let found = self.find(by, container).await?;
        let (deps, by) = (Arc::clone(&self.0), by.clone());
        to_the_end(async move { connect::disconnect(&deps, &by, &found, &network).await }).await
    }

    /// A future of the exit code, already watching when this returns.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait(
        &self,
        by: &Principal,
        text: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = (i64, String)> + use<>, Failure> {
        let found = self.find(by, text).await?;
        let id = found.container.id.clone();
        let view = self.0.table.ask(Watch { id }).await?;
        let view = view.ok_or_else(|| Failure::NotFound(format!("No such container: {text}")))?;
        Ok(finish::wait(view, condition))
    }

    /// The hub of a container's streams.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn hub(&self, id: &str) -> Result<Arc<Hub>, Failure> {
        Ok(self
            .0
            .processes
            .ask(HubOf {
                container: id.to_owned(),
            })
            .await?)
    }

    /// Where a container's log is.
    ///
    /// # Errors
    /// `Unsupported` where its driver keeps none; `System` for options by which it could not have started.
    pub fn log(&self, container: &Container) -> Result<LogPlan, Failure> {
        logging::check_readable(container)?;
        let plan = logging::plan(&self.0.directory(&container.id), container)?;
        plan.ok_or_else(|| Failure::Unsupported(docker_api::error::LOG_NOT_READABLE.to_owned()))
    }

    /// A container's log file, as inspect shows it: only that of the driver `json-file` is for others to read.
    #[must_use]
    pub fn log_path(&self, container: &Container) -> PathBuf {
        if container.host_config.log_config.kind != "json-file" {
            return PathBuf::new();
        }
        self.0
            .directory(&container.id)
            .join(format!("{}-json.log", container.id))
    }

    /// Completes when a container does not run, for followers of its log.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn over(&self, id: &str) -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
        let view = self.0.table.ask(Watch { id: id.to_owned() }).await?;
        let view = view.ok_or_else(|| Failure::NotFound(format!("No such container: {id}")))?;
        Ok(async move {
            finish::wait(view, WaitCondition::NotRunning).await;
        })
    }

    /// Waits until what a container writes in its first moments is in its log: scripts start a short program and ask for its log
    /// at once. Ends with the container, or [`FIRST_OUTPUT_WITHIN`] after its start.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn first_output(&self, container: &Container) -> Result<(), Failure> {
        let age_ns = u64::try_from(clock::now_ns() - container.started_ns).unwrap_or_default();
        let left = FIRST_OUTPUT_WITHIN.saturating_sub(Duration::from_nanos(age_ns));
        if container.pid().is_some() && !left.is_zero() {
            // Where it goes on, its log is read as it is then.
            let _ = tokio::time::timeout(left, self.over(&container.id).await?).await;
        }
        Ok(())
    }

    /// A client attached to a container.
    pub fn attached(&self, container: &Container) {
        self.0.tell(container, "attach", &[]);
    }

    /// A client changed the size of a container's terminal.
    pub fn resized(&self, container: &Container, rows: u16, columns: u16) {
        let size = [("height", rows.to_string()), ("width", columns.to_string())];
        self.0.tell(container, "resize", &size);
    }

    /// The ids of a container's execs that have not ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn execs_of(&self, id: &str) -> Result<Vec<String>, Failure> {
        Ok(self
            .0
            .processes
            .ask(ExecsOf {
                container: id.to_owned(),
            })
            .await?)
    }

    /// Mounts a container's root for as long as the guard lives.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn root(&self, by: &Principal, container: &Container) -> Result<RootGuard, Failure> {
        self.0.roots.acquire(by, container).await
    }

    /// The processes in a running container.
    ///
    /// # Errors
    /// `Conflict` where it does not run.
    pub async fn processes(&self, by: &Principal, text: &str) -> Result<Vec<ProcessInfo>, Failure> {
        let found = self.find(by, text).await?;
        let id = &found.container.id;
        judge(Ask::Top, &found.container, text)?;
        Ok(self.0.helpers.jail.processes(by, naming::jail(id)?).await?)
    }
}

impl Containers {
    /// Goes on with a container that an earlier daemon started.
    ///
    /// # Errors
    /// Where its root, its volumes or its log cannot be used.
    pub(crate) async fn adopt(
        &self,
        by: &Principal,
        container: &Arc<Container>,
        pid: i32,
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        let deps = &self.0;
        if descriptors.is_empty() {
            return Err(Failure::System("nothing was kept".to_owned()));
        }
        let kept = Kept {
            exit: descriptors.remove(0),
            streams: descriptors,
        };
        for attachment in &container.attachments {
            if let Some(place) = &attachment.endpoint {
                let joining = endpoint::joining(container, attachment);
                deps.networks.rejoin(by, place, &joining).await?;
            }
        }
        endpoint::publish_again(deps, by, container).await?;
        for name in container.mounts.iter().filter_map(MountPlan::volume) {
            deps.volumes.enter(by, name, &container.id).await?;
        }
        let root = deps.roots.acquire(by, container).await?;
        deps.roots.keep(root).await;
        let log = deps.open_log(container)?;
        let hub = self.hub(&container.id).await?;
        let run = Run {
            hub,
            log,
            keep_as: Some(start::keep_key(&container.id)),
            exec: None,
        };
        let adopted =
            crate::services::processes::adopt(&deps.launcher, kept, pid, start::stdio(container), run);
        let running = adopted.map_err(|e| Failure::System(e.to_string()))?;
        finish::watch(deps, by, container, running);
        Ok(())
    }

    /// A container ran when the daemon ended and nothing is left of it: its exit code is not known.
    pub(crate) async fn lost(&self, by: &Principal, container: &Container) {
        let exit_code = container.over.unwrap_or(EXIT_CODE_UNKNOWN);
        finish::ended(&self.0, by, &container.id, exit_code, false).await;
    }

    /// Everything that an earlier daemon left has been dealt with: starts what restart policies want started.
    pub(crate) async fn start_by_policy(&self) {
        self.0.reconciled.send_replace(true);
        let Ok(all) = self.everyones().await else {
            return;
        };
        let mut starting = tokio::task::JoinSet::new();
        for container in all.into_iter().filter(|container| restart::at_boot(container)) {
            let Ok(by) = housekeeping_of(&container.tenant) else {
                continue;
            };
            let deps = Arc::clone(&self.0);
            starting.spawn(async move { restart::again(&deps, &by, &container.id, Starter::Boot).await });
        }
        while starting.join_next().await.is_some() {}
    }

    /// Finishes a removal that an earlier daemon began.
    ///
    /// # Errors
    /// What the helpers or the store answer.
    pub(crate) async fn finish_removal(&self, by: &Principal, container: &Container) -> Result<(), Failure> {
        finish::tear_down(&self.0, by, container).await;
        remove::erase(&self.0, by, container, container.host_config.auto_remove).await
    }

    /// Waits until a container that removes itself is gone.
    ///
    /// # Errors
    /// `NotFound` where it is gone already.
    pub(crate) async fn wait_removed(&self, by: &Principal, id: &str) -> Result<(), Failure> {
        let removed = self.wait(by, id, WaitCondition::Removed).await?;
        let _ = tokio::time::timeout(crate::kernel::limits::KILL_DEADLINE, removed).await;
        Ok(())
    }
}

/// Runs a verb to its end whatever becomes of the caller.
pub(super) async fn to_the_end<T: Send + 'static>(
    verb: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let gone = || Failure::Unavailable("the daemon is ending".to_owned());
    tokio::spawn(verb).await.unwrap_or_else(|_| Err(gone()))
}
