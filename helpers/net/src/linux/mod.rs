//! The Linux half: rtnetlink for interfaces, addresses and routes, nft(8) for rules.
//!
//! What is open before the sandbox closes: one route netlink socket of the host's network.

mod inside;
mod links;
mod netlink;
mod prefixes;
mod rules;
pub mod sandbox;
mod sys;

pub use rules::names as loaded;
pub use sandbox::{confine_front, confine_hand};

use crate::service::Endpoint;
use helper_runtime::serve::facts;
use protocol::handshake::{HostFacts, HostOs};
use protocol::names::{AnchorName, InnerInterfaceName, InterfaceName};
use protocol::net::{AddressPrefix, Request, RuleSet};
use protocol::policy::NetPolicy;
use protocol::{Answer, HelperError};
use std::io::Result;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

/// Where nft(8) may be.
const NFT_PATHS: [&str; 2] = ["/usr/sbin/nft", "/sbin/nft"];
/// Whether the host passes packets on (ip-sysctl).
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// The same for IPv6.
const FORWARDING_IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
/// What each interface does with IPv6.
const INTERFACES_IPV6: &str = "/proc/sys/net/ipv6/conf";

/// What this helper holds of the host.
#[derive(Debug)]
pub struct Host {
    route: netlink::Socket,
    facts: HostFacts,
}

impl Host {
    /// Opens what the sandbox will not let open, and switches IPv4 forwarding on where the policy says so. IPv6 forwarding costs
    /// the host something: it is switched on with the first network that needs it ([`forward_ipv6`]).
    ///
    /// # Errors
    /// Where a socket cannot be made; the helper cannot work then.
    pub fn open(policy: &NetPolicy) -> Result<Self> {
        if policy.enable_forwarding
            && let Err(error) = std::fs::write(FORWARDING, "1")
        {
            helper_runtime::log::say(&format!(
                "{FORWARDING} cannot be written, containers reach only their own network: {error}"
            ));
        }
        let backend = if nft().is_some() {
            "bridge, veth, nftables"
        } else {
            "bridge, veth, no nft"
        };
        Ok(Host {
            route: netlink::Socket::open()?,
            facts: facts(HostOs::Linux, backend)?,
        })
    }

    /// What the daemon is told of this host.
    #[must_use]
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// A bridge with these addresses, up. What is there already is completed.
    ///
    /// # Errors
    /// `AlreadyExists` where the name belongs to another kind of interface, `Unsupported` without bridges in the kernel.
    pub fn ensure_bridge(
        &mut self,
        bridge: &InterfaceName,
        addresses: &[AddressPrefix],
        mtu_bytes: u16,
    ) -> Answer<()> {
        links::ensure_bridge(&mut self.route, bridge, addresses, mtu_bytes)
    }

    /// A pair of interfaces between the bridge and the jail.
    ///
    /// # Errors
    /// `NotFound` for the bridge or the jail, `AlreadyExists` for one of the two names, `Refused` for a jail in the host's
    /// network.
    pub fn attach(&mut self, endpoint: &Endpoint<'_>) -> Answer<()> {
        links::attach(&mut self.route, endpoint)
    }

    /// Addresses and the default route inside, through the socket made there.
    ///
    /// # Errors
    /// `BadDescriptors` or `Refused` for a socket that is not one of another network, `NotFound` for the interface.
    pub fn configure_inside(
        &mut self,
        inner: Option<&InnerInterfaceName>,
        addresses: &[AddressPrefix],
        gateways: &[IpAddr],
        sockets: &[OwnedFd],
    ) -> Answer<()> {
        let [socket] = sockets else {
            return Err(HelperError::new(
                protocol::ErrorCode::BadDescriptors,
                "one socket is needed",
            ));
        };
        inside::configure(self.route.descriptor(), socket, inner, addresses, gateways)
    }

    /// Removes an interface of ours. Done if it is not there.
    ///
    /// # Errors
    /// `Refused` where the name belongs to an interface that is neither a bridge nor a pair.
    pub fn remove(&mut self, interface: &InterfaceName) -> Answer<()> {
        links::remove(&mut self.route, interface)
    }

    /// The interfaces of ours, in any order.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn interfaces(&mut self) -> Answer<Vec<InterfaceName>> {
        links::list(&mut self.route)
    }

    /// The prefixes that this host has addresses in or routes to, in any order, host parts cleared.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn prefixes(&mut self) -> Answer<Vec<AddressPrefix>> {
        prefixes::list(&mut self.route)
    }

    /// Whether an address is one of the network of a bridge of ours: nobody asks further ([`forget_programs`]).
    ///
    /// # Errors
    /// None.
    pub fn is_of_bridge(&mut self, _bridge: &InterfaceName, _address: IpAddr) -> Answer<bool> {
        Ok(true)
    }

    /// The rules in this host's language.
    ///
    /// # Errors
    /// None on this host.
    pub fn rules(&mut self, outer: &str, anchor: &AnchorName, wanted: &RuleSet) -> Answer<String> {
        Ok(rules::load(outer, anchor, wanted))
    }
}

/// The text that removes a rule set.
#[must_use]
pub fn no_rules(outer: &str, anchor: &AnchorName) -> String {
    rules::clear(outer, anchor)
}

/// How many sockets come with a request: for `ConfigureInside` the route netlink socket.
#[must_use]
pub fn descriptors(request: &Request) -> usize {
    usize::from(matches!(request, Request::ConfigureInside { .. }))
}

/// The program that reads rules from its standard input; none where it is not installed. The table's name stands in the
/// text.
#[must_use]
pub fn rule_program(_outer: &str, _anchor: &AnchorName) -> Option<Command> {
    let mut command = Command::new(nft()?);
    command.args(["-f", "-"]);
    Some(command)
}

/// The program that lists the tables; none where it is not installed.
#[must_use]
pub fn list_program(_outer: &str) -> Option<Command> {
    let mut command = Command::new(nft()?);
    command.args(["list", "tables", "inet"]);
    Some(command)
}

/// nft(8) does not forget connections, and conntrack(8) is not everywhere: what is left of them times out.
#[must_use]
pub fn forget_programs(_outer: &str, _address: IpAddr) -> Vec<Command> {
    Vec::new()
}

/// An empty list is no complaint of this program.
#[must_use]
pub fn says_nothing_loaded(_complaint: &str) -> bool {
    false
}

/// What its absence means, for people.
pub const RULE_PROGRAM_MISSING: &str =
    "nft is not installed: there is no address translation and no port is published (install nftables)";

/// Whether the program said that the kernel lacks something: our text names nothing that it does not make, so both mean
/// a missing module.
#[must_use]
pub fn is_unsupported(complaint: &str) -> bool {
    ["Operation not supported", "No such file or directory"]
        .iter()
        .any(|sign| complaint.contains(sign))
}

/// Passes IPv6 packets on. A host that does ignores router advertisements unless it is told to heed them all the same.
///
/// # Errors
/// What the kernel gives.
pub fn forward_ipv6() -> Result<()> {
    if std::fs::read_to_string(FORWARDING_IPV6)?.trim() == "1" {
        return Ok(());
    }
    for interface in std::fs::read_dir(INTERFACES_IPV6)? {
        let heed = interface?.path().join("accept_ra");
        if std::fs::read_to_string(&heed).is_ok_and(|value| value.trim() == "1") {
            std::fs::write(heed, "2")?;
        }
    }
    std::fs::write(FORWARDING_IPV6, "1")
}

fn nft() -> Option<&'static str> {
    NFT_PATHS.into_iter().find(|path| Path::new(path).exists())
}
