//! Wake-ups between handles, as between processes.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use queue_core::backend::{CancelRequest, JobEnd, WakeReceiver, Wakes, Watch as _};
use queue_core::{Backend, JobId, QueueName};
use queue_postgres::tokio_postgres::{self, AsyncMessage, NoTls};
use queue_postgres::{Pooler, PostgresBackend};
use queue_testkit::proxy::{Proxy, Traffic};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{LONG, TestSchema, claim, in_time, insert, register, spec, terminate, until};

/// Too long to have an effect in these tests.
const NEVER: Duration = Duration::from_secs(3600);

async fn next(wakes: &mut WakeReceiver) -> Wakes {
    in_time("a wake-up", wakes.recv()).await
}

/// The next cancels that are received.
async fn next_cancels(wakes: &mut WakeReceiver) -> Vec<JobId> {
    loop {
        let cancels = next(wakes).await.cancels;
        if !cancels.is_empty() {
            return cancels;
        }
    }
}

/// A subscriber whose connection listens, as its first wake-up shows.
async fn subscribe(backend: &PostgresBackend) -> WakeReceiver {
    let mut wakes = backend.subscribe();
    assert!(next(&mut wakes).await.unknown);
    wakes
}

/// The notifications that a separate connection receives.
async fn listen(schema: &TestSchema) -> UnboundedReceiver<String> {
    let (client, mut connection) = tokio_postgres::connect(schema.url(), NoTls).await.unwrap();
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                sender.send(notification.payload().to_owned()).ok();
            }
        }
    });
    client.batch_execute(&format!("LISTEN {}_wake", schema.name())).await.unwrap();
    // The connection needs the client to stay alive.
    tokio::spawn(async move {
        let _client = client;
        std::future::pending::<()>().await;
    });
    receiver
}

#[tokio::test]
async fn job_of_another_handle_wakes_its_queue() {
    let schema = TestSchema::new();
    let (ours, theirs) = (schema.open().await, schema.open().await);
    let mut wakes = subscribe(&ours).await;
    for priority in [0, 7] {
        let job = spec("1").priority(priority);
        insert(&theirs, vec![job]).await.unwrap();
        let received = next(&mut wakes).await;
        assert!(!received.unknown, "{received:?}");
        let ready: Vec<_> = received.ready.iter().map(|hint| (hint.queue.clone(), hint.priority)).collect();
        assert_eq!(ready, [(QueueName::default(), priority)]);
    }
}

/// Only the end of the watched job is announced, by its name.
#[tokio::test]
async fn end_of_a_watched_job_reaches_another_handle() {
    let schema = TestSchema::new();
    let (ours, theirs) = (schema.open().await, schema.open().await);
    let mut wakes = subscribe(&ours).await.only_ends();
    let jobs = [spec("1"), spec("2"), spec("3")];
    let [first, watched, last] = jobs.each_ref().map(|job| job.id);
    insert(&theirs, jobs.to_vec()).await.unwrap();
    assert_eq!(ours.watch(&[watched, last]).await.unwrap(), [None, None]);
    for id in [first, watched, last] {
        theirs.cancel(CancelRequest::new(vec![id])).await.unwrap();
    }
    let mut finished = Vec::new();
    while finished.len() < 2 {
        let received = next(&mut wakes).await;
        assert!(!received.unknown && !received.more_finished, "{received:?}");
        finished.extend(received.finished);
    }
    assert_eq!(finished, [watched, last]);
    let ends = ours.watch(&[watched, JobId::generate()]).await.unwrap();
    assert_eq!(ends, [Some(JobEnd::Cancelled { reason: None }), Some(JobEnd::Gone)]);
}

