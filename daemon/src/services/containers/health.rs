//! Health checks: what a result means, pure; and making them while a container runs.

use super::messages::Watch;
use super::state::{Container, Event};
use super::verbs::Deps;
use crate::services::processes::ExecState;
use crate::services::processes::hub::Wanted;
use crate::services::processes::messages::DropExec;
use crate::services::{Failure, clock, naming};
use docker_api::containers::{ContainerConfig, Health, HealthCheckResult, HealthConfig};
use docker_api::exec::{ExecCreateRequest, ExecStartRequest};
use protocol::Principal;
use protocol::jail::SignalTarget;
use std::sync::Arc;
use std::time::Duration;

/// dockerd's values where neither request nor image gives one.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: i64 = 3;

/// Results kept, as in dockerd: people look at the last few.
const RESULTS_MAX: usize = 5;

/// Bytes kept of what a check prints, as in dockerd.
const OUTPUT_BYTES_MAX: usize = 4096;

/// The smallest duration that a check may name: one millisecond, in nanoseconds, as in dockerd.
const DURATION_NS_MIN: i64 = 1_000_000;

/// SIGKILL, on both hosts.
const KILL: u8 = 9;

/// What is checked, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

/// Refuses a check that dockerd refuses.
///
/// # Errors
/// `Invalid` in dockerd's words.
pub(super) fn check(health: &HealthConfig) -> Result<(), Failure> {
    let bad = |duration: i64| duration != 0 && duration < DURATION_NS_MIN;
    let named = [
        ("Interval", bad(health.interval)),
        ("Timeout", bad(health.timeout)),
        ("StartPeriod", bad(health.start_period)),
        ("StartInterval", bad(health.start_interval)),
    ];
    if health.retries < 0 && !named[0].1 && !named[1].1 {
        return Err(Failure::Invalid(
            "Retries in Healthcheck cannot be negative".to_owned(),
        ));
    }
    match named.iter().find(|(_, is_bad)| *is_bad) {
        Some((name, _)) => Err(Failure::Invalid(format!(
            "{name} in Healthcheck cannot be less than 1ms"
        ))),
        None => Ok(()),
    }
}

/// What of a check comes from the image where the request says nothing.
pub(super) fn merge(own: &mut Option<HealthConfig>, image: Option<&HealthConfig>) {
    let Some(image) = image else {
        return;
    };
    let Some(own) = own else {
        *own = Some(image.clone());
        return;
    };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    for (own, image) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = image;
        }
    }
}

