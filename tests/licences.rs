//! Licences and banned crates, checked against the lists in `.deny.toml`, so that both ways of checking agree.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a list that cannot be read fails the test, as it should"
)]

use semver::{Version, VersionReq};
use std::collections::BTreeSet;
use system_tests::repository::{cargo, root};
use toml::{Table, Value};

/// The hosts that programs are built for. Crates for other systems are never downloaded, so they have no licence here.
const HOSTS: [&str; 2] = ["x86_64-unknown-freebsd", "x86_64-unknown-linux-gnu"];

/// The lists of `.deny.toml`.
struct Lists {
    allowed: Vec<String>,
    /// A crate with the licences allowed to it alone.
    exceptions: Vec<(String, Vec<String>)>,
    banned: Vec<(String, VersionReq)>,
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.as_str().unwrap().to_owned())
        .collect()
}

impl Lists {
    fn read(text: &str) -> Lists {
        let file: Table = text.parse().unwrap();
        let name = |entry: &Value| entry["crate"].as_str().unwrap().to_owned();
        let banned = |entry: &Value| {
            let spec = name(entry);
            let (name, versions) = spec.split_once(':').unwrap_or((&spec, "*"));
            (name.to_owned(), versions.parse().unwrap())
        };
        let exceptions = file["licenses"]["exceptions"].as_array().unwrap().iter();
        Lists {
            allowed: strings(&file["licenses"]["allow"]),
            exceptions: exceptions
                .map(|entry| (name(entry), strings(&entry["allow"])))
                .collect(),
            banned: file["bans"]["deny"]
                .as_array()
                .unwrap()
                .iter()
                .map(banned)
                .collect(),
        }
    }

    /// Whether `licence`, an SPDX expression, leaves a choice of allowed licences for the crate `name`.
    fn allow(&self, name: &str, licence: &str) -> bool {
        let own = self
            .exceptions
            .iter()
            .filter(|(of, _)| of == name)
            .flat_map(|(_, licences)| licences);
        let allowed: Vec<&String> = self.allowed.iter().chain(own).collect();
        let spaced = licence
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = tokens.as_slice();
        let verdict = any_of(&mut rest, &|id| allowed.iter().any(|allowed| *allowed == id));
        verdict && rest.is_empty()
    }

    fn ban(&self, name: &str, version: &Version) -> bool {
        self.banned
            .iter()
            .any(|(banned, versions)| banned == name && versions.matches(version))
    }
}

/// `a OR b`, where `OR` binds less than `AND`. Takes what it understood off the front of `tokens`.
fn any_of(tokens: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut verdict = all_of(tokens, is_allowed);
    while let ["OR", rest @ ..] = *tokens {
        *tokens = rest;
        verdict |= all_of(tokens, is_allowed);
    }
    verdict
}

fn all_of(tokens: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut verdict = one(tokens, is_allowed);
    while let ["AND", rest @ ..] = *tokens {
        *tokens = rest;
        verdict &= one(tokens, is_allowed);
    }
    verdict
}

fn one(tokens: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> bool {
    match *tokens {
        ["(", rest @ ..] => {
            *tokens = rest;
            let verdict = any_of(tokens, is_allowed);
            let closed = tokens.first() == Some(&")");
            *tokens = tokens.get(1..).unwrap_or_default();
            verdict && closed
        }
        [id, "WITH", exception, rest @ ..] => {
            *tokens = rest;
            is_allowed(&format!("{id} WITH {exception}"))
        }
        [id, rest @ ..] => {
            *tokens = rest;
            is_allowed(id)
        }
        [] => false,
    }
}

fn lists() -> Lists {
    Lists::read(&std::fs::read_to_string(root().join(".deny.toml")).unwrap())
}

#[test]
fn every_crate_has_an_allowed_licence() {
    let lists = lists();
    let mut refused = BTreeSet::new();
    for host in HOSTS {
        let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        assert!(packages.len() > 10, "cargo metadata names hardly any crate");
        for package in packages {
            let (name, licence) = (
                package["name"].as_str().unwrap(),
                package["license"].as_str().unwrap_or("none"),
            );
            if !lists.allow(name, licence) {
                refused.insert(format!("{name} {}: {licence}", package["version"]));
            }
        }
    }
    assert!(refused.is_empty(), "licences not in .deny.toml: {refused:#?}");
}

#[test]
fn no_banned_crate_is_locked_for_any_host() {
    let lists = lists();
    let lock: Table = std::fs::read_to_string(root().join("Cargo.lock"))
        .unwrap()
        .parse()
        .unwrap();
    let locked = lock["package"].as_array().unwrap().iter().map(|package| {
        let version = package["version"].as_str().unwrap().parse::<Version>().unwrap();
        (package["name"].as_str().unwrap(), version)
    });
    let banned: Vec<_> = locked
        .filter(|(name, version)| lists.ban(name, version))
        .collect();
    assert!(banned.is_empty(), "banned in .deny.toml: {banned:?}");
}

#[test]
fn licence_expressions_are_judged_by_what_they_leave_to_choose() {
    let lists = lists();
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-3.0 AND MIT OR ISC",
    ] {
        assert!(lists.allow("any", good), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "none",
        "",
        "MIT AND GPL-3.0",
        "MIT AND (GPL-2.0 OR LGPL-3.0)",
        "MIT WITH x",
        "(MIT",
        "MIT )",
    ] {
        assert!(!lists.allow("any", bad), "{bad}");
    }
    assert!(lists.allow("capsicum", "MPL-2.0") && !lists.allow("any", "MPL-2.0"));
}

#[test]
fn bans_hold_for_their_versions_only() {
    let lists = lists();
    let ban = |name: &str, version: &str| lists.ban(name, &version.parse().unwrap());
    assert!(ban("bincode", "3.0.0") && !ban("bincode", "2.0.1"));
    assert!(ban("tokio-tar", "0.3.1") && !ban("tokio", "1.54.1"));
    assert!(ban("tar", "0.4.44") && !ban("tar", "0.4.46"));
}
