//! A row that cannot be written never blocks other rows.

use std::time::Duration;

use queue_core::backend::{
    Completion, MaintainRequest, Prune, RegisterRequest, RetireRequest, SettleRequest, Settlement, Verdict,
};
use queue_core::{Backend, JobId, JobState, Timestamp, WorkerId};
use queue_postgres::PostgresBackend;
use queue_postgres::tokio_postgres::Client;

use crate::database::{Database, LONG, claim, column, insert, leased, register, spec};

/// Refuses one row, like an application's trigger.
async fn refuse(client: &Client, table: &str, events: &str, id: [u8; 16]) {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let row = if events == "DELETE" { "OLD" } else { "NEW" };
    let sql = format!(
        "CREATE OR REPLACE FUNCTION queue.refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
         CREATE TRIGGER refuse AFTER {events} ON queue.{table} FOR EACH ROW WHEN ({row}.id = '{id}')
         EXECUTE FUNCTION queue.refuse()"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn accept(client: &Client) {
    client.batch_execute("DROP FUNCTION queue.refuse CASCADE").await.unwrap();
}

async fn states(backend: &PostgresBackend, ids: &[JobId]) -> Vec<JobState> {
    let records = backend.extensions().inspect.unwrap().jobs(ids).await.unwrap();
    records.into_iter().map(|record| record.unwrap().state).collect()
}

#[tokio::test]
async fn rescue_skips_an_unwritable_job() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let lost = WorkerId::generate();
    backend.register(RegisterRequest::new(lost, "lost", Duration::from_millis(1))).await.unwrap();
    let jobs = leased(&backend, lost, 5).await;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.token.job).collect();
    refuse(&client, "live", "UPDATE", ids[2].to_bytes()).await;
    let later = Timestamp::now().saturating_add(LONG * 2);
    let reply = backend.maintain(MaintainRequest::rescue(100).at(later)).await.unwrap();
    assert_eq!((reply.rescued, reply.died, reply.workers_lost), (4, 0, 1), "{reply:?}");
    let mut expected = vec![JobState::Ready; 5];
    expected[2] = JobState::Running;
    assert_eq!(states(&backend, &ids).await, expected);
    // Once the row can be written, the job is rescued too.
    assert_eq!(backend.maintain(MaintainRequest::rescue(100).at(later)).await.unwrap().rescued, 0);
    accept(&client).await;
    // A new handle skips no rows.
    let backend = database.open().await;
    assert_eq!(backend.maintain(MaintainRequest::rescue(100).at(later)).await.unwrap().rescued, 1);
    database.remove().await;
}

const OF_WORKERS: &str = "SELECT name || ' ' || state FROM queue.workers ORDER BY name";

#[tokio::test]
async fn rescue_skips_an_unwritable_worker() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let (stuck, lost) = (WorkerId::generate(), WorkerId::generate());
    for (worker, name) in [(stuck, "a"), (lost, "b")] {
        backend.register(RegisterRequest::new(worker, name, Duration::from_millis(1))).await.unwrap();
        leased(&backend, worker, 1).await;
    }
    refuse(&client, "workers", "UPDATE", stuck.to_bytes()).await;
    // Before the deadline of any lease.
    let later = Timestamp::now().saturating_add(Duration::from_secs(5));
    let rescue = || MaintainRequest::rescue(100).at(later);
    let reply = backend.maintain(rescue()).await.unwrap();
    assert_eq!((reply.rescued, reply.workers_lost), (1, 1), "{reply:?}");
    assert_eq!(column(&client, OF_WORKERS).await, ["a live", "b cleared"]);
    assert_eq!(backend.maintain(rescue()).await.unwrap().rescued, 0);
    accept(&client).await;
    let reply = database.open().await.maintain(rescue()).await.unwrap();
    assert_eq!((reply.rescued, reply.workers_lost), (1, 1), "{reply:?}");
    database.remove().await;
}

#[tokio::test]
async fn rescue_clears_the_writable_workers() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    for name in ["a", "b", "c"] {
        let request = RegisterRequest::new(WorkerId::generate(), name, Duration::from_millis(1));
        backend.register(request).await.unwrap();
    }
    let not_cleared = "CREATE FUNCTION queue.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
        CREATE TRIGGER refuse AFTER UPDATE ON queue.workers FOR EACH ROW
        WHEN (NEW.state = 'cleared' AND NEW.name = 'b') EXECUTE FUNCTION queue.refuse()";
    client.batch_execute(not_cleared).await.unwrap();
    let later = Timestamp::now().saturating_add(LONG * 2);
    let reply = backend.maintain(MaintainRequest::rescue(100).at(later)).await.unwrap();
    assert_eq!(reply.workers_lost, 3, "{reply:?}");
    assert_eq!(column(&client, OF_WORKERS).await, ["a cleared", "b lost", "c cleared"]);
    database.remove().await;
}

