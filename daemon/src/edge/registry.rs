//! `/auth`, `/images/search`, `/distribution/{name}/json`: what is asked of registries and leaves nothing here.

use super::State;
use super::body::{json, raw_body};
use super::error::{ApiError, page_not_found};
use super::images::auth_header;
use super::params::{Params, Read};
use crate::services::images::Search;
use axum::Router;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use docker_api::reference::Reference;

/// What dockerd's search takes.
const FILTERS: [&str; 3] = ["is-automated", "is-official", "stars"];

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/auth", post(log_in))
        .route("/images/search", get(search))
        .route("/distribution/{*rest}", get(distribution))
}

async fn log_in(Shared(state): Shared<State>, request: Request) -> Result<Response, ApiError> {
    let (_, body) = raw_body(request).await?;
    state.images.log_in(&body).await?;
    let answer = serde_json::json!({ "Status": "Login Succeeded", "IdentityToken": "" });
    Ok(json(StatusCode::OK, &answer))
}

async fn search(
    Shared(state): Shared<State>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let filters = params.filters()?;
    let bad = |error: docker_api::filters::FilterError| ApiError::bad_request(error.to_string());
    filters.accept_only(&FILTERS).map_err(bad)?;
    let flag = |name: &str| {
        let wanted = filters.contains(name).then(|| filters.boolean(name, false));
        wanted.transpose().map_err(bad)
    };
    let stars = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| ApiError::bad_request(format!("invalid filter 'stars={text}'")))
    };
    let most = filters
        .values("stars")
        .map(stars)
        .collect::<Result<Vec<_>, _>>()?;
    let search = Search {
        term: params.text("term").to_owned(),
        limit: params.number("limit")?,
        is_official: flag("is-official")?,
        is_automated: flag("is-automated")?,
        stars: most.into_iter().max().unwrap_or_default(),
    };
    let found = state.images.search(&search, &auth_header(&request)).await?;
    Ok(json(StatusCode::OK, &found))
}

async fn distribution(
    Shared(state): Shared<State>,
    Path(rest): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let Some((name, "json")) = rest.rsplit_once('/') else {
        return Err(page_not_found().await);
    };
    let name = Reference::parse(name).map_err(|bad| ApiError::bad_request(bad.to_string()))?;
    let auth = auth_header(&request);
    let told = state.images.distribution(&name.with_default_tag(), &auth).await?;
    Ok(json(StatusCode::OK, &told))
}
