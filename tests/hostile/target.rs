//! The daemon that the tests attack, and what must be the same after each attack.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use system_tests::docker::eventually;
use system_tests::engine::{self, Engine, with_shared};
use system_tests::http::{self, Answer};
use system_tests::{proc, skipped};

/// One attack at a time: each looks at everything that is there before and after.
static ALONE: Mutex<()> = Mutex::new(());

/// The daemon, for one test alone.
pub(crate) struct Target {
    socket: PathBuf,
    before: Option<State>,
    _alone: MutexGuard<'static, ()>,
}

/// What an attack must leave as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    daemon: proc::Process,
    helpers: BTreeSet<proc::Process>,
    files: BTreeSet<String>,
    mounts: BTreeSet<String>,
    containers: String,
    images: BTreeSet<String>,
}

/// Gives the target to the test it stands in, or says why the test is skipped.
macro_rules! target {
    () => {{
        fn here() {}
        let Some(target) = $crate::target::for_test(std::any::type_name_of_val(&here)) else {
            return;
        };
        target
    }};
}
pub(crate) use target;

/// For [`target!`].
pub(crate) fn for_test(here: &str) -> Option<Target> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match engine::shared("hostile") {
        Ok(socket) => {
            let before = with_shared(State::of);
            Some(Target {
                socket,
                before,
                _alone: alone,
            })
        }
        Err(why) => {
            skipped(here.trim_end_matches("::here"), &why);
            None
        }
    }
}

impl Target {
    /// Whether it is ours, or a dockerd that the tests are compared with.
    pub(crate) fn is_ours(&self) -> bool {
        self.before.is_some()
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(&self.socket, path)
    }

    pub(crate) fn post(&self, path: &str, json: &str) -> Answer {
        http::post(&self.socket, path, json)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        http::request(&self.socket, &format!("DELETE {path}"), &[], b"")
    }

    /// Sends a tar archive.
    pub(crate) fn tar(&self, line: &str, archive: &[u8]) -> Answer {
        http::request(
            &self.socket,
            line,
            &[("Content-Type", "application/x-tar")],
            archive,
        )
    }

    /// Makes a container of the base image; gives its id.
    pub(crate) fn create(&self, name: &str, command: &str) -> String {
        let body = format!(r#"{{"Image":"base","Cmd":{command},"HostConfig":{{"NetworkMode":"none"}}}}"#);
        let answer = self.post(&format!("/containers/create?name={name}"), &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["Id"].as_str().unwrap().to_owned()
    }

    /// Makes a container of the base image that runs.
    pub(crate) fn run(&self, name: &str) -> String {
        let id = self.create(name, r#"["sleep","600"]"#);
        let answer = self.post(&format!("/containers/{id}/start"), "");
        assert_eq!(answer.status, 204, "{answer:?}");
        id
    }

    pub(crate) fn remove(&self, name: &str) {
        let answer = self.delete(&format!("/containers/{name}?force=1"));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Ends the test: the same daemon answers, and everything is as it was before.
    #[track_caller]
    pub(crate) fn shows_no_harm(self) {
        assert_eq!(self.get("/_ping").text(), "OK");
        let Some(before) = &self.before else { return };
        let now = || with_shared(State::of).unwrap();
        // What a request left to be cleaned up may take a moment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while now() != *before && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(now(), *before, "left: as it is now, right: as it was");
    }
}

impl State {
    fn of(engine: &Engine) -> State {
        let images = http::get(&engine.socket(), "/images/json?all=1").json();
        let ids = images
            .as_array()
            .unwrap()
            .iter()
            .map(|image| format!("{} {}", image["Id"], image["RepoTags"]));
        State {
            daemon: engine.child("cellblockd"),
            helpers: helpers(engine),
            files: files(engine.dir()),
            mounts: proc::mounts_below(engine.dir()).into_iter().collect(),
            containers: http::get(&engine.socket(), "/containers/json?all=1").text(),
            images: ids.collect(),
        }
    }
}

fn helpers(engine: &Engine) -> BTreeSet<proc::Process> {
    let is_helper = |process: &proc::Process| process.program().starts_with("cellblock-");
    proc::children(engine.launcher())
        .into_iter()
        .filter(is_helper)
        .collect()
}

/// Datasets, mount points, jails' records and unfinished uploads.
fn files(dir: &Path) -> BTreeSet<String> {
    let folders = [
        "pool/images",
        "pool/containers",
        "pool/.trash",
        "mnt",
        "jails",
        "daemon/tmp",
        "daemon/containers",
    ];
    let names = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(dir.join(folder)).into_iter().flatten().flatten();
        entries.filter_map(move |entry| Some(format!("{folder}/{}", entry.file_name().to_str()?)))
    });
    names.collect()
}

/// Waits until the daemon answers again.
pub(crate) fn answers(socket: &Path) {
    eventually("the daemon answers", || {
        std::os::unix::net::UnixStream::connect(socket).is_ok()
    });
}
