//! The calls that need unsafe code: ioctl(2) on sockets, and sysctl(3) at start.

use super::wire::{IFREQ_BYTES, NAME_BYTES, name};
use rustix::ioctl::{Opcode, Updater, ioctl};
use std::ffi::CStr;
use std::io::{Error, Result};
use std::os::fd::BorrowedFd;

// Requests of sys/sockio.h that the libc crate lacks. A request's bits 16 to 28 hold the size of what it takes.
pub(super) const SIOCAIFADDR: Opcode = 0x8044_692b;
pub(super) const SIOCAIFADDR_IN6: Opcode = 0x8088_691b;
pub(super) const SIOCIFCREATE2: Opcode = 0xc020_697c;
pub(super) const SIOCIFDESTROY: Opcode = 0x8020_6979;
pub(super) const SIOCSIFVNET: Opcode = 0xc020_695a;
pub(super) const SIOCGIFFLAGS: Opcode = 0xc020_6911;
pub(super) const SIOCSIFFLAGS: Opcode = 0x8020_6910;
pub(super) const SIOCSIFMTU: Opcode = 0x8020_6934;
pub(super) const SIOCGIFCAP: Opcode = 0xc020_691f;
pub(super) const SIOCSIFCAP: Opcode = 0x8020_691e;
pub(super) const SIOCSIFLLADDR: Opcode = 0x8020_693c;
pub(super) const SIOCGIFNETMASK: Opcode = 0xc020_6925;
// These hold an address of memory, and have functions of their own below.
pub(super) const SIOCSIFNAME: Opcode = 0x8020_6928;
pub(super) const SIOCGIFCONF: Opcode = 0xc010_6924;
pub(super) const SIOCGIFGMEMB: Opcode = 0xc028_698a;
pub(super) const SIOCSDRVSPEC: Opcode = 0x8028_697b;

/// if_bridgevar.h: adds a member.
const BRDGADD: u64 = 0;
/// if_bridgevar.h: sets a member's flags.
const BRDGSIFFLGS: u64 = 3;
/// if_bridgevar.h: what a new member has (IFBIF_LEARNING, IFBIF_DISCOVER), and IFBIF_PRIVATE.
const MEMBER_FLAGS: u32 = 0x1 | 0x2 | 0x800;
/// Sizes that `struct ifbreq` may have: 80 up to FreeBSD 14, perhaps more later. The kernel takes exactly its own.
const MEMBER_REQUEST_BYTES: [usize; 7] = [80, 88, 96, 104, 112, 120, 128];
/// Largest list of interfaces that is read, in bytes: thousands of interfaces.
const LIST_BYTES_MAX: usize = 1024 * 1024;
/// How often a list that grows while it is read is read again.
const LIST_ATTEMPTS: u32 = 5;

/// One request whose argument holds no address of memory.
pub(super) fn request<const REQUEST: Opcode, const BYTES: usize>(
    socket: BorrowedFd<'_>,
    argument: &mut [u8; BYTES],
) -> Result<()> {
    const {
        assert!((REQUEST >> 16) & 0x1fff == BYTES as Opcode);
        assert!(REQUEST != SIOCSIFNAME && REQUEST != SIOCGIFCONF);
        assert!(REQUEST != SIOCGIFGMEMB && REQUEST != SIOCSDRVSPEC);
    }
    // SAFETY: the request copies its own size from and to the argument, which is that many bytes, as asserted above.
    let updater = unsafe { Updater::<REQUEST, [u8; BYTES]>::new(argument) };
    // SAFETY: as above; the argument holds no address that the kernel would follow.
    Ok(unsafe { ioctl(socket, updater) }?)
}

/// A request's argument that holds an address at `at`; the memory there must live until the call is over.
///
/// # Safety
/// What lies at the address must be as long as the request makes the kernel read or write.
unsafe fn request_with_address<const REQUEST: Opcode, const BYTES: usize>(
    socket: BorrowedFd<'_>,
    argument: &mut [u8; BYTES],
    at: usize,
    memory: *mut u8,
) -> Result<()> {
    const { assert!((REQUEST >> 16) & 0x1fff == BYTES as Opcode) };
    argument[at..at + 8].copy_from_slice(&memory.expose_provenance().to_ne_bytes());
    // SAFETY: the request copies its own size from and to the argument, which is that many bytes, as asserted above.
    let updater = unsafe { Updater::<REQUEST, [u8; BYTES]>::new(argument) };
    // SAFETY: the caller promises that the memory is as long as the kernel reads or writes.
    Ok(unsafe { ioctl(socket, updater) }?)
}

/// Gives an interface another name.
pub(super) fn rename(socket: BorrowedFd<'_>, from: &str, to: &str) -> Result<()> {
    let mut argument = [0; IFREQ_BYTES];
    argument[..NAME_BYTES].copy_from_slice(&name(from));
    let mut new = name(to);
    // SAFETY: SIOCSIFNAME reads a string of at most IFNAMSIZ bytes, and `new` ends with a NUL within them.
    unsafe { request_with_address::<SIOCSIFNAME, _>(socket, &mut argument, 16, new.as_mut_ptr()) }
}

/// Makes an interface a member of the bridge.
pub(super) fn add_member(socket: BorrowedFd<'_>, bridge: &str, member: &str) -> Result<()> {
    member_request(socket, bridge, BRDGADD, member, 0)
}

