//! What this helper holds of a FreeBSD host, and what it does with it.
#![forbid(unsafe_code)]

use super::links::{self, Sockets, step};
use super::{inside, rules, sys, wire};
use crate::prefix;
use crate::service::Endpoint;
use helper_runtime::serve::facts;
use protocol::Answer;
use protocol::handshake::{HostFacts, HostOs};
use protocol::names::{AnchorName, InnerInterfaceName, InterfaceName};
use protocol::net::{AddressPrefix, Request, RuleSet};
use protocol::policy::NetPolicy;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io::{Error, Result};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;

/// pfctl(8): in base, always here.
const PFCTL: &str = "/sbin/pfctl";

/// Frames between members of a bridge stay out of pf (if_bridge(4)): else each would be judged twice, on member and bridge.
const BRIDGE_FILTERS: [&CStr; 3] = [
    c"net.link.bridge.pfil_onlyip",
    c"net.link.bridge.pfil_bridge",
    c"net.link.bridge.pfil_member",
];

/// Whether the host passes packets on (inet(4), inet6(4)).
const FORWARDING: &CStr = c"net.inet.ip.forwarding";
const FORWARDING_IPV6: &CStr = c"net.inet6.ip6.forwarding";
/// Whether a host that passes packets on heeds router advertisements (RFC 6204, W-3).
const HEED_ROUTERS: &CStr = c"net.inet6.ip6.rfc6204w3";

/// What is open before capability mode.
#[derive(Debug)]
pub struct Host {
    sockets: Sockets,
    /// The routes as they were at start: capability mode cannot list them. A helper starts anew with each daemon.
    routes: Vec<AddressPrefix>,
    facts: HostFacts,
}

impl Host {
    /// Opens what capability mode will not let open, sets what sysctl(8) variables bridges need, and switches IPv4 forwarding
    /// on where the policy says so. IPv6 forwarding comes with the first network that needs it ([`forward_ipv6`]).
    ///
    /// # Errors
    /// Where a socket cannot be made or the routes cannot be read; the helper cannot work then.
    pub fn open(policy: &NetPolicy) -> Result<Self> {
        for variable in BRIDGE_FILTERS {
            set_or_tell(variable, 0, "is if_bridge loaded?");
        }
        if policy.enable_forwarding {
            set_or_tell(FORWARDING, 1, "containers reach only their own network");
        }
        let socket = |family| socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        let sockets = Sockets {
            inet: socket(AddressFamily::INET)?,
            inet6: socket(AddressFamily::INET6)?,
        };
        let mut host = Host {
            sockets,
            routes: Vec::new(),
            facts: facts(HostOs::FreeBsd, "if_bridge, epair, pf")?,
        };
        let ours: Vec<_> = host
            .interface_prefixes(|name| InterfaceName::new(name).is_ok())
            .map_err(|error| Error::other(error.to_string()))?;
        host.routes = wire::routes(&sys::route_list()?);
        // The routes to our own bridges go with them.
        host.routes.retain(|route| !ours.contains(route));
        Ok(host)
    }

    /// The sockets, for the sandbox's table of descriptors.
    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// What the daemon is told of this host.
    #[must_use]
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// A bridge with these addresses, up. What is there already is completed.
    ///
    /// # Errors
    /// `AlreadyExists` where the name belongs to another kind of interface, `Unsupported` without if_bridge(4).
    pub fn ensure_bridge(
        &mut self,
        bridge: &InterfaceName,
        addresses: &[AddressPrefix],
        mtu_bytes: u16,
    ) -> Answer<()> {
        links::ensure_bridge(&self.sockets, bridge, addresses, mtu_bytes)
    }

    /// A pair of interfaces between the bridge and the jail.
    ///
    /// # Errors
    /// `NotFound` for the bridge or the jail, `AlreadyExists` for one of the two names or a jail in the host's network,
    /// `Unsupported` without epair(4).
    pub fn attach(&mut self, endpoint: &Endpoint<'_>) -> Answer<()> {
        links::attach(&self.sockets, endpoint)
    }

    /// Addresses and the default route inside, through the sockets made there.
    ///
    /// # Errors
    /// `BadDescriptors` or `Refused` for sockets that are not of another network, `NotFound` for the interface.
    pub fn configure_inside(
        &mut self,
        inner: Option<&InnerInterfaceName>,
        addresses: &[AddressPrefix],
        gateways: &[IpAddr],
        sockets: &[OwnedFd],
    ) -> Answer<()> {
        inside::configure(&self.sockets, sockets, inner, addresses, gateways)
    }

    /// Removes an interface of ours. Done if it is not there.
    ///
    /// # Errors
    /// `Refused` where the name belongs to an interface that is neither a bridge nor a pair.
    pub fn remove(&mut self, interface: &InterfaceName) -> Answer<()> {
        links::remove(&self.sockets, interface)
    }

