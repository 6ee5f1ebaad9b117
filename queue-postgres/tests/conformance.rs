//! The conformance suite on PostgreSQL, directly.

mod subject;

use std::error::Error;
use std::process::ExitCode;

use queue_postgres::Pooler;
use queue_testkit::conformance;
use subject::Postgres;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let url = queue_testserver::url()?;
    let subject = Postgres::new(&url, Pooler::None, &url)?;
    let sweeper = subject.sweeper();
    let code = conformance::main(subject);
    sweeper.finish();
    Ok(code)
}
