//! The image that a stage or `--from` begins with: one that is here, or with `--pull` or where there is none, the registry's.

use super::output::Output;
use super::{BuildError, Deps};
use crate::services::Failure;
use crate::services::images::{Image, Pull};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use docker_api::image_config::Platform;
use docker_api::reference::{DOMAIN_DEFAULT, Reference, is_identifier};
use protocol::Principal;
use std::sync::Arc;

/// How clients call Docker's own registry in what they send about themselves.
const DOCKER_IO_KEY: &str = "https://index.docker.io/v1/";

/// Whether the registry is asked although the image is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Yes (`--pull`).
    Always,
    /// No.
    Missing,
}

/// Finds an image, fetched where that is wanted; its lines go to the client.
///
/// # Errors
/// What the registry says; [`Failure::NotFound`] for an id that is not here.
pub(super) async fn image(
    deps: &Deps,
    by: &Principal,
    output: &mut Output,
    (wanted, platform): (&str, Option<&Platform>),
    when: When,
    registries: &str,
) -> Result<Arc<Image>, BuildError> {
    let here = deps.images.find(by, wanted).await;
    let is_id = is_identifier(wanted.strip_prefix("sha256:").unwrap_or(wanted));
    let name = Reference::parse(wanted).ok().filter(|_| !is_id);
    let is_wanted = match &here {
        // An image without this name was found by its id.
        Ok(image) => when == When::Always && name.as_ref().is_some_and(|name| has_name(image, name)),
        Err(Failure::NotFound(_)) => true,
        Err(_) => false,
    };
    let Some(name) = name.filter(|_| is_wanted) else {
        return Ok(here?);
    };
    let name = name.with_default_tag();
    let pull = Pull {
        auth: auth_for(registries, name.domain()),
        name: name.clone(),
        platform: platform.cloned(),
    };
    let mut lines = deps.images.pull(by, pull).await?;
    while let Some(line) = lines.recv().await {
        if !line.error.is_empty() {
            return Err(BuildError::from(Failure::System(line.error)));
        }
        output.pulled(line).await?;
    }
    Ok(deps.images.find(by, &name.familiar()).await?)
}

fn has_name(image: &Image, name: &Reference) -> bool {
    let familiar = name.clone().with_default_tag().familiar();
    image.tags.contains(&familiar) || image.digests.contains(&familiar)
}

/// What the client sent for one registry: of `X-Registry-Config` (all that it knows) as `X-Registry-Auth` (one).
fn auth_for(registries: &str, domain: &str) -> String {
    let decoded = URL_SAFE
        .decode(registries)
        .or_else(|_| URL_SAFE_NO_PAD.decode(registries));
    let all: serde_json::Value = decoded
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let key = if domain == DOMAIN_DEFAULT {
        DOCKER_IO_KEY
    } else {
        domain
    };
    let own = all.get(key).or_else(|| all.get(domain));
    own.map(|own| URL_SAFE.encode(own.to_string()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_is_told_what_is_for_it() {
        let sent =
            serde_json::json!({ DOCKER_IO_KEY: { "username": "hub" }, "ghcr.io": { "username": "gh" } });
        let sent = URL_SAFE.encode(sent.to_string());
        let told = |domain| String::from_utf8(URL_SAFE.decode(auth_for(&sent, domain)).unwrap()).unwrap();
        assert_eq!(told("docker.io"), r#"{"username":"hub"}"#);
        assert_eq!(told("ghcr.io"), r#"{"username":"gh"}"#);
        assert_eq!(told("quay.io"), "");
        assert_eq!(auth_for("", "ghcr.io"), "");
    }
}
