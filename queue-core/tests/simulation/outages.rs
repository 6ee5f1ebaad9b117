//! A storage that refuses requests for a while. Whatever the kind of its error, a worker keeps its
//! results and leases.

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::ListRequest;
use queue_core::{
    Backend, ErrorKind, HandlerResult, JobContext, JobQueue, JobState, TaskDefinition, TaskOptions, Worker,
};

use crate::environment::World;
use crate::script::{
    Script, SharedLog, enqueue_all, serve, settings, states, submit_all, wait_until_finished,
};
use crate::storage::{Faults, Storage};

/// The kinds of error in an outage: a lock is held, the server is gone, a right or a schema is
/// missing, a page is damaged.
const OUTAGES: [ErrorKind; 4] =
    [ErrorKind::Busy, ErrorKind::Unavailable, ErrorKind::Misconfigured, ErrorKind::Corrupt];

const EVERYTHING: &[&str] =
    &["insert", "claim", "leases", "settle", "heartbeat", "register", "maintain", "cancel"];

#[test]
fn results_outlive_an_outage_of_any_kind() {
    for (seed, refused) in [&["settle"][..], EVERYTHING].into_iter().enumerate() {
        for kind in OUTAGES {
            let world = World::new(seed as u64);
            let log = SharedLog::default();
            let storage = Storage::new(&world, Faults::default());
            world.clone().run(async move {
                let (worker, handle) = serve(&world, 1, &storage, &log);
                let last_attempts = |_| handle.job(&Script::Take(3000)).unwrap().max_retries(0);
                submit_all(&world, &handle, (0..4).map(last_attempts).collect()).await;
                world.sleep(Duration::from_secs(1)).await;
                storage.refuse(refused, kind);
                world.sleep(Duration::from_secs(6)).await;
                assert_eq!(states(&storage).await, [JobState::Running; 4], "{kind}: the settle is refused");
                storage.refuse_nothing();
                wait_until_finished(&world, &storage).await;
                assert_eq!(states(&storage).await, [JobState::Completed; 4], "{kind}, {refused:?}");
                assert_eq!(log.lock().unwrap().started.len(), 4, "{kind}, {refused:?}: each ran once");
                worker.shutdown(Duration::from_secs(1)).await;
            });
        }
    }
}

/// Otherwise the worker would run jobs whose outcomes it cannot store.
#[test]
fn settle_outage_stops_claims() {
    let world = World::new(1);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let (worker, handle) = serve(&world, 1, &storage, &log);
        storage.refuse(&["settle"], ErrorKind::Misconfigured);
        enqueue_all(&world, &handle, &vec![Script::Take(100); 200]).await;
        // For less time than the leases last.
        world.sleep(Duration::from_secs(40)).await;
        let started = log.lock().unwrap().started.len();
        assert!(started < 50, "{started} jobs started during the outage");
        storage.refuse_nothing();
        let before = world.time();
        wait_until_finished(&world, &storage).await;
        assert!(before.until(world.time()) < Duration::from_secs(15), "claims did not resume in time");
        assert_eq!(states(&storage).await, [JobState::Completed; 200]);
        assert_eq!(log.lock().unwrap().started.len(), 200, "each ran once");
        worker.shutdown(Duration::from_secs(1)).await;
    });
}

/// The reply to the claim is lost, and the storage then refuses to list its leases for a while.
#[test]
fn unknown_claim_is_recovered_after_an_outage() {
    for kind in OUTAGES {
        let world = World::new(2);
        let log = SharedLog::default();
        let storage = Storage::new(&world, Faults::default());
        world.clone().run(async move {
            let (worker, handle) = serve(&world, 1, &storage, &log);
            world.sleep(Duration::from_secs(1)).await;
            storage.set_faults(Faults { lost_replies: 100, ..Faults::default() });
            storage.refuse(&["leases"], kind);
            let error = handle.enqueue(&Script::Take(10)).await.unwrap_err();
            let [id] = *error.jobs() else { panic!("{error:?}") };
            while storage.claims_of(id) == 0 {
                world.sleep(Duration::from_millis(1)).await;
            }
            storage.set_faults(Faults::default());
            world.sleep(Duration::from_secs(6)).await;
            storage.refuse_nothing();
            wait_until_finished(&world, &storage).await;
            assert_eq!(log.lock().unwrap().started, [(id, 1)], "{kind}");
            worker.shutdown(Duration::from_secs(1)).await;
        });
    }
}

#[test]
fn refused_progress_costs_no_lease() {
    let world = World::new(3);
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let clock = world.clone();
        let slow = TaskDefinition::from_fn("slow", move |context: JobContext, (): ()| {
            let clock = clock.clone();
            async move {
                for step in 0..60 {
                    context.set_progress(step, 60);
                    clock.sleep(Duration::from_secs(1)).await;
                }
                HandlerResult::Ok(())
            }
        });
        let slow = slow.with_options(TaskOptions::new().max_retries(0).timeout(Duration::from_secs(90)));
        let slow = slow.register(&mut queue).unwrap();
        storage.refuse(&["progress"], ErrorKind::Invalid);
        slow.enqueue(&()).await.unwrap();
        let worker = Worker::new(&queue).settings(settings());
        let worker = worker.start_in(&world.process(1)).unwrap();
        // A second worker would rescue the job if the first were lost.
        let (other, _) = serve(&world, 2, &storage, &SharedLog::default());
        wait_until_finished(&world, &storage).await;
        let all = storage.extensions().inspect.unwrap().list(ListRequest::new(9)).await.unwrap();
        assert_eq!((all[0].state, all[0].attempt), (JobState::Completed, 1));
        worker.shutdown(Duration::from_secs(1)).await;
        other.shutdown(Duration::from_secs(1)).await;
    });
}
