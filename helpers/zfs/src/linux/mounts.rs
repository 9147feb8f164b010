//! Which mount uses a dataset, read from the mount table (proc_pid_mountinfo(5)).
//!
//! The mount helper mounts a dataset either by binding its `data`, or as an overlay with that directory on top. A bind mount
//! names its root as a path within the file system that it comes from. An overlay of the mount helper says which
//! dataset it is by its source ([`overlay::source`]), since its directories were given as descriptors; an overlay that anyone
//! else made names its directories in its options.

use helper_runtime::overlay;
use protocol::names::DatasetName;
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The open mount table and the names under which the pool appears in it.
#[derive(Debug)]
pub(super) struct Mounts {
    table: File,
    pool: OwnedFd,
    names: PoolNames,
}

/// How mounts name the pool directory.
#[derive(Debug, PartialEq, Eq)]
struct PoolNames {
    /// Absolute paths: as configured, and without links.
    paths: [String; 2],
    /// `major:minor` of the file system that holds it.
    device: String,
    /// Its path within that file system.
    inner: String,
}

impl Mounts {
    /// Opens the mount table and finds the pool in it.
    pub(super) fn open(pool_dir: &str, pool: &OwnedFd) -> Result<Self> {
        let table = File::open("/proc/self/mountinfo")?;
        let mount_id = statx(pool, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id;
        let real = std::fs::canonicalize(pool_dir)?.to_string_lossy().into_owned();
        let text = read(&table)?;
        let entry = text
            .lines()
            .filter_map(Entry::parse)
            .find(|entry| entry.id == mount_id);
        let names = entry
            .and_then(|entry| PoolNames::new(pool_dir, &real, &entry))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{pool_dir} lies on no mount of the mount table"),
                )
            })?;
        let pool = pool.try_clone()?;
        Ok(Mounts { table, pool, names })
    }

    /// Where the dataset is mounted, if it is: the first mount point found.
    pub(super) fn user_of(&self, dataset: &DatasetName) -> Result<Option<String>> {
        let text = read(&self.table)?;
        let source = overlay::source(&self.pool, dataset)?;
        let mut entries = text.lines().filter_map(Entry::parse);
        Ok(entries
            .find(|entry| self.names.uses(entry, dataset, &source))
            .map(|entry| entry.mount_point))
    }
}

fn read(mut table: &File) -> Result<String> {
    table.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    table.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl PoolNames {
    fn new(configured: &str, real: &str, entry: &Entry<'_>) -> Option<Self> {
        let rest = Path::new(real).strip_prefix(&entry.mount_point).ok()?;
        let inner = Path::new(&entry.root).join(rest).to_string_lossy().into_owned();
        Some(PoolNames {
            paths: [configured.to_owned(), real.to_owned()],
            device: entry.device.to_owned(),
            inner,
        })
    }

    fn uses(&self, entry: &Entry<'_>, dataset: &DatasetName, source: &str) -> bool {
        let bound = entry.device == self.device && lies_in(&entry.root, &self.inner, dataset);
        let named = entry.kind == "overlay" && entry.source == source;
        let lies_here = |layer: &String| self.paths.iter().any(|pool| lies_in(layer, pool, dataset));
        bound || named || entry.layers().iter().any(lies_here)
    }
}

/// Whether `path` is the dataset's directory or lies below it.
fn lies_in(path: &str, pool: &str, dataset: &DatasetName) -> bool {
    Path::new(path)
        .strip_prefix(pool)
        .is_ok_and(|rest| rest.starts_with(dataset.as_str()))
}

/// What matters of one line.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    id: u64,
    device: &'a str,
    root: String,
    mount_point: String,
    kind: &'a str,
    source: String,
    options: &'a str,
}

