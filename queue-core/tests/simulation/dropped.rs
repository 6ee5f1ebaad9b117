//! A shutdown whose future is dropped ends the worker: other workers rescue its jobs.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use queue_core::{Backend, JobState};

use crate::environment::World;
use crate::script::{Script, SharedLog, enqueue_all, serve, states, wait_until_finished};
use crate::storage::{Faults, Storage};

/// Polls a future this many times and drops it. Returns whether it had ended.
async fn is_over_after(polls: u32, future: impl Future) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return true;
        }
    }
    false
}

#[test]
fn dropped_shutdown_leaves_no_lease_without_worker() {
    for polls in 0..6 {
        let world = World::new(u64::from(polls));
        let log = SharedLog::default();
        let faults = Faults { longest_delay: Duration::from_millis(5), ..Faults::default() };
        let storage = Storage::new(&world, faults);
        world.clone().run(async move {
            let (worker, handle) = serve(&world, 1, &storage, &log);
            enqueue_all(&world, &handle, &vec![Script::Take(300); 30]).await;
            world.sleep(Duration::from_millis(500)).await;
            let is_over = is_over_after(polls, worker.shutdown(Duration::from_secs(60))).await;
            assert!(!is_over, "the handlers run for longer than a poll");
            for row in storage.extensions().audit.unwrap().stored().await.unwrap().live {
                assert_eq!(row.worker.is_some(), row.state == JobState::Running, "{row:?}");
            }
            let (other, _) = serve(&world, 2, &storage, &log);
            wait_until_finished(&world, &storage).await;
            assert_eq!(states(&storage).await, [JobState::Completed; 30]);
            other.shutdown(Duration::from_secs(1)).await;
            let rows = storage.extensions().audit.unwrap().stored().await.unwrap();
            assert!(rows.workers.is_empty(), "the dropped worker is lost, and the other has retired");
        });
    }
}
