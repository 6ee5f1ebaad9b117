//! The conformance suite on PostgreSQL, directly.

mod subject;

use std::process::ExitCode;

use queue_postgres::Pooler;
use queue_testkit::conformance;
use subject::{Postgres, server_url};

fn main() -> ExitCode {
    conformance::main(Postgres::new(&server_url(), Pooler::None))
}
