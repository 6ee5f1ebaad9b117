//! Q22: connections are shared and bounded; whoever waits for one is answered, and none is left behind.

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

use crate::common::{LONG, Place, claim, count, in_time, insert, register, spec, until};

/// Of a handle that is to find all connections in use.
const PATIENCE: Duration = Duration::from_millis(300);
/// Of one that is to get no answer: what it opens the storage by is answered sooner on any machine.
const LONG_PATIENCE: Duration = Duration::from_secs(2);

/// Nobody else can read jobs until `COMMIT`.
async fn lock(place: &Place) -> Client {
    let client = place.connect().await;
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", place.schema())).await.unwrap();
    client
}

/// How many sessions of the handle there are in such a state. To be asked outside of transactions, which see it only once.
async fn sessions(client: &Client, place: &Place, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND {condition}");
    client.query_one(&sql, &[&place.schema()]).await.unwrap().get(0)
}

const WAITS: &str = "wait_event_type = 'Lock'";

#[tokio::test]
async fn who_finds_all_connections_in_use_is_told_so_in_time_and_hearts_beat_meanwhile() {
    let place = Place::new();
    let config = place.config().connections(2).pool_timeout(PATIENCE);
    let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
    let worker = register(&*backend).await;
    insert(&*backend, vec![spec("1"), spec("2")]).await.unwrap();
    let (lock, client) = (lock(&place).await, place.connect().await);
    let claiming = |_: u32| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { backend.claim(claim(worker, 1)).await })
    };
    let waiting: Vec<_> = (0..2).map(claiming).collect();
    until("both connections wait", || async { sessions(&client, &place, WAITS).await == 2 }).await;

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
async fn who_waits_for_a_connection_gets_the_first_that_is_free() {
    let place = Place::new();
    let backend = PostgresBackend::open(place.config().connections(2)).await.unwrap();
    let (lock, client) = (lock(&place).await, place.connect().await);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(
                async move { backend.extensions().inspect.unwrap().list(ListRequest::default()).await },
            )
        })
        .collect();
    until("both connections wait", || async { sessions(&client, &place, WAITS).await == 2 }).await;
    lock.batch_execute("COMMIT").await.unwrap();
    for call in calls {
        in_time("an answer", call).await.unwrap().unwrap();
    }
    let many = sessions(&client, &place, "true").await;
    assert!(many <= 3, "{many} sessions, one of which is kept for heartbeats");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let place = Place::new();
    let patient = place.open().await;
    let config = place.config().connections(2).request_timeout(LONG_PATIENCE);
    let backend = PostgresBackend::open(config).await.unwrap();
    let lock = lock(&place).await;
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

/// Drops what `$make` makes at each of its polls, until it answers.
macro_rules! at_each_poll {
    ($make:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            polls += 1;
        }
    }};
}

#[tokio::test]
async fn a_dropped_future_leaves_neither_a_transaction_nor_a_connection_behind() {
    let place = Place::new();
    let backend = PostgresBackend::open(place.config().connections(3)).await.unwrap();
    let worker = register(&backend).await;
    let client = place.connect().await;
    // All three come up.
    let gate = lock(&place).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move { backend.claim(claim(worker, 1)).await })
        })
        .collect();
    until("all connections are up", || async { sessions(&client, &place, WAITS).await == 3 }).await;
    gate.batch_execute("COMMIT").await.unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
    let announced = "query LIKE '%pg_notify%'";
    insert(&backend, vec![spec("1")]).await.unwrap();
    until("others are told", || async { sessions(&client, &place, announced).await == 1 }).await;
    let before = sessions(&client, &place, "true").await;

    let (inspect, audit) = (backend.extensions().inspect.unwrap(), backend.extensions().audit.unwrap());
    let (manage, queue) = (backend.extensions().manage.unwrap(), QueueName::default());
    let complete = |token| vec![Settlement::new(token, Verdict::Complete(Completion::new()))];
    for _ in 0..5 {
        at_each_poll!(insert(&backend, vec![spec("1"), spec("2")]));
        at_each_poll!(backend.claim(claim(worker, 1)));
        // Claims that were dropped may be under way, and take what there is.
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
    until("all is quiet", || async { sessions(&client, &place, "state <> 'idle'").await == 0 }).await;
    assert_eq!(sessions(&client, &place, "state LIKE 'idle in transaction%'").await, 0);
    assert_eq!(sessions(&client, &place, "true").await, before);
    insert(&backend, vec![spec("1")]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_open_closes_its_connections() {
    let place = Place::new();
    let client = place.connect().await;
    let mut polls = 0;
    let backend = loop {
        match drop_after(polls, PostgresBackend::open(place.config())).await {
            Some(opened) => break opened.unwrap(),
            None => until("all are closed", || async { sessions(&client, &place, "true").await == 0 }).await,
        }
        polls += 1;
    };
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn the_last_handle_closes_all_connections() {
    let place = Place::new();
    let client = place.connect().await;
    let backend = place.open().await;
    let wakes = backend.subscribe();
    let worker = register(&backend).await;
    backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert!(sessions(&client, &place, "true").await > 0);
    drop((backend, wakes));
    until("all are closed", || async { sessions(&client, &place, "true").await == 0 }).await;
}

/// An error in the middle of a request is followed by the end of its answer. Where the driver does not wait for that, PgBouncer
/// must not be asked anything on the connection.
#[tokio::test]
async fn a_connection_that_owes_the_end_of_an_answer_is_kept_but_behind_a_pooler() {
    for (pooler, is_kept) in [(Pooler::None, true), (Pooler::Transaction, false)] {
        let place = Place::new();
        let config = place.config().connections(1).pooler(pooler);
        let (backend, client) = (PostgresBackend::open(config).await.unwrap(), place.connect().await);
        let used = || async {
            insert(&backend, vec![spec("1")]).await.unwrap();
            // All but that of the heartbeats, which sent none.
            let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND query NOT LIKE '%server_version%'";
            let rows = client.query(sql, &[&place.schema()]).await.unwrap();
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
        let away = format!("{}_away", place.schema());
        client.batch_execute(&rename(place.schema(), &away)).await.unwrap();
        let error = insert(&backend, vec![spec("2")]).await.unwrap_err();
        client.batch_execute(&rename(&away, place.schema())).await.unwrap();
        assert!(error.to_string().contains("does not exist"), "{error}");
        assert_eq!(used().await == first, is_kept, "{pooler:?}, after an error that was not");
    }
}
