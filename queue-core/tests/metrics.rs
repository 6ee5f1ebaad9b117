//! The metrics that a recorder sees.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use queue_core::backend::{ClaimRequest, RegisterRequest};
use queue_core::runtime::WorkerSettings;
use queue_core::testing::{TestQueue, TestWorker};
use queue_core::{
    Backend as _, ClaimId, EnqueuerExt as _, HandlerResult, JobError, JobEvent, JobQueue, MemoryBackend,
    QueueName, Task, TaskOptions, Worker, WorkerId,
};

/// Its handler does what it says.
#[derive(serde::Serialize, serde::Deserialize)]
struct Work(String);

impl Task for Work {
    const KIND: &'static str = "work";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions::new().max_retries(1).queue(QueueName::new("bulk").unwrap())
    }
}

async fn work(Work(what): Work) -> HandlerResult {
    match what.as_str() {
        "fail" => Err(JobError::retry("as ordered")),
        "refuse" => Err(JobError::cancel("not wanted")),
        "snooze" => Err(JobError::snooze(Duration::from_secs(60))),
        _ => Ok(()),
    }
}

/// Each metric with its labels, and how often it was recorded or its value.
fn values(snapshotter: &Snapshotter) -> BTreeMap<String, i64> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let (name, labels) = key.key().clone().into_parts();
        let labels = labels.iter().filter(|label| label.key() != "messaging.system");
        let labels: Vec<String> = labels.map(|label| format!("{}={}", label.key(), label.value())).collect();
        #[expect(clippy::cast_possible_truncation, reason = "the values are small and whole")]
        let value = match value {
            DebugValue::Counter(count) => i64::try_from(count).unwrap(),
            DebugValue::Gauge(value) => value.into_inner() as i64,
            DebugValue::Histogram(values) => i64::try_from(values.len()).unwrap(),
        };
        (format!("{} {}", name.as_str(), labels.join(" ")), value)
    })
    .collect()
}

const ENQUEUE: &str = "messaging.operation.name=enqueue messaging.operation.type=send";
const CLAIM: &str = "messaging.operation.name=claim messaging.operation.type=receive";
const SETTLE: &str = "messaging.operation.name=settle messaging.operation.type=settle";
const PROCESS: &str = "messaging.operation.name=process messaging.operation.type=process";
const PLACE: &str = "messaging.destination.name=bulk queue.job.kind=work";

#[tokio::test]
async fn enqueues_and_attempts_are_counted_by_queue_kind_and_outcome() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let queue = TestQueue::new();
    let worker = TestWorker::start(Worker::new(&queue).handle(work)).await.unwrap();
    for what in ["succeed", "succeed", "fail", "refuse", "snooze"] {
        queue.enqueue(Work(what.to_owned())).await.unwrap();
    }
    assert_eq!(worker.run_ready().await.unwrap().len(), 5);
    let values = values(&snapshotter);
    let process =
        |outcome: &str| values.get(&format!("messaging.process.duration {PROCESS} {PLACE} {outcome}"));
    assert_eq!(process("queue.job.outcome=completed"), Some(&2), "{values:#?}");
    assert_eq!(process("queue.job.outcome=failed error.type=failed"), Some(&1), "{values:#?}");
    assert_eq!(process("queue.job.outcome=cancelled"), Some(&1), "{values:#?}");
    assert_eq!(process("queue.job.outcome=snoozed"), Some(&1), "{values:#?}");
    let count = |name: &str| values.get(name).copied();
    let sent = format!("messaging.client.sent.messages {ENQUEUE} {PLACE}");
    assert_eq!(count(&sent), Some(5), "{values:#?}");
    let consumed = format!("messaging.client.consumed.messages {CLAIM} {PLACE}");
    assert_eq!(count(&consumed), Some(5), "{values:#?}");
    let enqueues = format!("messaging.client.operation.duration {ENQUEUE}");
    assert_eq!(count(&enqueues), Some(5), "{values:#?}");
}

#[tokio::test]
async fn last_failed_attempt_is_dead() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let queue = TestQueue::new();
    queue.enqueue(Work("fail".to_owned())).await.unwrap();
    let worker = TestWorker::start(Worker::new(&queue).handle(work)).await.unwrap();
    assert_eq!(worker.run_all().await.unwrap().len(), 2);
    let values = values(&snapshotter);
    let dead = format!("messaging.process.duration {PROCESS} {PLACE} queue.job.outcome=dead error.type=dead");
    assert_eq!(values.get(&dead), Some(&1), "{values:#?}");
}

/// The recorder is that of the process, because the worker has threads of its own.
#[tokio::test(flavor = "multi_thread")]
async fn running_worker_measures_slots_requests_and_rescues() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::set_global_recorder(recorder).unwrap();
    let backend = Arc::new(MemoryBackend::new());
    let jobs = JobQueue::new(backend.clone());
    let mut events = jobs.events();
    jobs.enqueue_value("lost", &1).await.unwrap();
    let (lost, kinds) = (WorkerId::generate(), vec!["lost".parse().unwrap()]);
    backend.register(RegisterRequest::new(lost, "lost", Duration::from_micros(1))).await.unwrap();
    let claim = ClaimRequest::new(lost, ClaimId::generate().unwrap(), QueueName::default(), kinds, 1);
    assert_eq!(backend.claim(claim).await.unwrap().jobs.len(), 1);
    let settings = WorkerSettings::default().rescue_interval(Duration::from_millis(1));
    let worker = Worker::new(&jobs).handle(work).settings(settings).slots(7).start().unwrap();
    jobs.enqueue(Work("succeed".to_owned())).await.unwrap();
    let (mut completed, mut rescued) = (false, false);
    while !(completed && rescued) {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await.unwrap().unwrap();
        completed |= matches!(event, JobEvent::Completed { .. });
        rescued |= matches!(event, JobEvent::Rescued { .. });
    }
    let running = values(&snapshotter);
    assert_eq!(running.get("queue.worker.slots "), Some(&7), "{running:#?}");
    assert_eq!(running.get("queue.worker.lost "), Some(&1), "{running:#?}");
    assert_eq!(running.get("queue.worker.rescued.jobs queue.job.outcome=ready"), Some(&1), "{running:#?}");
    worker.shutdown(Duration::from_secs(60)).await;
    // A snapshot has the changes since the last one.
    let since = values(&snapshotter);
    assert_eq!(since.get("queue.worker.slots "), Some(&-7), "{since:#?}");
    let busy = "queue.worker.busy_slots ";
    assert_eq!(running[busy] + since[busy], 0, "{running:#?} {since:#?}");
    let settles = format!("messaging.client.operation.duration {SETTLE}");
    assert!(running.contains_key(&settles), "{running:#?}");
}
