//! The events of a queue: what its handles and its workers did.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{ClaimRequest, MaintainRequest, RegisterRequest};
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backend as _, ClaimId, EnqueuerExt as _, HandlerResult, JobContext, JobError, JobEvent, JobEvents, JobId,
    JobQueue, Limits, MemoryBackend, QueueName, Task, TaskOptions, Timestamp, Unique, Worker, WorkerId,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Its handler does what it says.
#[derive(serde::Serialize, serde::Deserialize)]
struct Work(String);

impl Task for Work {
    const KIND: &'static str = "work";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions::new().max_retries(1)
    }
}

async fn work(Work(what): Work, context: JobContext) -> HandlerResult {
    match what.as_str() {
        "fail" => Err(JobError::retry_after(Duration::ZERO, format!("failure {}", context.attempt()))),
        "bury" => Err(JobError::bury("hopeless")),
        "refuse" => Err(JobError::cancel("not wanted")),
        "snooze" => Err(JobError::snooze(MINUTE)),
        "wait" => {
            context.cancellation().cancelled().await;
            Err(JobError::retry("asked to stop"))
        }
        _ => Ok(()),
    }
}

fn queue(limits: Limits) -> JobQueue {
    JobQueue::with_limits(Arc::new(MemoryBackend::new()), limits)
}

async fn next(events: &mut JobEvents) -> JobEvent {
    let event = tokio::time::timeout(MINUTE, events.next()).await;
    event.unwrap_or_else(|_| panic!("no event came")).unwrap_or_else(|| panic!("the events ended"))
}

/// An event in few words, and its job.
fn brief(event: &JobEvent) -> (Option<JobId>, String) {
    match event {
        JobEvent::Enqueued { job, kind, queue } => (Some(*job), format!("enqueued {kind} on {queue}")),
        JobEvent::Started(attempt) => (Some(attempt.job), format!("started {}", attempt.attempt)),
        JobEvent::Completed { attempt, .. } => (Some(attempt.job), "completed".to_owned()),
        JobEvent::Failed { attempt, error, retry_in, .. } => {
            (Some(attempt.job), format!("failed: {error}, again in {retry_in:?}"))
        }
        JobEvent::Dead { attempt, error, .. } => (Some(attempt.job), format!("dead: {error}")),
        JobEvent::Snoozed { attempt, delay } => (Some(attempt.job), format!("snoozed for {delay:?}")),
        JobEvent::Released(attempt) => (Some(attempt.job), "released".to_owned()),
        JobEvent::Unsettled(attempt) => (Some(attempt.job), "unsettled".to_owned()),
        JobEvent::Cancelled { job, reason, .. } => (Some(*job), format!("cancelled: {reason:?}")),
        JobEvent::Retried { job } => (Some(*job), "retried".to_owned()),
        other => (None, format!("{other:?}")),
    }
}

/// The next events of this job.
async fn next_of(events: &mut JobEvents, job: JobId, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        let (of, text) = brief(&next(events).await);
        if of == Some(job) {
            all.push(text);
        }
    }
    all
}

