//! Control groups (cgroups(7)): one for each jail, in every hierarchy that this host has.
//!
//! Both versions are served, and mixtures of them: a controller lies where its hierarchy is mounted. What a host has no
//! controller for cannot be limited, and is refused. The first process is put into its group by the watcher before it does
//! anything, a further one puts itself there before it enters the jail.

mod devices;
mod limits;
mod usage;

use super::processes;
use protocol::jail::{JailSpec, Space};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::fstat;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The group in each hierarchy that holds all of ours. It stays: other installations of this host use it too.
const PARENT: &str = "cellblock";

/// Controllers that are used, by their names in version 2; version 1 calls `io` `blkio`, and has `cpuacct` and `freezer`.
const USED: [&str; 8] = [
    "cpu", "cpuacct", "cpuset", "devices", "freezer", "io", "memory", "pids",
];

/// How long processes may take to be held, or an emptied group to be free, in milliseconds.
const CHANGE_MS_MAX: u64 = 5_000;

/// How often that is looked at, in milliseconds.
const CHANGE_INTERVAL_MS: u64 = 2;

/// Where a controller lies.
#[derive(Debug, Clone)]
struct Place {
    /// Our parent group in its hierarchy.
    parent: PathBuf,
    /// Version 2.
    unified: bool,
}

/// The hierarchies of this host.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    places: BTreeMap<&'static str, Place>,
    /// Stands behind each jail's name: jails of other installations may have the same.
    suffix: String,
}

/// The groups of one jail.
#[derive(Debug)]
pub(super) struct Group<'a> {
    all: &'a Groups,
    name: String,
}

impl Groups {
    /// Finds the hierarchies and makes our parent groups in them; one that cannot be written to counts as missing.
    pub(super) fn open(installation: impl AsFd) -> Result<Self> {
        let stat = fstat(installation)?;
        let suffix = format!("{:x}-{:x}", stat.st_dev, stat.st_ino);
        let table = std::fs::read_to_string("/proc/self/mountinfo")?;
        let mut places = BTreeMap::new();
        for (root, kind, options) in mounts(&table) {
            let unified = kind == "cgroup2";
            let names = if unified {
                let listed = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
                let names = listed.split_whitespace().map(str::to_owned);
                // Every group of version 2 can be held.
                names.chain(["freezer".to_owned()]).collect::<Vec<_>>()
            } else {
                options.split(',').map(str::to_owned).collect()
            };
            let parent = root.join(PARENT);
            let used = USED.iter().filter(|known| {
                let wanted = if **known == "io" && !unified {
                    "blkio"
                } else {
                    **known
                };
                names.iter().any(|name| name == wanted)
            });
            let used: Vec<_> = used.copied().collect();
            if used.is_empty() || prepare(&root, &parent, unified, &used).is_err() {
                continue;
            }
            for name in used {
                // Version 2 holds processes so that they can still be killed.
                if unified || !places.contains_key(name) {
                    let parent = parent.clone();
                    places.insert(name, Place { parent, unified });
                }
            }
        }
        Ok(Groups { places, suffix })
    }

    pub(super) fn of(&self, jail: &str) -> Group<'_> {
        Group {
            all: self,
            name: format!("{jail}.{}", self.suffix),
        }
    }

    /// Whether memory, processor and process limits are enforced here.
    pub(super) fn enforce_limits(&self) -> bool {
        ["cpu", "memory", "pids"]
            .iter()
            .all(|name| self.places.contains_key(name))
    }
}

/// Mount point, type and super block options of the control group file systems in a mount table (proc_pid_mountinfo(5)).
fn mounts(table: &str) -> impl Iterator<Item = (PathBuf, &str, &str)> {
    table.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, _, options) = (system.next()?, system.next()?, system.next()?);
        let point = mount.split(' ').nth(4)?;
        matches!(kind, "cgroup" | "cgroup2").then(|| (PathBuf::from(point), kind, options))
    })
}

fn prepare(root: &Path, parent: &Path, unified: bool, used: &[&str]) -> Result<()> {
    make(parent)?;
    if unified {
        for directory in [root, parent] {
            for name in used.iter().filter(|name| **name != "freezer") {
                std::fs::write(directory.join("cgroup.subtree_control"), format!("+{name}"))?;
            }
        }
    } else if used.contains(&"cpuset") {
        inherit_processors(parent)?;
    }
    Ok(())
}

/// A new group of version 1 has no processors until it is given some.
fn inherit_processors(group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if std::fs::read_to_string(group.join(file))?.trim().is_empty() {
            let above = group.parent().ok_or(ErrorKind::NotFound)?;
            std::fs::write(group.join(file), std::fs::read_to_string(above.join(file))?)?;
        }
    }
    Ok(())
}

