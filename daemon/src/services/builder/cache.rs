//! Steps that were done before, and images of steps that were not.
//!
//! There is no cache beside the images: a step's image is found by its parent, its text in the history and its
//! configuration, as in dockerd.

use crate::services::clock;
use crate::services::images::{Image, LayerAdded};
use docker_api::image_config::{ConfigHistory, ConfigRootFs, ImageConfig, ImageConfigFile, Platform};
use docker_api::timestamps;
use std::sync::Arc;

/// What a step makes.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// The image below; none below the first step of `FROM scratch`.
    pub(super) parent: Option<&'a Image>,
    /// How the step stands in the history.
    pub(super) created_by: &'a str,
    /// The configuration after it.
    pub(super) config: &'a ImageConfig,
    /// `MAINTAINER`.
    pub(super) author: &'a str,
    /// For images without an image below.
    pub(super) platform: &'a Platform,
}

impl Step<'_> {
    /// The newest image that a step of the same kind made on the same image.
    pub(super) fn done(&self, images: &[Arc<Image>]) -> Option<Arc<Image>> {
        let is_done = |image: &&Arc<Image>| {
            let file = &image.config;
            let steps_below = self.parent.map_or(0, |parent| parent.config.history.len());
            image.parent.as_deref() == self.parent.map(|parent| parent.id.as_str())
                && file.history.len() == steps_below + 1
                && file
                    .history
                    .last()
                    .is_some_and(|step| step.created_by == self.created_by)
                && file.config == *self.config
                && file.author == self.author
                && (self.parent.is_some() || image.fits(self.platform))
        };
        let created = |image: &&Arc<Image>| {
            image
                .config
                .created
                .as_deref()
                .and_then(timestamps::parse_rfc3339)
        };
        images.iter().filter(is_done).max_by_key(created).cloned()
    }

    /// The configuration file of the image that the step makes, with its new layer if it made one.
    pub(super) fn file(&self, layer: Option<&LayerAdded>) -> ImageConfigFile {
        let below = self.parent.map(|parent| &parent.config);
        let created = Some(clock::text(clock::now_ns()));
        let mut rootfs = below.map_or_else(ConfigRootFs::default, |below| below.rootfs.clone());
        rootfs.diff_ids.extend(layer.map(|layer| layer.diff_id.clone()));
        let mut history = below.map(|below| below.history.clone()).unwrap_or_default();
        history.push(ConfigHistory {
            created: created.clone(),
            created_by: self.created_by.to_owned(),
            author: self.author.to_owned(),
            comment: String::new(),
            empty_layer: layer.is_none(),
        });
        let (architecture, variant, os) = match below {
            Some(below) => (&below.architecture, &below.variant, &below.os),
            None => (
                &self.platform.architecture,
                &self.platform.variant,
                &self.platform.os,
            ),
        };
        ImageConfigFile {
            created,
            author: self.author.to_owned(),
            architecture: architecture.clone(),
            variant: variant.clone(),
            os: os.clone(),
            os_version: below.map(|below| below.os_version.clone()).unwrap_or_default(),
            config: self.config.clone(),
            rootfs,
            history,
            ..ImageConfigFile::default()
        }
    }
}

/// The text of `COPY` and `ADD` in the history: what was copied stands there as its digest.
pub(super) fn transfer_text(verb: &str, chown: &str, chmod: &str, hash: &str, destination: &str) -> String {
    let option = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!("--{name}={value} "),
    };
    format!(
        "{verb} {}{}{hash} in {destination} ",
        option("chown", chown),
        option("chmod", chmod)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: char, parent: Option<&Image>, created_by: &str, created: &str) -> Arc<Image> {
        let step = ConfigHistory {
            created_by: created_by.to_owned(),
            ..ConfigHistory::default()
        };
        let mut history = parent
            .map(|parent| parent.config.history.clone())
            .unwrap_or_default();
        history.push(step);
        let config = ImageConfigFile {
            created: Some(created.to_owned()),
            os: "linux".to_owned(),
            history,
            ..ImageConfigFile::default()
        };
        Arc::new(Image {
            id: format!("sha256:{}", id.to_string().repeat(64)),
            config_json: String::new(),
            config,
            chain: Vec::new(),
            tags: Vec::new(),
            digests: Vec::new(),
            manifests: Vec::new(),
            parent: parent.map(|parent| parent.id.clone()),
            size_bytes: 0,
            tagged_at_ns: 0,
            tenant: crate::tenants::DEFAULT.to_owned(),
        })
    }

    const OLD: &str = "2026-01-01T00:00:00Z";
    const NEW: &str = "2026-01-01T00:00:00.5Z";

    #[test]
    fn a_step_is_done_where_parent_text_and_configuration_are_the_same() {
        let base = image('a', None, "x", OLD);
        let other = image('b', None, "y", OLD);
        let all = [
            base.clone(),
            other.clone(),
            image('c', Some(&base), "RUN 1", OLD),
            image('d', Some(&base), "RUN 1", NEW),
            image('e', Some(&base), "RUN 2", NEW),
        ];
        let platform = Platform {
            os: "linux".to_owned(),
            ..Platform::default()
        };
        let config = ImageConfig::default();
        let changed = ImageConfig {
            user: "u".to_owned(),
            ..ImageConfig::default()
        };
        let found = |parent: Option<&Image>, created_by: &str, config: &ImageConfig, author: &str| {
            let step = Step {
                parent,
                created_by,
                config,
                author,
                platform: &platform,
            };
            step.done(&all)
                .map(|image| image.id["sha256:".len()..][..1].to_owned())
        };
        assert_eq!(found(Some(&base), "RUN 1", &config, "").as_deref(), Some("d"));
        assert_eq!(found(Some(&base), "RUN 2", &config, "").as_deref(), Some("e"));
        assert_eq!(found(Some(&base), "RUN 3", &config, ""), None);
        assert_eq!(found(Some(&other), "RUN 1", &config, ""), None);
        assert_eq!(found(Some(&base), "RUN 1", &changed, ""), None);
        assert_eq!(found(Some(&base), "RUN 1", &config, "joe"), None);
        assert_eq!(found(None, "x", &config, "").as_deref(), Some("a"));
    }

    #[test]
    fn an_image_is_its_parent_and_one_step_more() {
        let base = image('a', None, "x", OLD);
        let platform = Platform::default();
        let config = ImageConfig {
            user: "u".to_owned(),
            ..ImageConfig::default()
        };
        let step = Step {
            parent: Some(&base),
            created_by: "RUN 1",
            config: &config,
            author: "joe",
            platform: &platform,
        };
        let file = step.file(None);
        assert_eq!(
            (file.os.as_str(), file.author.as_str(), file.config.user.as_str()),
            ("linux", "joe", "u")
        );
        assert_eq!(file.history.len(), 2);
        assert!(file.history[1].empty_layer && file.history[1].created_by == "RUN 1");
    }

    #[test]
    fn transfers_stand_in_the_history_as_in_dockerds() {
        assert_eq!(
            transfer_text("COPY", "", "", "file:ab", "/x"),
            "COPY file:ab in /x "
        );
        assert_eq!(
            transfer_text("COPY", "5:6", "755", "multi:ab", "/d/"),
            "COPY --chown=5:6 --chmod=755 multi:ab in /d/ "
        );
    }
}
