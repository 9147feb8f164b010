//! The first process's mount namespace: the container's tree as its only root.

use super::{pseudo, sysctls};
use protocol::jail::{JailSpec, Network};
use protocol::mount::Access;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, getcwd, pivot_root, umask};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Makes the tree at `root`, with everything that is mounted in it, this process's whole world. Must be called in a new
/// mount namespace; nothing of it is seen outside, and nothing mounted outside later is seen inside, but for binds which the
/// mount helper left joined to the host's mounts. `memory` is the /dev/shm of the host or of another jail, where it has that.
pub(super) fn enter_root(spec: &JailSpec, root: &Path, memory: Option<&OwnedFd>) -> Answer<()> {
    let failed = |step: &'static str| move |errno: Errno| HelperError::system(step, &errno.into());
    // A root must be a mount point; bound onto itself it is one, whether the mount helper mounted a dataset there or not. The
    // copy is made first: what is private afterwards is all but the copy.
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, root, flags).map_err(failed("copy the root"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(failed("private mounts"))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&tree, "", CWD, root, flags).map_err(failed("bind the root"))?;
    mount_change(root, MountPropagationFlags::PRIVATE).map_err(failed("private root"))?;
    chdir(root).map_err(failed("enter the root"))?;
    let outer = outer_mounts()?;
    // pivot_root(2), "pivot_root(".", ".")": the old root lies on top of the new one and is taken away from there.
    pivot_root(".", ".").map_err(failed("pivot_root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(failed("leave the old root"))?;
    chdir("/").map_err(failed("enter the new root"))?;

    // Modes below are exact, whatever the helper's own mask.
    umask(Mode::empty());
    pseudo::mount_all(spec, &outer, memory)?;
    umask(Mode::from_raw_mode(0o022));
    if spec.network == Network::Own {
        open_ports_and_ping()?;
    }
    sysctls::set(spec)?;
    pseudo::restrict()?;
    match spec.root_access {
        Access::ReadWrite => Ok(()),
        // Only the root itself: volumes and memory file systems in it have their own say.
        Access::ReadOnly => {
            mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, c"").map_err(failed("read-only root"))
        }
    }
}

/// Lets every user of the container bind any port and send pings, as Docker does (20.10 and later): the network is the
/// container's own.
fn open_ports_and_ping() -> Answer<()> {
    for (name, value) in [
        ("ip_unprivileged_port_start", "0"),
        ("ping_group_range", "0 2147483647"),
    ] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        std::fs::write(&path, value).map_err(|e| HelperError::system(path, &e))?;
    }
    Ok(())
}

/// What the mount helper mounted below the working directory, which is going to be the root, in the places where pseudo
/// file systems go; as paths inside.
fn outer_mounts() -> Answer<Vec<PathBuf>> {
    // As the kernel names it: the table holds no symbolic links.
    let root = getcwd(Vec::new()).map_err(|e| HelperError::system("getcwd", &e.into()))?;
    let root = PathBuf::from(std::ffi::OsString::from_vec(root.into_bytes()));
    let table = std::fs::read("/proc/self/mountinfo").map_err(|e| HelperError::system("mount table", &e))?;
    let mut paths: Vec<PathBuf> = mount_points(&table)
        .filter_map(|path| path.strip_prefix(&root).ok().map(Path::to_path_buf))
        .filter(|path| ["dev", "proc", "sys"].iter().any(|place| path.starts_with(place)))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    if let Some(path) = paths.iter().find(|path| path.starts_with("proc")) {
        // runc refuses it too: what is masked there could be reached through it.
        let detail = format!(
            "\"/{}\" cannot be mounted because it is inside /proc",
            path.display()
        );
        return Err(HelperError::new(ErrorCode::BadContent, detail));
    }
    // Whatever is mounted below another one comes along with it.
    let mut tops: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !tops.last().is_some_and(|top| path.starts_with(top)) {
            tops.push(path);
        }
    }
    Ok(tops.into_iter().map(|path| Path::new("/").join(path)).collect())
}

/// The mount points of a mount table (proc_pid_mountinfo(5)): the fifth field, with blanks and the like as octal numbers.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
    })
}

fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        let octal = rest
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                plain.push(digits.iter().fold(0u8, |value, digit| {
                    value.wrapping_mul(8).wrapping_add(digit - b'0')
                }));
                text = &rest[3..];
            }
            None => plain.push(*first),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let table = b"36 35 98:0 / /srv/a\\040b/dev\\134x rw,noatime master:1 - ext3 /dev/root rw\n\
            37 35 0:5 / /proc rw - proc proc rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [PathBuf::from("/srv/a b/dev\\x"), PathBuf::from("/proc")]);
    }
}
