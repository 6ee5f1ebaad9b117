//! Wake-ups between handles, as between processes.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use queue_core::backend::{CancelRequest, WakeReceiver, Wakes};
use queue_core::{Backend, JobId, QueueName};
use queue_postgres::tokio_postgres::{self, AsyncMessage, NoTls};
use queue_postgres::{Pooler, PostgresBackend};
use queue_testkit::proxy::{Proxy, Traffic};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{LONG, Place, claim, in_time, insert, register, spec, terminate, until};

/// So rarely that nothing here can be due to it.
const NEVER: Duration = Duration::from_secs(3600);

async fn next(wakes: &mut WakeReceiver) -> Wakes {
    in_time("a wake-up", wakes.recv()).await
}

/// The cancels that are told next.
async fn next_cancels(wakes: &mut WakeReceiver) -> Vec<JobId> {
    loop {
        let cancels = next(wakes).await.cancels;
        if !cancels.is_empty() {
            return cancels;
        }
    }
}

/// A subscriber whose connection listens: it was told to look at everything.
async fn subscribe(backend: &PostgresBackend) -> WakeReceiver {
    let mut wakes = backend.subscribe();
    assert!(next(&mut wakes).await.unknown);
    wakes
}

/// What a connection of the test's own hears, as any program may.
async fn listen(place: &Place) -> UnboundedReceiver<String> {
    let (client, mut connection) = tokio_postgres::connect(place.url(), NoTls).await.unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                tell.send(notification.payload().to_owned()).ok();
            }
        }
    });
    client.batch_execute(&format!("LISTEN {}_wake", place.schema())).await.unwrap();
    // Its connection lives as long as it does.
    tokio::spawn(async move {
        let _client = client;
        std::future::pending::<()>().await;
    });
    told
}

#[tokio::test]
async fn a_job_of_another_handle_is_told_by_name() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let mut wakes = subscribe(&ours).await;
    for priority in [0, 7] {
        let job = spec("1").priority(priority);
        insert(&theirs, vec![job]).await.unwrap();
        let news = next(&mut wakes).await;
        assert!(!news.unknown, "{news:?}");
        let told: Vec<_> = news.ready.iter().map(|hint| (hint.queue.clone(), hint.priority)).collect();
        assert_eq!(told, [(QueueName::default(), priority)]);
    }
}

/// Anybody who can connect can send one.
#[tokio::test]
async fn a_notification_of_cancels_ends_no_job_that_nobody_cancelled() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let worker = register(&theirs).await;
    insert(&theirs, vec![spec("1"), spec("2")]).await.unwrap();
    let jobs = theirs.claim(claim(worker, 2)).await.unwrap().jobs;
    let (cancelled, forged) = (jobs[0].token.job, jobs[1].token.job);
    let mut wakes = subscribe(&ours).await;
    let client = place.connect().await;
    let forge = format!(r#"NOTIFY {}_wake, '{{"cancels":["{forged}"]}}'"#, place.schema());
    client.batch_execute(&forge).await.unwrap();
    theirs.cancel(CancelRequest::new(vec![cancelled]).signal_running()).await.unwrap();
    // Behind the forged one on the connection: had that been believed, it would show.
    assert_eq!(next_cancels(&mut wakes).await, [cancelled]);
}

