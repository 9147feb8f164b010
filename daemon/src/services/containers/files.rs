//! The files that every container gets in its own file system: /etc/hostname, /etc/hosts, /etc/resolv.conf.
//!
//! They are written, not mounted over: programs can replace them by renaming, which a mount forbids.

use super::attachment::way_out;
use super::links::Linked;
use super::roots::RootGuard;
use super::state::Container;
use super::verbs::Deps;
use super::{endpoint, links, resolv};
use crate::kernel::limits::LAYER_ENTRIES_MAX;
use crate::services::Failure;
use docker_api::host_config::HostConfig;
use protocol::Principal;
use protocol::archive::{Extract, Owner, Replace, Whiteouts};
use protocol::names::RelPath;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Where the host keeps its name servers.
const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where it keeps names of its own.
const HOST_HOSTS: &str = "/etc/hosts";

/// What every container's names begin with.
const OWN_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

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
    let linked = links::resolve(deps, container).await?;
    let resolver = resolver(container);
    let resolv_conf = resolv::text(&host_resolv_conf(), &container.host_config, resolver);
    let host_gateway = deps.networks.host_gateway(&container.tenant);
    let files = [
        ("etc/hostname", format!("{}\n", container.config.hostname)),
        ("etc/hosts", hosts_text(container, host_gateway, &linked)),
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

fn host_resolv_conf() -> String {
    std::fs::read_to_string(HOST_RESOLV_CONF).unwrap_or_default()
}

/// Who is asked for names that no neighbour of a container has.
#[must_use]
pub(super) fn name_servers(host: &HostConfig) -> Vec<IpAddr> {
    resolv::upstream(&host_resolv_conf(), host)
}

/// The name server of the network through which the container has its way out, else of any that has one.
fn resolver(container: &Container) -> Option<IpAddr> {
    let out = [false, true]
        .into_iter()
        .find_map(|ipv6| way_out(&container.attachments, ipv6));
    let out = out.and_then(|(_, endpoint, _)| endpoint.resolver);
    out.or_else(|| endpoint::endpoints(&container.attachments).find_map(|endpoint| endpoint.resolver))
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

/// What an entry of `--add-host` means the address to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtraAddress {
    /// This one.
    Given(IpAddr),
    /// The host's, as containers reach it.
    HostGateway,
}

/// `name:address` or `name=address`, as `--add-host` has it; the address may be in brackets, or the word `host-gateway`.
pub(super) fn parse_extra_host(entry: &str) -> Option<(&str, ExtraAddress)> {
    let (name, address) = entry.split_once('=').or_else(|| entry.split_once(':'))?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    if address == "host-gateway" {
        return Some((name, ExtraAddress::HostGateway));
    }
    let address = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    let address = address.parse().ok()?;
    Some((name, ExtraAddress::Given(address)))
}

fn hosts_text(container: &Container, host_gateway: Option<IpAddr>, linked: &[Linked]) -> String {
    // On the host's network the host's own names count.
    let of_host = Some(HOST_HOSTS).filter(|_| container.host_config.network_mode == "host");
    let of_host = of_host.and_then(|path| std::fs::read_to_string(path).ok());
    let mut text = of_host.unwrap_or_else(|| OWN_HOSTS.to_owned());
    let config = &container.config;
    for (name, address) in container
        .host_config
        .extra_hosts
        .iter()
        .flatten()
        .filter_map(|entry| parse_extra_host(entry))
    {
        let address = match address {
            ExtraAddress::Given(address) => Some(address),
            ExtraAddress::HostGateway => host_gateway,
        };
        if let Some(address) = address {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address}\t{name}");
        }
    }
    for linked in linked {
        let _ = writeln!(text, "{}", links::hosts_line(linked));
    }
    // A host name with dots is a whole name, and is known by its first part too.
    let whole = if config.domainname.is_empty() {
        config.hostname.clone()
    } else {
        format!("{}.{}", config.hostname, config.domainname)
    };
    let names = match whole.split_once('.') {
        Some((short, _)) => format!("{whole} {short}"),
        None => whole,
    };
    for place in endpoint::endpoints(&container.attachments).flat_map(|endpoint| &endpoint.places) {
        let _ = writeln!(text, "{}\t{names}", place.address);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_a_name_and_an_address() {
        let given = |text: &str| Some(("a", ExtraAddress::Given(text.parse().unwrap())));
        assert_eq!(parse_extra_host("a:1.2.3.4"), given("1.2.3.4"));
        assert_eq!(parse_extra_host("a:[::1]"), given("::1"));
        assert_eq!(parse_extra_host("a=::1"), given("::1"));
        assert_eq!(
            parse_extra_host("a:host-gateway"),
            Some(("a", ExtraAddress::HostGateway))
        );
        assert_eq!(parse_extra_host("zz"), None);
        assert_eq!(parse_extra_host("a b:1.2.3.4"), None);
    }
}
