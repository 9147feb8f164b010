//! `POST /networks/create`, read: what is wished, judged in dockerd's words. Pure.

use super::ipam::first_address;
use super::network::{
    Network, OPTION_HOST_BINDING, OPTION_ICC, OPTION_MASQUERADE, OPTION_MTU, Subnet, go_bool,
};
use crate::services::{Failure, clock, naming};
use docker_api::networks::{Ipam, IpamConfig, NetworkCreateRequest};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Names that cannot be given to a network.
const RESERVED_NAMES: [&str; 4] = ["bridge", "host", "none", "default"];

/// Options that mean what is done anyway, with the only value that does.
const OPTIONS_WITH_ONE_VALUE: [(&str, &str); 3] = [
    ("com.docker.network.bridge.gateway_mode_ipv4", "nat"),
    ("com.docker.network.bridge.gateway_mode_ipv6", "nat"),
    ("com.docker.network.bridge.inhibit_ipv4", "false"),
];

/// A network that is wished for; its missing subnets are still to be chosen.
#[derive(Debug)]
pub(super) struct Wish {
    /// With the subnets that were named.
    pub(super) network: Network,
    /// Whether an IPv4 subnet is to be chosen.
    pub(super) wants_ipv4: bool,
    /// Whether an IPv6 subnet is to be chosen.
    pub(super) wants_ipv6: bool,
}

/// Reads a request.
///
/// # Errors
/// In dockerd's words; `Unsupported` for what has a meaning that is not given to it here.
pub(super) fn read(request: NetworkCreateRequest, tenant: &str) -> Result<Wish, Failure> {
    let name = request.name.trim().to_owned();
    judge_name(&name)?;
    judge_kind(&request)?;
    let options = request.options.unwrap_or_default();
    judge_options(&options)?;
    let (wants_ipv4, wants_ipv6) = (
        request.enable_ipv4.unwrap_or(true),
        request.enable_ipv6.unwrap_or(false),
    );
    if !wants_ipv4 && !wants_ipv6 {
        return Err(Failure::Invalid("IPv4 or IPv6 must be enabled".to_owned()));
    }
    let ipam = request.ipam.unwrap_or_default();
    if !matches!(ipam.driver.as_str(), "" | "default") {
        let text = format!(
            "error looking up IPAM plugin {0}: plugin \"{0}\" not found",
            ipam.driver
        );
        return Err(Failure::NotFound(text));
    }
    let subnets = subnets(&ipam, wants_ipv4, wants_ipv6)?;
    let has = |ipv6: bool| subnets.iter().any(|subnet| subnet.net.addr().is_ipv6() == ipv6);
    Ok(Wish {
        wants_ipv4: wants_ipv4 && !has(false),
        wants_ipv6: wants_ipv6 && !has(true),
        network: Network {
            id: naming::new_id(),
            name,
            tenant: Some(tenant.to_owned()),
            driver: "bridge".to_owned(),
            created_ns: clock::now_ns(),
            subnets,
            internal: request.internal,
            attachable: request.attachable,
            options,
            ipam_options: ipam.options,
            labels: request.labels.unwrap_or_default(),
        },
    })
}

/// Several complaints as dockerd writes them.
pub(crate) fn joined(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        several => {
            let lines: Vec<String> = several.iter().map(|error| format!("* {error}")).collect();
            lines.join("\n")
        }
    }
}

fn judge_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::Invalid("network name cannot be empty".to_owned()));
    }
    if RESERVED_NAMES.contains(&name) {
        // dockerd's text ends with a blank too.
        return Err(Failure::Forbidden(format!(
            "operation is not permitted on predefined {name} network "
        )));
    }
    Ok(())
}

fn judge_kind(request: &NetworkCreateRequest) -> Result<(), Failure> {
    match request.driver.as_str() {
        "" | "bridge" => {}
        driver @ ("host" | "null") => {
            let text = format!("only one instance of \"{driver}\" network is allowed");
            return Err(Failure::Forbidden(text));
        }
        "overlay" | "ingress" => {
            let text = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
            return Err(Failure::Unavailable(text.to_owned()));
        }
        driver @ ("macvlan" | "ipvlan") => {
            return Err(Failure::Unsupported(format!(
                "the network driver {driver} is not supported by cellblock"
            )));
        }
        driver => {
            return Err(Failure::NotFound(format!("plugin \"{driver}\" not found")));
        }
    }
    let has_source = request
        .config_from
        .as_ref()
        .is_some_and(|from| !from.network.is_empty());
    for (flag, is_set) in [
        ("--config-only", request.config_only),
        ("--config-from", has_source),
        ("--ingress", request.ingress),
        ("--scope swarm", !matches!(request.scope.as_str(), "" | "local")),
    ] {
        if is_set {
            return Err(Failure::Unsupported(format!(
                "{flag} is not supported by cellblock"
            )));
        }
    }
    Ok(())
}