impl Probe {
    /// A container's check, if it has one.
    pub(super) fn of(config: &ContainerConfig) -> Option<Self> {
        let health = config.healthcheck.as_ref()?;
        let (kind, rest) = health.test.as_ref()?.split_first()?;
        let command = match kind.as_str() {
            "CMD" => rest.to_vec(),
            "CMD-SHELL" => {
                let usual = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let shell = config
                    .shell
                    .clone()
                    .filter(|shell| !shell.is_empty())
                    .unwrap_or_else(usual);
                shell.into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => return None,
        };
        let or = |ns: i64, usual: Duration| match u64::try_from(ns) {
            Ok(0) | Err(_) => usual,
            Ok(ns) => Duration::from_nanos(ns),
        };
        Some(Probe {
            command,
            interval: or(health.interval, INTERVAL),
            timeout: or(health.timeout, TIMEOUT),
            start_period: or(health.start_period, Duration::ZERO),
            start_interval: or(health.start_interval, START_INTERVAL),
            retries: if health.retries == 0 {
                RETRIES
            } else {
                health.retries
            },
        })
    }

    fn is_starting(&self, health: &Health, ran: Duration) -> bool {
        health.status == "starting" && ran < self.start_period
    }

    /// How long until the next check.
    fn wait(&self, health: &Health, ran: Duration) -> Duration {
        if self.is_starting(health, ran) {
            self.start_interval
        } else {
            self.interval
        }
    }

    /// What a result makes of a container's health.
    fn apply(&self, health: &mut Health, result: HealthCheckResult, ran: Duration) {
        let is_starting = self.is_starting(health, ran);
        if result.exit_code == 0 {
            health.failing_streak = 0;
            health.status = "healthy".to_owned();
        } else if !is_starting {
            health.failing_streak += 1;
            if health.failing_streak >= self.retries {
                health.status = "unhealthy".to_owned();
            }
        }
        let log = health.log.get_or_insert_default();
        if log.len() >= RESULTS_MAX {
            log.remove(0);
        }
        log.push(result);
    }
}

/// A container's health when a run begins.
pub(super) fn starting(config: &ContainerConfig, before: Option<Health>) -> Option<Health> {
    Probe::of(config)?;
    Some(Health {
        status: "starting".to_owned(),
        failing_streak: 0,
        log: before.and_then(|health| health.log),
    })
}

/// While nothing is checked a container counts as unhealthy, as in dockerd.
pub(super) fn stopped(health: Option<Health>) -> Option<Health> {
    health.map(|health| Health {
        status: "unhealthy".to_owned(),
        ..health
    })
}

/// Checks a container again and again until its run is over.
pub(super) fn monitor(deps: &Arc<Deps>, by: &Principal, container: &Arc<Container>) {
    let Some(probe) = Probe::of(&container.config) else {
        return;
    };
    let (deps, by, id, run) = (
        Arc::clone(deps),
        by.clone(),
        container.id.clone(),
        container.exits,
    );
    tokio::spawn(async move {
        let Ok(Some(mut view)) = deps.table.ask(Watch { id: id.clone() }).await else {
            return;
        };
        let is_over = |now: &Container| now.exits != run || now.pid().is_none();
        loop {
            let now = Arc::clone(&view.borrow());
            let wait = probe.wait(&now.health.clone().unwrap_or_default(), ran(&now));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = view.wait_for(|now| is_over(now)) => return,
            }
            // Nothing is checked while it is held, and an interval passes after that.
            let now = Arc::clone(&view.borrow());
            if now.is_paused() {
                match view.wait_for(|now| is_over(now) || !now.is_paused()).await {
                    Ok(_) => continue,
                    Err(_) => return,
                }
            }
            let result = make(&deps, &by, &now, &probe).await;
            let now = Arc::clone(&view.borrow());
            if is_over(&now) {
                return;
            }
            record(&deps, &now, &probe, result).await;
        }
    });
}

fn ran(container: &Container) -> Duration {
    Duration::from_nanos(u64::try_from(clock::now_ns() - container.started_ns).unwrap_or_default())
}

async fn record(deps: &Deps, container: &Container, probe: &Probe, result: HealthCheckResult) {
    let before = container.health.clone().unwrap_or_default();
    let mut health = before.clone();
    probe.apply(&mut health, result, ran(container));
    let changed = health.status != before.status;
    let event = Event::Health(Some(health.clone()));
    // Only what matters to the next daemon is written down; results come all the time.
    let told = if changed {
        deps.change(&container.id, event).await
    } else {
        deps.note(&container.id, event).await
    };
    match told {
        Ok(container) if changed => {
            deps.tell(&container, &format!("health_status: {}", health.status), &[]);
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, container = container.id, "a health check's result was not recorded")
        }
    }
}

/// Makes one check.
async fn make(
    deps: &Arc<Deps>,
    by: &Principal,
    container: &Arc<Container>,
    probe: &Probe,
) -> HealthCheckResult {
    let start = clock::text(clock::now_ns());
    let (exit_code, output) = match try_to_make(deps, by, container, probe).await {
        Ok(done) => done,
        Err(failure) => (-1, failure.to_string()),
    };
    HealthCheckResult {
        start,
        end: clock::text(clock::now_ns()),
        exit_code,
        output,
    }
}

async fn try_to_make(
    deps: &Arc<Deps>,
    by: &Principal,
    container: &Arc<Container>,
    probe: &Probe,
) -> Result<(i64, String), Failure> {
    let request = ExecCreateRequest {
        attach_stdout: true,
        attach_stderr: true,
        cmd: Some(probe.command.clone()),
        ..ExecCreateRequest::default()
    };
    let exec = super::exec::make(deps, container, request).await?;
    let (stdout, stderr) = (true, true);
    let mut attached = exec.hub.attach(Wanted { stdout, stderr });
    super::exec::run_exec(deps, by, container, &exec, &ExecStartRequest::default()).await?;
    let mut output = Vec::new();
    let reading = async {
        while let Some(chunk) = attached.output.recv().await {
            // One more than is kept, to see that something is left out.
            let room = (OUTPUT_BYTES_MAX + 1).saturating_sub(output.len());
            output.extend_from_slice(chunk.bytes.get(..room).unwrap_or(&chunk.bytes));
        }
    };
    let in_time = tokio::time::timeout(probe.timeout, reading).await.is_ok();
    let text = shown(&output);
    if !in_time && let ExecState::Running { pid } = exec.now() {
        let jail = naming::jail(&container.id)?;
        deps.helpers
            .jail
            .signal(by, jail, SignalTarget::Process(pid), KILL)
            .await?;
    }
    let exit_code = match exec.now() {
        ExecState::Ended { exit_code, .. } if in_time => exit_code,
        _ => -1,
    };
    let id = exec.id.clone();
    deps.processes.ask(DropExec { id }).await?;
    Ok(if in_time {
        (exit_code, text)
    } else {
        (-1, too_late(probe.timeout, &text))
    })
}

