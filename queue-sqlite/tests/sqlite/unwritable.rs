//! A row that cannot be written, because a trigger of the application refuses it, stops no other.

use std::time::Duration;

use queue_core::backend::{
    Completion, HeartbeatRequest, MaintainRequest, ProgressReport, Prune, RegisterRequest, SettleRequest,
    Settled, Settlement, Verdict,
};
use queue_core::{Backend, ErrorKind, Progress, Timestamp, WorkerId};
use queue_sqlite::SqliteBackend;

use crate::common::{Place, claim, insert, register, spec};

/// Two ways to refuse a row: with an error, and without one.
const REFUSALS: [&str; 2] = ["RAISE(ABORT, 'refused')", "RAISE(IGNORE)"];

/// Refuses each change of the row with this number.
fn refuse(place: &Place, what: &str, seq: i64, refusal: &str) {
    let sql =
        format!("CREATE TRIGGER refusal BEFORE {what} WHEN old.seq = {seq} BEGIN SELECT {refusal}; END");
    place.connection().execute_batch(&sql).unwrap();
}

fn accept(place: &Place) {
    place.connection().execute_batch("DROP TRIGGER refusal").unwrap();
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::now().saturating_add(Duration::from_secs(seconds))
}

fn states(place: &Place) -> Vec<i64> {
    let connection = place.connection();
    let mut statement = connection.prepare("SELECT state FROM queue_live ORDER BY seq").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Three jobs that are due in ten seconds.
async fn scheduled(place: &Place) -> SqliteBackend {
    let backend = place.open().await;
    let jobs = (0..3).map(|_| spec("1").run_at(later(10))).collect();
    insert(&backend, jobs).await.unwrap();
    backend
}

#[tokio::test]
async fn a_job_that_cannot_be_promoted_stops_no_promotion() {
    for refusal in REFUSALS {
        let place = Place::new();
        let backend = scheduled(&place).await;
        refuse(&place, "UPDATE ON queue_live", 2, refusal);
        let now = later(20);
        let reply = backend.maintain(MaintainRequest::promote(10).at(now)).await.unwrap();
        assert_eq!((reply.promoted, states(&place)), (2, vec![1, 0, 1]), "{refusal}");
        assert!(reply.next_due.is_some_and(|due| !due.is_zero()), "{refusal}: {reply:?}");
        accept(&place);
        let now = now.saturating_add(Duration::from_secs(61));
        let reply = backend.maintain(MaintainRequest::promote(10).at(now)).await.unwrap();
        assert_eq!((reply.promoted, states(&place)), (1, vec![1, 1, 1]), "{refusal}");
    }
}

#[tokio::test]
async fn a_row_that_undoes_the_whole_transaction_is_found_and_passed_over() {
    let place = Place::new();
    let backend = scheduled(&place).await;
    let worker = register(&backend).await;
    refuse(&place, "UPDATE ON queue_live", 2, "RAISE(ROLLBACK, 'refused')");
    let mut errors = 0;
    while let Err(error) = backend.maintain(MaintainRequest::promote(10).at(later(20))).await {
        assert!(error.is_retryable(), "{error}");
        errors += 1;
        assert!(errors < 3, "{error}");
    }
    assert_eq!(states(&place), [1, 0, 1]);
    accept(&place);
    refuse(&place, "UPDATE ON queue_live", 1, "RAISE(ROLLBACK, 'refused')");
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
async fn a_claim_passes_over_a_due_job_that_cannot_be_promoted() {
    for refusal in REFUSALS {
        let place = Place::new();
        let backend = scheduled(&place).await;
        let worker = register(&backend).await;
        refuse(&place, "UPDATE OF state ON queue_live", 1, refusal);
        let reply = backend.claim(claim(worker, 10).at(later(20))).await.unwrap();
        assert_eq!(reply.jobs.len(), 2, "{refusal}");
        let reply = backend.claim(claim(worker, 10).at(later(20))).await.unwrap();
        assert!(reply.jobs.is_empty());
        assert!(reply.next_due.is_some_and(|due| due > Duration::from_secs(1)), "{refusal}: {reply:?}");
        let beat = backend.heartbeat(HeartbeatRequest::new(worker).at(later(20))).await.unwrap();
        assert!(beat.next_due.is_some_and(|due| due > Duration::from_secs(1)), "{refusal}: {beat:?}");
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_leased_stops_no_claim() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..4).map(|_| spec("1")).collect()).await.unwrap();
    refuse(&place, "UPDATE ON queue_live", 1, REFUSALS[0]);
    let reply = backend.claim(claim(worker, 2)).await.unwrap();
    assert_eq!(reply.jobs.len(), 1);
    assert_eq!(reply.next_due, Some(Duration::ZERO), "the refused job took the place of another");
    assert_eq!(backend.claim(claim(worker, 10)).await.unwrap().jobs.len(), 2);
    assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
    accept(&place);
    assert_eq!(backend.claim(claim(worker, 10).at(later(61))).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn a_time_that_cannot_be_read_stops_no_heartbeat_and_no_promotion() {
    let place = Place::new();
    let backend = scheduled(&place).await;
    let worker = register(&backend).await;
    place.connection().execute_batch("UPDATE queue_live SET run_at = -5 WHERE seq = 2").unwrap();
    backend.heartbeat(HeartbeatRequest::new(worker).at(later(20))).await.unwrap();
    let reply = backend.maintain(MaintainRequest::promote(10).at(later(20))).await.unwrap();
    assert_eq!((reply.promoted, states(&place)), (2, vec![1, 0, 1]));
    assert!(reply.next_due.is_some_and(|due| !due.is_zero()), "{reply:?}");
}

/// A worker that is lost in a minute, with three leases.
async fn leased(place: &Place) -> SqliteBackend {
    let backend = place.open().await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let worker = register(&backend).await;
    assert_eq!(backend.claim(claim(worker, 3)).await.unwrap().jobs.len(), 3);
    backend
}

#[tokio::test]
async fn a_lease_that_cannot_be_taken_back_stops_no_rescue() {
    for refusal in REFUSALS {
        let place = Place::new();
        let backend = leased(&place).await;
        refuse(&place, "UPDATE ON queue_live", 1, refusal);
        // With a limit of one, the refused lease must not stand in the way of the others.
        let mut rescued = 0;
        for _ in 0..4 {
            rescued += backend.maintain(MaintainRequest::rescue(1).at(later(100))).await.unwrap().rescued;
        }
        assert_eq!((rescued, states(&place)), (2, vec![2, 1, 1]), "{refusal}");
        accept(&place);
        let reply = backend.maintain(MaintainRequest::rescue(9).at(later(200))).await.unwrap();
        assert_eq!((reply.rescued, states(&place)), (1, vec![1, 1, 1]), "{refusal}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_be_given_up_stops_no_rescue() {
    let place = Place::new();
    let backend = leased(&place).await;
    let stuck = WorkerId::generate();
    backend.register(RegisterRequest::new(stuck, "stuck", Duration::from_secs(1))).await.unwrap();
    place
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
async fn a_job_that_cannot_be_removed_stops_no_pruning() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    let ends = jobs.iter().map(|job| Settlement::new(job.token, Verdict::Complete(Completion::new())));
    backend.settle(SettleRequest::new(worker, ends.collect())).await.unwrap();
    refuse(&place, "DELETE ON queue_jobs", 2, REFUSALS[0]);
    let now = later(60 * 60 * 24 * 365);
    let reply = backend.maintain(MaintainRequest::prune(Prune::default()).at(now)).await.unwrap();
    assert_eq!(reply.pruned, 2);
    let left = backend.extensions().audit.unwrap().stored().await.unwrap();
    assert_eq!((left.jobs.len(), left.outcomes.len()), (1, 1), "the refused job is whole");
}

#[tokio::test]
async fn progress_that_cannot_be_stored_costs_no_heartbeat() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    refuse(&place, "UPDATE OF progress ON queue_live", 2, REFUSALS[0]);
    let mut request = HeartbeatRequest::new(worker);
    let report = |token| ProgressReport::new(token, Progress { done: 1, total: 2 });
    request.progress = jobs.iter().map(|job| report(job.token)).collect();
    assert_eq!(backend.heartbeat(request).await.unwrap().leases, 3);
    let stored: i64 = place
        .connection()
        .query_row("SELECT count(*) FROM queue_live WHERE progress IS NOT NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 2);
}

#[tokio::test]
async fn a_settle_without_its_table_fails_as_a_whole_and_is_done_afterwards() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 3)).await.unwrap().jobs;
    let settle = || {
        let end = Verdict::Complete(Completion::new());
        let ends = jobs.iter().map(|job| Settlement::new(job.token, end.clone())).collect();
        backend.settle(SettleRequest::new(worker, ends))
    };
    place.connection().execute_batch("ALTER TABLE queue_outcomes RENAME TO away").unwrap();
    let error = settle().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "a worker goes on to claim after an answer: {error}");
    place.connection().execute_batch("ALTER TABLE away RENAME TO queue_outcomes").unwrap();
    let answers = settle().await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Settled::Done))), "{answers:?}");
}
