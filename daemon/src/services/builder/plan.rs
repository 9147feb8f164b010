//! What an instruction does to the configuration, and how it stands in the image's history: pure.
//!
//! The history's text is also the key of the cache: a step need not be done again where an image of the same parent has the
//! same text and the same configuration.

use super::BuildError;
use super::arguments::Arguments;
use super::dockerfile::Command;
use crate::services::images::changes::{Draft, json_list};
use crate::services::images::instructions::Instruction;
use crate::services::images::words::{expand, expand_and_split, split};
use docker_api::containers::HealthConfig;
use docker_api::image_config::ImageConfig;
use std::collections::BTreeMap;

/// Search path of an image that has none (dockerd's default for unix).
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a stage is.
#[derive(Debug)]
pub(super) struct Plan {
    draft: Draft,
    /// `MAINTAINER` of this stage.
    pub(super) maintainer: String,
    /// Its build arguments.
    pub(super) arguments: Arguments,
    escape: char,
}

/// How a step without a command of its own stands in the history.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment {
    /// The command of the step's container, which is never run.
    pub(super) command: Vec<String>,
}

/// What `RUN` runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Program and arguments.
    pub(super) command: Vec<String>,
    /// The environment: the configuration's, then the build arguments.
    pub(super) env: Vec<String>,
    /// How it stands in the history.
    pub(super) created_by: String,
}

impl Comment {
    /// How it stands in the history.
    pub(super) fn created_by(&self) -> String {
        self.command.join(" ")
    }
}

