//! A place to make jails in: a mount root with trees of busybox, the real helper over it, and all gone at the end.

use helper_runtime::testing::{Helper, is_root};
use protocol::codec::encode;
use protocol::fd::send_frame;
use protocol::jail::{
    JailSpec, Network, ProcessInfo, ProcessSpec, Request, Response, Role, SignalTarget, Stdio,
};
use protocol::mount::{Access, Flavour};
use protocol::names::{Bounded, HostName, HostPath, JailName, Label, MountName, Text};
use protocol::policy::{JailPolicy, Policy};
use protocol::{Answer, Ask, ErrorCode, Principal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The one program of the trees.
const BUSYBOX: &str = "/bin/busybox";

/// How long a test waits for anything, in seconds.
const PATIENCE_S: u64 = 10;

/// Docker's default capabilities as the kernel prints them.
pub(crate) const DEFAULT_CAPABILITIES: &str = "00000000a80425fb";

pub(crate) struct Ground {
    pub(crate) dir: PathBuf,
    pub(crate) helper: Helper,
    jails: Vec<JailName>,
}

/// A process that was started, and the test's ends of its streams.
pub(crate) struct Running {
    pub(crate) pid: i32,
    pub(crate) exit: File,
    pub(crate) stdin: File,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

/// How a process ended, and what it wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ground {
    /// `None` with one visible line where the test cannot run.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        if !Path::new(BUSYBOX).exists() {
            println!("SKIPPED {test}: needs {BUSYBOX} (Debian package busybox-static)");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("cb-jail-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for part in ["mnt", "jails"] {
            std::fs::create_dir_all(dir.join(part)).unwrap();
        }
        let helper = start(&dir);
        Some(Ground {
            dir,
            helper,
            jails: Vec::new(),
        })
    }

    /// A process of the helper's pair: the front.
    pub(crate) fn front(&self) -> u32 {
        helper_runtime::testing::children(self.helper.pid()).unwrap()[0]
    }

    /// Kills the helper without warning and starts another, as the launcher does.
    pub(crate) fn crash_and_restart(&mut self) {
        self.helper.crash().unwrap();
        self.helper = start(&self.dir);
    }

    /// Makes the tree of a jail.
    pub(crate) fn tree(&self, name: &str) -> PathBuf {
        let root = self.dir.join("mnt").join(format!("c-{name}"));
        for part in ["bin", "tmp", "etc"] {
            std::fs::create_dir_all(root.join(part)).unwrap();
        }
        std::fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "echo", "stty", "id", "sleep", "tty", "ls", "true", "kill", "hostname", "mount",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        root
    }

    pub(crate) fn create(&mut self, name: &str) -> i32 {
        self.tree(name);
        self.create_with(spec(name)).unwrap()
    }

    pub(crate) fn create_with(&mut self, spec: JailSpec) -> Answer<i32> {
        self.jails.push(spec.jail.clone());
        match self.helper.ask(Request::Create(Box::new(spec)), &[])? {
            (Response::Created { jid }, fds) if fds.is_empty() => Ok(jid),
            other => panic!("{other:?}"),
        }
    }

    /// Starts a process with pipes.
    pub(crate) fn launch(&mut self, name: &str, process: ProcessSpec) -> Answer<Running> {
        let pipes = [(); 3].map(|()| pipe_with(PipeFlags::CLOEXEC).unwrap());
        let [(in_read, in_write), (out_read, out_write), (err_read, err_write)] = pipes;
        let request = Request::Launch {
            jail: jail(name),
            process: Box::new(process),
        };
        let theirs = [in_read.as_fd(), out_write.as_fd(), err_write.as_fd()];
        let (response, mut fds) = self.helper.ask(request, &theirs)?;
        let Response::Launched { pid } = response else {
            panic!("{response:?}")
        };
        assert_eq!(fds.len(), 1, "an exit descriptor and nothing else");
        let [stdin, stdout, stderr] = [in_write, out_read, err_read].map(File::from);
        Ok(Running {
            pid,
            exit: fds.remove(0).into(),
            stdin,
            stdout,
            stderr,
        })
    }

    /// Starts a process on a terminal; gives the exit descriptor and the master.
    pub(crate) fn launch_on_terminal(&mut self, name: &str, mut process: ProcessSpec) -> (File, File) {
        process.stdio = Stdio::Terminal {
            rows: 33,
            columns: 101,
        };
        let request = Request::Launch {
            jail: jail(name),
            process: Box::new(process),
        };
        let (response, fds) = self.helper.ask(request, &[]).unwrap();
        assert!(matches!(response, Response::Launched { .. }));
        let [exit, master] = <[OwnedFd; 2]>::try_from(fds).unwrap();
        (exit.into(), master.into())
    }

    /// Runs a shell script as a further process of a jail, to its end.
    pub(crate) fn exec(&mut self, name: &str, script: &str) -> Ended {
        self.launch(name, further(&["sh", "-c", script])).unwrap().end()
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer<Response> {
        self.helper.ask(request, &[]).map(|(response, _)| response)
    }

    /// Sends a request whose answer nobody waits for.
    pub(crate) fn send(&mut self, request: Request, fds: &[BorrowedFd<'_>]) {
        let word = |text| Label::new(text).unwrap();
        let by = Principal {
            tenant: word("default"),
            subject: word("test"),
        };
        let payload = encode(&Ask { by, request }).unwrap();
        send_frame(self.helper.socket(), 1, &payload, fds).unwrap();
    }

    pub(crate) fn signal(&mut self, name: &str, target: SignalTarget, signal: i32) -> Answer<Response> {
        self.ask(Request::Signal {
            jail: jail(name),
            target,
            signal: u8::try_from(signal).unwrap(),
        })
    }

    pub(crate) fn remove(&mut self, name: &str) -> Answer<Response> {
        self.ask(Request::Remove { jail: jail(name) })
    }

    pub(crate) fn processes(&mut self, name: &str) -> Answer<Vec<ProcessInfo>> {
        self.ask(Request::Processes { jail: jail(name) })
            .map(|response| match response {
                Response::Processes(list) => list.into_vec(),
                other => panic!("{other:?}"),
            })
    }

    /// The error of a launch that must fail: its code and detail.
    pub(crate) fn launch_error(&mut self, name: &str, process: ProcessSpec) -> (ErrorCode, String) {
        let error = self.launch(name, process).err().expect("the launch must fail");
        (error.code, error.detail.as_str().to_owned())
    }

    pub(crate) fn records(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.join("jails")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for jail in std::mem::take(&mut self.jails) {
            let removed = self.helper.ask::<_, Response>(Request::Remove { jail }, &[]);
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Running {
    /// Waits for the end of the process and of its streams.
    pub(crate) fn end(self) -> Ended {
        let Running {
            pid: _,
            exit,
            stdin,
            stdout,
            stderr,
        } = self;
        drop(stdin);
        let [stdout, stderr] = [stdout, stderr].map(|mut stream| {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        Ended {
            status: status(exit),
            stdout,
            stderr,
        }
    }
}

/// The four bytes of an exit descriptor, and that nothing follows them.
pub(crate) fn status(mut exit: File) -> i32 {
    let mut bytes = Vec::new();
    exit.read_to_end(&mut bytes).unwrap();
    i32::from_le_bytes(bytes.try_into().expect("an exit descriptor delivers four bytes"))
}

/// The wait status of an exit with a code (wait(2)).
pub(crate) fn exited(code: i32) -> i32 {
    code << 8
}

fn start(dir: &Path) -> Helper {
    Helper::start(env!("CARGO_BIN_EXE_cellblock-jail"), &Policy::Jail(policy(dir))).unwrap()
}

pub(crate) fn policy(dir: &Path) -> JailPolicy {
    let path = |part| HostPath::new(dir.join(part).to_str().unwrap()).unwrap();
    JailPolicy {
        prefix: Label::new("cb-").unwrap(),
        mount_root: path("mnt"),
        record_dir: path("jails"),
        allow_host_network: true,
        allow_host_processes: true,
        allow_host_devices: true,
        capability_mask: 0xa804_25fb,
        devfs_ruleset: 4200,
    }
}

pub(crate) fn jail(name: &str) -> JailName {
    JailName::new(name).unwrap()
}

pub(crate) fn spec(name: &str) -> JailSpec {
    JailSpec {
        jail: jail(name),
        root: MountName::new(format!("c-{name}")).unwrap(),
        hostname: HostName::new("webserver").unwrap(),
        network: Network::Own,
        root_access: Access::ReadWrite,
        flavour: Flavour::Native,
        shm_bytes: 1 << 20,
        sysctls: Bounded::default(),
        openings: protocol::jail::Openings::default(),
    }
}

pub(crate) fn first(argv: &[&str]) -> ProcessSpec {
    ProcessSpec {
        role: Role::First,
        argv: texts(argv),
        env: texts(&["PATH=/bin"]),
        cwd: Text::new("/").unwrap(),
        uid: 0,
        gid: 0,
        groups: Bounded::default(),
        stdio: Stdio::Pipes,
        rlimits: Bounded::default(),
        capabilities: Bounded::new(ProcessSpec::DEFAULT_CAPABILITIES.to_vec()).unwrap(),
        no_new_privileges: false,
        init: false,
        oom_score: 0,
    }
}

pub(crate) fn further(argv: &[&str]) -> ProcessSpec {
    ProcessSpec {
        role: Role::Further,
        ..first(argv)
    }
}

pub(crate) fn texts<const BYTES: usize, const ITEMS: usize>(list: &[&str]) -> Bounded<Text<BYTES>, ITEMS> {
    Bounded::new(list.iter().map(|text| Text::new(*text).unwrap()).collect()).unwrap()
}

/// Reads from a terminal's master until the text has been seen.
pub(crate) fn read_until(master: &mut File, wanted: &str) -> String {
    let mut seen = String::new();
    let mut bytes = [0; 1024];
    while !seen.contains(wanted) {
        let patience = Timespec {
            tv_sec: PATIENCE_S as i64,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(&*master, PollFlags::IN)], Some(&patience)).unwrap();
        assert!(ready > 0, "the terminal never said {wanted:?}: {seen:?}");
        let count = master.read(&mut bytes).unwrap_or(0);
        assert!(count > 0, "the terminal ended before {wanted:?}: {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    seen
}

/// Writes a line to a process.
pub(crate) fn say(stream: &mut File, line: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(PATIENCE_S);
    while !is_so() {
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The network namespace of a socket (`SIOCGSKNS`, socket(7)), as `/proc/<pid>/ns/net` names it.
pub(crate) fn network_of(socket: std::os::fd::BorrowedFd<'_>) -> PathBuf {
    let namespace = crate::sys::network_of(socket);
    std::fs::read_link(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&namespace)
    ))
    .unwrap()
}