/// Waits for the two events, which come in any order.
async fn both_enqueued_and_started(events: &mut JobEvents, job: JobId) {
    let mut both = next_of(events, job, 2).await;
    both.sort();
    assert_eq!(both, ["enqueued work on default", "started 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_begins_and_ends_with_an_event() {
    for (what, expected) in [
        ("succeed", &["started 1", "completed"][..]),
        ("fail", &["started 1", "failed: failure 1, again in 0ns", "started 2", "dead: failure 2"]),
        ("bury", &["started 1", "dead: hopeless"]),
        ("refuse", &["started 1", "cancelled: Some(\"not wanted\")"]),
        ("snooze", &["started 1", "snoozed for 60s"]),
    ] {
        let jobs = queue(Limits::default());
        let mut events = jobs.events();
        let id = jobs.enqueue(Work(what.to_owned())).await.unwrap().id();
        assert_eq!(next_of(&mut events, id, 1).await, ["enqueued work on default"]);
        let worker = Worker::new(&jobs).handle(work).start().unwrap();
        assert_eq!(next_of(&mut events, id, expected.len()).await, expected, "{what}");
        worker.shutdown(MINUTE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_releases_what_runs() {
    let jobs = queue(Limits::default());
    let mut events = jobs.events();
    let worker = Worker::new(&jobs).handle(work).start().unwrap();
    let id = jobs.enqueue(Work("wait".to_owned())).await.unwrap().id();
    both_enqueued_and_started(&mut events, id).await;
    worker.shutdown(Duration::ZERO).await;
    assert_eq!(next_of(&mut events, id, 1).await, ["released"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_a_dropped_worker_are_unsettled() {
    let jobs = queue(Limits::default());
    let mut events = jobs.events();
    let worker = Worker::new(&jobs).handle(work).start().unwrap();
    let id = jobs.enqueue(Work("wait".to_owned())).await.unwrap().id();
    both_enqueued_and_started(&mut events, id).await;
    drop(worker);
    assert_eq!(next_of(&mut events, id, 1).await, ["unsettled"]);
}

/// The worker is taken for lost. Its queue is paused, so that it does not claim the job again.
#[tokio::test(flavor = "multi_thread")]
async fn attempt_whose_lease_was_lost_is_unsettled() {
    let backend = Arc::new(MemoryBackend::new());
    let jobs = JobQueue::new(backend.clone());
    let mut events = jobs.events();
    let worker = Worker::new(&jobs).handle(work).start().unwrap();
    let id = jobs.enqueue(Work("wait".to_owned())).await.unwrap().id();
    both_enqueued_and_started(&mut events, id).await;
    jobs.manage().unwrap().pause(&QueueName::default()).await.unwrap();
    let later = Timestamp::now().saturating_add(MINUTE);
    backend.maintain(MaintainRequest::rescue(1).at(later)).await.unwrap();
    worker.shutdown(Duration::ZERO).await;
    assert_eq!(next_of(&mut events, id, 1).await, ["unsettled"]);
}

#[tokio::test]
async fn commands_are_events_if_they_changed_something() {
    let jobs = queue(Limits::default());
    let mut events = jobs.events();
    let unique = || jobs.enqueue(Work("a".to_owned())).unique(Unique::key("a"));
    let id = unique().await.unwrap().id();
    assert!(!unique().await.unwrap().is_new());
    jobs.cancel(id).await.unwrap();
    jobs.cancel(id).await.unwrap();
    jobs.retry(id).await.unwrap();
    jobs.retry(id).await.unwrap();
    jobs.cancel(JobId::generate()).await.unwrap();
    drop(jobs);
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(brief(&event).1);
    }
    assert_eq!(all, ["enqueued work on default", "cancelled: None", "retried"]);
}

#[tokio::test]
async fn slow_reader_learns_how_many_events_it_missed() {
    let jobs = queue(Limits::default().event_buffer(4));
    let (mut slow, mut other) = (jobs.events(), jobs.events());
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(jobs.enqueue_value("number", &number).await.unwrap());
        assert_eq!(brief(&next(&mut other).await).0, ids.last().copied());
    }
    assert_eq!(next(&mut slow).await, JobEvent::Missed(6));
    for id in &ids[6..] {
        assert_eq!(brief(&next(&mut slow).await).0, Some(*id));
    }
    for buffer in [0, usize::MAX] {
        let jobs = queue(Limits::default().event_buffer(buffer));
        let mut events = jobs.events();
        jobs.enqueue_value("number", &1).await.unwrap();
        assert!(matches!(next(&mut events).await, JobEvent::Enqueued { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rescue_of_a_lost_worker_is_an_event() {
    let backend = Arc::new(MemoryBackend::new());
    let jobs = JobQueue::new(backend.clone());
    let mut events = jobs.events();
    let id = jobs.enqueue(Work("succeed".to_owned())).await.unwrap().id();
    let (lost, kinds) = (WorkerId::generate(), vec![Work::KIND.parse().unwrap()]);
    backend.register(RegisterRequest::new(lost, "lost", Duration::from_micros(1))).await.unwrap();
    let claim = ClaimRequest::new(lost, ClaimId::generate().unwrap(), QueueName::default(), kinds, 1);
    assert_eq!(backend.claim(claim).await.unwrap().jobs.len(), 1);
    let settings = WorkerSettings::default().rescue_interval(Duration::from_millis(1));
    let worker = Worker::new(&jobs).handle(work).settings(settings).start().unwrap();
    while next(&mut events).await != (JobEvent::Rescued { workers_lost: 1, rescued: 1, died: 0 }) {}
    assert_eq!(next_of(&mut events, id, 2).await, ["started 2", "completed"]);
    worker.shutdown(MINUTE).await;
}