fn judge_options(options: &BTreeMap<String, String>) -> Result<(), Failure> {
    let bad = |option: &str, value: &str| {
        Failure::Invalid(format!(
            "invalid value \"{value}\" of the network option {option}"
        ))
    };
    for (option, value) in options {
        match option.as_str() {
            OPTION_ICC | OPTION_MASQUERADE => {
                go_bool(value).ok_or_else(|| {
                    Failure::Invalid(format!(
                        "failed to parse {option} value: {value} (strconv.ParseBool: parsing \"{value}\": invalid syntax)"
                    ))
                })?;
            }
            OPTION_HOST_BINDING => {
                value.parse::<Ipv4Addr>().map_err(|_| bad(option, value))?;
            }
            OPTION_MTU => {
                value.parse::<u16>().map_err(|_| bad(option, value))?;
            }
            other if OPTIONS_WITH_ONE_VALUE.contains(&(other, value)) => {}
            // The names of other drivers and of plugins mean nothing to the bridge driver, in dockerd as here.
            other if !other.starts_with("com.docker.network.") => {}
            other => {
                return Err(Failure::Unsupported(format!(
                    "the network option {other}={value} is not supported by cellblock"
                )));
            }
        }
    }
    Ok(())
}

fn subnets(ipam: &Ipam, wants_ipv4: bool, wants_ipv6: bool) -> Result<Vec<Subnet>, Failure> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for config in ipam.config.iter().flatten() {
        if *config == IpamConfig::default() {
            continue;
        }
        match config.subnet.parse::<IpNet>() {
            Err(_) => errors.push(format!(
                "invalid subnet {}: invalid CIDR block notation",
                config.subnet
            )),
            Ok(net) if net.addr().is_ipv6() && !wants_ipv6 => {}
            Ok(net) if net.addr().is_ipv4() && !wants_ipv4 => {}
            Ok(net) => found.extend(subnet(config, net, &mut errors)),
        }
    }
    if !errors.is_empty() {
        return Err(Failure::Invalid(format!(
            "invalid network config:\n{}",
            joined(&errors)
        )));
    }
    for ipv6 in [false, true] {
        if found
            .iter()
            .filter(|subnet| subnet.net.addr().is_ipv6() == ipv6)
            .count()
            > 1
        {
            let text = "bridge driver doesn't support multiple subnets";
            return Err(Failure::Forbidden(text.to_owned()));
        }
    }
    found.sort_by_key(|subnet| subnet.net.addr().is_ipv6());
    Ok(found)
}

fn subnet(config: &IpamConfig, net: IpNet, errors: &mut Vec<String>) -> Option<Subnet> {
    let before = errors.len();
    if net != net.trunc() {
        errors.push(format!("invalid subnet {net}: it should be {}", net.trunc()));
    }
    let range = (!config.ip_range.is_empty())
        .then(|| {
            range(&config.ip_range, net)
                .map_err(|why| errors.push(format!("invalid ip-range {}: {why}", config.ip_range)))
                .ok()
        })
        .flatten();
    let mut address = |text: &str, what: &str| {
        address(text, net)
            .map_err(|why| errors.push(format!("invalid {what}: {why}")))
            .ok()
    };
    let given = (!config.gateway.is_empty())
        .then(|| address(&config.gateway, &format!("gateway {}", config.gateway)))
        .flatten();
    let auxiliary: BTreeMap<String, IpAddr> = config
        .auxiliary_addresses
        .iter()
        .flatten()
        .filter_map(|(name, text)| Some((name.clone(), address(text, &format!("auxiliary address {name}"))?)))
        .collect();
    (errors.len() == before).then(|| Subnet {
        net,
        range,
        gateway: given.unwrap_or_else(|| first_address(net, range)),
        gateway_given: given.is_some(),
        auxiliary,
        given: true,
    })
}

fn range(text: &str, net: IpNet) -> Result<IpNet, String> {
    let range: IpNet = text
        .parse()
        .map_err(|_| "invalid CIDR block notation".to_owned())?;
    if range.addr().is_ipv4() != net.addr().is_ipv4() {
        return Err(format!("parent subnet is an {} block", family(net)));
    }
    if range.prefix_len() < net.prefix_len() {
        return Err(format!("CIDR block is bigger than its parent subnet {net}"));
    }
    if range != range.trunc() {
        return Err(format!("it should be {}", range.trunc()));
    }
    if net.contains(&range) {
        Ok(range)
    } else {
        Err(format!("parent subnet {net} doesn't contain ip-range"))
    }
}