/// Any role that can connect can send a notification.
#[tokio::test]
async fn forged_cancel_notification_cancels_no_job() {
    let schema = TestSchema::new();
    let (ours, theirs) = (schema.open().await, schema.open().await);
    let worker = register(&theirs).await;
    insert(&theirs, vec![spec("1"), spec("2")]).await.unwrap();
    let jobs = theirs.claim(claim(worker, 2)).await.unwrap().jobs;
    let (cancelled, forged) = (jobs[0].token.job, jobs[1].token.job);
    let mut wakes = subscribe(&ours).await;
    let client = schema.connect().await;
    let forge = format!(r#"NOTIFY {}_wake, '{{"cancels":["{forged}"]}}'"#, schema.name());
    client.batch_execute(&forge).await.unwrap();
    theirs.cancel(CancelRequest::new(vec![cancelled]).signal_running()).await.unwrap();
    // It arrives after the forged one, which would be received first if it had an effect.
    assert_eq!(next_cancels(&mut wakes).await, [cancelled]);
}

#[tokio::test]
async fn own_notifications_are_ignored() {
    let schema = TestSchema::new();
    let (ours, theirs) = (schema.open().await, schema.open().await);
    let mut wakes = subscribe(&ours).await;
    let mut notifications = listen(&schema).await;
    insert(&ours, vec![spec("1")]).await.unwrap();
    assert_eq!(next(&mut wakes).await.ready.len(), 1, "within the process, at once");
    in_time("the notification", notifications.recv()).await.unwrap();
    // It arrives after the first, which would be received first if it had an effect.
    let job = spec("1").priority(3);
    insert(&theirs, vec![job]).await.unwrap();
    let received = next(&mut wakes).await;
    assert_eq!(received.ready.iter().map(|hint| hint.priority).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn lost_listener_reconnects_and_wakes_all_workers() {
    let schema = TestSchema::new();
    let ours = PostgresBackend::open(schema.config().ping_interval(NEVER)).await.unwrap();
    let theirs = schema.open().await;
    let mut wakes = subscribe(&ours).await;
    let client = schema.connect().await;
    for _ in 0..3 {
        // Ends the connections of the other handle too.
        assert!(terminate(&client, schema.name()).await > 0);
        while !next(&mut wakes).await.unknown {}
        // A notification that is lost with its connection is replaced by a wake-up that names no
        // job.
        loop {
            let insert = || async { insert(&theirs, vec![spec("1")]).await.is_ok() };
            until("the other handle gets through", insert).await;
            let received = next(&mut wakes).await;
            if !received.unknown {
                assert_eq!(received.ready.len(), 1, "{received:?}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn listener_notices_a_silent_connection() {
    let schema = TestSchema::new();
    let proxy = Proxy::start(schema.server()).await.unwrap();
    let (soon, later) = (Duration::from_millis(100), Duration::from_secs(2));
    let config = schema.config_at(proxy.address()).ping_interval(soon).connect_timeout(later);
    let (ours, theirs) = (PostgresBackend::open(config).await.unwrap(), schema.open().await);
    let mut wakes = subscribe(&ours).await;
    let before = proxy.accepted();
    proxy.set(Traffic::Swallow);
    until("it reconnects", || async { proxy.accepted() > before }).await;
    insert(&theirs, vec![spec("1")]).await.unwrap();
    proxy.set(Traffic::Pass);
    assert!(next(&mut wakes).await.unknown);
    insert(&theirs, vec![spec("1")]).await.unwrap();
    // If an answer took too long by chance, the handle reconnects once more.
    while next(&mut wakes).await.unknown {
        insert(&theirs, vec![spec("1")]).await.unwrap();
    }
}

#[tokio::test]
async fn throttled_notifications_include_the_last_job() {
    let schema = TestSchema::new();
    let interval = Duration::from_millis(500);
    let backend = PostgresBackend::open(schema.config().notify_interval(interval)).await.unwrap();
    let mut notifications = listen(&schema).await;
    let start = Instant::now();
    for _ in 0..199 {
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
    let last = spec("1").priority(9);
    insert(&backend, vec![last]).await.unwrap();
    let mut many = 0;
    loop {
        let text = in_time("the last notification", notifications.recv()).await.unwrap();
        many += 1;
        if text.contains(r#"["default",9,"#) {
            break;
        }
    }
    // The first is sent at once, and then one per interval.
    let most = 2 + start.elapsed().as_millis() / interval.as_millis();
    assert!(many <= most && many < 100, "{many} notifications in {:?}", start.elapsed());
}

#[tokio::test]
async fn pooled_handle_polls_and_never_listens() {
    let schema = TestSchema::new();
    let interval = Duration::from_millis(50);
    let config = schema.config().pooler(Pooler::Transaction).poll_interval(interval);
    let backend = PostgresBackend::open(config).await.unwrap();
    let mut wakes = backend.subscribe();
    let start = Instant::now();
    for _ in 0..3 {
        assert!(next(&mut wakes).await.unknown);
    }
    assert!(start.elapsed() >= interval * 2 && start.elapsed() < LONG, "{:?}", start.elapsed());
    let listening =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'";
    let client = schema.connect().await;
    let many: i64 = client.query_one(listening, &[&schema.name()]).await.unwrap().get(0);
    assert_eq!(many, 0);
}

#[tokio::test]
async fn dropped_handle_notifies_of_its_last_job() {
    let schema = TestSchema::new();
    // The second waits for the interval, during which the handle is dropped.
    let interval = Duration::from_millis(300);
    let backend = PostgresBackend::open(schema.config().notify_interval(interval)).await.unwrap();
    let mut notifications = listen(&schema).await;
    for priority in [1, 2] {
        insert(&backend, vec![spec("1").priority(priority)]).await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(backend)).await.unwrap();
    let mut text = String::new();
    while !text.contains(",2,") {
        text = in_time("the notification of the last job", notifications.recv()).await.unwrap();
    }
}
