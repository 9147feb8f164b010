//! The guest's first serial port, with a shell behind it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the guest's shell prints when it waits, and nothing else in there does.
const PROMPT: &str = "GUEST#> ";

/// How long the guest may take to its login prompt: half a minute on an idle machine without hardware virtualization.
const BOOT_WITHIN: Duration = Duration::from_secs(600);

/// How long one command may take: the slowest packs the base system.
const COMMAND_WITHIN: Duration = Duration::from_secs(180);

/// Bytes sent at once: a serial port has a small buffer.
const SENT_AT_ONCE_BYTES: usize = 64;

/// How often QEMU is asked for its socket.
const CONNECT_ATTEMPTS: u32 = 100;

/// A shell of root's in the guest.
#[derive(Debug)]
pub(crate) struct Console {
    serial: UnixStream,
    /// What came and was not looked at yet.
    text: String,
    /// Everything that came, for whoever wants to know why a test failed.
    log: File,
}

impl Console {
    /// Connects to QEMU's end of the serial port and logs in.
    pub(crate) fn open(socket: &Path, log: File) -> Console {
        let serial = (0..CONNECT_ATTEMPTS)
            .find_map(|_| {
                std::thread::sleep(Duration::from_millis(100));
                UnixStream::connect(socket).ok()
            })
            .expect("QEMU offers no serial port; is the image usable?");
        serial.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut console = Console {
            serial,
            text: String::new(),
            log,
        };
        console.log_in();
        console
    }

    /// Restarts the guest with this line, and logs in again.
    pub(crate) fn restart(&mut self, line: &str) {
        self.send(&format!("{line}\n"));
        self.log_in();
    }

    fn log_in(&mut self) {
        self.wait_for(&["login: "], BOOT_WITHIN);
        self.send("root\n");
        self.wait_for(&["# "], BOOT_WITHIN);
        self.send("exec /bin/sh\n");
        std::thread::sleep(Duration::from_secs(1));
        // No echo and no line editing; the words are split so that only the shell's own output matches.
        // One line: what is typed while stty(1) changes the terminal is lost.
        let quiet = "set +o emacs; set +o vi; set +m; stty -echo cols 500; export TERM=dumb";
        self.send(&format!(
            "{quiet}; PS2=''; PS1='GUEST''#> '; echo shell''-ready\n"
        ));
        self.wait_for(&["shell-ready\n"], COMMAND_WITHIN);
        self.wait_for(&[PROMPT], COMMAND_WITHIN);
    }

    /// Runs a command line of the shell; gives its exit status and what it printed.
    pub(crate) fn run(&mut self, line: &str) -> (i32, String) {
        self.send(&format!("{line}\nprintf '\\n@rc=%d@\\n' $?\n"));
        let output = self.wait_for(&["@rc="], COMMAND_WITHIN);
        let status = self.wait_for(&["@\n"], COMMAND_WITHIN);
        self.wait_for(&[PROMPT], COMMAND_WITHIN);
        let output = output.replace(PROMPT, "");
        (status.parse().unwrap(), output.trim_end_matches('\n').to_owned())
    }

    /// Runs a command line that must succeed.
    #[track_caller]
    pub(crate) fn ok(&mut self, line: &str) -> String {
        let (status, output) = self.run(line);
        assert_eq!(status, 0, "in the guest: {line}\n{output}");
        output
    }

    fn send(&mut self, text: &str) {
        for part in text.as_bytes().chunks(SENT_AT_ONCE_BYTES) {
            self.serial.write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for one of these texts; gives what came before it.
    fn wait_for(&mut self, wanted: &[&str], within: Duration) -> String {
        let deadline = Instant::now() + within;
        loop {
            let found = wanted
                .iter()
                .find_map(|text| self.text.find(text).map(|at| (at, text.len())));
            if let Some((at, length)) = found {
                let before = self.text[..at].to_owned();
                self.text.drain(..at + length);
                return before;
            }
            assert!(
                Instant::now() < deadline,
                "no {wanted:?} within {within:?}; last: {:?}",
                self.text
            );
            self.read();
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        match self.serial.read(&mut bytes) {
            Ok(0) => panic!("the guest's console is closed; last: {:?}", self.text),
            Ok(count) => {
                self.log.write_all(&bytes[..count]).unwrap();
                self.text
                    .push_str(&String::from_utf8_lossy(&bytes[..count]).replace('\r', ""));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("the guest's console: {error}"),
        }
    }
}
