//! The instructions of a Dockerfile: what each is, in which stage, and whether it can be one at all.
//!
//! This is the second pass; [`super::lines`] is the first. What an instruction does is decided when its turn comes, since
//! variables have values only then.

use super::BuildError;
use super::lines::{self, Document, Line, Lines};
use crate::services::images::changes::{CHANGES, Draft, json_list};
use crate::services::images::instructions::Instruction;
use crate::services::images::words::split;
use docker_api::image_config::ImageConfig;
use std::collections::BTreeMap;

/// A Dockerfile.
#[derive(Debug)]
pub(super) struct Dockerfile {
    /// The escape character.
    pub(super) escape: char,
    /// `ARG` before the first `FROM`.
    pub(super) arguments: Vec<Step>,
    /// At least one.
    pub(super) stages: Vec<Stage>,
    /// What the user should be told.
    pub(super) warnings: Vec<String>,
}

/// What begins with `FROM`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// The `FROM` as written.
    pub(super) text: String,
    /// The image or stage below, not yet expanded.
    pub(super) base: String,
    /// `AS name`, in lower case; may be empty.
    pub(super) name: String,
    /// `--platform`, not yet expanded; may be empty.
    pub(super) platform: String,
    /// Everything up to the next `FROM`.
    pub(super) steps: Vec<Step>,
}

/// One instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// As written.
    pub(super) text: String,
    /// What it asks for.
    pub(super) action: Action,
}

/// What an instruction asks for. Words are not yet expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// One of [`CHANGES`]: only the configuration changes (and `WORKDIR` makes a directory).
    Change(Instruction),
    /// A label of the request, taken as it is.
    Label {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// `ARG`, each `name` or `name=value`.
    Arg(Vec<String>),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `RUN`.
    Run(Command),
    /// `COPY` and `ADD`.
    Transfer(Transfer),
}

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// For the shell.
    Shell(String),
    /// Program and arguments.
    Exec(Vec<String>),
    /// With an option of BuildKit's, by name.
    NeedsBuildKit(String),
}

/// Which instruction moves files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// `ADD` unpacks archives.
    Add,
    /// `COPY` does not, and takes files from stages and images.
    Copy,
}

impl Verb {
    /// As dockerd prints it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Copy => "COPY",
        }
    }
}

/// `COPY` or `ADD`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Which.
    pub(super) verb: Verb,
    /// What; at least one of these and of `documents`.
    pub(super) sources: Vec<String>,
    /// Files whose content stands in the Dockerfile.
    pub(super) documents: Vec<Document>,
    /// Where to.
    pub(super) destination: String,
    /// `--chown`; empty means root, or as it was with `--from`.
    pub(super) owner: String,
    /// `--chmod`; empty means as it was.
    pub(super) mode: String,
    /// `--from`; empty means the build context.
    pub(super) from: String,
    /// An option of BuildKit's, by name; refused when its turn comes.
    pub(super) needs_buildkit: Option<String>,
}

