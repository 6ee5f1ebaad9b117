//! The runtime in a simulated world: a virtual clock, and a seed that decides every order and fault.

#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and the numbers of a simulation are small"
)]

mod chaos;
mod dropped;
mod environment;
mod outages;
mod script;
mod seeds;
mod storage;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use chaos::Chaos;
use environment::World;
use queue_core::backend::{CancelRequest, ListRequest};
use queue_core::{
    Backend, Enqueuer, HandlerResult, JobContext, JobError, JobQueue, State, TaskDefinition, Worker,
};
use script::{
    Script, SharedLog, enqueue_all, mixed_scripts, serve, settings, states, task, wait_until_finished,
};
use seeds::{Extent, Seeds};
use storage::{Faults, Storage};
use tally::{Rare, Tally};

const SEEDS: Seeds = Seeds::new(40, 500);
/// Of the runs in which everything fails.
const CHAOS: Seeds = Seeds::new(60, 2000);

#[test]
fn two_workers_complete_everything_once() {
    SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let storage = Storage::new(&world, Faults::default());
        world.clone().run({
            let log = Arc::clone(&log);
            async move {
                let (first, handle) = serve(&world, 1, &storage, &log);
                let (second, _) = serve(&world, 2, &storage, &log);
                enqueue_all(&world, &handle, &mixed_scripts(&world)).await;
                wait_until_finished(&world, &storage).await;
                assert_eq!(states(&storage).await, [State::Completed; 60], "seed {seed}");
                first.shutdown(Duration::from_secs(1)).await;
                second.shutdown(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(log.lock().unwrap().overlaps, 0, "seed {seed}");
    });
}

#[test]
fn a_network_that_loses_requests_and_replies_loses_no_job() {
    let tally = Tally::default();
    let extent = SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let faults = Faults { lost_requests: 10, lost_replies: 10, longest_delay: Duration::from_millis(30) };
        let storage = Storage::counting(&world, faults, tally.clone());
        world.clone().run(async move {
            let (first, handle) = serve(&world, 1, &storage, &log);
            let (second, _) = serve(&world, 2, &storage, &log);
            enqueue_all(&world, &handle, &mixed_scripts(&world)).await;
            wait_until_finished(&world, &storage).await;
            assert_eq!(states(&storage).await, [State::Completed; 60], "seed {seed}");
            first.shutdown(Duration::from_secs(1)).await;
            second.shutdown(Duration::from_secs(1)).await;
        });
    });
    let struck = tally.of(Rare::LostRequest) + tally.of(Rare::LostReply);
    assert!(extent == Extent::Part || struck > SEEDS.few * 10, "only {struck} faults struck");
}

#[test]
fn the_jobs_of_a_killed_process_are_run_by_the_other() {
    let mut ran_twice = 0;
    let extent = SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let storage =
            Storage::new(&world, Faults { longest_delay: Duration::from_millis(5), ..Faults::default() });
        world.clone().run({
            let log = Arc::clone(&log);
            async move {
                let (victim, handle) = serve(&world, 1, &storage, &log);
                let (survivor, _) = serve(&world, 2, &storage, &log);
                enqueue_all(&world, &handle, &mixed_scripts(&world)).await;
                world.sleep(Duration::from_millis(world.random_below(3000))).await;
                world.kill(1);
                std::mem::forget(victim);
                wait_until_finished(&world, &storage).await;
                assert_eq!(states(&storage).await, [State::Completed; 60], "seed {seed}");
                survivor.shutdown(Duration::from_secs(1)).await;
            }
        });
        let log = log.lock().unwrap();
        assert_eq!(log.overlaps, 0, "seed {seed}: a killed job's future is gone before it runs again");
        ran_twice += log.started.iter().filter(|(_, attempt)| *attempt > 1).count();
    });
    assert!(extent == Extent::Part || ran_twice > 0, "no job was ever rescued");
}

/// A run of everything at once; the trace of it.
fn chaos(seed: u64, tally: &Tally) -> u64 {
    let world = World::new(seed);
    let log = SharedLog::default();
    let faults = Faults {
        lost_requests: world.random_below(15),
        lost_replies: world.random_below(15),
        longest_delay: Duration::from_millis(1 + world.random_below(300)),
    };
    let storage = Storage::counting(&world, faults, tally.clone());
    world.clone().run(Chaos::new(&world, &storage, &log).run());
    world.trace()
}

