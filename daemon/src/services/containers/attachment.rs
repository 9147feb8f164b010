//! The networks that a container is on: what was asked for, and what came of it. Pure.

use crate::services::Failure;
use crate::services::networks::{Endpoint, Network, Place, joined};
use docker_api::containers::ContainerConfig;
use docker_api::host_config::HostConfig;
use docker_api::networks::{EndpointSettings, NetworkingConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// dockerd's words for networks that do not go together; status 400.
pub(super) const SHARED_NETWORK: &str = "container sharing network namespace with another container or host cannot be connected to any other network";
pub(super) const HOST_NETWORK: &str =
    "cannot connect container to host network - container must be created in host network mode";
pub(super) const LEAVE_HOST_NETWORK: &str =
    "cannot disconnect container from host network - container was created in host network mode";
pub(super) const NO_NETWORK: &str =
    "container cannot be connected to multiple networks with one of the networks in private (none) mode";

/// How the names of those options begin that dockerd's own drivers read.
const DRIVER_OPTIONS: &str = "com.docker.network.";

/// One network that a container is on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name, or what the user called it where it was not known yet.
    pub network: String,
    /// The network's id, once it is known.
    pub network_id: String,
    /// What was asked for.
    pub wish: EndpointSettings,
    /// Its place there, while it runs.
    pub endpoint: Option<Endpoint>,
    /// The addresses that it had last, which it gets again where they are free.
    pub last: Vec<IpAddr>,
}

impl Attachment {
    /// On a network that was found, or not.
    #[must_use]
    pub fn new(network: String, network_id: String, wish: EndpointSettings) -> Self {
        Attachment {
            network,
            network_id,
            wish,
            endpoint: None,
            last: Vec::new(),
        }
    }

    /// The addresses that were asked for.
    #[must_use]
    pub fn wished_addresses(&self) -> Vec<IpAddr> {
        let config = self.wish.ipam_config.as_ref();
        let texts = config.map(|config| [config.ipv4_address.as_str(), config.ipv6_address.as_str()]);
        texts
            .into_iter()
            .flatten()
            .filter_map(|text| text.parse().ok())
            .collect()
    }

    /// The link-local addresses that were asked for, with the bits of their networks.
    ///
    /// # Errors
    /// `Invalid` in dockerd's words for one that is none.
    pub fn link_local_addresses(&self) -> Result<Vec<(IpAddr, u8)>, Failure> {
        let wished = self.wish.ipam_config.iter();
        wished
            .flat_map(|config| config.link_local_ips.iter().flatten())
            .filter_map(|text| text.parse().ok())
            .map(|address| match address {
                IpAddr::V4(v4) if v4.is_link_local() => Ok((address, 16)),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => Ok((address, 64)),
                _ => Err(Failure::Invalid(format!(
                    "invalid link local IP address: {address}"
                ))),
            })
            .collect()
    }

    /// The hardware address that was asked for.
    #[must_use]
    pub fn wished_mac(&self) -> Option<[u8; 6]> {
        parse_mac(&self.wish.mac_address)
    }
}

/// The attachments of a new container: that of its network mode first, then the others in name order.
///
/// # Errors
/// `Invalid` in dockerd's words for networks that do not go together and settings that make no sense.
pub(super) fn of_request(
    config: &ContainerConfig,
    host: &HostConfig,
    networking: Option<NetworkingConfig>,
) -> Result<Vec<Attachment>, Failure> {
    let mode = host.network_mode.as_str();
    let mut wishes: BTreeMap<String, EndpointSettings> = BTreeMap::new();
    for (name, wish) in networking
        .and_then(|config| config.endpoints_config)
        .unwrap_or_default()
    {
        let name = if name == "default" {
            "bridge".to_owned()
        } else {
            name
        };
        wishes.insert(name, wish.unwrap_or_default());
    }
    if mode.starts_with("container:") {
        return if wishes.is_empty() {
            Ok(Vec::new())
        } else {
            Err(Failure::Invalid(SHARED_NETWORK.to_owned()))
        };
    }
    let mut first = wishes.remove(mode).unwrap_or_default();
    if first.mac_address.is_empty() {
        first.mac_address.clone_from(&config.mac_address);
    }
    if mode != "bridge" && first.links.is_none() {
        first.links.clone_from(&host.links);
    }
    if !wishes.is_empty() {
        match mode {
            "host" => return Err(Failure::Invalid(SHARED_NETWORK.to_owned())),
            "none" => return Err(Failure::Invalid(NO_NETWORK.to_owned())),
            _ => {}
        }
    }
    let mut attachments = vec![Attachment::new(mode.to_owned(), String::new(), first)];
    attachments.extend(
        wishes
            .into_iter()
            .map(|(name, wish)| Attachment::new(name, String::new(), wish)),
    );
    Ok(attachments)
}

