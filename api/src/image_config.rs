//! What lies inside image archives and registries: configuration file, manifests, indexes.
//!
//! Reading is tolerant where real images demand it. The official FreeBSD images write the key `cmd` in lower case,
//! which Go accepts, and the smallest of them have no `config` object at all.

use crate::containers::{HealthConfig, JsonSet};
use crate::null;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media types this daemon reads and writes.
pub mod media_type {
    /// An image index of the OCI specification.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image manifest of the OCI specification.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image configuration of the OCI specification.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A plain layer.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer compressed with gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer compressed with zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's compressed layer.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// What containers of an image run: `config` of the configuration file. Unset fields are left out.
///
/// Image inspect shows it as [`crate::images::ImageInspectConfig`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// User (and group) to run as.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub user: String,
    /// Ports the program listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<JsonSet>,
    /// Environment, `NAME=value`.
    #[serde(alias = "env", skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Program in front of `Cmd`.
    #[serde(
        alias = "entrypoint",
        deserialize_with = "null::strings",
        skip_serializing_if = "Option::is_none"
    )]
    pub entrypoint: Option<Vec<String>>,
    /// Command, or arguments of the entrypoint.
    #[serde(
        alias = "cmd",
        deserialize_with = "null::strings",
        skip_serializing_if = "Option::is_none"
    )]
    pub cmd: Option<Vec<String>>,
    /// Paths that become anonymous volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<JsonSet>,
    /// Working directory.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub working_dir: String,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Shell for commands given as text.
    #[serde(deserialize_with = "null::strings", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// The configuration file of an image; its SHA-256 digest is the image's id.
///
/// Printing it back does not give the same bytes (fields of old builders are dropped), so whoever must keep the id keeps the bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfigFile {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Maintainer.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub author: String,
    /// `amd64`, `arm64`, …
    #[serde(deserialize_with = "null::or_default")]
    pub architecture: String,
    /// Processor variant.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub variant: String,
    /// `freebsd`, `linux`.
    #[serde(deserialize_with = "null::or_default")]
    pub os: String,
    /// Windows build.
    #[serde(
        rename = "os.version",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub os_version: String,
    /// The version it was built with.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub docker_version: String,
    /// Comment of a commit or import.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub comment: String,
    /// What containers of it run; left out if nothing is set.
    #[serde(
        alias = "Config",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub config: ImageConfig,
    /// Its layers.
    #[serde(deserialize_with = "null::or_default")]
    pub rootfs: ConfigRootFs,
    /// Its steps, oldest first.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ConfigHistory>,
}

/// The layers of an image, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigRootFs {
    /// Always `layers`.
    #[serde(rename = "type", deserialize_with = "null::or_default")]
    pub kind: String,
    /// Digests of the unpacked layers.
    #[serde(deserialize_with = "null::or_default")]
    pub diff_ids: Vec<String>,
}

impl Default for ConfigRootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One step of an image's making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigHistory {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The step.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub created_by: String,
    /// Maintainer.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub author: String,
    /// Comment.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub comment: String,
    /// The step added no layer.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub empty_layer: bool,
}

/// Points at content: a manifest, a configuration or a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Descriptor {
    /// What it is, see [`media_type`].
    #[serde(rename = "mediaType", deserialize_with = "null::or_default")]
    pub media_type: String,
    /// `sha256:` and 64 digits.
    #[serde(deserialize_with = "null::or_default")]
    pub digest: String,
    /// Bytes.
    #[serde(deserialize_with = "null::or_default")]
    pub size: i64,
    /// Where else it can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// Metadata, such as `org.opencontainers.image.ref.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The content itself in base64, if small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// In an index: what the manifest is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Kind of an artifact that is no image.
    #[serde(
        rename = "artifactType",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub artifact_type: String,
}

/// Operating system and processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    #[serde(deserialize_with = "null::or_default")]
    pub architecture: String,
    /// `freebsd`, `linux`.
    #[serde(deserialize_with = "null::or_default")]
    pub os: String,
    /// Windows build.
    #[serde(
        rename = "os.version",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub os_version: String,
    /// Windows features.
    #[serde(rename = "os.features", skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
    /// Processor variant.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub variant: String,
}

