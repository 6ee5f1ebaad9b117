//! Q22: connections are shared and limited. Each request that waits for one gets an answer, and no
//! connection is left behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use queue_core::backend::{
    CancelRequest, Completion, HeartbeatRequest, LeasesRequest, ListRequest, MaintainRequest,
    RegisterRequest, RetireRequest, SettleRequest, Settlement, Verdict,
};
use queue_core::testing::drop_after;
use queue_core::{Backend, ErrorKind, QueueName, WorkerId};
use queue_postgres::tokio_postgres::Client;
use queue_postgres::{Pooler, PostgresBackend};

use crate::common::{LONG, TestSchema, claim, count, in_time, insert, register, spec, until};

/// Pool timeout of a handle whose connections are all in use.
const PATIENCE: Duration = Duration::from_millis(300);
/// Request timeout of a handle that gets no answer; long enough to open the storage on any machine.
const LONG_PATIENCE: Duration = Duration::from_secs(2);

/// Blocks all reads of jobs until `COMMIT`.
async fn lock(schema: &TestSchema) -> Client {
    let client = schema.connect().await;
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", schema.name())).await.unwrap();
    client
}

/// The number of the handle's sessions in a state. Must be called outside of transactions, which
/// see it only once.
async fn sessions(client: &Client, schema: &TestSchema, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND {condition}");
    client.query_one(&sql, &[&schema.name()]).await.unwrap().get(0)
}

const WAITS: &str = "wait_event_type = 'Lock'";

#[tokio::test]
async fn pool_wait_times_out_while_heartbeats_continue() {
    let schema = TestSchema::new();
    let config = schema.config().connections(2).pool_timeout(PATIENCE);
    let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
    let worker = register(&*backend).await;
    insert(&*backend, vec![spec("1"), spec("2")]).await.unwrap();
    let (lock, client) = (lock(&schema).await, schema.connect().await);
    let claiming = |_: u32| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { backend.claim(claim(worker, 1)).await })
    };
    let waiting: Vec<_> = (0..2).map(claiming).collect();
    until("both connections wait", || async { sessions(&client, &schema, WAITS).await == 2 }).await;

    let start = Instant::now();
    let more: Vec<_> = (0..5).map(claiming).collect();
    for call in more {
        let error = in_time("an answer", call).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("all connections of the pool are in use"), "{error}");
    }
    assert!(start.elapsed() >= PATIENCE, "{:?}", start.elapsed());
    for _ in 0..3 {
        in_time("a heartbeat", backend.heartbeat(HeartbeatRequest::new(worker))).await.unwrap();
    }
    lock.batch_execute("COMMIT").await.unwrap();
    for call in waiting {
        in_time("an answer", call).await.unwrap().unwrap();
    }
    insert(&*backend, vec![spec("3")]).await.unwrap();
    assert_eq!(count(&*backend).await, 3);
}

#[tokio::test]
async fn waiting_requests_get_the_first_free_connection() {
    let schema = TestSchema::new();
    let backend = PostgresBackend::open(schema.config().connections(2)).await.unwrap();
    let (lock, client) = (lock(&schema).await, schema.connect().await);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(
                async move { backend.extensions().inspect.unwrap().list(ListRequest::default()).await },
            )
        })
        .collect();
    until("both connections wait", || async { sessions(&client, &schema, WAITS).await == 2 }).await;
    lock.batch_execute("COMMIT").await.unwrap();
    for call in calls {
        in_time("an answer", call).await.unwrap().unwrap();
    }
    let many = sessions(&client, &schema, "true").await;
    assert!(many <= 3, "{many} sessions, one of which is kept for heartbeats");
}

