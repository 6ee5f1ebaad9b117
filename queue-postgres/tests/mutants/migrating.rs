//! Concurrent migrations without the lock.

use queue_core::{Error, ErrorKind, Result};
use queue_postgres::migrations_sql;

use crate::caught::mutants;
use crate::subject::Wrong;
use crate::test_schema::{connect, driver};

mutants! {
    Q21 migrates_without_the_lock => Wrong::Migrations,
}

/// Runs the script like `psql`, except for the statement that takes the lock.
pub(crate) async fn migrate_without_the_lock(schema: &str, sequence: &str) -> Result<()> {
    let script = migrations_sql(schema)?;
    let is_lock = |line: &&str| line.starts_with("SELECT pg_advisory_xact_lock(");
    let mut locks = script.lines().filter(is_lock);
    let (Some(lock), None) = (locks.next(), locks.next()) else {
        panic!("the script does not take its lock in one line: {script}");
    };
    let counted = script.replacen(lock, &format!("SELECT nextval('{sequence}');"), 1);
    let done = connect(&driver()).await.batch_execute(&counted).await;
    done.map_err(|error| Error::new(ErrorKind::Unavailable, "migrate", error.to_string()).with_source(error))
}
