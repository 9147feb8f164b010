//! The file systems that a container expects and that belong to its own namespaces: what Docker mounts, with Docker's flags.

use protocol::jail::{Device, JailSpec};
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, Uid, chownat, makedev, mknodat, open, statat,
    symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind,
    mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree,
};
use std::ffi::CString;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Device nodes: name, major, minor (Linux's Documentation/admin-guide/devices.txt). Anybody may read and write them.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Links in /dev.
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
];

/// Where memory that processes share is found.
const SHARED_MEMORY: &str = "/dev/shm";

/// Where control groups are found.
const GROUPS_PLACE: &str = "/sys/fs/cgroup";

/// The controllers of version 1 that jails have groups of.
const GROUPS: [&str; 8] = [
    "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids",
];

/// What a container must not see: Docker's list (28.5).
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What a container must not change: Docker's list (28.5).
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

const QUIET: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Mounts all of them. `outer` are mounts of the mount helper's in their places (`--tmpfs /dev/shm`, `-v …:/sys/fs/cgroup`),
/// which lie on top again afterwards; where one took a whole place (`-v /dev:/dev`), that place is left to it. `memory` is another's
/// /dev/shm, for this one to have.
pub(super) fn mount_all(spec: &JailSpec, outer: &[PathBuf], memory: Option<&OwnedFd>) -> Answer<()> {
    let taken = |place: &str| outer.iter().any(|path| path == Path::new(place));
    let whole = |path: &&PathBuf| ["/dev", "/sys"].iter().any(|place| *path == Path::new(place));
    let carried = outer
        .iter()
        .filter(|path| !whole(path))
        .map(Carried::take)
        .collect::<Answer<Vec<_>>>()?;
    mount_at("proc", "/proc", QUIET, "")?;
    if !taken("/dev") {
        mount_dev(spec, &taken, memory)?;
    }
    if !taken("/sys") {
        mount_at("sysfs", "/sys", QUIET | MountFlags::RDONLY, "")?;
        mount_groups()?;
    }
    carried.iter().try_for_each(Carried::place)
}

/// Shows the container its own control groups, as programs look there for their limits. Which they are the namespace decides.
fn mount_groups() -> Answer<()> {
    let table = std::fs::read_to_string("/proc/self/cgroup")
        .map_err(|e| HelperError::system("control groups", &e))?;
    let shown = v1_groups(&table);
    match statat(CWD, GROUPS_PLACE, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed(GROUPS_PLACE)(errno)),
        Ok(_) => {}
    }
    let flags = QUIET | MountFlags::RDONLY;
    if shown.is_empty() {
        return mount_at("cgroup2", GROUPS_PLACE, flags, "");
    }
    mount_at("tmpfs", GROUPS_PLACE, QUIET, "mode=755")?;
    for names in shown {
        mount_at("cgroup", &format!("{GROUPS_PLACE}/{names}"), flags, names)?;
    }
    let flags = flags | MountFlags::BIND;
    mount_remount(GROUPS_PLACE, flags, c"").map_err(failed(GROUPS_PLACE))
}

/// The controllers of each hierarchy of version 1 in a process's table (cgroups(7), "/proc/pid/cgroup") in which jails have
/// groups; in any other one the namespace would show the host's.
fn v1_groups(table: &str) -> Vec<&str> {
    let lines = table.lines().filter_map(|line| line.split(':').nth(1));
    let is_ours = |names: &&str| !names.is_empty() && names.split(',').all(|name| GROUPS.contains(&name));
    lines.filter(is_ours).collect()
}

fn mount_dev(spec: &JailSpec, taken: &impl Fn(&str) -> bool, memory: Option<&OwnedFd>) -> Answer<()> {
    mount_at(
        "tmpfs",
        "/dev",
        MountFlags::NOSUID | MountFlags::STRICTATIME,
        "mode=755,size=65536k",
    )?;
    for (name, major, minor) in DEVICES {
        let path = format!("/dev/{name}");
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(major, minor)).map_err(failed(&path))?;
    }
    for (target, link) in LINKS {
        // No /dev/core where the kernel has no /proc/kcore, as with Docker.
        if link != "/dev/core" || Path::new(target).exists() {
            symlinkat(target, CWD, link).map_err(failed(link))?;
        }
    }
    for device in spec.openings.devices.as_slice() {
        make_device(device)?;
    }
    let shm = format!("mode=1777,size={}", spec.shm_bytes);
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (kind, place, flags, options) in [
        (
            "devpts",
            "/dev/pts",
            terminals,
            "newinstance,ptmxmode=0666,mode=0620,gid=5",
        ),
        ("tmpfs", SHARED_MEMORY, QUIET, shm.as_str()),
        ("mqueue", "/dev/mqueue", QUIET, ""),
    ] {
        match memory {
            _ if taken(place) => {}
            Some(memory) if place == SHARED_MEMORY => place_memory(memory)?,
            None if place == SHARED_MEMORY && spec.shm_bytes == 0 => {}
            _ => mount_at(kind, place, flags, options)?,
        }
    }
    Ok(())
}

