//! Old links on the default bridge (`--link name:alias`): lines in the hosts file and variables of the environment.

use super::messages::Find;
use super::start::current;
use super::state::{Container, Event};
use super::verbs::{Containers, Deps};
use crate::services::Failure;
use docker_api::error;
use protocol::Principal;
use std::net::IpAddr;
use std::sync::Arc;

/// A container that another one is linked to.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    pub(super) target: Arc<Container>,
    pub(super) alias: String,
    pub(super) address: IpAddr,
}

/// The parts of a link: the container, and what it is called.
#[must_use]
pub(super) fn parts(link: &str) -> (&str, &str) {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    // Inspect shows them so, and what it shows can be sent again.
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    (name.trim_start_matches('/'), alias.trim_start_matches('/'))
}

impl Containers {
    /// The id of the container that another one knows by an alias.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words.
    pub async fn linked(&self, by: &Principal, parent: &str, alias: &str) -> Result<String, Failure> {
        let gone = || Failure::NotFound(error::no_such_container(&format!("{parent}/{alias}")));
        let parent = self.find(by, parent).await.map_err(|_| gone())?.container;
        let name = linked_name(&parent, alias).ok_or_else(gone)?;
        Ok(target(&self.0, by.tenant.as_str(), name).await?.id.clone())
    }

    /// Takes a link away. What a container that runs wrote down of it at its start stays until its next one.
    ///
    /// # Errors
    /// `NotFound` in dockerd's words.
    pub async fn unlink(&self, by: &Principal, parent: &str, alias: &str) -> Result<(), Failure> {
        self.linked(by, parent, alias).await?;
        let found = self.find(by, parent).await?;
        let _changing = found.lock.lock().await;
        let parent = current(&self.0, &found.container.id).await?;
        let mut host = parent.host_config.clone();
        if let Some(links) = &mut host.links {
            links.retain(|link| parts(link).1 != alias);
        }
        self.0.change(&parent.id, Event::Updated(Box::new(host))).await?;
        Ok(())
    }
}

fn linked_name<'a>(parent: &'a Container, alias: &str) -> Option<&'a str> {
    let mut links = parent.host_config.links.iter().flatten().map(|link| parts(link));
    links.find(|(_, own)| *own == alias).map(|(name, _)| name)
}

/// Under which names other containers know a container: `/other/alias`.
#[must_use]
pub fn names_by_links(container: &Container, others: &[Arc<Container>]) -> Vec<String> {
    let is_it = |name: &str| name == container.name || container.id.starts_with(name);
    let mut names = Vec::new();
    for other in others.iter().filter(|other| other.tenant == container.tenant) {
        let links = other.host_config.links.iter().flatten().map(|link| parts(link));
        let aliases = links.filter(|(name, _)| is_it(name));
        names.extend(aliases.map(|(_, alias)| format!("/{}/{alias}", other.name)));
    }
    names
}

/// dockerd's words for links from or to what shares the host's network.
pub(super) const HOST_AND_LINKS: &str = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";

/// Finds what a new container is linked to.
///
/// # Errors
/// dockerd's words for a container that is not there.
pub(super) async fn check(deps: &Deps, tenant: &str, links: Option<&Vec<String>>) -> Result<(), Failure> {
    for link in links.into_iter().flatten() {
        let (name, _) = parts(link);
        // Not 404, which clients take for a missing image.
        let target = target(deps, tenant, name).await;
        let target = target
            .map_err(|failure| Failure::Invalid(format!("could not get container for {name}: {failure}")))?;
        if target.host_config.network_mode == "host" {
            return Err(Failure::Invalid(HOST_AND_LINKS.to_owned()));
        }
    }
    Ok(())
}

/// What a starting container is linked to.
///
/// # Errors
/// dockerd's words for one that does not run.
pub(super) async fn resolve(deps: &Deps, container: &Container) -> Result<Vec<Linked>, Failure> {
    let mut linked = Vec::new();
    if container.host_config.network_mode != "bridge" {
        return Ok(linked);
    }
    for link in container.host_config.links.iter().flatten() {
        let (name, alias) = parts(link);
        let target = target(deps, &container.tenant, name).await?;
        let attachments = target.attachments.iter();
        let endpoint = attachments
            .filter(|attachment| attachment.network == "bridge")
            .find_map(|attachment| attachment.endpoint.as_ref());
        match endpoint
            .and_then(|endpoint| endpoint.places.first())
            .filter(|_| target.is_running())
        {
            Some(place) => linked.push(Linked {
                alias: alias.to_owned(),
                address: place.address,
                target,
            }),
            None => {
                return Err(Failure::Conflict(format!(
                    "Cannot link to a non running container: /{name} AS /{}/{alias}",
                    container.name
                )));
            }
        }
    }
    Ok(linked)
}

