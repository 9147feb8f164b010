//! The files that every container gets in its own file system: /etc/hostname, /etc/hosts, /etc/resolv.conf.
//!
//! They are written, not mounted over: programs can replace them by renaming, which a mount forbids.

use super::roots::RootGuard;
use super::state::Container;
use super::verbs::Deps;
use crate::kernel::limits::LAYER_ENTRIES_MAX;
use crate::services::Failure;
use protocol::Principal;
use protocol::archive::{Extract, Owner, Replace, Whiteouts};
use protocol::names::RelPath;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Where the host keeps its name servers.
const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";

/// Name servers for a host that has only loopback ones, which a container cannot reach: dockerd's own fallback.
const FALLBACK_NAME_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Writes the three files. Called at each start: the address may have changed.
///
/// # Errors
/// What the archive helper answers.
pub(super) async fn write(
    deps: &Deps,
    by: &Principal,
    root: &RootGuard,
    container: &Container,
) -> Result<(), Failure> {
    let is_own_network = container.host_config.network_mode != "host";
    let resolv_conf = std::fs::read_to_string(HOST_RESOLV_CONF).unwrap_or_default();
    let resolv_conf = if is_own_network {
        resolv_conf_text(&resolv_conf)
    } else {
        resolv_conf
    };
    let files = [
        ("etc/hostname", format!("{}\n", container.config.hostname)),
        ("etc/hosts", hosts_text(container)),
        ("etc/resolv.conf", resolv_conf),
    ];
    let archive = tar_of(&files).map_err(|e| Failure::System(e.to_string()))?;
    let extract = Extract {
        root: root.mount_name(),
        path: RelPath::new("")?,
        whiteouts: Whiteouts::Plain,
        replace: Replace::Allowed,
        owner: Owner::FromArchive,
        content_bytes_max: archive.len() as u64,
        entries_max: LAYER_ENTRIES_MAX,
    };
    deps.helpers
        .archive
        .extract(by, extract, archive.as_slice())
        .await?;
    Ok(())
}

fn tar_of(files: &[(&str, String)]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        header.set_mtime(u64::try_from(crate::services::clock::now_ns() / 1_000_000_000).unwrap_or_default());
        builder.append_data(&mut header, path, text.as_bytes())?;
    }
    builder.into_inner()
}

/// `name:address` or `name=address`, as `--add-host` has it; the address may be in brackets.
pub(super) fn parse_extra_host(entry: &str) -> Option<(&str, IpAddr)> {
    let (name, address) = entry.split_once('=').or_else(|| entry.split_once(':'))?;
    let address = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    address
        .parse()
        .ok()
        .filter(|_| is_name)
        .map(|address| (name, address))
}

fn hosts_text(container: &Container) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    let config = &container.config;
    for (name, address) in container
        .host_config
        .extra_hosts
        .iter()
        .flatten()
        .filter_map(|entry| parse_extra_host(entry))
    {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    if let Some(endpoint) = &container.endpoint {
        let names = if config.domainname.is_empty() {
            config.hostname.clone()
        } else {
            format!("{}.{} {}", config.hostname, config.domainname, config.hostname)
        };
        let _ = writeln!(text, "{}\t{names}", endpoint.address);
    }
    text
}

fn resolv_conf_text(host: &str) -> String {
    let server = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse::<IpAddr>().ok())
    };
    let is_server = |line: &&str| line.trim_start().starts_with("nameserver");
    let is_reachable = |line: &&str| server(line).is_some_and(|address| !address.is_loopback());
    let mut lines: Vec<String> = host
        .lines()
        .filter(|line| !is_server(line) || is_reachable(line))
        .map(str::to_owned)
        .collect();
    if !lines.iter().any(|line| is_server(&line.as_str())) {
        lines.extend(FALLBACK_NAME_SERVERS.map(|address| format!("nameserver {address}")));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_name_servers_are_left_out() {
        let text = resolv_conf_text("search lan\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n");
        assert_eq!(text, "search lan\nnameserver 192.0.2.1\n");
        assert_eq!(
            resolv_conf_text("nameserver ::1\n"),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
    }

    #[test]
    fn extra_hosts_are_a_name_and_an_address() {
        assert_eq!(
            parse_extra_host("a:1.2.3.4"),
            Some(("a", "1.2.3.4".parse().unwrap()))
        );
        assert_eq!(parse_extra_host("a:[::1]"), Some(("a", "::1".parse().unwrap())));
        assert_eq!(parse_extra_host("a=::1"), Some(("a", "::1".parse().unwrap())));
        assert_eq!(parse_extra_host("zz"), None);
        assert_eq!(parse_extra_host("a b:1.2.3.4"), None);
    }
}
