//! Dockerfile instructions that change an image's configuration: `--change` of import and commit, and the builder's own.
//!
//! The texts of refusals are dockerd's (28.5).

use super::instructions::{self, Instruction};
use super::words::{WordError, expand, expand_and_split, split};
use crate::services::Failure;
use docker_api::containers::{HealthConfig, JsonSet};
use docker_api::durations;
use docker_api::image_config::ImageConfig;
use std::collections::BTreeMap;
use std::time::Duration;

/// What `--change` takes; the builder asks this too, to know which instructions are [`Draft::apply`]'s.
pub const CHANGES: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The shortest time between health checks, as in dockerd.
const HEALTH_TIME_MIN: Duration = Duration::from_millis(1);
/// The largest port.
const PORT_MAX: u32 = 65_535;
/// The largest signal number of both hosts.
const SIGNAL_NUMBER_MAX: u8 = 64;
/// Signals that both hosts know, without `SIG`.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO", "POLL", "SYS",
];

/// Applies the changes of an import or commit.
///
/// # Errors
/// [`Failure::Invalid`] in dockerd's words.
pub fn apply_changes(config: ImageConfig, changes: &[String]) -> Result<ImageConfig, Failure> {
    if changes.is_empty() {
        return Ok(config);
    }
    let changes = instructions::parse(&changes.join("\n"));
    if changes.is_empty() {
        return Err(invalid("file with no instructions"));
    }
    if let Some(odd) = changes
        .iter()
        .find(|change| !CHANGES.contains(&change.name().as_str()))
    {
        return Err(invalid(format!("{} is not a valid change command", odd.keyword)));
    }
    let mut draft = Draft::new(config);
    for change in &changes {
        draft.apply(change, &BTreeMap::new())?;
    }
    Ok(draft.config)
}

/// A configuration under change.
#[derive(Debug, Clone)]
pub struct Draft {
    /// As it is so far.
    pub config: ImageConfig,
    /// A new entrypoint drops a command that came from the image below, but not one of the same Dockerfile.
    is_command_own: bool,
}

impl Draft {
    /// Starts with a configuration, that of the image below.
    #[must_use]
    pub fn new(config: ImageConfig) -> Self {
        Draft {
            config,
            is_command_own: false,
        }
    }

    /// Applies one of [`CHANGES`]. Variables are the configuration's own, then `arguments` (`ARG`).
    ///
    /// # Errors
    /// [`Failure::Invalid`] in dockerd's words.
    pub fn apply(
        &mut self,
        instruction: &Instruction,
        arguments: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let name = instruction.name();
        if let Some(flag) = instruction
            .flags
            .first()
            .filter(|_| name != "HEALTHCHECK" && name != "ONBUILD")
        {
            return Err(invalid(format!(
                "unknown flag: --{}",
                flag.split('=').next().unwrap_or_default()
            )));
        }
        let env = self.config.env.clone().unwrap_or_default();
        let lookup = |name: &str| {
            let of_env = env.iter().filter_map(|pair| pair.split_once('='));
            let value = of_env
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
                .next();
            value.or_else(|| arguments.get(name).cloned())
        };
        let line = Line {
            instruction,
            name: &name,
            lookup: &lookup,
        };
        match name.as_str() {
            "CMD" => self.cmd(&line)?,
            "ENTRYPOINT" => self.entrypoint(&line)?,
            "ENV" => self.env(&line)?,
            "EXPOSE" => self.expose(&line)?,
            "HEALTHCHECK" => self.config.healthcheck = Some(healthcheck(&line)?),
            "LABEL" => {
                let labels = line.pairs()?;
                self.config.labels.get_or_insert_default().extend(labels);
            }
            "ONBUILD" => {
                let trigger = trigger(&line)?;
                self.config.on_build.get_or_insert_default().push(trigger);
            }
            "STOPSIGNAL" => self.config.stop_signal = signal(&line)?,
            "USER" => self.config.user = line.one()?,
            "VOLUME" => self.volume(&line)?,
            "WORKDIR" => self.config.working_dir = directory(&self.config.working_dir, &line.one()?)?,
            _ => {
                return Err(invalid(format!(
                    "{} is not a valid change command",
                    instruction.keyword
                )));
            }
        }
        Ok(())
    }

    /// A command given as text, for the configuration's shell.
    #[must_use]
    pub fn in_shell(&self, text: &str) -> Vec<String> {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut command = self.config.shell.clone().unwrap_or_else(default);
        command.extend(Some(text.to_owned()).filter(|text| !text.is_empty()));
        command
    }

