//! Connections: accepting them, knowing who is there, the version prefix, and the headers of every answer.

use super::State;
use super::body::with_type;
use super::error::ApiError;
use crate::config::Settings;
use crate::kernel::limits::{CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX};
use crate::tenants;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docker_api::version::{ApiVersion, VersionRefused};
use futures_util::stream::unfold;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::Principal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tower_service::Service;

/// How long a client may take to send a request's head. Clients are on this host; a stalled one holds a connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// How often a connection is looked at for a client that is gone.
const HANG_UP_INTERVAL: Duration = Duration::from_secs(1);

/// Pause after a failed accept, so that a shortage of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Chunks of a request body between the connection and its handler.
const BODY_CHUNKS_AHEAD: usize = 4;

/// Bytes of a body that are read and dropped after its handler has answered. Clients look at the answer within that much;
/// one that sends on is cut off.
const DRAINED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a peer in no tenant is told, whatever it asks.
const NO_TENANT: &str =
    "permission denied: you are in no tenant of this host; its administrator names who is in cellblock.toml";

/// What every answer says of the server.
#[derive(Debug)]
struct Banner {
    os_type: String,
    server: String,
    is_experimental: bool,
}

/// Serves the API on the inherited socket until the task is stopped.
///
/// # Errors
/// Where the socket cannot be used.
pub async fn serve(listener: UnixListener, state: State) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let os_type = state.os_type();
    let server = format!("Cellblock/{} ({os_type})", env!("CARGO_PKG_VERSION"));
    let is_experimental = state.settings.experimental;
    let banner = Arc::new(Banner {
        os_type,
        server,
        is_experimental,
    });
    let settings = Arc::clone(&state.settings);
    let router = super::router(state);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, banner) = (router.clone(), Arc::clone(&banner));
                let principal = principal_of(&stream, &settings);
                tokio::spawn(async move {
                    match principal {
                        Ok(principal) => connection(stream, router, banner, principal).await,
                        Err(error) => tracing::warn!(%error, "a client whose user is not known"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, router: Router, banner: Arc<Banner>, principal: Option<Principal>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, banner, principal) = (router.clone(), Arc::clone(&banner), principal.clone());
        async move { Ok::<_, Infallible>(answer(request, router, &banner, principal).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HTTP_HEAD_BYTES_MAX);
    http.half_close(true);
    let gone = hung_up(stream.as_fd().try_clone_to_owned());
    let serving = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        },
        // Drops what is being answered: a build without a client ends.
        () = gone => {}
    }
}

/// Completes when the client has closed its end for both directions. One that only sends nothing more still reads (attach,
/// uploads), so the end of its data says nothing, and an answer that has nothing to write would not find out.
async fn hung_up(socket: std::io::Result<OwnedFd>) {
    let Ok(socket) = socket else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(HANG_UP_INTERVAL).await;
        let mut asked = [PollFd::new(&socket, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().contains(PollFlags::HUP) {
            return;
        }
    }
}

/// The peer of the socket; none where it is in no tenant.
fn principal_of(stream: &UnixStream, settings: &Settings) -> std::io::Result<Option<Principal>> {
    let peer = stream.peer_cred()?;
    tenants::principal(&settings.tenants, peer.uid(), peer.gid()).map_err(std::io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    mut router: Router,
    banner: &Banner,
    principal: Option<Principal>,
) -> Response {
    let Some(principal) = principal else {
        return decorate(
            ApiError::new(StatusCode::FORBIDDEN, NO_TENANT).into_response(),
            banner,
        );
    };
    let (mut parts, body) = request.into_parts();
    let version = match strip_version(&mut parts.uri) {
        Ok(version) => version,
        Err(refused) => return decorate(refuse(&refused), banner),
    };
    // dockerd answers this one whatever the path is.
    if parts.method == Method::OPTIONS {
        return decorate(super::body::empty(StatusCode::OK), banner);
    }
    // dockerd registers HEAD for two paths only; the router would answer it for every GET.
    let path = parts.uri.path();
    if parts.method == Method::HEAD && path != "/_ping" && !path.ends_with("/archive") {
        return decorate(super::error::page_not_found().await.into_response(), banner);
    }
    parts.extensions.insert(version);
    parts.extensions.insert(principal);
    let body = if parts.headers.contains_key(header::UPGRADE) {
        Body::new(body)
    } else {
        read_on(body)
    };
    let request = Request::from_parts(parts, body);
    let response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    decorate(response, banner)
}

/// A body that goes on being read after its handler lost interest: a client that is still sending when the answer is an
/// error would see a broken pipe in its place.
fn read_on(mut body: Incoming) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes, hyper::Error>>(BODY_CHUNKS_AHEAD);
    tokio::spawn(async move {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(frame) = body.frame().await {
            let bytes = match frame.map(|frame| frame.into_data().unwrap_or_default()) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            let count = bytes.len();
            if sender.send(Ok(bytes)).await.is_err() {
                match left.checked_sub(count) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        }
    });
    Body::from_stream(unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    }))
}

/// Takes `/v1.44` off the path; a path without it means the newest version.
fn strip_version(uri: &mut Uri) -> Result<ApiVersion, VersionRefused> {
    let path = uri.path();
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        is_number.then(|| digits.to_owned())
    };
    let mut parts = path.splitn(3, '/');
    let first = parts.nth(1).unwrap_or_default();
    let Some(digits) = is_version(first) else {
        return Ok(ApiVersion::MAX);
    };
    let version = ApiVersion::negotiate(&digits)?;
    let rest = format!("/{}", parts.next().unwrap_or_default());
    let with_query = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest,
    };
    // What was a path is one without its first part.
    *uri = with_query.parse().unwrap_or_default();
    Ok(version)
}

/// dockerd says "too old" in plain text and "too new" in JSON.
fn refuse(refused: &VersionRefused) -> Response {
    match refused {
        VersionRefused::TooOld(_) => with_type(
            StatusCode::BAD_REQUEST,
            "text/plain; charset=utf-8",
            Body::from(format!("{refused}\n")),
        ),
        VersionRefused::TooNew(_) => ApiError::bad_request(refused.to_string()).into_response(),
        VersionRefused::NotAVersion => {
            ApiError::new(StatusCode::NOT_FOUND, docker_api::error::PAGE_NOT_FOUND).into_response()
        }
    }
}

fn decorate(mut response: Response, banner: &Banner) -> Response {
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put("Api-Version", &ApiVersion::MAX.to_string());
    put("Docker-Experimental", &banner.is_experimental.to_string());
    put("Ostype", &banner.os_type);
    put("Server", &banner.server);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> (String, Result<ApiVersion, String>) {
        let mut uri: Uri = text.parse().unwrap();
        let version = strip_version(&mut uri).map_err(|refused| refused.to_string());
        (uri.to_string(), version)
    }

    #[test]
    fn the_version_is_taken_off_the_path() {
        assert_eq!(stripped("/v1.44/info?a=b").0, "/info?a=b");
        assert_eq!(stripped("/info").0, "/info");
        assert_eq!(stripped("/version").0, "/version");
        assert!(stripped("/v9.99/info").1.unwrap_err().contains("too new"));
        assert!(stripped("/v1.10/info").1.unwrap_err().contains("too old"));
    }
}
