//! `docker ps`: which containers, and what is shown of each.

use super::inspect::{self, mount_point};
use super::ports;
use super::state::{Container, Phase};
use crate::services::{Failure, clock};
use docker_api::containers::{ContainerSummary, SummaryHostConfig, SummaryNetworkSettings};
use docker_api::durations::ContainerStatus;
use docker_api::filters::Filters;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The filters that dockerd accepts here.
const FILTERS: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "label!",
];

/// Which containers are asked for.
#[derive(Debug, Default)]
pub struct Query {
    /// Also those that do not run.
    pub all: bool,
    /// Only the newest so many, of all; none means no limit.
    pub limit: Option<usize>,
    /// Conditions.
    pub filters: Filters,
    /// The ids of the images that the filter `ancestor` names, and of those built on them.
    pub ancestors: BTreeSet<String>,
}

/// The containers that a query means, newest first.
///
/// # Errors
/// `Invalid` for an unknown filter or a bad value, `NotFound` for a container that a filter names.
pub fn select(containers: Vec<Arc<Container>>, query: &Query) -> Result<Vec<Arc<Container>>, Failure> {
    let filters = &query.filters;
    check(filters).map_err(Failure::Invalid)?;
    let created = |reference: Option<&str>| {
        let Some(text) = reference else {
            return Ok(None);
        };
        let is_it = |c: &&Arc<Container>| c.name == text || c.id.starts_with(text);
        let found = containers.iter().find(is_it);
        found
            .map(|container| Some(container.created_ns))
            .ok_or_else(|| Failure::NotFound(docker_api::error::no_such_container(text)))
    };
    let before = created(filters.values("before").next())?;
    let since = created(filters.values("since").next())?;
    // A limit and `status` look at all containers, as in dockerd.
    let all = query.all || query.limit.is_some() || filters.contains("status");
    let mut chosen: Vec<Arc<Container>> = containers
        .iter()
        .filter(|container| all || container.is_running())
        .filter(|container| before.is_none_or(|limit| container.created_ns < limit))
        .filter(|container| since.is_none_or(|limit| container.created_ns > limit))
        .filter(|container| matches(container, query))
        .cloned()
        .collect();
    chosen.sort_by_key(|container| std::cmp::Reverse(container.created_ns));
    chosen.truncate(query.limit.unwrap_or(usize::MAX));
    Ok(chosen)
}

/// Looks at the filters' values, in dockerd's words.
fn check(filters: &Filters) -> Result<(), String> {
    filters.accept_only(&FILTERS).map_err(|error| error.to_string())?;
    filters
        .boolean("is-task", false)
        .map_err(|error| error.to_string())?;
    let states = "created, running, paused, restarting, removing, exited, dead";
    let healths = "none, starting, healthy, unhealthy";
    for (key, what, words) in [("status", "state", states), ("health", "health", healths)] {
        if let Some(bad) = filters
            .values(key)
            .find(|value| !words.split(", ").any(|word| word == *value))
        {
            return Err(format!(
                "invalid filter '{key}={bad}': invalid value for {what} ({bad}): must be one of {words}"
            ));
        }
    }
    for value in filters.values("exited") {
        docker_api::query::number(value)
            .map_err(|error| format!("invalid filter 'exited={value}': {error}"))?;
    }
    for key in ["publish", "expose"] {
        for value in filters.values(key) {
            let ports = value.split('/').next().unwrap_or_default();
            if let Some(bad) = ports.split('-').find(|port| port.parse::<u16>().is_err()) {
                return Err(format!(
                    "error while looking up for {key} {value}: strconv.ParseUint: parsing \"{bad}\": invalid syntax"
                ));
            }
        }
    }
    Ok(())
}

fn matches(container: &Container, query: &Query) -> bool {
    let filters = &query.filters;
    let any =
        |key: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(fits);
    let empty = BTreeMap::new();
    let labels = container.config.labels.as_ref().unwrap_or(&empty);
    let all_exposed = ports::all_exposed(&container.config, &container.host_config);
    let exposed = |wanted: &str| {
        let ports = all_exposed.iter().filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, protocol))
        });
        ports::matches_filter(wanted, ports)
    };
    let in_force = ports::summaries(container);
    let published = |wanted: &str| {
        let ports = in_force.iter().filter(|port| port.public_port != 0);
        ports::matches_filter(
            wanted,
            ports.map(|port| (port.public_port, port.protocol.as_str())),
        )
    };
    let mounted = |wanted: &str| {
        container
            .mounts
            .iter()
            .filter_map(mount_point)
            .any(|point| point.destination == wanted || point.name == wanted || point.source == wanted)
    };
    let network = |wanted: &str| {
        let mut attachments = container.attachments.iter();
        let begins = |id: &str| !wanted.is_empty() && id.starts_with(wanted);
        attachments.any(|attachment| attachment.network == wanted || begins(&attachment.network_id))
    };
    let ancestor = |wanted: &str| {
        let tagged = |name: &str| {
            if name.contains(':') {
                name.to_owned()
            } else {
                format!("{name}:latest")
            }
        };
        query.ancestors.contains(&container.image_id)
            || tagged(&container.config.image) == tagged(wanted)
            || container
                .image_id
                .trim_start_matches("sha256:")
                .starts_with(wanted.trim_start_matches("sha256:"))
    };
    any("id", &|wanted| container.id.starts_with(wanted))
        && (filters.matches_text("name", &container.name) || filters.matches_text("name", &format!("/{}", container.name)))
        && any("status", &|wanted| container.status_word() == wanted)
        && any("exited", &|wanted| {
            container.phase == Phase::Exited && wanted.parse() == Ok(container.exit_code)
        })
        && any("ancestor", &ancestor)
        && any("network", &network)
        && any("expose", &exposed)
        && any("volume", &mounted)
        && any("health", &|wanted| {
            wanted == container.health.as_ref().map_or("none", |health| health.status.as_str())
        })
        && any("is-task", &|wanted| wanted == "false")
        && any("publish", &published)
        // Windows isolation does not exist here, so nothing matches.
        && any("isolation", &|_| false)
        && filters.matches_pairs("label", labels)
}

