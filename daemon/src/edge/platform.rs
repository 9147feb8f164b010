//! Platforms as clients write them: in words as containerd reads them, and as JSON.

use super::error::ApiError;
use crate::services::Failure;
use crate::services::images::Image;
use docker_api::image_config::Platform;

/// Operating systems that containerd knows by one word (`platforms.Parse`).
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// Architectures that it knows by one word.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Its words for what an operating system, and any other part, must be.
const SYSTEM_FORM: &str = r"^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)\\))?$";
const PART_FORM: &str = "^[A-Za-z0-9_.-]+$";

/// `freebsd/amd64`, `linux/arm/v7`, or one of the first two words; none where nothing was asked for.
///
/// # Errors
/// 400 in containerd's words.
pub(super) fn of_words(text: &str) -> Result<Option<Platform>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text)
        .map(Some)
        .map_err(|why| ApiError::bad_request(format!("{why}: invalid argument")))
}

fn parse(text: &str) -> Result<Platform, String> {
    if text.contains('*') {
        return Err(format!("{text:?}: wildcards not yet supported"));
    }
    let parts: Vec<&str> = text.splitn(4, '/').collect();
    let is_word = |part: &str, more: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let (system, version) = match parts[0].split_once('(') {
        None => (parts[0], ""),
        Some((system, version)) => (system, version.strip_suffix(')').unwrap_or("(")),
    };
    if !is_word(system, "_-") || !(version.is_empty() || is_word(version, "_.%-")) {
        return Err(format!(
            "{:?} is an invalid OS component of {text:?}: OSAndVersion specifier component must match \"{SYSTEM_FORM}\"",
            parts[0]
        ));
    }
    if let Some(part) = parts[1..].iter().find(|part| !is_word(part, "_.-")) {
        return Err(format!(
            "{part:?} is an invalid component of {text:?}: platform specifier component must match \"{PART_FORM}\""
        ));
    }
    let mut os = system.to_ascii_lowercase();
    if os == "macos" {
        "darwin".clone_into(&mut os);
    }
    let (os, (architecture, variant)) = match parts[1..] {
        [] if SYSTEMS.contains(&os.as_str()) => {
            (os, (super::system::architecture().to_owned(), String::new()))
        }
        [] => match architecture(parts[0], "") {
            known if ARCHITECTURES.contains(&known.0.as_str()) => (std::env::consts::OS.to_owned(), known),
            _ => return Err(format!("{text:?}: unknown operating system or architecture")),
        },
        [one] => (os, architecture(one, "")),
        [one, variant] => (os, architecture(one, variant)),
        _ => return Err(format!("{text:?}: cannot parse platform specifier")),
    };
    Ok(Platform {
        os,
        os_version: version.to_owned(),
        architecture,
        variant,
        ..Platform::default()
    })
}

/// An architecture's usual name and variant; the usual variant of one is not named.
fn architecture(name: &str, variant: &str) -> (String, String) {
    let (name, variant) = (name.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (name, variant) = match (name.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (name.to_owned(), variant.to_owned())
}

/// A platform as a JSON object; none where nothing was asked for.
///
/// # Errors
/// 400 for what is none.
pub(super) fn of_json(text: &str) -> Result<Option<Platform>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = serde_json::from_str(text);
    read.map(Some)
        .map_err(|error| ApiError::bad_request(format!("failed to parse platform: {error}")))
}

/// Whether an image is for the platform that a client asks for.
///
/// # Errors
/// 404 in dockerd's words.
pub(super) fn check(image: &Image, name: &str, wanted: &Platform) -> Result<(), ApiError> {
    if image.fits(wanted) {
        return Ok(());
    }
    let words = |os: &str, architecture: &str, variant: &str| {
        let parts = [os, architecture, variant]
            .into_iter()
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("/")
    };
    let config = &image.config;
    let have = words(&config.os, &config.architecture, &config.variant);
    let want = words(&wanted.os, &wanted.architecture, &wanted.variant);
    Err(Failure::NotFound(format!(
        "image with reference {name} was found but its platform ({have}) does not match the specified platform ({want})"
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_containerd_reads_them() {
        let read = |text| of_words(text).map_err(|error| error.message);
        let shown =
            |text| read(text).map(|p| p.map(|p| format!("{} {} {}", p.os, p.architecture, p.variant)));
        assert_eq!(shown(""), Ok(None));
        assert_eq!(shown("FreeBSD/x86_64"), Ok(Some("freebsd amd64 ".to_owned())));
        assert_eq!(shown("linux/arm/v7"), Ok(Some("linux arm v7".to_owned())));
        assert_eq!(shown("linux/arm64/v8"), Ok(Some("linux arm64 ".to_owned())));
        assert_eq!(shown("macos/arm64"), Ok(Some("darwin arm64 ".to_owned())));
        assert_eq!(shown("linux/zz"), Ok(Some("linux zz ".to_owned())));
        assert_eq!(read("windows(10.0)/amd64").unwrap().unwrap().os_version, "10.0");
        let own = crate::edge::system::architecture();
        assert_eq!(shown("linux"), Ok(Some(format!("linux {own} "))));
        assert_eq!(
            shown("arm64"),
            Ok(Some(format!("{} arm64 ", std::env::consts::OS)))
        );
        for (odd, words) in [
            ("zz", "\"zz\": unknown operating system or architecture"),
            (
                "linux/arm/v7/x",
                "\"linux/arm/v7/x\": cannot parse platform specifier",
            ),
            ("*", "\"*\": wildcards not yet supported"),
            (
                "/",
                r#""" is an invalid OS component of "/": OSAndVersion specifier component must match "^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)\\))?$""#,
            ),
            (
                "linux/",
                r#""" is an invalid component of "linux/": platform specifier component must match "^[A-Za-z0-9_.-]+$""#,
            ),
        ] {
            assert_eq!(read(odd).unwrap_err(), format!("{words}: invalid argument"));
        }
    }
}
