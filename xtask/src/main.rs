//! The chores of the workspace in plain Rust: `cargo xtask test`, `cargo xtask lint`, `cargo xtask fix`.

#![expect(clippy::print_stdout, reason = "a command-line tool reports on its standard output")]

mod cli;
mod fix;
mod lint;
mod process;
mod report;
mod test;
mod workspace;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Chore, Cli};

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Test { args } => test::run(&args),
        Chore::Lint => lint::run(),
        Chore::Fix => fix::run(),
    }
}
