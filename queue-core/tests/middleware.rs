//! Middleware: around which handlers it runs, in which order, and how it changes their results.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue_core::JobState::{Cancelled, Completed, Dead};
use queue_core::runtime::WorkerSettings;
use queue_core::testing::{TestQueue, TestWorker};
use queue_core::{
    Handler, HandlerResult, JobContext, JobError, Middleware, Next, Payload, Queue as _, Task, TaskOptions,
    Worker, blocking,
};

type Journal = Arc<Mutex<Vec<String>>>;

#[derive(serde::Serialize, serde::Deserialize)]
struct Work(String);

impl Task for Work {
    const KIND: &'static str = "work";
    type Output = String;

    fn options() -> TaskOptions {
        TaskOptions::new().max_retries(0)
    }
}

async fn work(Work(what): Work) -> HandlerResult<String> {
    match what.as_str() {
        "fail" => Err(JobError::retry("as ordered")),
        _ => Ok(format!("did {what}")),
    }
}

/// Notes when it runs around a job.
struct Noted(&'static str, Journal);

#[async_trait::async_trait]
impl Middleware for Noted {
    async fn run(&self, context: JobContext, payload: Payload, next: Next) -> HandlerResult {
        let note = |when: &str| self.1.lock().unwrap().push(format!("{} {when}", self.0));
        note(&format!("before {}", context.kind()));
        let result = next.run(context, payload).await;
        note(if result.is_ok() { "after success" } else { "after failure" });
        result
    }
}

#[tokio::test]
async fn first_middleware_is_outermost_around_every_handler() {
    let (queue, journal) = (TestQueue::new(), Journal::default());
    let module = async |_: JobContext, _: Payload| HandlerResult::Ok(());
    (*queue).clone().handle("of-a-module", Arc::new(module), TaskOptions::new()).unwrap();
    let worker = Worker::new(&queue)
        .middleware(Noted("outer", journal.clone()))
        .handle(work)
        .middleware(Noted("inner", journal.clone()));
    let worker = TestWorker::start(worker).await.unwrap();
    let job = queue.enqueue(Work("a".to_owned())).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), [Completed]);
    assert_eq!(job.result().await.unwrap(), "did a", "the result passes through");
    let expected = ["outer before work", "inner before work", "inner after success", "outer after success"];
    assert_eq!(std::mem::take(&mut *journal.lock().unwrap()), expected);
    queue_core::EnqueuerExt::enqueue_value(&*queue, "of-a-module", &1).await.unwrap();
    queue.enqueue(Work("fail".to_owned())).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), [Completed, Dead]);
    assert_eq!(journal.lock().unwrap().len(), 8);
    assert_eq!(
        journal.lock().unwrap()[5..],
        ["inner before work", "inner after failure", "outer after failure"]
    );
}

#[tokio::test]
async fn result_of_the_middleware_is_that_of_the_attempt() {
    let queue = TestQueue::new();
    let refuse = |context: JobContext, payload: Payload, next: Next| async move {
        match payload.as_str() {
            "\"refuse\"" => Err(JobError::cancel("refused")),
            "\"panic\"" => panic!("in the middleware"),
            "\"other\"" => next.run(context, Payload::encode("another")?).await,
            _ => next.run(context, payload).await.or(Ok(())),
        }
    };
    let worker = TestWorker::start(Worker::new(&queue).handle(work).middleware(refuse)).await.unwrap();
    let other = queue.enqueue(Work("other".to_owned())).await.unwrap();
    for what in ["fail", "refuse", "panic"] {
        queue.enqueue(Work(what.to_owned())).await.unwrap();
    }
    let runs = worker.run_ready().await.unwrap();
    assert_eq!(runs, [Completed, Completed, Cancelled, Dead]);
    assert!(runs[3].error.as_ref().unwrap().contains("in the middleware"), "{runs:?}");
    assert_eq!(other.result().await.unwrap(), "did another", "the payload was replaced");
}

/// Notes its drop.
struct Guard(&'static str, Journal);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(format!("{} dropped", self.0));
    }
}

#[tokio::test]
async fn dropped_middleware_drops_its_handler() {
    let (queue, journal) = (TestQueue::new(), Journal::default());
    let (outer, inner) = (journal.clone(), journal.clone());
    let around = move |context: JobContext, payload: Payload, next: Next| {
        let guard = Guard("middleware", outer.clone());
        async move {
            let _guard = guard;
            next.run(context, payload).await
        }
    };
    let wait = move |_: JobContext, _: Payload| {
        let guard = Guard("handler", inner.clone());
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    };
    let options = TaskOptions::new().timeout(Duration::from_millis(1)).max_retries(0);
    (*queue).clone().handle("wait", Arc::new(wait), options).unwrap();
    let settings = WorkerSettings::default().cancellation_grace(Duration::from_millis(1));
    let worker = Worker::new(&queue).settings(settings).middleware(around);
    let worker = TestWorker::start(worker).await.unwrap();
    queue_core::EnqueuerExt::enqueue_value(&*queue, "wait", &1).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), [Dead]);
    assert_eq!(*journal.lock().unwrap(), ["handler dropped", "middleware dropped"]);
}

/// A blocking function cannot be dropped, so its attempt ends with its return.
#[tokio::test]
async fn blocking_handler_inside_still_stops_on_its_return() {
    let queue = TestQueue::new();
    let options = TaskOptions::new().timeout(Duration::from_millis(10));
    let wait = blocking(|context: JobContext, _: Payload| {
        while !context.cancellation().is_cancelled() {
            std::thread::yield_now();
        }
        HandlerResult::Ok(())
    });
    (*queue).clone().handle("wait", Arc::new(wait) as Arc<dyn Handler>, options).unwrap();
    let pass = async |context: JobContext, payload: Payload, next: Next| next.run(context, payload).await;
    let worker = TestWorker::start(Worker::new(&queue).middleware(pass)).await.unwrap();
    queue_core::EnqueuerExt::enqueue_value(&*queue, "wait", &1).await.unwrap();
    assert_eq!(worker.run_next().await.unwrap().map(|run| run.state), Some(Completed));
}