/// An image manifest, of the OCI specification or Docker's schema 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageManifest {
    /// Always 2.
    #[serde(rename = "schemaVersion", deserialize_with = "null::or_default")]
    pub schema_version: u32,
    /// May be left out in OCI manifests.
    #[serde(
        rename = "mediaType",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub media_type: String,
    /// Kind of an artifact that is no image.
    #[serde(
        rename = "artifactType",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub artifact_type: String,
    /// The configuration file.
    #[serde(deserialize_with = "null::or_default")]
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "null::or_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest this one is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// An image index or Docker's manifest list; also `index.json` of an OCI layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageIndex {
    /// Always 2.
    #[serde(rename = "schemaVersion", deserialize_with = "null::or_default")]
    pub schema_version: u32,
    /// May be left out in OCI indexes.
    #[serde(
        rename = "mediaType",
        deserialize_with = "null::or_default",
        skip_serializing_if = "null::is_zero"
    )]
    pub media_type: String,
    /// One per platform.
    #[serde(deserialize_with = "null::or_default")]
    pub manifests: Vec<Descriptor>,
    /// Metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The file `oci-layout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OciLayout {
    /// Always `1.0.0`.
    #[serde(rename = "imageLayoutVersion", deserialize_with = "null::or_default")]
    pub image_layout_version: String,
}

/// One entry of `manifest.json` in the archives of `docker save`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ArchiveManifestItem {
    /// Path of the configuration file in the archive.
    #[serde(deserialize_with = "null::or_default")]
    pub config: String,
    /// `name:tag` to give to the image.
    pub repo_tags: Option<Vec<String>>,
    /// Paths of the layers in the archive, lowest first.
    #[serde(deserialize_with = "null::or_default")]
    pub layers: Vec<String>,
    /// The image it was built on.
    #[serde(deserialize_with = "null::or_default", skip_serializing_if = "null::is_zero")]
    pub parent: String,
    /// Descriptors by layer digest (since 25.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_sources: Option<BTreeMap<String, Descriptor>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_case_cmd_is_read() {
        let read: ImageConfigFile = serde_json::from_str(
            r#"{"architecture":"amd64","os":"freebsd","config":{"cmd":["/bin/sh"]},
                "rootfs":{"type":"layers","diff_ids":["sha256:aa"]}}"#,
        )
        .expect("a FreeBSD image");
        assert_eq!(read.config.cmd.as_deref(), Some(&["/bin/sh".to_owned()][..]));
        assert_eq!(read.rootfs.diff_ids, ["sha256:aa"]);
    }

    #[test]
    fn a_missing_config_object_means_an_empty_one() {
        for text in [
            r#"{"architecture":"amd64","os":"freebsd","rootfs":{"type":"layers","diff_ids":[]}}"#,
            r#"{"architecture":"amd64","os":"freebsd","config":null,"rootfs":{"diff_ids":null},"history":null}"#,
        ] {
            let read: ImageConfigFile = serde_json::from_str(text).expect("tolerant");
            assert_eq!(read.config, ImageConfig::default());
            assert!(read.rootfs.diff_ids.is_empty());
        }
    }

    #[test]
    fn a_config_of_the_wrong_type_is_an_error() {
        assert!(serde_json::from_str::<ImageConfigFile>(r#"{"config":[]  ,"rootfs":5}"#).is_err());
        assert!(serde_json::from_str::<ImageConfigFile>(r#"{"rootfs":{"diff_ids":"sha256:aa"}}"#).is_err());
    }

    #[test]
    fn a_manifest_json_prints_back() {
        let text =
            r#"[{"Config":"blobs/sha256/ab","RepoTags":["busybox:latest"],"Layers":["blobs/sha256/cd"]}]"#;
        let read: Vec<ArchiveManifestItem> = serde_json::from_str(text).expect("an archive's manifest");
        assert_eq!(serde_json::to_string(&read).expect("plain data"), text);
    }
}
