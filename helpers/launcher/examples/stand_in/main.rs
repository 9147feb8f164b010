//! Stands in for the daemon and for the helpers in the launcher's tests: it is what its name says.
//!
//! As a helper it writes to its audit log what it was given, and echoes what comes from the daemon. As the daemon it takes one
//! order a line on the API socket and answers with one line.
#![allow(
    clippy::unwrap_used,
    reason = "a stand-in that cannot go on fails the test, as it should"
)]

mod sys;

use protocol::codec::{decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::keeper::{ToDaemon, ToLauncher};
use protocol::names::Text;
use protocol::policy::Policy;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn main() {
    let name = PathBuf::from(std::env::args_os().next().unwrap());
    let name = name.file_name().unwrap().to_str().unwrap().to_owned();
    match name.as_str() {
        "cellblockd" => daemon(),
        helper if helper.starts_with("cellblock-") => serve(),
        other => panic!("{other} is nothing to stand in for"),
    }
}

/// What a process inherited, in one line.
fn inherited() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(",")
    };
    let mut fds: Vec<u32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    fds.sort_unstable();
    // The last one is the listing itself.
    fds.pop();
    format!(
        "pid={} uid={} gid={} groups=[{}] eff={} prm={} nnp={} env={} cwd={} fds={fds:?}",
        std::process::id(),
        value("Uid"),
        value("Gid"),
        value("Groups"),
        value("CapEff"),
        value("CapPrm"),
        value("NoNewPrivs"),
        std::env::vars_os().count(),
        std::env::current_dir().unwrap().display(),
    )
}

fn serve() {
    let inherited = inherited();
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).unwrap();
    let policy: Policy = decode(&bytes).unwrap();
    let mut audit = File::from(sys::take(4));
    writeln!(audit, "{inherited} {policy:?}").unwrap();
    let channel = sys::take(3);
    while let Some(frame) = receive_frame(&channel).unwrap() {
        if frame.payload == b"fork" {
            // Like the other half of a pair, it holds what this process holds.
            let status = std::process::Command::new("/bin/sh")
                .args(["-c", "sleep 1000 &"])
                .status();
            assert!(status.unwrap().success());
        }
        send_frame(&channel, frame.id, &frame.payload, &[]).unwrap();
    }
}

#[derive(Default)]
struct State {
    kept: BTreeMap<String, Vec<OwnedFd>>,
    helpers: BTreeMap<&'static str, OwnedFd>,
    inherited: String,
}

fn daemon() {
    let state = State {
        inherited: inherited(),
        ..State::default()
    };
    let argument = std::env::args().find_map(|a| a.strip_prefix("--state-dir=").map(PathBuf::from));
    let directory = argument.unwrap();
    journal(
        &directory,
        &format!("start {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
    );
    assert!(!directory.join("crash-at-start").exists(), "told to crash");
    let state = Arc::new(Mutex::new(state));
    let control = Arc::new(sys::take(0));
    let listener = UnixListener::from(sys::take(1));
    std::thread::spawn({
        let (control, state) = (Arc::clone(&control), Arc::clone(&state));
        move || {
            let _end = EndWithIt;
            listen_to_launcher(&control, &state, &directory);
        }
    });
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let mut order = String::new();
        BufReader::new(&connection).read_line(&mut order).unwrap();
        let answer = obey(&order, &control, &mut state.lock().unwrap());
        // Whoever gave an order that ends us does not wait for the answer.
        let _ = writeln!(connection, "{answer}");
    }
}

/// Ends the process with the thread that holds it, also where the thread panics.
struct EndWithIt;

impl Drop for EndWithIt {
    fn drop(&mut self) {
        std::process::exit(0);
    }
}

fn journal(directory: &Path, line: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("journal"))
        .unwrap();
    writeln!(file, "{line}").unwrap();
}

fn listen_to_launcher(control: &OwnedFd, state: &Mutex<State>, directory: &Path) {
    let mut is_complete = false;
    while let Some(mut frame) = receive_frame(control).unwrap() {
        let mut state = state.lock().unwrap();
        match decode(&frame.payload).unwrap() {
            ToDaemon::Kept { key } => {
                assert!(!is_complete, "kept after everything");
                state.kept.insert(key.as_str().to_owned(), frame.fds);
            }
            ToDaemon::Everything => is_complete = true,
            ToDaemon::Helper { kind } => {
                assert!(is_complete, "a helper before everything");
                state.helpers.insert(kind.name(), frame.fds.remove(0));
                journal(directory, &format!("helper {}", kind.name()));
                if state.helpers.len() == 5 {
                    tell(control, &ToLauncher::Ready, &[]);
                }
            }
            ToDaemon::Stop => {
                journal(directory, "stop");
                if !directory.join("deaf").exists() {
                    std::process::exit(0);
                }
            }
        }
    }
    journal(directory, "launcher gone");
}

fn tell(control: &OwnedFd, message: &ToLauncher, fds: &[OwnedFd]) {
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    send_frame(control, 0, &encode(message).unwrap(), &fds).unwrap();
}

fn obey(order: &str, control: &OwnedFd, state: &mut State) -> String {
    let words: Vec<&str> = order.split_whitespace().collect();
    let key = |name: &str| Text::new(name).unwrap();
    match words[..] {
        ["inherited"] => state.inherited.clone(),
        ["kept"] => state.kept.keys().cloned().collect::<Vec<_>>().join(" "),
        ["keep", name, content] => {
            tell(
                control,
                &ToLauncher::Keep { key: key(name) },
                &[pipe_with(content)],
            );
            "done".to_owned()
        }
        ["keep-and-crash", name, content] => {
            tell(
                control,
                &ToLauncher::Keep { key: key(name) },
                &[pipe_with(content)],
            );
            std::process::abort()
        }
        ["forget", name] => {
            tell(control, &ToLauncher::Forget { key: key(name) }, &[]);
            "done".to_owned()
        }
        ["read", name] => {
            let mut content = [0u8; 64];
            let count = rustix::io::read(&state.kept[name][0], &mut content[..]).unwrap();
            String::from_utf8(content[..count].to_vec()).unwrap()
        }
        ["ask", helper, content] => match state.helpers.get(helper) {
            None => "none".to_owned(),
            Some(channel) => {
                let sent = send_frame(channel, 7, content.as_bytes(), &[]);
                match sent.and_then(|()| receive_frame(channel)) {
                    Ok(Some(frame)) => String::from_utf8(frame.payload).unwrap(),
                    Ok(None) | Err(_) => "gone".to_owned(),
                }
            }
        },
        ["orphan"] => {
            // The shell ends before what it started.
            let status = std::process::Command::new("/bin/sh")
                .args(["-c", "sleep 0.2 &"])
                .status();
            status.unwrap().to_string()
        }
        ["babble"] => {
            send_frame(control, 0, &[9; 8], &[]).unwrap();
            "done".to_owned()
        }
        ["crash"] => std::process::abort(),
        _ => format!("no such order: {order}"),
    }
}

fn pipe_with(content: &str) -> OwnedFd {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    File::from(writer).write_all(content.as_bytes()).unwrap();
    reader
}
