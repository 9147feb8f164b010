//! Requests to one repository of a registry, each with what the registry wants to know about the client.

use super::super::chain;
use super::DOCKER_IO_INDEX;
use super::auth::{Challenge, Credentials, answer};
use super::error::RegistryError;
use super::places::{Place, Places};
use crate::kernel::limits::IMAGE_JSON_BYTES_MAX;
use docker_api::image_config::media_type;
use docker_api::reference::{DOMAIN_DEFAULT, Reference};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Bytes of an error's body that are read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Tags of one repository: pages are followed until there are so many.
const TAGS_MAX: usize = 100_000;

/// What can be asked for as a manifest.
const MANIFEST_TYPES: [&str; 4] = [
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_INDEX,
    media_type::DOCKER_MANIFEST,
];

/// The old kind of manifest, whose layers are not content-addressed.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Access {
    /// Reading; mirrors may answer.
    Pull,
    /// Reading and writing.
    Push,
}

/// A manifest as it came.
#[derive(Debug, Clone)]
pub(in super::super) struct Fetched {
    /// What it is; empty where neither the registry nor the content says.
    pub(in super::super) media_type: String,
    /// `sha256:` and its digits.
    pub(in super::super) digest: String,
    /// Its bytes.
    pub(in super::super) bytes: Vec<u8>,
}

/// A connection to one repository.
#[derive(Debug, Clone)]
pub(in super::super) struct Session {
    place: Place,
    /// The repository's path.
    path: String,
    scope: Option<String>,
    credentials: Credentials,
    challenge: Option<Challenge>,
    header: Arc<Mutex<Option<HeaderValue>>>,
}

impl Session {
    /// Finds an address that answers for a registry's repository.
    ///
    /// # Errors
    /// What the last address said.
    pub(in super::super) async fn open(
        places: &Places,
        name: &Reference,
        access: Access,
        credentials: Credentials,
    ) -> Result<Self, RegistryError> {
        let mut places = places.of(name.domain(), access == Access::Pull)?.into_iter();
        Self::next(&mut places, name, access, &credentials).await
    }

    /// Finds the next address that answers for a registry's repository.
    ///
    /// # Errors
    /// What the last address said.
    pub(in super::super) async fn next(
        places: &mut std::vec::IntoIter<Place>,
        name: &Reference,
        access: Access,
        credentials: &Credentials,
    ) -> Result<Self, RegistryError> {
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let scope = Some(format!("repository:{}:{actions}", name.path()));
        Self::to(places, name.path(), scope, credentials).await
    }

    /// Whether this is an address that stands for another registry, which may have more.
    pub(in super::super) fn is_mirror(&self) -> bool {
        self.place.is_mirror
    }

    /// The pause after so many tries (from 1): each is twice as long as the one before.
    pub(in super::super) fn pause_after(&self, attempts: u32) -> Duration {
        self.place.pause * 2_u32.saturating_pow(attempts.saturating_sub(1))
    }

    /// The address that is asked.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Asks a registry whether it takes credentials.
    ///
    /// # Errors
    /// A 401 where it does not.
    pub(in super::super) async fn log_in(
        places: &Places,
        domain: &str,
        credentials: Credentials,
    ) -> Result<(), RegistryError> {
        let mut places = places.of(domain, false)?.into_iter();
        let session = Self::to(&mut places, "", None, &credentials).await?;
        let url = format!("{}/v2/", session.place.base);
        session.ask(Method::GET, &url, |request| request).await.map(drop)
    }