/// Makes the bridge keep frames of its private members from each other.
pub(super) fn isolate_member(socket: BorrowedFd<'_>, bridge: &str, member: &str) -> Result<()> {
    member_request(socket, bridge, BRDGSIFFLGS, member, MEMBER_FLAGS)
}

fn member_request(
    socket: BorrowedFd<'_>,
    bridge: &str,
    command: u64,
    member: &str,
    flags: u32,
) -> Result<()> {
    let mut result = Ok(());
    for bytes in MEMBER_REQUEST_BYTES {
        // struct ifbreq begins with name and flags.
        let mut member_request = vec![0; bytes];
        member_request[..NAME_BYTES].copy_from_slice(&name(member));
        member_request[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&flags.to_ne_bytes());
        // struct ifdrv: name, command, length, address.
        let mut argument = [0; 40];
        argument[..NAME_BYTES].copy_from_slice(&name(bridge));
        argument[16..24].copy_from_slice(&command.to_ne_bytes());
        argument[24..32].copy_from_slice(&bytes.to_ne_bytes());
        // SAFETY: SIOCSDRVSPEC reads the length in the argument, which is that of the member's request.
        result = unsafe {
            request_with_address::<SIOCSDRVSPEC, _>(socket, &mut argument, 32, member_request.as_mut_ptr())
        };
        if !matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EINVAL)) {
            break;
        }
    }
    result
}

/// The interface list of a socket's network, as [`super::wire::interfaces`] reads it.
pub(super) fn interface_list(socket: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let mut list = vec![0; 16 * 1024];
    loop {
        // struct ifconf: length as an int, address.
        let mut argument = [0; 16];
        argument[..4].copy_from_slice(&(list.len() as u32).to_ne_bytes());
        // SAFETY: SIOCGIFCONF writes at most the length in the argument, which is that of the list.
        unsafe { request_with_address::<SIOCGIFCONF, _>(socket, &mut argument, 8, list.as_mut_ptr()) }?;
        let filled = u32::from_ne_bytes([argument[0], argument[1], argument[2], argument[3]]) as usize;
        // The kernel cuts without a word, so a list that leaves room for one more address is whole.
        if filled + 512 < list.len() || list.len() >= LIST_BYTES_MAX {
            list.truncate(filled);
            return Ok(list);
        }
        list = vec![0; list.len() * 4];
    }
}

/// Names of the interfaces in a group; each kind of cloned interface is one.
pub(super) fn group_members(socket: BorrowedFd<'_>, group: &str) -> Result<Vec<[u8; NAME_BYTES]>> {
    let mut result = Ok(Vec::new());
    for _ in 0..LIST_ATTEMPTS {
        result = group_members_once(socket, group);
        match &result {
            // No interface of this kind was ever made.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn group_members_once(socket: BorrowedFd<'_>, group: &str) -> Result<Vec<[u8; NAME_BYTES]>> {
    // struct ifgroupreq: name, length as an int, address.
    let mut argument = [0; 40];
    argument[..NAME_BYTES].copy_from_slice(&name(group));
    // SAFETY: with a length of zero the kernel writes only the length that it needs.
    unsafe { request_with_address::<SIOCGIFGMEMB, _>(socket, &mut argument, 24, std::ptr::null_mut()) }?;
    let bytes = u32::from_ne_bytes([argument[16], argument[17], argument[18], argument[19]]) as usize;
    let mut members = vec![[0; NAME_BYTES]; bytes.min(LIST_BYTES_MAX) / NAME_BYTES];
    if members.is_empty() {
        return Ok(members);
    }
    argument[16..20].copy_from_slice(&((members.len() * NAME_BYTES) as u32).to_ne_bytes());
    let memory = members.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most the length in the argument, which is that of the members.
    unsafe { request_with_address::<SIOCGIFGMEMB, _>(socket, &mut argument, 24, memory) }?;
    Ok(members)
}

/// Sets a numeric sysctl(8) variable.
pub(super) fn set_sysctl(variable: &CStr, value: i32) -> Result<()> {
    // SAFETY: the name ends with a NUL; the new value's pointer and length describe a live i32; no old value is asked.
    let result = unsafe {
        libc::sysctlbyname(
            variable.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            (&raw const value).cast(),
            size_of::<i32>(),
        )
    };
    check(result)
}

/// The route list of this process's network, as [`super::wire::routes`] reads it.
pub(super) fn route_list() -> Result<Vec<u8>> {
    /// `NET_RT_DUMP` of sys/socket.h.
    const NET_RT_DUMP: i32 = 1;
    let variable = [libc::CTL_NET, libc::PF_ROUTE, 0, 0, NET_RT_DUMP, 0];
    let mut bytes = 0;
    // SAFETY: the variable's pointer and length describe a live array; without memory for it only the size is given.
    check(unsafe {
        libc::sysctl(
            variable.as_ptr(),
            6,
            std::ptr::null_mut(),
            &raw mut bytes,
            std::ptr::null(),
            0,
        )
    })?;
    // Routes that come in between need room too.
    let mut list = vec![0u8; bytes + bytes / 4 + 4096];
    bytes = list.len();
    // SAFETY: as above; the memory's pointer and length describe the list.
    check(unsafe {
        libc::sysctl(
            variable.as_ptr(),
            6,
            list.as_mut_ptr().cast(),
            &raw mut bytes,
            std::ptr::null(),
            0,
        )
    })?;
    list.truncate(bytes);
    Ok(list)
}

fn check(result: i32) -> Result<()> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}
