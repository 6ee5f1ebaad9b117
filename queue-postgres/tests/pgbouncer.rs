//! The conformance suite on PostgreSQL behind a PgBouncer that hands a session over after each transaction.
//!
//! The backend meets nothing else: its schemas are made through it, too. Only what removes them goes around it.

mod subject;

use std::error::Error;
use std::process::ExitCode;

use queue_postgres::Pooler;
use queue_testkit::conformance;
use queue_testserver::PgBouncer;
use subject::Postgres;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let url = queue_testserver::url()?;
    let pooled = PgBouncer::start(&url)?;
    let subject = Postgres::new(pooled.url(), Pooler::Transaction, &url)?;
    let sweeper = subject.sweeper();
    let code = conformance::main(subject);
    sweeper.finish();
    Ok(code)
}
