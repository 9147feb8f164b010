//! Volumes: list, inspect, create, prune.

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A volume in inspect, list and the answer to create.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    /// When it was made (RFC 3339, whole seconds).
    #[serde(skip_serializing_if = "null::is_zero")]
    pub created_at: String,
    /// Driver, normally `local`.
    pub driver: String,
    /// Labels; null if created without any.
    pub labels: Option<BTreeMap<String, String>>,
    /// Directory on the host.
    pub mountpoint: String,
    /// The volume's name.
    pub name: String,
    /// Driver options; null if created without any.
    pub options: Option<BTreeMap<String, String>>,
    /// `local` or `global`.
    pub scope: String,
    /// Low-level facts from the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<BTreeMap<String, serde_json::Value>>,
    /// Only in `GET /system/df`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<VolumeUsage>,
}

/// Size and use of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeUsage {
    /// Number of containers that refer to it; -1 if unknown.
    pub ref_count: i64,
    /// Bytes; -1 if unknown.
    pub size: i64,
}

/// Answer to `GET /volumes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeList {
    /// The volumes. dockerd writes null for none up to API 1.51 if the filter left nothing.
    pub volumes: Option<Vec<Volume>>,
    /// What could not be listed.
    pub warnings: Option<Vec<String>>,
}

/// Body of `POST /volumes/create`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeCreateRequest {
    /// Wished name; empty for an anonymous volume with a random one.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub name: String,
    /// Driver; empty means `local`.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub driver: String,
    /// Driver options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Swarm only; kept so that it can be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_volume_spec: Option<serde_json::Value>,
}

/// Answer to `POST /volumes/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumesPruneReport {
    /// Names of the removed volumes.
    pub volumes_deleted: Option<Vec<String>>,
    /// Freed bytes.
    pub space_reclaimed: u64,
}
