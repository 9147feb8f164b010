//! Where a process's output fans out and its input comes in.

use crate::kernel::limits::{INPUT_QUEUE_CHUNKS_MAX, OUTPUT_QUEUE_CHUNKS_MAX, OUTPUT_STALL_DEADLINE};
use bytes::Bytes;
use docker_api::stream::StreamKind;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// A piece of output.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Which stream it came from; a terminal has only standard output.
    pub kind: StreamKind,
    /// The bytes.
    pub bytes: Bytes,
}

/// What an attached client wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

struct Subscriber {
    wanted: Wanted,
    chunks: mpsc::Sender<Chunk>,
}

/// A client's connection to a hub.
#[derive(Debug)]
pub struct Attachment {
    /// Output from now on; ends with the run.
    pub output: mpsc::Receiver<Chunk>,
    /// Where input goes; dropping it says nothing, see [`Hub::close_input`].
    pub input: mpsc::Sender<Input>,
}

/// What comes from a client.
#[derive(Debug)]
pub enum Input {
    /// Bytes for the process.
    Bytes(Bytes),
    /// Nothing more will come: the process shall see the end of its input.
    End,
}

struct State {
    subscribers: Vec<Subscriber>,
    input: mpsc::Sender<Input>,
    unread_input: Option<mpsc::Receiver<Input>>,
    terminal: Option<Arc<OwnedFd>>,
    size: Option<(u16, u16)>,
}

/// The hub of one container or exec.
pub struct Hub {
    state: Mutex<State>,
    /// Grows with each log write, so that followers wake.
    logged: watch::Sender<u64>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Default for Hub {
    fn default() -> Self {
        let (input, unread) = mpsc::channel(INPUT_QUEUE_CHUNKS_MAX);
        let state = State {
            subscribers: Vec::new(),
            input,
            unread_input: Some(unread),
            terminal: None,
            size: None,
        };
        Hub {
            state: Mutex::new(state),
            logged: watch::channel(0).0,
        }
    }
}

/// The size was not set: no terminal, or the system refused.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the terminal cannot be resized")]
pub struct NotResized;

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins: everything that the process writes from now on.
    #[must_use]
    pub fn attach(&self, wanted: Wanted) -> Attachment {
        let (chunks, output) = mpsc::channel(OUTPUT_QUEUE_CHUNKS_MAX);
        let mut state = self.state();
        state.subscribers.push(Subscriber { wanted, chunks });
        Attachment {
            output,
            input: state.input.clone(),
        }
    }

    /// Gives a chunk to every subscriber, waiting for each as long as [`OUTPUT_STALL_DEADLINE`]; one that stalls longer, or is
    /// gone, is dropped.
    pub(super) async fn publish(&self, chunk: Chunk) {
        let wants = |wanted: Wanted| match chunk.kind {
            StreamKind::Stdout | StreamKind::Stdin => wanted.stdout,
            StreamKind::Stderr => wanted.stderr,
            StreamKind::SystemError => true,
        };
        let receivers: Vec<mpsc::Sender<Chunk>> = self
            .state()
            .subscribers
            .iter()
            .filter(|s| wants(s.wanted))
            .map(|s| s.chunks.clone())
            .collect();
        let mut gone = false;
        for receiver in receivers {
            if receiver
                .send_timeout(chunk.clone(), OUTPUT_STALL_DEADLINE)
                .await
                .is_err()
            {
                gone = true;
                self.state()
                    .subscribers
                    .retain(|s| !s.chunks.same_channel(&receiver));
            }
        }
        if gone {
            tracing::debug!("an attached client is gone or stalled");
        }
    }

    /// There will be no run: says why on standard output, where dockerd says it, and ends the streams.
    pub async fn fail(&self, why: &str) {
        self.publish(Chunk {
            kind: StreamKind::Stdout,
            bytes: Bytes::from(format!("{why}\r\n")),
        })
        .await;
        self.end();
    }

