//! `cellblock dev` as a developer starts it, and what it must have cleaned up when it has stopped.

use crate::{busybox, http, proc, programs, sys};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long it may take to start or to stop, on a machine that also builds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The name of the base image in every engine of the tests.
pub const BASE_IMAGE: &str = "base";

/// What the name of a configuration ends with.
const CONFIG: &str = "toml";

/// Names the API socket of another daemon, to which the tests of the docker command are put instead: a real dockerd, to
/// see whether they expect what it does.
const ELSEWHERE: &str = "CELLBLOCK_TEST_SOCKET";

/// A running `cellblock dev`.
#[derive(Debug)]
pub struct Engine {
    dir: PathBuf,
    log: PathBuf,
    launcher: Child,
    ended: bool,
    /// What the names of this installation's interfaces begin with.
    interfaces: String,
}

impl Engine {
    /// Starts one in a new folder.
    ///
    /// # Errors
    /// What the host lacks, as a sentence.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(name: &str) -> Result<Engine, String> {
        Ok(Engine::start_in(&new_dir(name)?))
    }

    /// Starts one with a configuration other than the built-in one for development.
    ///
    /// # Errors
    /// What the host lacks, as a sentence.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_with(name: &str, config: &str) -> Result<Engine, String> {
        let dir = new_dir(name)?;
        fs::write(dir.with_extension(CONFIG), config).unwrap();
        Ok(Engine::start_in(&dir))
    }

    /// Starts one in a folder that need not exist. Its configuration is beside the folder, if it has one.
    fn start_in(dir: &Path) -> Engine {
        let log = dir.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let earlier = usize::try_from(file.metadata().unwrap().len()).unwrap();
        let mut command = Command::new(programs::path("cellblock"));
        command.arg("dev").arg(dir);
        let config = dir.with_extension(CONFIG);
        if config.exists() {
            command.arg("--config").arg(config);
        }
        let launcher = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut engine = Engine {
            dir: dir.to_path_buf(),
            log,
            launcher,
            ended: false,
            interfaces: String::new(),
        };
        let host = format!("DOCKER_HOST=unix://{}/docker.sock", dir.display());
        engine.wait_for("the line with DOCKER_HOST", |engine| {
            engine.log()[earlier..].contains(&host)
        });
        engine.interfaces = interface_prefix(&engine.socket());
        engine
    }

    /// The folder that holds everything.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the API is.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// The launcher's process.
    pub fn launcher(&self) -> u32 {
        self.launcher.id()
    }

    /// What the programs wrote to their standard output and error.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the names of this installation's interfaces begin with.
    pub fn interfaces(&self) -> &str {
        &self.interfaces
    }

    /// The launcher's only child of that program.
    ///
    /// # Panics
    /// Where there is none, or more than one.
    pub fn child(&self, program: &str) -> proc::Process {
        let mut found = proc::children(self.launcher());
        found.retain(|process| process.program() == program);
        let [process] = found.as_slice() else {
            panic!("{program}: {found:?}\n{}", self.log())
        };
        *process
    }

    /// Imports the base image.
    ///
    /// # Errors
    /// What the host lacks.
    pub fn import_base(&self) -> Result<(), String> {
        import_base(&self.socket())
    }

    /// Stops it and takes its folder away.
    ///
    /// # Panics
    /// Where it fails, or leaves anything behind.
    pub fn stop(mut self) {
        let offences = self.end();
        assert!(offences.is_empty(), "{}\n{}", offences.join("\n"), self.log());
    }

    /// Stops it and starts it again in the same folder.
    ///
    /// # Panics
    /// As [`Engine::stop`].
    #[must_use]
    pub fn stop_and_start(mut self) -> Engine {
        let dir = self.dir.clone();
        let offences = self.terminate();
        assert!(offences.is_empty(), "{}\n{}", offences.join("\n"), self.log());
        drop(self);
        Engine::start_in(&dir)
    }

    fn end(&mut self) -> Vec<String> {
        let offences = self.terminate();
        // What is mounted there may be anybody's files.
        if proc::mounts_below(&self.dir).is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
        if offences.is_empty() {
            let _ = fs::remove_file(&self.log);
            let _ = fs::remove_file(self.dir.with_extension(CONFIG));
        }
        offences
    }

    /// SIGTERM, and everything that is wrong afterwards.
    fn terminate(&mut self) -> Vec<String> {
        let family = proc::descendants(self.launcher());
        self.ended = true;
        let status = self.wait_for_end(Signal::TERM);
        let mut offences = Vec::new();
        if status.is_none_or(|status| status.code() != Some(0)) {
            offences.push(format!("`cellblock dev` ended with {status:?}"));
        }
        let stay = family.into_iter().filter(|process| process.lives());
        offences
            .extend(stay.map(|process| format!("process {} {} stayed", process.pid, process.command_line())));
        offences.extend(
            proc::that_know(&self.dir)
                .into_iter()
                .map(|process| format!("process {process} stayed")),
        );
        offences.extend(
            proc::mounts_below(&self.dir)
                .into_iter()
                .map(|point| format!("{point} is still mounted")),
        );
        let stay = if self.interfaces.is_empty() {
            Vec::new()
        } else {
            proc::interfaces(&self.interfaces)
        };
        offences.extend(stay.into_iter().map(|name| format!("interface {name} stayed")));
        offences
    }

    fn wait_for_end(&mut self, signal: Signal) -> Option<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.launcher.id()).unwrap()).unwrap();
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.launcher.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
        None
    }

    fn wait_for(&mut self, what: &str, is_there: impl Fn(&Engine) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(self) {
            let ended = self.launcher.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "`cellblock dev` ended: {ended:?}\n{}",
                self.log()
            );
            assert!(Instant::now() < deadline, "no {what}\n{}", self.log());
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.ended {
            // The test that owned it failed already; the log may say why.
            let log = self.log();
            let offences = self.end();
            eprintln!("{log}\n{}", offences.join("\n"));
        }
    }
}

