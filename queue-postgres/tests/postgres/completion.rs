//! Q6, Q10: handlers that complete their jobs in transactions of the application.

use std::sync::Arc;

use queue_core::backend::{HeartbeatRequest, ProgressReport, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{
    Backend as _, HandlerResult, JobContext, JobError, JobHandle, JobQueue, JobState, Kind, NewJob, Payload,
    Progress, Queue, RetryPolicy, TaskOptions, Worker,
};
use queue_postgres::tokio_postgres::Client;
use queue_postgres::{PostgresBackend, Tx as _};
use queue_testkit::proxy::Proxy;

use crate::common::{LONG, TestSchema, claim, connect, insert, register, spec, until};

fn job(kind: &str) -> NewJob {
    NewJob::new(kind.parse().unwrap(), Payload::json("{}").unwrap())
}

/// Writes a row of the application and completes the job, in one transaction.
async fn charge(client: &mut Client, context: &JobContext, table: &str) -> HandlerResult {
    let tx = client.transaction().await?;
    tx.execute(&format!("INSERT INTO {table} VALUES ($1)"), &[&context.attempt().to_string()]).await?;
    context.complete("charged").tx(&tx).await?;
    tx.commit().await?;
    Ok(())
}

/// A queue whose handler of `charge` uses a connection through a proxy at its first attempt, and
/// one without a proxy afterwards.
struct Shop {
    schema: TestSchema,
    proxy: Proxy,
    jobs: JobQueue,
    table: String,
}

impl Shop {
    async fn open() -> Self {
        let schema = TestSchema::new();
        let proxy = Proxy::start(schema.server()).await.unwrap();
        let mut jobs = JobQueue::new(Arc::new(schema.open().await));
        let table = format!("{}.charges", schema.name());
        let create = format!("CREATE TABLE {table} (attempt text)");
        schema.connect().await.batch_execute(&create).await.unwrap();
        let urls = [schema.url_at(proxy.address()), schema.url().to_owned()];
        let charges = table.clone();
        let handler = move |context: JobContext, _: Payload| {
            let (urls, table) = (urls.clone(), charges.clone());
            async move {
                let mut client = connect(&urls[usize::from(context.attempt() > 1)]).await;
                context.enqueue(job("receipt")).on_success(&context)?;
                charge(&mut client, &context, &table).await
            }
        };
        let options = TaskOptions::new().retry(RetryPolicy::fixed(std::time::Duration::ZERO));
        jobs.handle("charge", Arc::new(handler), options).unwrap();
        Self { schema, proxy, jobs, table }
    }

    /// Runs a job to its end, and returns its state and attempt.
    async fn run(&self) -> (JobState, u32) {
        let handle: JobHandle = self.jobs.enqueue(job("charge")).await.unwrap();
        let worker = Worker::new(&self.jobs).start().unwrap();
        let read = || async { self.jobs.inspect().unwrap().jobs(&[handle.id()]).await.unwrap().remove(0) };
        until("the job has ended", || async { read().await.unwrap().state.is_finished() }).await;
        worker.shutdown(LONG).await;
        let record = read().await.unwrap();
        assert_eq!(record.result.as_deref(), Some(b"\"charged\"".as_slice()), "{record:?}");
        (record.state, record.attempt)
    }

    /// The attempts whose changes were committed, and the number of follow-ups.
    async fn effects(&self) -> (Vec<String>, usize) {
        let client = self.schema.connect().await;
        let rows = client.query(&format!("SELECT attempt FROM {}", self.table), &[]).await.unwrap();
        let stored = self.jobs.backend().extensions().audit.unwrap().stored().await.unwrap();
        let receipt = Kind::new("receipt").unwrap();
        let records = self.jobs.inspect().unwrap().jobs(&stored.jobs).await.unwrap();
        let receipts = records.into_iter().flatten().filter(|record| record.job.kind == receipt).count();
        (rows.iter().map(|row| row.get(0)).collect(), receipts)
    }
}

/// The server commits, and its answer is lost. The handler fails, and its job is completed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answer_to_a_commit_leaves_the_job_completed() {
    let shop = Shop::open().await;
    let loss = shop.proxy.lose_reply("COMMIT");
    assert_eq!(shop.run().await, (JobState::Completed, 1));
    loss.happened(LONG).await.unwrap();
    assert_eq!(shop.effects().await, (vec!["1".to_owned()], 1));
}

