//! The docker command, as people type it.

use crate::{engine, skipped};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take: a daemon that hangs must fail the test and not the whole run.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Gives a [`Docker`] with the base image for the test it stands in, or says why the test is skipped.
#[macro_export]
macro_rules! docker {
    () => {{
        fn here() {}
        let Some(docker) = $crate::docker::for_test(std::any::type_name_of_val(&here)) else {
            return;
        };
        docker
    }};
}

/// The docker command and the daemon it talks to.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
    /// Who runs the command; none is who runs the test.
    user: Option<u32>,
}

/// How a command ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; that of a signal is 128 more, as shells say it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// For [`docker!`].
pub fn for_test(here: &str) -> Option<Docker> {
    let test = here.trim_end_matches("::here");
    let version = Command::new("docker").arg("--version").output();
    let daemon = if version.is_err() {
        Err("needs the docker command".to_owned())
    } else {
        engine::shared(test.split("::").next().unwrap_or(test))
    };
    match daemon {
        Ok(socket) => Some(Docker::new(&socket)),
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

impl Docker {
    /// For the daemon behind a socket.
    pub fn new(socket: &Path) -> Docker {
        Docker {
            socket: socket.to_path_buf(),
            user: None,
        }
    }

    /// The same daemon, asked by the user with this number and the group with the same.
    #[must_use]
    pub fn run_by(&self, user: u32) -> Docker {
        Docker {
            socket: self.socket.clone(),
            user: Some(user),
        }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs a command that must succeed; gives its standard output without the last line end. Words are split as a shell
    /// does, with quotes and nothing else.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "docker {line}\n{}{}", ran.out, ran.err);
        ran.out.strip_suffix('\n').unwrap_or(&ran.out).to_owned()
    }

    /// The host's port for a container's (`7000/tcp`): the first of several.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn published(&self, container: &str, side: &str) -> u16 {
        let ports = self.ok(&format!("port {container} {side}"));
        let first = ports.lines().next().unwrap();
        first.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Runs a command that must end with that exit code; gives its standard error.
    ///
    /// # Panics
    /// Where it ends with another.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, code, "docker {line}\n{}{}", ran.out, ran.err);
        ran.err
    }

    /// Runs a command.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        self.with_input(line, b"")
    }

    /// Runs a command with this on its standard input.
    ///
    /// # Panics
    /// Where it does not end in time.
    #[track_caller]
    pub fn with_input(&self, line: &str, input: &[u8]) -> Ran {
        let ran = self.bytes(line, input);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran {
            code: ran.0,
            out: text(ran.1),
            err: text(ran.2),
        }
    }

    /// Runs a command; gives exit code, standard output and standard error as they are.
    ///
    /// # Panics
    /// Where it does not end in time.
    #[track_caller]
    pub fn bytes(&self, line: &str, input: &[u8]) -> (i32, Vec<u8>, Vec<u8>) {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A command that reads nothing leaves a broken pipe, which is its right.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let code = wait(&mut child, line);
        (code, out.recv().unwrap(), err.recv().unwrap())
    }

    /// Starts a command that goes on beside the test.
    pub fn start(&self, line: &str) -> Running {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let err = collect(child.stderr.take().unwrap());
        Running {
            line: line.to_owned(),
            child,
            stdin,
            lines,
            err,
        }
    }

    /// The command itself, with an environment that has nothing of the developer's.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("docker");
        command
            .args(words(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.set_environment(&mut command);
        if let Some(user) = self.user {
            command.uid(user).gid(user).current_dir("/");
        }
        command
    }

    /// Points a command that runs docker to this daemon.
    pub fn set_environment(&self, command: &mut Command) {
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("DOCKER_") {
                command.env_remove(key);
            }
        }
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_CONFIG", std::env::temp_dir().join("cb-no-docker-config"))
            // The classic builder: the other is a plugin.
            .env("DOCKER_BUILDKIT", "0");
    }
}

/// A command that goes on.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    err: Receiver<Vec<u8>>,
}

impl Running {
    /// The next line of its standard output.
    ///
    /// # Panics
    /// Where none comes.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(COMMAND_WITHIN) {
            Ok(line) => line,
            Err(error) => panic!("docker {}: {error}", self.line),
        }
    }

    /// Whether it stays silent for so long.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        self.lines.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// Types something.
    ///
    /// # Panics
    /// Where its standard input is closed.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; gives exit code, the rest of its standard output, and its standard error.
    ///
    /// # Panics
    /// Where it does not end in time.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let code = wait(&mut self.child, &self.line);
        let rest: Vec<String> = self.lines.iter().collect();
        let err = String::from_utf8_lossy(&self.err.recv().unwrap()).into_owned();
        Ran {
            code,
            out: rest.join("\n"),
            err,
        }
    }

    /// Kills the command, as closing its terminal would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let _ = sender.send(all);
    });
    receiver
}

#[track_caller]
fn wait(child: &mut Child, line: &str) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + COMMAND_WITHIN;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("docker {line}: did not end within {COMMAND_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so.
///
/// # Panics
/// Where it does not become so in time.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + COMMAND_WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {COMMAND_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The words of a command line: split at blanks, except within single or double quotes.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, ' ' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(
            words("run  --rm base sh -c 'echo \"a b\"; exit 3' \"it's\" ''"),
            [
                "run",
                "--rm",
                "base",
                "sh",
                "-c",
                "echo \"a b\"; exit 3",
                "it's",
                ""
            ]
        );
        assert_eq!(words("-e A='x y'z"), ["-e", "A=x yz"]);
    }
}
