//! What /proc tells about processes, mounts and interfaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn find(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; the start time is the 20th field after it (proc_pid_stat(5)).
        let after = stat.rsplit_once(')')?.1;
        let started = after.split_whitespace().nth(19)?.parse().ok()?;
        Some(Process { pid, started })
    }

    /// Whether it still runs; one that only waits to be reaped does not.
    pub fn lives(self) -> bool {
        Process::find(self.pid) == Some(self)
            && self.status("State").is_some_and(|state| !state.starts_with('Z'))
    }

    /// A line of its status (proc_pid_status(5)).
    pub fn status(self, name: &str) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        text.lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }

    /// A capability set of its status.
    pub fn capabilities(self, set: &str) -> Option<u64> {
        u64::from_str_radix(&self.status(set)?, 16).ok()
    }

    /// The real, effective, saved and file system user.
    pub fn uids(self) -> Vec<u32> {
        let line = self.status("Uid").unwrap_or_default();
        line.split_whitespace()
            .filter_map(|uid| uid.parse().ok())
            .collect()
    }

    /// The name of its program, by its first argument.
    pub fn program(self) -> String {
        let line = self.command_line();
        line.split('\0')
            .next()
            .and_then(|path| path.rsplit('/').next())
            .unwrap_or_default()
            .to_owned()
    }

    /// Its arguments, each followed by a NUL; empty for one that has ended.
    pub fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it is a container's watcher: a fork of the jail helper that outlives it, and then is the launcher's child.
    pub fn is_watcher(self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid))
            .is_ok_and(|name| name.trim() == "cellblock-watch")
    }

    fn parent(self) -> Option<u32> {
        self.status("PPid")?.parse().ok()
    }
}

/// Every process there is.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Its children, oldest first.
pub fn children(parent: u32) -> Vec<Process> {
    let mut found: Vec<Process> = all()
        .into_iter()
        .filter(|process| process.parent() == Some(parent))
        .collect();
    found.sort_by_key(|process| (process.started, process.pid));
    found
}

/// Everything that descends from a process.
pub fn descendants(ancestor: u32) -> BTreeSet<Process> {
    let parents: Vec<(Process, Option<u32>)> = all()
        .into_iter()
        .map(|process| (process, process.parent()))
        .collect();
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for (process, _) in parents.iter().filter(|(_, of)| *of == Some(parent)) {
            if found.insert(*process) {
                open.push(process.pid);
            }
        }
    }
    found
}

/// Processes other than this one that name a folder in their arguments or work below it.
pub fn that_know(folder: &Path) -> Vec<String> {
    let text = folder.to_string_lossy().into_owned();
    let knows = |process: &Process| {
        let works_in = fs::read_link(format!("/proc/{}/cwd", process.pid));
        process.command_line().contains(&text) || works_in.is_ok_and(|at| at.starts_with(folder))
    };
    let others = all()
        .into_iter()
        .filter(|process| process.pid != std::process::id());
    let named = |process: Process| format!("{} {}", process.pid, process.command_line().replace('\0', " "));
    others.filter(knows).map(named).collect()
}

/// Mount points at or below a folder, as this process sees them.
pub fn mounts_below(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The fifth field is the mount point (proc_pid_mountinfo(5)).
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(folder))
        .map(str::to_owned)
        .collect()
}

/// Network interfaces of this host whose name begins so.
pub fn interfaces(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_among_all_and_lives() {
        let this = Process::find(std::process::id()).unwrap();
        assert!(this.lives());
        assert!(all().contains(&this));
        assert_eq!(this.uids().len(), 4);
        assert!(
            !Process {
                started: this.started + 1,
                ..this
            }
            .lives()
        );
    }

    #[test]
    fn a_child_is_a_child_until_it_is_killed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::find(child.id()).unwrap();
        assert!(children(std::process::id()).contains(&process));
        assert!(descendants(std::process::id()).contains(&process));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.lives());
    }

    #[test]
    fn a_process_that_works_in_a_folder_is_said_to_know_it() {
        let folder = std::env::temp_dir().join(format!("cb-knows-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(&folder)
            .spawn()
            .unwrap();
        let known = that_know(&folder);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(known.len(), 1, "{known:?}");
        assert_eq!(that_know(&folder), Vec::<String>::new());
        fs::remove_dir(&folder).unwrap();
    }
}
