//! What images an archive holds: `manifest.json` of `docker save`, or the index of an OCI layout (image-spec, "Image Layout").
//!
//! Everything that can be checked without unpacking a layer is checked here, before anything is made.

use super::chain;
use super::stream::Source;
use super::tarball::{ArchiveError, Place, Tarball};
use crate::kernel::limits::IMAGE_JSON_BYTES_MAX;
use docker_api::error::LOAD_NO_ROOTFS;
use docker_api::image_config::{
    ArchiveManifestItem, Descriptor, ImageConfigFile, ImageIndex, ImageManifest, Platform, media_type,
};
use docker_api::reference::{Reference, ReferenceError};
use serde::de::DeserializeOwned;

/// Layers of one image: what the Linux host can stack as one overlay; dockerd's own limit is 125.
pub(super) const LAYERS_MAX: usize = 120;
/// Images of one archive. A whole host's images fit.
const IMAGES_MAX: usize = 10_000;
/// Indexes within indexes: one in each archive, one for each image, one to spare.
const INDEX_DEPTH_MAX: usize = 3;
/// Where containerd writes an image's full name.
const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// Where others write a full name, or a tag alone (image-spec, "Annotations").
const REF_NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// Why an archive holds no images that can be loaded. The texts are those of dockerd (28.5) where it has one.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    /// The archive itself.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// JSON that is none, or of another shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A configuration without layers' digests.
    #[error("{LOAD_NO_ROOTFS}")]
    NoRootFs,
    /// Manifest and configuration disagree.
    #[error("invalid manifest, layers length mismatch: expected {listed}, got {digests}")]
    Mismatch {
        /// Layers in the manifest.
        listed: usize,
        /// Digests in the configuration.
        digests: usize,
    },
    /// More layers than [`LAYERS_MAX`].
    #[error("max depth exceeded")]
    TooDeep,
    /// A digest that is none.
    #[error("invalid checksum digest format")]
    DigestFormat,
    /// Content that is not what its digest says.
    #[error("invalid digest for blob: expected {expected:?}, got {got:?}")]
    WrongDigest {
        /// As announced.
        expected: String,
        /// As read.
        got: String,
    },
    /// A name that is none.
    #[error("{0}")]
    Name(#[from] ReferenceError),
    /// A name without a tag.
    #[error("invalid tag {0:?}")]
    NoTag(String),
    /// Content that is no image.
    #[error("unsupported media type {0:?}")]
    MediaType(String),
    /// Indexes within indexes within indexes.
    #[error("too many nested image indexes")]
    Nesting,
    /// More images than [`IMAGES_MAX`].
    #[error("the archive has more than {IMAGES_MAX} images")]
    TooManyImages,
    /// A configuration that is not text.
    #[error("invalid image JSON, it is not UTF-8")]
    NotText,
}

type Result<T> = std::result::Result<T, ManifestError>;

/// One image of an archive.
#[derive(Debug)]
pub(super) struct Listed {
    /// The configuration as it stands in the archive.
    pub(super) config_json: String,
    /// The same, parsed.
    pub(super) config: ImageConfigFile,
    /// The bytes of its layers, lowest first; as many as the configuration has digests.
    pub(super) layers: Vec<Source>,
    /// Names in familiar form.
    pub(super) names: Vec<String>,
    /// The image that it was built on.
    pub(super) parent: Option<String>,
}

/// Lists the images of an archive. Of an image for several platforms, the first fitting one is taken, with `platforms` in
/// order of preference.
///
/// # Errors
/// See [`ManifestError`].
pub(super) fn list(tarball: &Tarball, platforms: &[Platform]) -> Result<Vec<Listed>> {
    if tarball.has("manifest.json") || !tarball.has("index.json") {
        return saved(tarball);
    }
    let index: ImageIndex = json(&tarball.read("index.json", IMAGE_JSON_BYTES_MAX)?)?;
    let mut images = Vec::new();
    for descriptor in &index.manifests {
        let names = annotated_names(descriptor);
        if let Some(manifest) = chosen(tarball, descriptor, platforms, INDEX_DEPTH_MAX)? {
            images.push(oci_image(tarball, &manifest, &names)?);
        }
        check_count(images.len())?;
    }
    Ok(images)
}