    fn cmd(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let words = line.list()?;
        self.config.cmd = Some(words.unwrap_or_else(|| self.in_shell(&line.instruction.rest)));
        self.is_command_own = true;
        Ok(())
    }

    fn entrypoint(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let rest = &line.instruction.rest;
        self.config.entrypoint = match line.list()? {
            Some(words) => Some(words).filter(|words| !words.is_empty()),
            None => Some(self.in_shell(rest)).filter(|_| !rest.is_empty()),
        };
        if !self.is_command_own {
            self.config.cmd = None;
        }
        Ok(())
    }

    fn env(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let pairs = line.pairs()?;
        let env = self.config.env.get_or_insert_default();
        for (name, value) in pairs {
            let pair = format!("{name}={value}");
            let is_same =
                |old: &&mut String| old.split_once('=').map_or(old.as_str(), |(key, _)| key) == name;
            match env.iter_mut().find(is_same) {
                Some(old) => *old = pair,
                None => env.push(pair),
            }
        }
        Ok(())
    }

    fn expose(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        line.required("at least one argument")?;
        let escape = line.instruction.escape;
        let words = expand_and_split(&line.instruction.rest, escape, line.lookup);
        for word in words.map_err(|error| line.unreadable(&line.instruction.rest, &error))? {
            let ports = ports(&word)?;
            self.config
                .exposed_ports
                .get_or_insert_with(JsonSet::new)
                .extend(ports);
        }
        Ok(())
    }

    fn volume(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let words = match line.list()? {
            Some(words) => words,
            None => line
                .instruction
                .rest
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        };
        if words.is_empty() {
            return Err(invalid("VOLUME requires at least one argument"));
        }
        for word in words {
            let path = line.expanded(&word)?;
            if path.is_empty() {
                return Err(invalid("VOLUME specified can not be an empty string"));
            }
            self.config
                .volumes
                .get_or_insert_with(JsonSet::new)
                .insert(path, Default::default());
        }
        Ok(())
    }
}

/// An instruction with what its words mean.
struct Line<'a> {
    instruction: &'a Instruction,
    name: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Line<'_> {
    fn required(&self, what: &str) -> Result<(), Failure> {
        if self.instruction.rest.is_empty() {
            return Err(invalid(format!("{} requires {what}", self.name)));
        }
        Ok(())
    }

    fn unreadable(&self, word: &str, error: &WordError) -> Failure {
        invalid(format!("failed to process {word:?}: {error}"))
    }

    fn expanded(&self, word: &str) -> Result<String, Failure> {
        expand(word, self.instruction.escape, self.lookup).map_err(|error| self.unreadable(word, &error))
    }

    /// Everything as one argument.
    fn one(&self) -> Result<String, Failure> {
        self.required("exactly one argument")?;
        self.expanded(&self.instruction.rest)
    }

    /// The JSON form: a list of strings. None means the shell form.
    fn list(&self) -> Result<Option<Vec<String>>, Failure> {
        json_list(&self.instruction.rest)
    }

    /// `name=value …`, or the old form `name value`. Variables have the values of before this instruction.
    fn pairs(&self) -> Result<Vec<(String, String)>, Failure> {
        self.required("at least one argument")?;
        let rest = self.instruction.rest.as_str();
        let words = split(rest, self.instruction.escape);
        let is_new_form = words.first().is_some_and(|word| word.contains('='));
        let written: Vec<(&str, &str)> = if is_new_form {
            let pair = |word: &String| {
                format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value")
            };
            let pairs = words
                .iter()
                .map(|word| word.split_once('=').ok_or_else(|| invalid(pair(word))));
            pairs.collect::<Result<_, _>>()?
        } else {
            let (name, value) = rest
                .split_once(char::is_whitespace)
                .ok_or_else(|| invalid(format!("{} must have two arguments", self.name)))?;
            vec![(name, value.trim_start())]
        };
        let mut pairs = Vec::new();
        for (name, value) in written {
            let (name, value) = (self.expanded(name)?, self.expanded(value)?);
            if name.is_empty() {
                return Err(invalid(format!("{} names can not be blank", self.name)));
            }
            pairs.push((name, value));
        }
        Ok(pairs)
    }
}

/// Reads the JSON form of an instruction's arguments; none where they are not JSON.
///
/// # Errors
/// [`Failure::Invalid`] for a list of other things than strings.
pub fn json_list(text: &str) -> Result<Option<Vec<String>>, Failure> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    let word = |value| match value {
        serde_json::Value::String(word) => Ok(word),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(invalid(
            "when using JSON array syntax, arrays must be comprised of strings only",
        )),
    };
    values
        .into_iter()
        .map(word)
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

