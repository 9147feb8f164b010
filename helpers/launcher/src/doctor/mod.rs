//! `cellblock doctor`: what this host lacks, and the exact line that mends each.
//!
//! Nothing here changes the host; `setup` runs the lines after showing them. Both hosts' checks are built everywhere, so that
//! each can be tested anywhere with made-up answers.

pub mod freebsd;
pub mod linux;
mod probe;
#[cfg(test)]
mod tests;

pub use probe::{Live, Probe};

use crate::config::{self, Config, ConfigError, Mode};
use crate::{host, print_line, tenants};
use std::fmt::{self, Display};
use std::io::Result;
use std::path::Path;
use std::process::ExitCode;

/// What was looked at, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// What came of it.
    pub finding: Finding,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as it must be.
    Good,
    /// It is not: what is wrong, and what mends it.
    Missing(String, Mend),
    /// It is not needed but useful: what is not there, and what mends it.
    Useful(String, Mend),
    /// It could not be looked at, and why.
    Unknown(String),
}

/// What mends something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// A line for the shell.
    Line(String),
    /// What only the administrator can decide.
    ByHand(String),
}

impl Check {
    /// A check that found `what` good, or else missing.
    pub fn new(what: impl Into<String>, is_good: bool, wrong: impl Into<String>, mend: Mend) -> Self {
        let finding = if is_good {
            Finding::Good
        } else {
            Finding::Missing(wrong.into(), mend)
        };
        Check {
            what: what.into(),
            finding,
        }
    }

    /// Whether it keeps anything from working.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.finding, Finding::Missing(..))
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.finding {
            Finding::Good => write!(f, "ok      {what}"),
            Finding::Missing(wrong, mend) => write!(f, "MISSING {what}: {wrong}; mend: {mend}"),
            Finding::Useful(wrong, mend) => write!(f, "note    {what}: {wrong}; mend: {mend}"),
            Finding::Unknown(why) => write!(f, "unknown {what}: {why}"),
        }
    }
}

impl Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mend::Line(line) => f.write_str(line),
            Mend::ByHand(what) => write!(f, "by hand: {what}"),
        }
    }
}

/// Prints one line for each check; fails if anything is missing.
///
/// # Errors
/// None; the checks are what is printed.
pub fn run(file: Option<&Path>) -> Result<ExitCode> {
    let checks = checks(file, &Live);
    checks.iter().for_each(|check| print_line(&check.to_string()));
    let all_good = !checks.iter().any(Check::is_missing);
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All checks of this host.
pub fn checks(file: Option<&Path>, probe: &dyn Probe) -> Vec<Check> {
    let root = Mend::ByHand("run it with sudo".to_owned());
    let mut checks = vec![Check::new("root", probe.is_root(), "this is another user", root)];
    checks.extend(host::checks(file, probe));
    checks
}

/// The service's configuration, or the defaults and the check that says why.
pub(crate) fn configuration(file: Option<&Path>) -> (Option<Config>, Check) {
    let path = file.unwrap_or(Path::new(host::CONFIG_FILE));
    let what = format!("configuration {}", path.display());
    let shown = quoted(&path.display().to_string());
    let error = match config::load(file, &Mode::Service) {
        Ok(config) => {
            // Whom the tenants' names mean is only known to the host.
            let finding = match tenants::members(&config.tenants) {
                Ok(_) => Finding::Good,
                Err(error) => Finding::Missing(error.to_string(), Mend::ByHand(format!("correct {shown}"))),
            };
            return (Some(config), Check { what, finding });
        }
        Err(error) => error,
    };
    let mend = match &error {
        ConfigError::Missing(_) => Mend::Line(format!("install -m 600 {}.sample {shown}", host::CONFIG_FILE)),
        ConfigError::NotRoots(..) => Mend::Line(format!("chown root {shown}")),
        ConfigError::Writable(..) => Mend::Line(format!("chmod go-w {shown}")),
        ConfigError::Unreadable(..) | ConfigError::Syntax(..) | ConfigError::Value(..) => {
            Mend::ByHand(format!("correct {shown}"))
        }
    };
    (
        config::defaults(&Mode::Service).ok(),
        Check {
            what,
            finding: Finding::Missing(error.to_string(), mend),
        },
    )
}

/// A path as one word of a line for the shell.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
