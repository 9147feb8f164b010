//! The requests of netdevice(7) and socket(7) that go through ioctl(2) on a socket, with the structs they take.

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use std::ffi::c_void;
use std::io::Result;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Adds a route: `struct rtentry` (linux/sockios.h).
const SIOCADDRT: Opcode = 0x890b;
/// Deletes a route.
const SIOCDELRT: Opcode = 0x890c;
/// Reads an interface's flags.
const SIOCGIFFLAGS: Opcode = 0x8913;
/// Sets an interface's flags.
const SIOCSIFFLAGS: Opcode = 0x8914;
/// Sets an interface's address.
const SIOCSIFADDR: Opcode = 0x8916;
/// Sets an interface's netmask.
const SIOCSIFNETMASK: Opcode = 0x891c;
/// A descriptor of the socket's network namespace, as the result.
const SIOCGSKNS: Opcode = 0x894c;

const IFF_UP: i16 = 1;
const RTF_UP: u16 = 1;
const RTF_GATEWAY: u16 = 2;

/// Bytes of an interface's name with its NUL.
const NAME_BYTES: usize = 16;

/// `struct sockaddr_in`.
#[repr(C)]
struct Address {
    family: u16,
    port: u16,
    address: [u8; 4],
    zero: [u8; 8],
}

/// `struct ifreq` with an address.
#[repr(C)]
struct AddressRequest {
    name: [u8; NAME_BYTES],
    address: Address,
    rest: [u8; 8],
}

/// `struct ifreq` with flags.
#[repr(C)]
struct FlagsRequest {
    name: [u8; NAME_BYTES],
    flags: i16,
    rest: [u8; 22],
}

/// `struct rtentry` (linux/route.h). No device: the kernel takes the one through which the gateway is reached.
#[repr(C)]
struct RouteRequest {
    pad1: usize,
    destination: Address,
    gateway: Address,
    netmask: Address,
    flags: u16,
    pad2: i16,
    pad3: usize,
    pad4: usize,
    metric: i16,
    device: usize,
    mtu: usize,
    window: usize,
    round_trip: u16,
}

const _: () = assert!(size_of::<AddressRequest>() == size_of::<libc::ifreq>());
const _: () = assert!(size_of::<FlagsRequest>() == size_of::<libc::ifreq>());
const _: () = assert!(size_of::<RouteRequest>() == size_of::<libc::rtentry>());

/// Gives the interface this address.
pub(super) fn set_address(socket: BorrowedFd<'_>, name: &str, address: Ipv4Addr) -> Result<()> {
    let mut request = address_request(name, address);
    // SAFETY: SIOCSIFADDR takes a struct ifreq with an address.
    unsafe { change::<SIOCSIFADDR, _>(socket, &mut request) }
}

/// Gives the interface's address this netmask.
pub(super) fn set_netmask(socket: BorrowedFd<'_>, name: &str, netmask: Ipv4Addr) -> Result<()> {
    let mut request = address_request(name, netmask);
    // SAFETY: SIOCSIFNETMASK takes a struct ifreq with an address.
    unsafe { change::<SIOCSIFNETMASK, _>(socket, &mut request) }
}

/// Brings the interface up.
pub(super) fn bring_up(socket: BorrowedFd<'_>, name: &str) -> Result<()> {
    let mut request = FlagsRequest {
        name: name_bytes(name),
        flags: 0,
        rest: [0; 22],
    };
    // SAFETY: SIOCGIFFLAGS takes a struct ifreq and fills its flags.
    unsafe { change::<SIOCGIFFLAGS, _>(socket, &mut request) }?;
    request.flags |= IFF_UP;
    // SAFETY: SIOCSIFFLAGS takes a struct ifreq with flags.
    unsafe { change::<SIOCSIFFLAGS, _>(socket, &mut request) }
}

/// Adds a default route through the gateway.
pub(super) fn add_default_route(socket: BorrowedFd<'_>, gateway: Ipv4Addr) -> Result<()> {
    let mut request = default_route(gateway, RTF_UP | RTF_GATEWAY);
    // SAFETY: SIOCADDRT takes a struct rtentry; its device, the only pointer in it, is null.
    unsafe { change::<SIOCADDRT, _>(socket, &mut request) }
}

/// Deletes one default route, whatever gateway it has.
pub(super) fn delete_default_route(socket: BorrowedFd<'_>) -> Result<()> {
    let mut request = default_route(Ipv4Addr::UNSPECIFIED, RTF_UP);
    // SAFETY: SIOCDELRT takes a struct rtentry; its device, the only pointer in it, is null.
    unsafe { change::<SIOCDELRT, _>(socket, &mut request) }
}

fn default_route(gateway: Ipv4Addr, flags: u16) -> RouteRequest {
    RouteRequest {
        pad1: 0,
        destination: address_of(Ipv4Addr::UNSPECIFIED),
        gateway: address_of(gateway),
        netmask: address_of(Ipv4Addr::UNSPECIFIED),
        flags,
        pad2: 0,
        pad3: 0,
        pad4: 0,
        metric: 0,
        device: 0,
        mtu: 0,
        window: 0,
        round_trip: 0,
    }
}

/// The network namespace in which the socket was made.
pub(super) fn namespace_of(socket: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: SIOCGSKNS reads nothing from its argument and returns a new descriptor, which `NamespaceOf` takes over.
    Ok(unsafe { ioctl(socket, NamespaceOf) }?)
}

struct NamespaceOf;

// SAFETY: the request takes no argument; the kernel's result is a new descriptor that nothing else owns.
unsafe impl Ioctl for NamespaceOf {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        SIOCGSKNS
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(result: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: ioctl succeeded, so the result is the open descriptor that this request makes.
        Ok(unsafe { OwnedFd::from_raw_fd(result) })
    }
}

/// One request that reads and may fill `*request`.
///
/// # Safety
/// `T` must be the type that the request takes.
unsafe fn change<const REQUEST: Opcode, T>(socket: BorrowedFd<'_>, request: &mut T) -> Result<()> {
    // SAFETY: the caller promises that T is the type of this request.
    let updater = unsafe { rustix::ioctl::Updater::<REQUEST, T>::new(request) };
    // SAFETY: as above; the reference lives through the call.
    Ok(unsafe { ioctl(socket, updater) }?)
}

fn address_request(name: &str, address: Ipv4Addr) -> AddressRequest {
    AddressRequest {
        name: name_bytes(name),
        address: address_of(address),
        rest: [0; 8],
    }
}

fn address_of(address: Ipv4Addr) -> Address {
    Address {
        family: libc::AF_INET as u16,
        port: 0,
        address: address.octets(),
        zero: [0; 8],
    }
}

/// The name with at least one NUL behind it; a longer one is cut, and no interface will have it.
fn name_bytes(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    let count = name.len().min(NAME_BYTES - 1);
    bytes[..count].copy_from_slice(&name.as_bytes()[..count]);
    bytes
}
