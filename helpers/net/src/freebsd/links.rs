//! Bridges and endpoint pairs: if_bridge(4), epair(4), and the ioctl(2) requests of netintro(4).

use super::sys;
use super::wire;
use crate::service::Endpoint;
use protocol::names::InterfaceName;
use protocol::net::AddressPrefix;
use protocol::{Answer, ErrorCode, HelperError};
use std::io::{Error, Result};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const BRIDGE: &str = "bridge";
const PAIR: &str = "epair";
const IFF_UP: u32 = 1;
/// Checksum offload (net/if.h: RXCSUM, TXCSUM, RXCSUM_IPV6, TXCSUM_IPV6). Newer epairs claim it, and what leaves the
/// host through address translation then has bad checksums.
const CHECKSUM_OFFLOAD: u32 = 0x1 | 0x2 | 0x20_0000 | 0x40_0000;

/// The sockets of the host's network.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) inet: OwnedFd,
    pub(super) inet6: OwnedFd,
}

impl Sockets {
    fn inet(&self) -> BorrowedFd<'_> {
        self.inet.as_fd()
    }

    fn both(&self) -> [BorrowedFd<'_>; 2] {
        [self.inet.as_fd(), self.inet6.as_fd()]
    }
}

/// A bridge with these addresses, up. What is there already is completed.
pub(super) fn ensure_bridge(
    sockets: &Sockets,
    bridge: &InterfaceName,
    addresses: &[AddressPrefix],
    mtu_bytes: u16,
) -> Answer<()> {
    if !members(sockets.inet(), BRIDGE)?.contains(bridge) {
        if exists(sockets.inet(), bridge.as_str())? {
            let why = format!("{bridge} is there already and is no bridge");
            return Err(HelperError::new(ErrorCode::AlreadyExists, why));
        }
        let made = create(sockets, BRIDGE)?;
        let named = sys::rename(sockets.inet(), &made, bridge.as_str())
            .and_then(|()| set_mtu(sockets, bridge.as_str(), mtu_bytes));
        undo_if_failed(
            sockets,
            &made,
            bridge.as_str(),
            step("setting a bridge up", named),
        )?;
    }
    let list = step("listing addresses", sys::interface_list(sockets.inet()))?;
    let there = wire::interfaces(&list);
    for prefix in addresses {
        let name = bridge.as_str();
        let added = match prefix.address {
            // Setting an address anew would take it away for a moment.
            IpAddr::V4(v4) if there.contains(&(name.to_owned(), v4)) => Ok(()),
            _ => add_address(sockets.both(), name, *prefix),
        };
        step("giving a bridge its address", added)?;
    }
    step("bringing a bridge up", bring_up(sockets.inet(), bridge.as_str()))
}

/// Makes the pair: one end on the bridge and up, the other in the jail's network under its name.
pub(super) fn attach(sockets: &Sockets, endpoint: &Endpoint<'_>) -> Answer<()> {
    if !members(sockets.inet(), BRIDGE)?.contains(endpoint.bridge) {
        return Err(HelperError::new(
            ErrorCode::NotFound,
            format!("no bridge {}", endpoint.bridge),
        ));
    }
    if exists(sockets.inet(), endpoint.host_end.as_str())? {
        return Err(HelperError::new(
            ErrorCode::AlreadyExists,
            format!("{} is taken", endpoint.host_end),
        ));
    }
    let made = create(sockets, PAIR)?;
    let host_end = endpoint.host_end.as_str();
    let result = connect(sockets, endpoint, &made);
    undo_if_failed(sockets, &made, host_end, result)
}

fn connect(sockets: &Sockets, endpoint: &Endpoint<'_>, made: &str) -> Answer<()> {
    let (socket, host_end, inner) = (
        sockets.inet(),
        endpoint.host_end.as_str(),
        endpoint.inner.as_str(),
    );
    let Some(peer) = wire::peer(made) else {
        return Err(HelperError::new(
            ErrorCode::System,
            format!("{made} is no end of a pair"),
        ));
    };
    // Once it has a name of ours a pair that was left half-made is found by its list.
    step("naming the host's end", sys::rename(socket, made, host_end))?;
    for end in [host_end, &peer] {
        // Before it becomes a member: a bridge holds its members to what they had then.
        step(
            "switching checksum offload off",
            checksum_offload_off(socket, end),
        )?;
        step(
            "setting the largest packet",
            set_mtu(sockets, end, endpoint.mtu_bytes),
        )?;
    }
    let mut station = wire::ifreq_station(&peer, endpoint.mac);
    step(
        "setting the hardware address",
        sys::request::<{ sys::SIOCSIFLLADDR }, _>(socket, &mut station),
    )?;
    step(
        "joining the bridge",
        sys::add_member(socket, endpoint.bridge.as_str(), host_end),
    )?;
    if endpoint.isolated {
        let isolated = sys::isolate_member(socket, endpoint.bridge.as_str(), host_end);
        step("isolating a member of the bridge", isolated)?;
    }
    step("bringing the host's end up", bring_up(socket, host_end))?;
    // Named here already, for a moment: what is inside cannot be renamed from outside.
    step("naming the inner end", sys::rename(socket, &peer, inner))?;
    let mut into = wire::ifreq_number(inner, endpoint.jid);
    sys::request::<{ sys::SIOCSIFVNET }, _>(socket, &mut into).map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => HelperError::new(ErrorCode::NotFound, format!("no jail {}", endpoint.jid)),
        // The host's own network and a jail that shares it come out the same as a name that is taken inside.
        Some(_) | None => HelperError::system("moving an interface into the jail", &error),
    })
}