impl Plan {
    /// A stage on a configuration. Its build triggers are given back and are no longer part of it.
    pub(super) fn begin(mut config: ImageConfig, arguments: Arguments, escape: char) -> (Self, Vec<String>) {
        let env = config.env.get_or_insert_default();
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(DEFAULT_PATH.to_owned());
        }
        let triggers = config.on_build.take().unwrap_or_default();
        (
            Plan {
                draft: Draft::new(config),
                maintainer: String::new(),
                arguments,
                escape,
            },
            triggers,
        )
    }

    /// The configuration as it is so far.
    pub(super) fn config(&self) -> &ImageConfig {
        &self.draft.config
    }

    /// A word with its variables put in.
    ///
    /// # Errors
    /// In dockerd's words.
    pub(super) fn expand(&self, word: &str) -> Result<String, BuildError> {
        let lookup = self.lookup();
        expand(word, self.escape, &lookup).map_err(|why| unreadable(word, &why))
    }

    fn expand_and_split(&self, word: &str) -> Result<Vec<String>, BuildError> {
        let lookup = self.lookup();
        expand_and_split(word, self.escape, &lookup).map_err(|why| unreadable(word, &why))
    }

    fn lookup(&self) -> impl Fn(&str) -> Option<String> + use<> {
        let env = self.env().to_vec();
        let arguments = self.arguments.beside(&env);
        move |name: &str| {
            let of_env = env.iter().filter_map(|entry| entry.split_once('='));
            let value = of_env
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
                .next();
            value.or_else(|| arguments.get(name).cloned())
        }
    }

    fn env(&self) -> &[String] {
        self.draft.config.env.as_deref().unwrap_or_default()
    }

    /// Applies an instruction that only changes the configuration.
    ///
    /// # Errors
    /// In dockerd's words.
    pub(super) fn change(&mut self, instruction: &Instruction) -> Result<Comment, BuildError> {
        // Variables have the values of before this instruction.
        let words = match instruction.name().as_str() {
            "ENV" | "LABEL" => self.pairs(instruction)?,
            "EXPOSE" => self.ports(instruction)?,
            "VOLUME" => format!("[{}]", self.volumes(instruction)?.join(" ")),
            _ => String::new(),
        };
        let health_before = self.draft.config.healthcheck.clone();
        self.draft
            .apply(instruction, &self.arguments.beside(self.env()))?;
        let config = &self.draft.config;
        let text = match instruction.name().as_str() {
            // Without the blank that the others have: dockerd makes the directory itself.
            "WORKDIR" => return Ok(self.comment_in_one(&format!("WORKDIR {}", config.working_dir))),
            "CMD" => format!("CMD {}", quoted_list(config.cmd.as_deref())),
            "ENTRYPOINT" => format!("ENTRYPOINT {}", quoted_list(config.entrypoint.as_deref())),
            "HEALTHCHECK" => {
                let text = format!("HEALTHCHECK {}", health(config.healthcheck.as_ref()));
                inherit(
                    self.draft.config.healthcheck.as_mut(),
                    health_before.unwrap_or_default(),
                );
                text
            }
            "ONBUILD" => {
                let last = config.on_build.iter().flatten().next_back();
                format!("ONBUILD {}", last.map_or("", String::as_str))
            }
            "STOPSIGNAL" => format!("STOPSIGNAL {}", config.stop_signal),
            "USER" => format!("USER {}", config.user),
            name => format!("{name} {words}"),
        };
        Ok(self.comment(&text))
    }

    /// `name=value …` expanded, for the history.
    fn pairs(&self, instruction: &Instruction) -> Result<String, BuildError> {
        let words = split(&instruction.rest, instruction.escape);
        let is_new_form = words.first().is_some_and(|word| word.contains('='));
        let pairs: Vec<(&str, &str)> = if is_new_form {
            words.iter().filter_map(|word| word.split_once('=')).collect()
        } else {
            instruction
                .rest
                .split_once(char::is_whitespace)
                .into_iter()
                .collect()
        };
        let expanded = pairs.into_iter().map(|(name, value)| {
            Ok(format!(
                "{}={}",
                self.expand(name)?,
                self.expand(value.trim_start())?
            ))
        });
        Ok(expanded.collect::<Result<Vec<_>, BuildError>>()?.join(" "))
    }

    fn ports(&self, instruction: &Instruction) -> Result<String, BuildError> {
        let mut words: Vec<&str> = instruction.rest.split_whitespace().collect();
        words.sort_unstable();
        let words: Vec<Vec<String>> = words
            .into_iter()
            .map(|word| self.expand_and_split(word))
            .collect::<Result<_, _>>()?;
        Ok(words.concat().join(" "))
    }

    fn volumes(&self, instruction: &Instruction) -> Result<Vec<String>, BuildError> {
        let words = json_list(&instruction.rest)?
            .unwrap_or_else(|| instruction.rest.split_whitespace().map(str::to_owned).collect());
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// A label of the request.
    pub(super) fn label(&mut self, name: &str, value: &str) -> Comment {
        self.draft
            .config
            .labels
            .get_or_insert_default()
            .insert(name.to_owned(), value.to_owned());
        self.comment(&format!("LABEL {name}={value}"))
    }

    /// `MAINTAINER`.
    pub(super) fn maintainer(&mut self, name: &str) -> Comment {
        name.clone_into(&mut self.maintainer);
        self.comment(&format!("MAINTAINER {name}"))
    }

    /// `SHELL`.
    pub(super) fn shell(&mut self, shell: &[String]) -> Comment {
        self.draft.config.shell = Some(shell.to_vec());
        self.comment(&format!("SHELL [{}]", shell.join(" ")))
    }

    /// `ARG`, words as they were written.
    ///
    /// # Errors
    /// In dockerd's words.
    pub(super) fn argument(&mut self, words: &[String]) -> Result<Comment, BuildError> {
        // All words see the values of before this instruction.
        let pairs = words
            .iter()
            .map(|word| self.pair(word))
            .collect::<Result<Vec<_>, _>>()?;
        for (name, default) in &pairs {
            self.arguments.declare(name, default.clone());
        }
        let shown = |(name, default): &(String, Option<String>)| match default {
            Some(default) => format!("{name}={default}"),
            None => name.clone(),
        };
        let shown: Vec<String> = pairs.iter().map(shown).collect();
        Ok(self.comment(&format!("ARG {}", shown.join(" "))))
    }

    fn pair(&self, word: &str) -> Result<(String, Option<String>), BuildError> {
        Ok(match word.split_once('=') {
            Some((name, default)) => (self.expand(name)?, Some(self.expand(default)?)),
            None => (self.expand(word)?, None),
        })
    }

    /// `RUN`.
    ///
    /// # Errors
    /// [`BuildError`] for options that only BuildKit has, and for no command.
    pub(super) fn run(&self, command: &Command) -> Result<Run, BuildError> {
        let command = match command {
            Command::Exec(words) if words.is_empty() => {
                return Err(BuildError::invalid(docker_api::error::NO_COMMAND));
            }
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => self.draft.in_shell(text),
            Command::NeedsBuildKit(option) => return Err(BuildError::needs_buildkit(option)),
        };
        let values = self.arguments.beside(self.env());
        let pair = |(name, value): (&String, &String)| format!("{name}={value}");
        let shown = values
            .iter()
            .filter(|(name, _)| self.arguments.is_in_history(name))
            .map(pair);
        let shown: Vec<String> = shown.collect();
        let mut created_by = Vec::new();
        // dockerd's condition is that any argument is seen, and its count is of those that are shown.
        if !values.is_empty() {
            created_by.push(format!("|{}", shown.len()));
            created_by.extend(shown);
        }
        created_by.extend(command.iter().cloned());
        let env = self
            .env()
            .iter()
            .cloned()
            .chain(values.iter().map(pair))
            .collect();
        Ok(Run {
            command,
            env,
            created_by: created_by.join(" "),
        })
    }

    /// What stands in the history for `ENV` and the like.
    fn comment(&self, text: &str) -> Comment {
        let mut command = self.draft.in_shell("");
        command.extend(["#(nop) ".to_owned(), text.to_owned()]);
        Comment { command }
    }

    /// What stands in the history for `COPY`, `ADD` and `WORKDIR`.
    pub(super) fn comment_in_one(&self, text: &str) -> Comment {
        let mut command = self.draft.in_shell("");
        command.push(format!("#(nop) {text}"));
        Comment { command }
    }
}

