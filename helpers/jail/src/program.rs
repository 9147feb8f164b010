//! Becoming the program: the last steps of a process inside its jail, the same on both hosts.
//!
//! The order matters. What needs root comes first (terminal, owner of the streams, limits, working directory), then the
//! identity, then only what any user may do. The program is looked up before the identity changes, as runc does it, so
//! that a missing program is told apart from one that this user may not run.

use crate::host;
use crate::report::Report;
use crate::sys;
use protocol::jail::{ProcessSpec, Rlimit, Role, Stdio};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::fchown;
use rustix::process::{Uid, ioctl_tiocsctty, setrlimit, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::CString;
use std::fs::DirBuilder;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where programs are searched when the process's environment says nothing: Docker's default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit status of a process that never became its program. Nobody waits for it: the failure is reported.
const NOT_STARTED: i32 = 127;

/// Becomes the program, or reports why not and gives the status to end with. `given_back` goes back with `ready`, before
/// the terminal's master.
pub(crate) fn run(
    process: &ProcessSpec,
    streams: Vec<OwnedFd>,
    given_back: Vec<OwnedFd>,
    report: &Report,
) -> i32 {
    report.failed(attempt(process, streams, given_back, report));
    NOT_STARTED
}

fn attempt(
    process: &ProcessSpec,
    streams: Vec<OwnedFd>,
    mut given_back: Vec<OwnedFd>,
    report: &Report,
) -> HelperError {
    let path = match prepare(process, streams, &mut given_back) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let texts = |list: &[protocol::names::Text<_>]| {
        list.iter()
            .map(|text| c_string(text.as_str()))
            .collect::<Vec<_>>()
    };
    let argv = texts(process.argv.as_slice());
    let env = texts(process.env.as_slice());
    let fds: Vec<_> = given_back.iter().map(AsFd::as_fd).collect();
    if let Err(error) = report.ready(&fds) {
        return HelperError::system("report", &error);
    }
    execution_error(&path, &sys::execute(&c_string(&path), &argv, &env))
}

/// Texts and paths made of them hold no NUL (their type sees to that), so nothing is ever cut here.
fn c_string(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

fn prepare(process: &ProcessSpec, streams: Vec<OwnedFd>, given_back: &mut Vec<OwnedFd>) -> Answer<String> {
    let failed = |step: &'static str| move |error: Error| HelperError::system(step, &error);
    setsid().map_err(|e| failed("setsid")(e.into()))?;
    match process.stdio {
        Stdio::Pipes => take_streams(process, &streams).map_err(failed("standard streams"))?,
        Stdio::Terminal { rows, columns } => {
            given_back.push(take_terminal(process, rows, columns).map_err(failed("terminal"))?);
        }
    }
    drop(streams);
    host::set_oom_score(process.oom_score).map_err(failed("oom score"))?;
    process.rlimits.as_slice().iter().try_for_each(limit)?;
    enter_directory(process)?;
    let path = find(process)?;
    host::assume_identity(process).map_err(failed("identity"))?;
    sys::reset_signals().map_err(failed("signals"))?;
    sys::close_on_exec_from(3).map_err(failed("descriptors"))?;
    Ok(path)
}

fn take_streams(process: &ProcessSpec, streams: &[OwnedFd]) -> std::io::Result<()> {
    let [stdin, stdout, stderr] = streams else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "three descriptors are needed",
        ));
    };
    streams
        .iter()
        .try_for_each(|stream| host::give_stream(stream, process.uid))?;
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    Ok(dup2_stderr(stderr)?)
}

/// Makes the terminal, takes it as controlling terminal and streams, and gives its master.
fn take_terminal(process: &ProcessSpec, rows: u16, columns: u16) -> std::io::Result<OwnedFd> {
    let (master, slave) = host::open_terminal(process.role)?;
    tcsetwinsize(
        &master,
        Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    ioctl_tiocsctty(&slave)?;
    fchown(&slave, Some(Uid::from_raw(process.uid)), None)?;
    dup2_stdin(&slave)?;
    dup2_stdout(&slave)?;
    dup2_stderr(&slave)?;
    Ok(master)
}

fn limit(limit: &Rlimit) -> Answer<()> {
    let name = limit.name.as_str();
    let resource = crate::policy::resource(name)?;
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let limits = rustix::process::Rlimit {
        current: value(limit.soft),
        maximum: value(limit.hard),
    };
    setrlimit(resource, limits).map_err(|e| HelperError::system(format!("resource limit {name}"), &e.into()))
}

fn enter_directory(process: &ProcessSpec) -> Answer<()> {
    let cwd = process.cwd.as_str();
    if process.role == Role::First {
        // Where this fails chdir(2) fails too and says it better.
        let _ = DirBuilder::new().recursive(true).mode(0o755).create(cwd);
    }
    std::env::set_current_dir(cwd).map_err(|error| {
        // runc's and dockerd's wording (28.5), which clients print as it is.
        let hint = match error.kind() {
            ErrorKind::NotADirectory => {
                ": Are you trying to mount a directory onto a file (or vice-versa)? \
                 Check if the specified host path exists and is the expected type"
            }
            _ => "",
        };
        let detail = format!(
            "chdir to cwd (\"{cwd}\") set in config.json failed: {}{hint}",
            reason(&error)
        );
        command_error(&error, detail)
    })
}

/// The program's path: looked for in the process's own PATH where its name has no slash.
fn find(process: &ProcessSpec) -> Answer<String> {
    let name = process.argv.as_slice().first().map_or("", |text| text.as_str());
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(name.to_owned()),
            Err(error) => Err(lookup_error(name, &error)),
        };
    }
    let variable = process
        .env
        .as_slice()
        .iter()
        .rev()
        .find_map(|text| text.as_str().strip_prefix("PATH="));
    let found = variable.unwrap_or(DEFAULT_PATH).split(':').find_map(|directory| {
        let candidate = if directory.is_empty() {
            PathBuf::from(".")
        } else {
            PathBuf::from(directory)
        }
        .join(name);
        executable(&candidate)
            .ok()
            .and_then(|()| candidate.to_str().map(str::to_owned))
    });
    found
        .filter(|_| !name.is_empty() && variable != Some(""))
        .ok_or_else(|| {
            let detail = format!("exec: \"{name}\": executable file not found in $PATH");
            HelperError::new(ErrorCode::CommandNotFound, detail)
        })
}

