//! `Mounts` of `HostConfig`: one mount in long form (`--mount`).

use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One wished mount. dockerd leaves out every unset field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, `image`, `cluster` or `npipe`.
    #[serde(
        rename = "Type",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub kind: String,
    /// Host path, volume name or image; empty for an anonymous volume.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub source: String,
    /// Absolute path inside.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub target: String,
    /// Mount read-only.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub read_only: bool,
    /// `consistent`, `cached`, `delegated` or `default`; without effect except on Docker Desktop.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub consistency: String,
    /// Only for `bind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// Only for `volume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// Only for `image` (API 1.47).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// Only for `tmpfs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    /// Only for `cluster`; kept so that it can be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<serde_json::Value>,
}

/// Options of a bind mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BindOptions {
    /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub propagation: String,
    /// Leave submounts out.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub non_recursive: bool,
    /// Create the source if it is missing.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub create_mountpoint: bool,
    /// Make only the mount itself read-only (API 1.44).
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub read_only_non_recursive: bool,
    /// Fail unless submounts can be made read-only too (API 1.44).
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub read_only_force_recursive: bool,
}

/// Options of a volume mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeOptions {
    /// Do not fill an empty volume from the image.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub no_copy: bool,
    /// Labels of a volume created on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Path inside the volume (API 1.45).
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub subpath: String,
    /// Driver of a volume created on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<MountDriver>,
}

/// Options of an image mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageOptions {
    /// Path inside the image (API 1.48).
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub subpath: String,
}

/// A volume driver and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MountDriver {
    /// Name of the driver.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<BTreeMap<String, String>>,
}

/// Options of a memory file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TmpfsOptions {
    /// Size in bytes; 0 is the kernel's default.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub size_bytes: i64,
    /// Permission bits of its root.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub mode: u32,
    /// Further mount options, each one word or a name and a value (API 1.46).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<Vec<String>>>,
}
