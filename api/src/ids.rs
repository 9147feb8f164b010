//! Identifiers: checked newtypes, so that a malformed id cannot travel further than the edge.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Hexadecimal digits in a full id: 32 random bytes, or a SHA-256 digest.
pub const ID_HEX_CHARS: usize = 64;
/// Hexadecimal digits in a short id, as `docker ps` shows it.
pub const SHORT_ID_HEX_CHARS: usize = 12;
/// What stands before the digits of an image id.
const DIGEST_PREFIX: &str = "sha256:";

/// The text is not a full identifier of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: {0:?}")]
pub struct NotAnId(pub String);

fn is_full_hex(text: &str) -> bool {
    text.len() == ID_HEX_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a full id of 64 lower-case hexadecimal digits.
            ///
            /// # Errors
            /// [`NotAnId`] for anything else.
            pub fn new(text: impl Into<String>) -> Result<Self, NotAnId> {
                let text = text.into();
                if is_full_hex(&text) { Ok(Self(text)) } else { Err(NotAnId(text)) }
            }

            /// Makes the id from 32 bytes, which the caller takes from a random source.
            #[must_use]
            pub fn from_bytes(bytes: [u8; ID_HEX_CHARS / 2]) -> Self {
                Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }

            /// The full id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first twelve digits.
            #[must_use]
            pub fn short(&self) -> &str {
                &self.0[..SHORT_ID_HEX_CHARS]
            }
        }

        shared_id_traits!($name);
    };
}

macro_rules! shared_id_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

hex_id! {
    /// A container's id.
    ContainerId
}
hex_id! {
    /// A network's id.
    NetworkId
}
hex_id! {
    /// The id of an exec instance.
    ExecId
}

/// An image's id: `sha256:` and the digest of its configuration file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

impl ImageId {
    /// Checks and wraps `sha256:` followed by 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`NotAnId`] for anything else.
    pub fn new(text: impl Into<String>) -> Result<Self, NotAnId> {
        let text = text.into();
        match text.strip_prefix(DIGEST_PREFIX) {
            Some(hex) if is_full_hex(hex) => Ok(Self(text)),
            _ => Err(NotAnId(text)),
        }
    }

    /// Makes the id from a SHA-256 digest.
    #[must_use]
    pub fn from_digest(digest: [u8; ID_HEX_CHARS / 2]) -> Self {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{DIGEST_PREFIX}{hex}"))
    }

    /// The full id, with its `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits without `sha256:`.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[DIGEST_PREFIX.len()..]
    }

    /// The first twelve digits without `sha256:`.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.hex()[..SHORT_ID_HEX_CHARS]
    }
}

shared_id_traits!(ImageId);

/// True if the text could be the beginning of an id: 1 to 64 hexadecimal digits, lower case.
///
/// A container, network or image may be addressed by any unique beginning of its id; full ids and names win over it.
#[must_use]
pub fn is_id_prefix(text: &str) -> bool {
    (1..=ID_HEX_CHARS).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_digits_are_a_container_id() {
        let good = "0123456789abcdef".repeat(4);
        let id = ContainerId::new(good.clone()).expect("a full id");
        assert_eq!(id.short(), "0123456789ab");
        assert_eq!(id.to_string(), good);
        for bad in [
            String::new(),
            good[1..].to_owned(),
            format!("{good}0"),
            good.to_uppercase(),
            format!("sha256:{good}"),
            format!("../{}", &good[3..]),
        ] {
            assert!(ContainerId::new(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_id_keeps_its_algorithm_and_shortens_without_it() {
        let id = ImageId::from_digest([0xab; 32]);
        assert_eq!(id.as_str(), format!("sha256:{}", "ab".repeat(32)));
        assert_eq!(id.short(), "abababababab");
        assert_eq!(ImageId::new(id.as_str()), Ok(id.clone()));
        assert!(ImageId::new(id.hex()).is_err());
    }

    #[test]
    fn a_bad_id_in_json_is_refused() {
        assert!(serde_json::from_str::<NetworkId>("\"abc\"").is_err());
        let text = format!("\"{}\"", ExecId::from_bytes([7; 32]));
        let id: ExecId = serde_json::from_str(&text).expect("a full id");
        assert_eq!(serde_json::to_string(&id).expect("a string"), text);
    }

    #[test]
    fn prefixes_are_lower_case_hexadecimal() {
        assert!(is_id_prefix("a"));
        assert!(is_id_prefix("deadbeef"));
        assert!(!is_id_prefix(""));
        assert!(!is_id_prefix("web"));
        assert!(!is_id_prefix(&"a".repeat(65)));
    }
}
