//! The runtime in a simulation: a virtual clock, and a seed that decides each order and each fault.

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
    Backend, Enqueuer, HandlerResult, JobContext, JobError, JobQueue, JobState, TaskDefinition, Worker,
};
use script::{
    Script, SharedLog, enqueue_all, mixed_scripts, serve, settings, states, task, wait_until_finished,
};
use seeds::{Extent, Seeds};
use storage::{Faults, Storage};
use tally::{Rare, Tally};

const SEEDS: Seeds = Seeds::new(40, 500);
/// For the runs with all faults together.
const CHAOS: Seeds = Seeds::new(60, 2000);

#[test]
fn two_workers_complete_each_job_once() {
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
                assert_eq!(states(&storage).await, [JobState::Completed; 60], "seed {seed}");
                first.shutdown(Duration::from_secs(1)).await;
                second.shutdown(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(log.lock().unwrap().overlaps, 0, "seed {seed}");
    });
}

#[test]
fn lost_requests_and_replies_lose_no_job() {
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
            assert_eq!(states(&storage).await, [JobState::Completed; 60], "seed {seed}");
            first.shutdown(Duration::from_secs(1)).await;
            second.shutdown(Duration::from_secs(1)).await;
        });
    });
    let struck = tally.of(Rare::LostRequest) + tally.of(Rare::LostReply);
    assert!(extent == Extent::Part || struck > SEEDS.few * 10, "only {struck} faults struck");
}

/// The other process runs the jobs, and no job runs twice at the same time.
#[test]
fn killed_process_has_its_jobs_rescued() {
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
                assert_eq!(states(&storage).await, [JobState::Completed; 60], "seed {seed}");
                survivor.shutdown(Duration::from_secs(1)).await;
            }
        });
        let log = log.lock().unwrap();
        assert_eq!(log.overlaps, 0, "seed {seed}: a job ran twice at the same time");
        ran_twice += log.started.iter().filter(|(_, attempt)| *attempt > 1).count();
    });
    assert!(extent == Extent::Part || ran_twice > 0, "no job was ever rescued");
}

/// Runs all faults together. Returns the trace.
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

/// Processes are killed and stopped, requests and replies are lost, the clock jumps, jobs are
/// cancelled.
#[test]
fn all_faults_together_lose_no_job() {
    let tally = Tally::default();
    let extent = CHAOS.each(|seed| {
        chaos(seed, &tally);
    });
    if extent == Extent::Full {
        tally.check();
    }
}

#[test]
fn same_seed_gives_the_same_run() {
    Seeds::new(4, 100).each(|seed| {
        let tally = Tally::default();
        assert_eq!(chaos(seed, &tally), chaos(seed, &tally), "the traces of two runs");
    });
}

#[test]
fn panic_or_timeout_fails_only_its_job() {
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
            let ends: Vec<_> =
                all.iter().map(|r| (r.state, r.attempt, r.errors.first().map(|e| &*e.error))).collect();
            let (state, attempts, Some(panic)) = ends[0] else { panic!("{ends:?}") };
            assert_eq!((state, attempts), (JobState::Dead, 9));
            assert!(panic.contains("/simulation/script.rs:") && panic.ends_with(": as scripted"), "{panic}");
            assert_eq!(ends[1], (JobState::Dead, 9, Some("timed out after 20s")));
            assert_eq!(ends[2], (JobState::Dead, 9, Some("timed out after 20s: stopped by its token")));
            assert_eq!(ends[3], (JobState::Completed, 1, None));
            for (record, at_least) in all.iter().zip([0, 20, 20]) {
                let durations = record.errors.iter().map(|error| error.duration.unwrap().as_secs());
                assert!(durations.min() >= Some(at_least), "{record:?}");
                assert!(record.errors.iter().all(|error| error.worker.is_some()), "{record:?}");
            }
            assert_eq!(worker.shutdown(Duration::ZERO).await.abandoned, 0);
        });
    });
}

