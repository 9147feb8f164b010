//! `GET /system/df` and the sizes of containers.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::volumes;
use crate::services::Failure;
use crate::services::containers::list::summary;
use crate::services::images::{ListWish, Sharing};
use axum::Router;
use axum::extract::{Extension, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use docker_api::containers::ContainerSummary;
use docker_api::images::ImageSummary;
use docker_api::system::DiskUsage;
use docker_api::version::ApiVersion;
use docker_api::volumes::{Volume, VolumeUsage};
use protocol::Principal;

/// From this version on a client may ask for some kinds of objects only.
const ASKS_FOR_KINDS: ApiVersion = ApiVersion::new(1, 42);

/// Before this version images have a size under another name too.
const NO_VIRTUAL_SIZE: ApiVersion = ApiVersion::new(1, 44);

/// The kinds of objects that can be asked for.
const KINDS: [&str; 4] = ["build-cache", "container", "image", "volume"];

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/system/df", get(disk_usage))
}

async fn disk_usage(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let mut asked: Vec<&str> = pairs
        .iter()
        .filter(|(key, _)| key == "type" && version >= ASKS_FOR_KINDS)
        .map(|(_, kind)| kind.as_str())
        .collect();
    if let Some(unknown) = asked.iter().find(|kind| !KINDS.contains(kind)) {
        return Err(ApiError::bad_request(format!("unknown object type: {unknown}")));
    }
    if asked.is_empty() {
        asked = KINDS.to_vec();
    }
    let mut usage = DiskUsage::default();
    if asked.contains(&"image") {
        usage.layers_size = i64::try_from(state.images.layers_bytes(&by).await?).unwrap_or(i64::MAX);
        usage.images = Some(images(&state, &by, version).await?);
    }
    if asked.contains(&"container") {
        usage.containers = Some(containers(&state, &by).await?);
    }
    if asked.contains(&"volume") {
        usage.volumes = Some(volumes_of(&state, &by).await);
    }
    if asked.contains(&"build-cache") {
        // Steps of the classic builder are images; there is no cache beside them.
        usage.build_cache = Some(Vec::new());
    }
    Ok(json(StatusCode::OK, &usage))
}

async fn images(state: &State, by: &Principal, version: ApiVersion) -> Result<Vec<ImageSummary>, Failure> {
    let wish = ListWish {
        sharing: Sharing::Counted,
        users: Some(super::images::users(state, by).await?),
        ..ListWish::default()
    };
    let mut images = state.images.list(by, &wish).await?;
    if version < NO_VIRTUAL_SIZE {
        for image in &mut images {
            image.virtual_size = image.size;
        }
    }
    Ok(images)
}

async fn containers(state: &State, by: &Principal) -> Result<Vec<ContainerSummary>, Failure> {
    let mut all = state.containers.all(by).await?;
    all.sort_by_key(|container| std::cmp::Reverse(container.created_ns));
    let mut shown = Vec::with_capacity(all.len());
    for container in all {
        let image = super::containers::shown_image(state, by, &container).await;
        let sizes = state.containers.sizes(by, &container).await;
        shown.push(ContainerSummary {
            size_rw: sizes.written_bytes,
            size_root_fs: sizes.all_bytes,
            ..summary(&container, image)
        });
    }
    Ok(shown)
}

async fn volumes_of(state: &State, by: &Principal) -> Vec<Volume> {
    let unknown = -1;
    let shown = |usage: crate::services::volumes::Usage| Volume {
        usage_data: Some(VolumeUsage {
            ref_count: i64::try_from(usage.references).unwrap_or(unknown),
            size: usage
                .size_bytes
                .and_then(|bytes| i64::try_from(bytes).ok())
                .unwrap_or(unknown),
        }),
        ..volumes::shown(state, &usage.volume)
    };
    state.volumes.usage(by).await.into_iter().map(shown).collect()
}
