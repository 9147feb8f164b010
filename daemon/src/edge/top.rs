//! `GET /containers/{id}/top`: what ps(1) would print, without running it: the full format, or columns by name.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::params::{Params, Read};
use crate::services::Failure;
use axum::extract::{Extension, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use docker_api::containers::TopResponse;
use protocol::Principal;
use protocol::jail::ProcessInfo;
use time::OffsetDateTime;

/// A column that can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    User,
    Pid,
    ParentPid,
    /// Recent processor use, which is not kept.
    Recent,
    Started,
    Elapsed,
    Terminal,
    Time,
    CommandLine,
    Command,
}

/// Columns by the names that ps(1) knows them by, with its titles.
const COLUMNS: [(&str, &str, Column); 20] = [
    ("uid", "UID", Column::User),
    ("euid", "EUID", Column::User),
    ("user", "USER", Column::User),
    ("euser", "EUSER", Column::User),
    ("pid", "PID", Column::Pid),
    ("ppid", "PPID", Column::ParentPid),
    ("c", "C", Column::Recent),
    ("stime", "STIME", Column::Started),
    ("start_time", "START", Column::Started),
    ("etime", "ELAPSED", Column::Elapsed),
    ("tty", "TT", Column::Terminal),
    ("tt", "TT", Column::Terminal),
    ("tname", "TTY", Column::Terminal),
    ("time", "TIME", Column::Time),
    ("cputime", "TIME", Column::Time),
    ("cmd", "CMD", Column::CommandLine),
    ("args", "COMMAND", Column::CommandLine),
    ("command", "COMMAND", Column::CommandLine),
    ("comm", "COMMAND", Column::Command),
    ("ucmd", "CMD", Column::Command),
];

/// The columns of `ps -ef`, which dockerd asks for where nothing is said.
const FULL: &str = "uid,pid,ppid,c,stime,tname,time,cmd";

/// Answers with the processes of a container.
pub(super) async fn top(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    state.containers.find(&by, &id).await?;
    let columns = columns(params.text("ps_args"))?;
    let processes = state.containers.processes(&by, &id).await?;
    let now = OffsetDateTime::now_utc();
    let row = |process: &ProcessInfo| {
        let cells = columns.iter().map(|(_, column)| cell(*column, process, now));
        cells.collect::<Vec<_>>()
    };
    let answer = TopResponse {
        titles: columns.iter().map(|(title, _)| (*title).to_owned()).collect(),
        processes: processes.iter().map(row).collect(),
    };
    Ok(json(StatusCode::OK, &answer))
}

/// Reads ps(1)'s arguments: which processes is settled, so only the columns matter.
fn columns(arguments: &str) -> Result<Vec<(&'static str, Column)>, Failure> {
    let unsupported = || {
        let text = "ps arguments other than -ef and -o with columns are not supported by cellblock";
        Err(Failure::Unsupported(text.to_owned()))
    };
    let mut wanted = String::new();
    let mut words = arguments.split_whitespace();
    while let Some(word) = words.next() {
        let letters = word.strip_prefix('-').unwrap_or(word);
        let (options, list) = letters
            .split_once('o')
            .map_or((letters, None), |(options, list)| (options, Some(list)));
        if !options.bytes().all(|letter| b"eAf".contains(&letter)) {
            return unsupported();
        }
        if let Some(list) = list {
            let list = if list.is_empty() {
                words.next().unwrap_or_default()
            } else {
                list
            };
            wanted = format!("{wanted}{list},");
        }
    }
    let wanted = if wanted.is_empty() { FULL } else { &wanted };
    let mut columns = Vec::new();
    for name in wanted.split(',').filter(|name| !name.is_empty()) {
        match COLUMNS.iter().find(|(known, ..)| *known == name) {
            Some((_, title, column)) => columns.push((*title, *column)),
            None => return unsupported(),
        }
    }
    if !columns.iter().any(|(_, column)| *column == Column::Pid) {
        return Err(Failure::Invalid(
            "Couldn't find PID field in ps output".to_owned(),
        ));
    }
    Ok(columns)
}

fn cell(column: Column, process: &ProcessInfo, now: OffsetDateTime) -> String {
    let started = i64::try_from(process.started_s).ok();
    let started = started.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    match column {
        Column::User => process.uid.to_string(),
        Column::Pid => process.pid.to_string(),
        Column::ParentPid => process.ppid.to_string(),
        Column::Recent => "0".to_owned(),
        Column::Started => started
            .map(|at| format!("{:02}:{:02}", at.hour(), at.minute()))
            .unwrap_or_default(),
        Column::Elapsed => {
            let seconds = started.map_or(0, |at| (now - at).whole_seconds().unsigned_abs());
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            match (minutes / 1440, minutes / 60 % 24) {
                (0, 0) => format!("{minutes:02}:{seconds:02}"),
                (0, hours) => format!("{hours:02}:{:02}:{seconds:02}", minutes % 60),
                (days, hours) => format!("{days}-{hours:02}:{:02}:{seconds:02}", minutes % 60),
            }
        }
        Column::Terminal => process.terminal.as_str().to_owned(),
        Column::Time => {
            let (minutes, seconds) = (process.cpu_s / 60, process.cpu_s % 60);
            format!("{:02}:{:02}:{seconds:02}", minutes / 60, minutes % 60)
        }
        Column::CommandLine => process.command.as_str().to_owned(),
        Column::Command => {
            let program = process.command.as_str().split(' ').next().unwrap_or_default();
            program.rsplit('/').next().unwrap_or(program).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &str) -> String {
        match columns(arguments) {
            Ok(columns) => columns
                .iter()
                .map(|(title, _)| *title)
                .collect::<Vec<_>>()
                .join(" "),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn columns_are_chosen_as_ps_chooses_them() {
        let full = "UID PID PPID C STIME TTY TIME CMD";
        for arguments in ["", "-ef", "ef", "-e -f"] {
            assert_eq!(titles(arguments), full, "{arguments}");
        }
        assert_eq!(titles("-o pid,comm"), "PID COMMAND");
        assert_eq!(titles("-eo pid -o args"), "PID COMMAND");
        assert_eq!(titles("-opid,user"), "PID USER");
        assert_eq!(titles("-o comm"), "Couldn't find PID field in ps output");
        for arguments in ["aux", "-o pid,nope", "--forest"] {
            assert!(titles(arguments).contains("not supported"), "{arguments}");
        }
    }
}
