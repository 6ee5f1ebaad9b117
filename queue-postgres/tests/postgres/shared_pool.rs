//! Requests use the application's pool; heartbeats and wake-ups have connections of their own.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{
    EnqueuerExt as _, ErrorKind, HandlerResult, JobContext, JobQueue, JobState, Kind, TaskDefinition, Worker,
};
use queue_postgres::deadpool_postgres::{Manager, Pool};
use queue_postgres::tokio_postgres::{Config, NoTls};
use queue_postgres::{PostgresBackend, PostgresConfig};

use crate::common::{LONG, TestSchema, in_time, until};

/// A pool of the application with two connections, which have a name of their own.
fn pool(schema: &TestSchema) -> Pool {
    let mut driver: Config = schema.url().parse().unwrap();
    driver.application_name(format!("{}_app", schema.name()));
    Pool::builder(Manager::new(driver, NoTls)).max_size(2).build().unwrap()
}

fn config(schema: &TestSchema, pool: &Pool) -> PostgresConfig {
    schema.config().shared_pool(pool.clone())
}

async fn sessions(schema: &TestSchema, name: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    schema.connect().await.query_one(sql, &[&name]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_of_a_shared_pool_has_two_connections_of_its_own() {
    let schema = TestSchema::new();
    let pool = pool(&schema);
    let backend = PostgresBackend::open(config(&schema, &pool)).await.unwrap();
    let mut jobs = JobQueue::new(Arc::new(backend));
    let task = TaskDefinition::from_fn("count", |_: JobContext, _: u32| async { HandlerResult::Ok(()) });
    let task = task.register(&mut jobs).unwrap();
    let worker = Worker::new(&jobs).settings(WorkerSettings::default()).start().unwrap();
    let ids = task.enqueue_batch(&Vec::from_iter(0..500)).await.unwrap();
    for number in 0..20 {
        task.enqueue(&number).await.unwrap();
    }
    until("all jobs are completed", || async {
        let records = jobs.inspect().unwrap().jobs(&ids).await.unwrap();
        records.iter().flatten().all(|record| record.state == JobState::Completed)
    })
    .await;
    until("the handle listens", || async { sessions(&schema, schema.name()).await == 2 }).await;
    assert!(sessions(&schema, &format!("{}_app", schema.name())).await <= 2);
    worker.shutdown(LONG).await;
    drop((jobs, task));
    for _ in 0..2 {
        // The pool's connections outlive the handle that made them.
        let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        first.simple_query("SELECT 1").await.unwrap();
        second.simple_query("SELECT 1").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_waits_for_the_application_and_heartbeats_do_not() {
    let schema = TestSchema::new();
    let pool = pool(&schema);
    let config = config(&schema, &pool).pool_timeout(Duration::from_millis(100));
    let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
    let worker = crate::common::register(&*backend).await;
    let jobs = JobQueue::new(backend.clone());
    let taken = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let error = jobs.enqueue_value("count", &1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let heartbeat = queue_core::backend::HeartbeatRequest::new(worker);
    queue_core::Backend::heartbeat(&*backend, heartbeat).await.unwrap();
    drop(taken);
    let id = in_time("a connection", jobs.enqueue_value("count", &1)).await.unwrap();
    let record = jobs.inspect().unwrap().jobs(&[id]).await.unwrap().remove(0).unwrap();
    assert_eq!(record.job.kind, Kind::new("count").unwrap());
}

#[test]
fn shared_pool_without_its_runtime_is_refused() {
    let schema = TestSchema::new();
    let opening = std::pin::pin!(PostgresBackend::open(config(&schema, &pool(&schema))));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = opening.poll(&mut context) else { panic!("it was opened") };
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("within the tokio runtime of the pool"), "{error}");
}
