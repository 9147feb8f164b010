//! One run of one process: starting it, moving its streams, waiting for its end.

use super::hub::{Chunk, Hub, Input};
use super::logs::LogWriter;
use super::messages::Exec;
use super::stream;
use crate::kernel::limits::{OUTPUT_CHUNK_BYTES, OUTPUT_DRAIN_DEADLINE};
use crate::transport::jail::Jail;
use crate::transport::launcher::Launcher;
use crate::transport::{TransportError, exit};
use docker_api::stream::StreamKind;
use protocol::Principal;
use protocol::jail::ProcessSpec;
use protocol::names::JailName;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// How standard streams are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// A terminal.
    Terminal,
    /// Pipes; without `input`, standard input is empty.
    Pipes {
        /// Whether clients can write to it.
        input: bool,
    },
}

/// The descriptors of a run: what the launcher keeps for the next daemon.
#[derive(Debug)]
pub struct Kept {
    /// Delivers the process's end.
    pub exit: OwnedFd,
    /// The terminal's master; or standard output and error, and standard input if it is open.
    pub streams: Vec<OwnedFd>,
}

/// A process that runs.
#[derive(Debug)]
pub struct Ended {
    /// The process's id as the host sees it.
    pub pid: i32,
    /// Its exit code, once it has ended and all its output was moved.
    pub exit_code: oneshot::Receiver<i64>,
    /// Told when the process itself has ended; output may still come. Removing the jail at this point ends whatever else
    /// holds the streams.
    pub process_over: oneshot::Receiver<()>,
}

/// Starts a process and the tasks that serve it.
///
/// # Errors
/// What the jail helper answers.
pub async fn launch(
    jail: &Jail,
    launcher: &Launcher,
    by: &Principal,
    name: JailName,
    spec: ProcessSpec,
    stdio: Stdio,
    run: Run,
) -> Result<Ended, TransportError> {
    let (kept, pid) = match stdio {
        Stdio::Terminal => {
            let launched = jail.launch(by, name, spec, Vec::new()).await?;
            (
                Kept {
                    exit: launched.exit,
                    streams: launched.terminal.into_iter().collect(),
                },
                launched.pid,
            )
        }
        Stdio::Pipes { input } => {
            let (stdin, stdin_end) = if input {
                pipe().map(|(r, w)| (r, Some(w)))?
            } else {
                (empty()?, None)
            };
            let ((stdout_end, stdout), (stderr_end, stderr)) = (pipe()?, pipe()?);
            let launched = jail.launch(by, name, spec, vec![stdin, stdout, stderr]).await?;
            let streams = [Some(stdout_end), Some(stderr_end), stdin_end]
                .into_iter()
                .flatten()
                .collect();
            (
                Kept {
                    exit: launched.exit,
                    streams,
                },
                launched.pid,
            )
        }
    };
    if let Some(key) = &run.keep_as {
        let borrowed: Vec<_> = std::iter::once(kept.exit.as_fd())
            .chain(kept.streams.iter().map(AsFd::as_fd))
            .collect();
        launcher
            .keep(key, &borrowed)
            .map_err(|e| TransportError::Stream(e.to_string()))?;
    }
    adopt(launcher, kept, pid, stdio, run).map_err(|e| TransportError::Stream(e.to_string()))
}

/// Serves a run that has been started, now or by an earlier daemon.
///
/// # Errors
/// Where no more descriptors can be had.
pub fn adopt(launcher: &Launcher, kept: Kept, pid: i32, stdio: Stdio, run: Run) -> std::io::Result<Ended> {
    let keeping = Keeping::new(launcher, &run, &kept, stdio)?;
    Ok(serve(kept, pid, stdio, run, keeping))
}

/// What a run works with.
#[derive(Debug)]
pub struct Run {
    /// The hub.
    pub hub: Arc<Hub>,
    /// The log; none for an exec.
    pub log: Option<LogWriter>,
    /// The key under which the launcher keeps the descriptors; none for what may die with the daemon.
    pub keep_as: Option<String>,
    /// The exec that this is a run of: its end is recorded before its streams end, because clients ask for the exit code as soon
    /// as they have seen the last output.
    pub exec: Option<Arc<Exec>>,
}

/// The launcher's copies of a run's descriptors. A pipe ends only when every copy of its writing end is closed.
#[derive(Debug)]
struct Keeping {
    launcher: Launcher,
    key: String,
    /// All but standard input.
    without_input: Vec<OwnedFd>,
}

impl Keeping {
    fn new(launcher: &Launcher, run: &Run, kept: &Kept, stdio: Stdio) -> std::io::Result<Option<Self>> {
        let Some(key) = run.keep_as.clone() else {
            return Ok(None);
        };
        let streams = match stdio {
            Stdio::Terminal => kept.streams.as_slice(),
            Stdio::Pipes { .. } => kept.streams.get(..2).unwrap_or_default(),
        };
        let without_input = std::iter::once(&kept.exit)
            .chain(streams)
            .map(OwnedFd::try_clone)
            .collect::<Result<_, _>>()?;
        Ok(Some(Keeping {
            launcher: launcher.clone(),
            key,
            without_input,
        }))
    }

