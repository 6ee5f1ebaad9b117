//! A job that a transaction enqueues is part of it.

use std::time::Duration;

use queue_core::backend::WakeReceiver;
use queue_core::{Client, JobId};
use tokio::time::timeout;

use crate::place::{Place, connect, driver};

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An application's table, each of whose new rows is a job.
const APPLICATION: &str = "
    CREATE TABLE {s}.orders (number integer PRIMARY KEY, email text NOT NULL);
    CREATE FUNCTION {s}.order_made() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM {s}.enqueue('send-receipt', json_build_object('order', NEW.number, 'to', NEW.email), queue => 'mail');
        RETURN NULL;
    END $$;
    CREATE TRIGGER order_made AFTER INSERT ON {s}.orders FOR EACH ROW EXECUTE FUNCTION {s}.order_made()";

/// The queues of which the next wake-up tells.
async fn told(wakes: &mut WakeReceiver) -> Vec<String> {
    let wakes = timeout(PATIENCE, wakes.recv()).await.unwrap();
    assert!(!wakes.unknown, "{wakes:?}");
    wakes.ready.iter().map(|hint| hint.queue.to_string()).collect()
}

/// Wakes in the queue `after`, after all that was told before: notifications arrive in the order of their commits.
const MARK: &str = "SELECT {s}.enqueue('mark', '1', queue => 'after')";

#[tokio::test]
async fn a_trigger_enqueues_what_commits_with_its_row_and_wakes_nobody_before() {
    let place = Place::new("sql_trigger").await;
    place.run(APPLICATION).await;
    let backend = place.open(driver()).await.unwrap();
    let mut wakes = backend.subscribe();
    assert!(timeout(PATIENCE, wakes.recv()).await.unwrap().unknown, "from now on it listens");
    let application = connect(&driver()).await;
    let receipts = "SELECT payload FROM {s}.overview WHERE kind = 'send-receipt' AND state = 'ready'";

    let insert = "BEGIN; INSERT INTO {s}.orders VALUES (7, 'ada@example.org')";
    application.batch_execute(&place.filled(insert)).await.unwrap();
    place.run(MARK).await;
    assert_eq!(told(&mut wakes).await, ["after"], "nobody is woken before the commit");
    assert_eq!(place.column(receipts).await, Vec::<String>::new());
    application.batch_execute("COMMIT").await.unwrap();
    assert_eq!(told(&mut wakes).await, ["mail"]);
    assert_eq!(place.column(receipts).await, [r#"{"order" : 7, "to" : "ada@example.org"}"#]);

    let undone = "BEGIN; INSERT INTO {s}.orders VALUES (8, 'ada@example.org'); ROLLBACK";
    application.batch_execute(&place.filled(undone)).await.unwrap();
    let refused = "INSERT INTO {s}.orders VALUES (9, 'ada@example.org'), (7, 'again')";
    application.batch_execute(&place.filled(refused)).await.unwrap_err();
    place.run(MARK).await;
    assert_eq!(told(&mut wakes).await, ["after"], "nobody is woken by what was rolled back");
    assert_eq!(place.column(receipts).await.len(), 1);
    place.remove().await;
}

#[tokio::test]
async fn a_refused_job_takes_its_transaction_with_it() {
    let place = Place::new("sql_refused").await;
    place.run(APPLICATION).await;
    let insert = "INSERT INTO {s}.orders VALUES (1, 'ada@example.org'), (2, repeat('x', 1048577))";
    let error = place.owner.batch_execute(&place.filled(insert)).await.unwrap_err();
    assert!(format!("{error:?}").contains("the payload is larger than 1 MiB"), "{error:?}");
    assert_eq!(place.column("SELECT count(*) FROM {s}.orders").await, ["0"]);
    assert_eq!(place.column("SELECT count(*) FROM {s}.jobs").await, ["0"]);
    place.remove().await;
}

#[tokio::test]
async fn a_savepoint_that_is_undone_takes_its_jobs_along() {
    let place = Place::new("sql_savepoint").await;
    place
        .run(
            "BEGIN; SELECT {s}.enqueue('kept', '1'); SAVEPOINT s; SELECT {s}.enqueue('undone', '1'); \
            ROLLBACK TO s; SELECT {s}.enqueue('kept', '2'); COMMIT",
        )
        .await;
    assert_eq!(place.column("SELECT kind FROM {s}.live ORDER BY kind").await, ["kept", "kept"]);
    place.remove().await;
}

#[tokio::test]
async fn what_sql_enqueued_the_library_reads_and_cancels() {
    let place = Place::new("sql_cancel").await;
    let client = Client::new(place.open(driver()).await.unwrap());
    let id: JobId =
        place.column("SELECT {s}.ulid({s}.enqueue('greet', '\"ada\"'))").await[0].parse().unwrap();
    let record = client.inspect().unwrap().jobs(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.job.payload.decode::<String>().unwrap(), "ada");
    let cancelled = queue_core::Enqueuer::dequeue(&client, id).await.unwrap();
    assert_eq!(cancelled, queue_core::Dequeued::Cancelled);
    place.remove().await;
}
