//! Log drivers and their options: `json-file`, `local` and `none`, as dockerd reads them.

use super::state::Container;
use crate::services::Failure;
use crate::services::processes::logs::{FILES_MAX, LogPlan};
use crate::services::units::human_bytes;
use docker_api::containers::ContainerConfig;
use docker_api::error;
use docker_api::host_config::LogConfig;
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::path::Path;

/// Size of a file of the driver `local` where none is given, in bytes (dockerd 28: 20 MB in powers of 1024).
const LOCAL_FILE_BYTES: u64 = 20 * 1024 * 1024;

/// Files of the driver `local` where no number is given (dockerd 28).
const LOCAL_FILES: usize = 5;

/// Drivers of dockerd's that send output elsewhere.
const REMOTE: [&str; 8] = [
    "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs",
];

/// Looks at a driver and the names of its options.
///
/// # Errors
/// `Invalid` in dockerd's words, `Unsupported` for drivers that are not done.
pub(super) fn check(config: &LogConfig) -> Result<(), Failure> {
    let accepted: &[&str] = match config.kind.as_str() {
        "" | "json-file" => &[
            "max-file",
            "max-size",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
        ],
        "local" => &["max-file", "max-size", "compress"],
        "none" => return Ok(()),
        known if REMOTE.contains(&known) => {
            return Err(Failure::Unsupported(format!(
                "log driver {known} is not supported by cellblock"
            )));
        }
        other => {
            let text = format!("error looking up logging plugin {other}: plugin \"{other}\" not found");
            return Err(Failure::Invalid(text));
        }
    };
    let options = config.config.iter().flatten();
    for (name, value) in options {
        match name.as_str() {
            // Output is never held up by its log, so both modes are the same.
            "mode" if matches!(value.as_str(), "" | "blocking" | "non-blocking") => {}
            "mode" => {
                let text = format!("logger: logging mode not supported: {value}");
                return Err(Failure::Invalid(text));
            }
            "max-buffer-size" => {
                crate::services::units::ram_in_bytes(value).map_err(|why| {
                    Failure::Invalid(format!("error parsing option max-buffer-size: {why}"))
                })?;
            }
            name if accepted.contains(&name) => {}
            name if config.kind == "local" => {
                let text = format!("unknown log opt '{name}' for log driver local");
                return Err(Failure::Invalid(text));
            }
            name => {
                let text = format!("unknown log opt '{name}' for json-file log driver");
                return Err(Failure::Invalid(text));
            }
        }
    }
    Ok(())
}

/// Whether a driver's log can be read.
///
/// # Errors
/// `Unsupported` in dockerd's words.
pub(super) fn check_readable(container: &Container) -> Result<(), Failure> {
    if container.host_config.log_config.kind == "none" {
        return Err(Failure::Unsupported(error::LOG_NOT_READABLE.to_owned()));
    }
    Ok(())
}

/// How a container's output is written down; none for the driver `none`. `directory` is the container's own.
///
/// # Errors
/// `System` in dockerd's words for values that make no sense: dockerd finds out at the start.
pub(super) fn plan(directory: &Path, container: &Container) -> Result<Option<LogPlan>, Failure> {
    let config = &container.host_config.log_config;
    let plan = match config.kind.as_str() {
        "none" => return Ok(None),
        "local" => local(directory, config),
        _ => json_file(directory, container),
    };
    plan.map(Some).map_err(|why| {
        Failure::System(format!(
            "failed to create task for container: failed to initialize logging driver: {why}"
        ))
    })
}

fn local(directory: &Path, config: &LogConfig) -> Result<LogPlan, String> {
    let options = Options(config);
    let files_max = options.files(LOCAL_FILES)?;
    let compress = options.compress(files_max > 1)?;
    if compress && files_max == 1 {
        return Err("compression cannot be enabled when max file count is 1".to_owned());
    }
    Ok(LogPlan {
        path: directory.join("container.log"),
        file_bytes_max: Some(options.file_bytes()?.unwrap_or(LOCAL_FILE_BYTES)),
        files_max,
        compress,
        attributes: BTreeMap::new(),
        keeps_bytes: true,
    })
}

