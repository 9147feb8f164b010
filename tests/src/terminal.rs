//! A terminal with a program in it, as a person sits before it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to show something.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The terminal.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    shown: String,
}

impl Terminal {
    /// Starts a program that has the terminal as its own: input, output, errors and signals. setsid(1) makes it so.
    ///
    /// # Panics
    /// Where the host gives no terminal.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(&*name, flags, Mode::empty()).unwrap();
        let mut setsid = Command::new("setsid");
        setsid
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => setsid.env(key, value),
                None => setsid.env_remove(key),
            };
        }
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let mut terminal = Terminal {
            master,
            child: setsid
                .stdin(stream())
                .stdout(stream())
                .stderr(stream())
                .spawn()
                .unwrap(),
            shown: String::new(),
        };
        terminal.resize(rows, columns);
        terminal
    }

    /// Changes its size; the program gets SIGWINCH.
    ///
    /// # Panics
    /// Where the host refuses.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Types.
    ///
    /// # Panics
    /// Where nothing takes it.
    pub fn write(&mut self, keys: &str) {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            let written = write(&self.master, left).unwrap();
            left = &left[written..];
        }
    }

    /// Waits until the screen shows a text after what an earlier call returned; gives everything up to its end.
    ///
    /// # Panics
    /// Where it is not shown in time.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + SHOWN_WITHIN;
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let goes_on = Instant::now() < deadline && self.look();
            assert!(goes_on, "{text:?} is not shown: {:?}", self.shown);
        }
    }

    /// Waits for the program's end; gives its exit code and what was shown since the last call.
    ///
    /// # Panics
    /// Where it does not end in time.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + SHOWN_WITHIN;
        let mut is_open = true;
        let status = loop {
            is_open = is_open && self.look();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(5));
        };
        // What it wrote last may still be on its way.
        while is_open && Instant::now() < deadline {
            is_open = self.look();
        }
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        (code, std::mem::take(&mut self.shown))
    }

    /// Takes in what the program wrote; false where nothing can come any more.
    fn look(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        if poll(&mut fds, Some(&timeout)).unwrap() == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        // A terminal that nobody has open any more answers EIO.
        let count = read(&self.master, &mut bytes).unwrap_or(0);
        self.shown += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_its_terminal_and_hears_of_its_size() {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.1; done",
        ]);
        let mut terminal = Terminal::start(&shell, 33, 77);
        // The size is set after the start, so the first answer may still be 0 0.
        terminal.expect("ready");
        terminal.resize(44, 88);
        let (code, shown) = terminal.end();
        assert_eq!(code, 4);
        assert!(shown.contains("44 88"), "{shown}");
    }
}
