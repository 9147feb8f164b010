//! `docker stop` and `docker kill`.

use super::judge::{Ask, judge};
use super::messages::{Found, Watch};
use super::start::current;
use super::state::{Container, Event, Phase};
use super::verbs::Deps;
use crate::kernel::limits::{KILL_DEADLINE, STOP_DEADLINE};
use crate::services::Failure;
use docker_api::containers::WaitCondition;
use protocol::Principal;
use protocol::handshake::HostOs;
use std::sync::Arc;
use std::time::Duration;

/// How to stop.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// The signal to begin with; none means the container's own, else SIGTERM.
    pub signal: Option<String>,
    /// Seconds until SIGKILL; none means the container's own, else 10; negative waits for ever.
    pub timeout_s: Option<i64>,
    /// Why.
    pub why: Why,
}

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Why {
    /// Somebody wants it stopped.
    #[default]
    Stop,
    /// Somebody wants it started again.
    Restart,
    /// The daemon itself is ending: restart policies start the container again with the next one.
    Shutdown,
}

/// Signals by name, with their numbers on FreeBSD and Linux (signal(3), signal(7)).
const SIGNALS: [(&str, u8, u8); 31] = [
    ("HUP", 1, 1),
    ("INT", 2, 2),
    ("QUIT", 3, 3),
    ("ILL", 4, 4),
    ("TRAP", 5, 5),
    ("ABRT", 6, 6),
    ("IOT", 6, 6),
    ("FPE", 8, 8),
    ("KILL", 9, 9),
    ("BUS", 10, 7),
    ("SEGV", 11, 11),
    ("SYS", 12, 31),
    ("PIPE", 13, 13),
    ("ALRM", 14, 14),
    ("TERM", 15, 15),
    ("URG", 16, 23),
    ("STOP", 17, 19),
    ("TSTP", 18, 20),
    ("CONT", 19, 18),
    ("CHLD", 20, 17),
    ("TTIN", 21, 21),
    ("TTOU", 22, 22),
    ("IO", 23, 29),
    ("XCPU", 24, 24),
    ("XFSZ", 25, 25),
    ("VTALRM", 26, 26),
    ("PROF", 27, 27),
    ("WINCH", 28, 28),
    ("USR1", 30, 10),
    ("USR2", 31, 12),
    ("POLL", 23, 29),
];

/// The largest signal number of both hosts.
const SIGNAL_NUMBER_MAX: u8 = 64;

/// A signal as a client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    freebsd: u8,
    linux: u8,
}

impl Signal {
    fn number(self, os: HostOs) -> u8 {
        match os {
            HostOs::FreeBsd => self.freebsd,
            HostOs::Linux => self.linux,
        }
    }
}

/// Reads a name (with or without `SIG`, in either case) or a number.
pub(super) fn parse_signal(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=SIGNAL_NUMBER_MAX).contains(&number).then_some(Signal {
            freebsd: number,
            linux: number,
        });
    }
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS
        .iter()
        .find(|(name, ..)| *name == short)
        .map(|(_, freebsd, linux)| Signal {
            freebsd: *freebsd,
            linux: *linux,
        })
}

/// Sends a signal to a container whose lock is not needed: to its first process, or to what is going to start it again. Processes
/// that are held go on where the signal means their end.
async fn send(deps: &Deps, by: &Principal, id: &str, signal: u8, end: Option<Why>) -> Result<(), Failure> {
    let container = match end {
        Some(why) => {
            let (by_hand, keep) = (why != Why::Shutdown, why == Why::Restart);
            deps.change(id, Event::EndWanted { by_hand, keep }).await?
        }
        None => current(deps, id).await?,
    };
    if container.phase == Phase::Restarting {
        return match deps.change(id, Event::RestartCancelled).await {
            // It was started at this very moment, and is stopped like any other.
            Err(Failure::Conflict(_)) => deps.helpers_signal(by, id, signal).await,
            other => other.map(drop),
        };
    }
    deps.helpers_signal(by, id, signal).await?;
    if end.is_some() && container.is_paused() {
        match super::pause::resume(deps, by, &container).await {
            // Nothing is held any more: it has ended, which is told by itself.
            Err(Failure::NotFound(_)) => {}
            other => other?,
        }
    }
    deps.tell(&container, "kill", &[("signal", signal.to_string())]);
    Ok(())
}

/// Whether a signal is one by which a container is meant to end, as dockerd takes it: its own stop signal, or any where it names
/// none, or SIGKILL.
fn is_end(container: &Container, number: u8, os: HostOs) -> bool {
    let own = &container.config.stop_signal;
    number == 9 || own.is_empty() || parse_signal(own).is_some_and(|own| own.number(os) == number)
}

