//! Reading as Go's `encoding/json` reads: `null` means the zero value, and a command may be one string.

use serde::de::{Deserialize, Deserializer};

/// Reads a value, taking `null` for the type's default.
///
/// Named in `#[serde(deserialize_with = …)]` on every non-optional field a client may send.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The name by which a deserializer knows that [`strings`] asks.
pub(crate) const WORDS: &str = "WordList";

/// Reads `null`, one string, or a list of strings (`Cmd`, `Entrypoint`, `CapAdd` and others accept all three).
pub(crate) fn strings<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<Option<String>>),
    }
    // Its name is `WORDS`.
    #[derive(serde::Deserialize)]
    struct WordList(Option<OneOrMany>);
    let WordList(read) = WordList::deserialize(deserializer)?;
    Ok(read.map(|value| match value {
        OneOrMany::One(word) => vec![word],
        OneOrMany::Many(words) => words.into_iter().map(Option::unwrap_or_default).collect(),
    }))
}

/// True for a type's zero value; the `skip_serializing_if` of fields that dockerd omits when empty.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
