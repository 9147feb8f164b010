//! The container's state machine: pure, told the time.

use super::attachment::Attachment;
use docker_api::containers::ContainerConfig;
use docker_api::host_config::HostConfig;
use protocol::mount::Access;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// How mounts of the host reach a bind: `rprivate`, which is not at all, or `private`.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its first process runs.
    Started {
        /// The process's id.
        pid: i32,
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
    },
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

/// Why an event does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It runs already.
    #[error("container is running")]
    Running,
    /// It does not run.
    #[error("container is not running")]
    NotRunning,
    /// It is being removed.
    #[error("removal of the container is already in progress")]
    Removing,
    /// It is dead.
    #[error("container is dead")]
    Dead,
}

impl Container {
    /// Whether its first process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// The first process's id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match self.phase {
            Phase::Running { pid } => Some(pid),
            Phase::Created | Phase::Exited | Phase::Removing | Phase::Dead => None,
        }
    }

    /// `State.Status` of inspect.
    #[must_use]
    pub fn status_word(&self) -> &'static str {
        match self.phase {
            Phase::Created => "created",
            Phase::Running { .. } => "running",
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
            Event::Started { pid } => {
                self.may_start()?;
                self.phase = Phase::Running { pid };
                self.started_ns = now_ns;
                self.finished_ns = 0;
                self.exit_code = 0;
                self.error.clear();
            }
            Event::StartFailed { error, exit_code } => {
                self.may_start()?;
                // dockerd leaves a container that never ran in `created`, with the error and the code.
                self.error = error;
                self.exit_code = exit_code;
                self.exits += 1;
            }
            Event::Over { exit_code } => {
                if !self.is_running() {
                    return Err(Refusal::NotRunning);
                }
                self.over = Some(exit_code);
            }
            Event::Ended { exit_code } => {
                if !self.is_running() {
                    return Err(Refusal::NotRunning);
                }
                self.over = None;
                self.phase = Phase::Exited;
                self.finished_ns = now_ns;
                self.exit_code = exit_code;
                self.exits += 1;
            }
            Event::Renamed { name } => self.name = name,
            Event::Attached(attachments) => self.attachments = attachments,
            Event::RemovalBegan => match self.phase {
                Phase::Created | Phase::Exited | Phase::Dead => self.phase = Phase::Removing,
                Phase::Running { .. } => return Err(Refusal::Running),
                Phase::Removing => return Err(Refusal::Removing),
            },
            Event::RemovalFailed => self.phase = Phase::Dead,
        }
        Ok(())
    }

    /// Whether it can be started now.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn may_start(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Created | Phase::Exited => Ok(()),
            Phase::Running { .. } => Err(Refusal::Running),
            Phase::Removing => Err(Refusal::Removing),
            Phase::Dead => Err(Refusal::Dead),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn container(phase: Phase) -> Container {
        Container {
            id: "ab".repeat(32),
            name: "x".to_owned(),
            tenant: "default".to_owned(),
            created_ns: 1,
            image_id: String::new(),
            image_os: "linux".to_owned(),
            chain: Vec::new(),
            config: ContainerConfig::default(),
            host_config: HostConfig::default(),
            attachments: Vec::new(),
            path: "true".to_owned(),
            args: Vec::new(),
            mounts: Vec::new(),
            phase,
            started_ns: 0,
            finished_ns: 0,
            exit_code: 0,
            over: None,
            error: String::new(),
            exits: 0,
        }
    }

    #[test]
    fn every_state_answers_every_event_as_the_table_says() {
        use Phase::{Created, Dead, Exited, Removing};
        let running = Phase::Running { pid: 7 };
        let started = Event::Started { pid: 7 };
        let failed = Event::StartFailed {
            error: "no".to_owned(),
            exit_code: 127,
        };
        let ended = Event::Ended { exit_code: 3 };
        let over = Event::Over { exit_code: 3 };
        let table = [
            (Created, started.clone(), Ok(running)),
            (Created, failed.clone(), Ok(Created)),
            (Created, ended.clone(), Err(Refusal::NotRunning)),
            (Created, Event::RemovalBegan, Ok(Removing)),
            (running, started.clone(), Err(Refusal::Running)),
            (running, failed.clone(), Err(Refusal::Running)),
            (running, ended.clone(), Ok(Exited)),
            (running, over.clone(), Ok(running)),
            (running, Event::RemovalBegan, Err(Refusal::Running)),
            (Exited, started.clone(), Ok(running)),
            (Exited, failed.clone(), Ok(Exited)),
            (Exited, ended.clone(), Err(Refusal::NotRunning)),
            (Exited, over, Err(Refusal::NotRunning)),
            (Exited, Event::RemovalBegan, Ok(Removing)),
            (Removing, started.clone(), Err(Refusal::Removing)),
            (Removing, ended, Err(Refusal::NotRunning)),
            (Removing, Event::RemovalBegan, Err(Refusal::Removing)),
            (Removing, Event::RemovalFailed, Ok(Dead)),
            (Dead, started, Err(Refusal::Dead)),
            (Dead, failed, Err(Refusal::Dead)),
            (Dead, Event::RemovalBegan, Ok(Removing)),
        ];
        for (before, event, wanted) in table {
            let mut subject = container(before);
            let result = subject.apply(event.clone(), 5).map(|()| subject.phase);
            assert_eq!(result, wanted, "{before:?} {event:?}");
        }
    }

    #[test]
    fn a_new_run_forgets_how_the_last_one_ended() {
        let mut subject = container(Phase::Running { pid: 1 });
        subject.apply(Event::Ended { exit_code: 3 }, 10).unwrap();
        assert_eq!(
            (subject.exit_code, subject.finished_ns, subject.exits),
            (3, 10, 1)
        );
        subject.apply(Event::Started { pid: 2 }, 11).unwrap();
        assert_eq!((subject.exit_code, subject.finished_ns, subject.exits), (0, 0, 1));
    }
}