/// The cancel arrives by a wake-up, and does not wait for the next heartbeat.
#[test]
fn cancel_reaches_a_running_job_at_once() {
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
        assert_eq!(states(&storage).await, [JobState::Cancelled]);
        assert!(
            before.until(world.time()) < Duration::from_secs(1),
            "the cancel must not wait for the heartbeat"
        );
        worker.shutdown(Duration::ZERO).await;
    });
}

/// Jobs that have not started and jobs that do not end in time are ready again, without a charge.
#[test]
fn shutdown_releases_unfinished_jobs() {
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
            assert_eq!(all[0].state, JobState::Completed, "it had time to end");
            for record in &all[2..4] {
                assert_eq!(
                    (record.state, record.attempt),
                    (JobState::Ready, 0),
                    "released, without a charge"
                );
            }
            assert!(
                all.iter().all(|record| record.state != JobState::Running),
                "seed {seed}: no lease is left"
            );
            assert!(storage.extensions().audit.unwrap().stored().await.unwrap().workers.is_empty());
        });
    });
}

#[test]
fn most_urgent_job_starts_next() {
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
        let position = log.lock().unwrap().started.iter().position(|(started, _)| *started == id).unwrap();
        assert!((4..8).contains(&position), "started as number {position}, though only 4 were running");
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn lost_worker_drops_its_jobs_and_registers_again() {
    let world = World::new(3);
    let log = SharedLog::default();
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let (worker, handle) = serve(&world, 1, &storage, &log);
        let id = handle.enqueue(&Script::Take(19_000)).await.unwrap();
        world.sleep(Duration::from_millis(500)).await;
        // As a worker whose clock is far ahead would do.
        let far = world.time().saturating_add(Duration::from_secs(60));
        let memory = storage.backend();
        memory.maintain(queue_core::backend::MaintainRequest::rescue(10).at(far)).await.unwrap();
        wait_until_finished(&world, &storage).await;
        assert_eq!(log.lock().unwrap().started, [(id, 1), (id, 2)]);
        assert_eq!(states(&storage).await, [JobState::Completed]);
        worker.shutdown(Duration::ZERO).await;
    });
}

#[test]
fn dequeued_job_never_starts() {
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
fn stalled_backend_does_not_delay_another() {
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
            let worker = Worker::new(&of_slow).serve(&of_quick).settings(settings());
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
fn shutdown_keeps_a_handlers_decision() {
    let world = World::new(9);
    let storage = Storage::new(&world, Faults::default());
    world.clone().run(async move {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let bury = TaskDefinition::from_fn("bury", |context: JobContext, (): ()| async move {
            context.cancellation().cancelled().await;
            HandlerResult::<()>::Err(JobError::bury("no longer wanted"))
        });
        bury.register(&mut queue).unwrap().enqueue(&()).await.unwrap();
        let worker = Worker::new(&queue).start_in(&world.process(1)).unwrap();
        world.sleep(Duration::from_millis(50)).await;
        worker.shutdown(Duration::from_millis(10)).await;
        assert_eq!(states(&storage).await, [JobState::Dead]);
    });
}

/// The handler cancels its own token, which stops its own work only.
#[test]
fn handler_that_cancels_its_token_continues() {
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
        let worker = Worker::new(&queue).start_in(&world.process(1)).unwrap();
        wait_until_finished(&world, &storage).await;
        assert_eq!(states(&storage).await, [JobState::Completed]);
        worker.shutdown(Duration::ZERO).await;
    });
}

/// `Duration::MAX` is a valid setting.
#[test]
fn settings_of_never_lose_no_job() {
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
            .poll_interval(never)
            .active_poll_interval(never)
            .active_time(never)
            .buffer_time(never)
            .outage_backoff_cap(never);
        let worker = Worker::new(&queue).settings(settings).start_in(&world.process(1)).unwrap();
        enqueue_all(&world, &handle, &vec![Script::Take(5); 50]).await;
        wait_until_finished(&world, &storage).await;
        worker.shutdown(never).await;
        assert_eq!(states(&storage).await, [JobState::Completed; 50]);
    });
}