fn executable(path: &Path) -> std::io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        Err(ErrorKind::IsADirectory.into())
    } else if metadata.permissions().mode() & 0o111 == 0 {
        Err(ErrorKind::PermissionDenied.into())
    } else {
        Ok(())
    }
}

fn lookup_error(name: &str, error: &Error) -> HelperError {
    let detail = match error.kind() {
        ErrorKind::IsADirectory => format!("exec: \"{name}\": is a directory: permission denied"),
        ErrorKind::PermissionDenied => format!("exec: \"{name}\": permission denied"),
        _ => format!("exec: \"{name}\": stat {name}: {}", reason(error)),
    };
    command_error(error, detail)
}

fn execution_error(path: &str, error: &Error) -> HelperError {
    command_error(error, format!("exec {path}: {}", reason(error)))
}

/// The error of a program that cannot be run: 127 at the edge where something is not there, 126 where it is no program.
fn command_error(error: &Error, detail: String) -> HelperError {
    let code = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => ErrorCode::CommandNotFound,
        Some(libc::EACCES | libc::ENOEXEC | libc::EISDIR | libc::EPERM | libc::ELOOP) => {
            ErrorCode::CommandNotExecutable
        }
        None => ErrorCode::CommandNotExecutable,
        Some(_) => ErrorCode::System,
    };
    HelperError {
        errno: error.raw_os_error(),
        ..HelperError::new(code, detail)
    }
}

/// The system's words for an error as Docker prints them: lower case, without the number.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::process;
    use protocol::names::{Bounded, Text};

    fn find_with(program: &str, env: &[&str]) -> Answer<String> {
        let mut process = process();
        process.argv = Bounded::new(vec![Text::new(program).unwrap()]).unwrap();
        process.env = Bounded::new(env.iter().map(|t| Text::new(*t).unwrap()).collect()).unwrap();
        find(&process)
    }

    #[test]
    fn a_bare_name_is_searched_in_the_processs_own_path_and_the_last_path_counts() {
        assert_eq!(find_with("sh", &["PATH=/nowhere:/bin"]), Ok("/bin/sh".to_owned()));
        assert_eq!(
            find_with("sh", &["PATH=/bin", "PATH=/nowhere"]).unwrap_err().code,
            ErrorCode::CommandNotFound
        );
        assert!(find_with("sh", &[]).is_ok());
    }

    #[test]
    fn a_name_that_is_not_there_is_told_in_runcs_words() {
        for (program, env) in [("sh", "PATH=/nowhere"), ("sh", "PATH="), ("", "PATH=/bin")] {
            let error = find_with(program, &[env]).unwrap_err();
            assert_eq!(error.code, ErrorCode::CommandNotFound);
            let detail = format!("exec: \"{program}\": executable file not found in $PATH");
            assert_eq!(error.detail.as_str(), detail);
        }
        let error = find_with("/nope", &[]).unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
        assert_eq!(
            error.detail.as_str(),
            "exec: \"/nope\": stat /nope: no such file or directory"
        );
    }

    #[test]
    fn a_directory_and_a_plain_file_are_not_executable() {
        let directory = find_with("/etc", &[]).unwrap_err();
        assert_eq!(directory.code, ErrorCode::CommandNotExecutable);
        assert_eq!(
            directory.detail.as_str(),
            "exec: \"/etc\": is a directory: permission denied"
        );
        let plain = find_with("/etc/passwd", &[]).unwrap_err();
        assert_eq!(plain.code, ErrorCode::CommandNotExecutable);
        assert_eq!(plain.detail.as_str(), "exec: \"/etc/passwd\": permission denied");
    }

    #[test]
    fn an_error_without_a_program_behind_it_keeps_its_number() {
        let error = execution_error("/x", &Error::from_raw_os_error(libc::ENOEXEC));
        assert_eq!(error.code, ErrorCode::CommandNotExecutable);
        assert_eq!(error.errno, Some(libc::ENOEXEC));
        assert_eq!(error.detail.as_str(), "exec /x: exec format error");
    }
}
