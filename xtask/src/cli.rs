//! The command line of `cargo xtask`.

use clap::{Parser, Subcommand};

/// The chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) chore: Chore,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Chore {
    /// Run every test of the workspace: unit, integration, conformance and documentation tests
    Test {
        /// Also run the tiers `fault`, `crash` and `soak` of the conformance suite, and the
        /// programs in `adapters`, `outside` and `examples/shop`; minutes longer
        #[arg(long)]
        all: bool,
        /// Passed to every test program, for example a filter such as `claim`, or `--nocapture`
        #[arg(last = true, value_name = "FILTER")]
        args: Vec<String>,
    },
    /// Run all checks that do not run the code; changes nothing
    Lint {
        /// Run only the checks that compile nothing, which take a few seconds
        #[arg(long)]
        quick: bool,
    },
    /// Apply the fixes of clippy, then format the code
    Fix,
}