/// Expands a word of a line before the first `FROM`, or of a `FROM`.
///
/// # Errors
/// In dockerd's words.
pub(super) fn expand_with(
    word: &str,
    escape: char,
    values: &BTreeMap<String, String>,
) -> Result<String, BuildError> {
    expand(word, escape, &|name| values.get(name).cloned()).map_err(|why| unreadable(word, &why))
}

/// Expands a here-document: as a word in which quotes mean nothing.
///
/// # Errors
/// In dockerd's words.
pub(super) fn expand_document(
    text: &str,
    escape: char,
    expand: &dyn Fn(&str) -> Result<String, BuildError>,
) -> Result<String, BuildError> {
    let mut word = String::with_capacity(text.len());
    let mut is_escaped = false;
    for character in text.chars() {
        if !is_escaped && matches!(character, '"' | '\'') {
            word.push(escape);
        }
        is_escaped = !is_escaped && character == escape;
        word.push(character);
    }
    expand(&word)
}

fn unreadable(word: &str, why: &crate::services::images::words::WordError) -> BuildError {
    BuildError::invalid(format!("failed to process {}: {why}", quoted(word)))
}

/// A text as Go's `%q` prints it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out + "\""
}

fn quoted_list(words: Option<&[String]>) -> String {
    let words: Vec<String> = words
        .unwrap_or_default()
        .iter()
        .map(|word| quoted(word))
        .collect();
    format!("[{}]", words.join(" "))
}

/// A health check as Go prints the pointer to one.
fn health(health: Option<&HealthConfig>) -> String {
    let health = health.cloned().unwrap_or_default();
    let test = health.test.unwrap_or_default().join(" ");
    let times = [
        health.interval,
        health.timeout,
        health.start_period,
        health.start_interval,
    ];
    format!(
        "&{{[{test}] {} {}}}",
        times.map(go_duration).join(" "),
        health.retries
    )
}

/// Times that a health check leaves open are those of the one before it, as in dockerd.
fn inherit(health: Option<&mut HealthConfig>, before: HealthConfig) {
    let Some(health) = health else { return };
    let fields = [
        (&mut health.interval, before.interval),
        (&mut health.timeout, before.timeout),
        (&mut health.start_period, before.start_period),
        (&mut health.start_interval, before.start_interval),
        (&mut health.retries, before.retries),
    ];
    for (own, before) in fields {
        if *own == 0 {
            *own = before;
        }
    }
}

/// A time in nanoseconds as Go prints it: `1m30s`, `1.5ms`, `0s`.
fn go_duration(ns: i64) -> String {
    let whole = ns.unsigned_abs();
    if whole < 1_000_000_000 {
        return match whole {
            0 => "0s".to_owned(),
            1..1_000 => format!("{whole}ns"),
            1_000..1_000_000 => format!("{}µs", fraction(whole, 1_000)),
            _ => format!("{}ms", fraction(whole, 1_000_000)),
        };
    }
    let minute = 60_000_000_000;
    let seconds = format!("{}s", fraction(whole % minute, 1_000_000_000));
    match (whole / minute / 60, whole / minute % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn fraction(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