#[test]
fn whatever_fails_every_job_ends_as_it_should() {
    let tally = Tally::default();
    let extent = CHAOS.each(|seed| {
        chaos(seed, &tally);
    });
    if extent == Extent::Full {
        tally.check();
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    Seeds::new(4, 100).each(|seed| {
        let tally = Tally::default();
        assert_eq!(chaos(seed, &tally), chaos(seed, &tally), "the traces of two runs");
    });
}

#[test]
fn jobs_that_panic_or_never_end_harm_only_themselves() {
    SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let storage = Storage::new(&world, Faults::default());
        world.clone().run(async move {
            let (worker, handle) = serve(&world, 1, &storage, &log);
            let scripts = [Script::Panic, Script::Forever, Script::UntilCancelled, Script::Take(5)];
            enqueue_all(&world, &handle, &scripts).await;
            wait_until_finished(&world, &storage).await;
            let all = storage.extensions().inspect.unwrap().list(ListRequest::new(9)).await.unwrap();
            let fate: Vec<_> =
                all.iter().map(|r| (r.state, r.attempt, r.errors.first().map(|e| &*e.error))).collect();
            assert_eq!(fate[0], (State::Dead, 9, Some("panicked: as scripted")));
            assert_eq!(fate[1], (State::Dead, 9, Some("timed out after 20s")));
            assert_eq!(fate[2], (State::Dead, 9, Some("timed out after 20s: told to stop")));
            assert_eq!(fate[3], (State::Completed, 1, None));
            assert_eq!(worker.shutdown(Duration::ZERO).await.abandoned, 0);
        });
    });
}

#[test]
fn a_running_job_is_told_when_somebody_cancels_it() {
    let world = World::new(1);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let (worker, handle) = serve(&world, 1, &storage, &log);
        let id = handle.enqueue(&Script::UntilCancelled).await.unwrap();
        while log.lock().unwrap().started.is_empty() {
            world.sleep(Duration::from_millis(1)).await;
        }
        let before = world.time();
        storage.cancel(CancelRequest::new(vec![id]).signal_running()).await.unwrap();
        wait_until_finished(&world, &storage).await;
        assert_eq!(states(&storage).await, [State::Cancelled]);
        assert!(before.until(world.time()) < Duration::from_secs(1), "it did not wait for the heartbeat");
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn a_shutdown_gives_back_what_did_not_start_and_what_did_not_end() {
    SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let storage = Storage::new(&world, Faults::default());
        world.clone().run(async move {
            let (worker, handle) = serve(&world, 1, &storage, &log);
            let mut scripts =
                vec![Script::Take(100), Script::Take(200), Script::UntilCancelled, Script::Forever];
            scripts.extend(vec![Script::Take(1); 20]);
            enqueue_all(&world, &handle, &scripts).await;
            world.sleep(Duration::from_millis(50)).await;
            let report = worker.shutdown(Duration::from_millis(120)).await;
            assert_eq!(report.abandoned, 0);
            let all = storage.extensions().inspect.unwrap().list(ListRequest::new(99)).await.unwrap();
            assert_eq!(all[0].state, State::Completed, "it had time to end");
            for record in &all[2..4] {
                assert_eq!((record.state, record.attempt), (State::Ready, 0), "given back, free of charge");
            }
            assert!(all.iter().all(|record| record.state != State::Running), "seed {seed}: no lease is left");
            assert!(storage.extensions().audit.unwrap().stored().await.unwrap().workers.is_empty());
        });
    });
}

