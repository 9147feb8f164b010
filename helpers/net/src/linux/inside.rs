//! Addresses and routes inside a jail, through a socket that was made there.
//!
//! A request of netdevice(7) acts on the network namespace in which its socket was made, and asks for the caller's
//! CAP_NET_ADMIN over that namespace: so nobody has to enter it.

use super::sys;
use crate::prefix;
use protocol::names::InnerInterfaceName;
use protocol::net::AddressPrefix;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::fstat;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Default routes of one family that are deleted to make room for another. A container gets one; its own programs may add some.
const DEFAULT_ROUTES_MAX: u8 = 16;

/// Brings the loopback up, then gives the interface its addresses, brings it up and makes the default route lead through it.
pub(super) fn configure(
    own_socket: &OwnedFd,
    socket: &OwnedFd,
    inner: Option<&InnerInterfaceName>,
    addresses: &[AddressPrefix],
    gateways: &[IpAddr],
) -> Answer<()> {
    must_come_from_inside(own_socket, socket)?;
    let socket = socket.as_fd();
    // The kernel gives the loopback its address itself.
    step("bringing the loopback up", sys::bring_up(socket, "lo"))?;
    let Some(inner) = inner else {
        return Ok(());
    };
    let addresses: Vec<_> = addresses
        .iter()
        .filter_map(|one| Some((v4(one.address)?, one.prefix_bits)))
        .collect();
    for (number, (address, prefix_bits)) in addresses.iter().enumerate() {
        set_address(socket, inner, number, *address, *prefix_bits)?;
    }
    step("bringing the interface up", sys::bring_up(socket, inner.as_str()))?;
    for gateway in gateways.iter().copied().filter_map(v4) {
        for _ in 0..DEFAULT_ROUTES_MAX {
            match sys::delete_default_route(socket) {
                // netdevice(7): no such route.
                Err(none) if none.raw_os_error() == Some(libc::ESRCH) => break,
                result => step("deleting a default route", result)?,
            }
        }
        step(
            "adding the default route",
            sys::add_default_route(socket, gateway),
        )?;
    }
    Ok(())
}

fn set_address(
    socket: BorrowedFd<'_>,
    inner: &InnerInterfaceName,
    number: usize,
    address: Ipv4Addr,
    prefix_bits: u8,
) -> Answer<()> {
    // Further addresses go by the interface's name with a number behind a colon (netdevice(7), IP aliases).
    let name = if number == 0 {
        inner.to_string()
    } else {
        format!("{inner}:{number}")
    };
    if name.len() > protocol::limits::INTERFACE_NAME_BYTES_MAX {
        return Err(HelperError::new(
            ErrorCode::Unsupported,
            format!("{inner} is too long for a second address"),
        ));
    }
    step("setting the address", sys::set_address(socket, &name, address))?;
    step(
        "setting the netmask",
        sys::set_netmask(socket, &name, prefix::netmask(prefix_bits)),
    )
}

/// The daemon may pass any descriptor. Only an IPv4 datagram socket of another network namespace than this host's will do:
/// else a request could give the host's own interfaces new addresses.
fn must_come_from_inside(own_socket: &OwnedFd, socket: &OwnedFd) -> Answer<()> {
    let family = sockopt::socket_domain(socket);
    let kind = sockopt::socket_type(socket);
    if (family, kind) != (Ok(AddressFamily::INET), Ok(SocketType::DGRAM)) {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "the descriptor is no IPv4 datagram socket",
        ));
    }
    let inside = step("finding the socket's network", namespace_id(socket))?;
    let host = step("finding the host's network", namespace_id(own_socket))?;
    if inside == host {
        return Err(HelperError::new(
            ErrorCode::Refused,
            "the socket belongs to the host's network",
        ));
    }
    Ok(())
}

/// Device and inode number of a namespace's file identify it (namespaces(7)).
fn namespace_id(socket: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(sys::namespace_of(socket)?)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn step<T>(what: &str, result: io::Result<T>) -> Answer<T> {
    result.map_err(|error| match error.raw_os_error() {
        // netdevice(7): no such interface.
        Some(libc::ENODEV) => HelperError {
            code: ErrorCode::NotFound,
            ..HelperError::system(what, &error)
        },
        Some(_) | None => HelperError::system(what, &error),
    })
}

/// The policy let only IPv4 addresses through.
fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}
