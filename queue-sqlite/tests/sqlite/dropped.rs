//! Tests Q22: a dropped future leaves no transaction open, so the next writer has the lock at once.

use std::time::{Duration, Instant};

use queue_core::backend::{
    CancelRequest, Completion, HeartbeatRequest, LeasesRequest, ListRequest, MaintainRequest,
    RegisterRequest, RetireRequest, RetryRequest, SettleRequest, Settlement, Verdict,
};
use queue_core::testing::drop_after;
use queue_core::{Backend, QueueName, WorkerId};
use queue_sqlite::SqliteBackend;

use crate::common::{TestFolder, claim, count, insert, register, spec};

/// Tries to take the write lock without waiting.
fn can_write_at_once(folder: &TestFolder) -> bool {
    let connection = folder.connection();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT").is_ok()
}

/// Drops the future of `$make` at each of its polls. Checks that the next request is served and
/// that the file is then unlocked.
macro_rules! at_each_poll {
    ($folder:ident, $backend:ident, $make:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            polls += 1;
            register(&$backend).await;
            assert!(can_write_at_once(&$folder), "{} dropped after {polls} polls", stringify!($make));
        }
    }};
}

#[tokio::test]
async fn dropped_request_leaves_no_transaction_open() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    let queue = QueueName::default();
    let settlement = |token| vec![Settlement::new(token, Verdict::Complete(Completion::new()))];
    let (inspect, audit) = (backend.extensions().inspect.unwrap(), backend.extensions().audit.unwrap());
    let manage = backend.extensions().manage.unwrap();
    for _ in 0..3 {
        let job = spec("1");
        let id = job.id;
        at_each_poll!(folder, backend, insert(&backend, vec![spec("1"), spec("2")]));
        insert(&backend, vec![job]).await.unwrap();
        at_each_poll!(folder, backend, backend.claim(claim(worker, 1)));
        let held = backend.claim(claim(worker, 1)).await.unwrap().jobs.remove(0);
        at_each_poll!(folder, backend, backend.leases(LeasesRequest::new(worker, held.token.claim)));
        at_each_poll!(folder, backend, backend.heartbeat(HeartbeatRequest::new(worker)));
        at_each_poll!(folder, backend, backend.settle(SettleRequest::new(worker, settlement(held.token))));
        at_each_poll!(folder, backend, backend.cancel(CancelRequest::new(vec![id])));
        at_each_poll!(folder, backend, backend.maintain(MaintainRequest::rescue(10)));
        at_each_poll!(folder, backend, {
            backend.register(RegisterRequest::new(WorkerId::generate(), "test", Duration::from_secs(60)))
        });
        at_each_poll!(folder, backend, backend.retire(RetireRequest::new(WorkerId::generate())));
        at_each_poll!(folder, backend, manage.retry(RetryRequest::new(vec![id])));
        at_each_poll!(folder, backend, manage.pause(&queue));
        at_each_poll!(folder, backend, manage.paused());
        at_each_poll!(folder, backend, manage.resume(&queue));
        at_each_poll!(folder, backend, inspect.jobs(&[id]));
        at_each_poll!(folder, backend, inspect.list(ListRequest::new(10)));
        at_each_poll!(folder, backend, audit.stored());
    }
}

#[tokio::test]
async fn dropped_open_leaves_a_writable_file() {
    for polls in 0..1000 {
        let folder = TestFolder::new();
        let opened = drop_after(polls, SqliteBackend::open(folder.config())).await;
        let is_open = opened.is_some();
        // The thread of a dropped `open` may still be migrating, which it completes.
        let backend = match opened {
            Some(backend) => backend.unwrap(),
            None => folder.open().await,
        };
        insert(&backend, vec![spec("1")]).await.unwrap();
        assert_eq!(count(&backend).await, 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !can_write_at_once(&folder) {
            assert!(Instant::now() < deadline, "the file is locked after {polls} polls");
            std::thread::yield_now();
        }
        if is_open {
            return;
        }
    }
    panic!("the file cannot be opened");
}
