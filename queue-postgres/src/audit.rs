//! Reads the raw rows for the conformance kit.

use queue_core::Result;
use queue_core::backend::{KeyRow, LiveRow, OutcomeRow, Stored};
use tokio::time::timeout;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use crate::config::PostgresConfig;
use crate::connections::Connections;
use crate::error::{Effect, Fault, Outcome};
use crate::row;
use crate::schema_name::Schema;
use crate::statements::filled;

/// Reads all rows in one snapshot.
pub(crate) async fn stored(connections: &Connections, config: &PostgresConfig) -> Result<Stored> {
    let read = async {
        let mut connection = connections.connection().await?;
        let stored = match timeout(config.request_timeout, read(&mut connection, &config.schema)).await {
            Ok(stored) => stored,
            Err(_) => Err(Fault::TimedOut(config.request_timeout)),
        };
        connections.return_connection(connection, &stored, stored.is_ok());
        stored
    };
    read.await.map_err(|fault| fault.into_error("read all rows", Effect::Reads))
}

async fn read(client: &mut Client, schema: &Schema) -> Outcome<Stored> {
    let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = snapshot.start().await?;
    let stored = Stored::new(
        rows(&transaction, include_str!("sql/audit_jobs.sql"), schema, |row| row::job_id(row, 0)).await?,
        rows(&transaction, include_str!("sql/audit_live.sql"), schema, live).await?,
        rows(&transaction, include_str!("sql/audit_outcomes.sql"), schema, outcome).await?,
        rows(&transaction, include_str!("sql/audit_workers.sql"), schema, worker).await?,
    )
    .unique_keys(rows(&transaction, include_str!("sql/audit_unique_keys.sql"), schema, unique_key).await?);
    transaction.commit().await?;
    Ok(stored)
}

async fn rows<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    schema: &Schema,
    read: impl Fn(&Row) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    // Not prepared, so that it also works through a pooler.
    let rows = transaction.query_typed(&filled(sql, schema), &[]).await?;
    rows.iter().map(read).collect()
}

fn live(row: &Row) -> Outcome<LiveRow> {
    Ok(LiveRow::new(row::job_id(row, 0)?, row::queue(row, 1)?, row::state(row, 3)?, row::time(row, 4)?)
        .priority(row::get(row, 2)?)
        .attempt(row::attempt(row, 5)?)
        .max_retries(row::max_retries(row, 6)?)
        .claim(row::claim_id_if_any(row, 7)?)
        .worker(row::worker_id_if_any(row, 8)?)
        .deadline(row::time_if_any(row, 9)?)
        .unique(row::get(row, 10)?))
}

fn unique_key(row: &Row) -> Outcome<KeyRow> {
    let key: &str = row::get(row, 1)?;
    Ok(KeyRow::new(row::kind(row, 0)?, key, row::job_id(row, 2)?).until(row::time_if_any(row, 3)?))
}

fn outcome(row: &Row) -> Outcome<OutcomeRow> {
    Ok(OutcomeRow::new(row::job_id(row, 0)?, row::state(row, 1)?, row::time(row, 2)?)
        .attempt(row::attempt(row, 3)?)
        .max_retries(row::max_retries(row, 4)?)
        .claim(row::claim_id_if_any(row, 5)?)
        .result(row::get(row, 6)?)
        .error(row::get(row, 7)?))
}

fn worker(row: &Row) -> Outcome<queue_core::WorkerId> {
    row::worker_id_if_any(row, 0)?.ok_or_else(|| crate::error::corrupt("a worker has no id"))
}
