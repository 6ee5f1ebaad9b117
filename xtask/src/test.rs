//! `cargo xtask test`: starts a database server for the tests, then runs cargo.

mod failures;
mod outside;

use std::time::Instant;

use anyhow::{Context, Result};
use queue_testserver::{INSTALL_VARIABLE, Options, Server, URL_VARIABLE, given_url};

use crate::process::{cargo, stream_lines};
use failures::Failures;

/// Environment variable with the tiers of the conformance suite. A value of the caller is kept.
const TIERS_VARIABLE: &str = "QUEUE_TEST_TIERS";

/// Environment variable with the result of a run with cases that reached too little. Here such a
/// run fails, because no reader looks at the list of a run that passes. A value of the caller is
/// kept.
const NOT_SHOWN_VARIABLE: &str = "QUEUE_TEST_NOT_SHOWN";

/// Runs every test of the workspace. If `all` is set, also runs every tier, and the programs
/// outside of the workspace. Passes `args` to each test program.
pub(crate) fn run(all: bool, args: &[String]) -> Result<()> {
    let started = Instant::now();
    // One server for all test programs. It ends with this function, even if this process is killed.
    let server = postgres()?;
    // A failing program must not hide the failures of the others.
    let mut command = cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    // For PgBouncer, which the test programs start by themselves.
    command.env(INSTALL_VARIABLE, "1");
    if let Some(server) = &server {
        command.env(URL_VARIABLE, server.url());
    }
    if all && std::env::var_os(TIERS_VARIABLE).is_none() {
        command.env(TIERS_VARIABLE, "all");
    }
    if std::env::var_os(NOT_SHOWN_VARIABLE).is_none() {
        command.env(NOT_SHOWN_VARIABLE, "fail");
    }
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    let mut failures = Failures::default();
    let mut outcome = stream_lines(&mut command, |line| failures.read(line));
    if all && args.is_empty() {
        let url = server.as_ref().map(Server::url);
        let variable = url.as_deref().map(|url| (URL_VARIABLE, url));
        outcome = outcome.and(outside::test(variable, &mut failures));
    }
    if !failures.is_empty() {
        println!("\ntest: all failures\n\n{failures}");
    }
    outcome.context("tests failed; the failures are listed above")?;
    println!("test: every test program succeeded, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Starts a throwaway server, unless the environment has the URL of one.
fn postgres() -> Result<Option<Server>> {
    if given_url().is_some() {
        println!("test: PostgreSQL at the address in {URL_VARIABLE}");
        return Ok(None);
    }
    let options = Options::throwaway().installs().progress(|line| println!("test: {line}"));
    let server = Server::start(&options).context("the tests need a PostgreSQL server")?;
    let programs = server.programs();
    let (version, folder) = (programs.version()?, programs.folder().display());
    println!("test: PostgreSQL {version} from {folder}, a throwaway server on port {}", server.port());
    Ok(Some(server))
}
