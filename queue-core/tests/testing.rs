//! The helpers for tests of programs: a queue whose clock the test moves, and its worker.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::JobState::{Cancelled, Completed, Dead, Retrying, Running};
use queue_core::testing::{TestQueue, TestWorker, drop_after};
use queue_core::{
    Backoff, ErrorKind, HandlerResult, JobContext, JobError, JobEvent, JobQueue, MemoryBackend, NewJob,
    Overlap, Payload, Schedule, Task, TaskOptions, Timestamp, Unique, Worker, assert_enqueued,
    assert_not_enqueued,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Names what its handler does, and how often that fails.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Work {
    what: String,
    failures: u32,
}

impl Task for Work {
    const KIND: &'static str = "work";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions::new().max_retries(2).retry(Backoff::fixed(MINUTE))
    }
}

fn job(what: &str, failures: u32) -> Work {
    Work { what: what.to_owned(), failures }
}

async fn work(job: Work, context: JobContext) -> HandlerResult {
    if context.attempt() <= job.failures {
        return Err(JobError::retry("not yet"));
    }
    match job.what.as_str() {
        "panic" => panic!("as ordered"),
        "bury" => Err(JobError::bury("hopeless")),
        "refuse" => Err(JobError::cancel("not wanted")),
        "enqueue" => {
            context.enqueue(self::job("follow", 0)).on_success(&context)?;
            Ok(())
        }
        "forever" => {
            context.enqueue(self::job("forever", 0)).on_success(&context)?;
            Ok(())
        }
        what if what.starts_with("take ") => {
            let id = what.trim_start_matches("take ").parse().unwrap();
            let other = NewJob::new(context.kind().clone(), Payload::json("1").unwrap()).id(id);
            context.enqueue(other).on_success(&context)?;
            Ok(())
        }
        "wait" => std::future::pending().await,
        _ => Ok(()),
    }
}

async fn worker(queue: &TestQueue) -> TestWorker {
    TestWorker::start(Worker::new(queue).handle(work)).await.unwrap()
}

#[tokio::test]
async fn clock_jumps_to_each_retry() {
    let queue = TestQueue::new();
    let start = queue.now();
    let id = queue.enqueue(job("a", 2)).run_in(MINUTE).await.unwrap().id();
    let runs = worker(&queue).await.run_all().await.unwrap();
    assert_eq!(runs, [Retrying, Retrying, Completed]);
    assert_eq!(start.until(queue.now()), MINUTE * 3, "one delay and two retries");
    let seen: Vec<_> =
        runs.iter().map(|run| (run.job, run.kind.as_str(), run.attempt, run.error.as_deref())).collect();
    let (first, second) = ((id, "work", 1, Some("not yet")), (id, "work", 2, Some("not yet")));
    assert_eq!(seen, [first, second, (id, "work", 3, None)]);
}

#[tokio::test]
async fn jobs_that_wait_do_not_run_before_their_time() {
    let queue = TestQueue::new();
    let worker = worker(&queue).await;
    queue.advance(MINUTE * 60);
    queue.enqueue(job("a", 0)).run_in(MINUTE).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), []);
    queue.advance(MINUTE - Duration::from_micros(1));
    assert_eq!(worker.run_ready().await.unwrap(), []);
    queue.advance(Duration::from_micros(1));
    assert_eq!(worker.run_ready().await.unwrap(), [Completed]);
}

#[tokio::test]
async fn each_end_of_a_job_is_seen_with_its_error() {
    let queue = TestQueue::new();
    queue.enqueue_batch([job("bury", 0), job("refuse", 0), job("panic", 2)]).await.unwrap();
    let runs = worker(&queue).await.run_all().await.unwrap();
    assert_eq!(runs, [Dead, Cancelled, Retrying, Retrying, Dead]);
    let errors: Vec<_> = runs.iter().map(|run| run.error.as_deref().unwrap_or_default()).collect();
    assert_eq!(&errors[..4], ["hopeless", "not wanted", "not yet", "not yet"]);
    assert!(errors[4].contains("as ordered"), "{errors:?}");
}

