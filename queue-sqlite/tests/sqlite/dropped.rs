//! Q22: a dropped future leaves no transaction open: whoever comes next has the file at once.

use std::time::{Duration, Instant};

use queue_core::backend::{
    CancelRequest, Completion, HeartbeatRequest, LeasesRequest, ListRequest, MaintainRequest,
    RegisterRequest, RetireRequest, SettleRequest, Settlement, Verdict,
};
use queue_core::{Backend, QueueName, WorkerId};
use queue_sqlite::SqliteBackend;
use queue_testkit::drop_after;

use crate::common::{Place, claim, count, insert, register, spec};

/// Takes the lock that a writer needs, without waiting for it.
fn can_write_at_once(place: &Place) -> bool {
    let connection = place.connection();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT").is_ok()
}

/// Drops what `$make` makes at each of its polls. A request that comes after it is answered, and then nothing is locked.
macro_rules! at_each_poll {
    ($place:ident, $backend:ident, $make:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            polls += 1;
            register(&$backend).await;
            assert!(can_write_at_once(&$place), "{} dropped after {polls} polls", stringify!($make));
        }
    }};
}

#[tokio::test]
async fn a_dropped_future_of_any_operation_leaves_no_transaction_open() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    let queue = QueueName::default();
    let settlement = |token| vec![Settlement::new(token, Verdict::Complete(Completion::new()))];
    let (inspect, audit) = (backend.extensions().inspect.unwrap(), backend.extensions().audit.unwrap());
    let manage = backend.extensions().manage.unwrap();
    for _ in 0..3 {
        let job = spec("1");
        let id = job.id;
        at_each_poll!(place, backend, insert(&backend, vec![spec("1"), spec("2")]));
        insert(&backend, vec![job]).await.unwrap();
        at_each_poll!(place, backend, backend.claim(claim(worker, 1)));
        let held = backend.claim(claim(worker, 1)).await.unwrap().jobs.remove(0);
        at_each_poll!(place, backend, backend.leases(LeasesRequest::new(worker, held.token.claim)));
        at_each_poll!(place, backend, backend.heartbeat(HeartbeatRequest::new(worker)));
        at_each_poll!(place, backend, backend.settle(SettleRequest::new(worker, settlement(held.token))));
        at_each_poll!(place, backend, backend.cancel(CancelRequest::new(vec![id])));
        at_each_poll!(place, backend, backend.maintain(MaintainRequest::rescue(10)));
        at_each_poll!(place, backend, {
            backend.register(RegisterRequest::new(WorkerId::generate(), "test", Duration::from_secs(60)))
        });
        at_each_poll!(place, backend, backend.retire(RetireRequest::new(WorkerId::generate())));
        at_each_poll!(place, backend, manage.pause(&queue));
        at_each_poll!(place, backend, manage.paused());
        at_each_poll!(place, backend, manage.resume(&queue));
        at_each_poll!(place, backend, inspect.jobs(&[id]));
        at_each_poll!(place, backend, inspect.list(ListRequest::new(10)));
        at_each_poll!(place, backend, audit.stored());
    }
}

#[tokio::test]
async fn a_dropped_open_leaves_a_file_that_can_be_opened_and_written() {
    for polls in 0..1000 {
        let place = Place::new();
        let opened = drop_after(polls, SqliteBackend::open(place.config())).await;
        let is_open = opened.is_some();
        // The thread of one that was dropped may be in the middle of the migration, which it finishes.
        let backend = match opened {
            Some(backend) => backend.unwrap(),
            None => place.open().await,
        };
        insert(&backend, vec![spec("1")]).await.unwrap();
        assert_eq!(count(&backend).await, 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !can_write_at_once(&place) {
            assert!(Instant::now() < deadline, "the file is locked after {polls} polls");
            std::thread::yield_now();
        }
        if is_open {
            return;
        }
    }
    panic!("it does not open");
}