/// The tenant's container of that name or id.
///
/// # Errors
/// `NotFound` in dockerd's words.
pub(super) async fn target(deps: &Deps, tenant: &str, name: &str) -> Result<Arc<Container>, Failure> {
    let find = Find {
        text: name.to_owned(),
        tenant: tenant.to_owned(),
    };
    let found = deps.table.ask(find).await?;
    found
        .map(|found| found.container)
        .map_err(|error| Failure::NotFound(error.to_string()))
}

/// A link's line in the hosts file.
#[must_use]
pub(super) fn hosts_line(linked: &Linked) -> String {
    let hostname = linked.target.config.hostname.as_str();
    let names = [linked.alias.as_str(), hostname, linked.target.name.as_str()];
    let names: Vec<&str> = names
        .into_iter()
        .enumerate()
        .filter(|(number, name)| *number < 2 || *name != linked.alias)
        .map(|(_, name)| name)
        .collect();
    format!("{}\t{}", linked.address, names.join(" "))
}

/// A link's variables: where the ports are, and the environment of what is linked.
#[must_use]
pub(super) fn environment(container: &Container, linked: &Linked) -> Vec<String> {
    let prefix = linked.alias.to_uppercase().replace('-', "_");
    let address = linked.address;
    let mut variables = Vec::new();
    let exposed = linked.target.config.exposed_ports.iter().flatten();
    let mut ports: Vec<(u16, &str)> = exposed
        .filter_map(|(port, _)| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, protocol))
        })
        .collect();
    ports.sort_unstable();
    if let Some((number, protocol)) = ports.first() {
        variables.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    for (number, protocol) in ports {
        let port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        variables.push(format!("{port}={protocol}://{address}:{number}"));
        variables.push(format!("{port}_ADDR={address}"));
        variables.push(format!("{port}_PORT={number}"));
        variables.push(format!("{port}_PROTO={protocol}"));
    }
    variables.push(format!("{prefix}_NAME=/{}/{}", container.name, linked.alias));
    let env = linked.target.config.env.iter().flatten();
    let passed = env.filter(|entry| !entry.starts_with("HOME=") && !entry.starts_with("PATH="));
    variables.extend(passed.map(|entry| format!("{prefix}_ENV_{entry}")));
    variables
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    fn linked(alias: &str) -> Linked {
        let mut target = container(Phase::Running { pid: 1 });
        target.name = "store".to_owned();
        target.config = serde_json::from_str(
            r#"{"Hostname":"fred","Env":["PATH=/bin","A=1"],"ExposedPorts":{"80/tcp":{},"53/udp":{}}}"#,
        )
        .unwrap();
        Linked {
            target: Arc::new(target),
            alias: alias.to_owned(),
            address: "172.17.0.7".parse().unwrap(),
        }
    }

    #[test]
    fn links_are_read_as_they_are_sent_and_as_they_are_shown() {
        assert_eq!(parts("store:db"), ("store", "db"));
        assert_eq!(parts("store"), ("store", "store"));
        assert_eq!(parts("/store:/web/db"), ("store", "db"));
    }

    #[test]
    fn a_link_is_a_line_of_hosts_and_some_variables() {
        assert_eq!(hosts_line(&linked("db")), "172.17.0.7\tdb fred store");
        assert_eq!(hosts_line(&linked("store")), "172.17.0.7\tstore fred");
        let wanted = [
            "MY_DB_PORT=udp://172.17.0.7:53",
            "MY_DB_PORT_53_UDP=udp://172.17.0.7:53",
            "MY_DB_PORT_53_UDP_ADDR=172.17.0.7",
            "MY_DB_PORT_53_UDP_PORT=53",
            "MY_DB_PORT_53_UDP_PROTO=udp",
            "MY_DB_PORT_80_TCP=tcp://172.17.0.7:80",
            "MY_DB_PORT_80_TCP_ADDR=172.17.0.7",
            "MY_DB_PORT_80_TCP_PORT=80",
            "MY_DB_PORT_80_TCP_PROTO=tcp",
            "MY_DB_NAME=/x/my-db",
            "MY_DB_ENV_A=1",
        ];
        assert_eq!(environment(&container(Phase::Created), &linked("my-db")), wanted);
    }
}