#[tokio::test]
async fn attempts_are_events() {
    let queue = TestQueue::new();
    let mut events = queue.events();
    let id = queue.enqueue(job("a", 1)).await.unwrap().id();
    assert_eq!(worker(&queue).await.run_all().await.unwrap(), [Retrying, Completed]);
    let mut failed = 0;
    loop {
        match events.next().await.unwrap() {
            JobEvent::Failed { error, retry_in, .. } => {
                assert_eq!((error.as_str(), retry_in), ("not yet", MINUTE));
                failed += 1;
            }
            JobEvent::Completed { attempt, .. } => {
                assert_eq!((attempt.job, attempt.attempt, failed), (id, 2, 1));
                break;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn follow_ups_run_too() {
    let queue = TestQueue::new();
    queue.enqueue(job("enqueue", 0)).await.unwrap();
    assert_eq!(worker(&queue).await.run_ready().await.unwrap(), [Completed, Completed]);
}

#[tokio::test]
async fn jobs_without_end_are_an_error() {
    let queue = TestQueue::new();
    queue.enqueue(job("forever", 0)).await.unwrap();
    let error = worker(&queue).await.at_most(20).run_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("more than 20 attempts ran, the last of kind `work`"), "{error}");
}

#[tokio::test]
async fn schedule_fires_when_the_clock_comes_to_its_slot() {
    let start: Timestamp = humantime::parse_rfc3339("2027-03-27T12:00:00Z").unwrap().into();
    let queue = TestQueue::at(start);
    let nightly = Schedule::cron("30 2 * * *").zone("Europe/Berlin");
    let worker = Worker::new(&queue).handle(work).schedule("nightly", nightly, job("a", 1));
    let worker = TestWorker::start(worker).await.unwrap();
    assert_eq!(worker.run_all().await.unwrap(), [], "no job waits, and the clock stands still");
    let slot: Timestamp = humantime::parse_rfc3339("2027-03-28T01:00:00Z").unwrap().into();
    let next = queue.schedules().get("nightly").await.unwrap().unwrap().next[0];
    assert_eq!(next, slot, "the clocks skip 02:30");
    assert_eq!(worker.run_for(start.until(slot)).await.unwrap(), [Retrying]);
    assert_eq!(worker.run_for(MINUTE).await.unwrap(), [Completed]);
    assert_eq!(queue.now(), slot.saturating_add(MINUTE));
}

#[tokio::test]
async fn each_slot_of_a_day_fires_at_its_time() {
    let queue = TestQueue::new();
    let worker = Worker::new(&queue).handle(work).schedule("hourly", Schedule::cron("@hourly"), job("a", 1));
    let worker = TestWorker::start(worker).await.unwrap();
    let runs = worker.run_for(MINUTE * 60 * 24).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.state == Retrying).count(), 24);
    let error = worker.at_most(5).run_for(MINUTE * 60 * 24).await.unwrap_err();
    assert!(error.to_string().contains("`TestWorker::at_most`"), "{error}");
}

/// The old job is cancelled at once, as a worker does.
#[tokio::test]
async fn schedule_cancels_the_job_before() {
    let queue = TestQueue::new();
    let hourly = Schedule::cron("@hourly").overlap(Overlap::CancelPrevious);
    let worker = Worker::new(&queue).handle(work).schedule("hourly", hourly, job("a", 9));
    let worker = TestWorker::start(worker).await.unwrap();
    for _ in 0..2 {
        queue.advance(MINUTE * 60);
        assert_eq!(worker.run_next().await.unwrap().unwrap().state, Retrying);
    }
    assert_eq!(queue.records_of::<Work>().len(), 1);
}

#[tokio::test]
async fn worker_of_two_queues_jumps_on_both() {
    let (first, second) = (TestQueue::new(), TestQueue::new());
    second.enqueue(job("a", 0)).run_in(MINUTE).await.unwrap();
    let worker = Worker::new(&first).serve(&second).handle(work);
    let worker = TestWorker::start(worker).await.unwrap();
    assert_eq!(worker.run_all().await.unwrap(), [Completed]);
}

/// The clock does not jump to a job in a queue that the worker does not serve.
#[tokio::test]
async fn clock_does_not_jump_to_queues_that_are_not_served() {
    let queue = TestQueue::new();
    let start = queue.now();
    queue.enqueue(job("a", 0)).queue("mail").run_in(MINUTE).await.unwrap();
    assert_eq!(worker(&queue).await.run_all().await.unwrap(), []);
    assert_eq!(queue.now(), start);
}

/// A follow-up has the id of another job.
#[tokio::test]
async fn follow_up_that_cannot_be_stored_fails_the_attempt() {
    let queue = TestQueue::new();
    let taken = queue.enqueue(job("a", 0)).run_in(MINUTE * 600).await.unwrap().id();
    queue.enqueue(job(&format!("take {taken}"), 0)).await.unwrap();
    let run = worker(&queue).await.run_next().await.unwrap().unwrap();
    assert_eq!(run.state, Retrying);
    assert!(run.error.as_ref().unwrap().contains("the follow-up jobs cannot be stored"), "{run:?}");
}

#[tokio::test]
async fn period_of_a_unique_key_is_that_of_the_clock() {
    let queue = TestQueue::new();
    let hourly = || NewJob::new("work".parse().unwrap(), Payload::json("1").unwrap());
    let hourly = || hourly().unique(Unique::key("k").per(MINUTE * 60));
    assert!(queue.enqueue(hourly()).await.unwrap().is_new());
    assert!(!queue.enqueue(hourly()).await.unwrap().is_new());
    queue.advance(MINUTE * 60);
    assert!(queue.enqueue(hourly()).await.unwrap().is_new());
}

/// A handler waits, and the test drops the run. The job stays running, and others run.
#[tokio::test]
async fn dropped_run_leaves_its_job_running() {
    let queue = TestQueue::new();
    let mut stuck = Vec::new();
    drop_after(1, TestWorker::start(Worker::new(&queue).handle(work))).await;
    let worker = worker(&queue).await;
    for poll in 0..4 {
        stuck.push(queue.enqueue(job("wait", 0)).await.unwrap().id());
        let is_dropped = match poll {
            0 => drop_after(1, worker.run_next()).await.is_none(),
            1 => drop_after(1, worker.run_ready()).await.is_none(),
            2 => drop_after(1, worker.run_all()).await.is_none(),
            _ => drop_after(1, worker.run_for(MINUTE)).await.is_none(),
        };
        assert!(is_dropped, "{poll}");
    }
    queue.enqueue(job("a", 0)).await.unwrap();
    assert_eq!(worker.run_all().await.unwrap(), [Completed]);
    for record in queue.inspect().unwrap().jobs(&stuck).await.unwrap() {
        assert_eq!(record.unwrap().state, Running);
    }
}

#[tokio::test]
async fn worker_that_cannot_start_is_refused() {
    let queue = TestQueue::new();
    let error = TestWorker::start(Worker::new(&queue)).await.unwrap_err();
    assert!(error.to_string().contains("no handler"), "{error}");
    let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
    jobs.enqueue(job("a", 0)).run_in(MINUTE).await.unwrap();
    let worker = TestWorker::start(Worker::new(&jobs).handle(work)).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), []);
    let error = worker.run_all().await.unwrap_err();
    assert!(error.to_string().contains("`TestQueue`"), "{error}");
}