#[tokio::test]
async fn own_notifications_are_not_taken_for_those_of_others() {
    let place = Place::new();
    let (ours, theirs) = (place.open().await, place.open().await);
    let mut wakes = subscribe(&ours).await;
    let mut heard = listen(&place).await;
    insert(&ours, vec![spec("1")]).await.unwrap();
    assert_eq!(next(&mut wakes).await.ready.len(), 1, "within the process, at once");
    in_time("the notification", heard.recv()).await.unwrap();
    // It is behind the first on every connection: had that been taken in, it would show.
    let job = spec("1").priority(3);
    insert(&theirs, vec![job]).await.unwrap();
    let news = next(&mut wakes).await;
    assert_eq!(news.ready.iter().map(|hint| hint.priority).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn who_cannot_listen_any_more_listens_again_and_looks_at_everything() {
    let place = Place::new();
    let ours = PostgresBackend::open(place.config().ping_interval(NEVER)).await.unwrap();
    let theirs = place.open().await;
    let mut wakes = subscribe(&ours).await;
    let client = place.connect().await;
    for _ in 0..3 {
        // Those of the other handle go as well.
        assert!(terminate(&client, place.schema()).await > 0);
        while !next(&mut wakes).await.unknown {}
        // A notification that gets lost with its connection is made up for by one that names no job.
        loop {
            let insert = || async { insert(&theirs, vec![spec("1")]).await.is_ok() };
            until("the other handle gets through", insert).await;
            let news = next(&mut wakes).await;
            if !news.unknown {
                assert_eq!(news.ready.len(), 1, "{news:?}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn who_listens_on_a_connection_that_fell_silent_notices_it() {
    let place = Place::new();
    let proxy = Proxy::start(place.server()).await.unwrap();
    let (soon, later) = (Duration::from_millis(100), Duration::from_secs(2));
    let config = place.config_at(proxy.address()).ping_interval(soon).connect_timeout(later);
    let (ours, theirs) = (PostgresBackend::open(config).await.unwrap(), place.open().await);
    let mut wakes = subscribe(&ours).await;
    let before = proxy.accepted();
    proxy.set(Traffic::Swallow);
    until("it connects anew", || async { proxy.accepted() > before }).await;
    insert(&theirs, vec![spec("1")]).await.unwrap();
    proxy.set(Traffic::Pass);
    assert!(next(&mut wakes).await.unknown);
    insert(&theirs, vec![spec("1")]).await.unwrap();
    // Where an answer took too long by chance, it connects once more.
    while next(&mut wakes).await.unknown {
        insert(&theirs, vec![spec("1")]).await.unwrap();
    }
}

#[tokio::test]
async fn notifications_are_throttled_and_the_last_job_is_told_all_the_same() {
    let place = Place::new();
    let interval = Duration::from_millis(500);
    let backend = PostgresBackend::open(place.config().notify_interval(interval)).await.unwrap();
    let mut heard = listen(&place).await;
    let start = Instant::now();
    for _ in 0..199 {
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
    let last = spec("1").priority(9);
    insert(&backend, vec![last]).await.unwrap();
    let mut many = 0;
    loop {
        let text = in_time("the last notification", heard.recv()).await.unwrap();
        many += 1;
        if text.contains(r#"["default",9,"#) {
            break;
        }
    }
    // The first goes out at once, and then one an interval.
    let most = 2 + start.elapsed().as_millis() / interval.as_millis();
    assert!(many <= most && many < 100, "{many} notifications in {:?}", start.elapsed());
}

#[tokio::test]
async fn behind_a_pooler_jobs_of_others_are_looked_for_and_nobody_listens() {
    let place = Place::new();
    let interval = Duration::from_millis(50);
    let config = place.config().pooler(Pooler::Transaction).poll_interval(interval);
    let backend = PostgresBackend::open(config).await.unwrap();
    let mut wakes = backend.subscribe();
    let start = Instant::now();
    for _ in 0..3 {
        assert!(next(&mut wakes).await.unknown);
    }
    assert!(start.elapsed() >= interval * 2 && start.elapsed() < LONG, "{:?}", start.elapsed());
    let listening =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'";
    let client = place.connect().await;
    let many: i64 = client.query_one(listening, &[&place.schema()]).await.unwrap().get(0);
    assert_eq!(many, 0);
}

#[tokio::test]
async fn a_handle_that_is_dropped_still_tells_of_its_last_job() {
    let place = Place::new();
    // The second is held back for the interval, amid which the handle goes.
    let interval = Duration::from_millis(300);
    let backend = PostgresBackend::open(place.config().notify_interval(interval)).await.unwrap();
    let mut heard = listen(&place).await;
    for priority in [1, 2] {
        insert(&backend, vec![spec("1").priority(priority)]).await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(backend)).await.unwrap();
    let mut told = String::new();
    while !told.contains(",2,") {
        told = in_time("the notification of the last job", heard.recv()).await.unwrap();
    }
}