fn address(text: &str, net: IpNet) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if address.is_ipv4() != net.addr().is_ipv4() {
        return Err(format!("parent subnet is an {} block", family(net)));
    }
    if net.contains(&address) {
        Ok(address)
    } else {
        Err(format!("parent subnet {net} doesn't contain this address"))
    }
}

fn family(net: IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "IPv4",
        IpNet::V6(_) => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: &str) -> Result<Wish, String> {
        let request: NetworkCreateRequest = serde_json::from_str(json).unwrap();
        read(request, "default").map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_plain_network_chooses_its_ipv4_subnet() {
        let wish =
            wish(r#"{"Name":"n1","Driver":"bridge","IPAM":{"Driver":"default","Config":[]},"Options":{}}"#)
                .unwrap();
        assert!(wish.wants_ipv4 && !wish.wants_ipv6);
        assert!(wish.network.members_talk() && wish.network.masquerades());
        assert_eq!(wish.network.mtu_bytes(), 1500);
    }

    #[test]
    fn subnets_are_taken_whole() {
        let wish = wish(
            r#"{"Name":"n1","EnableIPv6":true,"Internal":true,"IPAM":{"Config":[{"Subnet":"fd00:1::/64"},
            {"Subnet":"10.1.0.0/16","IPRange":"10.1.2.0/24","Gateway":"10.1.0.9","AuxiliaryAddresses":{"r":"10.1.2.3"}}]},
            "Options":{"com.docker.network.driver.mtu":"1400","com.docker.network.bridge.enable_icc":"false"}}"#,
        )
        .unwrap();
        let Network { subnets, .. } = &wish.network;
        assert_eq!(subnets[0].gateway.to_string(), "10.1.0.9");
        assert_eq!(subnets[1].gateway.to_string(), "fd00:1::1");
        assert!(!wish.wants_ipv4 && !wish.wants_ipv6);
        assert_eq!(
            (wish.network.mtu_bytes(), wish.network.members_talk()),
            (1400, false)
        );
        assert!(!wish.network.masquerades(), "an internal network has no way out");
    }

    #[test]
    fn a_gateway_that_is_not_named_is_the_first_of_the_range() {
        let wish =
            wish(r#"{"Name":"n1","IPAM":{"Config":[{"Subnet":"10.1.0.0/16","IPRange":"10.1.2.0/24"}]}}"#)
                .unwrap();
        assert_eq!(wish.network.subnets[0].gateway.to_string(), "10.1.2.0");
    }

    #[test]
    fn refusals_are_in_dockerds_words() {
        let config = |config: &str| {
            wish(&format!(r#"{{"Name":"n1","IPAM":{{"Config":[{{{config}}}]}}}}"#)).unwrap_err()
        };
        for (given, words) in [
            (
                r#""Subnet":"10.0.0.1/16""#,
                "invalid subnet 10.0.0.1/16: it should be 10.0.0.0/16",
            ),
            (
                r#""Subnet":"zz""#,
                "invalid subnet zz: invalid CIDR block notation",
            ),
            (
                r#""Subnet":"10.0.0.0/16","Gateway":"10.1.0.1""#,
                "invalid gateway 10.1.0.1: parent subnet 10.0.0.0/16 doesn't contain this address",
            ),
            (
                r#""Subnet":"10.0.0.0/16","Gateway":"fd00::1""#,
                "invalid gateway fd00::1: parent subnet is an IPv4 block",
            ),
            (
                r#""Subnet":"10.0.0.0/16","IPRange":"10.0.0.0/8""#,
                "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.0.0.0/16",
            ),
            (
                r#""Subnet":"10.0.0.0/16","AuxiliaryAddresses":{"r":"x"}"#,
                "invalid auxiliary address r: invalid address",
            ),
        ] {
            assert!(config(given).contains(words), "{given}: {}", config(given));
        }
        for (given, words) in [
            (
                r#"{"Name":"host"}"#,
                "Forbidden(\"operation is not permitted on predefined host network \")",
            ),
            (r#"{"Name":"n","Driver":"zz"}"#, "plugin \\\"zz\\\" not found"),
            (
                r#"{"Name":"n","Options":{"com.docker.network.bridge.name":"br9"}}"#,
                "Unsupported",
            ),
            (
                r#"{"Name":"n","Options":{"com.docker.network.bridge.enable_icc":"maybe"}}"#,
                "Invalid(\"failed to parse",
            ),
        ] {
            let refused = wish(given).unwrap_err();
            assert!(refused.contains(words), "{given}: {refused}");
        }
    }
}
