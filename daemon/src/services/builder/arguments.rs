//! Build arguments: `ARG` and `--build-arg`, and where each is seen.

use std::collections::{BTreeMap, BTreeSet};

/// Arguments that need no `ARG` and do not change the cache, as in dockerd.
const PREDEFINED: [&str; 10] = [
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The arguments of one stage, or of the lines before the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    /// Of the request; without a value means that the Dockerfile's counts.
    given: BTreeMap<String, Option<String>>,
    /// Declared here, with their defaults.
    declared: BTreeMap<String, Option<String>>,
    /// Declared before the first `FROM`, with their defaults.
    global: BTreeMap<String, Option<String>>,
    /// Declared anywhere.
    used: BTreeSet<String>,
}

impl Arguments {
    /// Those of a request.
    pub(super) fn new(given: BTreeMap<String, Option<String>>) -> Self {
        Arguments {
            given,
            ..Arguments::default()
        }
    }

    /// What a new stage begins with: nothing declared.
    pub(super) fn for_stage(&self) -> Self {
        Arguments {
            declared: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// `ARG` in a stage.
    pub(super) fn declare(&mut self, name: &str, default: Option<String>) {
        self.declared.insert(name.to_owned(), default);
        self.used.insert(name.to_owned());
    }

    /// `ARG` before the first `FROM`.
    pub(super) fn declare_global(&mut self, name: &str, default: Option<String>) {
        self.declare(name, default.clone());
        self.global.insert(name.to_owned(), default);
    }

    /// What `FROM` sees.
    pub(super) fn of_from(&self) -> BTreeMap<String, String> {
        self.values(&self.global)
    }

    /// What instructions see, where the environment has no variable of the same name.
    pub(super) fn beside(&self, env: &[String]) -> BTreeMap<String, String> {
        let mut values = self.values(&self.declared);
        for entry in env {
            values.remove(entry.split('=').next().unwrap_or_default());
        }
        values
    }

    /// Whether an argument stands before the command in an image's history, and so in the cache's key.
    pub(super) fn is_in_history(&self, name: &str) -> bool {
        self.declared.contains_key(name) || !PREDEFINED.contains(&name)
    }

    /// What another stage declared was used too.
    pub(super) fn join_used(&mut self, other: &Arguments) {
        self.used.extend(other.used.iter().cloned());
    }

    /// What the request gave and no stage declared.
    pub(super) fn unused(&self) -> Vec<&str> {
        let names = self.given.keys().map(String::as_str);
        names
            .filter(|name| !self.used.contains(*name) && !PREDEFINED.contains(name))
            .collect()
    }

    fn values(&self, declared: &BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
        let names = declared.keys().map(String::as_str).chain(PREDEFINED);
        names
            .filter_map(|name| Some((name.to_owned(), self.value(name, declared)?)))
            .collect()
    }

    /// The request's value, then the default of here, then that of before the first `FROM`.
    fn value(&self, name: &str, declared: &BTreeMap<String, Option<String>>) -> Option<String> {
        [&self.given, declared, &self.global]
            .into_iter()
            .find_map(|source| source.get(name)?.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn given() -> Arguments {
        let given = [
            ("A", own("given")),
            ("NONE", None),
            ("HTTP_PROXY", own("p")),
            ("ZZ", own("1")),
        ];
        Arguments::new(given.map(|(name, value)| (name.to_owned(), value)).into())
    }

    #[test]
    fn a_value_comes_from_the_request_then_from_the_stage_then_from_before_it() {
        let mut arguments = given();
        arguments.declare_global("A", own("global"));
        arguments.declare_global("B", own("global"));
        arguments.declare_global("C", own("global"));
        let mut stage = arguments.for_stage();
        assert_eq!(stage.beside(&[]).keys().collect::<Vec<_>>(), ["HTTP_PROXY"]);
        stage.declare("A", own("stage"));
        stage.declare("B", None);
        stage.declare("C", own("stage"));
        stage.declare("NONE", own("default"));
        let values = stage.beside(&["C=env".to_owned()]);
        let told: Vec<(&str, &str)> = values.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            told,
            [
                ("A", "given"),
                ("B", "global"),
                ("HTTP_PROXY", "p"),
                ("NONE", "default")
            ]
        );
        assert_eq!(arguments.of_from()["C"], "global");
    }

    #[test]
    fn what_no_stage_declared_is_told_but_proxies_are_not() {
        let mut arguments = given();
        let mut stage = arguments.for_stage();
        stage.declare("A", None);
        arguments.join_used(&stage);
        assert_eq!(arguments.unused(), ["NONE", "ZZ"]);
        assert!(!arguments.is_in_history("HTTP_PROXY") && arguments.is_in_history("A"));
    }
}
