//! Who a client is to a registry: basic authentication, or a token that another service gives for it (distribution's "Token
//! Authentication Specification").

use super::error::RegistryError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::fmt;

/// Bytes of a token service's answer: tokens are some kilobytes.
const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// What a client sent about itself (`X-Registry-Auth`, or the body of `POST /auth`). Its debug form shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in super::super) struct Credentials {
    /// User.
    pub(in super::super) username: String,
    /// Password or access token.
    pub(in super::super) password: String,
    /// `user:password` in base64, as old clients send it.
    auth: String,
    /// A refresh token, used in place of a password.
    #[serde(rename = "identitytoken")]
    pub(in super::super) identity_token: String,
    /// A token for the registry itself.
    #[serde(rename = "registrytoken")]
    registry_token: String,
    /// Which registry it is for.
    #[serde(rename = "serveraddress")]
    pub(in super::super) server_address: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads the header `X-Registry-Auth`; what cannot be read counts as nothing, as in dockerd.
    #[must_use]
    pub(in super::super) fn from_header(value: &str) -> Self {
        let decoded = URL_SAFE.decode(value).or_else(|_| URL_SAFE_NO_PAD.decode(value));
        let decoded = decoded.or_else(|_| STANDARD.decode(value));
        let read = decoded.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let read: Credentials = read.unwrap_or_default();
        read.completed()
    }

    /// With user and password out of `auth`.
    #[must_use]
    pub(in super::super) fn completed(mut self) -> Self {
        let decoded = STANDARD.decode(&self.auth).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        if self.username.is_empty()
            && let Some((user, password)) = text.as_deref().and_then(|text| text.split_once(':'))
        {
            (self.username, self.password) = (user.to_owned(), password.trim_end_matches('\0').to_owned());
        }
        self
    }

    fn has_password(&self) -> bool {
        !self.username.is_empty()
    }
}

/// What a registry asks for (RFC 9110, "WWW-Authenticate").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token from this service.
    Bearer {
        /// Its address.
        realm: String,
        /// For whom.
        service: String,
    },
}

impl Challenge {
    /// Reads one header; none where it asks for something unknown.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (String::new(), String::new());
        let mut rest = parameters.trim();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim_matches([',', ' ']).to_ascii_lowercase().as_str() {
                "realm" => value.clone_into(&mut realm),
                "service" => value.clone_into(&mut service),
                _ => {}
            }
            rest = after;
        }
        (!realm.is_empty()).then_some(Challenge::Bearer { realm, service })
    }
}

/// The header that answers a challenge; none where the client said nothing about itself and that is asked for.
pub(super) async fn answer(
    client: &reqwest::Client,
    challenge: &Challenge,
    credentials: &Credentials,
    scope: Option<&str>,
    may_be_plain: bool,
) -> Result<Option<HeaderValue>, RegistryError> {
    match challenge {
        Challenge::Basic if !credentials.has_password() => Ok(None),
        Challenge::Basic => {
            let pair = format!("{}:{}", credentials.username, credentials.password);
            secret(&format!("Basic {}", STANDARD.encode(pair))).map(Some)
        }
        Challenge::Bearer { .. } if !credentials.registry_token.is_empty() => {
            secret(&format!("Bearer {}", credentials.registry_token)).map(Some)
        }
        Challenge::Bearer { realm, service } => {
            let is_https = realm.starts_with("https://");
            if !is_https && !may_be_plain {
                let text = format!("the registry's token service {realm} is not reached by HTTPS");
                return Err(RegistryError::Content(text));
            }
            let token = token(client, realm, service, credentials, scope).await?;
            secret(&format!("Bearer {token}")).map(Some)
        }
    }
}

async fn token(
    client: &reqwest::Client,
    realm: &str,
    service: &str,
    credentials: &Credentials,
    scope: Option<&str>,
) -> Result<String, RegistryError> {
    let mut fields = vec![("service", service)];
    fields.extend(scope.map(|scope| ("scope", scope)));
    let (method, request) = if credentials.identity_token.is_empty() {
        if credentials.has_password() {
            fields.push(("account", &credentials.username));
        }
        let request = client.get(realm).query(&fields);
        let with_password = credentials.has_password();
        let request = if with_password {
            request.basic_auth(&credentials.username, Some(&credentials.password))
        } else {
            request
        };
        ("Get", request)
    } else {
        fields.extend([
            ("grant_type", "refresh_token"),
            ("refresh_token", credentials.identity_token.as_str()),
            ("client_id", "cellblock"),
        ]);
        let encoded = reqwest::Url::parse_with_params("form:", &fields);
        let encoded = encoded.map_err(|error| RegistryError::Content(error.to_string()))?;
        let form = "application/x-www-form-urlencoded";
        let request = client.post(realm).header(reqwest::header::CONTENT_TYPE, form);
        (
            "Post",
            request.body(encoded.query().unwrap_or_default().to_owned()),
        )
    };
    let sent = request.send().await;
    let answer = sent.map_err(|error| RegistryError::connection(method, realm, &error))?;
    let status = answer.status().as_u16();
    let body = super::session::bounded(answer, method, TOKEN_BYTES_MAX).await?;
    if status != 200 {
        return Err(RegistryError::status(status, &body));
    }
    let given: Given = serde_json::from_slice(&body)
        .map_err(|error| RegistryError::Content(format!("unable to decode token response: {error}")))?;
    let token = if given.token.is_empty() {
        given.access_token
    } else {
        given.token
    };
    if token.is_empty() {
        let text = "authorization server did not include a token in the response";
        return Err(RegistryError::Content(text.to_owned()));
    }
    Ok(token)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    token: String,
    access_token: String,
}

/// A header that is not shown in logs.
fn secret(text: &str) -> Result<HeaderValue, RegistryError> {
    let value = HeaderValue::from_str(text);
    let mut value =
        value.map_err(|_| RegistryError::Content("credentials that no header can hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer =
            r#"Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="a,b""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example.org/token".to_owned(),
            service: "registry.example.org".to_owned(),
        };
        assert_eq!(Challenge::parse(bearer), Some(expected));
        assert_eq!(Challenge::parse("Basic realm=x"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }

    #[test]
    fn credentials_are_read_in_every_form_and_never_shown() {
        let json = r#"{"username":"u","password":"pä?>"}"#;
        for header in [
            URL_SAFE.encode(json),
            URL_SAFE_NO_PAD.encode(json),
            STANDARD.encode(json),
        ] {
            let read = Credentials::from_header(&header);
            assert_eq!((read.username.as_str(), read.password.as_str()), ("u", "pä?>"));
            assert_eq!(format!("{read:?}"), "Credentials(…)");
        }
        let old = format!(r#"{{"auth":"{}"}}"#, STANDARD.encode("u:p:q"));
        let read = Credentials::from_header(&URL_SAFE.encode(old));
        assert_eq!((read.username.as_str(), read.password.as_str()), ("u", "p:q"));
        assert_eq!(Credentials::from_header("%%"), Credentials::default());
    }
}
