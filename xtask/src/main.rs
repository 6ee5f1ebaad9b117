//! Development tasks of the workspace: `cargo xtask test`, `cargo xtask lint`, `cargo xtask fix`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod cli;
mod fix;
mod lint;
mod process;
mod report;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Chore, Cli};

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Test { all, args } => test::run(all, &args),
        Chore::Lint { quick } => lint::run(quick),
        Chore::Fix => fix::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error returned from `main` would be printed with a backtrace.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
