//! `POST /build` (the classic builder): its query arguments and its output lines.

use crate::host_config::Ulimit;
use crate::query::truthy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::images::ProgressLine;

/// Which builder a client asks for (`version`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuilderVersion {
    /// The classic builder, `1` or nothing.
    #[default]
    Classic,
    /// BuildKit, `2`.
    BuildKit,
}

/// The query arguments of a build. Sizes are in bytes, as everywhere in this API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildQuery {
    /// `t`: names for the result.
    pub tags: Vec<String>,
    /// `dockerfile`: path in the context; empty means `Dockerfile`.
    pub dockerfile: String,
    /// `remote`: address to fetch the context from.
    pub remote: String,
    /// `q`: print only the id.
    pub quiet: bool,
    /// `nocache`: build every step.
    pub no_cache: bool,
    /// `rm`: remove the steps' containers; on unless `rm=0` is sent.
    pub remove: bool,
    /// `forcerm`: remove them after a failure too.
    pub force_remove: bool,
    /// `pull`: fetch newer base images.
    pub pull: bool,
    /// `buildargs`: a null value takes the default of the Dockerfile.
    pub build_args: BTreeMap<String, Option<String>>,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `target`: stage to stop at.
    pub target: String,
    /// `networkmode`: network of the steps.
    pub network_mode: String,
    /// `platform`: `os[/architecture[/variant]]`.
    pub platform: String,
    /// `squash`: one layer for all steps.
    pub squash: bool,
    /// `cachefrom`: images whose layers may be reused.
    pub cache_from: Vec<String>,
    /// `extrahosts`: lines for the hosts file.
    pub extra_hosts: Vec<String>,
    /// `securityopt`.
    pub security_opt: Vec<String>,
    /// `ulimits`.
    pub ulimits: Vec<Ulimit>,
    /// `memory`.
    pub memory_bytes: i64,
    /// `memswap`: memory plus swap.
    pub memory_swap_bytes: i64,
    /// `shmsize`.
    pub shm_bytes: i64,
    /// `cpushares`.
    pub cpu_shares: i64,
    /// `cpuperiod`, in microseconds.
    pub cpu_period: i64,
    /// `cpuquota`, in microseconds.
    pub cpu_quota: i64,
    /// `cpusetcpus`.
    pub cpuset_cpus: String,
    /// `cpusetmems`.
    pub cpuset_mems: String,
    /// `cgroupparent`.
    pub cgroup_parent: String,
    /// `isolation`: Windows only.
    pub isolation: String,
    /// `session`: id of a BuildKit session.
    pub session: String,
    /// `buildid`: name under which a build can be cancelled.
    pub build_id: String,
    /// `outputs`: BuildKit exporters, as JSON; kept so that they can be refused.
    pub outputs: String,
    /// `version`.
    pub version: BuilderVersion,
}

/// A query argument that cannot be read; status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildQueryError {
    /// An argument that holds JSON holds something else.
    #[error("error reading {name}: {reason}")]
    BadJson {
        /// What the argument holds, in dockerd's words.
        name: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A builder nobody has.
    #[error("invalid version {0:?}")]
    UnknownBuilder(String),
}

impl BuildQuery {
    /// Reads the decoded arguments of a query, in order; names that are no build option are ignored, as dockerd does.
    ///
    /// # Errors
    /// [`BuildQueryError`] names the argument.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BuildQueryError> {
        let mut query = Self {
            remove: true,
            ..Self::default()
        };
        // Where a name that is no list stands twice, the first counts, as in Go.
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in pairs {
            if matches!(name, "t" | "extrahosts" | "securityopt") || seen.insert(name) {
                query.set(name, value)?;
            }
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), BuildQueryError> {
        match name {
            "t" if !value.is_empty() => self.tags.push(value.to_owned()),
            "q" => self.quiet = truthy(value),
            "nocache" => self.no_cache = truthy(value),
            "rm" => self.remove = value.is_empty() || truthy(value),
            "forcerm" => self.force_remove = truthy(value),
            "pull" => self.pull = truthy(value),
            "squash" => self.squash = truthy(value),
            "buildargs" => self.build_args = json("build args", value)?,
            "labels" => self.labels = json("labels", value)?,
            "cachefrom" => self.cache_from = json("cache-from", value)?,
            "ulimits" => self.ulimits = json("ulimit settings", value)?,
            "extrahosts" => self.extra_hosts.push(value.to_owned()),
            "securityopt" => self.security_opt.push(value.to_owned()),
            "version" => self.version = builder_version(value)?,
            _ => self.set_plain(name, value),
        }
        Ok(())
    }

