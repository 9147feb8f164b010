//! The container's state machine: pure, told the time.

use super::attachment::Attachment;
use super::health;
use docker_api::containers::{ContainerConfig, Health};
use docker_api::host_config::HostConfig;
use protocol::mount::Access;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A container, as stored (kind `Container`, key = id).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, without Docker's leading slash.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// When it was created, nanoseconds since 1970.
    pub created_ns: i64,
    /// The image's id; empty for a container made from nothing (`FROM scratch` builds).
    pub image_id: String,
    /// The image's operating system.
    pub image_os: String,
    /// The dataset chain that it was cloned from: the image's layers, lowest first.
    pub chain: Vec<String>,
    /// What it runs: the request merged with the image's configuration.
    pub config: ContainerConfig,
    /// What belongs to the host.
    pub host_config: HostConfig,
    /// The networks that it is on, that of its network mode first.
    pub attachments: Vec<Attachment>,
    /// Program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What is mounted in it.
    pub mounts: Vec<MountPlan>,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it last started; 0 is never.
    pub started_ns: i64,
    /// When it last ended; 0 is never.
    pub finished_ns: i64,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Exit code of the run that is over, while what it used is being taken away.
    #[serde(default)]
    pub over: Option<i64>,
    /// Why the last start failed.
    pub error: String,
    /// How often it ended; tells a waiter that a run is over.
    pub exits: u64,
    /// How often its restart policy started it since somebody did.
    #[serde(default)]
    pub restart_count: i64,
    /// How long its restart policy waited the last time, in milliseconds; 0 before the first time.
    #[serde(default)]
    pub restart_wait_ms: u64,
    /// Somebody stopped or killed it since somebody started it.
    #[serde(default)]
    pub stopped_by_hand: bool,
    /// Its next end is wanted: no policy starts it again.
    #[serde(default)]
    pub is_ending: bool,
    /// After its next end it is started again, so it must not remove itself.
    #[serde(default)]
    pub is_kept: bool,
    /// A process in it was killed in its last run because memory ran out.
    #[serde(default)]
    pub oom_killed: bool,
    /// What its checks say, if it has any.
    #[serde(default)]
    pub health: Option<Health>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running {
        /// That process's id as the host sees it.
        pid: i32,
    },
    /// Its processes are held.
    Paused {
        /// The first one's id as the host sees it.
        pid: i32,
    },
    /// It ended, and its restart policy is going to start it again.
    Restarting,
    /// It ran and ended, or its start failed.
    Exited,
    /// Being removed.
    Removing,
    /// Its removal failed half-way.
    Dead,
}

/// One thing mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// What.
    pub source: MountSource,
    /// Where, absolute inside the container.
    pub destination: String,
    /// Whether it can be written.
    pub writable: bool,
    /// Options as the client wrote them.
    pub mode: String,
    /// How mounts of the host reach a bind: `rprivate`, which is not at all, `rslave`, `rshared` and the like.
    #[serde(default)]
    pub propagation: String,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// The path.
        path: String,
        /// Whether a missing path is made a directory (`-v`) or refused (`--mount`).
        create: bool,
        /// Whether what is mounted below the path is left out (`bind-recursive=disabled`).
        #[serde(default)]
        alone: bool,
    },
    /// A volume.
    Volume {
        /// Its name; empty for an anonymous one that is still to be made.
        name: String,
        /// Whether it was made for this mount, and goes with the last container that has it.
        #[serde(default)]
        anonymous: bool,
        /// Whether an empty one gets what the image has at its place.
        #[serde(default)]
        fill: bool,
        /// The path in the volume that is shown; empty for all of it.
        #[serde(default)]
        subpath: String,
        /// Where its files are on the host.
        #[serde(default)]
        on_host: String,
        /// What it is made with, if it is not there yet.
        #[serde(default, skip_serializing)]
        wanted: VolumeWanted,
    },
    /// A memory file system.
    Tmpfs {
        /// Size limit in bytes; none is the host's default.
        size_bytes: Option<u64>,
        /// Permission bits.
        mode: u16,
        /// Programs on it cannot be executed.
        noexec: bool,
        /// Whether inspect shows it: dockerd shows those of `--mount` and not those of `--tmpfs`.
        #[serde(default)]
        is_shown: bool,
    },
}

/// What a volume is made with on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeWanted {
    /// The driver; empty is the default.
    pub driver: String,
    /// Its options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

