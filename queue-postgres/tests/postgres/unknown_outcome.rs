//! Q16: what callers know who share a commit whose answer is lost.

use std::sync::Arc;

use queue_core::{Client, Enqueuer, ErrorKind, JobId, NewJob, Payload};
use queue_postgres::PostgresBackend;
use queue_testkit::proxy::Proxy;

use crate::common::{LONG, Place, in_time, insert, kind, spec, until};

/// Jobs whose payloads name them in what is sent.
fn batch(payload: &str) -> Vec<NewJob> {
    let ids = JobId::generate_many(3);
    // Not in the order of their ids.
    let order = [ids[2], ids[0], ids[1]];
    let job = |id| NewJob::new(kind(), Payload::json(format!("{payload:?}")).unwrap()).id(id);
    order.into_iter().map(job).collect()
}

#[tokio::test]
async fn each_caller_of_a_shared_commit_gets_the_ids_of_its_own_batch() {
    let place = Place::new();
    let proxy = Proxy::start(place.server()).await.unwrap();
    let backend = PostgresBackend::open(place.config_at(proxy.address()).connections(1)).await.unwrap();
    // The statement is prepared, so that the next insert is one question.
    insert(&backend, vec![spec("1")]).await.unwrap();
    let client = Client::new(Arc::new(backend));
    let lock = place.connect().await;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", place.schema())).await.unwrap();
    // The first two are under way and wait for the lock, or for a connection; the others wait for them.
    let submit = |number: usize| {
        let (client, jobs) = (client.clone(), batch(&format!("marked {number}")));
        tokio::spawn(async move { (jobs.clone(), client.submit(jobs).await) })
    };
    let calls: Vec<_> = (0..6).map(submit).collect();
    let is_waiting =
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass::oid";
    let table = format!("{}.jobs", place.schema());
    until("one waits for the lock", || async { lock.query_one(is_waiting, &[&table]).await.unwrap().get(0) })
        .await;
    let loss = proxy.lose_reply("marked 5");
    lock.batch_execute("COMMIT").await.unwrap();
    loss.happened(LONG).await.unwrap();
    let mut unknown = 0;
    for call in calls {
        let (jobs, answer) = in_time("a call", call).await.unwrap();
        match answer {
            Ok(submitted) => assert!(submitted.iter().all(|job| job.is_new())),
            Err(error) => {
                unknown += 1;
                assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
                let again = client.submit(jobs).await.unwrap();
                assert!(again.iter().all(|job| !job.is_new()), "{again:?}");
                assert_eq!(again.iter().map(|job| job.id).collect::<Vec<_>>(), error.jobs());
            }
        }
    }
    assert!(unknown > 1, "the last batch shared its commit with others");
}
