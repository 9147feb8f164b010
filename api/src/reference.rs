//! Image references: `[registry/]repository[:tag][@digest]`, read and completed as Docker does.
//!
//! `busybox` is short for `docker.io/library/busybox:latest`; the short form is the *familiar* one, which answers show.

use std::fmt;
use std::str::FromStr;

/// The registry of names that give none.
pub const DOMAIN_DEFAULT: &str = "docker.io";
/// Its older name, which means the same.
const DOMAIN_LEGACY: &str = "index.docker.io";
/// Where names of one component live on the default registry.
const OFFICIAL_PREFIX: &str = "library/";
/// The tag of names that give neither tag nor digest.
pub const TAG_DEFAULT: &str = "latest";
/// Longest repository path without its registry, in characters (distribution specification).
pub const REPOSITORY_CHARS_MAX: usize = 255;
/// Longest tag in characters (distribution specification).
pub const TAG_CHARS_MAX: usize = 128;
/// Shortest digest in hexadecimal digits.
const DIGEST_HEX_CHARS_MIN: usize = 32;
/// Length of the identifiers a repository must not look like.
const IDENTIFIER_CHARS: usize = 64;

/// A complete image reference: registry and repository are always set, tag and digest as given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image reference; status 400. The texts are those of Docker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not of the form of a reference.
    #[error("invalid reference format")]
    Format,
    /// Capital letters in the repository, which is given with its `library/`.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    NotLowercase(String),
    /// The repository is longer than [`REPOSITORY_CHARS_MAX`].
    #[error("repository name must not be more than {REPOSITORY_CHARS_MAX} characters")]
    TooLong,
    /// The text looks like an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// The tag alone is wrong.
    #[error("invalid tag format")]
    Tag,
    /// The digest names an algorithm nobody here knows.
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
    /// The digest has the wrong number of digits for its algorithm, or capital letters.
    #[error("invalid checksum digest length")]
    DigestLength,
}

impl Reference {
    /// Reads a reference in familiar or full form.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let repository = rest.split(':').next().unwrap_or_default();
        if repository.chars().any(char::is_uppercase) {
            return Err(ReferenceError::NotLowercase(repository.to_owned()));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest.to_owned(), Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest.as_str(), None),
        };
        let well_formed = is_domain(&domain)
            && path.split('/').all(is_path_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest_shape);
        if !well_formed {
            return Err(ReferenceError::Format);
        }
        if path.len() > REPOSITORY_CHARS_MAX {
            return Err(ReferenceError::TooLong);
        }
        if let Some(digest) = digest {
            check_digest(digest)?;
        }
        Ok(Self {
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
            domain,
        })
    }

    /// The registry, `docker.io` if none was given.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository without its registry: `library/busybox`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// True if neither tag nor digest was given.
    #[must_use]
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The same reference with the tag `latest` if it had neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(TAG_DEFAULT.to_owned());
        }
        self
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// [`ReferenceError::Tag`] if the tag is malformed.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository with a digest and no tag.
    ///
    /// # Errors
    /// [`ReferenceError::Format`], [`ReferenceError::DigestAlgorithm`] or [`ReferenceError::DigestLength`].
    pub fn with_digest(&self, digest: &str) -> Result<Self, ReferenceError> {
        if !is_digest_shape(digest) {
            return Err(ReferenceError::Format);
        }
        check_digest(digest)?;
        Ok(Self {
            tag: None,
            digest: Some(digest.to_owned()),
            ..self.clone()
        })
    }

    /// Registry and repository: `docker.io/library/busybox`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as people write it: `busybox`, `user/app`, `example.com/app`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.domain != DOMAIN_DEFAULT {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            // "docker.io/library/a/b" must keep its prefix, since "a/b" is another repository.
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people write it: `busybox:latest`.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest);
        }
        name
    }
}

