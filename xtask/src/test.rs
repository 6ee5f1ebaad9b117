//! `cargo xtask test`. What tests need around them, such as a database server, is started here before cargo.

mod failures;

use std::time::Instant;

use anyhow::{Context, Result};
use queue_testserver::{Options, Server, URL_VARIABLE, given_url};

use crate::process::{cargo, stream_lines};
use failures::Failures;

/// What tells the conformance suite which tiers to run, unless whoever runs it says so already.
const TIERS_VARIABLE: &str = "QUEUE_TEST_TIERS";

/// Runs every test of the workspace, with `all` in every tier; `args` go to each test program.
pub(crate) fn run(all: bool, args: &[String]) -> Result<()> {
    let started = Instant::now();
    // One server for all test programs. It goes when this function ends, and even if this process is killed.
    let server = postgres()?;
    // One failing program must not hide what the others would say.
    let mut command = cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    if let Some(server) = &server {
        command.env(URL_VARIABLE, server.url());
    }
    if all && std::env::var_os(TIERS_VARIABLE).is_none() {
        command.env(TIERS_VARIABLE, "all");
    }
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    let mut failures = Failures::default();
    let outcome = stream_lines(&mut command, |line| failures.read(line));
    if !failures.is_empty() {
        println!("\ntest: what failed, once more\n\n{failures}");
    }
    outcome.context("not every test succeeded; what failed is named above")?;
    println!("test: every test program succeeded, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Starts a throwaway server, unless the environment names one to use.
fn postgres() -> Result<Option<Server>> {
    if given_url().is_some() {
        println!("test: PostgreSQL at the address in {URL_VARIABLE}");
        return Ok(None);
    }
    let options = Options::throwaway().progress(|line| println!("test: {line}"));
    let server = Server::start(&options).context("the tests need a PostgreSQL server")?;
    let programs = server.programs();
    let (version, folder) = (programs.version()?, programs.folder().display());
    println!("test: PostgreSQL {version} from {folder}, a throwaway server on port {}", server.port());
    Ok(Some(server))
}
