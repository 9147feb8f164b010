//! `/_ping`, `/version`, `/info`.

use super::State;
use super::body::{empty, json, with_type};
use super::error::ApiError;
use crate::services::containers::Phase;
use crate::services::containers::inspect::driver_name;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use docker_api::system::{ComponentVersion, Info, SwarmInfo, Version, VersionPlatform};
use docker_api::version::ApiVersion;
use protocol::Principal;
use std::collections::BTreeMap;

/// The version that is reported.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/_ping", get(ping).head(ping_head))
        .route("/version", get(version))
        .route("/info", get(info))
}

async fn ping() -> Response {
    ping_headers(with_type(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::from("OK"),
    ))
}

async fn ping_head() -> Response {
    ping_headers(empty(StatusCode::OK))
}

fn ping_headers(mut response: Response) -> Response {
    let fixed = [
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        // 1 is the classic builder: the only one here.
        ("builder-version", "1"),
        ("swarm", "inactive"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
        .headers_mut()
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The processor's name as Go, and so Docker, has it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn version(Shared(state): Shared<State>) -> Response {
    let kernel = state
        .host()
        .map(|facts| facts.release.as_str().to_owned())
        .unwrap_or_default();
    let details = BTreeMap::from([
        ("ApiVersion".to_owned(), ApiVersion::MAX.to_string()),
        ("Arch".to_owned(), architecture().to_owned()),
        ("Experimental".to_owned(), "false".to_owned()),
        ("KernelVersion".to_owned(), kernel.clone()),
        ("MinAPIVersion".to_owned(), ApiVersion::MIN.to_string()),
        ("Os".to_owned(), state.os_type()),
    ]);
    let engine = ComponentVersion {
        name: "Engine".to_owned(),
        version: VERSION.to_owned(),
        details: Some(details),
    };
    let shown = Version {
        platform: VersionPlatform {
            name: "Cellblock".to_owned(),
        },
        components: Some(vec![engine]),
        version: VERSION.to_owned(),
        api_version: ApiVersion::MAX.to_string(),
        min_api_version: ApiVersion::MIN.to_string(),
        os: state.os_type(),
        arch: architecture().to_owned(),
        kernel_version: kernel,
        ..Version::default()
    };
    json(StatusCode::OK, &shown)
}

async fn info(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
) -> Result<Response, ApiError> {
    let containers = state.containers.all(&by).await?;
    let count = |wanted: &dyn Fn(Phase) -> bool| {
        i64::try_from(
            containers
                .iter()
                .filter(|container| wanted(container.phase))
                .count(),
        )
        .unwrap_or(i64::MAX)
    };
    let running = count(&|phase| matches!(phase, Phase::Running { .. }));
    let images = state.images.all().await?.len();
    let host = state.host();
    let release = host
        .as_ref()
        .map(|facts| facts.release.as_str().to_owned())
        .unwrap_or_default();
    let backend = state
        .helpers
        .zfs
        .0
        .facts()
        .map(|facts| facts.backend.as_str().to_owned());
    let uname = rustix::system::uname();
    let shown = Info {
        id: state.installation.to_string(),
        containers: count(&|_| true),
        containers_running: running,
        containers_stopped: count(&|phase| !matches!(phase, Phase::Running { .. })),
        images: i64::try_from(images).unwrap_or(i64::MAX),
        driver: driver_name(state.os()).to_owned(),
        driver_status: backend.map(|backend| vec![("Backend".to_owned(), backend)]),
        logging_driver: "json-file".to_owned(),
        docker_root_dir: state.settings.root_dir.display().to_string(),
        kernel_version: release,
        operating_system: format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        ),
        os_type: state.os_type(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        name: uname.nodename().to_string_lossy().into_owned(),
        ncpu: i64::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1),
        mem_total: i64::try_from(state.settings.memory_bytes).unwrap_or(i64::MAX),
        server_version: VERSION.to_owned(),
        default_runtime: "cellblock".to_owned(),
        ipv4_forwarding: true,
        swarm: SwarmInfo {
            local_node_state: "inactive".to_owned(),
            ..SwarmInfo::default()
        },
        system_time: crate::services::clock::text(crate::services::clock::now_ns()),
        ..Info::default()
    };
    Ok(json(StatusCode::OK, &shown))
}
