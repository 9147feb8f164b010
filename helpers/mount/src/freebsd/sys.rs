//! The only unsafe code on FreeBSD: nmount(2), unmount(2), statfs(2), fcntl(2)'s F_KINFO, devfs(5)'s rule
//! requests, sysctl(3).

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

/// Unmount by file system id rather than by path (sys/mount.h).
const MNT_BYFSID: i32 = libc::MNT_BYFSID;

/// Room for the message with which nmount(2) explains an error, in bytes: the kernel's own tools give it 255.
const ERROR_MESSAGE_BYTES: usize = 255;

/// How often the table of mounts is read again when it grew meanwhile.
const TABLE_ATTEMPTS_MAX: usize = 8;

// The layouts that this file relies on: <sys/mount.h> (STATFS_VERSION 0x20140518), <sys/user.h>,
// <fs/devfs/devfs.h>.
const _: () = assert!(size_of::<libc::statfs>() == 2344);
const _: () = assert!(size_of::<libc::kinfo_file>() == 1392);
const _: () = assert!(size_of::<Rule>() == 236);

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSystem {
    /// Names it for [`unmount`].
    pub(super) id: [i32; 2],
    /// Its type, such as `zfs`.
    pub(super) kind: String,
    /// What is mounted.
    pub(super) from: String,
    /// Where, as a path without symbolic links.
    pub(super) on: PathBuf,
}

/// Mounts what the options say (nmount(2)): names with their values, where an option has one.
pub(super) fn nmount(options: &[(&str, Option<&str>)], flags: i32) -> Result<()> {
    let mut texts: Vec<Option<CString>> = Vec::with_capacity(2 * options.len());
    for (name, value) in options {
        texts.push(Some(CString::new(*name)?));
        texts.push(value.map(CString::new).transpose()?);
    }
    let mut message = [0u8; ERROR_MESSAGE_BYTES];
    let mut pairs: Vec<libc::iovec> = texts.iter().map(|text| io_vector(text.as_deref())).collect();
    pairs.push(io_vector(Some(c"errmsg")));
    pairs.push(libc::iovec {
        iov_base: message.as_mut_ptr().cast(),
        iov_len: message.len(),
    });
    let count = u32::try_from(pairs.len()).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    // SAFETY: `pairs` holds `count` vectors; each points to a NUL-ended string of `texts`, to nothing with
    // length 0, or to `message`, all of which live through the call. The kernel writes into `message` only,
    // and not beyond its length.
    let result = unsafe { libc::nmount(pairs.as_mut_ptr(), count, flags) };
    if result == 0 {
        return Ok(());
    }
    let error = Error::last_os_error();
    match CStr::from_bytes_until_nul(&message).map(CStr::to_string_lossy) {
        Ok(said) if !said.is_empty() => helper_runtime::log::say(&format!("nmount: {said}: {error}")),
        Ok(_) | Err(_) => {}
    }
    Err(error)
}

fn io_vector(text: Option<&CStr>) -> libc::iovec {
    match text {
        // nmount(2) takes vectors to mutable memory and does not write to option values.
        Some(text) => libc::iovec {
            iov_base: text.as_ptr().cast_mut().cast::<c_void>(),
            iov_len: text.count_bytes() + 1,
        },
        None => libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        },
    }
}

/// Unmounts a file system by its id: where it is in use and not to go by force, the answer is EBUSY.
pub(super) fn unmount(id: [i32; 2], by_force: bool) -> Result<()> {
    let name = CString::new(format!("FSID:{}:{}", id[0], id[1]))?;
    let flags = MNT_BYFSID | if by_force { libc::MNT_FORCE } else { 0 };
    // SAFETY: the name is a NUL-ended string that lives through the call.
    check(unsafe { libc::unmount(name.as_ptr(), flags) })
}

/// The file system that a descriptor lies on.
pub(super) fn file_system(fd: BorrowedFd<'_>) -> Result<FileSystem> {
    let mut status = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the pointer is to writable memory of the size of a statfs, and the descriptor is open.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the kernel filled it, and before that it was zeroed, which is a valid statfs.
    Ok(described(unsafe { status.assume_init_ref() }))
}

/// All mounted file systems, in the order of their mounting (getfsstat(2)).
pub(super) fn file_systems() -> Result<Vec<FileSystem>> {
    for _ in 0..TABLE_ATTEMPTS_MAX {
        let room = table(&mut [])? + 8;
        let mut rows = Vec::new();
        // SAFETY: an all-zero statfs is valid: it holds integers and arrays of integers only.
        rows.resize_with(room, || unsafe {
            MaybeUninit::<libc::statfs>::zeroed().assume_init()
        });
        let filled = table(&mut rows)?;
        // A full table may have been cut.
        if filled < room {
            return Ok(rows[..filled].iter().map(described).collect());
        }
    }
    Err(Error::other("the table of mounts does not stop growing"))
}

/// Fills the rows, or for no rows tells how many there are.
fn table(rows: &mut [libc::statfs]) -> Result<usize> {
    let bytes = i64::try_from(size_of_val(rows)).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    let start = if rows.is_empty() {
        std::ptr::null_mut()
    } else {
        rows.as_mut_ptr()
    };
    // SAFETY: `start` is null, or points to `bytes` writable bytes.
    let count = unsafe { libc::getfsstat(start, bytes, libc::MNT_NOWAIT) };
    usize::try_from(count).map_err(|_| Error::last_os_error())
}

