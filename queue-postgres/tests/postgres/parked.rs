//! A claim that is parked stands in nobody's way, and nobody in its.

use std::time::Duration;

use queue_core::backend::{Backend, BatchSize, LeasesRequest, Room};
use queue_postgres::PostgresBackend;

use crate::common::{Place, claim, in_time, insert, register, spec, until};

const ROOM: Room = Room { limit: 5, last_attempts: 5 };

#[tokio::test]
async fn an_insert_that_waits_for_a_lock_gives_the_claim_back() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    let mut client = place.connect().await;
    let blocker = client.transaction().await.unwrap();
    blocker.batch_execute(&format!("LOCK TABLE {}.jobs IN SHARE MODE", place.schema())).await.unwrap();

    let request = claim(worker, 5);
    let leases = LeasesRequest::new(worker, request.claim);
    let mut parked = backend.parking().unwrap().park(vec![request], BatchSize::UNLIMITED, || ROOM);
    let job = spec("1");
    let inserting = tokio::spawn({
        let (backend, job) = (backend.clone(), job.clone());
        async move { insert(&backend, vec![job]).await }
    });
    assert!(in_time("the claim to be given back", parked.answered()).await.is_none());
    assert!(!inserting.is_finished(), "the insert waits on, without it");
    blocker.rollback().await.unwrap();
    assert!(in_time("the insert", inserting).await.unwrap().unwrap()[0].is_new());
    assert!(backend.leases(leases).await.unwrap().is_empty(), "a lease that nobody knows of");
    until("the job is claimed", || async {
        backend.claim(claim(worker, 5)).await.unwrap().jobs.iter().any(|taken| taken.token.job == job.id)
    })
    .await;
}

#[tokio::test]
async fn nobody_else_is_told_of_a_job_that_a_parked_claim_took() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let worker = register(&ours).await;
    let mut wakes = theirs.subscribe();
    assert!(in_time("the connection that listens", wakes.recv()).await.unknown);
    let parked = ours.parking().unwrap().park(vec![claim(worker, 5)], BatchSize::UNLIMITED, || ROOM);
    insert(&ours, vec![spec("1")]).await.unwrap();
    assert_eq!(parked.withdraw().await.unwrap().reply.unwrap().jobs.len(), 1);
    // Told behind it, so that what had been told of the first would be in this.
    let second = spec("2").priority(7);
    insert(&ours, vec![second]).await.unwrap();
    let told = in_time("the second job", wakes.recv()).await;
    assert_eq!(told.ready.iter().map(|hint| hint.priority).collect::<Vec<_>>(), [7], "{told:?}");
}

#[tokio::test]
async fn a_claim_is_made_with_the_shortest_and_the_longest_timeout_for_locks() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let place = Place::new();
        let backend = PostgresBackend::open(place.config().parked_lock_timeout(timeout)).await.unwrap();
        let worker = register(&backend).await;
        let parked = backend.parking().unwrap().park(vec![claim(worker, 5)], BatchSize::UNLIMITED, || ROOM);
        insert(&backend, vec![spec("1")]).await.unwrap();
        let answer = parked.withdraw().await.expect("the claim was made with the insert");
        assert_eq!(answer.reply.unwrap().jobs.len(), 1, "{timeout:?}");
    }
}
