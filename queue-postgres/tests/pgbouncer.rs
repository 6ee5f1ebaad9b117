//! The conformance suite on PostgreSQL behind a PgBouncer that hands a session over after each transaction.
//!
//! The backend meets nothing else: its schemas are made through it, too. Only what removes them goes around it.

mod subject;

use std::process::ExitCode;

use subject::{Way, run};

fn main() -> ExitCode {
    run(Way::Pooled)
}