fn check_count(images: usize) -> Result<()> {
    if images > IMAGES_MAX {
        Err(ManifestError::TooManyImages)
    } else {
        Ok(())
    }
}

fn saved(tarball: &Tarball) -> Result<Vec<Listed>> {
    let items: Vec<ArchiveManifestItem> = json(&tarball.read("manifest.json", IMAGE_JSON_BYTES_MAX)?)?;
    check_count(items.len())?;
    let image = |item: &ArchiveManifestItem| {
        let mut names = Vec::new();
        for tag in item.repo_tags.iter().flatten() {
            names.push(tagged(tag)?);
        }
        let mut layers = Vec::new();
        for path in &item.layers {
            layers.push(source(tarball, tarball.find(path)?, None));
        }
        let config = tarball.read(&item.config, IMAGE_JSON_BYTES_MAX)?;
        let parent = Some(item.parent.clone()).filter(|parent| !parent.is_empty());
        listed(config, layers, names, parent)
    };
    items.iter().map(image).collect()
}

fn tagged(name: &str) -> Result<String> {
    let reference = Reference::parse(name)?;
    if reference.tag().is_none() || reference.digest().is_some() {
        return Err(ManifestError::NoTag(name.to_owned()));
    }
    Ok(reference.familiar())
}

fn listed(
    config: Vec<u8>,
    layers: Vec<Source>,
    names: Vec<String>,
    parent: Option<String>,
) -> Result<Listed> {
    let loose: serde_json::Value = json(&config)?;
    if loose.get("rootfs").is_none_or(serde_json::Value::is_null) {
        return Err(ManifestError::NoRootFs);
    }
    let config_json = String::from_utf8(config).map_err(|_| ManifestError::NotText)?;
    let config: ImageConfigFile = serde_json::from_str(&config_json)?;
    let digests = config.rootfs.diff_ids.len();
    if layers.len() != digests {
        return Err(ManifestError::Mismatch {
            listed: layers.len(),
            digests,
        });
    }
    if digests > LAYERS_MAX {
        return Err(ManifestError::TooDeep);
    }
    chain::of(&config.rootfs.diff_ids).ok_or(ManifestError::DigestFormat)?;
    Ok(Listed {
        config_json,
        config,
        layers,
        names,
        parent,
    })
}

/// The manifests that a descriptor of an index means: itself, or the best of the index that it names.
fn chosen(
    tarball: &Tarball,
    descriptor: &Descriptor,
    platforms: &[Platform],
    depth: usize,
) -> Result<Option<ImageManifest>> {
    let bytes = blob(tarball, &descriptor.digest)?;
    // Either media type may be left out of the content, but an index has manifests and a manifest has not.
    let content: serde_json::Value = json(&bytes)?;
    if content.get("manifests").is_none() {
        return Ok(Some(json(&bytes)?));
    }
    if depth == 0 {
        return Err(ManifestError::Nesting);
    }
    let index: ImageIndex = json(&bytes)?;
    let images: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|listed| is_for_running(listed))
        .collect();
    let best = platforms
        .iter()
        .find_map(|wanted| images.iter().find(|listed| fits(listed, wanted)));
    // An index without an image for this host is loaded all the same: it can be looked at, and tagged.
    match best.or(images.first()) {
        Some(descriptor) => chosen(tarball, descriptor, platforms, depth - 1),
        None => Ok(None),
    }
}

/// Attestations stand in an index beside the images that they are about.
fn is_for_running(descriptor: &Descriptor) -> bool {
    descriptor
        .platform
        .as_ref()
        .is_none_or(|platform| platform.os != "unknown")
}

