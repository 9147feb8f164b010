//! Checked names. A value of one of these types always holds a good name: the only ways in are `new` and `Decode`,
//! and both check.

use crate::codec::{BorrowDecode, BorrowDecoder, Decode, DecodeError, Decoder, Encode, EncodeError, Encoder};
use crate::limits::{
    DATASET_DEPTH_MAX, DATASET_NAME_BYTES_MAX, HOSTNAME_BYTES_MAX, INTERFACE_NAME_BYTES_MAX,
    OBJECT_NAME_BYTES_MAX, PATH_BYTES_MAX, PRINCIPAL_BYTES_MAX, SNAPSHOT_LABEL_BYTES_MAX,
};

/// A name that breaks its type's rule; says which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName(pub &'static str);

impl std::fmt::Display for BadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadName {}

/// Declares a string type whose every value satisfies `$check`.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes the name if it is good.
            ///
            /// # Errors
            /// [`BadName`] with the rule that it breaks.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                if name.len() > $max {
                    return Err(BadName(concat!(stringify!($name), " is too long")));
                }
                let check: fn(&str) -> Result<(), BadName> = $check;
                check(&name)?;
                Ok(Self(name))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                self.0.encode(encoder)
            }
        }

        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Self::new(String::decode(decoder)?).map_err(|bad| DecodeError::Other(bad.0))
            }
        }

        crate::codec::impl_borrow_decode!($name);
    };
}

checked_name!(
    /// A dataset below the configured parent, such as `images/<chain id>` or `volumes/<tenant>/<name>`. The helper
    /// puts the parent in front itself, so no value can name anything outside it.
    DatasetName, DATASET_NAME_BYTES_MAX, check_dataset
);
checked_name!(
    /// The part of a snapshot's name after the `@`.
    SnapshotLabel, SNAPSHOT_LABEL_BYTES_MAX, check_component
);
checked_name!(
    /// A jail: the helper puts the configured prefix in front. Lower-case letters, digits and dashes.
    JailName, OBJECT_NAME_BYTES_MAX, check_object
);
checked_name!(
    /// A mount point: the name of a directory right below the configured mount root. Lower-case letters, digits, dashes.
    MountName, OBJECT_NAME_BYTES_MAX, check_object
);

impl MountName {
    /// What the names of containers' trees begin with.
    pub const CONTAINER_PREFIX: &str = "c-";

    /// The container whose tree is mounted there, if it is one.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.as_str().strip_prefix(Self::CONTAINER_PREFIX)
    }
}

checked_name!(
    /// A rule set of one network: the name of its anchor (FreeBSD, pf.conf(5)) or table (Linux).
    AnchorName, 40, check_object
);
checked_name!(
    /// An interface of ours on the host. Always begins with `cb`, so that it cannot name the host's own.
    InterfaceName, INTERFACE_NAME_BYTES_MAX, check_host_interface
);
checked_name!(
    /// An interface inside a container, such as `eth0`.
    InnerInterfaceName, INTERFACE_NAME_BYTES_MAX, check_inner_interface
);
checked_name!(
    /// A path relative to a container's root: no leading `/`, no `..`, no empty part. The empty path is the root itself.
    RelPath, PATH_BYTES_MAX, check_relative
);
checked_name!(
    /// An absolute host path without `..`, `.`, empty parts or a trailing `/` (except `/` itself).
    HostPath, PATH_BYTES_MAX, check_absolute
);
checked_name!(
    /// A host name or domain name: letters, digits, `-`, `.`, `_`. May be empty.
    HostName, HOSTNAME_BYTES_MAX, check_hostname
);
checked_name!(
    /// A word for people and audit lines: printable ASCII without spaces.
    Label, PRINCIPAL_BYTES_MAX, check_label
);

impl DatasetName {
    /// The dataset `name` below the folder `family`, as in `images/<name>`.
    ///
    /// # Errors
    /// [`BadName`] where the result is not a good dataset name.
    pub fn within(family: &str, name: &str) -> Result<Self, BadName> {
        Self::new(format!("{family}/{name}"))
    }
}

fn check_dataset(name: &str) -> Result<(), BadName> {
    if name.split('/').count() > DATASET_DEPTH_MAX {
        return Err(BadName("dataset name is too deep"));
    }
    name.split('/').try_for_each(check_component)
}