/// `80`, `80/udp`, `80-82`; a host's part in front means nothing here.
fn ports(text: &str) -> Result<JsonSet, Failure> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let range = range.rsplit(':').next().unwrap_or_default();
    let bad_port = || invalid(format!("Invalid containerPort: {range}"));
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid(format!("Invalid proto: {protocol}")));
    }
    let port = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|port| *port <= PORT_MAX)
            .ok_or_else(bad_port)
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(bad_port());
    }
    Ok((first..=last)
        .map(|port| (format!("{port}/{protocol}"), Default::default()))
        .collect())
}

fn healthcheck(line: &Line<'_>) -> Result<HealthConfig, Failure> {
    line.required("at least one argument")?;
    let rest = line.instruction.rest.as_str();
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    let mut health = HealthConfig::default();
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if !command.is_empty() => return Err(invalid("HEALTHCHECK NONE takes no arguments")),
        "NONE" => health.test = Some(vec!["NONE".to_owned()]),
        "CMD" if command.is_empty() => return Err(invalid("Missing command after HEALTHCHECK CMD")),
        "CMD" => {
            let words = json_list(command)?.map(|words| ("CMD", words));
            let (kind, words) = words.unwrap_or_else(|| ("CMD-SHELL", vec![command.to_owned()]));
            health.test = Some(std::iter::once(kind.to_owned()).chain(words).collect());
        }
        other => {
            return Err(invalid(format!(
                "Unknown type {other:?} in HEALTHCHECK (try CMD)"
            )));
        }
    }
    for flag in &line.instruction.flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let time = match name {
            "interval" => &mut health.interval,
            "timeout" => &mut health.timeout,
            "start-period" => &mut health.start_period,
            "start-interval" => &mut health.start_interval,
            "retries" => {
                health.retries = retries(value)?;
                continue;
            }
            other => return Err(invalid(format!("unknown flag: --{other}"))),
        };
        *time = health_time(name, value)?;
    }
    Ok(health)
}

fn retries(value: &str) -> Result<i64, Failure> {
    let bad = || invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"));
    match value.parse::<i32>().map_err(|_| bad())? {
        negative if negative < 0 => Err(invalid(format!("--retries cannot be negative ({negative})"))),
        count => Ok(i64::from(count)),
    }
}

fn health_time(name: &str, value: &str) -> Result<i64, Failure> {
    if value.is_empty() {
        return Ok(0);
    }
    let Some((is_negative, time)) = durations::parse_go(value) else {
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number {
            "missing unit in duration"
        } else {
            "invalid duration"
        };
        return Err(invalid(format!("time: {why} {value:?}")));
    };
    if is_negative && !time.is_zero() || time < HEALTH_TIME_MIN && !time.is_zero() {
        return Err(invalid(format!("Interval {name:?} cannot be less than 1ms")));
    }
    Ok(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

fn trigger(line: &Line<'_>) -> Result<String, Failure> {
    let text = line.instruction.arguments.as_str();
    let keyword = text.split_whitespace().next().map(str::to_ascii_uppercase);
    match keyword.as_deref() {
        None => Err(invalid("ONBUILD requires at least one argument")),
        Some("ONBUILD") => Err(invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        Some(odd @ ("FROM" | "MAINTAINER")) => {
            Err(invalid(format!("{odd} isn't allowed as an ONBUILD trigger")))
        }
        Some(_) => Ok(text.to_owned()),
    }
}

fn signal(line: &Line<'_>) -> Result<String, Failure> {
    let text = line.one()?;
    let upper = text.to_ascii_uppercase();
    let is_known = match text.parse::<u8>() {
        Ok(number) => (1..=SIGNAL_NUMBER_MAX).contains(&number),
        Err(_) => SIGNALS.contains(&upper.strip_prefix("SIG").unwrap_or(&upper)),
    };
    if is_known {
        Ok(text)
    } else {
        Err(invalid(docker_api::error::invalid_signal(&text)))
    }
}

/// A working directory, relative to the one before.
fn directory(before: &str, wanted: &str) -> Result<String, Failure> {
    if wanted.is_empty() {
        return Err(invalid("cannot normalize nothing"));
    }
    let whole = if wanted.starts_with('/') {
        wanted.to_owned()
    } else {
        format!("{before}/{wanted}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::Invalid(text.into())
}

#[cfg(test)]
#[path = "tests/changes.rs"]
mod tests;
