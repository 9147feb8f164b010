//! `/images`: parse, ask the service, answer.
//!
//! Names of images contain slashes, and the router takes a rest of a path only at its end, so what follows the name is split
//! off here.

use super::body::{empty, fallible, json, lines, with_type};
use super::error::{ApiError, page_not_found};
use super::params::{Pairs, Params, Read};
use super::{State, platform};
use crate::kernel::limits::LAYER_CONTENT_BYTES_MAX;
use crate::services::Failure;
use crate::services::containers::inspect::driver_name;
use crate::services::images::changes::apply_changes;
use crate::services::images::{
    Children, Force, ImageUser, Import, ListWish, Pull, Sharing, Spool, fetch, target,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use docker_api::containers::ContainerConfig;
use docker_api::image_config::ImageConfig;
use docker_api::images::{ImageInspect, ImageSummary, ProgressLine};
use docker_api::reference::{Reference, ReferenceError};
use docker_api::timestamps;
use docker_api::version::ApiVersion;
use http_body_util::BodyExt;
use protocol::Principal;
use std::io::{Error, Result as IoResult};
use tokio::io::AsyncWriteExt;

type Answer = Result<Response, ApiError>;

/// Bytes of one upload: an archive may hold as much as one layer of the largest images.
const UPLOAD_BYTES_MAX: u64 = LAYER_CONTENT_BYTES_MAX;

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/images/json", get(list).delete(remove_json))
        .route("/images/load", post(load))
        .route("/images/create", post(create))
        .route("/images/prune", post(prune))
        .route("/images/get", get(save_several))
        .route("/images/", delete(remove_nothing))
        .route("/images/{*rest}", get(get_one).post(post_one).delete(remove))
}

fn not_yet<T>(what: &str) -> Result<T, ApiError> {
    Err(Failure::Unsupported(format!("{what} is not supported by cellblock yet")).into())
}