/// Removes a bridge or a pair. Done if it is not there.
pub(super) fn remove(sockets: &Sockets, interface: &InterfaceName) -> Answer<()> {
    if list(sockets)?.contains(interface) {
        return step("removing an interface", destroy(sockets, interface.as_str()));
    }
    if exists(sockets.inet(), interface.as_str())? {
        // Somebody else's, with a name like ours.
        return Err(HelperError::new(
            ErrorCode::Refused,
            format!("{interface} is neither a bridge nor a pair"),
        ));
    }
    Ok(())
}

/// Names of the interfaces of ours, in any order.
pub(super) fn list(sockets: &Sockets) -> Answer<Vec<InterfaceName>> {
    let mut names = members(sockets.inet(), BRIDGE)?;
    names.extend(members(sockets.inet(), PAIR)?);
    Ok(names)
}

/// Whether an interface is visible through the socket.
pub(super) fn exists(socket: BorrowedFd<'_>, interface: &str) -> Answer<bool> {
    match sys::request::<{ sys::SIOCGIFFLAGS }, _>(socket, &mut wire::ifreq(interface)) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(false),
        Err(error) => Err(HelperError::system("looking an interface up", &error)),
    }
}

/// Brings an interface up.
pub(super) fn bring_up(socket: BorrowedFd<'_>, interface: &str) -> Result<()> {
    let mut request = wire::ifreq(interface);
    sys::request::<{ sys::SIOCGIFFLAGS }, _>(socket, &mut request)?;
    let flags = wire::flags(&request);
    wire::set_flags(&mut request, flags | IFF_UP);
    sys::request::<{ sys::SIOCSIFFLAGS }, _>(socket, &mut request)
}

/// Gives an interface an address, through the socket of its family: IPv4's is the first.
pub(super) fn add_address(
    [inet, inet6]: [BorrowedFd<'_>; 2],
    interface: &str,
    prefix: AddressPrefix,
) -> Result<()> {
    let bits = prefix.prefix_bits;
    match prefix.address {
        IpAddr::V4(v4) => {
            sys::request::<{ sys::SIOCAIFADDR }, _>(inet, &mut wire::alias(interface, v4, bits))
        }
        IpAddr::V6(v6) => {
            sys::request::<{ sys::SIOCAIFADDR_IN6 }, _>(inet6, &mut wire::alias6(interface, v6, bits))
        }
    }
}

/// A failed step's error; an interface that is not there is `NotFound`.
pub(super) fn step<T>(what: &str, result: Result<T>) -> Answer<T> {
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => HelperError {
            code: ErrorCode::NotFound,
            ..HelperError::system(what, &error)
        },
        Some(_) | None => HelperError::system(what, &error),
    })
}

fn members(socket: BorrowedFd<'_>, kind: &str) -> Answer<Vec<InterfaceName>> {
    let names = step("listing interfaces", sys::group_members(socket, kind))?;
    Ok(names
        .iter()
        .filter_map(|name| InterfaceName::new(wire::text(name)).ok())
        .collect())
}

fn create(sockets: &Sockets, kind: &str) -> Answer<String> {
    let mut request = wire::ifreq(kind);
    match sys::request::<{ sys::SIOCIFCREATE2 }, _>(sockets.inet(), &mut request) {
        Ok(()) => Ok(wire::text(&request[..wire::NAME_BYTES])),
        // ioctl(2) loads no module; the kernel does not know the kind then.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let why = format!("this host has no {kind} interfaces: run kldload if_{kind}");
            Err(HelperError::new(ErrorCode::Unsupported, why))
        }
        Err(error) => Err(HelperError::system("making an interface", &error)),
    }
}

/// Takes away what was made, under whichever of its names it has now, where the result is an error.
fn undo_if_failed(sockets: &Sockets, made: &str, named: &str, result: Answer<()>) -> Answer<()> {
    if result.is_err() {
        let gone = destroy(sockets, made).or_else(|_: Error| destroy(sockets, named));
        if let Err(error) = gone {
            helper_runtime::log::say(&format!("{made} could not be removed again: {error}"));
        }
    }
    result
}

fn destroy(sockets: &Sockets, interface: &str) -> Result<()> {
    sys::request::<{ sys::SIOCIFDESTROY }, _>(sockets.inet(), &mut wire::ifreq(interface))
}

fn set_mtu(sockets: &Sockets, interface: &str, mtu_bytes: u16) -> Result<()> {
    let mut request = wire::ifreq_number(interface, i32::from(mtu_bytes));
    sys::request::<{ sys::SIOCSIFMTU }, _>(sockets.inet(), &mut request)
}

fn checksum_offload_off(socket: BorrowedFd<'_>, interface: &str) -> Result<()> {
    let mut request = wire::ifreq(interface);
    sys::request::<{ sys::SIOCGIFCAP }, _>(socket, &mut request)?;
    let used = wire::capabilities(&request);
    let kept = used & !CHECKSUM_OFFLOAD;
    if kept == used {
        // epair(4) before FreeBSD 14.4 has nothing to switch, and refuses the request itself.
        return Ok(());
    }
    let mut request = wire::ifreq_number(interface, kept.cast_signed());
    sys::request::<{ sys::SIOCSIFCAP }, _>(socket, &mut request)
}