/// Reads a Dockerfile and adds the request's labels to its last stage (`target`, if that is given).
///
/// # Errors
/// [`BuildError::Failed`] with an invalid request, in dockerd's words.
pub(super) fn parse(
    text: &str,
    target: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Dockerfile, BuildError> {
    let Lines {
        escape,
        lines,
        warnings,
    } = lines::read(text)?;
    let (mut arguments, mut stages) = (Vec::new(), Vec::<Stage>::new());
    for line in lines {
        let number = line.instruction.line;
        if line.instruction.name() == "FROM" {
            stages.push(stage(line)?);
            continue;
        }
        let step = step(line)?;
        match (stages.last_mut(), &step.action) {
            (Some(stage), _) => stage.steps.push(step),
            (None, Action::Arg(_)) => arguments.push(step),
            (None, _) => {
                tracing::debug!(line = number, "an instruction before FROM");
                return Err(BuildError::invalid("no build stage in current context"));
            }
        }
    }
    if !target.is_empty() {
        let at = stages
            .iter()
            .position(|stage| stage.name.eq_ignore_ascii_case(target));
        let missing = || BuildError::invalid(format!("target stage {target:?} could not be found"));
        stages.truncate(at.ok_or_else(missing)? + 1);
    }
    // dockerd falls over a file of nothing but ARG.
    let last = stages
        .last_mut()
        .ok_or_else(|| BuildError::invalid("no build stage in current context"))?;
    last.steps.extend(labels.iter().map(|(name, value)| Step {
        text: format!("LABEL {name}={value}"),
        action: Action::Label {
            name: name.clone(),
            value: value.clone(),
        },
    }));
    Ok(Dockerfile {
        escape,
        arguments,
        stages,
        warnings,
    })
}

/// Reads an `ONBUILD` trigger.
///
/// # Errors
/// As [`parse`].
pub(super) fn trigger(text: &str, escape: char) -> Result<Step, BuildError> {
    step(lines::line_of(text, escape, 1)?)
}

/// A wrong instruction, in dockerd's words.
pub(super) fn wrong(line: usize, why: impl std::fmt::Display) -> BuildError {
    BuildError::invalid(format!("dockerfile parse error on line {line}: {why}"))
}

fn stage(line: Line) -> Result<Stage, BuildError> {
    let instruction = &line.instruction;
    let wrong = |why: String| wrong(instruction.line, why);
    let words: Vec<&str> = instruction.rest.split_whitespace().collect();
    let (base, name) = match words[..] {
        [base] => (base, String::new()),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (base, name.to_ascii_lowercase()),
        _ => return Err(wrong("FROM requires either one or three arguments".to_owned())),
    };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let is_name = name.is_empty() || name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_name || !name.chars().all(fits) {
        let text = format!(
            "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
            words[2]
        );
        return Err(wrong(text));
    }
    let platform = Flags::read(instruction, &["platform"])?.take("platform");
    Ok(Stage {
        base: base.to_owned(),
        name,
        platform,
        steps: Vec::new(),
        text: line.text,
    })
}

fn step(line: Line) -> Result<Step, BuildError> {
    let instruction = &line.instruction;
    let name = instruction.name();
    let action = match name.as_str() {
        "ADD" => Action::Transfer(transfer(Verb::Add, &line)?),
        "COPY" => Action::Transfer(transfer(Verb::Copy, &line)?),
        "RUN" => Action::Run(command(&line)?),
        "ARG" => Action::Arg(arguments(instruction)?),
        "SHELL" => Action::Shell(shell(instruction)?),
        "MAINTAINER" => {
            Flags::read(instruction, &[])?;
            require(instruction, "exactly one argument")?;
            Action::Maintainer(instruction.rest.clone())
        }
        // A trigger cannot begin a stage.
        "FROM" => {
            return Err(wrong(
                instruction.line,
                "FROM isn't allowed as an ONBUILD trigger",
            ));
        }
        known if CHANGES.contains(&known) => {
            check_change(known, instruction)?;
            Action::Change(instruction.clone())
        }
        _ => {
            return Err(wrong(
                instruction.line,
                format!("unknown instruction: {}", instruction.keyword),
            ));
        }
    };
    Ok(Step {
        text: line.text,
        action,
    })
}

fn require(instruction: &Instruction, what: &str) -> Result<(), BuildError> {
    if instruction.rest.is_empty() {
        return Err(wrong(
            instruction.line,
            format!("{} requires {what}", instruction.name()),
        ));
    }
    Ok(())
}

/// What dockerd refuses of these before the build begins. What depends on variables is judged when its turn comes.
fn check_change(name: &str, instruction: &Instruction) -> Result<(), BuildError> {
    let told = |why: String| wrong(instruction.line, why);
    match name {
        // Nothing in these is expanded, so trying them tells.
        "HEALTHCHECK" | "ONBUILD" => {
            let mut draft = Draft::new(ImageConfig::default());
            draft
                .apply(instruction, &BTreeMap::new())
                .map_err(|failure| told(failure.to_string()))?;
            let test = draft.config.healthcheck.and_then(|health| health.test);
            return match test.as_deref() {
                Some([kind]) if kind == "CMD" => {
                    Err(told("Missing command after HEALTHCHECK CMD".to_owned()))
                }
                Some(_) | None => Ok(()),
            };
        }
        _ => Flags::read(instruction, &[])?,
    };
    match name {
        "ENV" | "LABEL" => {
            require(instruction, "at least one argument")?;
            let words = split(&instruction.rest, instruction.escape);
            if words.iter().any(|word| word.starts_with('=')) {
                return Err(told(format!("{name} names can not be blank")));
            }
        }
        "EXPOSE" => require(instruction, "at least one argument")?,
        "VOLUME" => {
            require(instruction, "at least one argument")?;
            match json_list(&instruction.rest)? {
                Some(list) if list.is_empty() => {
                    return Err(told("VOLUME requires at least one argument".to_owned()));
                }
                Some(list) if list.iter().any(|path| path.trim().is_empty()) => {
                    return Err(told("VOLUME specified can not be an empty string".to_owned()));
                }
                Some(_) | None => {}
            }
        }
        "USER" | "WORKDIR" | "STOPSIGNAL" => require(instruction, "exactly one argument")?,
        _ => {}
    }
    Ok(())
}

fn arguments(instruction: &Instruction) -> Result<Vec<String>, BuildError> {
    Flags::read(instruction, &[])?;
    require(instruction, "at least one argument")?;
    let words = split(&instruction.rest, instruction.escape);
    if words.iter().any(|word| word.starts_with('=')) {
        return Err(wrong(instruction.line, "ARG names can not be blank"));
    }
    Ok(words)
}

fn shell(instruction: &Instruction) -> Result<Vec<String>, BuildError> {
    Flags::read(instruction, &[])?;
    match json_list(&instruction.rest)? {
        Some(words) if !words.is_empty() => Ok(words),
        None if !instruction.rest.is_empty() => Err(wrong(
            instruction.line,
            "SHELL requires the arguments to be in JSON form",
        )),
        Some(_) | None => Err(wrong(instruction.line, "SHELL requires at least one argument")),
    }
}

fn command(line: &Line) -> Result<Command, BuildError> {
    let instruction = &line.instruction;
    let flags = Flags::read(instruction, &["mount", "network", "security"])?;
    if let Some(name) = flags.first_of(&["mount", "network", "security"]) {
        return Ok(Command::NeedsBuildKit(name));
    }
    Ok(match json_list(&instruction.rest)? {
        Some(words) => Command::Exec(words),
        None => Command::Shell(with_documents(line)?),
    })
}

/// A command for the shell. A here-document alone is itself the command, so that it also works with shells that have none.
fn with_documents(line: &Line) -> Result<String, BuildError> {
    let rest = &line.instruction.rest;
    match line.documents.as_slice() {
        [] => Ok(rest.clone()),
        [only] if lines::mark(rest).is_some() => {
            if only.content.starts_with("#!") {
                return Err(BuildError::unsupported(
                    "RUN of a here-document that begins with #!",
                ));
            }
            Ok(only.text())
        }
        several => {
            let bodies = several.iter().map(|one| format!("\n{}{}", one.content, one.name));
            Ok(rest.clone() + &bodies.collect::<String>())
        }
    }
}

fn transfer(verb: Verb, line: &Line) -> Result<Transfer, BuildError> {
    let instruction = &line.instruction;
    let known: &[&str] = match verb {
        Verb::Add => &[
            "chown",
            "chmod",
            "link",
            "exclude",
            "checksum",
            "keep-git-dir",
            "unpack",
        ],
        Verb::Copy => &["chown", "chmod", "link", "exclude", "from", "parents"],
    };
    let mut flags = Flags::read(instruction, known)?;
    let words = match json_list(&instruction.rest)? {
        Some(words) => words,
        None => instruction.rest.split_whitespace().map(str::to_owned).collect(),
    };
    let Some((destination, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        let why =
            "requires at least two arguments, but only one was provided. Destination could not be determined";
        return Err(wrong(instruction.line, format!("{} {why}", verb.word())));
    };
    let is_path = |word: &&String| line.documents.is_empty() || lines::mark(word).is_none();
    Ok(Transfer {
        verb,
        sources: sources.iter().filter(is_path).cloned().collect(),
        documents: line.documents.clone(),
        destination: destination.clone(),
        owner: flags.take("chown"),
        mode: flags.take("chmod"),
        from: flags.take("from"),
        needs_buildkit: flags.first_of(&["link", "exclude", "checksum", "keep-git-dir", "unpack", "parents"]),
    })
}

/// An instruction's options, each `name` or `name=value`.
struct Flags(Vec<(String, String)>);

impl Flags {
    fn read(instruction: &Instruction, known: &[&str]) -> Result<Self, BuildError> {
        // The only ones that need no value.
        let switches = ["link", "keep-git-dir", "parents", "unpack"];
        let mut flags: Vec<(String, String)> = Vec::new();
        for flag in &instruction.flags {
            let (name, value) = flag
                .split_once('=')
                .map_or((flag.as_str(), None), |(n, v)| (n, Some(v)));
            let told = |why: &str| wrong(instruction.line, format!("{why}: --{name}"));
            if !known.contains(&name) {
                return Err(told("unknown flag"));
            }
            if flags.iter().any(|(other, _)| other == name) && !matches!(name, "mount" | "exclude") {
                return Err(told("duplicate flag specified"));
            }
            if value.is_none() && !switches.contains(&name) {
                return Err(told("missing a value on flag"));
            }
            flags.push((name.to_owned(), value.unwrap_or_default().to_owned()));
        }
        Ok(Flags(flags))
    }

    fn take(&mut self, name: &str) -> String {
        let at = self.0.iter().position(|(other, _)| other == name);
        at.map(|at| self.0.remove(at).1).unwrap_or_default()
    }

    fn first_of(&self, names: &[&str]) -> Option<String> {
        self.0
            .iter()
            .map(|(name, _)| name)
            .find(|name| names.contains(&name.as_str()))
            .cloned()
    }
}

#[cfg(test)]
#[path = "dockerfile_tests.rs"]
mod tests;
