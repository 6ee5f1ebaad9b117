//! Q22, Q16: the end of an answer that comes late is taken for no other, and nobody is told anything before it.

use std::sync::Arc;
use std::time::Duration;

use queue_core::{Backend, ErrorKind, WorkerId};
use queue_postgres::tokio_postgres::Client;
use queue_postgres::{Pooler, PostgresBackend};
use queue_testkit::proxy::Proxy;
use queue_testserver::PgBouncer;
use tokio::time::timeout;

use crate::common::{LONG, Place, claim, in_time, insert, spec, until};

/// How the server ends each answer: the head of `ReadyForQuery`,
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
const END: &[u8] = b"Z\0\0\0\x05";

/// Long enough for an answer that nothing holds.
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn an_error_is_told_once_all_of_its_answer_has_come() {
    for pooler in [Pooler::None, Pooler::Transaction] {
        let place = Place::new();
        let proxy = Proxy::start(place.server()).await.unwrap();
        let config = place.config_at(proxy.address()).connections(1).pooler(pooler);
        let backend = Arc::new(PostgresBackend::open(config).await.unwrap());
        let ask = || {
            let backend = Arc::clone(&backend);
            async move { backend.claim(claim(WorkerId::generate(), 1)).await.unwrap_err() }
        };
        // The statement is prepared, so that the next claim is one question.
        ask().await;
        let hold = proxy.hold_reply(END);
        let mut asking = tokio::spawn(ask());
        let held = hold.began(LONG).await.unwrap();
        assert!(timeout(SHORT, &mut asking).await.is_err(), "{pooler:?}: told too early");
        held.let_go().await;
        let error = in_time("the error", asking).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::WorkerLost, "{pooler:?}: {error}");
    }
}

/// How many requests wait for the jobs, which somebody has locked.
async fn waiting(client: &Client, place: &Place) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass::oid";
    client.query_one(sql, &[&format!("{}.jobs", place.schema())]).await.unwrap().get(0)
}

/// PgBouncer takes a session for idle when the end of an answer comes, whatever its client has asked since, and gives it to
/// others if that client is gone.
#[tokio::test]
async fn nobody_behind_a_pooler_gets_the_answer_of_one_that_died() {
    let place = Place::new();
    let server = Proxy::start(place.server()).await.unwrap();
    let pooled = PgBouncer::start(&place.url_at(server.address())).unwrap();
    let pooled_address = pooled.url().rsplit(['@', '/']).nth(1).unwrap();
    let clients = Proxy::start(pooled_address).await.unwrap();
    let open = async |url: &str| {
        let config = place.config_of(url).connections(1).pooler(Pooler::Transaction);
        Arc::new(PostgresBackend::open(config).await.unwrap())
    };
    let (dying, other) = (open(&place.url_at(clients.address())).await, open(pooled.url()).await);
    let round_trip = async || assert_eq!(other.extensions().manage.unwrap().paused().await.unwrap(), []);
    round_trip().await;

    // An error whose end is late.
    let direct = place.connect().await;
    let rename = |from: &str, to: &str| format!("ALTER SCHEMA {from} RENAME TO {to}");
    let away = format!("{}_away", place.schema());
    direct.batch_execute(&rename(place.schema(), &away)).await.unwrap();
    let hold = server.hold_reply(END);
    let error = insert(&*dying, vec![spec("1")]).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let held = hold.began(LONG).await.unwrap();
    direct.batch_execute(&rename(&away, place.schema())).await.unwrap();

    // The next request is under way when that end comes; then its process dies.
    let lock = place.connect().await;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", place.schema())).await.unwrap();
    let unanswered = tokio::spawn({
        let dying = Arc::clone(&dying);
        async move { insert(&*dying, vec![spec("2")]).await }
    });
    until("its last request waits", || async { waiting(&direct, &place).await == 1 }).await;
    held.let_go().await;
    round_trip().await;
    clients.cut();
    let error = in_time("the end of the one", unanswered).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    round_trip().await;

    // What others ask goes to a session of their own.
    let job = spec("3");
    let id = job.id;
    let answered = tokio::spawn(async move { insert(&*other, vec![job]).await });
    until("each waits in a session of its own", || async { waiting(&direct, &place).await == 2 }).await;
    lock.batch_execute("COMMIT").await.unwrap();
    let submitted = in_time("the answer of the other", answered).await.unwrap().unwrap();
    assert_eq!(submitted.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}
