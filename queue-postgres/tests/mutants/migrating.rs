//! Several that migrate at the same time, without the lock.

use queue_core::{Error, ErrorKind, Result};
use queue_postgres::migrations_sql;

use crate::caught::mutants;
use crate::place::{connect, driver};
use crate::subject::Wrong;

mutants! {
    Q21 migrates_without_the_lock => Wrong::Migrations,
}

/// Runs the script as `psql` would, but for the statement that lets one at a time go on.
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
