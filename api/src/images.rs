//! Images: list, inspect, history, delete, search, prune, and the progress lines of pull, push, load and import.
//!
//! What lies inside image archives and registries is in [`crate::image_config`].

use crate::containers::{ContainerConfig, HealthConfig, JsonSet};
use crate::image_config::Descriptor;
use crate::inspect::GraphDriver;
use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One entry of `GET /images/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageSummary {
    /// Containers made from it; -1 unless asked for.
    pub containers: i64,
    /// Unix time in seconds.
    pub created: i64,
    /// The image's id.
    pub id: String,
    /// Labels of its configuration; null if it has none.
    pub labels: Option<BTreeMap<String, String>>,
    /// The image it was built on here; else empty.
    pub parent_id: String,
    /// Only with a content store (API 1.48).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// `name@digest` of every pull; empty if none.
    #[serde(deserialize_with = "null::or_default")]
    pub repo_digests: Vec<String>,
    /// `name:tag` of every tag; empty if none.
    #[serde(deserialize_with = "null::or_default")]
    pub repo_tags: Vec<String>,
    /// Bytes shared with other images; -1 unless asked for.
    pub shared_size: i64,
    /// Bytes, unpacked.
    pub size: i64,
    /// Same as `Size`; only before API 1.44.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub virtual_size: i64,
}

/// Answer to `GET /images/{name}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageInspect {
    /// The image's id.
    pub id: String,
    /// `name:tag` of every tag; empty if none.
    pub repo_tags: Vec<String>,
    /// `name@digest` of every pull; empty if none.
    pub repo_digests: Vec<String>,
    /// The image it was built on here; else empty.
    pub parent: String,
    /// From commit, import or the last build step.
    pub comment: String,
    /// RFC 3339; left out if unknown (before API 1.44 the zero time is written).
    #[serde(skip_serializing_if = "null::is_zero")]
    pub created: String,
    /// The container it was committed from; only below API 1.45.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub container: String,
    /// That container's configuration; only below API 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,
    /// The version it was built with; may be empty.
    pub docker_version: String,
    /// Maintainer.
    pub author: String,
    /// What containers of it run.
    pub config: Option<ImageInspectConfig>,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// Processor variant.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub variant: String,
    /// `freebsd`, `linux`.
    pub os: String,
    /// Windows build.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub os_version: String,
    /// Bytes, unpacked.
    pub size: i64,
    /// Same as `Size`; only before API 1.44.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub virtual_size: i64,
    /// Where its top layer is.
    pub graph_driver: GraphDriver,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// Facts of this host.
    pub metadata: ImageMetadata,
    /// Only with a content store (API 1.48).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
}

/// `Config` of image inspect: [`crate::image_config::ImageConfig`] with the fields dockerd writes although they are unset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageInspectConfig {
    /// User (and group) to run as.
    #[serde(deserialize_with = "null::or_default")]
    pub user: String,
    /// Ports the program listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<JsonSet>,
    /// Environment, `NAME=value`.
    pub env: Option<Vec<String>>,
    /// Program in front of `Cmd`.
    #[serde(deserialize_with = "null::strings")]
    pub entrypoint: Option<Vec<String>>,
    /// Command, or arguments of the entrypoint.
    #[serde(deserialize_with = "null::strings")]
    pub cmd: Option<Vec<String>>,
    /// Paths that become anonymous volumes.
    pub volumes: Option<JsonSet>,
    /// Working directory.
    #[serde(deserialize_with = "null::or_default")]
    pub working_dir: String,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Signal that asks the program to stop.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub stop_signal: String,
    /// Windows only.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub args_escaped: bool,
    /// How to see that the program is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Build triggers.
    pub on_build: Option<Vec<String>>,
    /// Shell for commands given as text.
    #[serde(deserialize_with = "null::strings", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Set below API 1.50, which dropped these fields.
    #[serde(flatten)]
    pub before_1_50: Option<LegacyConfigFields>,
}

/// Fields of a container that image inspect showed with their zero values below API 1.50.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LegacyConfigFields {
    /// Always empty.
    pub hostname: String,
    /// Always empty.
    pub domainname: String,
    /// Always empty.
    pub image: String,
    /// Always false.
    pub attach_stdin: bool,
    /// Always false.
    pub attach_stdout: bool,
    /// Always false.
    pub attach_stderr: bool,
    /// Always false.
    pub tty: bool,
    /// Always false.
    pub open_stdin: bool,
    /// Always false.
    pub stdin_once: bool,
}

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "Type", skip_serializing_if = "null::is_zero")]
    pub kind: String,
    /// Digests of the unpacked layers, lowest first; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
}

