//! A running `cellblock dev`, and what can be asked of it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails: far more than it ever takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The names of the six programs that the launcher starts.
pub(crate) const PROGRAMS: [&str; 6] = [
    "cellblockd",
    "cellblock-zfs",
    "cellblock-jail",
    "cellblock-net",
    "cellblock-mount",
    "cellblock-archive",
];

/// Whether the test can run; prints the one visible line where it cannot.
pub(crate) fn can_run(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED {test}: needs root");
    }
    root
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A directory for one test, removed with it.
pub(crate) struct Ground {
    pub(crate) path: PathBuf,
}

impl Ground {
    /// A directory with the programs in `libexec`.
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cb-{}-{test}", std::process::id()));
        let libexec = path.join("libexec");
        fs::create_dir_all(&libexec).unwrap();
        // target/debug/deps/dev-… is this test, target/debug/examples/stand_in the stand-in.
        let stand_in = std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .with_file_name("examples/stand_in");
        assert!(
            stand_in.is_file(),
            "{} is built by `cargo test -p cellblock`",
            stand_in.display()
        );
        for program in PROGRAMS {
            symlink(&stand_in, libexec.join(program)).unwrap();
        }
        Ground { path }
    }

    /// The instance's directory.
    pub(crate) fn base(&self) -> PathBuf {
        self.path.join("base")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellblock"));
        command
            .env("CELLBLOCK_LIBEXEC", self.path.join("libexec"))
            .env("SSL_CERT_FILE", "/etc/ssl/cert.pem")
            .env_remove("SSL_CERT_DIR")
            .arg("dev")
            .arg(self.base())
            .args(arguments);
        command
    }

    /// Starts the service as `cellblock up` does.
    pub(crate) fn start_service(&self, config: &str) -> Instance {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellblock"));
        command
            .env("CELLBLOCK_LIBEXEC", self.path.join("libexec"))
            .env("SSL_CERT_FILE", "/etc/ssl/cert.pem")
            .env_remove("SSL_CERT_DIR")
            .args(["up", "--config", config]);
        self.run(command)
    }

    /// Starts an instance that must come up.
    pub(crate) fn start(&self) -> Instance {
        let instance = self.start_with(&[]);
        let line = instance
            .lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{}", instance.log()));
        assert_eq!(
            line,
            format!("DOCKER_HOST=unix://{}", instance.socket().display())
        );
        instance
    }

    /// Starts an instance whatever comes of it.
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Instance {
        self.run(self.command(arguments))
    }

    fn run(&self, mut command: Command) -> Instance {
        let log = fs::File::create(self.path.join("log")).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Instance {
            child,
            lines,
            base: self.base(),
            log: self.path.join("log"),
        }
    }

    /// Runs a command that must end by itself; gives what it says.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let mut instance = self.start_with(arguments);
        assert_eq!(instance.wait().code(), Some(1), "{}", instance.log());
        assert_eq!(instance.lines.iter().count(), 0);
        instance.log()
    }

    /// Writes a configuration; gives its path.
    pub(crate) fn config(&self, text: &str) -> String {
        let path = self.path.join("cellblock.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The daemon's own directory; it must have been made by a first start.
    pub(crate) fn daemon(&self, name: &str) -> PathBuf {
        self.base().join("daemon").join(name)
    }

    pub(crate) fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.daemon("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How many lines of the daemons' journal begin so.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        self.journal()
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }

    /// What each start of a helper was given.
    pub(crate) fn audit(&self, helper: &str) -> Vec<String> {
        let path = self.base().join("audit").join(format!("{helper}.log"));
        let lines = || -> Vec<String> {
            fs::read_to_string(&path)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect()
        };
        // The daemon may be ready before a helper has come to its first line.
        eventually(&format!("{helper} writes its log"), || !lines().is_empty());
        lines()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A launcher that was started.
pub(crate) struct Instance {
    child: Child,
    pub(crate) lines: Receiver<String>,
    base: PathBuf,
    log: PathBuf,
}

impl Instance {
    pub(crate) fn socket(&self) -> PathBuf {
        self.base.canonicalize().unwrap().join("docker.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("the launcher ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Everything that it and what it started said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Gives the daemon an order; `None` where it ends instead of answering.
    pub(crate) fn order(&self, order: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{order}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.strip_suffix('\n').map(str::to_owned)
    }

    /// Waits until the daemon answers an order so.
    #[track_caller]
    pub(crate) fn expect(&self, order: &str, answer: &str) {
        let mut last = None;
        let begun = Instant::now();
        while last.as_deref() != Some(answer) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{order}: {last:?}, not {answer}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
            last = self.order(order);
        }
    }

    /// Its direct children: process id, name and state.
    pub(crate) fn children(&self) -> Vec<(u32, String, char)> {
        let pid = self.child.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let stat = |pid: u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (head, tail) = text.rsplit_once(") ")?;
            Some((pid, head.split_once('(')?.1.to_owned(), tail.chars().next()?))
        };
        list.split_whitespace()
            .filter_map(|pid| stat(pid.parse().ok()?))
            .collect()
    }

    /// The process of one of the programs.
    #[track_caller]
    pub(crate) fn process(&self, name: &str) -> u32 {
        // The kernel keeps the first 15 bytes of a name.
        let short = &name[..name.len().min(15)];
        let mut found = None;
        eventually(name, || {
            let child = self
                .children()
                .into_iter()
                .find(|(_, child, state)| child == short && *state != 'Z');
            found = child.map(|(pid, _, _)| pid);
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A test that failed must leave nothing behind: without launcher the daemon ends, and with it the helpers.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
