//! `cellblock`: the privileged parent of Cellblock, and the administrator's command.
#![forbid(unsafe_code)]

use cellblock_launcher::{audit, doctor, launch, log_line, setup};
use clap::{Parser, Subcommand};
use std::io::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Docker's API over jails: starts the service, and looks after it.
#[derive(Debug, Parser)]
#[command(name = "cellblock", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service in the foreground until SIGTERM; what rc.d starts.
    Up {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Run everything in the foreground, with all state below a directory; needs no preparation on Linux.
    Dev {
        /// Where everything is kept; made if it is not there.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// A configuration other than the built-in one for development.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say what this host lacks, and the line that mends each.
    Doctor {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Do what doctor lists, after showing it (FreeBSD).
    Setup {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Prove or show what the helpers recorded of each request.
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Prove that no line was changed, dropped or put in between.
    Verify {
        /// The directory given to `cellblock dev`; by default the service's state directory.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print all records by time.
    Show {
        /// The directory given to `cellblock dev`; by default the service's state directory.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    run(Arguments::parse().command).unwrap_or_else(|error| {
        log_line(&error.to_string());
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { config } => launch::up(config.as_deref()),
        Command::Dev { directory, config } => launch::dev(&directory, config.as_deref()),
        Command::Doctor { config } => doctor::run(config.as_deref()),
        Command::Setup { config, yes } => setup::run(config.as_deref(), yes),
        Command::Audit {
            command: Audit::Verify { dir },
        } => audit::verify(dir.as_deref()),
        Command::Audit {
            command: Audit::Show { dir },
        } => audit::show(dir.as_deref()),
    }
}
