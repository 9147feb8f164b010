//! `/containers/{id}/archive`: `docker cp`.

use super::State;
use super::body::{channel, empty, with_type};
use super::error::ApiError;
use super::params::{Params, Read};
use crate::kernel::limits::OUTPUT_CHUNK_BYTES;
use crate::services::containers::copy::{CopyOwner, Tree};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use bytes::Bytes;
use docker_api::containers::PathStat;
use docker_api::error;
use docker_api::timestamps::rfc3339_nano;
use futures_util::TryStreamExt;
use protocol::Principal;
use protocol::archive::{self, FileKind, Replace};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

/// Chunks between the archive worker and the client.
const CHUNKS_AHEAD: usize = 16;

/// Bits of Go's os.FileMode, which Docker's stat header carries.
mod go_mode {
    pub(super) const DIRECTORY: u32 = 1 << 31;
    pub(super) const SYMLINK: u32 = 1 << 27;
    pub(super) const DEVICE: u32 = 1 << 26;
    pub(super) const FIFO: u32 = 1 << 25;
    pub(super) const SOCKET: u32 = 1 << 24;
    pub(super) const SET_UID: u32 = 1 << 23;
    pub(super) const SET_GID: u32 = 1 << 22;
    pub(super) const CHARACTER: u32 = 1 << 21;
    pub(super) const STICKY: u32 = 1 << 20;
}

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/containers/{id}/archive", get(fetch).head(facts).put(put))
}

fn path_of(params: &Params) -> Result<&str, ApiError> {
    match params.text("path") {
        "" => Err(ApiError::bad_request(error::ARCHIVE_PATH_EMPTY)),
        path => Ok(path),
    }
}

async fn facts(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let path = path_of(&params)?;
    let tree = state.containers.tree(&by, &id).await?;
    let stat = tree.stat(path).await?;
    let mut response = empty(StatusCode::OK);
    response
        .headers_mut()
        .insert("X-Docker-Container-Path-Stat", stat_header(path, &stat)?);
    Ok(response)
}

async fn fetch(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let path = path_of(&params)?;
    let tree = state.containers.tree(&by, &id).await?;
    let stat = tree.stat(path).await?;
    let packing = tree.pack(path, &stat).await?;
    let (sender, body) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(send(tree, packing, sender));
    let mut response = with_type(StatusCode::OK, "application/x-tar", channel(body));
    response
        .headers_mut()
        .insert("X-Docker-Container-Path-Stat", stat_header(path, &stat)?);
    Ok(response)
}

async fn send(tree: Tree, mut packing: crate::transport::archive::Packing, to: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
    while let Ok(count @ 1..) = packing.stream.read(&mut buffer).await {
        if to.send(Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
            break;
        }
    }
    if let Err(error) = packing.finish().await {
        tracing::warn!(%error, "a path was not sent whole");
    }
    // The tree stays mounted until the worker is done with it.
    drop(tree);
}

async fn put(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let path = path_of(&params)?.to_owned();
    let owner = if params.flag("copyUIDGID") {
        CopyOwner::Container
    } else {
        CopyOwner::Archive
    };
    let replace = if params.flag("noOverwriteDirNonDir") {
        Replace::KeepKinds
    } else {
        Replace::Allowed
    };
    let tree = state.containers.tree(&by, &id).await?;
    let stream = Body::into_data_stream(request.into_body()).map_err(std::io::Error::other);
    let reader = StreamReader::new(stream);
    tree.unpack(&path, replace, owner, Box::pin(reader)).await?;
    Ok(empty(StatusCode::OK))
}

fn stat_header(path: &str, stat: &archive::PathStat) -> Result<HeaderValue, ApiError> {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("/");
    let at_ns = i128::from(stat.modified_s) * 1_000_000_000 + i128::from(stat.modified_ns);
    let modified = OffsetDateTime::from_unix_timestamp_nanos(at_ns).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let link_target = match stat.kind {
        // dockerd gives where the link leads, resolved inside the container.
        FileKind::Symlink => format!("/{}", stat.resolved.as_str()),
        _ => String::new(),
    };
    let shown = PathStat {
        name: name.to_owned(),
        size: i64::try_from(stat.size_bytes).unwrap_or(i64::MAX),
        mode: go_mode(stat),
        mtime: rfc3339_nano(modified),
        link_target,
    };
    let text = serde_json::to_string(&shown).map_err(|error| ApiError::internal(error.to_string()))?;
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    HeaderValue::from_str(&encoded).map_err(|error| ApiError::internal(error.to_string()))
}

fn go_mode(stat: &archive::PathStat) -> u32 {
    let kind = match stat.kind {
        FileKind::Regular => 0,
        FileKind::Directory => go_mode::DIRECTORY,
        FileKind::Symlink => go_mode::SYMLINK,
        FileKind::Fifo => go_mode::FIFO,
        FileKind::Socket => go_mode::SOCKET,
        FileKind::CharacterDevice => go_mode::DEVICE | go_mode::CHARACTER,
        FileKind::BlockDevice => go_mode::DEVICE,
    };
    let special = [
        (0o4000, go_mode::SET_UID),
        (0o2000, go_mode::SET_GID),
        (0o1000, go_mode::STICKY),
    ];
    let special = special
        .iter()
        .filter(|(bit, _)| stat.mode & bit != 0)
        .fold(0, |all, (_, go)| all | go);
    kind | special | (stat.mode & 0o777)
}
