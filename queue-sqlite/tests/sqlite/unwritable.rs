//! Tests that a row refused by a trigger of the application blocks no other row.

use std::time::Duration;

use queue_core::backend::{
    Completion, HeartbeatRequest, MaintainRequest, ProgressReport, Prune, RegisterRequest, SettleRequest,
    Settled, Settlement, Verdict,
};
use queue_core::{Backend, ErrorKind, Progress, Timestamp, WorkerId};
use queue_sqlite::SqliteBackend;

use crate::common::{TestFolder, claim, insert, register, spec};

/// Two ways to refuse a row: with and without an error.
const REFUSALS: [&str; 2] = ["RAISE(ABORT, 'refused')", "RAISE(IGNORE)"];

/// Makes the database refuse each change of the row with this number.
fn refuse(folder: &TestFolder, what: &str, seq: i64, refusal: &str) {
    let sql =
        format!("CREATE TRIGGER refusal BEFORE {what} WHEN old.seq = {seq} BEGIN SELECT {refusal}; END");
    folder.connection().execute_batch(&sql).unwrap();
}

fn accept(folder: &TestFolder) {
    folder.connection().execute_batch("DROP TRIGGER refusal").unwrap();
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::now().saturating_add(Duration::from_secs(seconds))
}

fn states(folder: &TestFolder) -> Vec<i64> {
    let connection = folder.connection();
    let mut statement = connection.prepare("SELECT state FROM queue_live ORDER BY seq").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Inserts three jobs that are due in ten seconds.
async fn scheduled(folder: &TestFolder) -> SqliteBackend {
    let backend = folder.open().await;
    let jobs = (0..3).map(|_| spec("1").run_at(later(10))).collect();
    insert(&backend, jobs).await.unwrap();
    backend
}

#[tokio::test]
async fn unwritable_job_blocks_no_promotion() {
    for refusal in REFUSALS {
        let folder = TestFolder::new();
        let backend = scheduled(&folder).await;
        refuse(&folder, "UPDATE ON queue_live", 2, refusal);
        let now = later(20);
        let reply = backend.maintain(MaintainRequest::promote(10).at(now)).await.unwrap();
        assert_eq!((reply.promoted, states(&folder)), (2, vec![1, 0, 1]), "{refusal}");
        assert!(reply.next_due.is_some_and(|due| !due.is_zero()), "{refusal}: {reply:?}");
        accept(&folder);
        let now = now.saturating_add(Duration::from_secs(61));
        let reply = backend.maintain(MaintainRequest::promote(10).at(now)).await.unwrap();
        assert_eq!((reply.promoted, states(&folder)), (1, vec![1, 1, 1]), "{refusal}");
    }
}

#[tokio::test]
async fn row_that_rolls_back_the_transaction_is_skipped() {
    let folder = TestFolder::new();
    let backend = scheduled(&folder).await;
    let worker = register(&backend).await;
    refuse(&folder, "UPDATE ON queue_live", 2, "RAISE(ROLLBACK, 'refused')");
    let mut errors = 0;
    while let Err(error) = backend.maintain(MaintainRequest::promote(10).at(later(20))).await {
        assert!(error.is_retryable(), "{error}");
        errors += 1;
        assert!(errors < 3, "{error}");
    }
    assert_eq!(states(&folder), [1, 0, 1]);
    accept(&folder);
    refuse(&folder, "UPDATE ON queue_live", 1, "RAISE(ROLLBACK, 'refused')");
    let mut errors = 0;
    let jobs = loop {
        match backend.claim(claim(worker, 10).at(later(20))).await {
            Ok(reply) => break reply.jobs,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        errors += 1;
        assert!(errors < 3);
    };
    assert_eq!(jobs.len(), 1);
}

#[tokio::test]
async fn claim_skips_an_unwritable_due_job() {
    for refusal in REFUSALS {
        let folder = TestFolder::new();
        let backend = scheduled(&folder).await;
        let worker = register(&backend).await;
        refuse(&folder, "UPDATE OF state ON queue_live", 1, refusal);
        let reply = backend.claim(claim(worker, 10).at(later(20))).await.unwrap();
        assert_eq!(reply.jobs.len(), 2, "{refusal}");
        let reply = backend.claim(claim(worker, 10).at(later(20))).await.unwrap();
        assert!(reply.jobs.is_empty());
        assert!(reply.next_due.is_some_and(|due| due > Duration::from_secs(1)), "{refusal}: {reply:?}");
        let heartbeat = backend.heartbeat(HeartbeatRequest::new(worker).at(later(20))).await.unwrap();
        assert!(
            heartbeat.next_due.is_some_and(|due| due > Duration::from_secs(1)),
            "{refusal}: {heartbeat:?}"
        );
    }
}

#[tokio::test]
async fn unwritable_ready_job_blocks_no_claim() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..4).map(|_| spec("1")).collect()).await.unwrap();
    refuse(&folder, "UPDATE ON queue_live", 1, REFUSALS[0]);
    let reply = backend.claim(claim(worker, 2)).await.unwrap();
    assert_eq!(reply.jobs.len(), 1);
    assert_eq!(reply.next_due, Some(Duration::ZERO), "the refused job used up the limit");
    assert_eq!(backend.claim(claim(worker, 10)).await.unwrap().jobs.len(), 2);
    assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
    accept(&folder);
    assert_eq!(backend.claim(claim(worker, 10).at(later(61))).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn unreadable_time_blocks_no_heartbeat_and_promotion() {
    let folder = TestFolder::new();
    let backend = scheduled(&folder).await;
    let worker = register(&backend).await;
    folder.connection().execute_batch("UPDATE queue_live SET run_at = -5 WHERE seq = 2").unwrap();
    backend.heartbeat(HeartbeatRequest::new(worker).at(later(20))).await.unwrap();
    let reply = backend.maintain(MaintainRequest::promote(10).at(later(20))).await.unwrap();
    assert_eq!((reply.promoted, states(&folder)), (2, vec![1, 0, 1]));
    assert!(reply.next_due.is_some_and(|due| !due.is_zero()), "{reply:?}");
}

/// Registers a worker that expires in a minute, with three leases.
async fn leased(folder: &TestFolder) -> SqliteBackend {
    let backend = folder.open().await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let worker = register(&backend).await;
    assert_eq!(backend.claim(claim(worker, 3)).await.unwrap().jobs.len(), 3);
    backend
}

#[tokio::test]
async fn unwritable_lease_blocks_no_rescue() {
    for refusal in REFUSALS {
        let folder = TestFolder::new();
        let backend = leased(&folder).await;
        refuse(&folder, "UPDATE ON queue_live", 1, refusal);
        // With a limit of one, the refused lease must not block the others.
        let mut rescued = 0;
        for _ in 0..4 {
            rescued += backend.maintain(MaintainRequest::rescue(1).at(later(100))).await.unwrap().rescued;
        }
        assert_eq!((rescued, states(&folder)), (2, vec![2, 1, 1]), "{refusal}");
        accept(&folder);
        let reply = backend.maintain(MaintainRequest::rescue(9).at(later(200))).await.unwrap();
        assert_eq!((reply.rescued, states(&folder)), (1, vec![1, 1, 1]), "{refusal}");
    }
}

#[tokio::test]
async fn unwritable_worker_blocks_no_rescue() {
    let folder = TestFolder::new();
    let backend = leased(&folder).await;
    let stuck = WorkerId::generate();
    backend.register(RegisterRequest::new(stuck, "stuck", Duration::from_secs(1))).await.unwrap();
    folder
        .connection()
        .execute_batch(
            "CREATE TRIGGER refusal BEFORE UPDATE ON queue_workers WHEN old.name = 'stuck'
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .unwrap();
    let reply = backend.maintain(MaintainRequest::rescue(9).at(later(100))).await.unwrap();
    assert_eq!((reply.workers_lost, reply.rescued), (1, 3));
}

#[tokio::test]
async fn unwritable_finished_job_blocks_no_pruning() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    let ends = jobs.iter().map(|job| Settlement::new(job.token, Verdict::Complete(Completion::new())));
    backend.settle(SettleRequest::new(worker, ends.collect())).await.unwrap();
    refuse(&folder, "DELETE ON queue_jobs", 2, REFUSALS[0]);
    let now = later(60 * 60 * 24 * 365);
    let reply = backend.maintain(MaintainRequest::prune(Prune::default()).at(now)).await.unwrap();
    assert_eq!(reply.pruned, 2);
    let left = backend.extensions().audit.unwrap().stored().await.unwrap();
    assert_eq!((left.jobs.len(), left.outcomes.len()), (1, 1), "the refused job is whole");
}

#[tokio::test]
async fn unwritable_progress_fails_no_heartbeat() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    refuse(&folder, "UPDATE OF progress ON queue_live", 2, REFUSALS[0]);
    let mut request = HeartbeatRequest::new(worker);
    let report = |token| ProgressReport::new(token, Progress { done: 1, total: 2 });
    request.progress = jobs.iter().map(|job| report(job.token)).collect();
    assert_eq!(backend.heartbeat(request).await.unwrap().leases, 3);
    let stored: i64 = folder
        .connection()
        .query_row("SELECT count(*) FROM queue_live WHERE progress IS NOT NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 2);
}

#[tokio::test]
async fn settle_without_its_table_fails_as_a_whole() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    let settle = || {
        let end = Verdict::Complete(Completion::new());
        let ends = jobs.iter().map(|job| Settlement::new(job.token, end.clone())).collect();
        backend.settle(SettleRequest::new(worker, ends))
    };
    folder.connection().execute_batch("ALTER TABLE queue_outcomes RENAME TO away").unwrap();
    let error = settle().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    folder.connection().execute_batch("ALTER TABLE away RENAME TO queue_outcomes").unwrap();
    let answers = settle().await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Settled::Done))), "{answers:?}");
}
