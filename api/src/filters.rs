//! The `filters` query argument of list, prune and event requests.
//!
//! Today's clients send `{"name":{"web":true}}`; older ones, and many libraries, `{"name":["web"]}`.

use regex_lite::RegexBuilder;
use std::collections::{BTreeMap, BTreeSet};

/// Filters by key, each with the set of wanted values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    by_key: BTreeMap<String, BTreeSet<String>>,
}

impl Filters {
    /// Reads the argument; an empty one means no filter.
    ///
    /// # Errors
    /// [`FilterError::Malformed`] if the text is JSON of neither form.
    pub fn parse(argument: &str) -> Result<Self, FilterError> {
        if argument.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(read) =
            serde_json::from_str::<Option<BTreeMap<String, Option<BTreeMap<String, bool>>>>>(argument)
        {
            let by_key = read
                .unwrap_or_default()
                .into_iter()
                // dockerd looks at the presence of a value and not at its boolean.
                .map(|(key, values)| (key, values.unwrap_or_default().into_keys().collect()))
                .collect();
            return Ok(Self { by_key });
        }
        let read: BTreeMap<String, Option<Vec<String>>> =
            serde_json::from_str(argument).map_err(|_| FilterError::Malformed)?;
        let by_key = read
            .into_iter()
            .map(|(key, values)| (key, values.unwrap_or_default().into_iter().collect()))
            .collect();
        Ok(Self { by_key })
    }

    /// Checks that only the accepted keys were used.
    ///
    /// # Errors
    /// [`FilterError::UnknownKey`] names the first key that is not accepted.
    pub fn accept_only(&self, accepted: &[&str]) -> Result<(), FilterError> {
        match self.by_key.keys().find(|key| !accepted.contains(&key.as_str())) {
            Some(key) => Err(FilterError::UnknownKey(key.clone())),
            None => Ok(()),
        }
    }

    /// The values given for a key, sorted; none if the key was not used.
    pub fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.by_key.get(key).into_iter().flatten().map(String::as_str)
    }

    /// True if the key was used (even with no value).
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// True if no filter was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Adds a value, as dockerd does for its older stand-alone arguments (`filter=`, `before=`).
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.by_key.entry(key.into()).or_default().insert(value.into());
    }

    /// True if the key was not used, or one of its values equals the text.
    #[must_use]
    pub fn matches_exactly(&self, key: &str, text: &str) -> bool {
        self.by_key
            .get(key)
            .is_none_or(|wanted| wanted.is_empty() || wanted.contains(text))
    }

    /// True if the key was not used, or one of its values is the text or a regular expression that matches it somewhere.
    /// A value that is no regular expression matches only what equals it.
    #[must_use]
    pub fn matches_text(&self, key: &str, text: &str) -> bool {
        self.by_key.get(key).is_none_or(|wanted| {
            let matches = |value: &String| {
                value == text
                    || RegexBuilder::new(value)
                        .build()
                        .is_ok_and(|regex| regex.is_match(text))
            };
            wanted.is_empty() || wanted.iter().any(matches)
        })
    }

    /// True if the key was not used, or one of its values is how the text begins.
    #[must_use]
    pub fn matches_beginning(&self, key: &str, text: &str) -> bool {
        self.by_key.get(key).is_none_or(|wanted| {
            wanted.is_empty() || wanted.iter().any(|value| text.starts_with(value.as_str()))
        })
    }

    /// True if every `name` or `name=value` under the key (`label`) is among the given pairs.
    #[must_use]
    pub fn matches_pairs(&self, key: &str, pairs: &BTreeMap<String, String>) -> bool {
        self.values(key).all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => pairs.get(name).is_some_and(|have| have == value),
            None => pairs.contains_key(wanted),
        })
    }

    /// Reads a filter that is one boolean (`dangling`, `is-official`); `default` if it was not used.
    ///
    /// # Errors
    /// [`FilterError::BadValue`] if there are several values or one is neither true nor false.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, FilterError> {
        let Some(values) = self.by_key.get(key) else {
            return Ok(default);
        };
        let (truthy, falsy) = (
            values.contains("1") || values.contains("true"),
            values.contains("0") || values.contains("false"),
        );
        match (truthy, falsy) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            (true, true) | (false, false) => Err(FilterError::BadValue {
                key: key.to_owned(),
                values: values.iter().cloned().collect(),
            }),
        }
    }
}

/// Why a `filters` argument was refused; status 400. The texts are dockerd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not JSON of either accepted form.
    #[error("invalid filter")]
    Malformed,
    /// A key this request does not know.
    #[error("invalid filter '{0}'")]
    UnknownKey(String),
    /// A value this key does not take; dockerd prints the values as a Go slice.
    #[error("invalid filter '{key}=[{}]'", values.join(" "))]
    BadValue {
        /// The filter's key.
        key: String,
        /// Every value given for it.
        values: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_argument_mean_the_same() {
        let map =
            Filters::parse(r#"{"label":{"a=b":true,"c":true},"name":{"web":false}}"#).expect("map form");
        let list = Filters::parse(r#"{"label":["a=b","c"],"name":["web"]}"#).expect("list form");
        assert_eq!(map, list);
        assert_eq!(map.values("label").collect::<Vec<_>>(), ["a=b", "c"]);
        assert!(map.contains("name") && !map.contains("id"));
        assert!(Filters::parse("").expect("nothing").is_empty());
        assert!(Filters::parse("{}").expect("empty").is_empty());
    }

    #[test]
    fn other_json_is_malformed() {
        for text in [
            "x",
            "[]",
            "\"name\"",
            r#"{"a":"b"}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":[1]}"#,
            "{",
        ] {
            assert_eq!(Filters::parse(text), Err(FilterError::Malformed), "{text}");
        }
        assert_eq!(FilterError::Malformed.to_string(), "invalid filter");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let filters = Filters::parse(r#"{"nmae":["web"]}"#).expect("well formed");
        let refused = filters.accept_only(&["name", "id"]).expect_err("a typing error");
        assert_eq!(refused.to_string(), "invalid filter 'nmae'");
        assert!(filters.accept_only(&["nmae"]).is_ok());
    }

    #[test]
    fn a_boolean_filter_takes_one_meaning() {
        let parse = |text| {
            Filters::parse(text)
                .expect("well formed")
                .boolean("dangling", true)
        };
        assert_eq!(parse("{}"), Ok(true));
        assert_eq!(parse(r#"{"dangling":["0"]}"#), Ok(false));
        let refused = parse(r#"{"dangling":["maybe"]}"#).expect_err("not a boolean");
        assert_eq!(refused.to_string(), "invalid filter 'dangling=[maybe]'");
        assert!(parse(r#"{"dangling":["1","false"]}"#).is_err());
    }

    #[test]
    fn labels_match_by_name_or_by_name_and_value() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let matches = |text| {
            Filters::parse(text)
                .expect("well formed")
                .matches_pairs("label", &labels)
        };
        assert!(matches(r#"{}"#));
        assert!(matches(r#"{"label":["a","b="]}"#));
        assert!(!matches(r#"{"label":["a=2"]}"#));
        assert!(!matches(r#"{"label":["c"]}"#));
    }
}
