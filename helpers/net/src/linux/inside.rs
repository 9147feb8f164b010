//! Addresses and routes inside a jail, through a route netlink socket that was made there.
//!
//! A request acts on the network namespace in which its socket was made, and asks for the caller's CAP_NET_ADMIN over that
//! namespace: so nobody has to enter it.

use super::netlink::Socket;
use super::{links, sys};
use protocol::names::InnerInterfaceName;
use protocol::net::AddressPrefix;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::fstat;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Brings the loopback up, then gives the interface its addresses, brings it up and makes the default routes lead through it.
pub(super) fn configure(
    own: BorrowedFd<'_>,
    passed: &OwnedFd,
    inner: Option<&InnerInterfaceName>,
    addresses: &[AddressPrefix],
    gateways: &[IpAddr],
) -> Answer<()> {
    must_come_from_inside(own, passed)?;
    let passed = passed
        .try_clone()
        .map_err(|e| HelperError::system("keeping a socket", &e))?;
    let mut socket = Socket::from(passed);
    // The kernel gives the loopback its addresses itself.
    links::bring_up(&mut socket, "lo")?;
    let Some(inner) = inner else {
        return Ok(());
    };
    let index = links::bring_up(&mut socket, inner.as_str())?;
    for address in addresses {
        links::add_address(&mut socket, index, *address)?;
    }
    for gateway in gateways {
        links::set_default_route(&mut socket, index, *gateway)?;
    }
    Ok(())
}

/// The daemon may pass any descriptor. Only a route netlink socket of another network namespace than this host's will do:
/// else a request could give the host's own interfaces new addresses.
fn must_come_from_inside(own: BorrowedFd<'_>, passed: &OwnedFd) -> Answer<()> {
    let kind = (sockopt::socket_domain(passed), sockopt::socket_type(passed));
    // Route netlink is protocol 0.
    let protocol = sockopt::socket_protocol(passed);
    if kind != (Ok(AddressFamily::NETLINK), Ok(SocketType::RAW)) || protocol != Ok(None) {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "the descriptor is no route netlink socket",
        ));
    }
    let found = |step: &str, id: io::Result<(u64, u64)>| id.map_err(|e| HelperError::system(step, &e));
    let inside = found("finding the socket's network", namespace_id(passed.as_fd()))?;
    let host = found("finding the host's network", namespace_id(own))?;
    if inside == host {
        return Err(HelperError::new(
            ErrorCode::Refused,
            "the socket belongs to the host's network",
        ));
    }
    Ok(())
}

/// Device and inode number of a namespace's file identify it (namespaces(7)).
fn namespace_id(socket: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = fstat(sys::namespace_of(socket)?)?;
    Ok((stat.st_dev, stat.st_ino))
}