impl MountPlan {
    /// The name of the volume that is mounted, if it is one.
    #[must_use]
    pub fn volume(&self) -> Option<&str> {
        match &self.source {
            MountSource::Volume { name, .. } => Some(name),
            MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        }
    }

    /// The name of a volume that goes with its last container.
    #[must_use]
    pub fn anonymous_volume(&self) -> Option<&str> {
        match &self.source {
            MountSource::Volume {
                name,
                anonymous: true,
                ..
            } => Some(name),
            MountSource::Volume { .. } | MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        }
    }

    /// The access that the mount helper is asked for.
    #[must_use]
    pub fn access(&self) -> Access {
        if self.writable {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        }
    }
}

/// What can happen to a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its first process runs.
    Started {
        /// The process's id.
        pid: i32,
        /// Who started it.
        by: Starter,
    },
    /// It could not be started.
    StartFailed {
        /// Why, for people.
        error: String,
        /// 126, 127 or 128.
        exit_code: i64,
    },
    /// Its first process ended. It still counts as running until what it used is taken away, but a daemon killed meanwhile leaves
    /// the exit code to the next one.
    Over {
        /// Its exit code.
        exit_code: i64,
    },
    /// Its run ended, and nothing of it is left.
    Ended {
        /// Its exit code.
        exit_code: i64,
        /// Whether a process was killed because memory ran out.
        oom_killed: bool,
        /// How long until it is started again; none leaves it ended.
        restart_after: Option<Duration>,
    },
    /// What was going to be started again is not.
    RestartCancelled,
    /// Its processes are held.
    Paused,
    /// Its processes go on.
    Resumed,
    /// Its end is wanted.
    EndWanted {
        /// Whether somebody stopped it, and not the daemon at its own end.
        by_hand: bool,
        /// Whether it is going to be started again at once, and so is kept also where it removes itself.
        keep: bool,
    },
    /// It got other limits, or another restart policy.
    Updated(Box<HostConfig>),
    /// A check was made, or checks began or ended.
    Health(Option<Health>),
    /// It got another name.
    Renamed {
        /// The name.
        name: String,
    },
    /// It joined or left networks.
    Attached(Vec<Attachment>),
    /// Its removal began.
    RemovalBegan,
    /// Its removal failed.
    RemovalFailed,
}

/// Who starts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// Somebody: counts begin anew.
    Hand,
    /// Its restart policy, after its end.
    Policy,
    /// Its restart policy, because the daemon has started.
    Boot,
}

/// Why an event does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It runs already.
    #[error("container is running")]
    Running,
    /// It does not run.
    #[error("container is not running")]
    NotRunning,
    /// Its processes are held.
    #[error("container is paused")]
    Paused,
    /// Its processes are not held.
    #[error("container is not paused")]
    NotPaused,
    /// It is between two runs.
    #[error("container is restarting")]
    Restarting,
    /// It is being removed.
    #[error("removal of the container is already in progress")]
    Removing,
    /// It is dead.
    #[error("container is dead")]
    Dead,
}

