//! Measures workloads of the queue next to their *floor*: a bare loop over the same store with the
//! same protocol and the same durability, without a queue.
//!
//! The modules under `floor` share no code with a backend, because a floor built from the measured
//! code would change with it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod cli;
mod cpu;
mod floor;
mod plan;
mod postgres;
mod progress;
mod report;
mod rounds;
mod samples;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::Cli;
use crate::plan::Plan;
use crate::report::Report;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error returned from `main` would be printed with a backtrace.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(address) = &cli.worker_of {
        return workload::serve(cli.backend, address);
    }
    let plan = Plan::new(cli)?;
    let (mut floor, measured) = workload::measure(&plan)?;
    floor.settings.extend(plan.settings()?);
    let report = Report::new(&plan, &floor, &measured);
    if cli.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        if let Some(rounds) = report.rounds() {
            println!("{}", rounds.table());
        }
        println!("{}", report.table());
    }
    Ok(())
}
