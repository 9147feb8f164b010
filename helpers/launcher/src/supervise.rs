//! The parent of everything: starts the helpers and the daemon, starts again what dies, ends them in order.
//!
//! ```text
//!            stop asked                    daemon gone, or STOP_DEADLINE         all gone, or killed
//!  Running ------------> Stopping(Stop sent) -----------------------> Ending ------------------------> over
//!     |  what dies is started again   helpers are still started again    ^  nothing is started any more
//!     +------------------ interrupt asked twice: everything is killed ---+
//! ```
//!
//! One thread and one poll(2). Nothing here waits for the daemon or a helper to do anything: the daemon is believed to be
//! hostile, and a helper that hangs must not keep the others from being started again.
//!
//! A helper serves one daemon. When the daemon ends its helpers' connections end, so they end too; fresh ones are started, and
//! the daemon's ends of their connections wait here for the next daemon.

use crate::backoff::Backoff;
use crate::control::{Control, Incoming, Outgoing};
use crate::host;
use crate::kept::Kept;
use crate::programs::Programs;
use crate::signals::Signals;
use protocol::handshake::HelperKind;
use protocol::keeper::{ToDaemon, ToLauncher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the daemon may take to stop its containers: six times Docker's default of ten seconds, since some may be slow and
/// all are stopped side by side. Then it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How long helpers may take to end once nobody is connected to them: they may be within a request.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// How long a killed process may take to be gone. One that hangs in the kernel is left to it.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// Messages that are still taken from a daemon that ended: more than its connection can hold. A process that it left behind
/// with its end of the connection could send for ever.
const UNREAD_MESSAGES_MAX: usize = 4096;

/// How the launcher runs.
#[derive(Debug)]
pub struct Terms {
    /// Printed on standard output when the API answers for the first time.
    pub announcement: Option<String>,
    /// Whether a stop is also one for the containers.
    pub stop_containers: bool,
}

/// Runs until it is told to stop.
///
/// # Errors
/// Where the launcher itself cannot work: no signals, no poll(2).
pub fn run(programs: &Programs<'_>, terms: Terms) -> Result<ExitCode> {
    let signals = Signals::take()?;
    host::adopt_orphans()?;
    let mut parent = Parent::new(programs, terms, signals);
    loop {
        parent.start_what_is_due(Instant::now());
        let heard = parent.wait()?;
        parent.reap();
        parent.obey_signals();
        if heard.contains(PollFlags::OUT) {
            parent.send_next();
        }
        if heard.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            parent.receive();
        }
        if let Some(code) = parent.next_phase(Instant::now()) {
            return Ok(code);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Stopping {
        until: Instant,
        clean: bool,
    },
    Ending {
        until: Instant,
        killed: bool,
        code: ExitCode,
    },
}

/// A program that should run.
#[derive(Debug)]
struct Unit {
    running: Option<(Pid, Instant)>,
    due: Instant,
    backoff: Backoff,
}

impl Unit {
    fn new() -> Self {
        Unit {
            running: None,
            due: Instant::now(),
            backoff: Backoff::default(),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.running.is_none() && self.due <= now
    }

    fn runs_as(&self, pid: Pid) -> bool {
        self.running.is_some_and(|(own, _)| own == pid)
    }

    /// Notes the end of the program, or that it could not be started; gives the wait before its next start.
    fn ended(&mut self) -> Duration {
        let now = Instant::now();
        let ran = self
            .running
            .take()
            .map_or(Duration::ZERO, |(_, since)| now - since);
        self.due = self.backoff.ended(ran, now);
        self.backoff.delay()
    }

    fn kill(&self) {
        if let Some((pid, _)) = self.running {
            kill_group(pid);
        }
    }
}

/// Kills a program and what it left in its process group: the other half of a pair, workers. The processes of containers
/// are in sessions of their own. Also right after the program was reaped: as long as anything is in its group the number is
/// given to no other process.
fn kill_group(pid: Pid) {
    // Most often nothing is left.
    let _ = kill_process_group(pid, Signal::KILL);
}

#[derive(Debug)]
struct Helper {
    kind: HelperKind,
    unit: Unit,
    /// The daemon's end of the connection, until a daemon gets it.
    connection: Option<OwnedFd>,
}

impl Helper {
    fn name(&self) -> String {
        format!("cellblock-{}", self.kind.name())
    }
}

#[derive(Debug)]
struct Parent<'a> {
    programs: &'a Programs<'a>,
    terms: Terms,
    signals: Signals,
    phase: Phase,
    helpers: [Helper; 5],
    daemon: Unit,
    control: Option<Control>,
    kept: Kept,
    was_ready: bool,
}

impl<'a> Parent<'a> {
    fn new(programs: &'a Programs<'a>, terms: Terms, signals: Signals) -> Self {
        let helper = |kind| Helper {
            kind,
            unit: Unit::new(),
            connection: None,
        };
        Parent {
            programs,
            terms,
            signals,
            phase: Phase::Running,
            helpers: HelperKind::ALL.map(helper),
            daemon: Unit::new(),
            control: None,
            kept: Kept::default(),
            was_ready: false,
        }
    }

    fn units(&self) -> impl Iterator<Item = &Unit> {
        self.helpers
            .iter()
            .map(|helper| &helper.unit)
            .chain([&self.daemon])
    }

    fn start_what_is_due(&mut self, now: Instant) {
        let (helpers, daemon) = match self.phase {
            Phase::Running => (true, true),
            // The daemon needs its helpers to stop the containers; a new one would not know that it should stop.
            Phase::Stopping { .. } => (true, false),
            Phase::Ending { .. } => (false, false),
        };
        for at in 0..self.helpers.len() {
            if helpers && self.helpers[at].unit.is_due(now) {
                self.start_helper(at, now);
            }
        }
        if daemon && self.daemon.is_due(now) {
            self.start_daemon(now);
        }
    }

    fn start_helper(&mut self, at: usize, now: Instant) {
        let helper = &mut self.helpers[at];
        match self.programs.start_helper(helper.kind) {
            Ok((pid, connection)) => {
                helper.unit.running = Some((pid, now));
                helper.connection = Some(connection);
                if let Some(control) = &mut self.control {
                    control.queue(Outgoing::Helper(helper.kind));
                }
            }
            Err(error) => {
                let wait = helper.unit.ended();
                log!("{error}; to be tried again in {} ms", wait.as_millis());
            }
        }
    }

    fn start_daemon(&mut self, now: Instant) {
        match self.programs.start_daemon() {
            Ok((pid, mut control)) => {
                self.daemon.running = Some((pid, now));
                self.kept
                    .keys()
                    .cloned()
                    .map(Outgoing::Kept)
                    .for_each(|kept| control.queue(kept));
                control.queue(Outgoing::Everything);
                for helper in self.helpers.iter().filter(|helper| helper.connection.is_some()) {
                    control.queue(Outgoing::Helper(helper.kind));
                }
                self.control = Some(control);
            }
            Err(error) => {
                let wait = self.daemon.ended();
                log!("{error}; to be tried again in {} ms", wait.as_millis());
            }
        }
    }

    /// Waits for a signal, the daemon or the next deadline; gives what the daemon's connection is ready for.
    fn wait(&self) -> Result<PollFlags> {
        let signals = &self.signals;
        let mut waiting: Vec<PollFd<'_>> = [&signals.terminate, &signals.interrupt, &signals.child]
            .map(|signal| PollFd::new(signal, PollFlags::IN))
            .into();
        if let Some(control) = &self.control {
            waiting.push(PollFd::new(control, control.interest()));
        }
        let timeout = self.next_deadline().map(|at| {
            // A time that does not fit is so far away that it need not be right.
            Timespec::try_from(at.saturating_duration_since(Instant::now())).unwrap_or_default()
        });
        match poll(&mut waiting, timeout.as_ref()) {
            Ok(_) => Ok(waiting.get(3).map_or(PollFlags::empty(), PollFd::revents)),
            Err(Errno::INTR) => Ok(PollFlags::empty()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let starts = self
            .units()
            .filter(|unit| unit.running.is_none())
            .map(|unit| unit.due);
        match self.phase {
            Phase::Running => starts.min(),
            Phase::Stopping { until, .. } => starts.chain([until]).min(),
            Phase::Ending { until, .. } => Some(until),
        }
    }

    fn reap(&mut self) {
        self.signals.child.count();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.daemon.runs_as(pid) {
                kill_group(pid);
                self.daemon_ended(pid, status);
            } else if let Some(helper) = self.helpers.iter_mut().find(|helper| helper.unit.runs_as(pid)) {
                kill_group(pid);
                // An end that nobody got to know of leads nowhere any more.
                helper.connection = None;
                let wait = helper.unit.ended();
                // A clean end is how a helper ends when its daemon has; that one is told.
                if status.exit_status() != Some(0) && !matches!(self.phase, Phase::Ending { .. }) {
                    let (name, how) = (helper.name(), describe(status));
                    log!(
                        "{name} (process {pid}) {how}; to be started again in {} ms",
                        wait.as_millis()
                    );
                }
            }
            // Anything else is an orphan that was adopted only to be reaped.
        }
    }

    fn daemon_ended(&mut self, pid: Pid, status: WaitStatus) {
        let wait = self.daemon.ended();
        // What it had kept before it ended still lies in the connection.
        for _ in 0..UNREAD_MESSAGES_MAX {
            self.receive();
        }
        self.control = None;
        let how = describe(status);
        match &mut self.phase {
            Phase::Running => {
                log!(
                    "cellblockd (process {pid}) {how}; to be started again in {} ms",
                    wait.as_millis()
                );
            }
            Phase::Stopping { clean, .. } if status.exit_status() == Some(0) => *clean = true,
            Phase::Stopping { .. } => log!("cellblockd (process {pid}) {how}; containers may go on running"),
            Phase::Ending { .. } => {}
        }
    }

    fn obey_signals(&mut self) {
        let interrupts = self.signals.interrupt.count();
        let asked = interrupts + self.signals.terminate.count();
        let is_running = matches!(self.phase, Phase::Running);
        if interrupts > 1 || interrupts == 1 && !is_running {
            log!("killing everything; containers may go on running");
            self.kill_all();
            let until = Instant::now() + KILL_DEADLINE;
            self.phase = Phase::Ending {
                until,
                killed: true,
                code: ExitCode::FAILURE,
            };
        } else if asked > 0 && is_running {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.phase = Phase::Stopping {
            until: Instant::now() + STOP_DEADLINE,
            clean: false,
        };
        match &mut self.control {
            Some(control) if self.terms.stop_containers => {
                log!("stopping containers; interrupt again to kill everything at once");
                control.queue(Outgoing::Stop);
            }
            // The daemon ends when its connection does, and leaves the containers alone.
            Some(_) => self.control = None,
            None => log!("there is no daemon that could stop containers; they go on running"),
        }
    }

    fn send_next(&mut self) {
        let Some(control) = &mut self.control else { return };
        let Some(next) = control.next_outgoing() else {
            return;
        };
        let sent = match next {
            Outgoing::Kept(key) => match self.kept.get(&key) {
                Some(fds) => {
                    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                    control.send(&ToDaemon::Kept { key }, &fds)
                }
                None => Ok(()),
            },
            Outgoing::Everything => control.send(&ToDaemon::Everything, &[]),
            Outgoing::Helper(kind) => {
                let helper = self.helpers.iter_mut().find(|helper| helper.kind == kind);
                match helper.and_then(|helper| helper.connection.take()) {
                    Some(connection) => control.send(&ToDaemon::Helper { kind }, &[connection.as_fd()]),
                    None => Ok(()),
                }
            }
            Outgoing::Stop => control.send(&ToDaemon::Stop, &[]),
        };
        if let Err(error) = sent {
            self.give_up_daemon(&format!("takes no messages: {error}"));
        }
    }

    /// Takes one message of the daemon.
    fn receive(&mut self) {
        let Some(control) = &self.control else { return };
        match control.receive() {
            Ok(Some(incoming)) => self.obey(incoming),
            Ok(None) => self.connection_ended(),
            Err(error) => self.give_up_daemon(&format!("broke the protocol: {error}")),
        }
    }

    /// The daemon ended, or closed its end, after which it is of no use.
    fn connection_ended(&mut self) {
        self.control = None;
        match self.phase {
            Phase::Running => self.daemon.kill(),
            // It has until the phase's end.
            Phase::Stopping { .. } | Phase::Ending { .. } => {}
        }
    }

    fn obey(&mut self, Incoming { message, fds }: Incoming) {
        match message {
            ToLauncher::Keep { key } => {
                if let Err(why) = self.kept.keep(key, fds) {
                    log!("{why}");
                }
            }
            ToLauncher::Forget { key } => self.kept.forget(&key),
            ToLauncher::Ready => {
                if !self.was_ready
                    && let Some(line) = &self.terms.announcement
                {
                    crate::print_line(line);
                }
                self.was_ready = true;
                log!("cellblockd is ready");
            }
        }
    }

    fn give_up_daemon(&mut self, why: &str) {
        log!("cellblockd {why}");
        self.control = None;
        self.daemon.kill();
    }

    /// Goes on to the next phase if it is time; gives the exit code when all is over.
    fn next_phase(&mut self, now: Instant) -> Option<ExitCode> {
        match self.phase {
            Phase::Running => {
                if !self.was_ready && self.units().any(|unit| unit.backoff.is_hopeless()) {
                    log!("giving up: what failed above does not start");
                    self.end(now, ExitCode::FAILURE);
                }
            }
            Phase::Stopping { until, clean } => {
                let code = if clean {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                };
                if self.daemon.running.is_none() {
                    self.end(now, code);
                } else if until <= now {
                    log!(
                        "cellblockd did not stop in {} s; containers may go on running",
                        STOP_DEADLINE.as_secs()
                    );
                    self.end(now, code);
                }
            }
            Phase::Ending { .. } => {}
        }
        self.over(now)
    }

    /// The exit code, if this is the last phase and all is gone or was waited for long enough.
    fn over(&mut self, now: Instant) -> Option<ExitCode> {
        let Phase::Ending { until, killed, code } = self.phase else {
            return None;
        };
        let all_gone = self.units().all(|unit| unit.running.is_none());
        if all_gone || killed && until <= now {
            return Some(code);
        }
        if until <= now {
            self.kill_all();
            self.phase = Phase::Ending {
                until: now + KILL_DEADLINE,
                killed: true,
                code,
            };
        }
        None
    }

    /// Ends the daemon if it still runs; helpers end since nobody is connected to them any more.
    fn end(&mut self, now: Instant, code: ExitCode) {
        self.control = None;
        self.daemon.kill();
        self.helpers
            .iter_mut()
            .for_each(|helper| helper.connection = None);
        self.phase = Phase::Ending {
            until: now + END_DEADLINE,
            killed: false,
            code,
        };
    }

    fn kill_all(&mut self) {
        self.control = None;
        self.daemon.kill();
        self.helpers.iter().for_each(|helper| helper.unit.kill());
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
