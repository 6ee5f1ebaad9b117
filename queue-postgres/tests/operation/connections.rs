//! A role with few connections: the heartbeat keeps its own, and requests share the others.

use std::time::Duration;

use queue_core::backend::HeartbeatRequest;
use queue_core::{Backend, ErrorKind, HandlerResult, JobContext, JobQueue, JobState, TaskDefinition, Worker};
use queue_postgres::PostgresBackend;
use tokio::sync::Semaphore;

use crate::database::{Database, LONG, claim, in_time, insert, register, spec, until};

async fn limit(database: &Database, connections: i32) {
    database.run(&format!("ALTER ROLE {{r}} CONNECTION LIMIT {connections}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_few_connections() {
    for connections in [5, 3, 2] {
        let database = Database::new().await;
        limit(&database, connections).await;
        let backend = database.open().await;
        let worker = register(&backend).await;
        // The listener also uses a connection if one is free.
        let mut wakes = backend.subscribe();
        let inserts: Vec<_> = (0..200)
            .map(|_| {
                let backend = backend.clone();
                tokio::spawn(async move {
                    insert(&backend, vec![spec()]).await?;
                    backend.claim(claim(worker, 1)).await
                })
            })
            .collect();
        for insert in inserts {
            let answer = in_time("an answer", insert).await.unwrap();
            assert!(answer.is_ok(), "with {connections} connections: {answer:?}");
        }
        backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
        in_time("a wake-up", wakes.recv()).await;
        drop(backend);
        database.remove().await;
    }
}

#[tokio::test]
async fn single_connection_is_refused_with_the_minimum() {
    let database = Database::new().await;
    limit(&database, 1).await;
    let config = database.config().pool_timeout(Duration::from_millis(300));
    let error = PostgresBackend::open(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("at least two connections"), "{error}");
    // With two connections, it opens.
    limit(&database, 2).await;
    until("it opens", || async { PostgresBackend::open(database.config()).await.is_ok() }).await;
    database.remove().await;
}

/// The heartbeat's connection is opened first. When it is cut, requests close one of theirs for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_connects_while_requests_use_all_connections() {
    let database = Database::new().await;
    limit(&database, 3).await;
    let backend = database.open().await;
    let worker = register(&backend).await;
    backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
    // Requests use each connection that becomes free.
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let (backend, over) = (backend.clone(), std::sync::Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    insert(&backend, vec![spec()]).await.unwrap();
                }
            })
        })
        .collect();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE usename = $1 AND query LIKE '%heartbeat%'";
    for _ in 0..5 {
        let many: i64 = database.outside.query_one(cut, &[&database.role]).await.unwrap().get(0);
        assert_eq!(many, 1, "the heartbeat's session");
        until("a heartbeat comes through", || async {
            backend.heartbeat(HeartbeatRequest::new(worker)).await.is_ok()
        })
        .await;
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    for busy in busy {
        busy.await.unwrap();
    }
    database.remove().await;
}

/// Two workers with few connections never count each other as lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_once_on_a_role_with_few_connections() {
    let database = Database::new().await;
    limit(&database, 5).await;
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let mut workers = Vec::new();
    let mut queues = Vec::new();
    // Opens both handles before a worker uses all connections.
    for backend in [database.open().await, database.open().await] {
        let gate = std::sync::Arc::clone(&gate);
        let slow = TaskDefinition::from_fn("slow", move |_: JobContext, (): ()| {
            let gate = std::sync::Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                HandlerResult::Ok(())
            }
        });
        let mut queue = JobQueue::new(std::sync::Arc::new(backend));
        let slow = slow.register(&mut queue).unwrap();
        let settings = queue_core::runtime::WorkerSettings::default()
            .slots(4)
            .heartbeat_interval(Duration::from_millis(300))
            .worker_expiry(Duration::from_secs(2));
        workers.push(Worker::new(&queue).settings(settings).start().unwrap());
        queues.push((queue, slow));
    }
    let ids = queues[0].1.enqueue_batch(&[(); 8]).await.unwrap();
    let backend = std::sync::Arc::clone(queues[0].0.backend());
    let records = || async { backend.extensions().inspect.unwrap().jobs(&ids).await.unwrap() };
    until("all run", || async { records().await.iter().flatten().all(|job| job.state == JobState::Running) })
        .await;
    // For longer than the expiry of a worker, by the server's clock, while requests continue.
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let reads: Vec<_> = (0..20)
            .map(|_| {
                let (backend, ids) = (std::sync::Arc::clone(&backend), ids.clone());
                tokio::spawn(async move { backend.extensions().inspect.unwrap().jobs(&ids).await })
            })
            .collect();
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap().len(), 8);
        }
    }
    gate.add_permits(8);
    until("all are done", || async { records().await.iter().flatten().all(|job| job.state.is_finished()) })
        .await;
    for record in records().await.into_iter().flatten() {
        assert_eq!((record.state, record.attempt), (JobState::Completed, 1), "{:?}", record.errors);
    }
    for worker in workers {
        worker.shutdown(LONG).await;
    }
    drop((queues, backend));
    database.remove().await;
}
