//! Measures the transactions of an idle worker that serves many queues.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use queue::{QueueName, Worker};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::Measured;
use super::parcel::task;
use crate::cli::BackendName;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::postgres::{Schema, Session};
use crate::progress;

/// Wait before the measurement, until the worker has read all queues and no longer reads them more
/// often.
const SETTLING: Duration = Duration::from_secs(6);
/// Duration of the measurement: several times the longest interval of a worker.
const WATCHED: Duration = Duration::from_secs(30);
const SLOWEST_SHUTDOWN: Duration = Duration::from_secs(30);

/// Transactions per second of an idle worker, for one queue and for many.
pub(super) fn measure(plan: &Plan) -> Result<(Floor, Measured)> {
    ensure!(
        plan.backend == BackendName::Postgres,
        "only a server counts its transactions: use --backend postgres"
    );
    let bar = progress::bar("an idle worker", 2)?;
    let watched = |queues| {
        let rate = watch(plan, queues);
        bar.inc(1);
        rate
    };
    let (one, many) = (watched(1)?, watched(plan.queues)?);
    bar.finish_and_clear();
    let settings = Map::from_iter([("watched_s".to_owned(), Value::from(WATCHED.as_secs()))]);
    Ok((Floor { value: one, settings }, Measured::new(many).setting("queues", plan.queues)))
}

fn watch(plan: &Plan, queues: usize) -> Result<f64> {
    let schema = Schema::named(plan.server()?.url());
    let session = Session::open(schema.server(), "")?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let mut queue = queue::connect(&schema.url()).await?;
        task(|_, _| async { Ok(()) }).register(&mut queue)?;
        let names = (0..queues).map(|number| QueueName::new(format!("queue-{number}")));
        let names = names.collect::<queue::Result<Vec<_>>>()?;
        let worker = Worker::new(&queue).queues(names).start()?;
        tokio::time::sleep(SETTLING).await;
        let before = tokio::task::block_in_place(|| transactions(&session))?;
        tokio::time::sleep(WATCHED).await;
        let after = tokio::task::block_in_place(|| transactions(&session))?;
        worker.shutdown(SLOWEST_SHUTDOWN).await;
        // One of the transactions is the first count.
        Ok((after - before - 1.0).max(0.0) / WATCHED.as_secs_f64())
    })
}

/// The transactions of all sessions in the database. Sessions report once per second.
fn transactions(session: &Session) -> Result<f64> {
    let count = session.text(
        "SELECT (xact_commit + xact_rollback)::text FROM pg_stat_database WHERE datname = current_database()",
    )?;
    count.parse().context("the server's count is not a number")
}
