//! The conformance suite on PostgreSQL, directly.

mod subject;

use std::process::ExitCode;

use subject::{Way, run};

fn main() -> ExitCode {
    run(Way::Direct)
}
