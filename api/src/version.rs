//! API versions: the `/v1.NN` prefix of a request path, the supported range, and dockerd's refusals.

use std::fmt;
use std::str::FromStr;

/// An Engine API version such as `1.51`. Compared number by number, so 1.9 is older than 1.10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// The part before the dot; always 1 so far.
    pub major: u32,
    /// The part after the dot.
    pub minor: u32,
}

impl ApiVersion {
    /// The oldest version dockerd 28 speaks, and so do we.
    pub const MIN: Self = Self::new(1, 24);
    /// The newest version we speak; a request without a prefix uses it.
    pub const MAX: Self = Self::new(1, 51);

    /// Makes a version from its two numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads the version of a request path, without its `v`, and checks that a client may use it.
    ///
    /// dockerd's router takes any digits and dots for a version, so `1` and `1.5.1` are versions too.
    ///
    /// # Errors
    /// [`VersionRefused`]; status 400 for the supported range, 404 for [`VersionRefused::NotAVersion`].
    pub fn negotiate(text: &str) -> Result<Self, VersionRefused> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(VersionRefused::NotAVersion);
        }
        // As in Go, an empty part counts as zero; a part beyond 32 bits is simply very new.
        let mut parts = text.split('.').map(|part| {
            if part.is_empty() {
                0
            } else {
                part.parse().unwrap_or(u32::MAX)
            }
        });
        let version = Self::new(parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if version < Self::MIN {
            return Err(VersionRefused::TooOld(text.to_owned()));
        }
        if version > Self::MAX || (version == Self::MAX && parts.any(|part| part > 0)) {
            return Err(VersionRefused::TooNew(text.to_owned()));
        }
        Ok(version)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    /// Reads `1.51`; the leading `v` of a path is not part of it.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (major, minor) = text.split_once('.').ok_or(NotAVersion)?;
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

fn number(text: &str) -> Result<u32, NotAVersion> {
    // `parse` alone would take "+5", which dockerd's router does not match.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotAVersion);
    }
    text.parse().map_err(|_| NotAVersion)
}

/// The text is not `<number>.<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API version")]
pub struct NotAVersion;

/// A version no client may use. The texts are dockerd's; the docker CLI matches on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionRefused {
    /// Not digits and dots: dockerd knows no such path.
    #[error("page not found")]
    NotAVersion,
    /// Older than [`ApiVersion::MIN`]. dockerd answers it as plain text, since such clients know no JSON errors.
    #[error(
        "client version {0} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version",
        min = ApiVersion::MIN
    )]
    TooOld(String),
    /// Newer than [`ApiVersion::MAX`].
    #[error("client version {0} is too new. Maximum supported API version is {max}", max = ApiVersion::MAX)]
    TooNew(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let nine: ApiVersion = "1.9".parse().expect("a version");
        assert!(nine < ApiVersion::new(1, 10));
        assert!(nine < ApiVersion::MIN);
        assert_eq!(ApiVersion::MAX.to_string(), "1.51");
    }

    #[test]
    fn malformed_versions_are_not_versions() {
        for text in [
            "",
            "1",
            "1.",
            ".4",
            "1.x",
            "1.+4",
            "v1.4",
            "1.2.3",
            "1.99999999999",
        ] {
            assert_eq!(text.parse::<ApiVersion>(), Err(NotAVersion), "{text:?}");
        }
    }

    #[test]
    fn refusals_use_dockerds_words() {
        let words = |text| ApiVersion::negotiate(text).expect_err(text).to_string();
        assert_eq!(
            words("1.10"),
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        assert_eq!(
            words("9.99"),
            "client version 9.99 is too new. Maximum supported API version is 1.51"
        );
        for old in ["1", "1.", ".", "1.5.1", "0.99", "1.23"] {
            assert_eq!(
                ApiVersion::negotiate(old),
                Err(VersionRefused::TooOld(old.to_owned()))
            );
        }
        for new in ["1.52", "2", "1.51.1", "1.99999999999"] {
            assert_eq!(
                ApiVersion::negotiate(new),
                Err(VersionRefused::TooNew(new.to_owned()))
            );
        }
        for other in ["", "1.x", "v1.40", "-1.40"] {
            assert_eq!(ApiVersion::negotiate(other), Err(VersionRefused::NotAVersion));
        }
    }

    #[test]
    fn the_supported_range_is_taken() {
        assert_eq!(ApiVersion::negotiate("1.24"), Ok(ApiVersion::MIN));
        assert_eq!(ApiVersion::negotiate("1.51"), Ok(ApiVersion::MAX));
        assert_eq!(ApiVersion::negotiate("1.44"), Ok(ApiVersion::new(1, 44)));
    }
}