#[tokio::test]
async fn request_to_a_silent_server_times_out() {
    let schema = TestSchema::new();
    let patient = schema.open().await;
    let config = schema.config().connections(2).request_timeout(LONG_PATIENCE);
    let backend = PostgresBackend::open(config).await.unwrap();
    let lock = lock(&schema).await;
    let job = spec("1");
    let (id, start) = (job.id, Instant::now());
    let error = in_time("an answer", insert(&backend, vec![job.clone()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert!(error.to_string().contains("did not answer within 2s"), "{error}");
    assert_eq!(error.jobs(), [id]);
    assert!(start.elapsed() >= LONG_PATIENCE, "{:?}", start.elapsed());
    let error = in_time("an answer", backend.extensions().inspect.unwrap().jobs(&[id])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    lock.batch_execute("COMMIT").await.unwrap();
    let once_more = || async { insert(&backend, vec![job.clone()]).await.is_ok() };
    until("the same handle gets through", once_more).await;
    assert_eq!(count(&patient).await, 1);
}

/// Drops the future of `$make` at each of its polls, until it completes.
macro_rules! at_each_poll {
    ($make:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            polls += 1;
        }
    }};
}

#[tokio::test]
async fn dropped_future_leaves_no_transaction_or_connection() {
    let schema = TestSchema::new();
    let backend = PostgresBackend::open(schema.config().connections(3)).await.unwrap();
    let worker = register(&backend).await;
    let client = schema.connect().await;
    // Opens all three connections.
    let gate = lock(&schema).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move { backend.claim(claim(worker, 1)).await })
        })
        .collect();
    until("all connections are up", || async { sessions(&client, &schema, WAITS).await == 3 }).await;
    gate.batch_execute("COMMIT").await.unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
    let announced = "query LIKE '%pg_notify%'";
    insert(&backend, vec![spec("1")]).await.unwrap();
    until("other processes are notified", || async { sessions(&client, &schema, announced).await == 1 })
        .await;
    let before = sessions(&client, &schema, "true").await;

    let (inspect, audit) = (backend.extensions().inspect.unwrap(), backend.extensions().audit.unwrap());
    let (manage, queue) = (backend.extensions().manage.unwrap(), QueueName::default());
    let complete = |token| vec![Settlement::new(token, Verdict::Complete(Completion::new()))];
    for _ in 0..5 {
        at_each_poll!(insert(&backend, vec![spec("1"), spec("2")]));
        at_each_poll!(backend.claim(claim(worker, 1)));
        // Dropped claims may still run and claim jobs.
        let held = loop {
            insert(&backend, vec![spec("1")]).await.unwrap();
            if let Some(job) = backend.claim(claim(worker, 1)).await.unwrap().jobs.pop() {
                break job;
            }
        };
        at_each_poll!(backend.leases(LeasesRequest::new(worker, held.token.claim)));
        at_each_poll!(backend.settle(SettleRequest::new(worker, complete(held.token))));
        at_each_poll!(backend.cancel(CancelRequest::new(vec![spec("1").id])));
        at_each_poll!(backend.maintain(MaintainRequest::rescue(10).by(worker)));
        at_each_poll!(backend.heartbeat(HeartbeatRequest::new(worker)));
        let entry = || RegisterRequest::new(WorkerId::generate(), "test", LONG);
        at_each_poll!(backend.register(entry()));
        at_each_poll!(backend.retire(RetireRequest::new(WorkerId::generate())));
        at_each_poll!(manage.pause(&queue));
        at_each_poll!(manage.paused());
        at_each_poll!(manage.resume(&queue));
        at_each_poll!(inspect.jobs(&[held.token.job]));
        at_each_poll!(inspect.list(ListRequest::default()));
        at_each_poll!(audit.stored());
    }
    count(&backend).await;
    until("all is quiet", || async { sessions(&client, &schema, "state <> 'idle'").await == 0 }).await;
    assert_eq!(sessions(&client, &schema, "state LIKE 'idle in transaction%'").await, 0);
    assert_eq!(sessions(&client, &schema, "true").await, before);
    insert(&backend, vec![spec("1")]).await.unwrap();
}

#[tokio::test]
async fn dropped_open_closes_its_connections() {
    let schema = TestSchema::new();
    let client = schema.connect().await;
    let mut polls = 0;
    let backend = loop {
        match drop_after(polls, PostgresBackend::open(schema.config())).await {
            Some(opened) => break opened.unwrap(),
            None => until("all are closed", || async { sessions(&client, &schema, "true").await == 0 }).await,
        }
        polls += 1;
    };
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn dropping_the_last_handle_closes_all_connections() {
    let schema = TestSchema::new();
    let client = schema.connect().await;
    let backend = schema.open().await;
    let wakes = backend.subscribe();
    let worker = register(&backend).await;
    backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert!(sessions(&client, &schema, "true").await > 0);
    drop((backend, wakes));
    until("all are closed", || async { sessions(&client, &schema, "true").await == 0 }).await;
}

/// After an error in the middle of a request, the server sends the end of its answer. If the driver
/// does not wait for it, PgBouncer must not get another request on the connection.
#[tokio::test]
async fn incomplete_answer_closes_only_a_pooled_connection() {
    for (pooler, is_kept) in [(Pooler::None, true), (Pooler::Transaction, false)] {
        let schema = TestSchema::new();
        let config = schema.config().connections(1).pooler(pooler);
        let (backend, client) = (PostgresBackend::open(config).await.unwrap(), schema.connect().await);
        let used = || async {
            insert(&backend, vec![spec("1")]).await.unwrap();
            // All sessions except that of the heartbeats.
            let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND query NOT LIKE '%server_version%'";
            let rows = client.query(sql, &[&schema.name()]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
        };
        let first = used().await;
        let error = backend.claim(claim(WorkerId::generate(), 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
        assert_eq!(
            (used().await, first.len()),
            (first.clone(), 1),
            "{pooler:?}, after an error that was answered whole"
        );

        let rename = |from: &str, to: &str| format!("ALTER SCHEMA {from} RENAME TO {to}");
        let away = format!("{}_away", schema.name());
        client.batch_execute(&rename(schema.name(), &away)).await.unwrap();
        let error = insert(&backend, vec![spec("2")]).await.unwrap_err();
        client.batch_execute(&rename(&away, schema.name())).await.unwrap();
        assert!(error.to_string().contains("does not exist"), "{error}");
        assert_eq!(used().await == first, is_kept, "{pooler:?}, after an error that was not");
    }
}
