//! The conformance suite on PostgreSQL behind a PgBouncer that hands a session over after each transaction.
//!
//! Nothing goes around it: the schemas are made through it, too.

mod subject;

use std::process::ExitCode;

use queue_postgres::Pooler;
use queue_testkit::conformance;
use queue_testserver::PgBouncer;
use subject::{Postgres, server_url};

fn main() -> ExitCode {
    let pooled = PgBouncer::start(&server_url()).expect("a PgBouncer for the tests");
    conformance::main(Postgres::new(pooled.url(), Pooler::Transaction))
}