/// Facts about an image on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageMetadata {
    /// When it was last tagged here; Go's zero time if never.
    pub last_tag_time: String,
}

/// One entry of `GET /images/{name}/history`, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HistoryItem {
    /// Comment of the step.
    pub comment: String,
    /// Unix time in seconds.
    pub created: i64,
    /// The step.
    pub created_by: String,
    /// The image's id on the first entry; `<missing>` where no image is known.
    pub id: String,
    /// Bytes the step added.
    pub size: i64,
    /// Tags of that image; null if none.
    pub tags: Option<Vec<String>>,
}

/// One entry of the answer to `DELETE /images/{name}` and of image prune: one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeleteItem {
    /// Id of a removed image or layer chain.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub deleted: String,
    /// The tag or digest that was taken off.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub untagged: String,
}

impl DeleteItem {
    /// An image went.
    #[must_use]
    pub fn deleted(id: impl Into<String>) -> Self {
        Self {
            deleted: id.into(),
            untagged: String::new(),
        }
    }

    /// A reference went.
    #[must_use]
    pub fn untagged(reference: impl Into<String>) -> Self {
        Self {
            deleted: String::new(),
            untagged: reference.into(),
        }
    }
}

/// Answer to `POST /images/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImagesPruneReport {
    /// What was removed; null if nothing.
    pub images_deleted: Option<Vec<DeleteItem>>,
    /// Freed bytes.
    pub space_reclaimed: u64,
}

/// One entry of `GET /images/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    /// Stars.
    pub star_count: i64,
    /// An official image.
    pub is_official: bool,
    /// The repository.
    pub name: String,
    /// Always false.
    pub is_automated: bool,
    /// What it is.
    pub description: String,
}

/// One line of the streams that pull, push, load, import and build answer; unset fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressLine {
    /// Output of a build step, with its own newlines.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub stream: String,
    /// What is going on.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub status: String,
    /// How far it is; an empty object on the lines of a pull that count nothing.
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// The same as a bar for people.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub progress: String,
    /// What it is about: a short layer id, or a tag.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub id: String,
    /// Set on the last line of a stream that failed.
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// The same text again, for old clients.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub error: String,
    /// For programs: `{"ID": …}` after a build, tag, digest and size after a push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

impl ProgressLine {
    /// A line about nothing in particular.
    #[must_use]
    pub fn status(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            ..Self::default()
        }
    }

    /// A line about one layer or tag.
    #[must_use]
    pub fn about(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            status: status.into(),
            progress_detail: Some(ProgressDetail::default()),
            ..Self::default()
        }
    }

    /// Output of a build step.
    #[must_use]
    pub fn stream(text: impl Into<String>) -> Self {
        Self {
            stream: text.into(),
            ..Self::default()
        }
    }

    /// The last line of a stream that failed after its status 200 was sent.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: message.clone(),
            error_detail: Some(ErrorDetail { code: 0, message }),
            ..Self::default()
        }
    }

    /// The line as sent: JSON, then the two bytes dockerd ends every line with.
    #[must_use]
    pub fn to_line(&self) -> String {
        // PANIC: strings, numbers and JSON values with text keys always serialize.
        #[expect(clippy::expect_used, reason = "plain data always serializes")]
        let mut line = serde_json::to_string(self).expect("plain data");
        line.push_str("\r\n");
        line
    }
}

/// How far an operation is; an empty object if that is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Done so far.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub current: i64,
    /// All of it.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub total: i64,
    /// Do not show the numbers.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub hidecounts: bool,
    /// Unit of the numbers; empty means bytes.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub units: String,
}

/// Why a stream failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    /// Exit code of a failed build step.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub code: i64,
    /// For people.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_leave_unset_fields_out() {
        assert_eq!(
            ProgressLine::status("Pulling").to_line(),
            "{\"status\":\"Pulling\"}\r\n"
        );
        assert_eq!(
            ProgressLine::about("ab12", "Waiting").to_line(),
            "{\"status\":\"Waiting\",\"progressDetail\":{},\"id\":\"ab12\"}\r\n"
        );
        assert_eq!(
            ProgressLine::error("no space").to_line(),
            "{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}\r\n"
        );
    }
}
