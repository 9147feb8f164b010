//! `cellblock setup`: does what `doctor` lists, after showing it and asking.

use crate::doctor::{self, Finding, Live, Mend};
use crate::{host, print_line};
use std::io::{BufRead, Error, ErrorKind, Result, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Mends what is missing. Only lines that `doctor` shows are run; what must be done by hand is said again.
///
/// # Errors
/// One line: this is not root, or a line failed.
pub fn run(file: Option<&Path>, yes: bool) -> Result<ExitCode> {
    if !host::CAN_BE_SET_UP {
        print_line("there is nothing to set up on this host: `cellblock dev DIR` needs no preparation");
        return Ok(ExitCode::SUCCESS);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            "`cellblock setup` needs root: run it with sudo",
        ));
    }
    let (lines, by_hand) = needed(file);
    if lines.is_empty() {
        print_line("nothing is missing that can be set up");
    } else {
        print_line("to be run, in this order:");
        lines.iter().for_each(|line| print_line(&format!("  {line}")));
        if !yes && !is_agreed()? {
            print_line("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        lines.iter().try_for_each(|line| run_line(line))?;
    }
    by_hand
        .iter()
        .for_each(|what| print_line(&format!("left to do by hand: {what}")));
    doctor::run(file)
}

fn needed(file: Option<&Path>) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut by_hand) = (Vec::new(), Vec::new());
    for check in doctor::checks(file, &Live) {
        let (list, mend) = match check.finding {
            Finding::Missing(_, Mend::Line(line)) => (&mut lines, line),
            Finding::Missing(_, Mend::ByHand(what)) => (&mut by_hand, what),
            Finding::Good | Finding::Useful(..) | Finding::Unknown(_) => continue,
        };
        // One line can mend several things.
        if !list.contains(&mend) {
            list.push(mend);
        }
    }
    (lines, by_hand)
}

fn is_agreed() -> Result<bool> {
    let mut out = std::io::stdout();
    write!(out, "run them? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Runs a line as it was shown. Its only parts that are not fixed are the quoted path of the configuration, and names and
/// numbers that the configuration's check let through; none of these means anything to a shell.
fn run_line(line: &str) -> Result<()> {
    print_line(&format!("+ {line}"));
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", line])
        .env_clear()
        .env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin")
        .stdin(Stdio::null());
    let status = shell.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::other(format!("{line}: {status}")))
    }
}
