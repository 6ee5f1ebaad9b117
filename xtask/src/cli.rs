//! The command line of `cargo xtask`.

use clap::{Parser, Subcommand};

/// The chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) chore: Chore,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Chore {
    /// Run every test of the workspace: unit, integration, conformance and documentation tests
    Test {
        /// Run the tiers `fault`, `crash` and `soak` of the conformance suite too, which take some minutes more
        #[arg(long)]
        all: bool,
        /// Given to every test program as it is: a filter such as `claim`, or `--nocapture`
        #[arg(last = true, value_name = "FILTER")]
        args: Vec<String>,
    },
    /// Check everything that can be checked without running the code; changes nothing
    Lint,
    /// Format the code and apply what clippy can correct by itself
    Fix,
}
