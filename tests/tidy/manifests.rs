//! Rules about Cargo.toml files.

use system_tests::repository::File;
use toml::{Table, Value};

/// What any helper may use on any host. Each further crate is more code that runs as root.
const HELPERS: [&str; 6] = ["helper-runtime", "libc", "nix", "protocol", "rustix", "sha2"];
/// What only the sandbox on the development host needs.
const HELPERS_ON_LINUX: [&str; 3] = ["caps", "landlock", "seccompiler"];
/// What only the sandbox on FreeBSD needs.
const HELPERS_ON_FREEBSD: [&str; 1] = ["capsicum"];
/// The launcher alone reads the configuration, which only root can write.
const LAUNCHER: [&str; 5] = ["clap", "command-fds", "serde", "signal-hook", "toml"];

/// A dependency as a manifest states it.
struct Dependency<'a> {
    /// The condition of its `[target.…]` table; empty for an unconditional one.
    target: &'a str,
    /// Whether it is for tests only.
    for_tests: bool,
    name: &'a str,
    value: &'a Value,
}

/// The manifest of a member crate; the root's own is where versions belong.
fn member_manifest(file: &File) -> Option<Result<Table, String>> {
    let is_member = file.name() == "Cargo.toml" && file.path != "Cargo.toml";
    is_member.then(|| {
        file.text
            .parse::<Table>()
            .map_err(|error| format!("{}: {error}", file.path))
    })
}

fn dependencies(manifest: &Table) -> Vec<Dependency<'_>> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let conditional = targets.filter_map(|(target, tables)| Some((target.as_str(), tables.as_table()?)));
    let mut found = Vec::new();
    for (target, tables) in std::iter::once(("", manifest)).chain(conditional) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let listed = tables.get(kind).and_then(Value::as_table).into_iter().flatten();
            let for_tests = kind == "dev-dependencies";
            found.extend(listed.map(|(name, value)| Dependency {
                target,
                for_tests,
                name,
                value,
            }));
        }
    }
    found
}

fn is_from_workspace(value: &Value) -> bool {
    let has_own_source = ["version", "git", "path"]
        .iter()
        .any(|key| value.get(key).is_some());
    value.get("workspace").and_then(Value::as_bool) == Some(true) && !has_own_source
}

pub(crate) fn own_versions_or_lints(file: &File) -> Vec<String> {
    let manifest = match member_manifest(file) {
        None => return Vec::new(),
        Some(Err(why)) => return vec![why],
        Some(Ok(manifest)) => manifest,
    };
    let mut offences: Vec<String> = dependencies(&manifest)
        .into_iter()
        .filter(|dependency| !is_from_workspace(dependency.value))
        .map(|dependency| format!("{}: `{}` must be `workspace = true`", file.path, dependency.name))
        .collect();
    let version = manifest.get("package").and_then(|package| package.get("version"));
    let needed = [("[lints]", manifest.get("lints")), ("package.version", version)];
    for (key, _) in needed
        .into_iter()
        .filter(|(_, value)| !value.is_some_and(is_from_workspace))
    {
        offences.push(format!("{}: {key} must be `workspace = true`", file.path));
    }
    offences
}

pub(crate) fn unlisted_helper_dependencies(file: &File) -> Vec<String> {
    let manifest = match member_manifest(file).filter(|_| file.path.starts_with("helpers/")) {
        None => return Vec::new(),
        Some(Err(why)) => return vec![why],
        Some(Ok(manifest)) => manifest,
    };
    // What the feature `testing` adds is in no program that ships.
    let testing = manifest
        .get("features")
        .and_then(|features| features.get("testing")?.as_array());
    let is_for_testing = |dependency: &Dependency<'_>| {
        let feature = Value::String(format!("dep:{}", dependency.name));
        let is_optional = dependency.value.get("optional").and_then(Value::as_bool) == Some(true);
        is_optional && testing.is_some_and(|list| list.contains(&feature))
    };
    let is_launcher = file.path.starts_with("helpers/launcher/");
    let is_listed = |dependency: &Dependency<'_>| {
        let name = &dependency.name;
        HELPERS.contains(name)
            || dependency.target.contains("\"linux\"") && HELPERS_ON_LINUX.contains(name)
            || dependency.target.contains("\"freebsd\"") && HELPERS_ON_FREEBSD.contains(name)
            || is_launcher && LAUNCHER.contains(name)
    };
    dependencies(&manifest)
        .into_iter()
        .filter(|dependency| !dependency.for_tests && !is_for_testing(dependency) && !is_listed(dependency))
        .map(|dependency| format!("{}: `{}` is not in the helpers' list", file.path, dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nversion.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nlibc.workspace = true\n";

    fn helper(rest: &str) -> File {
        File::sample("helpers/zfs/Cargo.toml", &format!("{GOOD}{rest}"))
    }

    #[test]
    fn a_version_outside_the_root_is_found() {
        assert_eq!(own_versions_or_lints(&helper("")), Vec::<String>::new());
        for bad in [
            "sha2 = \"0.11\"",
            "sha2 = { version = \"0.11\" }",
            "protocol = { path = \"../../protocol\" }",
            "[dev-dependencies]\ntempfile = \"3\"",
            "[target.'cfg(target_os = \"linux\")'.dependencies]\ncaps = \"0.5\"",
        ] {
            assert_eq!(own_versions_or_lints(&helper(bad)).len(), 1, "{bad}");
        }
    }

    #[test]
    fn own_lints_and_an_own_package_version_are_found() {
        let file = File::sample(
            "api/Cargo.toml",
            "[package]\nversion = \"1.0.0\"\n[lints.rust]\nmissing_docs = \"allow\"\n",
        );
        assert_eq!(own_versions_or_lints(&file).len(), 2);
    }

    #[test]
    fn a_manifest_that_is_none_is_found() {
        assert_eq!(
            own_versions_or_lints(&File::sample("api/Cargo.toml", "[package")).len(),
            1
        );
    }

    #[test]
    fn an_unlisted_helper_dependency_is_found() {
        assert_eq!(unlisted_helper_dependencies(&helper("")), Vec::<String>::new());
        assert_eq!(
            unlisted_helper_dependencies(&helper("serde.workspace = true")).len(),
            1
        );
        assert_eq!(
            unlisted_helper_dependencies(&helper("caps.workspace = true")).len(),
            1
        );
        let on_linux = helper("[target.'cfg(target_os = \"linux\")'.dependencies]\ncaps.workspace = true");
        assert_eq!(unlisted_helper_dependencies(&on_linux), Vec::<String>::new());
        let for_tests = helper("[dev-dependencies]\ntempfile.workspace = true");
        assert_eq!(unlisted_helper_dependencies(&for_tests), Vec::<String>::new());
        let for_testing = "tempfile = { workspace = true, optional = true }\n[features]\n";
        let good = helper(&format!("{for_testing}testing = [\"dep:tempfile\"]"));
        assert_eq!(unlisted_helper_dependencies(&good), Vec::<String>::new());
        assert_eq!(
            unlisted_helper_dependencies(&helper(&format!("{for_testing}default = [\"dep:tempfile\"]")))
                .len(),
            1
        );
    }
}
