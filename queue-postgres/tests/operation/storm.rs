//! All operations on a few jobs at once never deadlock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use queue_core::backend::{
    CancelRequest, Completion, HeartbeatRequest, MaintainRequest, ProgressReport, SettleRequest, Settlement,
    Verdict,
};
use queue_core::{Backend, JobId, JobSpec, Progress};
use queue_postgres::PostgresBackend;

use crate::database::{Database, claim, column, insert, register, spec, until};

/// Number of jobs at a time; few, so that operations meet at the same jobs.
const JOBS: usize = 12;
/// Number of rounds per worker.
const ROUNDS: usize = 150;
/// Longer than the whole test.
const BOUND: Duration = Duration::from_secs(120);

/// Settles jobs in one request with verdicts that different statements write. Cancels name the same
/// jobs in the opposite order.
async fn work(backend: PostgresBackend, known: Arc<Vec<JobSpec>>, settled: Arc<AtomicUsize>) {
    let worker = register(&backend).await;
    for round in 0..ROUNDS {
        // The same jobs with new ids.
        let some: Vec<JobSpec> = known.iter().skip(round % JOBS).take(2).cloned().collect();
        insert(&backend, some.into_iter().map(|job| job.id(JobId::generate())).collect()).await.unwrap();
        let jobs = backend.claim(claim(worker, 6)).await.unwrap().jobs;
        let mut heartbeat = HeartbeatRequest::new(worker);
        heartbeat.progress =
            jobs.iter().map(|job| ProgressReport::new(job.token, Progress { done: 1, total: 2 })).collect();
        backend.heartbeat(heartbeat).await.unwrap();
        let verdict = |number: usize| match number % 4 {
            0 => Verdict::Release,
            1 => Verdict::Complete(Completion::new()),
            2 => Verdict::Retry { error: "failed".to_owned(), delay: Duration::ZERO },
            _ => Verdict::Bury { error: "hopeless".to_owned() },
        };
        let ends: Vec<Settlement> = jobs
            .iter()
            .enumerate()
            .map(|(number, job)| Settlement::new(job.token, verdict(number + round)))
            .collect();
        let many = ends.len();
        for answer in backend.settle(SettleRequest::new(worker, ends)).await.unwrap() {
            answer.unwrap();
        }
        settled.fetch_add(many, Ordering::Relaxed);
    }
}

async fn disturb(backend: PostgresBackend, is_over: Arc<std::sync::atomic::AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        let mut request = queue_core::backend::ListRequest::new(100);
        request.state = Some(queue_core::JobState::Running);
        let mut running: Vec<JobId> = backend
            .extensions()
            .inspect
            .unwrap()
            .list(request)
            .await
            .unwrap()
            .iter()
            .map(|record| record.job.id)
            .collect();
        running.reverse();
        if !running.is_empty() {
            backend.cancel(CancelRequest::new(running).signal_running()).await.unwrap();
        }
        let mut upkeep = MaintainRequest::promote(100);
        upkeep.rescue = 100;
        backend.maintain(upkeep).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_operations_deadlock() {
    let database = Database::new().await;
    let known = Arc::new((0..JOBS).map(|_| spec()).collect::<Vec<_>>());
    let settled = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let start = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..4 {
        let backend = database.open().await;
        workers.push(tokio::spawn(work(backend, Arc::clone(&known), Arc::clone(&settled))));
    }
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(tokio::spawn(disturb(database.open().await, Arc::clone(&is_over))));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for other in others {
        other.await.unwrap();
    }
    assert!(settled.load(Ordering::Relaxed) > ROUNDS, "hardly anything was settled");
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    // A session reports its counts at its end, at the latest.
    until("the sessions have ended", || async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        database.outside.query_one(sql, &[&database.name]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let sql = format!(
        "SELECT pg_stat_clear_snapshot(); SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'",
        database.name
    );
    let deadlocks = column(&database.outside, &sql).await;
    assert_eq!(deadlocks.last().map(String::as_str), Some("0"), "deadlocks, each of which cost a second");
    database.remove().await;
}