#[tokio::test]
async fn prune_skips_an_unremovable_worker() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        let worker = WorkerId::generate();
        backend.register(RegisterRequest::new(worker, name, LONG)).await.unwrap();
        backend.retire(RetireRequest::new(worker)).await.unwrap();
        workers.push(worker);
    }
    refuse(&client, "workers", "DELETE", workers[1].to_bytes()).await;
    let after_a_day = Timestamp::now().saturating_add(LONG * 60 * 25);
    let prune = || MaintainRequest::prune(Prune::default()).at(after_a_day);
    backend.maintain(prune()).await.unwrap();
    assert_eq!(column(&client, OF_WORKERS).await, ["b retired"]);
    accept(&client).await;
    database.open().await.maintain(prune()).await.unwrap();
    assert!(column(&client, OF_WORKERS).await.is_empty());
    database.remove().await;
}

#[tokio::test]
async fn promotion_skips_an_unwritable_job() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let soon = Timestamp::now().saturating_add(LONG);
    let jobs: Vec<_> = (0..5).map(|_| spec().run_at(soon)).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    insert(&backend, jobs).await.unwrap();
    refuse(&client, "live", "UPDATE", ids[0].to_bytes()).await;
    let due = soon.saturating_add(Duration::from_secs(1));
    let worker = register(&backend).await;
    let mut request = claim(worker, 3);
    request.now = Some(due);
    let reply = backend.claim(request).await.unwrap();
    assert_eq!(reply.jobs.len(), 3, "a claim promotes and claims the others");
    assert_ne!(reply.next_due, Some(Duration::ZERO), "otherwise an idle worker claims without a pause");
    // The unwritable job does not count against the limit.
    insert(&backend, vec![spec().run_at(soon)]).await.unwrap();
    assert_eq!(backend.maintain(MaintainRequest::promote(1).at(due)).await.unwrap().promoted, 1);
    assert_eq!(states(&backend, &ids[..1]).await, [JobState::Scheduled]);
    accept(&client).await;
    let backend = database.open().await;
    assert_eq!(backend.maintain(MaintainRequest::promote(100).at(due)).await.unwrap().promoted, 1);
    database.remove().await;
}

#[tokio::test]
async fn claim_skips_an_unwritable_job() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let jobs: Vec<_> = (0..5).map(|_| spec()).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    insert(&backend, jobs).await.unwrap();
    refuse(&client, "live", "UPDATE", ids[0].to_bytes()).await;
    let worker = register(&backend).await;
    let reply = backend.claim(claim(worker, 3)).await.unwrap();
    assert_eq!(reply.jobs.len(), 2, "of three, one could not be leased");
    assert_eq!(reply.next_due, Some(Duration::ZERO), "the limit excluded other jobs");
    let reply = backend.claim(claim(worker, 3)).await.unwrap();
    assert_eq!(reply.jobs.len(), 2, "a claim by the same handle leaves the job alone");
    let reply = backend.claim(claim(worker, 3)).await.unwrap();
    assert_ne!(reply.next_due, Some(Duration::ZERO), "otherwise an idle worker claims without a pause");
    assert_eq!(states(&backend, &ids[..1]).await, [JobState::Ready]);
    // Another handle skips no rows and finds the row repaired.
    accept(&client).await;
    let reply = database.open().await.claim(claim(worker, 3)).await.unwrap();
    assert_eq!(reply.jobs.iter().map(|job| (job.token.job, job.attempt)).collect::<Vec<_>>(), [(ids[0], 1)]);
    database.remove().await;
}

#[tokio::test]
async fn prune_skips_a_job_with_foreign_references() {
    let database = Database::new().await;
    let (backend, client) = (database.open().await, database.session().await);
    let worker = register(&backend).await;
    let jobs = leased(&backend, worker, 5).await;
    let complete = |token| Settlement::new(token, Verdict::Complete(Completion::new()));
    let all = jobs.iter().map(|job| complete(job.token)).collect();
    backend.settle(SettleRequest::new(worker, all)).await.unwrap();
    client
        .batch_execute(&format!(
            "CREATE TABLE invoices (job uuid REFERENCES queue.jobs (id)); INSERT INTO invoices VALUES (queue.id('{}'))",
            jobs[1].token.job
        ))
        .await
        .unwrap();
    let prune = Prune::default()
        .completed(Duration::ZERO)
        .cancelled(Duration::ZERO)
        .dead(Duration::ZERO)
        .idempotency_window(Duration::ZERO)
        .limit(100);
    let later = Timestamp::now().saturating_add(LONG * 120);
    let reply = backend.maintain(MaintainRequest::prune(prune.clone()).at(later)).await.unwrap();
    assert_eq!(reply.pruned, 4, "{reply:?}");
    let left = column(&client, "SELECT queue.ulid(id) FROM queue.jobs").await;
    assert_eq!(left, [jobs[1].token.job.to_string()]);
    assert_eq!(column(&client, "SELECT count(*) FROM queue.outcomes").await, ["1"], "whole, or not at all");
    client.batch_execute("DROP TABLE invoices").await.unwrap();
    assert_eq!(backend.maintain(MaintainRequest::prune(prune).at(later)).await.unwrap().pruned, 1);
    database.remove().await;
}

/// Neither logical replication nor a restore of rows copies other state.
#[tokio::test]
async fn schema_has_no_state_outside_rows() {
    let database = Database::new().await;
    let client = database.session().await;
    let sequences =
        "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'queue'::regnamespace";
    assert_eq!(column(&client, sequences).await, Vec::<String>::new());
    database.remove().await;
}