impl Container {
    /// Whether it counts as running, as Docker has it: also while it is held and between two runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(
            self.phase,
            Phase::Running { .. } | Phase::Paused { .. } | Phase::Restarting
        )
    }

    /// Whether its processes are held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.phase, Phase::Paused { .. })
    }

    /// The first process's id, while there is one.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match self.phase {
            Phase::Running { pid } | Phase::Paused { pid } => Some(pid),
            Phase::Created | Phase::Restarting | Phase::Exited | Phase::Removing | Phase::Dead => None,
        }
    }

    /// `State.Status` of inspect.
    #[must_use]
    pub fn status_word(&self) -> &'static str {
        match self.phase {
            Phase::Created => "created",
            Phase::Running { .. } => "running",
            Phase::Paused { .. } => "paused",
            Phase::Restarting => "restarting",
            Phase::Exited => "exited",
            Phase::Removing => "removing",
            Phase::Dead => "dead",
        }
    }

    /// Applies one event.
    ///
    /// # Errors
    /// [`Refusal`] where the event cannot happen in this state; nothing is changed then.
    pub fn apply(&mut self, event: Event, now_ns: i64) -> Result<(), Refusal> {
        match event {
            Event::Started { pid, by } => self.started(pid, by, now_ns)?,
            Event::StartFailed { error, exit_code } => {
                // dockerd leaves a container that never ran in `created`, with the error and the code.
                match self.phase {
                    Phase::Restarting => self.phase = Phase::Exited,
                    _ => self.may_start(Starter::Hand)?,
                }
                self.error = error;
                self.exit_code = exit_code;
                self.exits += 1;
            }
            Event::Over { exit_code } => {
                if self.pid().is_none() {
                    return Err(Refusal::NotRunning);
                }
                self.over = Some(exit_code);
            }
            Event::Ended {
                exit_code,
                oom_killed,
                restart_after,
            } => self.ended(exit_code, oom_killed, restart_after, now_ns)?,
            Event::RestartCancelled => match self.phase {
                Phase::Restarting => self.phase = Phase::Exited,
                _ => return Err(Refusal::NotRunning),
            },
            Event::Paused => {
                self.phase = self.may_pause()?;
                self.health = health::stopped(self.health.take());
            }
            Event::Resumed => match self.phase {
                Phase::Paused { pid } => self.phase = Phase::Running { pid },
                _ => return Err(Refusal::NotPaused),
            },
            Event::EndWanted { by_hand, keep } => {
                self.is_ending = true;
                self.is_kept = keep;
                self.stopped_by_hand |= by_hand;
            }
            Event::Updated(host_config) => {
                if self.host_config.restart_policy != host_config.restart_policy {
                    self.restart_wait_ms = 0;
                }
                self.host_config = *host_config;
            }
            Event::Health(health) => self.health = health,
            Event::Renamed { name } => self.name = name,
            Event::Attached(attachments) => self.attachments = attachments,
            Event::RemovalBegan => match self.phase {
                Phase::Created | Phase::Exited | Phase::Dead => self.phase = Phase::Removing,
                Phase::Running { .. } => return Err(Refusal::Running),
                Phase::Paused { .. } => return Err(Refusal::Paused),
                Phase::Restarting => return Err(Refusal::Restarting),
                Phase::Removing => return Err(Refusal::Removing),
            },
            Event::RemovalFailed => self.phase = Phase::Dead,
        }
        Ok(())
    }

    fn started(&mut self, pid: i32, by: Starter, now_ns: i64) -> Result<(), Refusal> {
        self.may_start(by)?;
        self.phase = Phase::Running { pid };
        self.started_ns = now_ns;
        if by != Starter::Policy {
            (self.restart_count, self.restart_wait_ms) = (0, 0);
            self.stopped_by_hand = false;
        }
        (self.is_ending, self.is_kept) = (false, false);
        self.exit_code = 0;
        self.oom_killed = false;
        self.error.clear();
        self.health = health::starting(&self.config, self.health.take());
        Ok(())
    }

    fn ended(
        &mut self,
        exit_code: i64,
        oom_killed: bool,
        restart_after: Option<Duration>,
        now_ns: i64,
    ) -> Result<(), Refusal> {
        if self.pid().is_none() {
            return Err(Refusal::NotRunning);
        }
        self.over = None;
        self.finished_ns = now_ns;
        self.exit_code = exit_code;
        self.oom_killed |= oom_killed;
        self.exits += 1;
        self.health = health::stopped(self.health.take());
        self.phase = Phase::Exited;
        // Whoever said that it is to end may have said so after its policy was asked.
        if let Some(wait) = restart_after.filter(|_| !self.is_ending) {
            self.phase = Phase::Restarting;
            self.restart_count += 1;
            self.restart_wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Whether its processes can be held now; gives the phase that it is in then.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn may_pause(&self) -> Result<Phase, Refusal> {
        match self.phase {
            Phase::Running { pid } => Ok(Phase::Paused { pid }),
            Phase::Paused { .. } => Err(Refusal::Paused),
            Phase::Restarting => Err(Refusal::Restarting),
            Phase::Created | Phase::Exited | Phase::Removing | Phase::Dead => Err(Refusal::NotRunning),
        }
    }

    /// Whether it can be started now.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn may_start(&self, by: Starter) -> Result<(), Refusal> {
        match (self.phase, by) {
            (Phase::Created | Phase::Exited, Starter::Hand)
            | (Phase::Restarting, Starter::Policy | Starter::Boot)
            | (Phase::Exited, Starter::Boot) => Ok(()),
            // It was going to be started again, and is not any more.
            (Phase::Created | Phase::Exited, _) => Err(Refusal::NotRunning),
            (Phase::Running { .. } | Phase::Restarting, _) => Err(Refusal::Running),
            (Phase::Paused { .. }, _) => Err(Refusal::Paused),
            (Phase::Removing, _) => Err(Refusal::Removing),
            (Phase::Dead, _) => Err(Refusal::Dead),
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(crate) mod tests;