/// Shows another's /dev/shm.
fn place_memory(memory: &OwnedFd) -> Answer<()> {
    make_directory(SHARED_MEMORY)?;
    let failed = failed(SHARED_MEMORY);
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(memory, "", CWD, SHARED_MEMORY, flags).map_err(&failed)?;
    // A copy of a shared mount would go on sharing what is mounted below.
    mount_change(SHARED_MEMORY, MountPropagationFlags::PRIVATE).map_err(&failed)
}

/// Whether device nodes are asked for where they can be: below /dev, which is a file system of the jail's own.
pub(super) fn judge_devices(devices: &[Device]) -> Answer<()> {
    let fits = |device: &Device| {
        let inside = device.path.as_str().strip_prefix("/dev/");
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        inside.is_some_and(|path| path.split('/').all(is_plain))
            && device.rule.major.is_some()
            && device.rule.minor.is_some()
            && device.mode & !0o777 == 0
    };
    match devices.iter().find(|device| !fits(device)) {
        Some(device) => Err(HelperError::new(
            ErrorCode::BadContent,
            format!(
                "device {}: only a path below /dev can be a device",
                device.path.as_str()
            ),
        )),
        None => Ok(()),
    }
}

fn make_device(device: &Device) -> Answer<()> {
    let path = device.path.as_str();
    if let Some(parent) = Path::new(path).parent() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
        made.map_err(|e| HelperError::system(format!("make {}", parent.display()), &e))?;
    }
    let kind = if device.rule.is_block {
        FileType::BlockDevice
    } else {
        FileType::CharacterDevice
    };
    let numbers = makedev(
        device.rule.major.unwrap_or_default(),
        device.rule.minor.unwrap_or_default(),
    );
    // One that is there already, such as /dev/null, is replaced.
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Err(errno) if errno != Errno::NOENT => return Err(failed(path)(errno)),
        Ok(()) | Err(_) => {}
    }
    mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(RawMode::from(device.mode)),
        numbers,
    )
    .map_err(failed(path))?;
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(failed(path))
}

fn mount_at(kind: &str, place: &str, flags: MountFlags, options: &str) -> Answer<()> {
    make_directory(place)?;
    let options = CString::new(options).unwrap_or_default();
    // What mount(8) shows as the source: Docker's names.
    let source = if place == SHARED_MEMORY { "shm" } else { kind };
    mount(source, place, kind, flags, Some(options.as_c_str())).map_err(failed(place))
}

/// A directory of the image, or a new one. An image's symbolic link is refused: what is masked below would not be.
fn make_directory(place: &str) -> Answer<()> {
    match statat(CWD, place, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_directory(stat.st_mode) => Ok(()),
        Ok(_) => Err(HelperError::new(
            ErrorCode::BadContent,
            format!("{place} of the image is not a directory"),
        )),
        Err(Errno::NOENT) => DirBuilder::new()
            .mode(0o755)
            .create(place)
            .map_err(|e| HelperError::system(format!("make {place}"), &e)),
        Err(errno) => Err(failed(place)(errno)),
    }
}

/// Hides and protects what Docker hides and protects. Comes last: it needs /dev/null, and nothing is changed after it.
pub(super) fn restrict() -> Answer<()> {
    for path in MASKED {
        let hidden = match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_directory(stat.st_mode) => mount(
                "tmpfs",
                path,
                "tmpfs",
                MountFlags::RDONLY,
                Some(c"nr_inodes=1,size=4k"),
            ),
            Ok(_) => mount_bind("/dev/null", path),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        };
        hidden.map_err(failed(path))?;
    }
    for path in READ_ONLY {
        let protected = match mount_bind_recursive(path, path) {
            Ok(()) => mount_remount(path, QUIET | MountFlags::BIND | MountFlags::RDONLY, c""),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        };
        protected.map_err(failed(path))?;
    }
    Ok(())
}

/// A mount lifted off its place, with everything on it, while the place is covered.
struct Carried {
    path: PathBuf,
    tree: OwnedFd,
    is_directory: bool,
}

impl Carried {
    fn take(path: &PathBuf) -> Answer<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let failed = failed(&path.to_string_lossy());
        let tree = open_tree(CWD, path, flags).map_err(&failed)?;
        let stat = rustix::fs::fstat(&tree).map_err(&failed)?;
        Ok(Carried {
            path: path.clone(),
            tree,
            is_directory: is_directory(stat.st_mode),
        })
    }

    fn place(&self) -> Answer<()> {
        let name = self.path.to_string_lossy();
        let made = if self.is_directory {
            DirBuilder::new().recursive(true).mode(0o755).create(&self.path)
        } else {
            self.make_file()
        };
        made.map_err(|e| HelperError::system(&name, &e))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&self.tree, "", CWD, &self.path, flags).map_err(failed(&name))
    }

    fn make_file(&self) -> std::io::Result<()> {
        if let Some(parent) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        // Not opened where it exists: it may be a device.
        match open(
            &self.path,
            OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        ) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn is_directory(mode: RawMode) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

fn failed(what: &str) -> impl Fn(Errno) -> HelperError + use<> {
    let what = format!("set up {what}");
    move |errno| HelperError::system(&what, &errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hierarchies_in_which_jails_have_groups_are_shown() {
        let table = "9:name=systemd:/\n8:pids:/\n4:cpu,cpuacct:/x\n3:net_cls:/\n0::/\n";
        assert_eq!(v1_groups(table), ["pids", "cpu,cpuacct"]);
        assert!(v1_groups("0::/\n").is_empty());
    }
}