/// The commit does not reach the server, which rolls back. The job is retried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_commit_lets_the_job_be_retried() {
    let shop = Shop::open().await;
    let loss = shop.proxy.lose_request("COMMIT");
    assert_eq!(shop.run().await, (JobState::Completed, 2));
    loss.happened(LONG).await.unwrap();
    assert_eq!(shop.effects().await, (vec!["2".to_owned()], 1));
}

/// The statement that completes the job is lost with its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_completion_lets_the_job_be_retried() {
    for loses_the_reply in [false, true] {
        let shop = Shop::open().await;
        let loss = match loses_the_reply {
            true => shop.proxy.lose_reply("complete_job"),
            false => shop.proxy.lose_request("complete_job"),
        };
        assert_eq!(shop.run().await, (JobState::Completed, 2));
        loss.happened(LONG).await.unwrap();
        assert_eq!(shop.effects().await, (vec!["2".to_owned()], 1));
    }
}

/// A lost lease makes the transaction fail: nothing of it can be committed.
#[tokio::test]
async fn transaction_of_a_lost_lease_has_failed() {
    let schema = TestSchema::new();
    let jobs = JobQueue::new(Arc::new(schema.open().await));
    let mut client = schema.connect().await;
    let table = format!("{}.charges", schema.name());
    client.batch_execute(&format!("CREATE TABLE {table} (attempt text)")).await.unwrap();
    let claim = queue_core::ClaimId::generate().unwrap();
    let token = queue_core::Token { job: queue_core::JobId::generate(), claim };
    let context = JobContext::new("charge".parse().unwrap()).with_jobs(jobs).with_lease(token);
    let error = charge(&mut client, &context, &table).await.unwrap_err();
    let JobError::Retry { error, .. } = error else { panic!("{error}") };
    assert!(
        error.contains(&format!("failed to complete the job {}: the lease is lost", token.job)),
        "{error}"
    );
    let tx = client.transaction().await.unwrap();
    context.complete("charged").tx(&tx).await.unwrap_err();
    let failed = tx.execute(&format!("INSERT INTO {table} VALUES ('1')"), &[]).await.unwrap_err();
    assert_eq!(failed.code().unwrap().code(), "25P02");
    drop(tx);
    let rows = client.query(&format!("SELECT * FROM {table}"), &[]).await.unwrap();
    assert!(rows.is_empty());
}

/// A transaction that completes a job is open. The job's settlement is `Busy` after the lock
/// timeout, and its neighbour in the request is settled.
#[tokio::test]
async fn open_transaction_delays_only_its_own_job() {
    let schema = TestSchema::new();
    let config = schema.config().unique_lock_timeout(std::time::Duration::from_millis(1));
    let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
    insert(&*backend, vec![spec("1"), spec("2")]).await.unwrap();
    let worker = register(&*backend).await;
    let claimed = backend.claim(claim(worker, 2)).await.unwrap().jobs;
    let context = JobContext::new("charge".parse().unwrap()).with_jobs(JobQueue::new(backend.clone()));
    let context = context.with_lease(claimed[0].token);
    let mut client = schema.connect().await;
    let tx = client.transaction().await.unwrap();
    context.complete("charged").tx(&tx).await.unwrap();
    let retry = || Verdict::Retry { error: "unknown".to_owned(), delay: std::time::Duration::ZERO };
    let settlements = claimed.iter().map(|job| Settlement::new(job.token, retry())).collect::<Vec<_>>();
    let mut replies = backend.settle(SettleRequest::new(worker, settlements)).await.unwrap();
    assert_eq!(replies.pop().unwrap().unwrap(), Settled::Done);
    let busy = replies.pop().unwrap().unwrap_err();
    assert_eq!(busy.kind(), queue_core::ErrorKind::Busy, "{busy}");
    // A heartbeat with the progress of the job does not wait either.
    let mut beat = HeartbeatRequest::new(worker);
    beat.progress.push(ProgressReport::new(claimed[0].token, Progress { done: 1, total: 2 }));
    backend.heartbeat(beat).await.unwrap();
    tx.commit().await.unwrap();
    let again = SettleRequest::new(worker, vec![Settlement::new(claimed[0].token, retry())]);
    assert_eq!(backend.settle(again).await.unwrap().remove(0).unwrap(), Settled::LeaseLost);
}