    /// The interfaces of ours, in any order.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn interfaces(&mut self) -> Answer<Vec<InterfaceName>> {
        links::list(&self.sockets)
    }

    /// The prefixes that this host has IPv4 addresses in now or had routes to at start, in any order, host parts cleared.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn prefixes(&mut self) -> Answer<Vec<AddressPrefix>> {
        let mut found = self.routes.clone();
        found.extend(self.interface_prefixes(|_| true)?);
        Ok(found.into_iter().map(prefix::network).collect())
    }

    /// The prefixes of the IPv4 addresses of the interfaces that `wanted` says yes to, host parts cleared.
    fn interface_prefixes(&self, wanted: impl Fn(&str) -> bool) -> Answer<Vec<AddressPrefix>> {
        let mut found = Vec::new();
        let all = self.addresses()?.into_iter();
        for (interface, address) in all.filter(|(interface, _)| wanted(interface)) {
            let mut request = wire::ifreq_address(&interface, address);
            let socket = self.sockets.inet.as_fd();
            step(
                "reading a netmask",
                sys::request::<{ sys::SIOCGIFNETMASK }, _>(socket, &mut request),
            )?;
            found.push(prefix::network(AddressPrefix {
                address: address.into(),
                prefix_bits: wire::netmask_bits(&request),
            }));
        }
        Ok(found)
    }

    /// Whether an address is one of the network of a bridge of ours. IPv6 addresses of interfaces are not read here: one for
    /// local use (RFC 4193) is believed, another is not, and keeps its connections until they time out.
    ///
    /// # Errors
    /// What listing the host's interfaces gives.
    pub fn is_of_bridge(&mut self, bridge: &InterfaceName, address: IpAddr) -> Answer<bool> {
        match address {
            IpAddr::V4(_) => {
                let prefixes = self.interface_prefixes(|name| name == bridge.as_str())?;
                Ok(prefixes.iter().any(|one| prefix::covers(*one, address)))
            }
            IpAddr::V6(address) => Ok(address.is_unique_local()),
        }
    }

    /// The rules in this host's language.
    ///
    /// # Errors
    /// What listing the host's interfaces gives.
    pub fn rules(&mut self, outer: &str, _anchor: &AnchorName, wanted: &RuleSet) -> Answer<String> {
        let outside: BTreeSet<String> = self
            .addresses()?
            .into_iter()
            .map(|(interface, _)| interface)
            .filter(|name| is_outside(name))
            .collect();
        Ok(rules::load(
            outer,
            wanted,
            &outside.into_iter().collect::<Vec<_>>(),
        ))
    }

    fn addresses(&self) -> Answer<Vec<(String, std::net::Ipv4Addr)>> {
        let list = step(
            "listing addresses",
            sys::interface_list(self.sockets.inet.as_fd()),
        )?;
        Ok(wire::interfaces(&list))
    }
}

/// Neither ours nor a loopback, and a name that is one word in rule text (an administrator may choose any).
fn is_outside(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    InterfaceName::new(name).is_err() && !name.starts_with("lo") && name.bytes().all(fits)
}

fn set_or_tell(variable: &CStr, value: i32, meaning: &str) {
    if let Err(error) = sys::set_sysctl(variable, value) {
        helper_runtime::log::say(&format!(
            "{} cannot be set: {error} ({meaning})",
            variable.to_string_lossy()
        ));
    }
}

/// The text that removes a rule set.
#[must_use]
pub fn no_rules(_outer: &str, _anchor: &AnchorName) -> String {
    rules::clear()
}

/// How many sockets come with a request: for `ConfigureInside` the datagram sockets of AF_INET and AF_INET6 and the PF_ROUTE raw
/// socket.
#[must_use]
pub fn descriptors(request: &Request) -> usize {
    if matches!(request, Request::ConfigureInside { .. }) {
        3
    } else {
        0
    }
}

/// The program that reads the anchor's rules from its standard input.
#[must_use]
pub fn rule_program(outer: &str, anchor: &AnchorName) -> Option<Command> {
    if !Path::new(PFCTL).exists() {
        return None;
    }
    let mut command = Command::new(PFCTL);
    command
        .args(["-q", "-a"])
        .arg(format!("{outer}/{anchor}"))
        .args(["-f", "-"]);
    Some(command)
}

/// The program that lists the anchors of ours.
#[must_use]
pub fn list_program(outer: &str) -> Option<Command> {
    if !Path::new(PFCTL).exists() {
        return None;
    }
    let mut command = Command::new(PFCTL);
    command.args(["-q", "-a", outer, "-s", "Anchors"]);
    Some(command)
}

/// The programs that forget the connections from and to an address, those on the other side of a translation with them (-M).
#[must_use]
pub fn forget_programs(outer: &str, address: IpAddr) -> Vec<Command> {
    if !Path::new(PFCTL).exists() {
        return Vec::new();
    }
    let any = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    let (label, address) = (rules::label(outer, address), address.to_string());
    let kinds: [&[&str]; 3] = [
        &["-k", &address],
        &["-k", any, "-k", &address],
        &["-k", "label", "-k", &label],
    ];
    let program = |kind: &[&str]| {
        let mut command = Command::new(PFCTL);
        command.args(["-q", "-M"]).args(kind);
        command
    };
    kinds.map(program).into()
}

/// Whether the program said that there is no anchor of ours: the outer one comes and goes with those within.
#[must_use]
pub fn says_nothing_loaded(complaint: &str) -> bool {
    complaint.contains("Anchor") && complaint.contains("not found")
}

/// Passes IPv6 packets on. A host that does ignores router advertisements unless it is told to heed them all the same.
///
/// # Errors
/// What the kernel gives.
pub fn forward_ipv6() -> Result<()> {
    sys::set_sysctl(HEED_ROUTERS, 1)?;
    sys::set_sysctl(FORWARDING_IPV6, 1)
}

/// What its absence means, for people.
pub const RULE_PROGRAM_MISSING: &str =
    "/sbin/pfctl is missing: there is no address translation and no port is published";

/// Whether the program said that the kernel lacks pf: run `kldload pf`.
#[must_use]
pub fn is_unsupported(complaint: &str) -> bool {
    complaint.contains("/dev/pf: No such file or directory")
}