    async fn to(
        places: &mut std::vec::IntoIter<Place>,
        path: &str,
        scope: Option<String>,
        credentials: &Credentials,
    ) -> Result<Self, RegistryError> {
        let mut failed = RegistryError::Content("no more addresses for the registry".to_owned());
        for place in places {
            let url = format!("{}/v2/", place.base);
            let answer = match place.client.get(&url).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::debug!(url, "a registry does not answer here");
                    failed = RegistryError::connection("Get", &url, &error);
                    continue;
                }
            };
            let challenge = match answer.status() {
                StatusCode::UNAUTHORIZED => challenge(answer.headers()),
                status if status.is_success() => None,
                status => {
                    let status = status.as_u16();
                    failed = RegistryError::status(status, &bounded(answer, "Get", ERROR_BYTES_MAX).await?);
                    continue;
                }
            };
            // Credentials for a registry are not for those who stand in for it.
            let credentials = if place.is_mirror {
                Credentials::default()
            } else {
                credentials.clone()
            };
            return Ok(Session {
                place,
                path: path.to_owned(),
                scope,
                credentials,
                challenge,
                header: Arc::default(),
            });
        }
        Err(failed)
    }

    /// A manifest or index by tag or digest; its digest is checked where one was asked for.
    ///
    /// # Errors
    /// 404 where there is none; `Content` for a wrong digest, one that is too long, and schema 1.
    pub(in super::super) async fn manifest(&self, reference: &str) -> Result<Fetched, RegistryError> {
        let url = self.url(&format!("manifests/{reference}"));
        let accept = MANIFEST_TYPES.join(", ");
        let answer = self
            .ask(Method::GET, &url, |request| request.header(ACCEPT, &accept))
            .await?;
        let told = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let told = told
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let bytes = bounded(answer, "Get", IMAGE_JSON_BYTES_MAX as usize).await?;
        let digest = chain::digest_of(&bytes);
        if reference.contains(':') && reference != digest {
            return Err(RegistryError::Content(format!(
                "manifest verification failed for digest {reference}"
            )));
        }
        let read: Kind = serde_json::from_slice(&bytes)
            .map_err(|error| RegistryError::Content(format!("the manifest is no JSON: {error}")))?;
        // What the content says counts, since it is what the digest is of.
        let media_type = if read.media_type.is_empty() {
            told
        } else {
            read.media_type
        };
        if media_type.starts_with(SCHEMA_1) || read.schema_version == 1 {
            let text = "Docker image manifest version 2, schema 1 is not supported: the image must be pushed again with a current tool";
            return Err(RegistryError::Content(text.to_owned()));
        }
        Ok(Fetched {
            media_type,
            digest,
            bytes,
        })
    }

    /// A blob from a byte on; the answer's status tells whether it begins there (206) or at its start (200).
    ///
    /// # Errors
    /// As for every request.
    pub(super) async fn blob(&self, digest: &str, from: u64) -> Result<Response, RegistryError> {
        let url = self.url(&format!("blobs/{digest}"));
        let ranged = |request: reqwest::RequestBuilder| match from {
            0 => request,
            from => request.header(RANGE, format!("bytes={from}-")),
        };
        self.ask(Method::GET, &url, ranged).await
    }

    /// A small blob whole, checked.
    ///
    /// # Errors
    /// `Content` for a wrong digest or one that is too long.
    pub(in super::super) async fn small_blob(&self, digest: &str) -> Result<Vec<u8>, RegistryError> {
        let bytes = bounded(self.blob(digest, 0).await?, "Get", IMAGE_JSON_BYTES_MAX as usize).await?;
        if chain::digest_of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(RegistryError::Content(
                "image config verification failed for digest ".to_owned() + digest,
            ))
        }
    }

    /// Every tag of the repository.
    ///
    /// # Errors
    /// As for every request.
    pub(in super::super) async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let mut url = self.url("tags/list");
        let mut tags = Vec::new();
        loop {
            let answer = self.ask(Method::GET, &url, |request| request).await?;
            let next = answer.headers().get("link").and_then(|link| link.to_str().ok());
            let next = next
                .and_then(|link| link.strip_prefix('<')?.split_once('>'))
                .map(|(next, _)| next.to_owned());
            let bytes = bounded(answer, "Get", IMAGE_JSON_BYTES_MAX as usize).await?;
            let page: Tags = serde_json::from_slice(&bytes)
                .map_err(|error| RegistryError::Content(format!("the list of tags is no JSON: {error}")))?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                Some(next) if tags.len() < TAGS_MAX => url = self.beside(&next)?,
                Some(_) | None => return Ok(tags),
            }
        }
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// As for every request, but that it is not there is none.
    pub(in super::super) async fn has_blob(&self, digest: &str) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/{digest}"));
        match self.ask(Method::HEAD, &url, |request| request).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a blob over from another repository of the registry; whether that was done.
    ///
    /// # Errors
    /// As for every request.
    pub(in super::super) async fn mount(&self, digest: &str, from: &str) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/uploads/?mount={digest}&from={from}"));
        let answer = self.ask(Method::POST, &url, |request| request).await?;
        // Otherwise an upload was begun, which the registry forgets.
        Ok(answer.status() == StatusCode::CREATED)
    }

    /// Sends a file as a blob. `report` is told how many bytes went.
    ///
    /// # Errors
    /// As for every request.
    pub(in super::super) async fn upload(
        &self,
        digest: &str,
        file: &Path,
        mut report: impl FnMut(u64) + Send + 'static,
    ) -> Result<(), RegistryError> {
        let begun = self
            .ask(Method::POST, &self.url("blobs/uploads/"), |request| request)
            .await?;
        let target = self.location(&begun)?;
        let file = tokio::fs::File::open(file).await?;
        let mut sent = 0;
        let chunks = tokio_util::io::ReaderStream::with_capacity(file, UPLOAD_CHUNK_BYTES);
        let chunks = futures_util::StreamExt::inspect(chunks, move |chunk| {
            sent += chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
            report(sent);
        });
        // A stream can be sent once only, so what the registry wants to know about the client is found out before (above).
        let octets = HeaderValue::from_static("application/octet-stream");
        let mut request = self.place.client.patch(target.clone());
        request = request
            .header(CONTENT_TYPE, octets.clone())
            .body(reqwest::Body::wrap_stream(chunks));
        if let Some(header) = self.header_for(&target).await {
            request = request.header(AUTHORIZATION, header);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| RegistryError::connection("Patch", target.as_str(), &error))?;
        let answer = checked(answer, "Patch").await?;
        let mut target = Url::parse(&self.location(&answer)?);
        if let Ok(target) = &mut target {
            target.query_pairs_mut().append_pair("digest", digest);
        }
        let target = target.map_err(|error| RegistryError::Content(error.to_string()))?;
        self.ask(Method::PUT, target.as_str(), |request| {
            request.header(CONTENT_TYPE, octets.clone())
        })
        .await?;
        Ok(())
    }

    /// Sends a small blob.
    ///
    /// # Errors
    /// As for every request.
    pub(in super::super) async fn upload_small(
        &self,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let begun = self
            .ask(Method::POST, &self.url("blobs/uploads/"), |request| request)
            .await?;
        let target = Url::parse_with_params(&self.location(&begun)?, [("digest", digest)]);
        let target = target.map_err(|error| RegistryError::Content(error.to_string()))?;
        let whole = |request: reqwest::RequestBuilder| {
            request
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(bytes.to_vec())
        };
        self.ask(Method::PUT, target.as_str(), whole).await.map(drop)
    }

    /// Sends a manifest under a tag or digest.
    ///
    /// # Errors
    /// As for every request.
    pub(in super::super) async fn put_manifest(
        &self,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let url = self.url(&format!("manifests/{reference}"));
        let whole =
            |request: reqwest::RequestBuilder| request.header(CONTENT_TYPE, media_type).body(bytes.to_vec());
        self.ask(Method::PUT, &url, whole).await.map(drop)
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.place.base, self.path)
    }

    /// An address that the registry gave, which may be a path alone.
    fn beside(&self, given: &str) -> Result<String, RegistryError> {
        let base = Url::parse(&self.place.base);
        let whole = base.and_then(|base| base.join(given));
        whole
            .map(String::from)
            .map_err(|error| RegistryError::Content(format!("{given}: {error}")))
    }

    fn location(&self, answer: &Response) -> Result<String, RegistryError> {
        let given = answer
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let missing = || RegistryError::Content("the registry does not say where to upload".to_owned());
        self.beside(given.ok_or_else(missing)?)
    }

    /// What the registry wants to know about the client; uploads may go to another host, which is not to see it.
    async fn header_for(&self, url: &str) -> Option<HeaderValue> {
        let is_own = Url::parse(url).is_ok_and(|url| self.place.owns(&url));
        self.header.lock().await.clone().filter(|_| is_own)
    }

    /// Sends a request; once more with what the registry wants to know, where it asks.
    async fn ask(
        &self,
        method: Method,
        url: &str,
        complete: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let name = go_name(&method);
        let is_unknown = self.header.lock().await.is_none();
        let mut challenge = self.challenge.clone().filter(|_| is_unknown);
        for is_last in [false, true] {
            if let Some(asked) = &challenge {
                let Place {
                    client, may_be_plain, ..
                } = &self.place;
                let (credentials, scope) = (&self.credentials, self.scope.as_deref());
                let header = answer(client, asked, credentials, scope, *may_be_plain).await?;
                *self.header.lock().await = header;
            }
            let mut request = complete(self.place.client.request(method.clone(), url));
            if let Some(header) = self.header_for(url).await {
                request = request.header(AUTHORIZATION, header);
            }
            let sent = request
                .send()
                .await
                .map_err(|error| RegistryError::connection(name, url, &error))?;
            // What another host wants to know, where the registry sent us there, it is not told.
            let is_own = self.place.owns(sent.url());
            challenge = self::challenge(sent.headers()).filter(|_| is_own);
            if sent.status() != StatusCode::UNAUTHORIZED || challenge.is_none() || is_last {
                return checked(sent, name).await;
            }
        }
        Err(RegistryError::status(StatusCode::UNAUTHORIZED.as_u16(), b""))
    }
}

