//! The name server of user-defined networks, as dockerd has one.
//!
//! It listens on each network's own gateway address, on sockets that the net helper bound: names and addresses of one network are
//! told only to its members, and a datagram from anywhere else is not answered. What no member is called is asked of the
//! host's name servers, or of those that the container named, unless every network of the asker is internal.

mod answer;
mod forward;
mod serve;

pub(super) use serve::Resolver;

use super::{Live, Networks};
use std::net::IpAddr;

/// The port of name servers (RFC 1035).
pub(super) const PORT: u16 = 53;

/// What one asker may know: the members of its networks.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    /// In the order in which they are searched.
    networks: Vec<Names>,
    /// Who is asked for other names; none asks nobody.
    upstream: Option<Vec<IpAddr>>,
}

/// The members of one network.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    network: String,
    /// Names in lower case, each with the addresses of one member.
    members: Vec<(Vec<String>, Vec<IpAddr>)>,
    /// Further names that the asker gave to members (`--link`): alias in lower case, member.
    links: Vec<(String, String)>,
}

impl Networks {
    /// What the container with that address on that network may know; none for everybody else.
    fn view(&self, network: &str, asker: IpAddr) -> Option<View> {
        let table = self.table();
        let has_address = |address: IpAddr| move |place: &super::Place| place.address == address;
        let members = &table.get(network)?.members;
        let (container, member) = members
            .iter()
            .find(|(_, member)| member.endpoint.places.iter().any(has_address(asker)))?;
        let mine = |live: &&Live| live.members.contains_key(container) && !live.network.is_default();
        let mut networks: Vec<Names> = table
            .values()
            .filter(mine)
            .map(|live| names(live, container))
            .collect();
        networks.sort_by(|one, other| one.network.cmp(&other.network));
        let leads_out = table
            .values()
            .any(|live| live.members.contains_key(container) && !live.network.internal);
        Some(View {
            networks,
            upstream: leads_out.then(|| member.name_servers.clone()),
        })
    }
}

fn names(live: &Live, asker: &str) -> Names {
    let lower = |name: &String| name.to_lowercase();
    let members = live.members.values().map(|member| {
        let addresses = member.endpoint.places.iter().map(|place| place.address).collect();
        (member.names.iter().map(lower).collect(), addresses)
    });
    let links = live
        .members
        .get(asker)
        .into_iter()
        .flat_map(|member| &member.links);
    Names {
        network: live.network.name.to_lowercase(),
        members: members.collect(),
        links: links
            .filter_map(|link| link.split_once(':'))
            .map(|(member, alias)| (alias.to_lowercase(), member.to_lowercase()))
            .collect(),
    }
}
