//! Query parameters, read as dockerd reads them.

use super::error::ApiError;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use docker_api::filters::Filters;
use docker_api::query;
use docker_api::timestamps::parse_unix;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The query of a request; where a name stands twice, the first one counts, as in Go.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = QueryRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, QueryRejection> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        // Collected from the end, so that the first is what stays.
        Ok(Params(pairs.into_iter().rev().collect()))
    }
}

/// What handlers read from a query.
pub(super) trait Read {
    /// The value, empty where there is none.
    fn text(&self, name: &str) -> &str;

    /// Docker's rule for switches.
    fn flag(&self, name: &str) -> bool {
        query::truthy(self.text(name))
    }

    /// A whole number; none where there is none.
    ///
    /// # Errors
    /// 400 in Go's words for anything else. (dockerd has the words with 500; a client's mistake is none of the server's.)
    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        query::number(self.text(name)).map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// The `filters` argument.
    ///
    /// # Errors
    /// 400 in dockerd's words.
    fn filters(&self) -> Result<Filters, ApiError> {
        Filters::parse(self.text("filters")).map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// A terminal's rows and columns.
    ///
    /// # Errors
    /// 400 in dockerd's words.
    fn sides(&self) -> Result<(u16, u16), ApiError> {
        let side = |name, key| query::terminal_side(name, self.text(key)).map_err(ApiError::bad_request);
        Ok((side("height", "h")?, side("width", "w")?))
    }

    /// A point in time, as Unix seconds.
    ///
    /// # Errors
    /// 400 in Go's words.
    fn moment(&self, name: &str) -> Result<Option<OffsetDateTime>, ApiError> {
        parse_unix(self.text(name)).map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

impl Read for Params {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// A query whose names may stand several times.
pub(super) struct Pairs<'a>(pub(super) &'a [(String, String)]);

impl<'a> Pairs<'a> {
    /// Every value of a name.
    pub(super) fn all(&self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first counts, as in dockerd.
    pub(super) fn text(&self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }

    /// Docker's rule for switches.
    pub(super) fn flag(&self, name: &'a str) -> bool {
        query::truthy(self.text(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[tokio::test]
    async fn the_first_of_two_values_counts() {
        let request = Request::get("/x?name=a&name=b&all=1").body(()).unwrap();
        let mut parts = request.into_parts().0;
        let params = Params::from_request_parts(&mut parts, &()).await.unwrap();
        assert_eq!((params.text("name"), params.text("none")), ("a", ""));
        assert!(params.flag("all"));
    }
}
