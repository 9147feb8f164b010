//! Bodies: JSON in and out, streams of JSON lines.

use super::error::ApiError;
use crate::kernel::limits::JSON_BODY_BYTES_MAX;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use docker_api::error::RequestBody;
use futures_util::stream::{Stream, unfold};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use std::convert::Infallible;
use tokio::sync::mpsc;

/// A JSON answer, ended by a newline as dockerd ends it.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let (status, text) = match serde_json::to_string(value) {
        Ok(text) => (status, text + "\n"),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{{\"message\":\"{error}\"}}\n"),
        ),
    };
    with_type(status, "application/json", Body::from(text))
}

/// An answer of a given type.
#[must_use]
pub(super) fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An answer without a body.
#[must_use]
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A body made of what a channel delivers.
pub(super) fn channel(receiver: mpsc::Receiver<Bytes>) -> Body {
    Body::from_stream(bytes_of(receiver))
}

/// A body made of what a channel delivers; an error breaks the connection off.
pub(super) fn fallible(receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> Body {
    Body::from_stream(unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((bytes, receiver))
    }))
}

fn bytes_of(receiver: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok(bytes), receiver))
    })
}

/// A stream of JSON values, one a line (ended by CR LF, as dockerd's progress streams are).
pub fn lines<T: Serialize + Send + 'static>(receiver: mpsc::Receiver<T>) -> Body {
    Body::from_stream(unfold(receiver, |mut receiver| async move {
        let value = receiver.recv().await?;
        let line = serde_json::to_string(&value).unwrap_or_default() + "\r\n";
        Some((Ok::<_, Infallible>(Bytes::from(line)), receiver))
    }))
}

/// A JSON request body, read as dockerd reads it.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: RequestBody> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        json_body(request).await.map(JsonBody)
    }
}

/// Reads a JSON request body.
///
/// # Errors
/// 400 in dockerd's words; 413 for one over [`JSON_BODY_BYTES_MAX`].
pub async fn json_body<T: RequestBody>(request: Request) -> Result<T, ApiError> {
    let (kind, bytes) = raw_body(request).await?;
    docker_api::error::read_body(kind.as_deref(), &bytes).map_err(|e| ApiError::bad_request(e.to_string()))
}

/// Reads a whole small body and its content type.
///
/// # Errors
/// 413 for one over [`JSON_BODY_BYTES_MAX`], 400 where the client stopped sending.
pub(super) async fn raw_body(request: Request) -> Result<(Option<String>, Bytes), ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let collected = Limited::new(request.into_body(), JSON_BODY_BYTES_MAX)
        .collect()
        .await;
    match collected {
        Ok(body) => Ok((kind, body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "http: request body too large",
        )),
        Err(error) => Err(ApiError::bad_request(error.to_string())),
    }
}
