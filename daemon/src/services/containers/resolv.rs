//! A container's resolv.conf(5). Pure.

use docker_api::host_config::HostConfig;
use std::net::IpAddr;

/// Name servers for a host that has only loopback ones, which a container cannot reach: dockerd's own fallback.
const FALLBACK_NAME_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The file's text from the host's own. `resolver` is the name server of the container's network.
#[must_use]
pub(super) fn text(host_text: &str, host: &HostConfig, resolver: Option<IpAddr>) -> String {
    let shares_host = host.network_mode == "host";
    let servers = match (resolver, &host.dns) {
        (Some(resolver), _) => vec![resolver.to_string()],
        (None, Some(given)) if !given.is_empty() => given.clone(),
        (None, _) => {
            let own = servers(host_text).filter(|server| shares_host || !server.is_loopback());
            let own: Vec<String> = own.map(|server| server.to_string()).collect();
            if own.is_empty() {
                FALLBACK_NAME_SERVERS.map(str::to_owned).to_vec()
            } else {
                own
            }
        }
    };
    let search = chosen(host.dns_search.as_ref(), host_text, "search");
    let mut options = chosen(host.dns_options.as_ref(), host_text, "options");
    if resolver.is_some() && !options.iter().any(|option| option.starts_with("ndots:")) {
        // Names of containers have no dots, and are asked for as they are.
        options.push("ndots:0".to_owned());
    }
    let mut lines: Vec<String> = servers
        .iter()
        .map(|server| format!("nameserver {server}"))
        .collect();
    // One dot means no search at all.
    if !search.is_empty() && search != ["."] {
        lines.push(format!("search {}", search.join(" ")));
    }
    if !options.is_empty() {
        lines.push(format!("options {}", options.join(" ")));
    }
    lines.join("\n") + "\n"
}

/// Who is asked for names that no neighbour has: the servers that the container names, or those of the host. Loopback ones too:
/// it is this daemon that asks.
#[must_use]
pub(super) fn upstream(host_text: &str, host: &HostConfig) -> Vec<IpAddr> {
    let given = host.dns.iter().flatten().filter_map(|text| text.parse().ok());
    let given: Vec<IpAddr> = given.collect();
    if !given.is_empty() {
        return given;
    }
    let own: Vec<IpAddr> = servers(host_text).collect();
    if own.is_empty() {
        FALLBACK_NAME_SERVERS
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    } else {
        own
    }
}

fn chosen(given: Option<&Vec<String>>, host_text: &str, keyword: &str) -> Vec<String> {
    match given {
        Some(given) if !given.is_empty() => given.clone(),
        // The last line counts (resolv.conf(5)).
        _ => lines(host_text, keyword)
            .last()
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
}

fn servers(text: &str) -> impl Iterator<Item = IpAddr> {
    lines(text, "nameserver").filter_map(|words| words.first()?.parse().ok())
}

fn lines<'a>(text: &'a str, keyword: &str) -> impl Iterator<Item = Vec<&'a str>> {
    text.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(keyword)).then(|| words.collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(json: &str) -> HostConfig {
        serde_json::from_str(json).unwrap()
    }

    const OWN: &str =
        "# made by hand\nsearch lan\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0\n";

    #[test]
    fn loopback_name_servers_are_left_out_where_the_network_is_the_containers_own() {
        let plain = host("{}");
        assert_eq!(
            text(OWN, &plain, None),
            "nameserver 192.0.2.1\nsearch lan\noptions edns0\n"
        );
        assert_eq!(
            text("nameserver ::1\n", &plain, None),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        let shared = host(r#"{"NetworkMode":"host"}"#);
        assert!(text(OWN, &shared, None).starts_with("nameserver 127.0.0.53\n"));
    }

    #[test]
    fn the_networks_own_server_stands_alone() {
        let resolver = Some("172.18.0.1".parse().unwrap());
        assert_eq!(
            text(OWN, &host("{}"), resolver),
            "nameserver 172.18.0.1\nsearch lan\noptions edns0 ndots:0\n"
        );
        let given = host(r#"{"Dns":["192.0.2.9"],"DnsSearch":["a","b"],"DnsOptions":["ndots:3"]}"#);
        assert_eq!(
            text(OWN, &given, resolver),
            "nameserver 172.18.0.1\nsearch a b\noptions ndots:3\n"
        );
        assert_eq!(
            text(OWN, &given, None),
            "nameserver 192.0.2.9\nsearch a b\noptions ndots:3\n"
        );
        assert_eq!(upstream(OWN, &given), ["192.0.2.9".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_dot_means_no_search() {
        assert_eq!(
            text(OWN, &host(r#"{"DnsSearch":["."]}"#), None),
            "nameserver 192.0.2.1\noptions edns0\n"
        );
    }

    #[test]
    fn the_hosts_loopback_servers_are_asked_on_the_containers_behalf() {
        assert_eq!(upstream(OWN, &host("{}")).len(), 2);
        assert_eq!(upstream("", &host("{}")).len(), 2);
    }
}
