//! Addresses and routes inside a jail, through three sockets that were made there.
//!
//! A request acts on the network stack of the socket's maker and asks for the caller's privilege; the same holds for a message
//! on a routing socket. A socket of a family sets that family's addresses but no routes, so a PF_ROUTE socket comes along.

use super::links::{self, Sockets, step};
use super::wire;
use protocol::names::InnerInterfaceName;
use protocol::net::AddressPrefix;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::fstat;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The loopback of a jail's network, which is there but down and without address (lo(4)).
const LOOPBACK: &str = "lo0";

const LOOPBACK_ADDRESSES: [AddressPrefix; 2] = [
    AddressPrefix {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        prefix_bits: 8,
    },
    AddressPrefix {
        address: IpAddr::V6(Ipv6Addr::LOCALHOST),
        prefix_bits: 128,
    },
];

/// Brings the loopback up, then gives the interface its addresses, brings it up and adds the default route.
pub(super) fn configure(
    sockets: &Sockets,
    passed: &[OwnedFd],
    inner: Option<&InnerInterfaceName>,
    addresses: &[AddressPrefix],
    gateways: &[IpAddr],
) -> Answer<()> {
    let [inet, inet6, route] = passed else {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "three sockets are needed",
        ));
    };
    must_be(inet, (AddressFamily::INET, SocketType::DGRAM))?;
    must_be(inet6, (AddressFamily::INET6, SocketType::DGRAM))?;
    must_be(route, (AddressFamily::ROUTE, SocketType::RAW))?;
    let both = [inet.as_fd(), inet6.as_fd()];
    for socket in both {
        must_come_from_inside(sockets, socket)?;
    }
    for own in LOOPBACK_ADDRESSES {
        step(
            "giving the loopback its address",
            links::add_address(both, LOOPBACK, own),
        )?;
    }
    let socket = inet.as_fd();
    step("bringing the loopback up", links::bring_up(socket, LOOPBACK))?;
    let Some(inner) = inner else {
        return Ok(());
    };
    for prefix in addresses {
        let added = links::add_address(both, inner.as_str(), *prefix);
        step("setting the address", added)?;
    }
    step(
        "bringing the interface up",
        links::bring_up(socket, inner.as_str()),
    )?;
    gateways
        .iter()
        .try_for_each(|gateway| add_default_route(route, *gateway))
}

/// One that is there already is changed to this one.
fn add_default_route(route: &OwnedFd, gateway: IpAddr) -> Answer<()> {
    let write = |change| rustix::io::write(route, &wire::default_route(gateway, change));
    let written = match write(false) {
        Err(rustix::io::Errno::EXIST) => write(true),
        result => result,
    };
    step(
        "adding the default route",
        written.map(|_| ()).map_err(Into::into),
    )
}

/// The daemon may pass any descriptor. What it makes itself belongs to its own user; only root's sockets come from the jail
/// helper (a socket's owner is its maker, fstat(2)).
fn must_be(socket: &OwnedFd, wanted: (AddressFamily, SocketType)) -> Answer<()> {
    let found = (sockopt::socket_domain(socket), sockopt::socket_type(socket));
    if found != (Ok(wanted.0), Ok(wanted.1)) {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "not the kinds of sockets that are needed",
        ));
    }
    let owner = step("finding the socket's owner", fstat(socket).map_err(Into::into))?.st_uid;
    if owner == 0 {
        return Ok(());
    }
    Err(HelperError::new(
        ErrorCode::Refused,
        format!("the socket was made by user {owner}"),
    ))
}

/// Interfaces of ours are on the host: a socket that sees one of them would configure the host. Where there is none, no
/// jail can have an end of one. A routing socket shows nothing by which its network could be told; its owner is all that is
/// known of it.
fn must_come_from_inside(sockets: &Sockets, socket: BorrowedFd<'_>) -> Answer<()> {
    for ours in links::list(sockets)? {
        if links::exists(socket, ours.as_str())? {
            return Err(HelperError::new(
                ErrorCode::Refused,
                "the socket belongs to the host's network",
            ));
        }
    }
    Ok(())
}
