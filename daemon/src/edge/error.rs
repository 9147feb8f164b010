//! The only file that knows which status code a failure has.

use super::json;
use crate::services::Failure;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use docker_api::error::{ErrorBody, PAGE_NOT_FOUND};

/// A failure on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// Docker's words.
    pub message: String,
}

impl ApiError {
    /// An error with a status of its own, where dockerd has one that does not follow from the kind of failure.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError {
            status,
            message: message.into(),
        }
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 500: dockerd's answer to bad numbers in queries.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let status = match &failure {
            Failure::NotFound(_) => StatusCode::NOT_FOUND,
            Failure::Invalid(_) => StatusCode::BAD_REQUEST,
            Failure::Conflict(_) => StatusCode::CONFLICT,
            Failure::NotModified => StatusCode::NOT_MODIFIED,
            Failure::Denied(_) => StatusCode::UNAUTHORIZED,
            Failure::Forbidden(_) => StatusCode::FORBIDDEN,
            Failure::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::System(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError {
            status,
            message: failure.to_string(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::NOT_MODIFIED {
            return self.status.into_response();
        }
        if self.status.is_server_error() {
            tracing::warn!(
                status = self.status.as_u16(),
                message = self.message,
                "request failed"
            );
        }
        json(self.status, &ErrorBody::new(self.message))
    }
}

/// dockerd's answer to a path or method that it does not have.
pub(super) async fn page_not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, PAGE_NOT_FOUND)
}
