//! Q16: the errors of callers that share a commit whose answer is lost.

use std::sync::Arc;

use queue_core::{Enqueuer, ErrorKind, JobId, JobQueue, NewJob, Payload};
use queue_postgres::PostgresBackend;
use queue_testkit::proxy::Proxy;

use crate::common::{LONG, TestSchema, in_time, insert, kind, spec, until};

/// Jobs with a payload by which the proxy finds them.
fn batch(payload: &str) -> Vec<NewJob> {
    let ids = JobId::generate_many(3);
    // Not in the order of the ids.
    let order = [ids[2], ids[0], ids[1]];
    let job = |id| NewJob::new(kind(), Payload::json(format!("{payload:?}")).unwrap()).id(id);
    order.into_iter().map(job).collect()
}

#[tokio::test]
async fn shared_commit_returns_each_caller_its_ids() {
    let schema = TestSchema::new();
    let proxy = Proxy::start(schema.server()).await.unwrap();
    let backend = PostgresBackend::open(schema.config_at(proxy.address()).connections(1)).await.unwrap();
    // Prepares the statement, so that the next insert is one message.
    insert(&backend, vec![spec("1")]).await.unwrap();
    let client = JobQueue::new(Arc::new(backend));
    let lock = schema.connect().await;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", schema.name())).await.unwrap();
    // The first two wait for the lock or for a connection; the others wait for them.
    let submit = |number: usize| {
        let (client, jobs) = (client.clone(), batch(&format!("marked {number}")));
        tokio::spawn(async move { (jobs.clone(), client.submit(jobs).await) })
    };
    let calls: Vec<_> = (0..6).map(submit).collect();
    let is_waiting =
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass::oid";
    let table = format!("{}.jobs", schema.name());
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
    assert!(unknown > 1, "the last batch shared its commit");
}