    /// Has the launcher close its copy of standard input, by keeping everything else anew.
    fn let_go_of_input(&self) {
        let borrowed: Vec<_> = self.without_input.iter().map(AsFd::as_fd).collect();
        if let Err(error) = self.launcher.keep(&self.key, &borrowed) {
            tracing::warn!(%error, "the launcher does not answer");
        }
    }
}

fn serve(kept: Kept, pid: i32, stdio: Stdio, run: Run, keeping: Option<Keeping>) -> Ended {
    let (finished, exit_code) = oneshot::channel();
    let (over, process_over) = oneshot::channel();
    tokio::spawn(async move {
        let exec = run.exec.clone();
        let hub = Arc::clone(&run.hub);
        let code = move_until_end(kept, stdio, run, keeping, over).await;
        if let Some(exec) = exec {
            exec.ended(code, pid);
        }
        hub.end();
        // Nobody waits for a detached exec.
        let _ = finished.send(code);
    });
    Ended {
        pid,
        exit_code,
        process_over,
    }
}

async fn move_until_end(
    kept: Kept,
    stdio: Stdio,
    run: Run,
    keeping: Option<Keeping>,
    over: oneshot::Sender<()>,
) -> i64 {
    let Run { hub, log, .. } = run;
    let log = log.map(|log| Arc::new(tokio::sync::Mutex::new(log)));
    let connected = Connected::new(stdio, kept.streams);
    let mut outputs = JoinSet::new();
    for (kind, descriptor) in connected.outputs {
        match stream::reader(descriptor) {
            Ok(reader) => {
                outputs.spawn(move_output(kind, reader, Arc::clone(&hub), log.clone()));
            }
            Err(error) => tracing::error!(%error, "a container's stream cannot be read"),
        }
    }
    let received = hub.begin(connected.terminal.map(Arc::new));
    let input = connected
        .input
        .and_then(|descriptor| stream::writer(descriptor).ok());
    let input = tokio::spawn(move_input(received, input, stdio, keeping));
    let code = match exit::wait(kept.exit).await {
        Ok(status) => status.exit_code(),
        Err(error) => {
            // The watcher was killed: nobody can know. dockerd says 255 then too.
            tracing::error!(%error, "exit status lost");
            255
        }
    };
    let _ = over.send(());
    let drained = async { while outputs.join_next().await.is_some() {} };
    if tokio::time::timeout(OUTPUT_DRAIN_DEADLINE, drained)
        .await
        .is_err()
    {
        tracing::warn!("a container's output did not end with its process");
        outputs.abort_all();
    }
    input.abort();
    code
}

/// A run's descriptors by what they are for.
struct Connected {
    outputs: Vec<(StreamKind, OwnedFd)>,
    input: Option<OwnedFd>,
    /// The terminal, to set its size.
    terminal: Option<OwnedFd>,
}

impl Connected {
    fn new(stdio: Stdio, streams: Vec<OwnedFd>) -> Self {
        let mut streams = streams.into_iter();
        match (stdio, streams.next(), streams.next(), streams.next()) {
            (Stdio::Terminal, Some(master), _, _) => Connected {
                input: master.try_clone().ok(),
                terminal: master.try_clone().ok(),
                outputs: vec![(StreamKind::Stdout, master)],
            },
            (_, stdout, stderr, input) => {
                let stdout = stdout.map(|fd| (StreamKind::Stdout, fd));
                let stderr = stderr.map(|fd| (StreamKind::Stderr, fd));
                Connected {
                    outputs: stdout.into_iter().chain(stderr).collect(),
                    input,
                    terminal: None,
                }
            }
        }
    }
}

async fn move_output(
    kind: StreamKind,
    mut reader: Receiver,
    hub: Arc<Hub>,
    log: Option<Arc<tokio::sync::Mutex<LogWriter>>>,
) {
    let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
    loop {
        match stream::next(&mut reader, &mut buffer).await {
            Ok(Some(bytes)) => {
                if let Some(log) = &log {
                    log.lock().await.write(kind, &bytes).await;
                    hub.wrote_log();
                }
                hub.publish(Chunk { kind, bytes }).await;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "a container's output cannot be read");
                break;
            }
        }
    }
    if let Some(log) = &log {
        log.lock().await.finish(kind).await;
        hub.wrote_log();
    }
}

async fn move_input(
    mut received: mpsc::Receiver<Input>,
    mut writer: Option<Sender>,
    stdio: Stdio,
    keeping: Option<Keeping>,
) {
    while let Some(input) = received.recv().await {
        match (input, &mut writer) {
            (Input::Bytes(bytes), Some(open)) => {
                if open.write_all(&bytes).await.is_err() {
                    // The process closed its input; what comes is read and dropped, as a pipe's writer would see.
                    writer = None;
                }
            }
            // A pipe ends by being closed. A terminal stays: its client only went away.
            (Input::End, _) if stdio != Stdio::Terminal => {
                writer = None;
                if let Some(keeping) = &keeping {
                    keeping.let_go_of_input();
                }
            }
            (Input::End | Input::Bytes(_), _) => {}
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), TransportError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| TransportError::Stream(e.to_string()))
}

fn empty() -> Result<OwnedFd, TransportError> {
    std::fs::File::open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|e| TransportError::Stream(e.to_string()))
}