fn json_file(directory: &Path, container: &Container) -> Result<LogPlan, String> {
    let options = Options(&container.host_config.log_config);
    let file_bytes_max = options.file_bytes()?;
    let files_max = options.files(1)?;
    let compress = options.compress(false)?;
    if compress && (files_max == 1 || file_bytes_max.is_none()) {
        let why = "compress cannot be true when max-file is less than 2 or max-size is not set";
        return Err(why.to_owned());
    }
    let mut attributes = attributes(&options, &container.config)?;
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        attributes.insert("tag".to_owned(), tag_of(tag, container)?);
    }
    Ok(LogPlan {
        path: directory.join(format!("{}-json.log", container.id)),
        file_bytes_max,
        files_max,
        compress,
        attributes,
        keeps_bytes: false,
    })
}

struct Options<'a>(&'a LogConfig);

impl<'a> Options<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.config.as_ref()?.get(name).map(String::as_str)
    }

    fn file_bytes(&self) -> Result<Option<u64>, String> {
        match self.get("max-size").map(human_bytes).transpose()? {
            Some(0) => Err("max-size must be a positive number".to_owned()),
            bytes => Ok(bytes),
        }
    }

    fn files(&self, default: usize) -> Result<usize, String> {
        let Some(text) = self.get("max-file") else {
            return Ok(default);
        };
        let number = docker_api::query::number(text)
            .map_err(|_| format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))?;
        match usize::try_from(number.unwrap_or_default()) {
            Ok(0) | Err(_) => Err("max-file cannot be less than 1".to_owned()),
            Ok(number) if number > FILES_MAX => {
                Err(format!("max-file over {FILES_MAX} is not supported by cellblock"))
            }
            Ok(number) => Ok(number),
        }
    }

    fn compress(&self, default: bool) -> Result<bool, String> {
        match self.get("compress") {
            None => Ok(default),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some(other) => Err(format!("strconv.ParseBool: parsing \"{other}\": invalid syntax")),
        }
    }
}

