//! Options of a build that are wrong or not supported: nothing is accepted and ignored.

use super::BuildError;
use crate::services::Failure;
use docker_api::build_image::{BuildQuery, BuilderVersion};
use docker_api::image_config::Platform;
use docker_api::reference::Reference;

/// Refuses what dockerd would refuse before it builds, and what this builder cannot do.
///
/// # Errors
/// In dockerd's words where dockerd refuses.
pub(super) fn check(query: &BuildQuery, is_experimental: bool) -> Result<(), BuildError> {
    if query.version == BuilderVersion::BuildKit {
        return Err(BuildError::from(Failure::Unsupported(
            "BuildKit is not supported by cellblock yet; use the classic builder: DOCKER_BUILDKIT=0 docker build …".to_owned(),
        )));
    }
    if !matches!(query.isolation.as_str(), "" | "default") {
        return Err(BuildError::invalid(format!(
            "unsupported isolation: {:?}",
            query.isolation
        )));
    }
    if !query.security_opt.is_empty() {
        return Err(BuildError::invalid("security options are not supported on linux"));
    }
    if query.squash && !is_experimental {
        return Err(BuildError::invalid(
            "squash is only supported with experimental mode",
        ));
    }
    let options = [
        ("--output", !query.outputs.is_empty()),
        ("a session of BuildKit", !query.session.is_empty()),
        ("cancelling a build by its id", !query.build_id.is_empty()),
    ];
    match options.iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => Err(BuildError::unsupported(name)),
        None => Ok(()),
    }
}

/// The names that the result will get, each once.
///
/// # Errors
/// In dockerd's words; it answers 500 for what is the client's mistake.
pub(super) fn names(tags: &[String]) -> Result<Vec<Reference>, BuildError> {
    let mut names: Vec<Reference> = Vec::new();
    for tag in tags {
        let wrong = |text: String| BuildError::from(Failure::Invalid(text));
        let name = Reference::parse(tag).map_err(|bad| wrong(bad.to_string()))?;
        if name.digest().is_some() {
            return Err(wrong("build tag cannot contain a digest".to_owned()));
        }
        let name = name.with_default_tag();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Reads `os[/architecture[/variant]]`; nothing means whatever there is.
///
/// # Errors
/// For no platform, and for one that this host cannot run.
pub(super) fn platform(text: &str, host: &[Platform]) -> Result<Option<Platform>, BuildError> {
    if text.is_empty() {
        return Ok(None);
    }
    let lower = text.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let is_word = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    if parts.len() > 3 || !parts.iter().all(is_word) {
        return Err(BuildError::invalid(format!(
            "{text:?}: cannot parse platform specifier: invalid argument"
        )));
    }
    let of_host = host.iter().find(|platform| platform.os == parts[0]);
    let Some(of_host) = of_host else {
        return Err(BuildError::invalid(
            if matches!(parts[0], "linux" | "freebsd" | "windows" | "darwin") {
                "operating system is not supported".to_owned()
            } else {
                format!("{text:?}: unknown operating system or architecture: invalid argument")
            },
        ));
    };
    let architecture = match parts.get(1).copied() {
        None => of_host.architecture.as_str(),
        Some("x86_64" | "x86-64") => "amd64",
        Some("aarch64") => "arm64",
        Some(other) => other,
    };
    if architecture != of_host.architecture {
        return Err(BuildError::unsupported(format!(
            "building for {text} on {}",
            of_host.architecture
        )));
    }
    let variant = parts.get(2).copied().unwrap_or_default().to_owned();
    Ok(Some(Platform {
        variant,
        ..of_host.clone()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> String {
        let query = BuildQuery::parse(pairs.iter().copied()).unwrap();
        check(&query, false).map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn what_the_command_line_sends_for_a_plain_build_is_accepted() {
        let plain = [
            ("buildargs", "{}"),
            ("cachefrom", "[]"),
            ("cgroupparent", ""),
            ("cpuperiod", "0"),
            ("cpuquota", "0"),
            ("cpusetcpus", ""),
            ("cpusetmems", ""),
            ("cpushares", "0"),
            ("dockerfile", "Dockerfile"),
            ("labels", "{}"),
            ("memory", "0"),
            ("memswap", "0"),
            ("networkmode", "default"),
            ("rm", "1"),
            ("shmsize", "0"),
            ("t", "x"),
            ("target", ""),
            ("ulimits", "[]"),
            ("version", "1"),
        ];
        assert_eq!(refusal(&plain), "accepted");
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (name, value, told) in [
            ("isolation", "x", "unsupported isolation: \"x\""),
            ("securityopt", "x", "security options are not supported on linux"),
            ("squash", "1", "squash is only supported with experimental mode"),
            (
                "buildid",
                "x",
                "cancelling a build by its id is not supported by cellblock yet",
            ),
        ] {
            assert_eq!(refusal(&[(name, value)]), told);
        }
        assert!(refusal(&[("version", "2")]).contains("DOCKER_BUILDKIT=0"));
    }

    #[test]
    fn names_are_read_as_dockerd_reads_them() {
        let own = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let told = |tags: &[&str]| names(&own(tags)).map_err(|error| error.to_string());
        let two = told(&["a", "a:latest", "b:1"]).unwrap();
        assert_eq!(
            two.iter().map(Reference::familiar).collect::<Vec<_>>(),
            ["a:latest", "b:1"]
        );
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (tag, words) in [
            (
                "A B",
                "invalid reference format: repository name (library/A B) must be lowercase",
            ),
            ("a:b:c", "invalid reference format"),
            (":x", "invalid reference format"),
            (&digest, "build tag cannot contain a digest"),
        ] {
            assert_eq!(told(&[tag]).unwrap_err(), words);
        }
    }

    #[test]
    fn platforms_are_those_of_the_host() {
        let of = |os: &str| Platform {
            os: os.to_owned(),
            architecture: "amd64".to_owned(),
            ..Platform::default()
        };
        let host = [of("freebsd"), of("linux")];
        let told = |text: &str| platform(text, &host).map_err(|error| error.to_string());
        assert_eq!(told(""), Ok(None));
        assert_eq!(told("linux").unwrap(), Some(of("linux")));
        assert_eq!(told("FreeBSD/x86_64").unwrap(), Some(of("freebsd")));
        for (text, words) in [
            (
                "zz/yy/xx/ww",
                "\"zz/yy/xx/ww\": cannot parse platform specifier: invalid argument",
            ),
            (
                "x",
                "\"x\": unknown operating system or architecture: invalid argument",
            ),
            ("windows/amd64", "operating system is not supported"),
            (
                "linux/arm64",
                "building for linux/arm64 on amd64 is not supported by cellblock yet",
            ),
        ] {
            assert_eq!(told(text).unwrap_err(), words);
        }
    }
}