/// `/images/{name}/json`, `/images/{name}/history`, `/images/{name}/get`.
async fn get_one(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    Path(rest): Path<String>,
    params: Params,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Answer {
    match rest.rsplit_once('/') {
        Some((name, "json")) => inspect(&state, &by, version, name, &params).await,
        Some((name, "history")) => {
            check_platform(&state, &by, name, &params).await?;
            Ok(json(StatusCode::OK, &state.images.history(&by, name).await?))
        }
        Some((name, "get")) => save(&state, &by, vec![name.to_owned()], &pairs).await,
        Some(_) | None => Err(page_not_found().await),
    }
}

/// `/images/{name}/tag`, `/images/{name}/push`.
async fn post_one(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(rest): Path<String>,
    params: Params,
    request: Request,
) -> Answer {
    let auth = auth_header(&request);
    match rest.rsplit_once('/') {
        Some((name, "tag")) => match target(params.text("repo"), params.text("tag"))? {
            Some(target) if target.familiar_name() == "sha256" => Err(ApiError::bad_request(
                "refusing to create an ambiguous tag using digest algorithm as name",
            )),
            Some(target) => {
                state.images.tag(&by, name, &target).await?;
                Ok(empty(StatusCode::CREATED))
            }
            // dockerd does nothing, and says so.
            None => Ok(empty(StatusCode::OK)),
        },
        Some((name, "push")) => push(&state, &by, name, &params, &auth),
        Some(_) | None => Err(page_not_found().await),
    }
}

async fn list(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
    params: Params,
) -> Answer {
    let mut filters = params.filters()?;
    if version < ApiVersion::new(1, 41) && !params.text("filter").is_empty() {
        filters.add("reference", params.text("filter"));
    }
    let users = if version < ApiVersion::new(1, 51) {
        None
    } else {
        Some(users(&state, &by).await?)
    };
    let sharing = if params.flag("shared-size") {
        Sharing::Counted
    } else {
        Sharing::Uncounted
    };
    let wish = ListWish {
        all: params.flag("all"),
        filters,
        sharing,
        users,
    };
    let mut shown = state.images.list(&by, &wish).await?;
    shown
        .iter_mut()
        .for_each(|summary| adapt_summary(summary, version));
    Ok(json(StatusCode::OK, &shown))
}

fn adapt_summary(summary: &mut ImageSummary, version: ApiVersion) {
    if version < ApiVersion::new(1, 44) {
        summary.virtual_size = summary.size;
    }
    if version < ApiVersion::new(1, 43) && summary.repo_tags.is_empty() && summary.repo_digests.is_empty() {
        summary.repo_tags.push("<none>:<none>".to_owned());
        summary.repo_digests.push("<none>@<none>".to_owned());
    }
}

async fn inspect(state: &State, by: &Principal, version: ApiVersion, name: &str, params: &Params) -> Answer {
    check_platform(state, by, name, params).await?;
    let mut shown = state.images.inspect(by, name).await?;
    shown.graph_driver.name = driver_name(state.os()).to_owned();
    adapt_inspect(&mut shown, version);
    Ok(json(StatusCode::OK, &shown))
}

fn adapt_inspect(shown: &mut ImageInspect, version: ApiVersion) {
    if version < ApiVersion::new(1, 44) {
        shown.virtual_size = shown.size;
        if shown.created.is_empty() {
            shown.created = timestamps::ZERO.to_owned();
        }
    }
    if version < ApiVersion::new(1, 45) {
        shown.container_config = Some(ContainerConfig::default());
    }
    if version < ApiVersion::new(1, 50)
        && let Some(config) = &mut shown.config
    {
        config.before_1_50 = Some(Default::default());
    }
}

/// dockerd's answer where a client asks for another platform than the image's.
async fn check_platform(state: &State, by: &Principal, name: &str, params: &Params) -> Result<(), ApiError> {
    let Some(wanted) = platform::of_json(params.text("platform"))? else {
        return Ok(());
    };
    platform::check(&*state.images.find(by, name).await?, name, &wanted)
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(name): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Answer {
    remove_named(&state, &by, &name, &pairs).await
}

/// An image that is called `json`: dockerd's router tells the method before the path.
async fn remove_json(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Answer {
    remove_named(&state, &by, "json", &pairs).await
}

async fn remove_nothing() -> ApiError {
    ApiError::bad_request("image name cannot be blank")
}

async fn remove_named(state: &State, by: &Principal, name: &str, pairs: &[(String, String)]) -> Answer {
    if name.trim().is_empty() {
        return Err(remove_nothing().await);
    }
    let pairs = Pairs(pairs);
    for text in pairs.all("platforms") {
        if let Some(wanted) = platform::of_json(text)? {
            platform::check(&*state.images.find(by, name).await?, name, &wanted)?;
        }
    }
    let force = if pairs.flag("force") {
        Force::Yes
    } else {
        Force::No
    };
    let children = if pairs.flag("noprune") {
        Children::Keep
    } else {
        Children::Prune
    };
    let users = users(state, by).await?;
    let items = state.images.remove(by, name, force, children, users).await?;
    Ok(json(StatusCode::OK, &items))
}

pub(super) async fn users(state: &State, by: &Principal) -> Result<Vec<ImageUser>, Failure> {
    let containers = state.containers.all(by).await?;
    let user = |container: &std::sync::Arc<crate::services::containers::Container>| ImageUser {
        container: container.id.clone(),
        image: container.image_id.clone(),
        is_running: container.is_running(),
    };
    Ok(containers.iter().map(user).collect())
}

async fn prune(Shared(state): Shared<State>, Extension(by): Extension<Principal>, params: Params) -> Answer {
    let users = users(&state, &by).await?;
    let report = state.images.prune(&by, &params.filters()?, &users).await?;
    Ok(json(StatusCode::OK, &report))
}

fn push(state: &State, by: &Principal, name: &str, params: &Params, auth: &str) -> Answer {
    let invalid = |bad: ReferenceError| ApiError::bad_request(bad.to_string());
    if !params.text("platform").is_empty() {
        return not_yet("pushing one platform of an image");
    }
    let name = Reference::parse(name).map_err(invalid)?;
    let name = match params.text("tag") {
        "" => name,
        tag => name.with_tag(tag).map_err(invalid)?,
    };
    if name.digest().is_some() {
        return Err(ApiError::bad_request("cannot push a digest reference"));
    }
    let told = state.images.push(by, name, auth);
    Ok(with_type(StatusCode::OK, "application/json", lines(told)))
}

async fn save_several(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Answer {
    let names = Pairs(&pairs).all("names").map(str::to_owned).collect();
    save(&state, &by, names, &pairs).await
}

async fn save(state: &State, by: &Principal, names: Vec<String>, pairs: &[(String, String)]) -> Answer {
    let pairs = Pairs(pairs);
    if pairs.all("platform").count() > 1 {
        return Err(ApiError::bad_request(
            "multiple platform parameters not supported",
        ));
    }
    if let Some(wanted) = platform::of_json(pairs.text("platform"))? {
        for name in &names {
            platform::check(&*state.images.find(by, name).await?, name, &wanted)?;
        }
    }
    let archive = state.images.save(by, &names).await?;
    Ok(with_type(StatusCode::OK, "application/x-tar", fallible(archive)))
}

async fn load(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    params: Params,
    request: Request,
) -> Answer {
    let platform = platform::of_json(params.text("platform"))?;
    let archive = spool(&state, request.into_body()).await?;
    let told = state.images.load(&by, archive, params.flag("quiet"), platform);
    Ok(with_type(StatusCode::OK, "application/json", lines(told)))
}

/// `docker import` and `docker pull`.
async fn create(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Query(pairs): Query<Vec<(String, String)>>,
    request: Request,
) -> Answer {
    let pairs = Pairs(&pairs);
    if !pairs.text("fromImage").is_empty() {
        let auth = auth_header(&request);
        return pull(&state, &by, &pairs, auth).await;
    }
    let import = read_import(&pairs)?;
    let (root, mut told) = match pairs.text("fromSrc") {
        "-" => (spool(&state, request.into_body()).await?, String::new()),
        address => {
            let address = if address.contains("://") {
                address.to_owned()
            } else {
                format!("http://{address}")
            };
            let fetched = fetch(&address, &state.settings.state_dir.join("tmp")).await?;
            let told = ProgressLine::status(format!("Downloading from {address}")).to_line();
            (fetched.spool, told)
        }
    };
    let id = state.images.import(&by, root, import).await?;
    told += &ProgressLine::status(id).to_line();
    Ok(with_type(StatusCode::OK, "application/json", Body::from(told)))
}

async fn pull(state: &State, by: &Principal, pairs: &Pairs<'_>, auth: String) -> Answer {
    let invalid = |bad: ReferenceError| ApiError::bad_request(bad.to_string());
    // "pull -a" of old clients sends a name with a colon and no tag.
    let name = Reference::parse(pairs.text("fromImage").trim_end_matches(':')).map_err(invalid)?;
    let name = match pairs.text("tag") {
        "" => name,
        digest if digest.contains(':') => name.with_digest(digest).map_err(invalid)?,
        tag => name.with_tag(tag).map_err(invalid)?,
    };
    let pull = Pull {
        name,
        platform: platform::of_words(pairs.text("platform"))?,
        auth,
    };
    let told = state.images.pull(by, pull).await?;
    Ok(with_type(StatusCode::OK, "application/json", lines(told)))
}

/// What a client says about itself to a registry; see the Docker API, "Authentication".
pub(super) fn auth_header(request: &Request) -> String {
    let header = request.headers().get("X-Registry-Auth");
    header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

fn read_import(pairs: &Pairs<'_>) -> Result<Import, ApiError> {
    match (pairs.text("fromImage"), pairs.text("fromSrc")) {
        ("", "") => return Err(ApiError::bad_request("image name cannot be blank")),
        ("", _) => {}
        (_, _) => return Err(ApiError::bad_request("either fromImage or fromSrc")),
    }
    let changes: Vec<String> = pairs.all("changes").map(str::to_owned).collect();
    Ok(Import {
        name: target(pairs.text("repo"), pairs.text("tag"))?,
        message: match pairs.text("message") {
            "" => format!("Imported from {}", pairs.text("fromSrc")),
            message => message.to_owned(),
        },
        config: apply_changes(ImageConfig::default(), &changes)?,
        platform: platform::of_words(pairs.text("platform"))?,
    })
}

/// Writes a request's body to a file of the daemon's own.
async fn spool(state: &State, body: Body) -> Result<Spool, ApiError> {
    let internal = |error: Error| ApiError::internal(error.to_string());
    let (spool, file) = Spool::create(&state.settings.state_dir.join("tmp")).map_err(internal)?;
    let mut file = tokio::fs::File::from_std(file);
    match copy(body, &mut file, UPLOAD_BYTES_MAX).await.map_err(internal)? {
        Copied::Whole => Ok(spool),
        Copied::TooLong => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "http: request body too large",
        )),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Copied {
    Whole,
    TooLong,
}

async fn copy(mut body: Body, to: &mut tokio::fs::File, bytes_max: u64) -> IoResult<Copied> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::other)?.into_data() else {
            continue;
        };
        bytes += data.len() as u64;
        if bytes > bytes_max {
            return Ok(Copied::TooLong);
        }
        to.write_all(&data).await?;
    }
    to.flush().await?;
    Ok(Copied::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_api_versions_show_what_they_showed() {
        let mut summary = ImageSummary {
            size: 5,
            ..ImageSummary::default()
        };
        adapt_summary(&mut summary, ApiVersion::new(1, 43));
        assert_eq!((summary.virtual_size, summary.repo_tags.len()), (5, 0));
        adapt_summary(&mut summary, ApiVersion::new(1, 42));
        assert_eq!(summary.repo_tags, ["<none>:<none>"]);
        let mut shown = ImageInspect {
            config: Some(Default::default()),
            ..ImageInspect::default()
        };
        adapt_inspect(&mut shown, ApiVersion::new(1, 50));
        assert_eq!(
            shown,
            ImageInspect {
                config: Some(Default::default()),
                ..ImageInspect::default()
            }
        );
        adapt_inspect(&mut shown, ApiVersion::new(1, 44));
        assert!(shown.container_config.is_some() && shown.config.unwrap().before_1_50.is_some());
        assert!(shown.created.is_empty());
    }

    #[tokio::test]
    async fn an_upload_over_the_limit_is_cut_off() {
        let (spool, file) = Spool::create(&std::env::temp_dir()).unwrap();
        let mut file = tokio::fs::File::from_std(file);
        assert_eq!(
            copy(Body::from("12345"), &mut file, 4).await.unwrap(),
            Copied::TooLong
        );
        assert_eq!(
            copy(Body::from("12345"), &mut file, 5).await.unwrap(),
            Copied::Whole
        );
        assert_eq!(std::fs::read(spool.path()).unwrap(), b"12345");
    }
}
