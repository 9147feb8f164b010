//! One request in, one answer out: judged by the policy, then done by the host or by the hand.

use crate::hand::{self, replace_rules};
use crate::host::{self, Host};
use crate::lock::HostLock;
use crate::{policy, prefix};
use helper_runtime::pair::Hand;
use helper_runtime::serve::{Reply, Service};
use protocol::handshake::{HelperKind, HostFacts};
use protocol::limits::LIST_ITEMS_MAX;
use protocol::names::{Bounded, InnerInterfaceName, InterfaceName};
use protocol::net::{AddressPrefix, Request, Response};
use protocol::policy::{NetPolicy, TenantPorts};
use protocol::{Answer, ErrorCode, HelperError, Principal};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// A pair of interfaces to be made.
#[derive(Debug)]
pub struct Endpoint<'a> {
    /// The bridge that gets the host's end.
    pub bridge: &'a InterfaceName,
    /// The host's end.
    pub host_end: &'a InterfaceName,
    /// The jail that gets the other end.
    pub jid: i32,
    /// The other end's name inside.
    pub inner: &'a InnerInterfaceName,
    /// The other end's hardware address.
    pub mac: [u8; 6],
    /// Largest packet, in bytes.
    pub mtu_bytes: u16,
    /// Whether it is kept from the bridge's other isolated members.
    pub isolated: bool,
}

/// The helper at work.
#[derive(Debug)]
pub struct Net {
    host: Host,
    hand: Hand,
    lock: HostLock,
    /// Stands before each rule set's name.
    outer: String,
    /// Whether IPv6 forwarding is still to be switched on with the first network that needs it.
    forwards_ipv6: bool,
    tenants: Vec<TenantPorts>,
}

impl Net {
    /// With what was opened before the sandbox closed.
    #[must_use]
    pub fn new(host: Host, hand: Hand, lock: HostLock, outer: String, policy: &NetPolicy) -> Self {
        Net {
            host,
            hand,
            lock,
            outer,
            forwards_ipv6: policy.enable_forwarding,
            tenants: policy.tenants.as_slice().to_vec(),
        }
    }

    /// A new bridge gets only addresses that the host has no use for: it would draw the host's own traffic to itself.
    fn ensure_bridge(
        &mut self,
        bridge: &InterfaceName,
        addresses: &[AddressPrefix],
        mtu_bytes: u16,
    ) -> Answer<()> {
        if self.forwards_ipv6 && addresses.iter().any(|one| one.address.is_ipv6()) {
            hand::forward_ipv6(&self.hand)?;
            self.forwards_ipv6 = false;
        }
        let host = &mut self.host;
        self.lock.hold(|| {
            if !host.interfaces()?.contains(bridge) {
                apart(addresses, &host.prefixes()?)?;
            }
            host.ensure_bridge(bridge, addresses, mtu_bytes)
        })
    }
}

fn apart(wanted: &[AddressPrefix], used: &[AddressPrefix]) -> Answer<()> {
    let pairs = wanted
        .iter()
        .flat_map(|one| used.iter().map(move |other| (one, other)));
    for (one, other) in pairs {
        if prefix::overlap(*one, *other) {
            let why = format!(
                "{}/{} overlaps {}/{}, which this host uses",
                one.address, one.prefix_bits, other.address, other.prefix_bits
            );
            return Err(HelperError::new(ErrorCode::AddressInUse, why));
        }
    }
    Ok(())
}

impl Service for Net {
    type Request = Request;
    type Response = Response;
    const KIND: HelperKind = HelperKind::Net;

    fn is_finished(&self) -> bool {
        self.hand.is_gone()
    }

    fn facts(&self) -> HostFacts {
        self.host.facts().clone()
    }

    fn descriptors(request: &Request) -> usize {
        host::descriptors(request)
    }

    fn describe(request: &Request) -> (&'static str, String) {
        match request {
            Request::EnsureBridge { bridge, .. } => ("ensure-bridge", bridge.to_string()),
            Request::AttachEndpoint { host_end, jid, .. } => {
                ("attach-endpoint", format!("{host_end} to jail {jid}"))
            }
            Request::ConfigureInside { inner, .. } => (
                "configure-inside",
                inner
                    .as_ref()
                    .map_or_else(|| "loopback".to_owned(), ToString::to_string),
            ),
            Request::RemoveInterface { interface } => ("remove-interface", interface.to_string()),
            Request::LoadRules { anchor, .. } => ("load-rules", anchor.to_string()),
            Request::ClearRules { anchor } => ("clear-rules", anchor.to_string()),
            Request::List { .. } => ("list", String::new()),
            Request::ListRules { .. } => ("list-rules", String::new()),
            Request::HostPrefixes => ("host-prefixes", String::new()),
            Request::ForgetConnections { bridge, addresses } => (
                "forget-connections",
                format!("{bridge} {:?}", addresses.as_slice()),
            ),
            Request::BindPort {
                protocol,
                address,
                port,
            } => (
                "bind-port",
                format!("{protocol:?} {}", SocketAddr::new(*address, *port)),
            ),
        }
    }