impl<'a> Entry<'a> {
    /// `id parent major:minor root mount-point options [tags…] - type source super-options`.
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, fields) = line.split_once(" - ")?;
        let mut mount = mount.split(' ');
        let id = mount.next()?.parse().ok()?;
        let device = mount.nth(1)?;
        let root = unescape(mount.next()?);
        let mount_point = unescape(mount.next()?);
        let mut fields = fields.split(' ');
        let kind = fields.next()?;
        let source = unescape(fields.next()?);
        let options = fields.next()?;
        Some(Entry {
            id,
            device,
            root,
            mount_point,
            kind,
            source,
            options,
        })
    }

    /// The directories that an overlay is made of. `lowerdir=` holds several with a colon between, older kernels write
    /// so even where each was given by its own `lowerdir+`.
    fn layers(&self) -> Vec<String> {
        if self.kind != "overlay" {
            return Vec::new();
        }
        let options = self
            .options
            .split(',')
            .filter_map(|option| option.split_once('='));
        let layers = options.filter(|(name, _)| matches!(*name, "upperdir" | "lowerdir" | "lowerdir+"));
        layers
            .flat_map(|(_, paths)| paths.split(':'))
            .map(unescape)
            .collect()
    }
}

/// Undoes the kernel's `\ooo` for spaces, commas, colons, backslashes.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            Some(_) | None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw";
    const TMP: &str = "40 22 0:35 /sub\\040vol /tmp rw shared:7 master:2 - tmpfs tmpfs rw,size=1k";

    fn dataset(name: &str) -> DatasetName {
        DatasetName::new(name).unwrap()
    }

    fn names(pool: &str, line: &str) -> PoolNames {
        PoolNames::new(pool, pool, &Entry::parse(line).unwrap()).unwrap()
    }

    fn uses(pool: &PoolNames, line: &str, name: &str) -> bool {
        let source = format!("fe00-2/{name}");
        pool.uses(&Entry::parse(line).unwrap(), &dataset(name), &source)
    }

    #[test]
    fn the_pool_is_named_within_its_file_system() {
        assert_eq!(names("/var/db/pool", ROOT).inner, "/var/db/pool");
        assert_eq!(names("/tmp/x/pool", TMP).inner, "/sub vol/x/pool");
    }

    #[test]
    fn a_dataset_bound_anywhere_is_in_use_and_its_neighbours_are_not() {
        let pool = names("/tmp/x/pool", TMP);
        let line = "90 22 0:35 /sub\\040vol/x/pool/volumes/t/n/data /mnt/v-1 rw - tmpfs tmpfs rw";
        assert!(uses(&pool, line, "volumes/t/n"));
        assert!(!uses(&pool, line, "volumes/t/n2"));
        assert!(!uses(&pool, line, "volumes/t/nn"));
        let elsewhere = "90 22 0:36 /sub\\040vol/x/pool/volumes/t/n/data /mnt/v-1 rw - tmpfs tmpfs rw";
        assert!(!uses(&pool, elsewhere, "volumes/t/n"));
    }

    #[test]
    fn upper_and_lower_directories_of_an_overlay_are_in_use() {
        let pool = names("/p", ROOT);
        let line = "91 22 0:50 / /mnt/c-1 rw - overlay overlay rw,lowerdir+=/p/images/b/data,lowerdir+=/p/images/a/data,\
                    upperdir=/p/containers/c/data,workdir=/p/containers/c/work";
        for used in ["containers/c", "images/a", "images/b"] {
            assert!(uses(&pool, line, used), "{used}");
        }
        assert!(!uses(&pool, line, "images/c"));
        assert!(!uses(&names("/q", ROOT), line, "images/a"));
        let joined = "91 22 0:50 / /mnt rw - overlay overlay rw,lowerdir=/p/images/b/data:/p/images/a/data";
        assert!(uses(&pool, joined, "images/a"));
    }

    #[test]
    fn an_overlay_of_the_mount_helper_is_known_by_its_source() {
        let pool = names("/p", ROOT);
        let line = "92 22 0:51 / /mnt/c-1 rw - overlay fe00-2/containers/c rw,lowerdir+=/proc/self/fd/9,upperdir=/proc/self/fd/7";
        assert!(uses(&pool, line, "containers/c"));
        assert!(!uses(&pool, line, "containers/cc"));
        assert!(
            !uses(&pool, &line.replace("fe00-2", "fe00-3"), "containers/c"),
            "another pool's"
        );
        let tmpfs = "92 22 0:51 / /mnt/c-1 rw - tmpfs fe00-2/containers/c rw";
        assert!(!uses(&pool, tmpfs, "containers/c"));
    }

    #[test]
    fn escaped_bytes_are_put_back() {
        assert_eq!(unescape("/a\\040b\\054c\\134"), "/a b,c\\");
        assert_eq!(unescape("/a\\9zz\\04"), "/a\\9zz\\04");
    }
}