/// A folder that is not there yet.
fn new_dir(name: &str) -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if !geteuid().is_root() {
        return Err("needs root".to_owned());
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(std::env::temp_dir().join(format!("cb-{name}-{}-{count}", std::process::id())))
}

/// The engine that all tests of one program use, stopped and checked when the program ends.
static SHARED: Mutex<Option<Engine>> = Mutex::new(None);

/// Set while the shared engine is being started, and for good where that panics.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// An engine for tests that leave each other alone; started by the first of them, with the base image.
///
/// # Errors
/// What the host lacks, as a sentence.
pub fn shared(name: &str) -> Result<PathBuf, String> {
    if let Some(socket) = std::env::var_os(ELSEWHERE) {
        let socket = PathBuf::from(socket);
        let is_there = http::get(&socket, &format!("/images/{BASE_IMAGE}/json")).status == 200;
        return if is_there {
            Ok(socket)
        } else {
            import_base(&socket).map(|()| socket)
        };
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = &*shared {
        return Ok(engine.socket());
    }
    busybox::root()?;
    // Once is enough to know.
    let failed_before = HAS_FAILED.swap(true, Ordering::Relaxed);
    assert!(
        !failed_before,
        "`cellblock dev` did not start, see the first test that failed"
    );
    let engine = Engine::start(name);
    HAS_FAILED.store(false, Ordering::Relaxed);
    let engine = engine?;
    engine.import_base()?;
    let socket = engine.socket();
    *shared = Some(engine);
    sys::at_exit(stop_shared);
    Ok(socket)
}

/// Looks at the shared engine; none where the tests are put to another daemon.
pub fn with_shared<T>(look: impl FnOnce(&Engine) -> T) -> Option<T> {
    SHARED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .map(look)
}

/// A panic here ends the program with a failure, which is what a dirty end deserves.
extern "C" fn stop_shared() {
    let engine = SHARED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(engine) = engine {
        engine.stop();
    }
}

fn import_base(socket: &Path) -> Result<(), String> {
    let root = busybox::root()?;
    let line =
        format!("POST /images/create?fromSrc=-&repo={BASE_IMAGE}&tag=latest&changes=CMD%20%5B%22sh%22%5D");
    let answer = http::request(socket, &line, &[("Content-Type", "application/x-tar")], root);
    assert!(
        answer.status == 200 && answer.text().contains("sha256:"),
        "import: {answer:?}"
    );
    Ok(())
}

/// `cb` and the first four digits of the installation's id.
fn interface_prefix(socket: &Path) -> String {
    let info = http::get(socket, "/info").json();
    let id = info["ID"].as_str().unwrap_or_default();
    assert!(id.len() >= 4, "no installation id: {info}");
    format!("cb{}", &id[..4])
}
