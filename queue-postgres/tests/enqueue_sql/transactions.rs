//! A job that a transaction enqueues is part of it.

use std::time::Duration;

use queue_core::backend::WakeReceiver;
use queue_core::{JobId, JobQueue};
use tokio::time::timeout;

use crate::test_schema::{TestSchema, connect, driver};

/// Longer than any operation of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// An application's table, in which each new row enqueues a job.
const APPLICATION: &str = "
    CREATE TABLE {s}.orders (number integer PRIMARY KEY, email text NOT NULL);
    CREATE FUNCTION {s}.order_made() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM {s}.enqueue('send-receipt', json_build_object('order', NEW.number, 'to', NEW.email), queue => 'mail');
        RETURN NULL;
    END $$;
    CREATE TRIGGER order_made AFTER INSERT ON {s}.orders FOR EACH ROW EXECUTE FUNCTION {s}.order_made()";

/// The queues of the next wake-up.
async fn woken_queues(wakes: &mut WakeReceiver) -> Vec<String> {
    let wakes = timeout(PATIENCE, wakes.recv()).await.unwrap();
    assert!(!wakes.unknown, "{wakes:?}");
    wakes.ready.iter().map(|hint| hint.queue.to_string()).collect()
}

/// Wakes the queue `after` after all earlier notifications, because they arrive in the order of
/// their commits.
const MARK: &str = "SELECT {s}.enqueue('mark', '1', queue => 'after')";

#[tokio::test]
async fn trigger_enqueues_and_wakes_at_commit() {
    let schema = TestSchema::new("sql_trigger").await;
    schema.run(APPLICATION).await;
    let backend = schema.open(driver()).await.unwrap();
    let mut wakes = backend.subscribe();
    assert!(timeout(PATIENCE, wakes.recv()).await.unwrap().unknown, "from now on it listens");
    let application = connect(&driver()).await;
    let receipts = "SELECT payload FROM {s}.overview WHERE kind = 'send-receipt' AND state = 'ready'";

    let insert = "BEGIN; INSERT INTO {s}.orders VALUES (7, 'ada@example.org')";
    application.batch_execute(&schema.filled(insert)).await.unwrap();
    schema.run(MARK).await;
    assert_eq!(woken_queues(&mut wakes).await, ["after"], "no worker is woken before the commit");
    assert_eq!(schema.column(receipts).await, Vec::<String>::new());
    application.batch_execute("COMMIT").await.unwrap();
    assert_eq!(woken_queues(&mut wakes).await, ["mail"]);
    assert_eq!(schema.column(receipts).await, [r#"{"order" : 7, "to" : "ada@example.org"}"#]);

    let undone = "BEGIN; INSERT INTO {s}.orders VALUES (8, 'ada@example.org'); ROLLBACK";
    application.batch_execute(&schema.filled(undone)).await.unwrap();
    let refused = "INSERT INTO {s}.orders VALUES (9, 'ada@example.org'), (7, 'again')";
    application.batch_execute(&schema.filled(refused)).await.unwrap_err();
    schema.run(MARK).await;
    assert_eq!(woken_queues(&mut wakes).await, ["after"], "no worker is woken by what was rolled back");
    assert_eq!(schema.column(receipts).await.len(), 1);
    schema.remove().await;
}

#[tokio::test]
async fn refused_job_fails_its_transaction() {
    let schema = TestSchema::new("sql_refused").await;
    schema.run(APPLICATION).await;
    let insert = "INSERT INTO {s}.orders VALUES (1, 'ada@example.org'), (2, repeat('x', 1048577))";
    let error = schema.owner.batch_execute(&schema.filled(insert)).await.unwrap_err();
    assert!(format!("{error:?}").contains("the payload is larger than 1 MiB"), "{error:?}");
    assert_eq!(schema.column("SELECT count(*) FROM {s}.orders").await, ["0"]);
    assert_eq!(schema.column("SELECT count(*) FROM {s}.jobs").await, ["0"]);
    schema.remove().await;
}

#[tokio::test]
async fn rolled_back_savepoint_removes_its_jobs() {
    let schema = TestSchema::new("sql_savepoint").await;
    schema
        .run(
            "BEGIN; SELECT {s}.enqueue('kept', '1'); SAVEPOINT s; SELECT {s}.enqueue('undone', '1'); \
            ROLLBACK TO s; SELECT {s}.enqueue('kept', '2'); COMMIT",
        )
        .await;
    assert_eq!(schema.column("SELECT kind FROM {s}.live ORDER BY kind").await, ["kept", "kept"]);
    schema.remove().await;
}

#[tokio::test]
async fn library_reads_and_cancels_jobs_of_sql() {
    let schema = TestSchema::new("sql_cancel").await;
    let client = JobQueue::new(schema.open(driver()).await.unwrap());
    let id: JobId =
        schema.column("SELECT {s}.ulid({s}.enqueue('greet', '\"ada\"'))").await[0].parse().unwrap();
    let record = client.inspect().unwrap().jobs(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.job.payload.decode::<String>().unwrap(), "ada");
    let cancelled = queue_core::Enqueuer::dequeue(&client, id).await.unwrap();
    assert_eq!(cancelled, queue_core::CancelReply::Cancelled);
    schema.remove().await;
}
