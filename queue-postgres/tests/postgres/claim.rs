//! Where a claim reads jobs.

use std::time::Duration;

use queue_core::{Backend, JobId, Timestamp};
use queue_postgres::PostgresBackend;

use crate::common::{TestSchema, claim, insert, register, spec};

/// Nothing notifies of the end of the lock, and a claim without a pause would find nothing.
#[tokio::test]
async fn locked_due_job_is_claimed_after_the_lock() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    let due = Timestamp::now().saturating_add(Duration::from_secs(3600));
    insert(&backend, vec![spec("1").run_at(due)]).await.unwrap();
    let mut client = schema.connect().await;
    let open = client.transaction().await.unwrap();
    open.batch_execute(&format!("SELECT id FROM {}.live FOR UPDATE", schema.name())).await.unwrap();

    // Long after its time. If the job were taken for promoted, a later claim would not find it.
    let now = due.saturating_add(Duration::from_secs(60));
    let locked = backend.claim(claim(worker, 1).at(now)).await.unwrap();
    assert!(locked.jobs.is_empty(), "{locked:?}");
    assert!(locked.next_due.is_some_and(|wait| !wait.is_zero()), "{locked:?}");
    open.rollback().await.unwrap();
    assert_eq!(backend.claim(claim(worker, 1).at(now)).await.unwrap().jobs.len(), 1);
}

/// A statement of this test moves the job, so that no wake-up announces it.
#[tokio::test]
async fn claim_starts_behind_the_last_job_until_one_finds_nothing() {
    let (claims, jobs) = claims_after_a_job_was_moved_to_the_head(Duration::from_secs(3600)).await;
    assert_eq!(claims, [jobs[1], jobs[2], jobs[3]]);
}

#[tokio::test]
async fn claim_after_the_head_interval_starts_at_the_head() {
    let (claims, jobs) = claims_after_a_job_was_moved_to_the_head(Duration::ZERO).await;
    assert_eq!(claims, [jobs[3], jobs[1], jobs[2]]);
}

/// Of four jobs the first is claimed, and the last moved before it. Returns the claims of the
/// others, and all four jobs.
async fn claims_after_a_job_was_moved_to_the_head(head_interval: Duration) -> (Vec<JobId>, Vec<JobId>) {
    let schema = TestSchema::new();
    let config = schema.config().head_interval(head_interval).head_share(1);
    let backend = PostgresBackend::open(config).await.unwrap();
    let worker = register(&backend).await;
    let specs: Vec<_> = (0..4).map(|number| spec(&number.to_string())).collect();
    let jobs: Vec<JobId> = specs.iter().map(|spec| spec.id).collect();
    insert(&backend, specs).await.unwrap();
    assert_eq!(backend.claim(claim(worker, 1)).await.unwrap().jobs[0].token.job, jobs[0]);
    let last = uuid_text(jobs[3]);
    let moved =
        format!("UPDATE {}.live SET run_at = run_at - interval '1 hour' WHERE id = '{last}'", schema.name());
    schema.connect().await.batch_execute(&moved).await.unwrap();
    let mut claims = Vec::new();
    for _ in 0..3 {
        let reply = backend.claim(claim(worker, 1)).await.unwrap();
        claims.extend(reply.jobs.iter().map(|job| job.token.job));
    }
    (claims, jobs)
}

fn uuid_text(id: JobId) -> String {
    id.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
