//! A dropped wait for a job can be repeated.

use std::sync::Arc;

use queue_core::{JobEnd, JobEvent, JobQueue, Kind, NewJob, Payload, ResultErrorKind};

use crate::at_each_poll;
use crate::yielding::YieldingBackend;

#[tokio::test]
async fn dropped_wait_can_be_repeated() {
    let jobs = JobQueue::new(Arc::new(YieldingBackend::default()));
    let job = NewJob::new(Kind::new("job").unwrap(), Payload::json("1").unwrap());
    let handle = jobs.enqueue(job).await.unwrap();
    let id = handle.id();
    assert!(queue_core::testing::drop_after(3, jobs.wait(id)).await.is_none(), "the job is unfinished");
    jobs.cancel(id).await.unwrap();
    let end = JobEnd::Cancelled { reason: None };
    let ended = at_each_poll(async || jobs.wait(id).await, async |_| ()).await.unwrap();
    assert_eq!(ended, end);
    let ended = at_each_poll(async || jobs.wait_many(&[id, id]).await, async |_| ()).await.unwrap();
    assert_eq!(ended, [end.clone(), end]);
    let error = at_each_poll(async || handle.result().await, async |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ResultErrorKind::Cancelled);
    let error = at_each_poll(async || jobs.result::<u8>(id).await, async |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ResultErrorKind::Cancelled);
}

#[tokio::test]
async fn dropped_wait_for_an_event_loses_none() {
    let jobs = JobQueue::new(Arc::new(YieldingBackend::default()));
    let mut events = jobs.events();
    assert!(queue_core::testing::drop_after(1, events.next()).await.is_none(), "nothing has happened");
    let job = NewJob::new(Kind::new("job").unwrap(), Payload::json("1").unwrap());
    let id = jobs.enqueue(job).await.unwrap().id();
    assert!(queue_core::testing::drop_after(0, events.next()).await.is_none(), "it was not polled");
    let event = events.next().await;
    assert!(matches!(event, Some(JobEvent::Enqueued { job, .. }) if job == id), "{event:?}");
}
