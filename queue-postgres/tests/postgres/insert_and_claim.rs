//! An insert with the claim of an idle worker never delays other requests.

use std::time::Duration;

use queue_core::backend::{Backend, ClaimRequest, InsertReply, InsertRequest, LeasesRequest};
use queue_core::{JobSpec, Result};
use queue_postgres::PostgresBackend;

use crate::common::{TestSchema, claim, in_time, insert, register, spec};

async fn insert_with(
    backend: &PostgresBackend,
    jobs: Vec<JobSpec>,
    claim: ClaimRequest,
) -> Result<InsertReply> {
    backend.insert(InsertRequest::new(vec![jobs]).claim(claim)).await
}

#[tokio::test]
async fn insert_with_claim_is_declined_on_a_lock() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    let mut client = schema.connect().await;
    let blocker = client.transaction().await.unwrap();
    blocker.batch_execute(&format!("LOCK TABLE {}.jobs IN SHARE MODE", schema.name())).await.unwrap();
    let request = claim(worker, 5);
    let leases = LeasesRequest::new(worker, request.claim);
    let job = spec("1");
    let declined = insert_with(&backend, vec![job.clone()], request);
    let reply = in_time("the request to be declined", declined).await.unwrap();
    assert!(reply.batches.is_empty() && reply.claim.is_none(), "{reply:?}");
    blocker.rollback().await.unwrap();
    assert!(insert(&backend, vec![job]).await.unwrap()[0].is_new(), "nothing was done");
    assert!(backend.leases(leases).await.unwrap().is_empty(), "a lease without an owner");
}

/// Requests without a claim wait longer than those whose claim cannot be made at once.
#[tokio::test]
async fn requests_without_claim_wait_for_the_lock() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    let mut client = schema.connect().await;
    let blocker = client.transaction().await.unwrap();
    blocker.batch_execute(&format!("LOCK TABLE {}.jobs IN SHARE MODE", schema.name())).await.unwrap();
    let start = |job: JobSpec, with_claim: bool| {
        let backend = backend.clone();
        let request = InsertRequest::new(vec![vec![job]]).claim(with_claim.then(|| claim(worker, 5)));
        tokio::spawn(async move { backend.insert(request).await })
    };
    let tasks: Vec<_> = (0..12).map(|index| (index % 3 == 0, start(spec("1"), index % 3 == 0))).collect();
    let mut waiting = Vec::new();
    for (has_claim, task) in tasks {
        if has_claim {
            let reply = in_time("an answer", task).await.unwrap().unwrap();
            assert!(reply.batches.is_empty() && reply.claim.is_none(), "{reply:?}");
        } else {
            waiting.push(task);
        }
    }
    blocker.rollback().await.unwrap();
    for task in waiting {
        let mut reply = in_time("an answer", task).await.unwrap().unwrap();
        assert!(reply.batches.remove(0).unwrap()[0].is_new());
    }
}

#[tokio::test]
async fn job_claimed_by_its_insert_wakes_no_other() {
    let schema = TestSchema::new();
    let (ours, theirs) = (schema.open().await, schema.open().await);
    let worker = register(&ours).await;
    let mut wakes = theirs.subscribe();
    assert!(in_time("the connection that listens", wakes.recv()).await.unknown);
    let reply = insert_with(&ours, vec![spec("1")], claim(worker, 5)).await.unwrap();
    assert_eq!(reply.claim.unwrap().unwrap().jobs.len(), 1);
    // A later wake-up, which would also contain one of the first job.
    let second = spec("2").priority(7);
    insert(&ours, vec![second]).await.unwrap();
    let received = in_time("the second job", wakes.recv()).await;
    assert_eq!(received.ready.iter().map(|hint| hint.priority).collect::<Vec<_>>(), [7], "{received:?}");
}

#[tokio::test]
async fn claim_works_with_extreme_lock_timeouts() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let schema = TestSchema::new();
        let backend = PostgresBackend::open(schema.config().parked_lock_timeout(timeout)).await.unwrap();
        let worker = register(&backend).await;
        let reply = insert_with(&backend, vec![spec("1")], claim(worker, 5)).await.unwrap();
        assert_eq!(reply.claim.unwrap().unwrap().jobs.len(), 1, "{timeout:?}");
    }
}