    fn permit(&mut self, by: &Principal, request: &Request) -> Answer<()> {
        policy::ports_fit(request, &by.tenant, &self.tenants)
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Answer<Reply<Response>> {
        policy::judge(&request)?;
        if let Request::BindPort {
            protocol,
            address,
            port,
        } = request
        {
            let socket = hand::bind_port(&self.hand, protocol, SocketAddr::new(address, port))?;
            return Ok(Reply {
                response: Response::Done,
                fds: vec![socket],
            });
        }
        self.act(request, &fds).map(Reply::from)
    }
}

impl Net {
    fn act(&mut self, request: Request, fds: &[OwnedFd]) -> Answer<Response> {
        match request {
            Request::EnsureBridge {
                bridge,
                addresses,
                mtu,
            } => {
                self.ensure_bridge(&bridge, addresses.as_slice(), mtu)?;
            }
            Request::AttachEndpoint {
                bridge,
                host_end,
                jid,
                inner,
                mac,
                mtu,
                isolated,
            } => {
                let endpoint = Endpoint {
                    bridge: &bridge,
                    host_end: &host_end,
                    jid,
                    inner: &inner,
                    mac,
                    mtu_bytes: mtu,
                    isolated,
                };
                self.host.attach(&endpoint)?;
            }
            Request::ConfigureInside {
                inner,
                addresses,
                gateways,
            } => {
                self.host
                    .configure_inside(inner.as_ref(), addresses.as_slice(), gateways.as_slice(), fds)?;
            }
            Request::RemoveInterface { interface } => self.host.remove(&interface)?,
            Request::LoadRules { anchor, rules } => {
                let text = self.host.rules(&self.outer, &anchor, &rules)?;
                replace_rules(&self.hand, &anchor, &text)?;
            }
            Request::ClearRules { anchor } => {
                replace_rules(&self.hand, &anchor, &host::no_rules(&self.outer, &anchor))?;
            }
            Request::List { after } => {
                let names = page(self.host.interfaces()?, after.as_ref());
                return Ok(Response::Interfaces(names));
            }
            Request::ListRules { after } => {
                let names = host::loaded(&self.outer, &hand::loaded_rules(&self.hand)?);
                return Ok(Response::RuleSets(page(names, after.as_ref())));
            }
            Request::HostPrefixes => return Ok(widest_first(self.host.prefixes()?)),
            Request::ForgetConnections { bridge, addresses } => {
                for address in addresses.as_slice() {
                    if !self.host.is_of_bridge(&bridge, *address)? {
                        let why = format!("{address} is no address of the network of {bridge}");
                        return Err(HelperError::new(ErrorCode::Refused, why));
                    }
                    hand::forget_connections(&self.hand, *address)?;
                }
            }
            // `handle` has answered it, with its socket.
            Request::BindPort { .. } => {}
        }
        Ok(Response::Done)
    }
}

fn page<Name: Ord>(mut names: Vec<Name>, after: Option<&Name>) -> Bounded<Name, LIST_ITEMS_MAX> {
    names.retain(|name| after.is_none_or(|after| name > after));
    names.sort();
    Bounded::cut(names)
}

/// A host with more prefixes than one answer holds (a router) keeps the widest: those are the most likely to be hit.
fn widest_first(mut prefixes: Vec<AddressPrefix>) -> Response {
    prefixes.sort_by_key(|one| (one.prefix_bits, one.address));
    prefixes.dedup();
    Response::Prefixes(Bounded::<_, LIST_ITEMS_MAX>::cut(prefixes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_in_name_order() {
        let name = |n: usize| InterfaceName::new(format!("cbe{n:04}")).unwrap();
        let all: Vec<_> = (0..LIST_ITEMS_MAX + 3).rev().map(name).collect();
        let first = page(all.clone(), None);
        assert_eq!(first.as_slice().len(), LIST_ITEMS_MAX);
        let second = page(all, first.as_slice().last());
        assert_eq!(
            second.as_slice(),
            [
                name(LIST_ITEMS_MAX),
                name(LIST_ITEMS_MAX + 1),
                name(LIST_ITEMS_MAX + 2)
            ]
        );
    }

    #[test]
    fn the_widest_prefixes_come_first_and_once() {
        let prefix = |text: &str, prefix_bits| AddressPrefix {
            address: text.parse().unwrap(),
            prefix_bits,
        };
        let given = vec![
            prefix("10.1.0.0", 16),
            prefix("172.18.0.0", 24),
            prefix("10.1.0.0", 16),
            prefix("10.0.0.0", 8),
        ];
        let Response::Prefixes(answer) = widest_first(given) else {
            panic!()
        };
        assert_eq!(
            answer.as_slice(),
            [
                prefix("10.0.0.0", 8),
                prefix("10.1.0.0", 16),
                prefix("172.18.0.0", 24)
            ]
        );
    }
}