/// Asks a registry's index for repositories (the search of registry version 1, which is the only one that there is).
///
/// # Errors
/// What the registry says.
pub(in super::super) async fn search(
    places: &Places,
    domain: &str,
    term: &str,
    limit: i64,
    credentials: &Credentials,
) -> Result<Vec<u8>, RegistryError> {
    let host = if domain == DOMAIN_DEFAULT {
        DOCKER_IO_INDEX
    } else {
        domain
    };
    let mut failed = RegistryError::Content(format!("no address for registry {domain}"));
    for place in places.of(host, false)? {
        let url = format!("{}/v1/search", place.base);
        let mut request = place
            .client
            .get(&url)
            .query(&[("q", term), ("n", &limit.to_string())]);
        if !credentials.username.is_empty() {
            request = request.basic_auth(&credentials.username, Some(&credentials.password));
        }
        match request.send().await {
            Ok(answer) => {
                return bounded(
                    checked(answer, "Get").await?,
                    "Get",
                    IMAGE_JSON_BYTES_MAX as usize,
                )
                .await;
            }
            Err(error) => failed = RegistryError::connection("Get", &url, &error),
        }
    }
    Err(failed)
}

/// Bytes of one piece of an upload.
const UPLOAD_CHUNK_BYTES: usize = 128 * 1024;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    #[serde(rename = "mediaType")]
    media_type: String,
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all = headers.get_all(WWW_AUTHENTICATE).iter();
    all.filter_map(|value| value.to_str().ok())
        .find_map(Challenge::parse)
}

async fn checked(answer: Response, method: &'static str) -> Result<Response, RegistryError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    // What an error says is worth nothing where it does not arrive.
    let body = bounded(answer, method, ERROR_BYTES_MAX).await.unwrap_or_default();
    Err(RegistryError::status(status, &body))
}

/// A whole body in memory.
///
/// # Errors
/// `Content` where it is longer, `Connection` where it breaks off.
pub(super) async fn bounded(
    mut answer: Response,
    method: &'static str,
    bytes_max: usize,
) -> Result<Vec<u8>, RegistryError> {
    let url = answer.url().to_string();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| RegistryError::connection(method, &url, &error))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max {
            return Err(RegistryError::Content(format!(
                "{url}: the answer is longer than {bytes_max} bytes"
            )));
        }
    }
    Ok(bytes)
}

/// Methods as Go's client writes them in errors.
fn go_name(method: &Method) -> &'static str {
    match method.as_str() {
        "HEAD" => "Head",
        "POST" => "Post",
        "PUT" => "Put",
        "PATCH" => "Patch",
        _ => "Get",
    }
}