fn make(directory: &Path) -> Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Group<'_> {
    /// The group's directory in a controller's hierarchy, and whether that is of version 2; none where the host lacks it.
    fn directory(&self, controller: &str) -> Option<(PathBuf, bool)> {
        let place = self.all.places.get(controller)?;
        Some((place.parent.join(&self.name), place.unified))
    }

    /// The group's directories, each once.
    fn directories(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> = self
            .all
            .places
            .values()
            .map(|place| place.parent.join(&self.name))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Makes the group. One that an earlier helper left is used again.
    pub(super) fn create(&self, spec: &JailSpec) -> Answer<()> {
        let failed = |error: Error| HelperError::system("control group", &error);
        if self.directories().is_empty() && spec.openings.processes != Space::Own {
            let text =
                "this host has no control groups by which a jail's processes could be told from others";
            return Err(HelperError::new(ErrorCode::Unsupported, text));
        }
        self.directories()
            .iter()
            .try_for_each(|directory| make(directory))
            .map_err(failed)?;
        if let Some((directory, false)) = self.directory("cpuset") {
            inherit_processors(&directory).map_err(failed)?;
        }
        devices::restrict(self, &spec.openings)
    }

    /// The processes in the group.
    pub(super) fn members(&self) -> Result<BTreeSet<i32>> {
        let directories = self.directories();
        let directory = directories.first().ok_or(ErrorKind::Unsupported)?;
        let listed = match std::fs::read_to_string(directory.join("cgroup.procs")) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other?,
        };
        Ok(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Kills every process in the group, and waits until there is none.
    pub(super) fn kill_all(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_millis(CHANGE_MS_MAX);
        loop {
            let members = self.members()?;
            if members.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(ErrorKind::TimedOut.into());
            }
            for pid in members {
                processes::signal_one(pid, libc::SIGKILL as u8, || self.members())?;
            }
            std::thread::sleep(Duration::from_millis(CHANGE_INTERVAL_MS));
        }
    }

    /// Puts a process into the group; what it forks from then on is in it too.
    pub(super) fn enter(&self, pid: i32) -> Result<()> {
        self.directories()
            .iter()
            .try_for_each(|directory| std::fs::write(directory.join("cgroup.procs"), pid.to_string()))
    }

    /// Holds or lets go of every process in the group, and waits until they are.
    pub(super) fn freeze(&self, hold: bool) -> Answer<()> {
        let Some((directory, unified)) = self.directory("freezer") else {
            let text = "this host has no freezer: mount a cgroup2 file system or the freezer controller";
            return Err(HelperError::new(ErrorCode::Unsupported, text));
        };
        let failed = |error: Error| HelperError::system("freezer", &error);
        let (file, value) = match (unified, hold) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        let end = Instant::now() + Duration::from_millis(CHANGE_MS_MAX);
        loop {
            // Version 1 takes more than one attempt where a process forks meanwhile.
            std::fs::write(directory.join(file), value).map_err(failed)?;
            if self.is_frozen().map_err(failed)? == hold {
                return Ok(());
            }
            if Instant::now() > end {
                std::fs::write(directory.join(file), if unified { "0" } else { "THAWED" }).map_err(failed)?;
                return Err(HelperError::new(
                    ErrorCode::Busy,
                    "the jail's processes cannot be held",
                ));
            }
            std::thread::sleep(Duration::from_millis(CHANGE_INTERVAL_MS));
        }
    }

    /// Whether the processes are held. A group that is not there holds none.
    pub(super) fn is_frozen(&self) -> Result<bool> {
        let Some((directory, unified)) = self.directory("freezer") else {
            return Ok(false);
        };
        let file = if unified { "cgroup.events" } else { "freezer.state" };
        match std::fs::read_to_string(directory.join(file)) {
            Ok(text) if unified => Ok(usage::keyed(&text).any(|(key, value)| (key, value) == ("frozen", 1))),
            Ok(text) => Ok(text.trim() == "FROZEN"),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the group, whose processes have ended.
    pub(super) fn remove(&self) -> Result<()> {
        self.directories()
            .iter()
            .try_for_each(|directory| remove(directory))
    }
}

/// Removes a group and what a container made below it. A group stays busy for a moment after its last process has ended.
fn remove(directory: &Path) -> Result<()> {
    let end = Instant::now() + Duration::from_millis(CHANGE_MS_MAX);
    loop {
        let error = match std::fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => error,
        };
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove(&entry.path())?;
            }
        }
        if Instant::now() > end {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(CHANGE_INTERVAL_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_a_mount_table() {
        let table = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            31 25 0:27 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n\
            32 25 0:28 / /proc rw - proc proc rw\n";
        let found: Vec<_> = mounts(table).collect();
        assert_eq!(
            found,
            [
                (PathBuf::from("/sys/fs/cgroup/memory"), "cgroup", "rw,memory"),
                (
                    PathBuf::from("/sys/fs/cgroup/unified"),
                    "cgroup2",
                    "rw,nsdelegate"
                ),
            ]
        );
    }
}