fn described(status: &libc::statfs) -> FileSystem {
    // SAFETY: fsid_t is two 32-bit integers (sys/_types.h); the libc crate keeps its field private.
    let id = unsafe { std::mem::transmute::<libc::fsid_t, [i32; 2]>(status.f_fsid) };
    FileSystem {
        id,
        kind: text(&status.f_fstypename),
        from: text(&status.f_mntfromname),
        on: PathBuf::from(text(&status.f_mntonname)),
    }
}

/// The text in a NUL-padded array of the kernel's.
fn text(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array
        .iter()
        .map(|c| c.cast_unsigned())
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path of what a descriptor holds, without symbolic links (fcntl(2), F_KINFO).
pub(super) fn path_of(fd: BorrowedFd<'_>) -> Result<PathBuf> {
    let mut info = MaybeUninit::<libc::kinfo_file>::zeroed();
    // SAFETY: a zeroed kinfo_file is valid: it holds integers and arrays of integers only.
    let filled = unsafe { info.assume_init_mut() };
    filled.kf_structsize =
        i32::try_from(size_of::<libc::kinfo_file>()).map_err(|_| ErrorKind::InvalidInput)?;
    // SAFETY: F_KINFO takes a pointer to a kinfo_file whose `kf_structsize` says its size; the descriptor is
    // open.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_KINFO, &raw mut *filled) })?;
    match text(&filled.kf_path) {
        path if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(Error::new(ErrorKind::NotFound, "the path is not known any more")),
    }
}

/// A devfs(5) rule, as <fs/devfs/devfs.h> lays it out.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    magic: u32,
    id: u32,
    conditions: i32,
    device_flags: i32,
    pattern: [u8; 200],
    actions: i32,
    visibility: i32,
    uid: u32,
    gid: u32,
    mode: u16,
    include: u16,
}

/// Says that a [`Rule`] is of this layout.
const DEVFS_MAGIC: u32 = 0xdb0a_087a;
/// Add a rule: `_IOWR('D', 0, struct devfs_rule)`.
const DEVFSIO_RADD: u32 = 0xc0ec_4400;
/// The rule after a number: `_IOWR('D', 4, struct devfs_rule)`.
const DEVFSIO_RGETNEXT: u32 = 0xc0ec_4404;
/// Condition: the pattern matches the device's path.
const DRC_PATHPTRN: i32 = 2;
/// Action: change visibility.
const DRA_BACTS: i32 = 1;
/// Visibility: hide.
const DRB_HIDE: i32 = 1;
/// Visibility: show.
const DRB_UNHIDE: i32 = 2;

impl Rule {
    /// Hides every device.
    pub(super) fn hide_all() -> Self {
        Rule {
            magic: DEVFS_MAGIC,
            id: 0,
            conditions: 0,
            device_flags: 0,
            pattern: [0; 200],
            actions: DRA_BACTS,
            visibility: DRB_HIDE,
            uid: 0,
            gid: 0,
            mode: 0,
            include: 0,
        }
    }

    /// Shows the devices whose path matches a pattern of at most 199 bytes.
    pub(super) fn show(pattern: &str) -> Self {
        let mut rule = Rule {
            conditions: DRC_PATHPTRN,
            visibility: DRB_UNHIDE,
            ..Rule::hide_all()
        };
        let last = rule.pattern.len() - 1;
        for (place, byte) in rule.pattern[..last].iter_mut().zip(pattern.bytes()) {
            *place = byte;
        }
        rule
    }

    /// Whether two rules do the same, whatever their numbers.
    pub(super) fn does_what(&self, other: &Rule) -> bool {
        let content = |rule: &Rule| {
            (
                rule.conditions,
                rule.device_flags,
                rule.actions,
                rule.visibility,
                rule.include,
            )
        };
        content(self) == content(other) && self.pattern == other.pattern
    }
}

/// Appends a rule to a ruleset; the kernel numbers it.
pub(super) fn add_rule(devfs: BorrowedFd<'_>, ruleset: u16, rule: Rule) -> Result<()> {
    let rule = Rule {
        id: u32::from(ruleset) << 16,
        ..rule
    };
    rule_request(devfs, DEVFSIO_RADD, rule).map(drop)
}

/// The rules of a ruleset, in order; none where there is no such ruleset.
pub(super) fn rules(devfs: BorrowedFd<'_>, ruleset: u16) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> = Vec::new();
    loop {
        let after = rules.last().map_or(u32::from(ruleset) << 16, |last| last.id);
        match rule_request(
            devfs,
            DEVFSIO_RGETNEXT,
            Rule {
                id: after,
                ..Rule::hide_all()
            },
        ) {
            Ok(rule) => rules.push(rule),
            Err(end) if end.kind() == ErrorKind::NotFound => return Ok(rules),
            Err(error) => return Err(error),
        }
    }
}

fn rule_request(devfs: BorrowedFd<'_>, request: u32, mut rule: Rule) -> Result<Rule> {
    // SAFETY: both requests read and write one struct devfs_rule at the pointer, whose size is asserted
    // above; the descriptor is open.
    check(unsafe { libc::ioctl(devfs.as_raw_fd(), libc::c_ulong::from(request), &raw mut rule) })?;
    Ok(rule)
}

/// A small integer of sysctl(3) as its bytes; none where this kernel does not have it.
pub(super) fn sysctl(name: &CStr) -> Option<Vec<u8>> {
    let mut value = [0u8; 256];
    let mut length = value.len();
    // SAFETY: the name is NUL-ended; `length` says how many bytes may be written at the value's pointer;
    // nothing is set.
    let result = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null(),
            0,
        )
    };
    (result == 0).then(|| value[..length.min(value.len())].to_vec())
}

fn check(result: i32) -> Result<()> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