fn check_component(part: &str) -> Result<(), BadName> {
    let first = part
        .bytes()
        .next()
        .ok_or(BadName("empty part in a dataset name"))?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if first.is_ascii_alphanumeric() && part.bytes().all(fits) {
        Ok(())
    } else {
        Err(BadName(
            "dataset names hold letters, digits, '_', '-', '.' and begin with a letter or digit",
        ))
    }
}

fn check_object(name: &str) -> Result<(), BadName> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match name.bytes().next() {
        Some(first) if first != b'-' && name.bytes().all(fits) => Ok(()),
        Some(_) | None => Err(BadName("names hold lower-case letters, digits and dashes")),
    }
}

fn check_host_interface(name: &str) -> Result<(), BadName> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match name.strip_prefix("cb") {
        Some(rest) if !rest.is_empty() && rest.bytes().all(fits) => Ok(()),
        Some(_) | None => Err(BadName(
            "host interfaces are named cb and lower-case letters or digits",
        )),
    }
}

fn check_inner_interface(name: &str) -> Result<(), BadName> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !name.is_empty() && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(BadName("interfaces are named with lower-case letters and digits"))
    }
}

fn check_relative(path: &str) -> Result<(), BadName> {
    if path.is_empty() {
        Ok(())
    } else {
        path.split('/').try_for_each(check_path_part)
    }
}

fn check_absolute(path: &str) -> Result<(), BadName> {
    match path.strip_prefix('/') {
        None => Err(BadName("the path is not absolute")),
        Some(rest) => check_relative(rest),
    }
}

fn check_path_part(part: &str) -> Result<(), BadName> {
    match part {
        "" => Err(BadName("empty part in a path")),
        "." | ".." => Err(BadName("'.' and '..' are not allowed in a path")),
        named if named.contains('\0') => Err(BadName("NUL in a path")),
        _ => Ok(()),
    }
}

fn check_hostname(name: &str) -> Result<(), BadName> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.bytes().all(fits) {
        Ok(())
    } else {
        Err(BadName("host names hold letters, digits, '-', '.' and '_'"))
    }
}

fn check_label(text: &str) -> Result<(), BadName> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(BadName("labels are printable ASCII"))
    }
}

/// UTF-8 text of at most `MAX` bytes, without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes the text if it fits.
    ///
    /// # Errors
    /// [`BadName`] where it is longer than `MAX` bytes or holds a NUL.
    pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
        let text = text.into();
        if text.len() > MAX {
            Err(BadName("text is too long"))
        } else if text.contains('\0') {
            Err(BadName("NUL in a text"))
        } else {
            Ok(Self(text))
        }
    }

    /// The text up to the limit and without NULs, for details meant for people.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let mut kept = text.replace('\0', " ");
        let mut end = kept.len().min(MAX);
        while !kept.is_char_boundary(end) {
            end -= 1;
        }
        kept.truncate(end);
        Self(kept)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.encode(encoder)
    }
}

impl<C, const MAX: usize> Decode<C> for Text<MAX> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(String::decode(decoder)?).map_err(|bad| DecodeError::Other(bad.0))
    }
}

impl<'de, C, const MAX: usize> BorrowDecode<'de, C> for Text<MAX> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

/// A list of at most `MAX` items.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// Takes the list if it fits.
    ///
    /// # Errors
    /// [`BadName`] where it has more than `MAX` items.
    pub fn new(items: Vec<T>) -> Result<Self, BadName> {
        if items.len() > MAX {
            Err(BadName("list is too long"))
        } else {
            Ok(Self(items))
        }
    }

    /// The list with what is over the limit cut off, for replies meant for people.
    #[must_use]
    pub fn cut(mut items: Vec<T>) -> Self {
        items.truncate(MAX);
        Self(items)
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The items, given away.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Encode + 'static, const MAX: usize> Encode for Bounded<T, MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.encode(encoder)
    }
}

impl<C, T: Decode<C>, const MAX: usize> Decode<C> for Bounded<T, MAX> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        // The count is checked before anything is allocated for it.
        let count = u64::decode(decoder)?;
        if count > MAX as u64 {
            return Err(DecodeError::Other("list is too long"));
        }
        let items = (0..count)
            .map(|_| T::decode(decoder))
            .collect::<Result<Vec<T>, DecodeError>>()?;
        Ok(Self(items))
    }
}

impl<'de, C, T: Decode<C>, const MAX: usize> BorrowDecode<'de, C> for Bounded<T, MAX> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}
