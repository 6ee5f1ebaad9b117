//! Workers are told of jobs that SQL enqueues.

use std::future::poll_fn;
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{HandlerResult, JobQueue, TaskDefinition, Worker};
use queue_postgres::tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use queue_testserver::{Options, Server};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::place::{Place, driver};

/// Longer than anything here takes, on any machine, and far less than a worker waits that is not told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of a worker that looks for nothing by itself.
fn waits_to_be_told() -> WorkerSettings {
    let never = Duration::from_secs(24 * 60 * 60);
    WorkerSettings::default()
        .poll_interval(never)
        .heartbeat_interval(never)
        .worker_expiry(never * 3)
        .rescue_interval(never)
}

#[tokio::test]
async fn a_worker_that_looks_for_nothing_runs_what_sql_enqueues() {
    let place = Place::new("sql_wake").await;
    let backend = place.open(driver()).await.unwrap();
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
    let worker = Worker::new().serve(&queue).settings(waits_to_be_told()).start().unwrap();
    greet.enqueue(&"first".to_owned()).await.unwrap();
    let mut next = async || timeout(PATIENCE, runs.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, "first", "now its first look is over");

    place.run("SELECT {s}.enqueue('greet', '\"ada\"')").await;
    assert_eq!(next().await, "ada");
    // For later: it is told when to look.
    place
        .run("SELECT {s}.enqueue('greet', '\"later\"', run_at => clock_timestamp() + interval '1.5 s')")
        .await;
    assert_eq!(next().await, "later");
    let early =
        "SELECT count(*) FROM {s}.outcomes o JOIN {s}.jobs j ON j.id = o.id WHERE o.finished_at < j.run_at";
    worker.shutdown(PATIENCE).await;
    assert_eq!(place.column(early).await, ["0"]);
    place.remove().await;
}

/// What is said on the channel of the schema.
async fn overhear(place: &Place) -> (Client, UnboundedReceiver<String>) {
    overhear_at(place, driver()).await
}

async fn overhear_at(place: &Place, driver: Config) -> (Client, UnboundedReceiver<String>) {
    let (client, mut connection) = driver.connect(NoTls).await.unwrap();
    let (sender, said) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message
                && sender.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    client.batch_execute(&place.filled("LISTEN \"{s}_wake\"")).await.unwrap();
    (client, said)
}

/// How many notifications this makes.
async fn notifications(place: &Place, said: &mut UnboundedReceiver<String>, sql: &str) -> usize {
    place.run(sql).await;
    place.run("SELECT {s}.enqueue('mark', '1', queue => 'mark')").await;
    let mut many = 0;
    while !timeout(PATIENCE, said.recv()).await.unwrap().unwrap().contains("mark") {
        many += 1;
    }
    many
}

#[tokio::test]
async fn the_jobs_of_one_statement_make_few_notifications() {
    let place = Place::new("sql_batch").await;
    let (_session, mut said) = overhear(&place).await;
    let at_once = "SELECT {s}.enqueue('k', '1') FROM generate_series(1, 1000)";
    assert_eq!(notifications(&place, &mut said, at_once).await, 1);
    let three_levels = "SELECT {s}.enqueue('k', '1', priority => n % 3) FROM generate_series(1, 1000) n";
    assert_eq!(notifications(&place, &mut said, three_levels).await, 3);
    let one_time =
        "SELECT {s}.enqueue('k', '1', run_at => now() + interval '1 hour') FROM generate_series(1, 1000)";
    assert!(notifications(&place, &mut said, one_time).await <= 2);
    let many_times = "SELECT {s}.enqueue('k', '1', run_at => now() + n * interval '1 minute') FROM generate_series(1, 1000) n";
    let many = notifications(&place, &mut said, many_times).await;
    assert!(many <= 12, "{many} for times within 17 hours");
    place.remove().await;
}

/// A wake-up must not fail what it announces: PostgreSQL prepares no transaction that notifies.
#[tokio::test]
async fn a_transaction_that_is_prepared_enqueues_without_a_wake_up() {
    let options = Options::throwaway().parameter("max_prepared_transactions", "5");
    let server = tokio::task::spawn_blocking(move || Server::start(&options)).await.unwrap().unwrap();
    let place = Place::on(server.url().parse().unwrap(), "sql_prepared").await;
    let (_session, mut said) = overhear_at(&place, server.url().parse().unwrap()).await;
    for (setting, call) in [
        ("SELECT 1", "SELECT {s}.enqueue('k', '1', wake => false)"),
        ("SET LOCAL {s}.wake = off", "SELECT {s}.enqueue('k', '1')"),
    ] {
        place.run(&format!("BEGIN; {setting}; {call}; PREPARE TRANSACTION 'two phases'")).await;
        place.run("COMMIT PREPARED 'two phases'").await;
    }
    assert_eq!(place.column("SELECT count(*) FROM {s}.live").await, ["2"]);
    assert_eq!(notifications(&place, &mut said, "SELECT {s}.enqueue('k', '1', wake => false)").await, 0);
    assert_eq!(notifications(&place, &mut said, "SELECT {s}.enqueue('k', '1')").await, 1);
    let refused = "BEGIN; SELECT {s}.enqueue('k', '1'); PREPARE TRANSACTION 'two phases'";
    let error = place.owner.batch_execute(&place.filled(refused)).await.unwrap_err();
    assert!(format!("{error:?}").contains("NOTIFY"), "{error:?}");
}