#[tokio::test]
async fn enqueued_jobs_are_those_that_are_unfinished() {
    let queue = TestQueue::new();
    queue.enqueue(job("a", 0)).await.unwrap();
    queue.enqueue(job("b", 0)).run_in(MINUTE).await.unwrap();
    assert_eq!(worker(&queue).await.run_ready().await.unwrap(), [Completed]);
    assert_eq!(queue.enqueued::<Work>().unwrap(), [job("b", 0)]);
    assert_not_enqueued!(queue, Work { what, .. } if what == "a");
    assert_enqueued!(queue, Work { what, failures: 0 } if what == "b", in MINUTE);
    assert_enqueued!(queue, == job("b", 0), in MINUTE);
    assert_not_enqueued!(queue, == job("b", 1));
    assert_eq!(queue.records_of::<Work>()[0].job.max_retries, 2);
}

#[tokio::test]
async fn failed_assertion_shows_the_jobs() {
    let queue = TestQueue::new();
    let message = |assertion: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(assertion)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let none = message(&|| assert_enqueued!(queue, Work { failures: 1, .. }));
    assert_eq!(none, "no job matches `Work { failures: 1, .. }`; unfinished jobs: none");
    queue.enqueue(job("a", 0)).run_in(MINUTE).await.unwrap();
    let other = message(&|| assert_enqueued!(queue, Work { .. }, in MINUTE * 2));
    let expected = "no job matches `Work { .. }, in MINUTE * 2`; unfinished jobs:\
        \n  work {\"what\":\"a\",\"failures\":0}, scheduled in 1m";
    assert_eq!(other, expected);
    let found = message(&|| assert_not_enqueued!(queue, Work { .. }));
    assert!(found.starts_with("a job matches `Work { .. }`; unfinished jobs:\n  work"), "{found}");
}