fn too_late(timeout: Duration, output: &str) -> String {
    let said = format!(
        "Health check exceeded timeout ({})",
        docker_api::durations::go(timeout)
    );
    if output.is_empty() {
        said
    } else {
        format!("{said}: {output}")
    }
}

fn shown(output: &[u8]) -> String {
    match output.get(..OUTPUT_BYTES_MAX) {
        Some(kept) if output.len() > OUTPUT_BYTES_MAX => String::from_utf8_lossy(kept).into_owned() + "...",
        Some(_) | None => String::from_utf8_lossy(output).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(change: impl FnOnce(&mut HealthConfig)) -> Option<Probe> {
        let mut health = HealthConfig {
            test: Some(vec!["CMD-SHELL".to_owned(), "true".to_owned()]),
            ..HealthConfig::default()
        };
        change(&mut health);
        Probe::of(&ContainerConfig {
            healthcheck: Some(health),
            ..ContainerConfig::default()
        })
    }

    fn result(exit_code: i64) -> HealthCheckResult {
        HealthCheckResult {
            exit_code,
            ..HealthCheckResult::default()
        }
    }

    #[test]
    fn a_shell_is_put_before_text_and_none_is_none() {
        assert_eq!(probe(|_| ()).unwrap().command, ["/bin/sh", "-c", "true"]);
        assert_eq!(probe(|h| h.test = Some(vec!["NONE".to_owned()])), None);
        assert_eq!(probe(|h| h.test = Some(Vec::new())), None);
        assert_eq!(
            probe(|h| h.interval = 2_000_000_000).unwrap().interval,
            Duration::from_secs(2)
        );
    }

    #[test]
    fn health_follows_the_results() {
        let probe = probe(|h| (h.retries, h.start_period) = (2, 10_000_000_000)).unwrap();
        let mut health = Health {
            status: "starting".to_owned(),
            ..Health::default()
        };
        let (early, late) = (Duration::from_secs(1), Duration::from_secs(11));
        assert_eq!(probe.wait(&health, early), START_INTERVAL);
        assert_eq!(probe.wait(&health, late), INTERVAL);
        let mut status = |exit_code, ran| {
            probe.apply(&mut health, result(exit_code), ran);
            (health.status.clone(), health.failing_streak)
        };
        assert_eq!(
            status(1, early),
            ("starting".to_owned(), 0),
            "failures do not count at first"
        );
        assert_eq!(status(1, late), ("starting".to_owned(), 1));
        assert_eq!(status(1, late), ("unhealthy".to_owned(), 2));
        assert_eq!(status(0, late), ("healthy".to_owned(), 0));
        assert_eq!(status(1, late), ("healthy".to_owned(), 1));
        assert_eq!(status(0, late), ("healthy".to_owned(), 0));
        assert_eq!(health.log.unwrap().len(), RESULTS_MAX);
    }

    #[test]
    fn long_output_is_cut() {
        assert_eq!(shown(b"ok"), "ok");
        let long = shown(&vec![b'x'; OUTPUT_BYTES_MAX + 1]);
        assert!(long.len() == OUTPUT_BYTES_MAX + 3 && long.ends_with("x..."));
    }

    #[test]
    fn bad_checks_are_refused_in_dockerds_words() {
        let said = |change: fn(&mut HealthConfig)| {
            let mut health = HealthConfig::default();
            change(&mut health);
            check(&health).map_err(|failure| failure.to_string())
        };
        assert_eq!(
            said(|h| h.interval = 5),
            Err("Interval in Healthcheck cannot be less than 1ms".to_owned())
        );
        assert_eq!(
            said(|h| h.retries = -1),
            Err("Retries in Healthcheck cannot be negative".to_owned())
        );
        assert_eq!(said(|h| h.timeout = 1_000_000), Ok(()));
    }
}