/// Sends one signal.
///
/// # Errors
/// `Invalid` for a bad signal, `Conflict` where the container does not run.
pub(super) async fn kill(deps: &Deps, by: &Principal, found: &Found, signal: &str) -> Result<(), Failure> {
    let wanted = if signal.is_empty() { "KILL" } else { signal };
    let signal = parse_signal(wanted).ok_or_else(|| match wanted.parse::<i64>() {
        Ok(number) if number > i64::from(SIGNAL_NUMBER_MAX) => {
            Failure::Invalid(format!("the linux daemon does not support signal {number}"))
        }
        Ok(_) | Err(_) => Failure::Invalid(docker_api::error::invalid_signal(wanted)),
    })?;
    let container = &found.container;
    judge(Ask::Kill, container, &container.name)?;
    let number = signal.number(deps.host_os());
    let end = is_end(container, number, deps.host_os()).then_some(Why::Stop);
    send(deps, by, &container.id, number, end).await?;
    if number == 9 {
        // dockerd's kill returns when the container has ended.
        wait_until_over(deps, container, KILL_DEADLINE).await?;
    }
    Ok(())
}

/// Asks the first process to end, and makes it end when it does not.
///
/// # Errors
/// `NotModified` where the container does not run; `Invalid` for a bad signal; `System` where even SIGKILL does not help.
pub(super) async fn stop(deps: &Deps, by: &Principal, found: &Found, how: &How) -> Result<(), Failure> {
    let _changing = found.lock.lock().await;
    let view = deps
        .table
        .ask(Watch {
            id: found.container.id.clone(),
        })
        .await?;
    let container = view.map_or_else(|| Arc::clone(&found.container), |view| Arc::clone(&view.borrow()));
    judge(Ask::Stop, &container, &container.name)?;
    let own = &container.config.stop_signal;
    let wanted = how.signal.as_deref().filter(|s| !s.is_empty()).unwrap_or(own);
    let wanted = if wanted.is_empty() { "TERM" } else { wanted };
    let signal = parse_signal(wanted).ok_or_else(|| {
        let text = docker_api::error::invalid_signal(wanted);
        Failure::System(docker_api::error::cannot_stop(&container.name, &text))
    })?;
    let number = signal.number(deps.host_os());
    unless_over(send(deps, by, &container.id, number, Some(how.why)).await)?;
    let timeout_s = how.timeout_s.or(container.config.stop_timeout);
    let ended = match timeout_s.map(u64::try_from) {
        None => wait_until_over(deps, &container, STOP_DEADLINE).await,
        Some(Ok(seconds)) => wait_until_over(deps, &container, Duration::from_secs(seconds)).await,
        Some(Err(_)) => {
            until_over(deps, &container).await?;
            Ok(())
        }
    };
    if ended.is_err() {
        unless_over(send(deps, by, &container.id, 9, Some(how.why)).await)?;
        wait_until_over(deps, &container, KILL_DEADLINE).await?;
    }
    deps.tell(&container, "stop", &[]);
    Ok(())
}

/// What ended by itself before the signal came needs none; its end is waited for like any other.
///
/// # Errors
/// Any other failure.
pub(super) fn unless_over(sent: Result<(), Failure>) -> Result<(), Failure> {
    match sent {
        Err(Failure::Conflict(_)) => Ok(()),
        other => other,
    }
}

/// Waits for the end of the current run.
async fn until_over(deps: &Deps, container: &Container) -> Result<(), Failure> {
    if let Some(view) = deps
        .table
        .ask(Watch {
            id: container.id.clone(),
        })
        .await?
    {
        super::finish::wait(view, WaitCondition::NotRunning).await;
    }
    Ok(())
}

/// Waits for the end of the current run, with a deadline.
///
/// # Errors
/// `System` where it did not end in time.
pub(super) async fn wait_until_over(
    deps: &Deps,
    container: &Container,
    deadline: Duration,
) -> Result<(), Failure> {
    match tokio::time::timeout(deadline, until_over(deps, container)).await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::System(format!(
            "container {} did not end in time",
            container.id
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        assert_eq!(
            parse_signal("SIGUSR1"),
            Some(Signal {
                freebsd: 30,
                linux: 10
            })
        );
        assert_eq!(parse_signal("usr1"), parse_signal("SIGUSR1"));
        assert_eq!(parse_signal("9"), Some(Signal { freebsd: 9, linux: 9 }));
        for bad in ["0", "65", "999", "SIGZZ", "", "-1"] {
            assert_eq!(parse_signal(bad), None, "{bad}");
        }
    }
}
