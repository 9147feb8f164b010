//! `cellblock audit`: proves and shows the records that the helpers write of what they were asked.

use crate::config::{self, ConfigError, Mode};
use crate::layout::about;
use crate::{host, print_line};
use helper_runtime::audit::verify as verify_chain;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Proves for each helper's log that no line was changed, dropped or put in between.
///
/// # Errors
/// One line: there are no logs, or they cannot be read.
pub fn verify(base: Option<&Path>) -> Result<ExitCode> {
    let mut all_hold = true;
    for (helper, text) in logs(base)? {
        match verify_chain(&text) {
            Ok(lines) => print_line(&format!("{helper}: ok, {lines} lines")),
            Err(line) => {
                all_hold = false;
                print_line(&format!(
                    "{helper}: BROKEN, line {line} does not follow the one before it"
                ));
            }
        }
    }
    Ok(if all_hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints all logs as one, by time, each line after its helper's name.
///
/// # Errors
/// One line: there are no logs, or they cannot be read.
pub fn show(base: Option<&Path>) -> Result<ExitCode> {
    for line in merge(&logs(base)?) {
        print_line(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the helpers that have a log, and the logs.
fn logs(base: Option<&Path>) -> Result<Vec<(String, String)>> {
    let base = base.map_or_else(configured_base, |base| Ok(base.to_owned()))?;
    let directory = base.join("audit");
    let mut logs = Vec::new();
    for entry in directory.read_dir().map_err(about(&directory))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let helper = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            logs.push((helper, std::fs::read_to_string(&path).map_err(about(&path))?));
        }
    }
    if logs.is_empty() {
        return Err(about(&directory)(Error::new(
            ErrorKind::NotFound,
            "there is no audit log",
        )));
    }
    logs.sort();
    Ok(logs)
}

/// The service's state directory.
fn configured_base() -> Result<PathBuf> {
    match config::load(None, &Mode::Service) {
        Ok(config) => Ok(PathBuf::from(config.state_dir.as_str())),
        Err(ConfigError::Missing(_)) => Ok(PathBuf::from(host::STATE_DIR)),
        Err(error) => Err(Error::new(ErrorKind::InvalidInput, error)),
    }
}

/// The lines of all logs by time, without the hashes.
fn merge(logs: &[(String, String)]) -> Vec<String> {
    let lines = logs
        .iter()
        .flat_map(|(helper, text)| text.lines().map(move |line| (helper, line)));
    let mut lines: Vec<(f64, String)> = lines
        .map(|(helper, line)| {
            let shown = line
                .split_once(' ')
                .filter(|(hash, _)| hash.starts_with("prev="))
                .map_or(line, |(_, l)| l);
            (time(shown), format!("{helper} {shown}"))
        })
        .collect();
    lines.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The time of a line in seconds; lines without one come first, where they are seen.
fn time(line: &str) -> f64 {
    let value = line.strip_prefix("time=").and_then(|rest| rest.split(' ').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_logs_are_shown_by_time_and_without_hashes() {
        let log = |helper: &str, lines: &str| (helper.to_owned(), lines.to_owned());
        let logs = [
            log(
                "jail",
                "prev=00 time=5.000100 op=Create\nprev=aa time=12.000000 op=Launch\n",
            ),
            log("zfs", "prev=00 time=5.000099 op=Clone\n"),
        ];
        let expected = [
            "zfs time=5.000099 op=Clone",
            "jail time=5.000100 op=Create",
            "jail time=12.000000 op=Launch",
        ];
        assert_eq!(merge(&logs), expected);
    }
}
