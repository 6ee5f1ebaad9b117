//! The chores of the workspace in plain Rust: `cargo xtask test`, `cargo xtask lint`, `cargo xtask fix`.

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
        Chore::Lint => lint::run(),
        Chore::Fix => fix::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Returned from here, it would be buried under a backtrace wherever those are switched on.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