impl fmt::Display for Reference {
    /// Prints the full form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// True if the text is 64 lower-case hexadecimal digits, which can only be an image's id.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    text.len() == IDENTIFIER_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Splits off the registry and completes both parts.
///
/// The first component is a registry only if it could not be a path component: it has a dot, a port or a capital letter, or is `localhost`.
fn split_domain(text: &str) -> (String, String) {
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DOMAIN_DEFAULT, text),
    };
    let domain = if domain == DOMAIN_LEGACY {
        DOMAIN_DEFAULT
    } else {
        domain
    };
    if domain == DOMAIN_DEFAULT && !rest.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL_PREFIX}{rest}"));
    }
    (domain.to_owned(), rest.to_owned())
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let is_address =
                    !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    host.split('.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Lower-case letters and digits, joined by one dot, one or two underscores, or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|b| is_word(*b)) || !bytes.last().is_some_and(|b| is_word(*b)) {
        return false;
    }
    text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_CHARS_MAX
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest_shape(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let is_algorithm = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    is_algorithm && hex.len() >= DIGEST_HEX_CHARS_MIN && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Checks what the shape leaves open: a known algorithm with its own number of lower-case digits.
fn check_digest(digest: &str) -> Result<(), ReferenceError> {
    let (algorithm, hex) = digest.split_once(':').ok_or(ReferenceError::Format)?;
    let hex_chars = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::DigestAlgorithm),
    };
    if hex.len() != hex_chars {
        return Err(ReferenceError::DigestLength);
    }
    if hex.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::Format);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";

    #[test]
    fn familiar_names_are_completed_and_shortened_again() {
        for (given, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("user/app", "docker.io/user/app", "user/app"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            ("library/busybox:a", "docker.io/library/busybox:a", "busybox:a"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("example.com/app", "example.com/app", "example.com/app"),
            (
                "example.com:5000/a/b_c:t-1",
                "example.com:5000/a/b_c:t-1",
                "example.com:5000/a/b_c:t-1",
            ),
            ("Host/app", "Host/app", "Host/app"),
            ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("a--b/c__d.e", "docker.io/a--b/c__d.e", "a--b/c__d.e"),
        ] {
            let read = Reference::parse(given).expect(given);
            assert_eq!(read.to_string(), full, "{given}");
            assert_eq!(read.familiar(), familiar, "{given}");
            assert_eq!(Reference::parse(full), Ok(read), "{given}");
        }
    }

    #[test]
    fn the_default_tag_is_added_only_to_bare_names() {
        let tagged = |text: &str| Reference::parse(text).expect(text).with_default_tag().familiar();
        assert_eq!(tagged("busybox"), "busybox:latest");
        assert_eq!(tagged("busybox:1"), "busybox:1");
        assert_eq!(tagged(&format!("busybox@{DIGEST}")), format!("busybox@{DIGEST}"));
    }

    #[test]
    fn tag_and_digest_may_stand_together() {
        let read = Reference::parse(&format!("app:1@{DIGEST}")).expect("both");
        assert_eq!((read.tag(), read.digest()), (Some("1"), Some(DIGEST)));
        assert_eq!(read.with_tag("2").expect("a tag").familiar(), "app:2");
        assert_eq!(read.with_tag("a b"), Err(ReferenceError::Tag));
        assert_eq!(read.with_digest(DIGEST).expect("a digest").tag(), None);
    }

    #[test]
    fn capital_letters_are_named_with_the_completed_repository() {
        for (given, text) in [
            (
                "BusyBox",
                "invalid reference format: repository name (library/BusyBox) must be lowercase",
            ),
            (
                "a/B:1",
                "invalid reference format: repository name (a/B) must be lowercase",
            ),
            (
                "example.com/App",
                "invalid reference format: repository name (App) must be lowercase",
            ),
        ] {
            assert_eq!(Reference::parse(given).expect_err(given).to_string(), text);
        }
    }

    #[test]
    fn malformed_references_are_refused() {
        for given in [
            "",
            ":",
            ":x",
            "a:",
            "a b",
            "a/",
            "/a",
            "a//b",
            "a:b:c",
            "a@",
            "a@sha256:12",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a.-b",
            "example.com:/a",
            "-x.com/a",
            "a:.x",
            "é",
            "a\n",
            "[::1/a",
            "a:b/c",
            "../a",
        ] {
            assert_eq!(Reference::parse(given), Err(ReferenceError::Format), "{given:?}");
        }
        let long = format!("a:{}", "t".repeat(TAG_CHARS_MAX + 1));
        assert_eq!(Reference::parse(&long), Err(ReferenceError::Format));
    }

    #[test]
    fn other_refusals_have_their_own_words() {
        let id = "0a".repeat(32);
        assert_eq!(Reference::parse(&id), Err(ReferenceError::LooksLikeId(id)));
        let long = format!("example.com/{}", "a".repeat(REPOSITORY_CHARS_MAX + 1));
        assert_eq!(Reference::parse(&long), Err(ReferenceError::TooLong));
        let odd = format!("a@md5:{}", "0".repeat(32));
        assert_eq!(Reference::parse(&odd), Err(ReferenceError::DigestAlgorithm));
        let short = format!("a@sha256:{}", "0".repeat(40));
        assert_eq!(Reference::parse(&short), Err(ReferenceError::DigestLength));
    }
}
