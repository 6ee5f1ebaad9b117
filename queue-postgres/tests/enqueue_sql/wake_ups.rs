//! Jobs from SQL wake workers.

use std::future::poll_fn;
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{HandlerResult, JobQueue, TaskDefinition, Worker};
use queue_postgres::tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use queue_testserver::{Options, Server};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::test_schema::{TestSchema, driver};

/// Longer than any operation of these tests, and far shorter than the wait of a worker without a
/// wake-up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of a worker that never polls.
fn never_polls() -> WorkerSettings {
    let never = Duration::from_secs(24 * 60 * 60);
    WorkerSettings::default()
        .poll_interval(never)
        .active_time(Duration::ZERO)
        .heartbeat_interval(never)
        .worker_expiry(never * 3)
        .rescue_interval(never)
}

#[tokio::test]
async fn worker_without_polling_runs_jobs_of_sql() {
    let schema = TestSchema::new("sql_wake").await;
    let backend = schema.open(driver()).await.unwrap();
    let mut wakes = backend.subscribe();
    assert!(timeout(PATIENCE, wakes.recv()).await.unwrap().unknown, "from now on it listens");
    let (done, mut runs) = unbounded_channel();
    let greet = TaskDefinition::from_fn("greet", move |_, name: String| {
        let done = done.clone();
        async move {
            done.send(name)?;
            HandlerResult::Ok(())
        }
    });
    let mut queue = JobQueue::new(backend);
    let greet = greet.register(&mut queue).unwrap();
    let worker = Worker::new(&queue).settings(never_polls()).start().unwrap();
    greet.enqueue(&"first".to_owned()).await.unwrap();
    let mut next = async || timeout(PATIENCE, runs.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, "first", "now its first look is over");

    schema.run("SELECT {s}.enqueue('greet', '\"ada\"')").await;
    assert_eq!(next().await, "ada");
    // For later: the wake-up has the time of the claim.
    schema
        .run("SELECT {s}.enqueue('greet', '\"later\"', run_at => clock_timestamp() + interval '1.5 s')")
        .await;
    assert_eq!(next().await, "later");
    let early =
        "SELECT count(*) FROM {s}.outcomes o JOIN {s}.jobs j ON j.id = o.id WHERE o.finished_at < j.run_at";
    worker.shutdown(PATIENCE).await;
    assert_eq!(schema.column(early).await, ["0"]);
    schema.remove().await;
}

/// The notifications on the channel of the schema.
async fn listen(schema: &TestSchema) -> (Client, UnboundedReceiver<String>) {
    listen_at(schema, driver()).await
}

async fn listen_at(schema: &TestSchema, driver: Config) -> (Client, UnboundedReceiver<String>) {
    let (client, mut connection) = driver.connect(NoTls).await.unwrap();
    let (sender, notifications) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message
                && sender.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    client.batch_execute(&schema.filled("LISTEN \"{s}_wake\"")).await.unwrap();
    (client, notifications)
}

/// The number of notifications that a statement sends.
async fn count_notifications(
    schema: &TestSchema,
    notifications: &mut UnboundedReceiver<String>,
    sql: &str,
) -> usize {
    schema.run(sql).await;
    schema.run("SELECT {s}.enqueue('mark', '1', queue => 'mark')").await;
    let mut many = 0;
    while !timeout(PATIENCE, notifications.recv()).await.unwrap().unwrap().contains("mark") {
        many += 1;
    }
    many
}

#[tokio::test]
async fn jobs_of_one_statement_send_few_notifications() {
    let schema = TestSchema::new("sql_batch").await;
    let (_session, mut notifications) = listen(&schema).await;
    let at_once = "SELECT {s}.enqueue('k', '1') FROM generate_series(1, 1000)";
    assert_eq!(count_notifications(&schema, &mut notifications, at_once).await, 1);
    let three_levels = "SELECT {s}.enqueue('k', '1', priority => n % 3) FROM generate_series(1, 1000) n";
    assert_eq!(count_notifications(&schema, &mut notifications, three_levels).await, 3);
    let one_time =
        "SELECT {s}.enqueue('k', '1', run_at => now() + interval '1 hour') FROM generate_series(1, 1000)";
    assert!(count_notifications(&schema, &mut notifications, one_time).await <= 2);
    let many_times = "SELECT {s}.enqueue('k', '1', run_at => now() + n * interval '1 minute') FROM generate_series(1, 1000) n";
    let many = count_notifications(&schema, &mut notifications, many_times).await;
    assert!(many <= 12, "{many} for times within 17 hours");
    schema.remove().await;
}

/// A wake-up must not fail the job that it announces: PostgreSQL prepares no transaction with a
/// NOTIFY.
#[tokio::test]
async fn prepared_transaction_enqueues_without_a_wake_up() {
    let options = Options::throwaway().parameter("max_prepared_transactions", "5");
    let server = tokio::task::spawn_blocking(move || Server::start(&options)).await.unwrap().unwrap();
    let schema = TestSchema::on(server.url().parse().unwrap(), "sql_prepared").await;
    let (_session, mut notifications) = listen_at(&schema, server.url().parse().unwrap()).await;
    for (setting, call) in [
        ("SELECT 1", "SELECT {s}.enqueue('k', '1', wake => false)"),
        ("SET LOCAL {s}.wake = off", "SELECT {s}.enqueue('k', '1')"),
    ] {
        schema.run(&format!("BEGIN; {setting}; {call}; PREPARE TRANSACTION 'two phases'")).await;
        schema.run("COMMIT PREPARED 'two phases'").await;
    }
    assert_eq!(schema.column("SELECT count(*) FROM {s}.live").await, ["2"]);
    assert_eq!(
        count_notifications(&schema, &mut notifications, "SELECT {s}.enqueue('k', '1', wake => false)").await,
        0
    );
    assert_eq!(count_notifications(&schema, &mut notifications, "SELECT {s}.enqueue('k', '1')").await, 1);
    let refused = "BEGIN; SELECT {s}.enqueue('k', '1'); PREPARE TRANSACTION 'two phases'";
    let error = schema.owner.batch_execute(&schema.filled(refused)).await.unwrap_err();
    assert!(format!("{error:?}").contains("NOTIFY"), "{error:?}");
}
