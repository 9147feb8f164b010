//! What is only asked of registries: `docker login`, `docker search`, `docker manifest inspect`'s `/distribution`.

use super::pull::worded;
use super::registry::{Access, Credentials, RegistryError, Session};
use super::verbs::Images;
use crate::services::Failure;
use docker_api::image_config::{Descriptor, ImageConfigFile, ImageIndex, ImageManifest, Platform};
use docker_api::images::SearchResult;
use docker_api::reference::{DOMAIN_DEFAULT, Reference};
use serde::{Deserialize, Serialize};

/// Results of a search unless the client says otherwise, and at most, as in dockerd.
const SEARCH_LIMIT_DEFAULT: i64 = 25;
const SEARCH_LIMIT_MAX: i64 = 100;

/// Answer to `GET /distribution/{name}/json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DistributionInspect {
    /// What the name means.
    pub descriptor: Descriptor,
    /// What it runs on.
    pub platforms: Vec<Platform>,
}

/// What a search is for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words, with a registry in front where it is another than Docker's.
    pub term: String,
    /// Results at most.
    pub limit: Option<i64>,
    /// Official images only, or none of them.
    pub is_official: Option<bool>,
    /// Results for programs that build themselves only, or none of them; there are none any more.
    pub is_automated: Option<bool>,
    /// Stars at least.
    pub stars: i64,
}

impl Images {
    /// Whether a registry takes credentials; they are not kept.
    ///
    /// # Errors
    /// [`Failure::Denied`] where it does not.
    pub async fn log_in(&self, body: &[u8]) -> Result<(), Failure> {
        let read: Result<Credentials, _> = serde_json::from_slice(body);
        // What was sent is not told back.
        let credentials = read
            .map_err(|_| Failure::Invalid("invalid JSON: not an AuthConfig".to_owned()))?
            .completed();
        let domain = domain_of(&credentials.server_address);
        match Session::log_in(&self.places, &domain, credentials).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_denied() => Err(Failure::Denied(format!(
                "login attempt to {domain} failed: {error}"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// What a name means in its registry.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn distribution(&self, name: &Reference, auth: &str) -> Result<DistributionInspect, Failure> {
        let credentials = Credentials::from_header(auth);
        let refused = |error: RegistryError| worded(error, name);
        let mut places = self.places.of(name.domain(), true)?.into_iter();
        let (session, fetched) = loop {
            let session = Session::next(&mut places, name, Access::Pull, &credentials)
                .await
                .map_err(refused)?;
            let fetched = session.manifest(name.digest().or(name.tag()).unwrap_or_default());
            match fetched.await {
                Ok(fetched) => break (session, fetched),
                Err(error) if session.is_mirror() => tracing::debug!(%error, "a mirror does not have it"),
                Err(error) => return Err(refused(error)),
            }
        };
        let bad = |error: serde_json::Error| Failure::Invalid(format!("invalid manifest: {error}"));
        let index: ImageIndex = serde_json::from_slice(&fetched.bytes).map_err(bad)?;
        let platforms = if index.manifests.is_empty() {
            let manifest: ImageManifest = serde_json::from_slice(&fetched.bytes).map_err(bad)?;
            let config = session
                .small_blob(&manifest.config.digest)
                .await
                .map_err(refused)?;
            let config: ImageConfigFile = serde_json::from_slice(&config).map_err(bad)?;
            vec![Platform {
                architecture: config.architecture,
                os: config.os,
                os_version: config.os_version,
                variant: config.variant,
                os_features: None,
            }]
        } else {
            index
                .manifests
                .into_iter()
                .filter_map(|listed| listed.platform)
                .collect()
        };
        Ok(DistributionInspect {
            descriptor: Descriptor {
                media_type: fetched.media_type,
                digest: fetched.digest,
                size: fetched.bytes.len() as i64,
                ..Descriptor::default()
            },
            platforms,
        })
    }

    /// Looks for repositories.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a limit, else what the registry says.
    pub async fn search(&self, search: &Search, auth: &str) -> Result<Vec<SearchResult>, Failure> {
        let limit = search
            .limit
            .filter(|limit| *limit != 0)
            .unwrap_or(SEARCH_LIMIT_DEFAULT);
        if !(1..=SEARCH_LIMIT_MAX).contains(&limit) {
            return Err(Failure::Invalid(format!(
                "invalid limit {limit}; it should be between 1 and 100"
            )));
        }
        let (domain, term) = match search.term.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOMAIN_DEFAULT, search.term.as_str()),
        };
        let term = term.strip_prefix("library/").unwrap_or(term);
        let found =
            super::registry::search(&self.places, domain, term, limit, &Credentials::from_header(auth))
                .await?;
        let found: Found = serde_json::from_slice(&found).map_err(|error| {
            Failure::System(format!("the registry's answer to a search is no JSON: {error}"))
        })?;
        let fits = |result: &SearchResult| {
            search
                .is_official
                .is_none_or(|wanted| wanted == result.is_official)
                && search
                    .is_automated
                    .is_none_or(|wanted| wanted == result.is_automated)
                && result.star_count >= search.stars
        };
        Ok(found
            .results
            .unwrap_or_default()
            .into_iter()
            .filter(fits)
            .collect())
    }
}

#[derive(Deserialize)]
struct Found {
    results: Option<Vec<SearchResult>>,
}

/// The registry that a login is for: old clients send whole addresses, and Docker's own under an old name.
fn domain_of(address: &str) -> String {
    let host = address.split("://").last().unwrap_or_default();
    match host.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "docker.io" | "registry-1.docker.io" => DOMAIN_DEFAULT.to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logins_address_names_a_registry() {
        for (address, domain) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("", "docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("https://ghcr.io", "ghcr.io"),
            ("ghcr.io/v2/", "ghcr.io"),
        ] {
            assert_eq!(domain_of(address), domain, "{address}");
        }
    }
}
