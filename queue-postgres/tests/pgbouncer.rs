//! The conformance suite on PostgreSQL behind a PgBouncer that assigns a session per transaction.
//!
//! The backend uses only the pooler, also to create its schemas. Only their removal bypasses it.

mod subject;

use std::process::ExitCode;

use subject::{Way, run};

fn main() -> ExitCode {
    run(Way::Pooled)
}
