//! What the tests stand on: a namespace, directories on a memory file system, and a running helper.

use helper_runtime::testing::{Helper, is_root};
use protocol::mount::{Access, BindSource, MissingSource, Mounted, Request, Response, TmpfsFlags};
use protocol::names::{Bounded, DatasetName, HostPath, Label, MountName, RelPath, Text};
use protocol::policy::{MountPolicy, Policy, TenantRoots};
use protocol::{Answer, ErrorCode};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Holds the test's own directory in the process that runs the test inside its namespace.
const INSIDE: &str = "CELLBLOCK_MOUNT_TEST_INSIDE";

/// Declares tests that run alone, as root, in a mount namespace of their own.
macro_rules! alone {
    ($(fn $name:ident($ground:ident) $body:block)+) => {
        $(
            #[test]
            fn $name() {
                $crate::ground::alone(concat!(module_path!(), "::", stringify!($name)), |$ground| $body);
            }
        )+
    };
}

pub(crate) fn alone(path: &str, test: impl FnOnce(&mut Ground)) {
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    if let Some(base) = std::env::var_os(INSIDE) {
        test(&mut Ground::new(PathBuf::from(base)));
        return;
    }
    if !is_root(name) {
        return;
    }
    let base = std::env::temp_dir().join(format!(
        "cb-mount-{}-{}",
        std::process::id(),
        name.replace(':', "-")
    ));
    fs::create_dir(&base).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap());
    // The helper's audit log goes there too.
    command
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, &base)
        .env("TMPDIR", &base);
    let output = command.output();
    fs::remove_dir(&base).unwrap();
    let Ok(output) = output else {
        println!("SKIPPED {name}: needs unshare(1)");
        return;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

pub(crate) struct Ground {
    pub(crate) base: PathBuf,
    pub(crate) helper: Helper,
}

impl Ground {
    /// `base/{pool,mnt,host,host/ours}` on a memory file system, and a helper that may bind from `base/host`
    /// but not `base/host/ours`.
    fn new(base: PathBuf) -> Self {
        // It is gone with the namespace, and can hold an overlay's upper directory wherever the test runs.
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("test", &base, "tmpfs", flags, None).unwrap();
        for name in ["pool", "mnt", "host/ours"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        let helper = start(&base);
        Ground { base, helper }
    }

    /// Starts another helper on the same directories.
    pub(crate) fn restart(&mut self) {
        self.helper = start(&self.base);
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.base.join(inside)
    }

    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap()
    }

    /// Makes a dataset as the zfs helper does, with a file `who` that holds its name and one `from-<last
    /// part>`.
    pub(crate) fn dataset(&self, name: &str, origin: Option<&str>) {
        let directory = format!("pool/{name}");
        for part in ["data", "work", "snapshots"] {
            fs::create_dir_all(self.path(&format!("{directory}/{part}"))).unwrap();
        }
        self.write(&format!("{directory}/snapshots/layer"), "");
        self.write(&format!("{directory}/data/who"), name);
        self.write(
            &format!("{directory}/data/from-{}", name.rsplit('/').next().unwrap()),
            name,
        );
        if let Some(origin) = origin {
            self.write(&format!("{directory}/origin"), &format!("{origin}@layer"));
        }
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer<Response> {
        self.helper.ask(request, &[]).map(|(response, _)| response)
    }

    pub(crate) fn mount(&mut self, dataset: &str, at: &str, access: Access) -> Answer<Response> {
        let dataset = DatasetName::new(dataset).unwrap();
        self.ask(Request::Dataset {
            dataset,
            at: mount_name(at),
            access,
        })
    }

    /// Makes and mounts a dataset without origin for tests that need any container.
    pub(crate) fn container(&mut self, at: &str) {
        self.dataset(&format!("containers/{at}"), None);
        self.mount(&format!("containers/{at}"), at, Access::ReadWrite)
            .unwrap();
    }

    pub(crate) fn bind(&mut self, source: &str, target: &str, access: Access) -> Answer<Response> {
        self.bind_or(source, MissingSource::Refuse, target, access)
    }

    /// Binds a path below `base` into the container `c-1`.
    pub(crate) fn bind_or(
        &mut self,
        source: &str,
        missing: MissingSource,
        target: &str,
        access: Access,
    ) -> Answer<Response> {
        let path = HostPath::new(self.path(source).to_str().unwrap()).unwrap();
        self.bind_source(BindSource::Host { path, missing }, target, access)
    }

    pub(crate) fn bind_source(
        &mut self,
        source: BindSource,
        target: &str,
        access: Access,
    ) -> Answer<Response> {
        let target = RelPath::new(target).unwrap();
        self.ask(Request::Bind {
            source,
            at: mount_name("c-1"),
            target,
            access,
        })
    }

    pub(crate) fn tmpfs(&mut self, target: &str, size_bytes: Option<u64>, mode: u16) -> Answer<Response> {
        self.tmpfs_with(
            target,
            size_bytes,
            mode,
            TmpfsFlags {
                noexec: false,
                read_only: false,
            },
        )
    }

    pub(crate) fn tmpfs_with(
        &mut self,
        target: &str,
        size_bytes: Option<u64>,
        mode: u16,
        flags: TmpfsFlags,
    ) -> Answer<Response> {
        let target = RelPath::new(target).unwrap();
        self.ask(Request::Tmpfs {
            at: mount_name("c-1"),
            target,
            size_bytes,
            mode,
            flags,
        })
    }

    pub(crate) fn unmount(&mut self, at: &str) -> Answer<Response> {
        self.ask(Request::Unmount { at: mount_name(at) })
    }

    pub(crate) fn list(&mut self, after: Option<&str>) -> Vec<(String, String, String)> {
        let Ok(Response::Mounts(mounts)) = self.ask(Request::List {
            after: after.map(mount_name),
        }) else {
            panic!("no list")
        };
        let words = |m: Mounted| (m.at.to_string(), m.target.to_string(), m.kind.as_str().to_owned());
        mounts.into_vec().into_iter().map(words).collect()
    }

    /// The lines of the kernel's table that name a path at or below `inside`.
    pub(crate) fn mounted(&self, inside: &str) -> Vec<String> {
        let point = self.path(inside);
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_below = |line: &&str| {
            line.split(' ')
                .nth(4)
                .is_some_and(|path| Path::new(path).starts_with(&point))
        };
        table.lines().filter(is_below).map(str::to_owned).collect()
    }
}

fn start(base: &Path) -> Helper {
    let path = |inside: &str| HostPath::new(base.join(inside).to_str().unwrap()).unwrap();
    let policy = MountPolicy {
        mount_root: path("mnt"),
        parent: Text::new("").unwrap(),
        pool_dir: path("pool"),
        bind_roots: Bounded::new(vec![path("host")]).unwrap(),
        bind_refused: Bounded::new(vec![path("host/ours")]).unwrap(),
        devfs_ruleset: 0,
        tenants: Bounded::new(vec![TenantRoots {
            tenant: Label::new("red").unwrap(),
            bind_roots: Bounded::new(vec![path("host/red")]).unwrap(),
        }])
        .unwrap(),
    };
    Helper::start(env!("CARGO_BIN_EXE_cellblock-mount"), &Policy::Mount(policy)).unwrap()
}

pub(crate) fn mount_name(name: &str) -> MountName {
    MountName::new(name).unwrap()
}

pub(crate) fn code(answer: Answer<Response>) -> Option<ErrorCode> {
    answer.err().map(|error| error.code)
}