    fn set_plain(&mut self, name: &str, value: &str) {
        let texts = [
            ("dockerfile", &mut self.dockerfile),
            ("remote", &mut self.remote),
            ("target", &mut self.target),
            ("networkmode", &mut self.network_mode),
            ("platform", &mut self.platform),
            ("cpusetcpus", &mut self.cpuset_cpus),
            ("cpusetmems", &mut self.cpuset_mems),
            ("cgroupparent", &mut self.cgroup_parent),
            ("isolation", &mut self.isolation),
            ("session", &mut self.session),
            ("buildid", &mut self.build_id),
            ("outputs", &mut self.outputs),
        ];
        for (known, field) in texts {
            if known == name {
                value.clone_into(field);
            }
        }
        let numbers = [
            ("memory", &mut self.memory_bytes),
            ("memswap", &mut self.memory_swap_bytes),
            ("shmsize", &mut self.shm_bytes),
            ("cpushares", &mut self.cpu_shares),
            ("cpuperiod", &mut self.cpu_period),
            ("cpuquota", &mut self.cpu_quota),
        ];
        for (known, field) in numbers {
            if known == name {
                // dockerd takes a number it cannot read for zero, which means no limit.
                *field = value.parse().unwrap_or(0);
            }
        }
    }
}

fn json<T: Default + for<'de> Deserialize<'de>>(
    name: &'static str,
    value: &str,
) -> Result<T, BuildQueryError> {
    if value.is_empty() {
        return Ok(T::default());
    }
    let read: Option<T> = serde_json::from_str(value).map_err(|error| BuildQueryError::BadJson {
        name,
        reason: error.to_string(),
    })?;
    Ok(read.unwrap_or_default())
}

fn builder_version(value: &str) -> Result<BuilderVersion, BuildQueryError> {
    match value {
        "" | "1" => Ok(BuilderVersion::Classic),
        "2" => Ok(BuilderVersion::BuildKit),
        other => Err(BuildQueryError::UnknownBuilder(other.to_owned())),
    }
}

/// `aux` of the output line that gives the id of a built image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildResult {
    /// The image's id.
    #[serde(rename = "ID")]
    pub id: String,
}

impl BuildResult {
    /// The output line itself.
    #[must_use]
    pub fn into_line(self) -> ProgressLine {
        ProgressLine {
            aux: Some(serde_json::json!({ "ID": self.id })),
            ..ProgressLine::default()
        }
    }
}

/// Answer to `POST /build/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BuildPruneReport {
    /// Ids of the removed records; null if none.
    pub caches_deleted: Option<Vec<String>>,
    /// Freed bytes.
    pub space_reclaimed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_arguments_are_read() {
        let query = BuildQuery::parse([
            ("t", "a:1"),
            ("t", "b"),
            ("q", "1"),
            ("rm", "0"),
            ("memory", "1048576"),
            ("buildargs", r#"{"A":"1","B":null}"#),
            ("labels", "null"),
            ("target", "final"),
            ("target", "not this one"),
            ("unknown", "x"),
        ])
        .expect("well formed");
        assert_eq!(query.tags, ["a:1", "b"]);
        assert!(query.quiet && !query.remove && !query.no_cache);
        assert_eq!(query.memory_bytes, 1_048_576);
        assert_eq!(query.build_args.get("B"), Some(&None));
        assert_eq!(query.target, "final");
        assert!(BuildQuery::parse([]).expect("nothing").remove);
    }

    #[test]
    fn unreadable_arguments_are_named() {
        let refused = BuildQuery::parse([("buildargs", "[1]")]).expect_err("not a map");
        assert!(matches!(
            refused,
            BuildQueryError::BadJson {
                name: "build args",
                ..
            }
        ));
        let refused = BuildQuery::parse([("version", "3")]).expect_err("no such builder");
        assert_eq!(refused.to_string(), "invalid version \"3\"");
    }
}