#[test]
fn the_most_urgent_job_starts_next() {
    let world = World::new(7);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let (worker, handle) = serve(&world, 1, &storage, &log);
        enqueue_all(&world, &handle, &vec![Script::Take(1000); 40]).await;
        world.sleep(Duration::from_millis(500)).await;
        let urgent = handle.job(&Script::Take(1)).unwrap().priority(9);
        let id = handle.submit(vec![urgent]).await.unwrap()[0].id;
        wait_until_finished(&world, &storage).await;
        let place = log.lock().unwrap().started.iter().position(|(started, _)| *started == id).unwrap();
        assert!((4..8).contains(&place), "started as number {place}, though only 4 were running");
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn a_worker_that_was_given_up_drops_its_jobs_and_registers_anew() {
    let world = World::new(3);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let (worker, handle) = serve(&world, 1, &storage, &log);
        let id = handle.enqueue(&Script::Take(19_000)).await.unwrap();
        world.sleep(Duration::from_millis(500)).await;
        // As if another worker's clock were far ahead.
        let far = world.time().saturating_add(Duration::from_secs(60));
        let memory = storage.backend();
        memory.maintain(queue_core::backend::MaintainRequest::rescue(10).at(far)).await.unwrap();
        wait_until_finished(&world, &storage).await;
        assert_eq!(log.lock().unwrap().started, [(id, 1), (id, 2)]);
        assert_eq!(states(&storage).await, [State::Completed]);
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn a_dequeued_job_never_starts() {
    let world = World::new(5);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let handle = task(&world, &log).register(&mut queue).unwrap();
        let later = world.time().saturating_add(Duration::from_secs(30));
        let id = handle.enqueue_at(&Script::Take(1), later).await.unwrap();
        let (worker, _) = serve(&world, 1, &storage, &log);
        queue.dequeue(id).await.unwrap();
        world.sleep(Duration::from_secs(60)).await;
        assert!(log.lock().unwrap().started.is_empty());
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn a_stalled_storage_does_not_hold_up_the_other() {
    SEEDS.each(|seed| {
        let world = World::new(seed);
        let log = SharedLog::default();
        let stalled = Faults { longest_delay: Duration::from_secs(300), ..Faults::default() };
        let (slow, quick) = (Storage::new(&world, stalled), Storage::new(&world, Faults::default()));
        world.clone().run(async move {
            let (mut of_slow, mut of_quick) =
                (JobQueue::new(Arc::new(slow.clone())), JobQueue::new(Arc::new(quick.clone())));
            task(&world, &log).register(&mut of_slow).unwrap();
            let handle = task(&world, &log).register(&mut of_quick).unwrap();
            let worker = Worker::new().serve(&of_slow).serve(&of_quick).settings(settings());
            let worker = worker.start_in(&world.process(1)).unwrap();
            let before = world.time();
            enqueue_all(&world, &handle, &vec![Script::Take(10); 200]).await;
            wait_until_finished(&world, &quick).await;
            let took = before.until(world.time());
            assert!(
                took < Duration::from_millis(1500),
                "seed {seed}: 200 jobs of 10 ms in 4 slots took {took:?}"
            );
            worker.shutdown(Duration::ZERO).await;
        });
    });
}

#[test]
fn a_shutdown_does_not_throw_away_what_a_handler_decided() {
    let world = World::new(9);
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let bury = TaskDefinition::from_fn("bury", |context: JobContext, (): ()| async move {
            context.cancellation().cancelled().await;
            HandlerResult::Err(JobError::bury("no longer wanted"))
        });
        bury.register(&mut queue).unwrap().enqueue(&()).await.unwrap();
        let worker = Worker::new().serve(&queue).start_in(&world.process(1)).unwrap();
        world.sleep(Duration::from_millis(50)).await;
        worker.shutdown(Duration::from_millis(10)).await;
        assert_eq!(states(&storage).await, [State::Dead]);
    });
}

#[test]
fn a_handler_that_cancels_its_own_work_is_not_stopped() {
    let world = World::new(9);
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let clock = world.clone();
        let own = TaskDefinition::from_fn("own", move |context: JobContext, (): ()| {
            let clock = clock.clone();
            async move {
                context.cancellation().cancel();
                clock.sleep(Duration::from_secs(5)).await;
                HandlerResult::Ok(())
            }
        });
        own.register(&mut queue).unwrap().enqueue(&()).await.unwrap();
        let worker = Worker::new().serve(&queue).start_in(&world.process(1)).unwrap();
        wait_until_finished(&world, &storage).await;
        assert_eq!(states(&storage).await, [State::Completed]);
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn settings_that_say_never_harm_nothing() {
    let world = World::new(2);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let handle = task(&world, &log).register(&mut queue).unwrap();
        let never = Duration::MAX;
        let settings = settings()
            .prune_interval(never)
            .rescue_interval(never)
            .head_interval(never)
            .look_back(never)
            .look_back_interval(never)
            .buffer_time(never)
            .outage_backoff_cap(never);
        let worker = Worker::new().serve(&queue).settings(settings).start_in(&world.process(1)).unwrap();
        enqueue_all(&world, &handle, &vec![Script::Take(5); 50]).await;
        wait_until_finished(&world, &storage).await;
        worker.shutdown(never).await;
        assert_eq!(states(&storage).await, [State::Completed; 50]);
    });
}