/// Judges what is asked for on one network, which may not be there yet.
///
/// # Errors
/// `Invalid` in dockerd's words; `Unsupported` for what is not done here.
pub(super) fn judge(attachment: &Attachment, network: Option<&Network>) -> Result<(), Failure> {
    let wish = &attachment.wish;
    let mut errors = Vec::new();
    let is_default = attachment.network == "bridge";
    let config = wish.ipam_config.clone().unwrap_or_default();
    if is_default && !(config.ipv4_address.is_empty() && config.ipv6_address.is_empty()) {
        errors.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    if is_default && wish.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty()) {
        errors.push("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    if !config.ipv4_address.is_empty() && config.ipv4_address.parse::<Ipv4Addr>().is_err() {
        errors.push(format!("invalid IPv4 address: {}", config.ipv4_address));
    }
    if !config.ipv6_address.is_empty() && config.ipv6_address.parse::<Ipv6Addr>().is_err() {
        errors.push(format!("invalid IPv6 address: {}", config.ipv6_address));
    }
    for text in config.link_local_ips.iter().flatten() {
        if !text
            .parse::<IpAddr>()
            .is_ok_and(|address| !address.is_unspecified())
        {
            errors.push(format!("invalid link-local IP address: {text}"));
        }
    }
    for address in attachment.wished_addresses() {
        errors.extend(network.and_then(|network| misfit(network, address)));
    }
    if !wish.mac_address.is_empty() && parse_mac(&wish.mac_address).is_none() {
        errors.push(format!("invalid MAC address: {}", wish.mac_address));
    }
    if !errors.is_empty() {
        return Err(Failure::Invalid(format!(
            "invalid endpoint settings:\n{}",
            joined(&errors)
        )));
    }
    // As with dockerd, what no driver of ours knows by its name is kept and shown, for whoever put it there.
    let mut options = wish.driver_opts.iter().flatten();
    if options.any(|(name, _)| name.starts_with(DRIVER_OPTIONS)) {
        let text = "--driver-opt of a container's network is not supported by cellblock yet";
        return Err(Failure::Unsupported(text.to_owned()));
    }
    Ok(())
}

/// Why an address cannot be wished for on a network.
fn misfit(network: &Network, address: IpAddr) -> Option<String> {
    let given = network.subnets.iter().filter(|subnet| subnet.given);
    let mut given = given
        .filter(|subnet| subnet.net.addr().is_ipv4() == address.is_ipv4())
        .peekable();
    if given.peek().is_none() {
        let text = "user specified IP address is supported only when connecting to networks with user configured subnets";
        return Some(text.to_owned());
    }
    let fits = given.any(|subnet| subnet.net.contains(&address));
    (!fits).then(|| format!("no configured subnet or ip-range contain the IP address {address}"))
}

/// Six bytes in hexadecimal, with colons or hyphens; one station's address.
pub(super) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2))
        .collect::<Option<_>>()?;
    let mac: [u8; 6] = bytes.try_into().ok()?;
    (mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// The attachment whose endpoint has the way out for an address family: the highest priority, then the first name, as dockerd
/// chooses.
#[must_use]
pub(super) fn way_out(attachments: &[Attachment], ipv6: bool) -> Option<(&Attachment, &Endpoint, Place)> {
    let leads_out = |attachment: &'_ Attachment| {
        let place = attachment.endpoint.as_ref()?.place(ipv6)?;
        place.gateway.map(|_| *place)
    };
    let best = attachments
        .iter()
        .filter(|attachment| leads_out(attachment).is_some())
        .min_by_key(|attachment| {
            (
                std::cmp::Reverse(attachment.wish.gw_priority),
                &attachment.network,
            )
        })?;
    Some((best, best.endpoint.as_ref()?, leads_out(best)?))
}