/// The labels and variables that the options choose by name or by pattern.
fn attributes(options: &Options<'_>, config: &ContainerConfig) -> Result<BTreeMap<String, String>, String> {
    let none = BTreeMap::new();
    let labels = config.labels.as_ref().unwrap_or(&none).iter();
    let labels: Vec<(&str, &str)> = labels
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let env: Vec<(&str, &str)> = config
        .env
        .iter()
        .flatten()
        .filter_map(|entry| entry.split_once('='))
        .collect();
    let mut chosen = BTreeMap::new();
    for (pairs, by_name, by_pattern) in [(labels, "labels", "labels-regex"), (env, "env", "env-regex")] {
        let names: Vec<&str> = options.get(by_name).unwrap_or_default().split(',').collect();
        let pattern = options.get(by_pattern).filter(|text| !text.is_empty());
        let pattern = pattern
            .map(Regex::new)
            .transpose()
            .map_err(|error| error.to_string())?;
        for (name, value) in pairs {
            if names.contains(&name) || pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
                chosen.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    Ok(chosen)
}

/// A tag: text with Go's `{{.Field}}` in it.
fn tag_of(template: &str, container: &Container) -> Result<String, String> {
    let short = |id: &str| id.chars().take(12).collect::<String>();
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (field, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("template: log-tag:1: unclosed action in {template}"))?;
        match field.trim() {
            ".ID" => text.push_str(&short(&container.id)),
            ".FullID" => text.push_str(&container.id),
            ".Name" => text.push_str(&container.name),
            ".ImageID" => text.push_str(&short(&container.image_id)),
            ".ImageFullID" => text.push_str(&container.image_id),
            ".ImageName" => text.push_str(&container.config.image),
            ".DaemonName" => text.push_str("docker"),
            other => return Err(format!("the log tag field {other} is not supported by cellblock")),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    fn config(kind: &str, options: &[(&str, &str)]) -> LogConfig {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        LogConfig {
            kind: kind.to_owned(),
            config: Some(options.iter().map(own).collect()),
        }
    }

    fn planned(kind: &str, options: &[(&str, &str)]) -> Result<Option<LogPlan>, String> {
        let mut container = container(Phase::Created);
        container.config.labels = Some(BTreeMap::from([("tier".to_owned(), "web".to_owned())]));
        container.config.env = Some(vec!["A=1".to_owned(), "B=2".to_owned()]);
        container.host_config.log_config = config(kind, options);
        let planned = plan(Path::new("/d"), &container);
        planned.map_err(|failure| {
            let text = failure.to_string();
            text.rsplit("driver: ").next().unwrap_or(&text).to_owned()
        })
    }

    #[test]
    fn unknown_drivers_and_options_are_refused_when_a_container_is_made() {
        let refusal = |kind: &str, options: &[(&str, &str)]| {
            check(&config(kind, options))
                .err()
                .map(|failure| failure.to_string())
        };
        assert_eq!(refusal("", &[]), None);
        assert_eq!(refusal("none", &[("any", "thing")]), None);
        assert_eq!(
            refusal("json-file", &[("max-size", "x"), ("mode", "non-blocking")]),
            None
        );
        for (kind, options, text) in [
            (
                "asdf",
                &[][..],
                "error looking up logging plugin asdf: plugin \"asdf\" not found",
            ),
            (
                "json-file",
                &[("nope", "1")][..],
                "unknown log opt 'nope' for json-file log driver",
            ),
            (
                "local",
                &[("labels", "a")][..],
                "unknown log opt 'labels' for log driver local",
            ),
            (
                "local",
                &[("mode", "x")][..],
                "logger: logging mode not supported: x",
            ),
            (
                "syslog",
                &[][..],
                "log driver syslog is not supported by cellblock",
            ),
        ] {
            assert_eq!(refusal(kind, options).as_deref(), Some(text));
        }
    }

    #[test]
    fn values_are_looked_at_when_a_container_starts() {
        for (options, text) in [
            (&[("max-size", "0")][..], "max-size must be a positive number"),
            (&[("max-size", "x")][..], "invalid size: 'x'"),
            (&[("max-file", "0")][..], "max-file cannot be less than 1"),
            (
                &[("max-file", "x")][..],
                "strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                &[("compress", "true")][..],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
        ] {
            assert_eq!(planned("json-file", options), Err(text.to_owned()));
        }
    }

    #[test]
    fn sizes_are_powers_of_a_thousand_and_local_has_defaults() {
        let json = planned("json-file", &[("max-size", "10k"), ("max-file", "3")]);
        let json = json.unwrap().unwrap();
        assert_eq!((json.file_bytes_max, json.files_max), (Some(10_000), 3));
        let local = planned("local", &[]).unwrap().unwrap();
        assert_eq!(
            (local.file_bytes_max, local.files_max, local.compress),
            (Some(LOCAL_FILE_BYTES), LOCAL_FILES, true)
        );
        assert_eq!(planned("none", &[]), Ok(None));
    }

    #[test]
    fn labels_variables_and_a_tag_go_into_every_entry() {
        let options = [
            ("labels", "tier,none"),
            ("env-regex", "^A"),
            ("tag", "{{.Name}}/{{.DaemonName}}"),
        ];
        let planned = planned("json-file", &options).unwrap().unwrap();
        let shown: Vec<(&str, &str)> = planned
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown.len(), 3);
        assert_eq!((shown[0], shown[2]), (("A", "1"), ("tier", "web")));
        assert!(shown[1].0 == "tag" && shown[1].1.ends_with("/docker"));
    }
}
