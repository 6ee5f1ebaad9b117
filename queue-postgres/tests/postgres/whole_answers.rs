//! Q22, Q16: a late end of an answer is never taken for another answer, and no error is returned
//! before it.

use std::sync::Arc;
use std::time::Duration;

use queue_core::{Backend, ErrorKind, WorkerId};
use queue_postgres::tokio_postgres::Client;
use queue_postgres::{Pooler, PostgresBackend};
use queue_testkit::proxy::Proxy;
use queue_testserver::PgBouncer;
use tokio::time::timeout;

use crate::common::{LONG, TestSchema, claim, in_time, insert, spec, until};

/// The end of each answer of the server: the head of `ReadyForQuery`,
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
const END: &[u8] = b"Z\0\0\0\x05";

/// Long enough for an answer that is not held back.
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn error_is_returned_after_its_whole_answer() {
    for pooler in [Pooler::None, Pooler::Transaction] {
        let schema = TestSchema::new();
        let proxy = Proxy::start(schema.server()).await.unwrap();
        let config = schema.config_at(proxy.address()).connections(1).pooler(pooler);
        let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
        let ask = || {
            let backend = Arc::clone(&backend);
            async move { backend.claim(claim(WorkerId::generate(), 1)).await.unwrap_err() }
        };
        // Prepares the statement, so that the next claim is one message.
        ask().await;
        let hold = proxy.hold_reply(END);
        let mut asking = tokio::spawn(ask());
        let held = hold.began(LONG).await.unwrap();
        assert!(timeout(SHORT, &mut asking).await.is_err(), "{pooler:?}: returned too early");
        held.let_go().await;
        let error = in_time("the error", asking).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{pooler:?}: {error}");
    }
}

/// The number of requests that wait for the lock of jobs.
async fn waiting(client: &Client, schema: &TestSchema) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass::oid";
    client.query_one(sql, &[&format!("{}.jobs", schema.name())]).await.unwrap().get(0)
}

/// PgBouncer treats a session as idle when the end of an answer arrives, even if its client has
/// sent another request. If that client disconnects, PgBouncer assigns the session to another one.
#[tokio::test]
async fn pooled_clients_never_get_a_dead_clients_answer() {
    let schema = TestSchema::new();
    let server = Proxy::start(schema.server()).await.unwrap();
    let pooled = PgBouncer::start(&schema.url_at(server.address())).unwrap();
    let pooled_address = pooled.url().rsplit(['@', '/']).nth(1).unwrap();
    let clients = Proxy::start(pooled_address).await.unwrap();
    let open = async |url: &str| {
        let config = schema.config_of(url).connections(1).pooler(Pooler::Transaction);
        Arc::new(PostgresBackend::open(config).await.unwrap())
    };
    let (dying, other) = (open(&schema.url_at(clients.address())).await, open(pooled.url()).await);
    let round_trip = async || assert_eq!(other.extensions().manage.unwrap().paused().await.unwrap(), []);
    round_trip().await;

    // An error with a late end.
    let direct = schema.connect().await;
    let rename = |from: &str, to: &str| format!("ALTER SCHEMA {from} RENAME TO {to}");
    let away = format!("{}_away", schema.name());
    direct.batch_execute(&rename(schema.name(), &away)).await.unwrap();
    let hold = server.hold_reply(END);
    let error = insert(&*dying, vec![spec("1")]).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let held = hold.began(LONG).await.unwrap();
    direct.batch_execute(&rename(&away, schema.name())).await.unwrap();

    // The next request is running when that end arrives; then its process dies.
    let lock = schema.connect().await;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", schema.name())).await.unwrap();
    let unanswered = tokio::spawn({
        let dying = Arc::clone(&dying);
        async move { insert(&*dying, vec![spec("2")]).await }
    });
    until("its last request waits", || async { waiting(&direct, &schema).await == 1 }).await;
    held.let_go().await;
    round_trip().await;
    clients.cut();
    let error = in_time("the end of the request", unanswered).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    round_trip().await;

    // Requests of the other client use another session.
    let job = spec("3");
    let id = job.id;
    let answered = tokio::spawn(async move { insert(&*other, vec![job]).await });
    until("each waits in a session of its own", || async { waiting(&direct, &schema).await == 2 }).await;
    lock.batch_execute("COMMIT").await.unwrap();
    let submitted = in_time("the answer of the other", answered).await.unwrap().unwrap();
    assert_eq!(submitted.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}
