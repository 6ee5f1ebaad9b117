//! A handler is dropped with the future that runs it.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use queue_core::testing::{FakeQueue, drop_after, run_inline};
use queue_core::{
    Handler, HandlerResult, JobContext, Kind, Payload, Task, TaskDefinition, TaskFunction, blocking,
};

use crate::at_each_poll;

#[tokio::test]
async fn dropped_handler_drops_its_values() {
    let held = Arc::new(());
    let handler = {
        let held = Arc::clone(&held);
        move |context: JobContext, _: Payload| {
            let held = Arc::clone(&held);
            async move {
                tokio::task::yield_now().await;
                context.capture_result(b"1");
                tokio::task::yield_now().await;
                drop(held);
                HandlerResult::Ok(())
            }
        }
    };
    let context = || JobContext::new(Kind::new("job").unwrap());
    let run = async || run_inline(&handler, context(), Payload::json("1").unwrap()).await;
    let inline = at_each_poll(run, async |_| assert_eq!(Arc::strong_count(&held), 2)).await;
    assert_eq!(inline.result.as_deref(), Some(b"1".as_slice()));
    assert_eq!(Arc::strong_count(&held), 2, "only the handler and the test hold it");
}

#[tokio::test]
async fn dropped_task_stops_at_its_last_poll() {
    let task = TaskDefinition::from_fn("twice", |context: JobContext, (): ()| async move {
        context.set_progress(1, 2);
        tokio::task::yield_now().await;
        context.set_progress(2, 2);
        HandlerResult::Ok(())
    });
    let mut queue = FakeQueue::new();
    task.register(&mut queue).unwrap();
    let handler = queue.handler("twice").unwrap();
    let context = JobContext::new(Kind::new("twice").unwrap());
    let mut seen = Vec::new();
    let look = async |_| seen.push(context.progress().map(|progress| progress.done));
    let run = async || handler.run(context.clone(), Payload::json("null").unwrap()).await;
    at_each_poll(run, look).await.unwrap();
    assert_eq!(seen, [None, Some(1)]);
    assert_eq!(context.progress().unwrap().done, 2);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Twice;

impl Task for Twice {
    const KIND: &'static str = "twice";
    type Output = ();
}

#[tokio::test]
async fn dropped_function_stops_at_its_last_poll() {
    async fn twice(_: Twice, context: JobContext) -> HandlerResult {
        context.set_progress(1, 2);
        tokio::task::yield_now().await;
        context.set_progress(2, 2);
        Ok(())
    }
    let context = JobContext::new(Kind::new("twice").unwrap());
    let mut seen = Vec::new();
    let look = async |_| seen.push(context.progress().map(|progress| progress.done));
    at_each_poll(async || twice.handle(Twice, &context).await, look).await.unwrap();
    assert_eq!(seen, [None, Some(1)]);
    assert_eq!(context.progress().unwrap().done, 2);
}

#[tokio::test]
async fn dropped_blocking_handler_runs_to_its_end() {
    let (release, wait) = channel::<()>();
    let (sender, ended) = channel();
    let wait = std::sync::Mutex::new(wait);
    let handler = blocking(move |_: JobContext, _: Payload| {
        wait.lock().unwrap().recv().unwrap();
        sender.send(()).unwrap();
        HandlerResult::Ok(())
    });
    let run = || handler.run(JobContext::new(Kind::new("job").unwrap()), Payload::json("1").unwrap());
    assert!(drop_after(0, run()).await.is_none());
    assert!(ended.try_recv().is_err(), "it does not start before its first poll");
    assert!(drop_after(1, run()).await.is_none());
    release.send(()).unwrap();
    ended.recv_timeout(Duration::from_secs(60)).unwrap();
}