fn fits(descriptor: &Descriptor, wanted: &Platform) -> bool {
    let Some(platform) = &descriptor.platform else {
        return false;
    };
    platform.os == wanted.os
        && (wanted.architecture.is_empty() || platform.architecture == wanted.architecture)
        && (wanted.variant.is_empty() || platform.variant == wanted.variant)
}

fn oci_image(tarball: &Tarball, manifest: &ImageManifest, names: &[String]) -> Result<Listed> {
    match manifest.config.media_type.as_str() {
        "" | media_type::OCI_CONFIG | media_type::DOCKER_CONFIG => {}
        other => return Err(ManifestError::MediaType(other.to_owned())),
    }
    let config = blob(tarball, &manifest.config.digest)?;
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let place = tarball.find(&blob_path(&layer.digest)?)?;
        layers.push(source(tarball, place, Some(layer.digest.clone())));
    }
    listed(config, layers, names.to_vec(), None)
}

fn annotated_names(descriptor: &Descriptor) -> Vec<String> {
    let annotation = |key| {
        descriptor
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(key))
    };
    // A tag alone names nothing; such an image is loaded without a name.
    let name = annotation(NAME_ANNOTATION)
        .or_else(|| annotation(REF_NAME_ANNOTATION).filter(|name| name.contains([':', '/'])));
    let name = name
        .and_then(|name| Reference::parse(name).ok())
        .filter(|name| name.digest().is_none());
    name.map(|name| name.with_default_tag().familiar())
        .into_iter()
        .collect()
}

fn blob_path(digest: &str) -> Result<String> {
    let digits = chain::digits(digest).ok_or(ManifestError::DigestFormat)?;
    Ok(format!("blobs/sha256/{digits}"))
}

fn blob(tarball: &Tarball, digest: &str) -> Result<Vec<u8>> {
    let bytes = tarball.read(&blob_path(digest)?, IMAGE_JSON_BYTES_MAX)?;
    let got = chain::digest_of(&bytes);
    if got == digest {
        Ok(bytes)
    } else {
        Err(ManifestError::WrongDigest {
            expected: digest.to_owned(),
            got,
        })
    }
}

