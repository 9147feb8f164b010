//! A real registry: Debian's docker-registry on a free port of the loopback, with its store in a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the package installs.
const PROGRAM: &str = "docker-registry";
/// How long it may take to answer.
const START_WITHIN: Duration = Duration::from_secs(20);

/// The user `test` with the password `secret`, hashed with bcrypt.
const ACCOUNT: &str = "test:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// Who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anonymous,
    /// The user `test` with the password `secret`.
    WithPassword,
}

/// The registry; it ends with the test.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Registry {
    /// Starts one.
    ///
    /// # Errors
    /// A sentence saying what the machine lacks.
    ///
    /// # Panics
    /// Where it does not answer.
    pub fn start(access: Access) -> Result<Registry, String> {
        let found = Command::new(PROGRAM)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        found.map_err(|_| format!("needs {PROGRAM}"))?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(format!("cb-registry-{port}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}/store}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.display()
        );
        if access == Access::WithPassword {
            std::fs::write(folder.join("htpasswd"), ACCOUNT).unwrap();
            config += &format!(
                "auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n",
                folder.display()
            );
        }
        std::fs::write(folder.join("config.yml"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let process = Command::new(PROGRAM)
            .arg("serve")
            .arg(folder.join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{PROGRAM}: {error}"))?;
        let deadline = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{PROGRAM} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Registry {
            process,
            folder,
            port,
        })
    }

    /// What names of its images begin with.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it keeps what it has.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store/docker/registry/v2")
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        self.store()
            .join("blobs/sha256")
            .join(&digits[..2])
            .join(digits)
            .join("data")
    }

    /// How often something was fetched, by its log.
    ///
    /// # Panics
    /// Where the log cannot be read.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let log = std::fs::read_to_string(Path::new(&self.folder).join("log")).unwrap();
        let line = format!("\"{method} {path}");
        log.lines().filter(|entry| entry.contains(&line)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