/// One line of `docker ps`.
#[must_use]
pub fn summary(container: &Container, shown_image: String) -> ContainerSummary {
    let command: Vec<&str> = std::iter::once(&container.path)
        .chain(&container.args)
        .map(String::as_str)
        .collect();
    ContainerSummary {
        id: container.id.clone(),
        names: vec![format!("/{}", container.name)],
        image: shown_image,
        image_id: container.image_id.clone(),
        command: command.join(" "),
        created: container.created_ns / 1_000_000_000,
        ports: ports::summaries(container),
        labels: super::create::labels(&container.config),
        state: container.status_word().to_owned(),
        status: status(container).to_string(),
        host_config: SummaryHostConfig {
            network_mode: container.host_config.network_mode.clone(),
            annotations: container.host_config.annotations.clone(),
        },
        network_settings: SummaryNetworkSettings {
            networks: inspect::endpoints(container),
        },
        mounts: container.mounts.iter().filter_map(mount_point).collect(),
        ..ContainerSummary::default()
    }
}

fn status(container: &Container) -> ContainerStatus {
    let since = |then_ns: i64| {
        Duration::from_nanos(u64::try_from(clock::now_ns().saturating_sub(then_ns)).unwrap_or_default())
    };
    match container.phase {
        Phase::Created => ContainerStatus::Created,
        Phase::Running { .. } => ContainerStatus::Up {
            for_: since(container.started_ns),
            health: container.health.as_ref().map(|health| health.status.clone()),
        },
        Phase::Paused { .. } => ContainerStatus::Paused {
            for_: since(container.started_ns),
        },
        Phase::Restarting => ContainerStatus::Restarting {
            exit_code: container.exit_code,
            ago: since(container.finished_ns),
        },
        Phase::Exited => ContainerStatus::Exited {
            exit_code: container.exit_code,
            ago: since(container.finished_ns),
        },
        Phase::Removing => ContainerStatus::RemovalInProgress,
        Phase::Dead => ContainerStatus::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::container;
    use super::*;

    fn containers() -> Vec<Arc<Container>> {
        let make = |name: &str, created_ns: i64, phase: Phase| {
            let mut one = container(phase);
            (one.id, one.name, one.created_ns) =
                (format!("{name}{}", "0".repeat(60)), name.to_owned(), created_ns);
            one.config.labels = Some(BTreeMap::from([("who".to_owned(), name.to_owned())]));
            Arc::new(one)
        };
        vec![
            make("aaaa", 1, Phase::Exited),
            make("bbbb", 2, Phase::Running { pid: 1 }),
            make("cccc", 3, Phase::Created),
        ]
    }

    fn names(query: Query) -> Vec<String> {
        select(containers(), &query)
            .unwrap()
            .iter()
            .map(|c| c.name.clone())
            .collect()
    }

    fn filtered(key: &str, value: &str) -> Vec<String> {
        let mut filters = Filters::default();
        filters.add(key, value);
        names(Query {
            all: true,
            filters,
            ..Query::default()
        })
    }

    #[test]
    fn only_running_ones_are_shown_unless_asked() {
        assert_eq!(names(Query::default()), ["bbbb"]);
        assert_eq!(
            names(Query {
                all: true,
                ..Query::default()
            }),
            ["cccc", "bbbb", "aaaa"]
        );
        assert_eq!(
            names(Query {
                limit: Some(1),
                ..Query::default()
            }),
            ["cccc"]
        );
    }

    #[test]
    fn filters_choose() {
        assert_eq!(filtered("name", "bb"), ["bbbb"]);
        assert_eq!(filtered("status", "exited"), ["aaaa"]);
        assert_eq!(filtered("label", "who=cccc"), ["cccc"]);
        assert_eq!(filtered("since", "aaaa"), ["cccc", "bbbb"]);
        assert_eq!(filtered("before", "bbbb"), ["aaaa"]);
        assert!(
            select(
                containers(),
                &Query {
                    filters: {
                        let mut f = Filters::default();
                        f.add("zz", "1");
                        f
                    },
                    ..Query::default()
                }
            )
            .is_err()
        );
    }
}