/// The first name that no endpoint has inside: `eth0`, `eth1`, …
#[must_use]
pub(super) fn free_inner_name(attachments: &[Attachment]) -> String {
    let taken = |name: &str| {
        let mut endpoints = attachments
            .iter()
            .filter_map(|attachment| attachment.endpoint.as_ref());
        endpoints.any(|endpoint| endpoint.inner == name)
    };
    let names = (0..=attachments.len()).map(|number| format!("eth{number}"));
    // One more name than there are attachments: one of them is free.
    names.into_iter().find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mode: &str, endpoints: &str) -> Result<Vec<Attachment>, String> {
        let host = HostConfig {
            network_mode: mode.to_owned(),
            ..HostConfig::default()
        };
        let networking = serde_json::from_str(&format!("{{\"EndpointsConfig\":{endpoints}}}")).unwrap();
        let attachments = of_request(&ContainerConfig::default(), &host, Some(networking));
        let judged = attachments.and_then(|all| {
            all.iter().try_for_each(|one| judge(one, None))?;
            Ok(all)
        });
        judged.map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_mode_comes_first_and_default_is_the_bridge() {
        let names = |mode: &str, endpoints: &str| -> Vec<String> {
            of(mode, endpoints)
                .unwrap()
                .into_iter()
                .map(|attachment| attachment.network)
                .collect()
        };
        assert_eq!(names("bridge", "{\"default\":null}"), ["bridge"]);
        assert_eq!(names("web", "{\"a\":{},\"web\":{}}"), ["web", "a"]);
        assert_eq!(names("container:x", "{}"), [""; 0]);
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_dockerds_words() {
        assert_eq!(of("host", "{\"a\":{}}").unwrap_err(), SHARED_NETWORK);
        assert_eq!(of("container:x", "{\"a\":{}}").unwrap_err(), SHARED_NETWORK);
        assert_eq!(of("none", "{\"a\":{}}").unwrap_err(), NO_NETWORK);
        let refused = of(
            "bridge",
            r#"{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.9"},"Aliases":["x"]}}"#,
        );
        assert_eq!(
            refused.unwrap_err(),
            "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n\
             * network-scoped aliases are only supported for user-defined networks"
        );
        assert!(
            of("a", r#"{"a":{"MacAddress":"zz"}}"#)
                .unwrap_err()
                .contains("invalid MAC address: zz")
        );
    }

    #[test]
    fn link_local_addresses_are_judged_at_create_and_at_start() {
        let of = |address: &str| {
            of(
                "a",
                &format!(r#"{{"a":{{"IPAMConfig":{{"LinkLocalIPs":["{address}"]}}}}}}"#),
            )
        };
        for bad in ["x", "0.0.0.0"] {
            let told = of(bad).unwrap_err();
            assert!(
                told.ends_with(&format!("invalid link-local IP address: {bad}")),
                "{told}"
            );
        }
        let own = |address: &str| of(address).unwrap()[0].link_local_addresses();
        assert_eq!(
            own("169.254.8.8").unwrap(),
            [("169.254.8.8".parse().unwrap(), 16)]
        );
        assert_eq!(own("fe80::5").unwrap(), [("fe80::5".parse().unwrap(), 64)]);
        assert_eq!(
            own("10.0.0.1").unwrap_err().to_string(),
            "invalid link local IP address: 10.0.0.1"
        );
    }

    #[test]
    fn hardware_addresses_are_of_one_station() {
        assert_eq!(parse_mac("02:42:AC-11-00-02"), Some([2, 0x42, 0xac, 0x11, 0, 2]));
        for bad in [
            "",
            "02:42",
            "01:00:00:00:00:01",
            "00:00:00:00:00:00",
            "2:42:ac:11:0:2",
            "02:42:ac:11:00:02:03",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_way_out_is_the_highest_priority_then_the_first_name() {
        let on = |network: &str, priority: i64, gateway: bool| {
            let place = Place {
                address: "10.0.0.2".parse().unwrap(),
                prefix_bits: 24,
                gateway: gateway.then(|| "10.0.0.1".parse().unwrap()),
            };
            let endpoint = Endpoint {
                network_id: String::new(),
                network_name: network.to_owned(),
                endpoint_id: String::new(),
                inner: format!("eth{priority}"),
                places: vec![place],
                mac: [2; 6],
                published: Vec::new(),
                resolver: None,
            };
            let mut attachment =
                Attachment::new(network.to_owned(), String::new(), EndpointSettings::default());
            attachment.wish.gw_priority = priority;
            attachment.endpoint = Some(endpoint);
            attachment
        };
        let out =
            |attachments: &[Attachment]| way_out(attachments, false).map(|(found, ..)| found.network.clone());
        assert_eq!(out(&[on("b", 0, true), on("a", 0, true)]).as_deref(), Some("a"));
        assert_eq!(out(&[on("b", 1, true), on("a", 0, true)]).as_deref(), Some("b"));
        assert_eq!(out(&[on("b", 0, true), on("a", 0, false)]).as_deref(), Some("b"));
        assert_eq!(out(&[on("a", 0, false)]), None);
        assert_eq!(free_inner_name(&[on("a", 0, true), on("b", 2, true)]), "eth1");
    }
}
