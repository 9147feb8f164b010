//! `/_ping`, `/version`. `/info` is in `info.rs`.

use super::State;
use super::body::{empty, json, with_type};
use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use docker_api::system::{ComponentVersion, Version, VersionPlatform};
use docker_api::version::ApiVersion;
use std::collections::BTreeMap;

/// The version that is reported.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/_ping", get(ping).head(ping_head))
        .route("/version", get(version))
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
        ("Experimental".to_owned(), state.settings.experimental.to_string()),
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
        experimental: state.settings.experimental,
        ..Version::default()
    };
    json(StatusCode::OK, &shown)
}
