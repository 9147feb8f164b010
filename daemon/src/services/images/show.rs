//! `docker inspect` and `docker history` of an image.

use super::Image;
use super::list::created;
use super::state::State;
use super::verbs::Images;
use crate::services::{Failure, clock};
use docker_api::images::{HistoryItem, ImageInspect, ImageMetadata, RootFs};
use docker_api::inspect::GraphDriver;
use docker_api::timestamps;
use protocol::Principal;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What stands for the image of a step that has none here.
const MISSING: &str = "<missing>";

impl Images {
    /// Everything about an image, as the newest API version shows it; the storage driver's name is the edge's to add.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub async fn inspect(&self, by: &Principal, wanted: &str) -> Result<ImageInspect, Failure> {
        Ok(inspect(&*self.find(by, wanted).await?))
    }

    /// The steps that an image was made in, newest first.
    ///
    /// # Errors
    /// As [`Images::find`], or [`Failure::System`] where the configuration tells of more layers than it has.
    pub async fn history(&self, by: &Principal, wanted: &str) -> Result<Vec<HistoryItem>, Failure> {
        let view = self.seen(by).await?;
        history(&view, &*view.find(wanted)?)
    }
}

fn inspect(image: &Image) -> ImageInspect {
    let config = &image.config;
    ImageInspect {
        id: image.id.clone(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        parent: image.parent.clone().unwrap_or_default(),
        comment: config.comment.clone(),
        created: created(image).map(timestamps::rfc3339_nano).unwrap_or_default(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: Some(config.config.clone().into()),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        size: image.size_bytes as i64,
        graph_driver: GraphDriver {
            data: Some(BTreeMap::new()),
            name: String::new(),
        },
        root_fs: RootFs {
            kind: "layers".to_owned(),
            layers: Some(config.rootfs.diff_ids.clone()).filter(|layers| !layers.is_empty()),
        },
        metadata: ImageMetadata {
            last_tag_time: clock::text(image.tagged_at_ns),
        },
        ..ImageInspect::default()
    }
}

fn history(state: &State, image: &Image) -> Result<Vec<HistoryItem>, Failure> {
    let mut chain = image.chain.iter();
    let mut steps = Vec::new();
    for step in &image.config.history {
        let size_bytes = if step.empty_layer {
            0
        } else {
            let too_many = || Failure::System("too many non-empty layers in History section".to_owned());
            let layer = chain.next().ok_or_else(too_many)?;
            state.layer(layer).map_or(0, |layer| layer.size_bytes)
        };
        let made = step.created.as_deref().and_then(timestamps::parse_rfc3339);
        steps.push(HistoryItem {
            comment: step.comment.clone(),
            created: made.map_or(0, OffsetDateTime::unix_timestamp),
            created_by: step.created_by.clone(),
            id: MISSING.to_owned(),
            size: size_bytes as i64,
            tags: None,
        });
    }
    steps.reverse();
    // The newest step is the image itself, the one before it the image that this one was built on, and so on.
    let mut of = Some(image);
    for step in &mut steps {
        let Some(image) = of else { break };
        step.id.clone_from(&image.id);
        step.tags = Some(image.tags.clone()).filter(|tags| !tags.is_empty());
        of = image
            .parent
            .as_ref()
            .and_then(|parent| state.image(parent))
            .map(|parent| &**parent);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::super::state::Layer;
    use super::super::tables::Tables;
    use super::super::tests::fake::image;
    use super::*;
    use docker_api::image_config::ConfigHistory;

    #[test]
    fn inspect_of_a_loaded_image_is_dockerds() {
        let mut image = image('a', &["x:1"]);
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["/x"]},"created":"2025-01-02T03:04:05Z",
            "rootfs":{"type":"layers","diff_ids":["sha256:de"]}}"#;
        image.config = serde_json::from_str(text).unwrap();
        image.size_bytes = 100_001;
        let expected = format!(
            "{{\"Id\":\"{}\",\"RepoTags\":[\"x:1\"],\"RepoDigests\":[],\"Parent\":\"\",\"Comment\":\"\",\
             \"Created\":\"2025-01-02T03:04:05Z\",\"DockerVersion\":\"\",\"Author\":\"\",\"Config\":{{\"User\":\"\",\
             \"Env\":null,\"Entrypoint\":null,\"Cmd\":[\"/x\"],\"Volumes\":null,\"WorkingDir\":\"\",\"Labels\":null,\
             \"OnBuild\":null}},\"Architecture\":\"amd64\",\"Os\":\"linux\",\"Size\":100001,\
             \"GraphDriver\":{{\"Data\":{{}},\"Name\":\"\"}},\
             \"RootFS\":{{\"Type\":\"layers\",\"Layers\":[\"sha256:de\"]}},\
             \"Metadata\":{{\"LastTagTime\":\"0001-01-01T00:00:00Z\"}}}}",
            image.id
        );
        assert_eq!(serde_json::to_string(&inspect(&image)).unwrap(), expected);
    }

    #[test]
    fn history_names_sizes_of_layers_and_ids_of_parents() {
        let step = |created_by: &str, empty_layer: bool| ConfigHistory {
            created_by: created_by.to_owned(),
            empty_layer,
            ..ConfigHistory::default()
        };
        let layer = |chain: &str, size_bytes| Layer {
            chain: chain.to_owned(),
            parent: None,
            diff: String::new(),
            size_bytes,
        };
        let mut base = image('a', &["base:1"]);
        base.chain = vec!["low".to_owned()];
        let mut top = image('b', &["top:1"]);
        top.parent = Some(base.id.clone());
        top.chain = vec!["low".to_owned(), "high".to_owned()];
        top.config.history = vec![step("one", false), step("two", true), step("three", false)];
        let tables = Tables::new(
            vec![base.clone(), top.clone()],
            vec![layer("low", 7), layer("high", 3)],
        );
        let state = tables.seen_by(crate::tenants::DEFAULT);
        let shown: Vec<(String, i64, String)> = history(&state, &top)
            .unwrap()
            .into_iter()
            .map(|item| (item.created_by, item.size, item.id))
            .collect();
        let expected = [
            ("three", 3, top.id.as_str()),
            ("two", 0, base.id.as_str()),
            ("one", 7, MISSING),
        ];
        assert_eq!(
            shown,
            expected.map(|(by, size, id)| (by.to_owned(), size, id.to_owned()))
        );
        top.config.history.push(step("four", false));
        assert!(history(&state, &top).is_err());
    }
}
