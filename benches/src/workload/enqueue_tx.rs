//! Measures transactions of an application that store a row and enqueue a job.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use queue::{JobQueue, NewJob, Payload, postgres, sqlite};
use rusqlite::Connection;
use serde_json::Map;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::Measured;
use super::location::JobsLocation;
use super::parcel::Parcel;
use super::store::Store;
use crate::cli::BackendName;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::progress;
use crate::samples::rate;

/// Applications that commit at the same time, each on a connection of its own.
const CALLERS: usize = 16;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS bench_orders (number BIGINT)";

/// What a transaction does besides storing its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Nothing: the floor.
    Bare,
    /// Enqueues a job, and notifies workers at the commit.
    Notified,
    /// Enqueues a job, and wakes workers after the commit.
    Deferred,
}

/// Transactions per second with a job each. The floor is the same transactions without the job.
pub(super) fn measure(plan: &Plan) -> Result<(Floor, Measured)> {
    let location = JobsLocation::new(plan)?;
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Store::open(plan.backend, location.address()))?;
    let jobs = JobQueue::new(store.backend.clone());
    let bar = progress::bar("transactions", 3)?;
    let run = |form| {
        let took = match plan.backend {
            BackendName::Memory => bail!("the memory backend has no transactions of an application"),
            BackendName::Sqlite => on_sqlite(plan, &location, &jobs, form),
            BackendName::Postgres => runtime.block_on(on_postgres(plan, &location, &jobs, form)),
        };
        bar.inc(1);
        Ok(rate(plan.jobs, took?))
    };
    let (bare, notified, deferred) = (run(Form::Bare)?, run(Form::Notified)?, run(Form::Deferred)?);
    bar.finish_and_clear();
    runtime.block_on(store.ensure_stored(2 * plan.jobs))?;
    let measured = Measured::new(notified).setting("deferred_per_s", deferred).setting("callers", CALLERS);
    Ok((Floor { value: bare, settings: Map::new() }, measured))
}

fn job(plan: &Plan, number: usize) -> Result<NewJob> {
    let payload = Payload::encode(&Parcel::new(number, plan.payload_bytes))?;
    Ok(NewJob::new("parcel".parse()?, payload))
}

/// One connection, because SQLite has one writer.
fn on_sqlite(plan: &Plan, location: &JobsLocation, jobs: &JobQueue, form: Form) -> Result<Duration> {
    use sqlite::Tx as _;

    let mut connection = Connection::open(location.address().context("the file has no path")?)?;
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    connection.execute_batch(TABLE)?;
    let start = Instant::now();
    for number in 0..plan.jobs {
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute("INSERT INTO bench_orders VALUES (?1)", [i64::try_from(number)?])?;
        let pending = match form {
            Form::Bare => None,
            Form::Notified => jobs.enqueue(job(plan, number)?).tx(&tx).map(|_| None)?,
            Form::Deferred => Some(jobs.enqueue(job(plan, number)?).tx_deferred(&tx)?),
        };
        tx.commit()?;
        pending.map(queue::Deferred::wake);
    }
    Ok(start.elapsed())
}

async fn on_postgres(plan: &Plan, location: &JobsLocation, jobs: &JobQueue, form: Form) -> Result<Duration> {
    let JobsLocation::Schema(schema) = location else { bail!("the jobs are in no schema") };
    let mut clients = Vec::with_capacity(CALLERS);
    for _ in 0..CALLERS {
        let (client, connection) = tokio_postgres::connect(schema.server(), NoTls).await?;
        // The calls on the client return the errors of the connection.
        tokio::spawn(async { connection.await.ok() });
        client.batch_execute(&format!("SET search_path = {}", schema.name)).await?;
        clients.push(client);
    }
    clients.first().context("no callers")?.batch_execute(TABLE).await?;
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for (caller, client) in clients.into_iter().enumerate() {
        let numbers: Vec<usize> = (caller..plan.jobs).step_by(CALLERS).collect();
        let batch = numbers.iter().map(|number| job(plan, *number)).collect::<Result<Vec<_>>>()?;
        callers.spawn(commit_each(client, jobs.clone(), batch, form));
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(start.elapsed())
}

async fn commit_each(mut client: Client, jobs: JobQueue, batch: Vec<NewJob>, form: Form) -> Result<()> {
    use postgres::Tx as _;

    let insert = client.prepare("INSERT INTO bench_orders VALUES ($1)").await?;
    for (number, job) in batch.into_iter().enumerate() {
        let tx = client.transaction().await?;
        tx.execute(&insert, &[&i64::try_from(number)?]).await?;
        let pending = match form {
            Form::Bare => None,
            Form::Notified => jobs.enqueue(job).tx(&tx).await.map(|_| None)?,
            Form::Deferred => Some(jobs.enqueue(job).tx_deferred(&tx).await?),
        };
        tx.commit().await?;
        pending.map(queue::Deferred::wake);
    }
    Ok(())
}