fn source(tarball: &Tarball, place: Place, digest: Option<String>) -> Source {
    Source {
        path: tarball.path().to_owned(),
        start: place.start,
        bytes: place.bytes,
        digest,
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::super::spool::Spool;
    use super::super::tests::fake::{OciArchive, SavedImage, TarFile, oci_layout, save, tar_of};
    use super::*;
    use std::io::Write;

    fn listed_in(archive: &[u8]) -> std::result::Result<Vec<Listed>, String> {
        let (spool, mut file) = Spool::create(&std::env::temp_dir()).unwrap();
        file.write_all(archive).unwrap();
        let platform = |os: &str, architecture: &str| Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        };
        let platforms = [platform("freebsd", "amd64"), platform("linux", "amd64")];
        let tarball = Tarball::open(spool.path()).map_err(|error| error.to_string())?;
        list(&tarball, &platforms).map_err(|error| error.to_string())
    }

    fn with_manifest(manifest: &str) -> Vec<u8> {
        tar_of(&[
            TarFile::regular("manifest.json", manifest.as_bytes()),
            TarFile::regular("c.json", b"{}"),
        ])
    }

    #[test]
    fn the_images_of_docker_save_are_listed() {
        let archive = save(&[
            SavedImage::new(&[b"low", b"top"], &["x:1", "docker.io/library/y:2"]),
            SavedImage::new(&[], &[]),
        ]);
        let images = listed_in(&archive).unwrap();
        assert_eq!(images[0].names, ["x:1", "y:2"]);
        assert_eq!(images[0].layers.len(), 2);
        assert!(images[1].layers.is_empty() && images[1].names.is_empty());
    }

    #[test]
    fn hostile_manifests_are_refused_in_dockerds_words() {
        let mut fewer = SavedImage::new(&[b"a", b"b"], &[]);
        fewer.listed_layers = 1;
        let bad_diff = SavedImage::new(&[b"a"], &[]).with_diff_ids(&["sha256:../../x"]);
        let item = |text: &str| with_manifest(&format!("[{text}]"));
        let layers = ["\"l\""; LAYERS_MAX + 1].join(",");
        for (archive, words) in [
            (tar_of(&[]), "open manifest.json: no such file or directory"),
            (Vec::new(), "open manifest.json: no such file or directory"),
            (
                item(r#"{"Config":"none.json"}"#),
                "open none.json: no such file or directory",
            ),
            (
                item(r#"{"Config":"../../etc/passwd"}"#),
                "invalid entry name \"../../etc/passwd\"",
            ),
            (
                item(r#"{"Config":"c.json"}"#),
                "invalid image JSON, no RootFS key",
            ),
            (
                item(r#"{"Config":"c.json","Layers":["../x"]}"#),
                "invalid entry name \"../x\"",
            ),
            (
                item(r#"{"Config":"c.json","Layers":["l"]}"#),
                "open l: no such file or directory",
            ),
            (
                item(r#"{"Config":"c.json","RepoTags":["x"]}"#),
                "invalid tag \"x\"",
            ),
            (
                item(r#"{"Config":"c.json","RepoTags":["X Y"]}"#),
                "invalid reference format: repository name (library/X Y) must be lowercase",
            ),
            (
                save(&[fewer]),
                "invalid manifest, layers length mismatch: expected 1, got 2",
            ),
            (save(&[bad_diff]), "invalid checksum digest format"),
            (
                save(&[SavedImage::new(&[b"a".as_slice(); LAYERS_MAX + 1], &[])]),
                "max depth exceeded",
            ),
        ] {
            assert_eq!(listed_in(&archive).unwrap_err(), words);
        }
        assert!(listed_in(&with_manifest("zz")).is_err());
        assert!(listed_in(&item(&format!(r#"{{"Config":5,"Layers":[{layers}]}}"#))).is_err());
    }

    #[test]
    fn a_layer_listed_twice_is_two_layers() {
        let images = listed_in(&save(&[SavedImage::new(&[b"a", b"a"], &["x:1"])])).unwrap();
        assert_eq!(
            images[0].config.rootfs.diff_ids[0],
            images[0].config.rootfs.diff_ids[1]
        );
        assert_eq!(images[0].layers.len(), 2);
    }

    #[test]
    fn of_an_oci_index_the_hosts_own_image_is_taken() {
        let archive = OciArchive {
            name: Some("example.com/x:1"),
            platforms: &[
                ("linux", "arm64"),
                ("linux", "amd64"),
                ("freebsd", "amd64"),
                ("unknown", "unknown"),
            ],
            is_damaged: false,
        };
        let images = listed_in(&oci_layout(&archive)).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(
            (
                images[0].config.os.as_str(),
                images[0].config.architecture.as_str()
            ),
            ("freebsd", "amd64")
        );
        assert_eq!(images[0].names, ["example.com/x:1"]);
        assert!(images[0].layers[0].digest.is_some());
    }

    #[test]
    fn an_oci_tag_alone_is_no_name_and_a_wrong_digest_is_refused() {
        let one = OciArchive {
            name: Some("latest"),
            platforms: &[("linux", "riscv64")],
            is_damaged: false,
        };
        let images = listed_in(&oci_layout(&one)).unwrap();
        assert!(images[0].names.is_empty());
        let damaged = OciArchive {
            is_damaged: true,
            ..one
        };
        let refused = listed_in(&oci_layout(&damaged)).unwrap_err();
        assert!(
            refused.starts_with("invalid digest for blob: expected \"sha256:"),
            "{refused}"
        );
    }
}