    /// A run begins: takes the input that was sent so far and will be.
    pub(super) fn begin(&self, terminal: Option<Arc<OwnedFd>>) -> mpsc::Receiver<Input> {
        let mut state = self.state();
        let size = state.size;
        if let (Some(terminal), Some(size)) = (&terminal, size) {
            // Best effort, as with a terminal whose size nobody set.
            let _ = set_size(terminal, size);
        }
        state.terminal = terminal;
        match state.unread_input.take() {
            Some(unread) => unread,
            // A second run without an end of the first cannot happen; an input that never comes is harmless.
            None => mpsc::channel(1).1,
        }
    }

    /// A run is over: every subscriber's stream ends, and input begins afresh.
    pub(super) fn end(&self) {
        let (input, unread) = mpsc::channel(INPUT_QUEUE_CHUNKS_MAX);
        let mut state = self.state();
        state.subscribers.clear();
        state.terminal = None;
        state.size = None;
        (state.input, state.unread_input) = (input, Some(unread));
        self.logged.send_modify(|count| *count += 1);
    }

    /// Sets the terminal's size now, or at the start of the next run.
    ///
    /// # Errors
    /// [`NotResized`] where the system refuses.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), NotResized> {
        let mut state = self.state();
        state.size = Some((rows, columns));
        match &state.terminal {
            Some(terminal) => set_size(terminal, (rows, columns)).map_err(|_| NotResized),
            None => Ok(()),
        }
    }

    /// The size that was set for the next run.
    #[must_use]
    pub fn size(&self) -> Option<(u16, u16)> {
        self.state().size
    }

    /// Tells followers that the log has grown.
    pub(super) fn wrote_log(&self) {
        self.logged.send_modify(|count| *count += 1);
    }

    /// Changes when the log has grown or the run is over.
    #[must_use]
    pub fn log_changes(&self) -> watch::Receiver<u64> {
        self.logged.subscribe()
    }
}

fn set_size(terminal: &OwnedFd, (rows, columns): (u16, u16)) -> rustix::io::Result<()> {
    let size = rustix::termios::Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: StreamKind, text: &'static str) -> Chunk {
        Chunk {
            kind,
            bytes: Bytes::from_static(text.as_bytes()),
        }
    }

    #[tokio::test]
    async fn output_reaches_those_who_want_it_and_ends_with_the_run() {
        let hub = Hub::default();
        let mut all = hub.attach(Wanted {
            stdout: true,
            stderr: true,
        });
        let mut errors = hub.attach(Wanted {
            stdout: false,
            stderr: true,
        });
        hub.publish(chunk(StreamKind::Stdout, "a")).await;
        hub.publish(chunk(StreamKind::Stderr, "b")).await;
        hub.end();
        assert_eq!(all.output.recv().await.unwrap().bytes, "a");
        assert_eq!(all.output.recv().await.unwrap().bytes, "b");
        assert!(all.output.recv().await.is_none());
        assert_eq!(errors.output.recv().await.unwrap().bytes, "b");
        assert!(errors.output.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_dropped_and_others_go_on() {
        let hub = Hub::default();
        let _stalled = hub.attach(Wanted {
            stdout: true,
            stderr: true,
        });
        for _ in 0..=OUTPUT_QUEUE_CHUNKS_MAX {
            hub.publish(chunk(StreamKind::Stdout, "x")).await;
        }
        assert!(hub.state().subscribers.is_empty());
    }

    #[tokio::test]
    async fn input_sent_before_the_start_is_not_lost() {
        let hub = Hub::default();
        let attachment = hub.attach(Wanted {
            stdout: true,
            stderr: true,
        });
        attachment
            .input
            .send(Input::Bytes(Bytes::from_static(b"hi")))
            .await
            .unwrap();
        let mut input = hub.begin(None);
        assert!(matches!(input.recv().await, Some(Input::Bytes(bytes)) if bytes == "hi"));
    }
}
