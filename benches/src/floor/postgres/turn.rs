//! Settles and claims jobs.

use anyhow::{Result, ensure};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::json::Json;
use crate::floor::store::{Claim, Id, KINDS, LEASE, QUEUE, WORKER};

/// The index of the payload among the columns of the claim.
const PAYLOAD: usize = 6;

/// Settles and claims in one transaction. Sends all statements before it waits for a reply. A
/// single statement needs no explicit transaction.
pub(super) async fn turn(store: &PostgresStore, done: &Claim<Id>, limit: usize) -> Result<Claim<Id>> {
    let client = &store.session.client;
    match (done.keys.is_empty(), limit) {
        (true, 0) => Ok(Claim::empty()),
        (true, _) => claim(store, limit).await,
        (false, 0) => {
            settle(store, done).await?;
            Ok(Claim::empty())
        }
        (false, _) => {
            let (begun, settled, claimed, committed) = tokio::join!(
                run(client, "BEGIN"),
                settle(store, done),
                claim(store, limit),
                run(client, "COMMIT")
            );
            begun?;
            settled?;
            let claimed = claimed?;
            committed?;
            Ok(claimed)
        }
    }
}

async fn run(client: &Client, command: &str) -> Result<()> {
    Ok(client.batch_execute(command).await?)
}

/// Completes every job of the claim.
async fn settle(store: &PostgresStore, done: &Claim<Id>) -> Result<()> {
    let ids: Vec<Uuid> = done.keys.iter().copied().map(Uuid::from_bytes).collect();
    let token = Uuid::from_bytes(done.token);
    let settled = store.session.client.execute(&store.settle, &[&ids, &token]).await?;
    let all = u64::try_from(ids.len())?;
    ensure!(settled == all, "the floor lost {} of {all} leases", all - settled);
    Ok(())
}

/// Claims up to `limit` jobs and reads their data.
async fn claim(store: &PostgresStore, limit: usize) -> Result<Claim<Id>> {
    let mut claim = Claim::fenced(limit);
    let kinds: Vec<i32> = KINDS.into_iter().map(i32::try_from).collect::<Result<_, _>>()?;
    let (queue, rows) = (i32::try_from(QUEUE)?, i64::try_from(limit)?);
    let token = Uuid::from_bytes(claim.token);
    let parameters: [&(dyn ToSql + Sync); 6] = [&queue, &kinds, &rows, &token, &WORKER, &LEASE];
    for row in store.session.client.query(&store.claim, &parameters).await? {
        let id: Uuid = row.try_get(0)?;
        claim.keys.push(id.into_bytes());
        claim.payload_bytes += row.try_get::<_, Json<'_>>(PAYLOAD)?.0.len();
    }
    Ok(claim)
}
